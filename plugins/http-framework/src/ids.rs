//! The newest ids of an actor, kept over its restarts so that none is given twice, and the names of its handlers, so that
//! calls that wait in its mailbox meanwhile still fit.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One count for each kind of thing.
#[derive(Default)]
pub(crate) struct Ids {
    pub(crate) servers: Count,
    pub(crate) routes: Count,
    pub(crate) middleware: Count,
    pub(crate) connections: Count,
    handlers: Mutex<BTreeMap<String, u64>>,
}

impl Ids {
    /// The handlers' ids by their names; 1, 2, 3 and so on.
    pub(crate) fn handlers(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        // Every change under the lock is one step.
        self.handlers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The counts, as a snapshot has them.
    pub(crate) fn counts(&self) -> [&Count; 4] {
        [&self.servers, &self.routes, &self.middleware, &self.connections]
    }
}

/// 1, 2, 3 and so on.
#[derive(Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn next(&self) -> u64 {
        1 + self.0.fetch_add(1, Ordering::Relaxed)
    }

    /// The newest.
    pub(crate) fn newest(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// `id` was given in another life of the actor.
    pub(crate) fn was_given(&self, id: u64) {
        self.0.fetch_max(id, Ordering::Relaxed);
    }
}
