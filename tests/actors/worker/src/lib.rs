//! A child for tests of supervision. Its state is `{"id": .., "starts": N, "handled": N}`. A restart
//! begins with the initial state again, so that `starts` distinguishes a restart from a resume.
//!
//! Requests and sends:
//!
//! - `{"type": "echo", "payload": ..}`: answers the payload
//! - `{"type": "report"}`: answers the state
//! - `{"type": "busy", "payload": {"ms": N}}`: computes for N milliseconds
//! - `{"type": "sleep", "payload": {"ms": N}}`: sleeps for N milliseconds
//! - `{"type": "exit", "payload": {"data": ".."}}`: shuts itself down with this text, if any, as its final data
//! - `{"type": "fail"}`: the call returns `err`
//! - `{"type": "crash"}`: the call traps

use std::hint::black_box;

use message::Message;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use theater_sdk::{State, actor, message_server, runtime, timing};

#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct Worker {
    id: String,
    starts: u64,
    handled: u64,
}

#[derive(Deserialize)]
struct Busy {
    ms: u64,
}

#[derive(Deserialize)]
struct Exit {
    data: Option<String>,
}

#[actor::export]
impl actor::Actor for Worker {
    fn init(state: State, (id,): (String,)) -> Result<(State,), String> {
        let mut worker: Self = message::state(state)?;
        worker.id = id;
        worker.starts += 1;
        Ok((message::keep(&worker)?,))
    }
}

#[message_server::export]
impl message_server::MessageServerClient for Worker {
    fn handle_send(state: State, (bytes,): (Vec<u8>,)) -> Result<(State,), String> {
        fail_if_told(&bytes)?;
        message::handle_send(state, &bytes, act)
    }

    fn handle_request(state: State, (bytes,): (Vec<u8>,)) -> Result<(State, (Vec<u8>,)), String> {
        fail_if_told(&bytes)?;
        message::handle_request(state, &bytes, act)
    }
}

fn act(worker: &mut Worker, message: &Message) -> Result<Value, String> {
    worker.handled += 1;
    match message.kind.as_str() {
        "echo" => message.payload(),
        "report" => Ok(json!(worker)),
        "busy" => busy(message.payload::<Busy>()?.ms),
        "sleep" => timing::sleep(message.payload::<Busy>()?.ms).map(|()| json!({})),
        "exit" => exit(message.payload()?),
        "crash" => panic!("told to crash"),
        _ => message.unknown("echo, report, busy, sleep, exit, fail, crash"),
    }
}

/// Returns an `err` from the call itself, unlike an answer with the status `error`.
fn fail_if_told(bytes: &[u8]) -> Result<(), String> {
    match Message::read(bytes)?.kind.as_str() {
        "fail" => Err("told to fail".to_owned()),
        _ => Ok(()),
    }
}

/// Reads the clock rarely, because each reading is recorded as an event.
fn busy(ms: u64) -> Result<Value, String> {
    let end = timing::now() + ms;
    let mut rounds: u64 = 0;
    while timing::now() < end {
        for _ in 0..500_000 {
            rounds = black_box(rounds + 1);
        }
    }
    Ok(json!({ "rounds": rounds }))
}

fn exit(exit: Exit) -> Result<Value, String> {
    runtime::shutdown(exit.data.as_ref().map(|data| data.as_bytes()))?;
    Ok(json!({ "exiting": true }))
}
