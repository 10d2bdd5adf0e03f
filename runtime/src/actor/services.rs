//! What the actors of a program share.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use theater_chain::journal::Journal;
use theater_chain::signature::Sealer;

use crate::actor::directory::Directory;
use crate::actor::wait_graph::WaitGraph;
use crate::support::budget::Account;
use crate::support::executor::Latch;

/// The time that running calls have to finish once the program was told to end.
pub const PROGRAM_GRACE: Duration = Duration::from_millis(300);

/// The shared services of all actors of a program. `A` is the handle of an actor, which itself holds the services.
pub struct SharedServices<A> {
    /// The memory budget of the program.
    pub budget: Arc<Account>,
    /// The data folder.
    pub data: PathBuf,
    /// The journal.
    pub journal: Journal,
    /// The living actors.
    pub registry: Directory<A>,
    /// Which actor waits for which.
    pub waits: WaitGraph,
    /// Set when the program ends.
    pub stopped: Latch,
    /// The key that signs chains, if the operator named one.
    pub sealer: Option<Arc<Sealer>>,
    /// Whether host calls are logged.
    pub log_calls: bool,
}

impl<A> SharedServices<A> {
    /// The grace time of an actor whose limit is `milliseconds`: at most [`PROGRAM_GRACE`] once the program was told to end.
    #[must_use]
    pub fn grace(&self, milliseconds: u64) -> Duration {
        let grace = Duration::from_millis(milliseconds);
        if self.stopped.is_set() { grace.min(PROGRAM_GRACE) } else { grace }
    }
}
