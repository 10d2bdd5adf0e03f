//! Uses every function of the filesystem interface, and starts programs without a handler for their output.
//!
//! A request is `{"type": "<function>", "payload": {"path": .., ..}}` with the function's parameters by name, such as
//! `{"type": "write-file", "payload": {"path": "a", "content": "b"}}`. The answer's payload has the result as `ok`.

use message::Message;
use serde::Deserialize;
use serde_json::{Value, json};
use theater_sdk::filesystem::{self, CommandResult};
use theater_sdk::process::{self, OutputMode, ProcessConfig};
use theater_sdk::{State, actor, message_server};

struct Disk;

#[actor::export]
impl actor::Actor for Disk {
    fn init(_state: State, (_id,): (String,)) -> Result<(State,), String> {
        Ok((None,))
    }
}

#[message_server::export]
impl message_server::MessageServerClient for Disk {
    fn handle_request(_state: State, (bytes,): (Vec<u8>,)) -> Result<(State, (Vec<u8>,)), String> {
        let message = Message::read(&bytes)?;
        Ok((None, (message.answer(act(&message).map(|ok| json!({ "ok": ok }))),)))
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Asked {
    path: String,
    content: String,
    dir: String,
    command: String,
    args: Vec<String>,
}

fn act(message: &Message) -> Result<Value, String> {
    let Asked { path, content, dir, command, args } = message.payload()?;
    let nothing = |()| Value::Null;
    match message.kind.as_str() {
        "read-file" => filesystem::read_file(&path).map(|bytes| json!(String::from_utf8_lossy(&bytes))),
        "write-file" => filesystem::write_file(&path, &content).map(nothing),
        "list-files" => filesystem::list_files(&path).map(|names| json!(names)),
        "delete-file" => filesystem::delete_file(&path).map(nothing),
        "create-dir" => filesystem::create_dir(&path).map(nothing),
        "delete-dir" => filesystem::delete_dir(&path).map(nothing),
        "path-exists" => filesystem::path_exists(&path).map(|there| json!(there)),
        "execute-command" => filesystem::execute_command(&dir, &command, &args).map(shown),
        "execute-nix-command" => filesystem::execute_nix_command(&dir, &command).map(shown),
        "os-spawn" => started(command, args).map(|id| json!(id)),
        "os-status" => process::os_status(1).map(|status| json!(status.exit_code)),
        _ => message.unknown("the functions of filesystem, os-spawn and os-status"),
    }
}

fn shown(result: CommandResult) -> Value {
    match result {
        CommandResult::Success(ended) => {
            json!({ "stdout": ended.stdout, "stderr": ended.stderr, "exit-code": ended.exit_code })
        }
        CommandResult::Error(error) => json!({ "error": error.message }),
    }
}

fn started(program: String, args: Vec<String>) -> Result<u64, String> {
    process::os_spawn(&ProcessConfig {
        program,
        args,
        cwd: None,
        env: Vec::new(),
        buffer_size: 4096,
        stdout_mode: OutputMode::LineByLine,
        stderr_mode: OutputMode::LineByLine,
        chunk_size: None,
        execution_timeout: None,
    })
}
