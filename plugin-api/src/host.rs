//! What a plugin can ask of the core.
//!
//! Every method may be called on any thread, at any time, until the plugin's `stopped` has returned; after that calls
//! into the actor answer [`CallError::Gone`] and spawned futures are dropped.

use std::time::Duration;

use serde::de::DeserializeOwned;
use theater_plugin_abi::OK;

pub use crate::abi::host_handle::Host;
pub use crate::call_error::CallError;
use crate::call_error::result_of;
use crate::encoding;
pub use crate::host_types::{About, ChainEvent, Level};

/// Ends a wait when dropped.
#[must_use = "the wait ends when this is dropped"]
pub struct WaitGuard {
    host: Host,
    edge: u64,
}

impl Drop for WaitGuard {
    fn drop(&mut self) {
        self.host.raw_wait_end(self.edge);
    }
}

/// A spawned future, to end it early; dropping this lets it run.
#[derive(Clone)]
pub struct Spawned {
    host: Host,
    task: u64,
}

impl Spawned {
    /// Drops the future at its next suspension; nothing when it has ended.
    pub fn abort(&self) {
        self.host.raw_abort(self.task);
    }
}

impl Host {
    /// Whom this host is for.
    ///
    /// # Errors
    /// Only a core that breaks the ABI.
    pub fn whose(&self) -> Result<About, String> {
        serde_json::from_slice(&self.about().bytes).map_err(|error| error.to_string())
    }

    /// Calls export number `export` of the descriptor's `calls` with encoded `params`; `bindings!` makes a typed function of each. `cause`
    /// says in a few words where the call comes from; it is recorded.
    ///
    /// # Errors
    /// Every case of [`CallError`].
    pub async fn call<R: DeserializeOwned>(&self, export: u32, params: &[u8], cause: &str) -> Result<R, CallError> {
        let answer = self.raw_call(export, params, cause).await;
        result_of(&answer)
    }

    /// Whether the actor exports number `export`.
    #[must_use]
    pub fn exports(&self, export: u32) -> bool {
        self.raw_has_export(export)
    }

    /// Runs a future on the core's executor. It is dropped when the actor (or, for the plugin's own host, the program)
    /// ends. A panic in it is recorded as the plugin's fault.
    pub fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) -> Spawned {
        Spawned { host: self.clone(), task: self.raw_spawn(future) }
    }

    /// Sleeps on the core's timer, with a resolution of about a millisecond.
    pub async fn sleep(&self, duration: Duration) {
        let microseconds = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        drop(self.raw_sleep(microseconds).await);
    }

    /// Ends when the actor is being stopped: a function that waits races its wait with this, and returns `err`.
    pub async fn cancelled(&self) {
        drop(self.raw_cancelled().await);
    }

    /// Says that this actor waits for `other` (an id) until the result is dropped.
    ///
    /// # Errors
    /// A sentence with the cycle that this wait would close (waiting for oneself is one), or that nobody has that id.
    pub fn wait_for(&self, other: &str, why: &str) -> Result<WaitGuard, String> {
        let edge = self.raw_wait_for(other, why).map_err(|answer| answer.sentence())?;
        Ok(WaitGuard { host: self.clone(), edge })
    }

    /// Logs a line, tagged with the plugin and the actor.
    pub fn log(&self, level: Level, message: &str) {
        self.raw_log(level as u32, "", message);
    }

    /// Writes to the actor's own log stream, tagged with its id and name.
    pub fn actor_log(&self, level: Level, message: &str) {
        self.raw_log(level as u32, "actor", message);
    }

    /// Adds to a counter of this plugin.
    pub fn count(&self, name: &str, by: f64) {
        self.raw_metric(name, 0, by);
    }

    /// Sets a gauge of this plugin.
    pub fn gauge(&self, name: &str, value: f64) {
        self.raw_metric(name, 1, value);
    }

    /// A folder of this plugin's own under the data folder (of this actor's, for an actor's host), made when first
    /// asked for.
    ///
    /// # Errors
    /// A sentence on why it could not be made.
    pub fn data_folder(&self) -> Result<std::path::PathBuf, String> {
        let answer = self.raw_data_folder();
        if answer.status == OK { Ok(answer.sentence().into()) } else { Err(answer.sentence()) }
    }

    /// The newest `most` events of the actor's chain, oldest first (service `theater.chain`).
    ///
    /// # Errors
    /// A sentence: the core does not offer the service, or could not read the chain.
    pub async fn newest_events(&self, most: u64) -> Result<Vec<ChainEvent>, String> {
        let newest = self.chain_newest(most).ok_or("this core does not offer the service theater.chain")?;
        let answer = newest.await;
        if answer.status != OK {
            return Err(answer.sentence());
        }
        encoding::decode(&answer.bytes).map_err(|error| error.to_string())
    }

    /// Records `data`, which came from outside and which no export of the actor takes, as an event of the actor's chain
    /// (service `theater.record`). `what` says in a few words what it is.
    ///
    /// # Errors
    /// A sentence: the chain takes nothing more, or the core does not offer the service.
    pub fn note(&self, what: &str, data: &[u8]) -> Result<(), String> {
        let answer = self.raw_note(what, data).map_err(|answer| answer.sentence())?;
        if answer.status == OK { Ok(()) } else { Err(answer.sentence()) }
    }

    /// Lets the running call finish, then stops the actor (service `theater.lifecycle`).
    ///
    /// # Errors
    /// A sentence: the actor is stopping already, or the core does not offer the service.
    pub fn shutdown(&self, data: Option<&[u8]>) -> Result<(), String> {
        let answer = self.lifecycle_shutdown(data).ok_or("this core does not offer the service theater.lifecycle")?;
        if answer.status == OK { Ok(()) } else { Err(answer.sentence()) }
    }
}
