//! Sends the HTTP requests that messages ask for.
//!
//! A request is `{"type": "send", "payload": {"method": "GET", "uri": .., "headers": [[name, value]], "body": text}}`.
//! The default method is `GET`; headers and body are optional. Answers `{"status": .., "headers": [..], "body": ..}`.

use message::Message;
use serde::Deserialize;
use serde_json::{Value, json};
use theater_sdk::http_client::send_http;
use theater_sdk::http_types::HttpRequest;
use theater_sdk::{State, actor, message_server};

struct Fetch;

#[actor::export]
impl actor::Actor for Fetch {
    fn init(_state: State, (_id,): (String,)) -> Result<(State,), String> {
        Ok((None,))
    }
}

#[message_server::export]
impl message_server::MessageServerClient for Fetch {
    fn handle_request(_state: State, (bytes,): (Vec<u8>,)) -> Result<(State, (Vec<u8>,)), String> {
        let message = Message::read(&bytes)?;
        Ok((None, (message.answer(act(&message)),)))
    }
}

#[derive(Deserialize)]
#[serde(default)]
struct Asked {
    method: String,
    uri: String,
    headers: Vec<(String, String)>,
    body: Option<String>,
}

impl Default for Asked {
    fn default() -> Self {
        Self { method: "GET".to_owned(), uri: String::new(), headers: Vec::new(), body: None }
    }
}

fn act(message: &Message) -> Result<Value, String> {
    if message.kind != "send" {
        return message.unknown("send");
    }
    let Asked { method, uri, headers, body } = message.payload()?;
    let response = send_http(&HttpRequest { method, uri, headers, body: body.map(String::into_bytes) })?;
    let body = response.body.map(|body| String::from_utf8_lossy(&body).into_owned());
    Ok(json!({ "status": response.status, "headers": response.headers, "body": body }))
}
