//! From a request to the actor's handlers, and from what they say to the answer.

use std::sync::Arc;

use theater_http_listener::{Received, Reply};
use theater_plugin_api::{Bytes, CallError, Level};

use crate::routing::{CAPTURED, Found, Goal, Websocket};
use crate::server::Server;
use crate::session::Opening;
use crate::theater::simple::http_handlers::{handle_middleware, handle_request};
use crate::theater::simple::http_types::HttpRequest;

/// The header by which middleware chooses the status of its refusal.
const STATUS: &str = "x-theater-status";

pub(crate) async fn answer(server: Arc<Server>, mut received: Received) -> Reply {
    server.common.host.count("requests", 1.0);
    // What only the host and the actor say is not taken from outside.
    received.headers.retain(|(name, _)| name != STATUS && !name.starts_with(CAPTURED));
    let asks_websocket = received.method == "GET" && theater_websockets::asks_upgrade(&received);
    let Found { goal, captures, middleware } = match server.routing().find(&received, asks_websocket) {
        Ok(found) => found,
        Err(reply) => return reply,
    };
    received.headers.extend(captures);
    match goal {
        Goal::Handler(handler) => handled(&server, handler, &middleware, received).await,
        Goal::Websocket(websocket) => opened(server, websocket, &middleware, received).await,
    }
}

/// What the route's handler says, once all middleware let the request pass.
async fn handled(server: &Arc<Server>, handler: u64, middleware: &[u64], received: Received) -> Reply {
    let host = &server.common.host;
    let cause = received.cause();
    let request = match passed(server, middleware, &cause, request_of(received)).await {
        Ok(request) => request,
        Err(reply) => return reply,
    };
    match handle_request(host, &cause, &handler, &request).await {
        Ok(response) => Reply::new(response.status, response.headers, response.body.map(Bytes::into_vec))
            .unwrap_or_else(|what| Reply::failed(host, &cause, &format!("the response cannot be sent: {what}"))),
        Err(error) => failed(server, &cause, &error),
    }
}

/// The switch to a websocket, once all middleware and the connect handler let the client pass.
async fn opened(server: Arc<Server>, websocket: Websocket, middleware: &[u64], mut received: Received) -> Reply {
    let terms = server.common.config.terms();
    if let Err(reply) = theater_websockets::check(&received, terms) {
        return reply;
    }
    let cause = received.cause();
    if !middleware.is_empty() {
        match passed(&server, middleware, &cause, request_of(received.clone())).await {
            // What it left is what the connect handler gets.
            Ok(request) => received.uri = request.uri,
            Err(reply) => return reply,
        }
    }
    let protocol = terms.protocol(&received).map(ToOwned::to_owned);
    match Opening::new(&server, websocket, received.peer).connect(&cause, &received, protocol.as_deref()).await {
        Ok(opened) => theater_websockets::accept(&received, terms, |upgraded| opened.run(upgraded)),
        Err(CallError::Actor(_)) => Reply::text(403, "this websocket is not opened to you"),
        Err(error) => failed(&server, &cause, &error),
    }
}

fn request_of(received: Received) -> HttpRequest {
    let Received { method, uri, headers, body, .. } = received;
    HttpRequest { method, uri, headers, body: body.map(Bytes::from) }
}

/// The request as all middleware leave it, or the answer of the one that does not let it pass.
async fn passed(
    server: &Arc<Server>,
    middleware: &[u64],
    cause: &str,
    mut request: HttpRequest,
) -> Result<HttpRequest, Reply> {
    for handler in middleware {
        match handle_middleware(&server.common.host, cause, handler, &request).await {
            Ok(result) if result.proceed => request = result.request,
            Ok(result) => return Err(refused(server, cause, result.request)),
            Err(error) => return Err(failed(server, cause, &error)),
        }
    }
    Ok(request)
}

/// The answer of middleware that does not let a request pass.
fn refused(server: &Server, cause: &str, request: HttpRequest) -> Reply {
    let chosen = request.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(STATUS));
    let (status, body) = match chosen.map(|(_, value)| value.parse()) {
        None => (403, None),
        Some(Ok(status @ 400..=599)) => (status, request.body.map(Bytes::into_vec)),
        Some(_) => {
            let what = format!("{cause}: middleware refused with an {STATUS} that is not one of 400 to 599");
            server.common.host.log(Level::Warn, &what);
            (403, None)
        }
    };
    Reply::new(status, Vec::new(), body).unwrap_or_else(|what| Reply::failed(&server.common.host, cause, &what))
}

fn failed(server: &Server, cause: &str, error: &CallError) -> Reply {
    match error {
        CallError::Gone(_) => Reply::unavailable(&server.common.host),
        error => Reply::failed(&server.common.host, cause, &error.to_string()),
    }
}
