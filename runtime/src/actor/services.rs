//! What actors use of the program they run in.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use theater_chain::journal::Journal;
use theater_chain::signature::Sealer;

use crate::actor::registry::Registry;
use crate::actor::wait_graph::WaitGraph;
use crate::actor::{ActorHandle, End};
use crate::support::budget::Account;
use crate::support::executor::Latch;

/// The time that running calls have after the program was told to end.
pub const PROGRAM_GRACE: Duration = Duration::from_millis(300);

/// The shared services of all actors of a program.
pub struct Services {
    /// The program's memory budget.
    pub budget: Arc<Account>,
    /// The data folder.
    pub data: PathBuf,
    /// The journal.
    pub journal: Journal,
    /// The living actors.
    pub registry: Registry,
    /// Which actor waits for which.
    pub waits: WaitGraph,
    /// Set when the program ends.
    pub stopped: Latch,
    /// The key that signs chains, if the operator named one.
    pub sealer: Option<Arc<Sealer>>,
    /// Whether host calls are logged.
    pub log_calls: bool,
}

impl Services {
    /// The time that something with a limit of `milliseconds` has: less once the program was told to end.
    #[must_use]
    pub fn grace(&self, milliseconds: u64) -> Duration {
        let grace = Duration::from_millis(milliseconds);
        if self.stopped.is_set() { grace.min(PROGRAM_GRACE) } else { grace }
    }
}

/// What the core does when an actor ends. Actors start and restart on a higher floor; this is how they reach it.
pub trait Lifecycle: Send + Sync {
    /// A run of an actor has ended. A `held` actor is restarted or released later.
    fn ended(&self, actor: &ActorHandle, end: &End, held: bool);

    /// Restarts a top-level actor from its last state, on a task of its own.
    fn restart_top(self: Arc<Self>, before: &ActorHandle);

    /// An actor has ended for good.
    fn let_go(&self, actor: &ActorHandle);

    /// Tells the plugins that an actor is gone for good, so that they can delete its data.
    fn forget<'a>(&'a self, actor: &'a ActorHandle) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>;
}
