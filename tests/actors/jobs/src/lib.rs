//! Runs programs for websocket clients and streams their output. A client of `/jobs` sends any number of `{"program":
//! "make", "args": ["-n"]}`, and receives `{"started": 1}`, `{"job": 1, "out": "a line"}`, `{"job": 1, "err": "a
//! line"}`, `{"job": 1, "exit": 0}` or `{"error": ".."}`. Its programs are ended when it disconnects. The handler
//! `process` decides which programs are allowed. The initial state is `{"port": 8089}`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use theater_sdk::http_handlers::{HandlerId, MessageType, WebsocketMessage};
use theater_sdk::http_types::ServerConfig;
use theater_sdk::process::{self, OutputMode, ProcessConfig};
use theater_sdk::{State, actor, http_framework, http_handlers, process_handlers};

#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct Jobs {
    port: u16,
    server: u64,
    /// The client of each running program.
    clients: BTreeMap<u64, u64>,
}

#[derive(Deserialize)]
struct Job {
    program: String,
    #[serde(default)]
    args: Vec<String>,
}

#[actor::export]
impl actor::Actor for Jobs {
    fn init(state: State, (_id,): (String,)) -> Result<(State,), String> {
        let mut jobs: Self = message::state(state)?;
        jobs.clients.clear();
        let config = ServerConfig { port: Some(jobs.port), host: None, tls_config: None };
        jobs.server = http_framework::create_server(&config)?;
        let handler = http_framework::register_handler("jobs")?;
        http_framework::enable_websocket(jobs.server, "/jobs", None, handler, Some(handler))?;
        http_framework::start_server(jobs.server)?;
        Ok((message::keep(&jobs)?,))
    }
}

#[http_handlers::export]
impl http_handlers::HttpHandlers for Jobs {
    fn handle_websocket_message(
        state: State,
        (_, client, message): (HandlerId, u64, WebsocketMessage),
    ) -> Result<(State, (Vec<WebsocketMessage>,)), String> {
        let mut jobs: Self = message::state(state)?;
        let (MessageType::Text, Some(text)) = (message.ty, message.text) else { return Ok((None, (Vec::new(),))) };
        let answer = match start(&text) {
            Ok(job) => {
                jobs.clients.insert(job, client);
                json!({ "started": job })
            }
            Err(error) => json!({ "error": error }),
        };
        Ok((message::keep(&jobs)?, (vec![written(&answer)],)))
    }

    fn handle_websocket_disconnect(state: State, (_, client): (HandlerId, u64)) -> Result<(State,), String> {
        let jobs: Self = message::state(state)?;
        for (job, _) in jobs.clients.iter().filter(|(_, of)| **of == client) {
            process::os_kill(*job)?;
        }
        Ok((None,))
    }
}

#[process_handlers::export]
impl process_handlers::ProcessHandlers for Jobs {
    fn handle_stdout(state: State, (job, line): (u64, Vec<u8>)) -> Result<(State,), String> {
        tell(state, job, "out", json!(shown(&line)))
    }

    fn handle_stderr(state: State, (job, line): (u64, Vec<u8>)) -> Result<(State,), String> {
        tell(state, job, "err", json!(shown(&line)))
    }

    fn handle_exit(state: State, (job, code): (u64, i32)) -> Result<(State,), String> {
        let (state,) = tell(state, job, "exit", json!(code))?;
        let mut jobs: Self = message::state(state)?;
        jobs.clients.remove(&job);
        Ok((message::keep(&jobs)?,))
    }
}

fn start(text: &str) -> Result<u64, String> {
    let Job { program, args } = serde_json::from_str(text).map_err(|error| format!("the job: {error}"))?;
    process::os_spawn(&ProcessConfig {
        program,
        args,
        cwd: None,
        env: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
        buffer_size: 65_536,
        stdout_mode: OutputMode::LineByLine,
        stderr_mode: OutputMode::LineByLine,
        chunk_size: None,
        execution_timeout: None,
    })
}

/// Notifies the client of a program. Errors are ignored: if the client is gone, its programs are being ended too.
fn tell(state: State, job: u64, what: &str, value: Value) -> Result<(State,), String> {
    let jobs: Jobs = message::state(state.clone())?;
    if let Some(client) = jobs.clients.get(&job) {
        let message = written(&json!({ "job": job, what: value }));
        http_framework::send_websocket_message(jobs.server, *client, &message).unwrap_or_default();
    }
    Ok((state,))
}

fn written(value: &Value) -> WebsocketMessage {
    WebsocketMessage { ty: MessageType::Text, data: None, text: Some(value.to_string()) }
}

fn shown(line: &[u8]) -> String {
    String::from_utf8_lossy(line).trim_end_matches(['\r', '\n']).to_owned()
}
