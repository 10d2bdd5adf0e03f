//! A chat with a page at `/` and a websocket at `/chat?name=ann`. An invalid name or one that is taken is refused.
//!
//! All clients receive each message as `{"from": "ann", "text": ".."}`, and `{"joined": "ann"}` and `{"left": "ann"}`
//! when clients connect and disconnect. The initial state is `{"port": 8088}`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use theater_sdk::http_handlers::{HandlerId, HttpRequest, HttpResponse, MessageType, WebsocketMessage};
use theater_sdk::http_types::ServerConfig;
use theater_sdk::{State, actor, http_framework, http_handlers};

#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct Chat {
    port: u16,
    server: u64,
    /// The names of connected clients, by connection.
    members: BTreeMap<u64, String>,
}

const MOST: usize = 32;

#[actor::export]
impl actor::Actor for Chat {
    fn init(state: State, (_id,): (String,)) -> Result<(State,), String> {
        let mut chat: Self = message::state(state)?;
        chat.members.clear();
        let config = ServerConfig { port: Some(chat.port), host: None, tls_config: None };
        chat.server = http_framework::create_server(&config)?;
        let handler = http_framework::register_handler("chat")?;
        http_framework::add_route(chat.server, "/", "GET", handler)?;
        http_framework::enable_websocket(chat.server, "/chat", Some(handler), handler, Some(handler))?;
        http_framework::start_server(chat.server)?;
        Ok((message::keep(&chat)?,))
    }
}

#[http_handlers::export]
impl http_handlers::HttpHandlers for Chat {
    fn handle_request(_state: State, _: (HandlerId, HttpRequest)) -> Result<(State, (HttpResponse,)), String> {
        let headers = vec![
            ("content-type".to_owned(), "text/html; charset=utf-8".to_owned()),
            ("cache-control".to_owned(), "no-store".to_owned()),
        ];
        Ok((None, (HttpResponse { status: 200, headers, body: Some(include_bytes!("page.html").to_vec()) },)))
    }

    fn handle_websocket_connect(
        state: State,
        (_, number, _, query): (HandlerId, u64, String, Option<String>),
    ) -> Result<(State,), String> {
        let mut chat: Self = message::state(state)?;
        let name = query.as_deref().and_then(|query| query.strip_prefix("name=")).unwrap_or_default();
        // The page only sends letters, digits, - and _, so that no decoding is needed.
        if name.is_empty()
            || name.len() > MOST
            || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        {
            return Err(format!("the name {name:?} is not one of 1 to {MOST} letters, digits, - and _"));
        }
        if chat.members.values().any(|member| member == name) {
            return Err(format!("the name {name:?} is taken"));
        }
        chat.members.insert(number, name.to_owned());
        chat.tell(&json!({ "joined": name }));
        Ok((message::keep(&chat)?,))
    }

    fn handle_websocket_message(
        state: State,
        (_, number, message): (HandlerId, u64, WebsocketMessage),
    ) -> Result<(State, (Vec<WebsocketMessage>,)), String> {
        let chat: Self = message::state(state)?;
        if let (Some(name), MessageType::Text, Some(text)) = (chat.members.get(&number), message.ty, message.text) {
            chat.tell(&json!({ "from": name, "text": text }));
        }
        Ok((None, (Vec::new(),)))
    }

    fn handle_websocket_disconnect(state: State, (_, number): (HandlerId, u64)) -> Result<(State,), String> {
        let mut chat: Self = message::state(state)?;
        if let Some(name) = chat.members.remove(&number) {
            chat.tell(&json!({ "left": name }));
        }
        Ok((message::keep(&chat)?,))
    }
}

impl Chat {
    /// Sends to all clients. Errors are ignored, because a client may be disconnecting.
    fn tell(&self, what: &Value) {
        let message = WebsocketMessage { ty: MessageType::Text, data: None, text: Some(what.to_string()) };
        for number in self.members.keys() {
            http_framework::send_websocket_message(self.server, *number, &message).unwrap_or_default();
        }
    }
}
