//! The plugin `process`: runs operating system programs and delivers their output and their ends to the actor as calls.
//!
//! | file | what |
//! |---|---|
//! | [`config`] | the config, how a parent's config limits a child's, and the checks before a program starts |
//! | [`cut`] | cuts output into calls |
//! | [`env`] | which environment variables programs may be given |
//! | [`program`] | one running program: its pipes and its end |
//! | [`table`] | an actor's programs by id |
//! | [`error`] | the error messages |
//!
//! An example manifest:
//!
//! ```toml
//! [[handlers]]
//! type = "process"
//! config = { allowed_programs = ["git", "/usr/bin/make"], allowed_paths = ["work"], max_processes = 2 }
//! ```
//!
//! Output has backpressure. While the actor is busy, or its mailbox is full, the plugin buffers `max_output_buffer`
//! bytes of each stream; then it stops reading, and the program blocks once its pipe is full. Nothing is dropped. If
//! the actor itself waits for such a program in `os-write-stdin`, that call returns an error, since neither would ever
//! continue.
//!
//! A program leads a process group. The whole group is killed when the program ends, when the actor ends, after
//! `os-kill`, and when `theater` itself is killed with SIGKILL. A process that leaves the group (`setsid(1)`) escapes
//! that.
//!
//! A program runs with the rights of the runtime's process, and the actor chooses its arguments. The config limits its
//! name, its folder and its variables, but not what it does, unless `confine = true` limits it to `allowed_paths`. Give
//! it a folder other than the manifest's: it could rewrite the manifest for the next start.

#![forbid(unsafe_code)]

mod config;
mod cut;
mod env;
mod error;
#[cfg(test)]
mod narrow_tests;
mod program;
mod table;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use blocking::unblock;
use futures_lite::future::or;
use serde_json::Value;
use theater_child_process::Signal;
use theater_plugin_api::encoding::{decode, encode};
use theater_plugin_api::{Attachment, Bytes, Call, CallError, Handler, Host, Level, Plugin, Recovered};

use config::{Config, LaunchSpec};
use error::Error;
use program::Program;
use table::ProgramTable;
use theater::simple::process::{ProcessConfig, ProcessStatus};
use theater::simple::process_handlers::handle_exit;

theater_plugin_api::bindings! {
    plugin: Processes,
    handler: ProcessHandler,
    name: "process",
    wit: "../../wit",
    provides: { "theater:simple/process": {
        "os-spawn": async effect, "os-write-stdin": async effect, "os-status": read,
        "os-signal": async effect, "os-kill": async effect,
    } },
    calls: { "theater:simple/process-handlers": optional },
    config: "config.schema.json",
}

/// The time between SIGTERM and SIGKILL.
const PATIENCE: Duration = Duration::from_secs(5);

/// The plugin. It counts the programs that each actor has started, so that no id is reused after a restart.
#[derive(Default)]
pub struct Processes {
    started: Mutex<HashMap<String, Arc<AtomicU64>>>,
}

impl Processes {
    fn started(&self) -> MutexGuard<'_, HashMap<String, Arc<AtomicU64>>> {
        // A poisoned lock is safe to use: every change under it is a single step.
        self.started.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Plugin for Processes {
    type Handler = ProcessHandler;

    fn init(_: Host) -> Result<Self, String> {
        Ok(Self::default())
    }

    async fn attach(&self, host: Host, attachment: Attachment) -> Result<ProcessHandler, String> {
        let config: Config = attachment.config()?;
        let looked_up = unblock(move || {
            let confines = config.confine && !config.allowed_programs.is_empty();
            (config.looked_up(), if confines { theater_child_process::missing() } else { None })
        });
        let (config, missing) = looked_up.await;
        let config = Arc::new(config);
        if let Some(missing) = missing {
            host.log(Level::Warn, &format!("confine = true: {missing}"));
        }
        let last = Arc::clone(self.started().entry(host.whose()?.actor).or_default());
        Ok(ProcessHandler { host, config, table: Arc::new(ProgramTable::new(last)) })
    }

    fn narrow(&self, _: &str, ceiling: &Value, requested: &Value) -> Result<Value, String> {
        config::narrow(ceiling, requested)
    }

    const FORGETS: bool = true;

    async fn forget(&self, actor: &str) -> Result<(), String> {
        self.started().remove(actor);
        Ok(())
    }
}

/// The handler of one actor, with its programs.
pub struct ProcessHandler {
    host: Host,
    config: Arc<Config>,
    table: Arc<ProgramTable>,
}

impl Handler for ProcessHandler {
    /// Reports the ends of programs that the actor has not received yet. Programs do not survive the runtime that
    /// started them, so after a resume all that were running have ended.
    async fn started(&self, _: bool) -> Result<Vec<String>, String> {
        for (id, code) in self.table.unreported() {
            let (host, table) = (self.host.clone(), Arc::clone(&self.table));
            self.host.spawn(async move { report_exit(&host, &table, id, code).await });
        }
        Ok(Vec::new())
    }

    async fn stopped(&self) {
        let running = self.table.running();
        for program in &running {
            // A failure is ignored: the program may have ended already.
            program.group.signal_all(Signal::KILL).unwrap_or_default();
        }
        for program in running {
            if let Err(error) = program.group.reap().await {
                self.host.log(Level::Error, &format!("could not wait for a program to end: {error}"));
            }
        }
    }

    fn export_state(&self) -> Result<Vec<u8>, String> {
        encode(&self.table.saved()).map_err(|error| error.to_string())
    }

    fn import_state(&self, state: &[u8]) -> Result<(), String> {
        self.table.restore(decode(state).map_err(|error| error.to_string())?);
        Ok(())
    }

    fn recover(&self, call: Recovered<'_>) -> Result<(), String> {
        if call.function.ends_with("/os-spawn") {
            let started: Result<u64, String> = decode(call.result).map_err(|error| error.to_string())?;
            self.table.add_lost(started.unwrap_or_default());
        } else if call.function.ends_with("/handle-exit") {
            let (id, code): (u64, i32) = decode(call.arguments).map_err(|error| error.to_string())?;
            // A call that is still queued will be delivered; one that failed has to be made again.
            let heard: Option<Result<(), ()>> = decode(call.result).map_err(|error| error.to_string())?;
            self.table.add_ended(id, code, heard != Some(Err(())));
        }
        Ok(())
    }
}

impl ProcessHandler {
    async fn start(&self, asked: ProcessConfig) -> Result<u64, Error> {
        let timeout = asked.execution_timeout;
        let config = Arc::clone(&self.config);
        let start = unblock(move || LaunchSpec::allowed(&config, asked)).await?;
        let reservation = self.table.reserve(self.config.max_processes)?;
        let (program, pipes) = Program::start(start).await?;
        let (id, program) = reservation.insert(program);
        self.host.count("started", 1.0);
        let (host, table) = (self.host.clone(), Arc::clone(&self.table));
        let most = usize::try_from(self.config.max_output_buffer).unwrap_or(usize::MAX);
        self.host.spawn(async move {
            let code = program::run_to_end(&host, id, &program, pipes, timeout, most).await;
            drop(program);
            host.count("ended", 1.0);
            report_exit(&host, &table, id, code).await;
        });
        Ok(id)
    }

    async fn write(&self, id: u64, data: Bytes) -> Result<u32, Error> {
        let program = self.table.get(id)?.ok_or(Error::Ended(id))?;
        if data.is_empty() {
            return program.close_input(id).map(|()| 0);
        }
        let stopped = async {
            self.host.cancelled().await;
            Err(Error::Stopped)
        };
        or(program.write(&self.host, id, &data), stopped).await
    }

    async fn kill(&self, id: u64) -> Result<(), Error> {
        let Some(program) = self.table.get(id)? else { return Ok(()) };
        match program.signal_all(id, Signal::TERM) {
            // It has ended already; only its output is still being delivered.
            Err(Error::Ended(_)) => return Ok(()),
            sent => sent?,
        }
        let (host, patience) = (self.host.clone(), PATIENCE);
        self.host.spawn(async move {
            let late = async {
                host.sleep(patience).await;
                program.signal_all(id, Signal::KILL)
            };
            let ended = async { program.group.ended().await.map_err(|source| Error::System { id, source }) };
            match or(ended, late).await {
                Ok(()) | Err(Error::Ended(_)) => {}
                Err(error) => host.log(Level::Warn, &error.to_string()),
            }
        });
        Ok(())
    }
}

/// Reports a program's exit to the actor. The table is updated first, since the actor may ask for the status meanwhile.
async fn report_exit(host: &Host, table: &ProgramTable, id: u64, code: i32) {
    table.end(id, code);
    // Set before the call, so that state exported while the actor handles the call has it. The core records the call;
    // if the actor lacks the export, a note records the exit.
    table.set_reported(id, true);
    match handle_exit(host, &format!("program {id} ended"), &id, &code).await {
        // The actor gets the exit in its next run.
        Err(CallError::Gone(_)) => table.set_reported(id, false),
        Err(CallError::Absent(_)) => {
            program::record_note(host, &format!("exit of program {id}"), code.to_string().as_bytes());
        }
        Ok(()) | Err(_) => {}
    }
}

impl theater::simple::process::Process for ProcessHandler {
    async fn os_spawn(&self, _: &Call, config: ProcessConfig) -> Result<u64, String> {
        self.start(config).await.map_err(String::from)
    }

    async fn os_write_stdin(&self, _: &Call, pid: u64, data: Bytes) -> Result<u32, String> {
        self.write(pid, data).await.map_err(String::from)
    }

    fn os_status(&self, _: &Call, pid: u64) -> Result<ProcessStatus, String> {
        self.table.status(pid).map_err(String::from)
    }

    async fn os_signal(&self, _: &Call, pid: u64, signal: u32) -> Result<(), String> {
        let number = i32::try_from(signal).ok().filter(|number| (1..=64).contains(number));
        let number = number.ok_or(Error::Signal(signal))?;
        let program = self.table.get(pid)?.ok_or(Error::Ended(pid))?;
        unblock(move || program.signal(pid, number)).await.map_err(String::from)
    }

    async fn os_kill(&self, _: &Call, pid: u64) -> Result<(), String> {
        self.kill(pid).await.map_err(String::from)
    }
}
