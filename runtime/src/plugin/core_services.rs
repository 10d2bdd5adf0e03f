//! What the hosts of plugins need of the core, as a trait: the core is on a higher floor and implements it.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use serde_json::Value as Json;
use theater_chain::event::Id;

use crate::actor::ActorHandle;

/// A future of the core's.
pub type CoreFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What hosts need of the core, which is on a higher floor.
pub trait CoreServices: Send + Sync {
    /// The id of the living actor that an id, a unique start of an id, or a name stands for.
    ///
    /// # Errors
    /// A sentence when there is none, or more than one.
    fn find(&self, wanted: &str) -> Result<String, String>;

    /// Records that an actor waits for another one. Returns the number of the wait.
    ///
    /// # Errors
    /// The other actor does not exist, or the wait would close a cycle.
    fn wait_for(&self, waiter: Id, other: &str, why: &str) -> Result<u64, String>;

    /// Adds to a metric of a plugin (`kind` 0), or sets it.
    fn metric(&self, plugin: &str, name: &str, kind: u32, value: f64);

    /// The folder for a plugin's own files.
    fn plugin_folder(&self, plugin: &str) -> PathBuf;

    /// Starts a child. `config` is that of the handler through which it is started. Returns its id once it is ready.
    fn spawn_child(
        self: Arc<Self>,
        parent: Arc<ActorHandle>,
        config: Json,
        manifest: String,
        state: Option<Vec<u8>>,
    ) -> CoreFuture<Result<String, String>>;

    /// Starts the ended child of that manifest's name again. Returns its id once it is ready.
    fn resume_child(
        self: Arc<Self>,
        parent: Arc<ActorHandle>,
        config: Json,
        manifest: String,
        state: Option<Vec<u8>>,
    ) -> CoreFuture<Result<String, String>>;

    /// Restarts a child, with `only_held` only one that has ended and waits for its parent's decision.
    fn restart_child(
        self: Arc<Self>,
        parent: Arc<ActorHandle>,
        child: String,
        only_held: bool,
    ) -> CoreFuture<Result<(), String>>;
}
