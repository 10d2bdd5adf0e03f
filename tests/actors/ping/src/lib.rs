//! Exchanges messages with `pong` in rounds.
//!
//! - send `{"type": "start", "action": "request" or "send", "payload": {"to": id, "count": N}}`: plays N rounds. With
//!   `request`, the default, all rounds are in this one call. With `send`, each answer starts the next round.
//! - request `{"type": "report"}`: answers `{"rounds": N, "right": N, "wrong": N, "done": true or false}`, where
//!   `rounds` were completed and `right` of them got the correct answer.

use message::Message;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use theater_sdk::{State, actor, message_server, message_server_host};

#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct Ping {
    id: String,
    to: String,
    count: u64,
    rounds: u64,
    right: u64,
    wrong: u64,
}

#[derive(Deserialize)]
struct Start {
    to: String,
    count: u64,
}

#[derive(Deserialize)]
struct Pong {
    round: u64,
}

#[actor::export]
impl actor::Actor for Ping {
    fn init(state: State, (id,): (String,)) -> Result<(State,), String> {
        let mut ping: Self = message::state(state)?;
        ping.id = id;
        Ok((message::keep(&ping)?,))
    }
}

#[message_server::export]
impl message_server::MessageServerClient for Ping {
    fn handle_send(state: State, (bytes,): (Vec<u8>,)) -> Result<(State,), String> {
        message::handle_send(state, &bytes, act)
    }

    fn handle_request(state: State, (bytes,): (Vec<u8>,)) -> Result<(State, (Vec<u8>,)), String> {
        message::handle_request(state, &bytes, act)
    }
}

fn act(ping: &mut Ping, message: &Message) -> Result<Value, String> {
    match message.kind.as_str() {
        "start" => {
            let Start { to, count } = message.payload()?;
            *ping = Ping { id: ping.id.clone(), to, count, ..Ping::default() };
            if message.action == "send" { ping.send_next()? } else { ping.request_all() }
        }
        "pong" => {
            let Pong { round } = message.payload()?;
            ping.played(round == ping.rounds + 1);
            ping.send_next()?;
        }
        "report" => {}
        _ => return message.unknown("start, pong, report"),
    }
    Ok(ping.report())
}

impl Ping {
    fn request_all(&mut self) {
        while self.rounds < self.count {
            let round = self.rounds + 1;
            let ping = message::write("ping", "", json!({ "round": round }));
            let answer = message_server_host::request(&self.to, &ping);
            let answer = answer.and_then(|answer| message::read_answer(&answer));
            self.played(answer == Ok(json!({ "round": round })));
        }
    }

    fn send_next(&self) -> Result<(), String> {
        if self.rounds == self.count {
            return Ok(());
        }
        let payload = json!({ "round": self.rounds + 1, "from": self.id });
        message_server_host::send(&self.to, &message::write("ping", "", payload))
    }

    fn played(&mut self, right: bool) {
        self.rounds += 1;
        *(if right { &mut self.right } else { &mut self.wrong }) += 1;
    }

    fn report(&self) -> Value {
        json!({
            "rounds": self.rounds,
            "right": self.right,
            "wrong": self.wrong,
            "done": self.rounds == self.count,
        })
    }
}
