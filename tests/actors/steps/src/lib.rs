//! Executes steps that can be interrupted. Its state is `{"sleep": N, "steps": [[note, number], ..]}`. With an initial
//! state `{"sleep": N}`, its `init` sleeps for N milliseconds.
//!
//! - send or request `{"type": "step", "payload": {"note": .., "sleep": N, "turns": T}}`: draws a number, sleeps for N
//!   milliseconds, computes for T turns, and appends the note with the number to its state
//! - request `{"type": "report"}`: answers the state

use std::hint::black_box;

use message::Message;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use theater_sdk::{State, actor, message_server, random, timing};

#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct Steps {
    sleep: u64,
    steps: Vec<(String, u64)>,
}

#[derive(Deserialize)]
struct Step {
    note: String,
    #[serde(default)]
    sleep: u64,
    #[serde(default)]
    turns: u64,
}

#[actor::export]
impl actor::Actor for Steps {
    fn init(state: State, (_id,): (String,)) -> Result<(State,), String> {
        let steps: Self = message::state(state)?;
        timing::sleep(steps.sleep)?;
        Ok((message::keep(&steps)?,))
    }
}

#[message_server::export]
impl message_server::MessageServerClient for Steps {
    fn handle_send(state: State, (bytes,): (Vec<u8>,)) -> Result<(State,), String> {
        message::handle_send(state, &bytes, act)
    }

    fn handle_request(state: State, (bytes,): (Vec<u8>,)) -> Result<(State, (Vec<u8>,)), String> {
        message::handle_request(state, &bytes, act)
    }
}

fn act(steps: &mut Steps, message: &Message) -> Result<Value, String> {
    match message.kind.as_str() {
        "step" => {
            let Step { note, sleep, turns } = message.payload()?;
            let number = random::random_range(0, u64::MAX)?;
            timing::sleep(sleep)?;
            for turn in 0..turns {
                black_box(turn);
            }
            steps.steps.push((note, number));
            Ok(json!({}))
        }
        "report" => Ok(json!(steps)),
        _ => message.unknown("step, report"),
    }
}
