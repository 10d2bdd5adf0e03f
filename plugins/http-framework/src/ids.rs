//! The newest ids of an actor, kept over its restarts so that none is given twice.

use std::sync::atomic::{AtomicU64, Ordering};

/// One count for each kind of thing.
#[derive(Default)]
pub(crate) struct Ids {
    pub(crate) servers: Count,
    pub(crate) handlers: Count,
    pub(crate) routes: Count,
    pub(crate) middleware: Count,
    pub(crate) connections: Count,
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
