//! Passes a request through the middleware to its handler, and returns the response.

use std::sync::Arc;

use theater_http_listener::{Received, Reply};
use theater_plugin_api::{Bytes, CallError, Level};

use crate::routing::{CAPTURED, RouteMatch, RouteTarget, Websocket};
use crate::server::Server;
use crate::session::PendingWebsocket;
use crate::theater::simple::http_handlers::{handle_middleware, handle_request};
use crate::theater::simple::http_types::HttpRequest;

/// The header with which middleware sets the status of a refusal.
const STATUS: &str = "x-theater-status";

pub(crate) async fn answer(server: Arc<Server>, mut received: Received) -> Reply {
    server.context.host.count("requests", 1.0);
    // Remove headers that only the host and the actor may set: clients could forge them.
    received.headers.retain(|(name, _)| name != STATUS && !name.starts_with(CAPTURED));
    let asks_websocket = received.method == "GET" && theater_websocket_protocol::asks_upgrade(&received);
    let RouteMatch { target, captures, middleware } = match server.routing().find(&received, asks_websocket) {
        Ok(found) => found,
        Err(reply) => return reply,
    };
    received.headers.extend(captures);
    match target {
        RouteTarget::Handler(handler) => call_route_handler(&server, handler, &middleware, received).await,
        RouteTarget::Websocket(websocket) => open_websocket(server, websocket, &middleware, received).await,
    }
}

/// Calls the route's handler after all middleware has let the request pass.
async fn call_route_handler(server: &Arc<Server>, handler: u64, middleware: &[u64], received: Received) -> Reply {
    let host = &server.context.host;
    let cause = received.cause();
    let request = match run_middleware(server, middleware, &cause, request_of(received)).await {
        Ok(request) => request,
        Err(reply) => return reply,
    };
    match handle_request(host, &cause, &handler, &request).await {
        Ok(response) => Reply::new(response.status, response.headers, response.body.map(Bytes::into_vec))
            .unwrap_or_else(|what| Reply::failed(host, &cause, &format!("the response cannot be sent: {what}"))),
        Err(error) => failure_reply(server, &cause, &error),
    }
}

/// Switches to a websocket after all middleware and the connect handler have let the client pass.
async fn open_websocket(
    server: Arc<Server>,
    websocket: Websocket,
    middleware: &[u64],
    mut received: Received,
) -> Reply {
    let upgrade_policy = server.context.config.upgrade_policy();
    if let Err(reply) = theater_websocket_protocol::check(&received, upgrade_policy) {
        return reply;
    }
    let cause = received.cause();
    if !middleware.is_empty() {
        match run_middleware(&server, middleware, &cause, request_of(received.clone())).await {
            // The connect handler gets the URI as the middleware left it.
            Ok(request) => received.uri = request.uri,
            Err(reply) => return reply,
        }
    }
    let protocol = upgrade_policy.protocol(&received).map(ToOwned::to_owned);
    match PendingWebsocket::new(&server, websocket, received.peer).connect(&cause, &received, protocol.as_deref()).await
    {
        Ok(opened) => theater_websocket_protocol::accept(&received, upgrade_policy, |upgraded| opened.run(upgraded)),
        Err(CallError::Actor(_)) => Reply::text(403, "the server refused this websocket"),
        Err(error) => failure_reply(&server, &cause, &error),
    }
}

fn request_of(received: Received) -> HttpRequest {
    let Received { method, uri, headers, body, .. } = received;
    HttpRequest { method, uri, headers, body: body.map(Bytes::from) }
}

/// Returns the request as the middleware left it, or the response of the first one that refuses it.
async fn run_middleware(
    server: &Arc<Server>,
    middleware: &[u64],
    cause: &str,
    mut request: HttpRequest,
) -> Result<HttpRequest, Reply> {
    for handler in middleware {
        match handle_middleware(&server.context.host, cause, handler, &request).await {
            Ok(result) if result.proceed => request = result.request,
            Ok(result) => return Err(refusal_reply(server, cause, result.request)),
            Err(error) => return Err(failure_reply(server, cause, &error)),
        }
    }
    Ok(request)
}

/// Returns the response of middleware that refuses a request: 403, or the status and body that it chose.
fn refusal_reply(server: &Server, cause: &str, request: HttpRequest) -> Reply {
    let chosen = request.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(STATUS));
    let (status, body) = match chosen.map(|(_, value)| value.parse()) {
        None => (403, None),
        Some(Ok(status @ 400..=599)) => (status, request.body.map(Bytes::into_vec)),
        Some(_) => {
            let what = format!("{cause}: middleware refused with an {STATUS} that is not between 400 and 599");
            server.context.host.log(Level::Warn, &what);
            (403, None)
        }
    };
    Reply::new(status, Vec::new(), body).unwrap_or_else(|what| Reply::failed(&server.context.host, cause, &what))
}

fn failure_reply(server: &Server, cause: &str, error: &CallError) -> Reply {
    match error {
        CallError::Gone(_) => Reply::unavailable(&server.context.host),
        error => Reply::failed(&server.context.host, cause, &error.to_string()),
    }
}
