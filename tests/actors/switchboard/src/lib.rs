//! Changes its servers while they run, stores contents under labels, and defers requests: each request makes it call
//! the host function that the request names.
//!
//! A request is `{"type": "<function>", "payload": {..}}`, with a function of `http-framework` or `store`, or one of
//! `list-outstanding-requests`, `respond-to-request` and `cancel-request`. The parameters are the fields of [`Asked`],
//! as in `{"type": "stop-server", "payload": {"server": 1}}`. The payload of the answer has the result as `ok`. The
//! request `{"type": "wait"}` is left unanswered.
//!
//! Its servers answer every request with the handler's id and every websocket message with the connection's id. Its
//! middleware rejects every request.

use message::Message;
use serde::Deserialize;
use serde_json::{Value, json};
use theater_sdk::http_framework::{self as servers, HandlerId};
use theater_sdk::http_handlers::{HttpRequest, HttpResponse, MessageType, MiddlewareResult, WebsocketMessage};
use theater_sdk::http_types::{ServerConfig, ServerInfo};
use theater_sdk::store::{self, ContentRef};
use theater_sdk::{State, actor, http_handlers, message_server, message_server_host as requests};

struct Switchboard;

#[derive(Deserialize, Default)]
#[serde(default)]
struct Asked {
    server: u64,
    handler: u64,
    route: u64,
    middleware: u64,
    connection: u64,
    request: String,
    name: String,
    path: String,
    method: String,
    store: String,
    label: String,
    hash: String,
    content: String,
}

#[actor::export]
impl actor::Actor for Switchboard {
    fn init(_state: State, (_id,): (String,)) -> Result<(State,), String> {
        Ok((None,))
    }
}

#[message_server::export]
impl message_server::MessageServerClient for Switchboard {
    fn handle_request(_state: State, (_id, bytes): (String, Vec<u8>)) -> Result<(State, (Option<Vec<u8>>,)), String> {
        let message = Message::read(&bytes)?;
        if message.kind == "wait" {
            return Ok((None, (None,)));
        }
        Ok((None, (Some(message.answer(act(&message).map(|ok| json!({ "ok": ok })))),)))
    }
}

#[http_handlers::export]
impl http_handlers::HttpHandlers for Switchboard {
    fn handle_request(
        _state: State,
        (handler, _): (HandlerId, HttpRequest),
    ) -> Result<(State, (HttpResponse,)), String> {
        let body = Some(handler.to_string().into_bytes());
        Ok((None, (HttpResponse { status: 200, headers: Vec::new(), body },)))
    }

    fn handle_middleware(
        _state: State,
        (_, request): (HandlerId, HttpRequest),
    ) -> Result<(State, (MiddlewareResult,)), String> {
        Ok((None, (MiddlewareResult { proceed: false, request },)))
    }

    fn handle_websocket_message(
        _state: State,
        (_, connection, _): (HandlerId, u64, WebsocketMessage),
    ) -> Result<(State, (Vec<WebsocketMessage>,)), String> {
        Ok((None, (vec![text(connection.to_string())],)))
    }
}

fn act(message: &Message) -> Result<Value, String> {
    let asked: Asked = message.payload()?;
    match message.kind.as_str() {
        "list-outstanding-requests" => Ok(json!(requests::list_outstanding_requests())),
        "respond-to-request" => requests::respond_to_request(&asked.request, asked.content.as_bytes()).map(nothing),
        "cancel-request" => requests::cancel_request(&asked.request).map(nothing),
        kind => serve(kind, &asked).or_else(|| keep(kind, &asked)).unwrap_or_else(|| {
            message.unknown("wait, the functions of http-framework and store, and three of message-server-host")
        }),
    }
}

fn nothing((): ()) -> Value {
    Value::Null
}

/// Calls a function of `http-framework`. Returns `None` if there is no such function.
fn serve(kind: &str, asked: &Asked) -> Option<Result<Value, String>> {
    let Asked { server, handler, route, middleware, connection, name, path, method, content, .. } = asked;
    let (server, handler) = (*server, *handler);
    Some(match kind {
        "create-server" => {
            let config = ServerConfig { port: None, host: None, tls_config: None };
            servers::create_server(&config).map(|id| json!(id))
        }
        "get-server-info" => servers::get_server_info(server).map(shown),
        "start-server" => servers::start_server(server).map(|port| json!(port)),
        "stop-server" => servers::stop_server(server).map(nothing),
        "destroy-server" => servers::destroy_server(server).map(nothing),
        "register-handler" => servers::register_handler(name).map(|id| json!(id)),
        "add-route" => servers::add_route(server, path, method, handler).map(|id| json!(id)),
        "remove-route" => servers::remove_route(*route).map(nothing),
        "add-middleware" => servers::add_middleware(server, path, handler).map(|id| json!(id)),
        "remove-middleware" => servers::remove_middleware(*middleware).map(nothing),
        "enable-websocket" => {
            servers::enable_websocket(server, path, Some(handler), handler, Some(handler)).map(nothing)
        }
        "send-websocket-message" => {
            servers::send_websocket_message(server, *connection, &text(content.clone())).map(nothing)
        }
        "close-websocket" => servers::close_websocket(server, *connection).map(nothing),
        _ => return None,
    })
}

/// Calls a function of `store`. Returns `None` if there is no such function.
fn keep(kind: &str, asked: &Asked) -> Option<Result<Value, String>> {
    let Asked { store: id, label, hash, content, .. } = asked;
    let (content, reference) = (content.as_bytes(), ContentRef { hash: hash.clone() });
    let named = |reference: ContentRef| json!(reference.hash);
    Some(match kind {
        "new" => store::new().map(|id| json!(id)),
        "store" => store::store(id, content).map(named),
        "get" => store::get(id, &reference).map(|bytes| json!(String::from_utf8_lossy(&bytes))),
        "exists" => store::exists(id, &reference).map(|there| json!(there)),
        "label" => store::label(id, label, &reference).map(nothing),
        "get-by-label" => store::get_by_label(id, label).map(|newest| json!(newest.map(named))),
        "remove-label" => store::remove_label(id, label).map(nothing),
        "remove-from-label" => store::remove_from_label(id, label, &reference).map(nothing),
        "store-at-label" => store::store_at_label(id, label, content).map(named),
        "replace-content-at-label" => store::replace_content_at_label(id, label, content).map(named),
        "replace-at-label" => store::replace_at_label(id, label, &reference).map(nothing),
        "list-labels" => store::list_labels(id).map(|labels| json!(labels)),
        "list-all-content" => store::list_all_content(id).map(|all| all.into_iter().map(named).collect()),
        "calculate-total-size" => store::calculate_total_size(id).map(|bytes| json!(bytes)),
        _ => return None,
    })
}

fn shown(info: ServerInfo) -> Value {
    json!({
        "port": info.port,
        "running": info.running,
        "routes": info.routes_count,
        "middleware": info.middleware_count,
        "websockets": info.websocket_enabled,
    })
}

fn text(text: String) -> WebsocketMessage {
    WebsocketMessage { ty: MessageType::Text, data: None, text: Some(text) }
}
