//! The functions of the core that a plugin can call.
//!
//! Every method may be called on any thread and at any time until the handler's `stopped` has returned. After that,
//! calls into the actor return [`CallError::Gone`], and spawned futures have been dropped.

use std::time::Duration;

use serde::de::DeserializeOwned;
use theater_encoding as encoding;
use theater_plugin_abi::OK;

pub use crate::abi::host_handle::Host;
pub use crate::call_error::CallError;
use crate::call_error::result_of;
pub use crate::host_types::{About, ChainEvent, Level};

/// A wait of the actor for another actor. It ends when this value is dropped.
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

/// A spawned future. Dropping this value does not end the future.
#[derive(Clone)]
pub struct Spawned {
    host: Host,
    task: u64,
}

impl Spawned {
    /// Drops the future at its next suspension point. Does nothing if it has ended.
    pub fn abort(&self) {
        self.host.raw_abort(self.task);
    }
}

impl Host {
    /// The plugin, actor and handler type that this host belongs to.
    ///
    /// # Errors
    /// The core violates the ABI.
    pub fn whose(&self) -> Result<About, String> {
        serde_json::from_slice(&self.about().bytes).map_err(|error| error.to_string())
    }

    /// Calls export number `export` of the descriptor's `calls` with encoded `params`. `bindings!` generates a typed
    /// function for each export. `cause` describes the origin of the call in a few words and is recorded.
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

    /// Runs a future on the core's executor. It is dropped when the actor ends, or the program for the host of the
    /// plugin itself. A panic in it is recorded as a fault of the plugin.
    pub fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) -> Spawned {
        Spawned { host: self.clone(), task: self.raw_spawn(future) }
    }

    /// Sleeps on the core's timer, with a resolution of about a millisecond.
    pub async fn sleep(&self, duration: Duration) {
        let microseconds = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        drop(self.raw_sleep(microseconds).await);
    }

    /// Returns when the actor is being stopped. A function that waits should race its wait with this future and return
    /// an `err` when it is cancelled.
    pub async fn cancelled(&self) {
        drop(self.raw_cancelled().await);
    }

    /// Adds a wait of this actor for the actor with the id `other` to the wait graph, until the result is dropped.
    ///
    /// # Errors
    /// A sentence with the cycle that this wait would close (a wait for itself is a cycle), or that no actor has that
    /// id.
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

    /// The folder of this plugin in the data folder, or that of this plugin and actor for an actor's host. It is
    /// created at the first call.
    ///
    /// # Errors
    /// A sentence on why it could not be created.
    pub fn data_folder(&self) -> Result<std::path::PathBuf, String> {
        let answer = self.raw_data_folder();
        if answer.status == OK { Ok(answer.sentence().into()) } else { Err(answer.sentence()) }
    }

    /// The newest `most` events of the actor's chain, oldest first (service `theater.chain`).
    ///
    /// # Errors
    /// A sentence: the core does not offer the service, or it could not read the chain.
    pub async fn newest_events(&self, most: u64) -> Result<Vec<ChainEvent>, String> {
        let newest = self.chain_newest(most).ok_or("this core does not offer the service theater.chain")?;
        let answer = newest.await;
        if answer.status != OK {
            return Err(answer.sentence());
        }
        encoding::decode(&answer.bytes).map_err(|error| error.to_string())
    }

    /// Records data from outside that is not passed to an export as an event of the actor's chain (service
    /// `theater.record`). `what` describes the data in a few words.
    ///
    /// # Errors
    /// A sentence: the chain accepts no more events, or the core does not offer the service.
    pub fn note(&self, what: &str, data: &[u8]) -> Result<(), String> {
        let answer = self.raw_note(what, data).map_err(|answer| answer.sentence())?;
        if answer.status == OK { Ok(()) } else { Err(answer.sentence()) }
    }

    /// Stops the actor after the running call (service `theater.lifecycle`). `data` is part of the recorded end.
    ///
    /// # Errors
    /// A sentence: the actor is stopping already, or the core does not offer the service.
    pub fn shutdown(&self, data: Option<&[u8]>) -> Result<(), String> {
        let answer = self.lifecycle_shutdown(data).ok_or("this core does not offer the service theater.lifecycle")?;
        if answer.status == OK { Ok(()) } else { Err(answer.sentence()) }
    }
}
