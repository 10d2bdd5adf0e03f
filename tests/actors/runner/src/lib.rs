//! Starts programs and collects their output in its state: `{"told": [..]}` with `[id, "out" or "err", text]` and
//! `[id, "exit", code]`.
//!
//! Requests:
//!
//! - `{"type": "start", "payload": {"program": .., "args": [..], "mode": "json"}}`: answers `{"id": N}`. The mode is
//!   `lines` by default, or `raw`, `json` or `chunked` (4 bytes). With `"count": true`, only `{"count": {"bytes": N,
//!   "digest": ..}}` is kept of the output of this and later programs, where the digest is 64-bit FNV-1a
//! - `{"type": "write", "payload": {"id": N, "text": ..}}`: an empty text closes the input
//! - `{"type": "status" | "kill" | "signal", "payload": {"id": N, "signal": 15}}`
//! - `{"type": "told"}`: answers the state

use message::Message;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use theater_sdk::process::{self, OutputMode, ProcessConfig};
use theater_sdk::{State, actor, message_server, process_handlers};

#[derive(Serialize, Deserialize, Default)]
struct Runner {
    told: Vec<(u64, String, Value)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<Count>,
}

/// Length and digest of the output, in place of the output itself.
#[derive(Serialize, Deserialize)]
struct Count {
    bytes: u64,
    digest: u64,
}

impl Default for Count {
    fn default() -> Self {
        Self { bytes: 0, digest: 0xcbf2_9ce4_8422_2325 }
    }
}

impl Count {
    fn add(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        let step = |digest: u64, byte: &u8| (digest ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        self.digest = bytes.iter().fold(self.digest, step);
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Asked {
    program: String,
    args: Vec<String>,
    mode: String,
    id: u64,
    text: String,
    signal: u32,
    count: bool,
}

#[actor::export]
impl actor::Actor for Runner {
    fn init(_state: State, (_id,): (String,)) -> Result<(State,), String> {
        Ok((message::keep(&Self::default())?,))
    }
}

#[message_server::export]
impl message_server::MessageServerClient for Runner {
    fn handle_request(state: State, (bytes,): (Vec<u8>,)) -> Result<(State, (Vec<u8>,)), String> {
        message::handle_request(state, &bytes, act)
    }
}

#[process_handlers::export]
impl process_handlers::ProcessHandlers for Runner {
    fn handle_stdout(state: State, (id, bytes): (u64, Vec<u8>)) -> Result<(State,), String> {
        let mut runner: Runner = message::state(state.clone())?;
        if let Some(count) = &mut runner.count {
            count.add(&bytes);
            return Ok((message::keep(&runner)?,));
        }
        told(state, id, "out", json!(String::from_utf8_lossy(&bytes)))
    }

    fn handle_stderr(state: State, (id, bytes): (u64, Vec<u8>)) -> Result<(State,), String> {
        told(state, id, "err", json!(String::from_utf8_lossy(&bytes)))
    }

    fn handle_exit(state: State, (id, code): (u64, i32)) -> Result<(State,), String> {
        told(state, id, "exit", json!(code))
    }
}

fn told(state: State, id: u64, what: &str, value: Value) -> Result<(State,), String> {
    let mut runner: Runner = message::state(state)?;
    runner.told.push((id, what.to_owned(), value));
    Ok((message::keep(&runner)?,))
}

fn act(runner: &mut Runner, message: &Message) -> Result<Value, String> {
    let asked: Asked = message.payload()?;
    let id = asked.id;
    match message.kind.as_str() {
        "start" => {
            runner.count = asked.count.then(Count::default);
            start(asked).map(|id| json!({ "id": id }))
        }
        "write" => process::os_write_stdin(id, asked.text.as_bytes()).map(|written| json!(written)),
        "status" => process::os_status(id).map(|status| json!({ "running": status.running, "code": status.exit_code })),
        "kill" => process::os_kill(id).map(|()| json!({})),
        "signal" => process::os_signal(id, asked.signal).map(|()| json!({})),
        "told" => Ok(json!(runner)),
        _ => message.unknown("start, write, status, kill, signal, told"),
    }
}

fn start(asked: Asked) -> Result<u64, String> {
    let mode = match asked.mode.as_str() {
        "raw" => OutputMode::Raw,
        "json" => OutputMode::Json,
        "chunked" => OutputMode::Chunked,
        _ => OutputMode::LineByLine,
    };
    process::os_spawn(&ProcessConfig {
        program: asked.program,
        args: asked.args,
        cwd: None,
        env: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
        buffer_size: 65_536,
        stdout_mode: mode.clone(),
        stderr_mode: mode,
        chunk_size: Some(4),
        execution_timeout: None,
    })
}
