//! The operations of the core that the hosts of plugins need. The core is on a higher floor and implements this trait.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use serde_json::Value as Json;
use theater_chain::event::Id;

use crate::actor::ActorHandle;

/// A boxed future of the core.
pub type CoreFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The operations of the core that hosts need.
pub trait CoreServices: Send + Sync {
    /// Finds a living actor by its id, a unique prefix of its id, or its name, and returns its id.
    ///
    /// # Errors
    /// A sentence, if no actor or more than one matches.
    fn find(&self, wanted: &str) -> Result<String, String>;

    /// Records that an actor waits for another one. Returns the number of the wait.
    ///
    /// # Errors
    /// The other actor does not exist, or the wait would close a cycle.
    fn wait_for(&self, waiter: Id, other: &str, why: &str) -> Result<u64, String>;

    /// Adds to a metric of a plugin (`kind` 0), or sets it (other kinds).
    fn metric(&self, plugin: &str, name: &str, kind: u32, value: f64);

    /// The folder for a plugin's own files.
    fn plugin_folder(&self, plugin: &str) -> PathBuf;

    /// Starts a child and returns its id once it is ready. `config` is the config of the handler that starts it.
    fn spawn_child(
        self: Arc<Self>,
        parent: Arc<ActorHandle>,
        config: Json,
        manifest: String,
        state: Option<Vec<u8>>,
    ) -> CoreFuture<Result<String, String>>;

    /// Restarts the ended child with the name in that manifest, and returns its id once it is ready.
    fn resume_child(
        self: Arc<Self>,
        parent: Arc<ActorHandle>,
        config: Json,
        manifest: String,
        state: Option<Vec<u8>>,
    ) -> CoreFuture<Result<String, String>>;

    /// Restarts a child. With `only_held` it must have ended and be held for the decision of its parent.
    fn restart_child(
        self: Arc<Self>,
        parent: Arc<ActorHandle>,
        child: String,
        only_held: bool,
    ) -> CoreFuture<Result<(), String>>;
}
