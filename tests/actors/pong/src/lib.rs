//! Answers every ping: a request `{"type": "ping", "payload": {"round": N}}` with `{"round": N}`, and a send
//! `{"type": "ping", "payload": {"round": N, "from": id}}` with a send `{"type": "pong", "payload": {"round": N}}` to
//! this id. It has no state.

use message::Message;
use serde::Deserialize;
use serde_json::{Value, json};
use theater_sdk::{State, actor, message_server, message_server_host};

struct Pong;

#[derive(Deserialize)]
struct Ping {
    round: u64,
    from: Option<String>,
}

#[actor::export]
impl actor::Actor for Pong {
    fn init(_state: State, (_id,): (String,)) -> Result<(State,), String> {
        Ok((None,))
    }
}

#[message_server::export]
impl message_server::MessageServerClient for Pong {
    fn handle_send(_state: State, (bytes,): (Vec<u8>,)) -> Result<(State,), String> {
        let Ping { round, from } = ping(&Message::read(&bytes)?)?;
        let from = from.ok_or("a ping that is sent should say whom to answer, in \"from\"")?;
        message_server_host::send(&from, &message::write("pong", "", json!({ "round": round })))?;
        Ok((None,))
    }

    fn handle_request(_state: State, (bytes,): (Vec<u8>,)) -> Result<(State, (Vec<u8>,)), String> {
        let message = Message::read(&bytes)?;
        let result: Result<Value, String> = ping(&message).map(|ping| json!({ "round": ping.round }));
        Ok((None, (message.answer(result),)))
    }
}

fn ping(message: &Message) -> Result<Ping, String> {
    match message.kind.as_str() {
        "ping" => message.payload(),
        _ => message.unknown("ping"),
    }
}
