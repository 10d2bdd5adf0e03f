//! A counter, the introductory example of the SDK. Its state is `{"count": N}`.
//!
//! - send `{"type": "increment", "action": "add", "payload": {"by": 2}, "metadata": {}}`
//! - request `{"type": "get"}`, answered with `{"count": N}`

use message::Message;
use serde_json::{Value, json};
use theater_sdk::{actor, message_server};

struct CounterActor;

#[actor::export]
impl actor::Actor for CounterActor {
    fn init(state: Option<Vec<u8>>, params: (String,)) -> Result<(Option<Vec<u8>>,), String> {
        let (_id,) = params;
        let state = state.unwrap_or_else(|| written(0));
        Ok((Some(state),))
    }
}

#[message_server::export]
impl message_server::MessageServerClient for CounterActor {
    fn handle_send(state: Option<Vec<u8>>, params: (Vec<u8>,)) -> Result<(Option<Vec<u8>>,), String> {
        let (bytes,) = params;
        let message = Message::read(&bytes)?;
        let new_state = match message.kind.as_str() {
            "increment" => Some(written(count(state)? + by(&message)?)),
            _ => return message.unknown("increment"),
        };
        Ok((new_state,))
    }

    fn handle_request(state: Option<Vec<u8>>, params: (Vec<u8>,)) -> Result<(Option<Vec<u8>>, (Vec<u8>,)), String> {
        let (bytes,) = params;
        let message = Message::read(&bytes)?;
        let new_state = None;
        let response = message.answer(match message.kind.as_str() {
            "get" => Ok(json!({ "count": count(state)? })),
            _ => message.unknown("get"),
        });
        Ok((new_state, (response,)))
    }
}

fn count(state: Option<Vec<u8>>) -> Result<i64, String> {
    let state: Value = message::state(state)?;
    state["count"].as_i64().ok_or_else(|| format!("the state should be {{\"count\": N}}, but is {state}"))
}

fn written(count: i64) -> Vec<u8> {
    json!({ "count": count }).to_string().into_bytes()
}

/// The amount to add: 1 unless the message has another one.
fn by(message: &Message) -> Result<i64, String> {
    let payload: Value = message.payload()?;
    match &payload["by"] {
        Value::Null => Ok(1),
        by => by.as_i64().ok_or_else(|| format!("\"by\" should be a number, but is {by}")),
    }
}
