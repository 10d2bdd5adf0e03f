//! The newest ids of an actor, kept across restarts so that no id is reused, and the ids of its handlers by name, so
//! that calls that wait in its mailbox during a restart still carry valid ids.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A counter for each kind of id, and the handlers.
#[derive(Default)]
pub(crate) struct Ids {
    pub(crate) servers: IdCounter,
    pub(crate) routes: IdCounter,
    pub(crate) middleware: IdCounter,
    pub(crate) connections: IdCounter,
    handlers: Mutex<BTreeMap<String, u64>>,
}

impl Ids {
    /// The ids of the handlers by name, numbered from 1.
    pub(crate) fn handlers(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        // Each change under the lock is a single step, so a poisoned lock still guards consistent data.
        self.handlers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The counters, in the order that a snapshot stores them.
    pub(crate) fn counts(&self) -> [&IdCounter; 4] {
        [&self.servers, &self.routes, &self.middleware, &self.connections]
    }
}

/// A counter that gives the ids 1, 2, 3 and so on.
#[derive(Default)]
pub(crate) struct IdCounter(AtomicU64);

impl IdCounter {
    pub(crate) fn next(&self) -> u64 {
        1 + self.0.fetch_add(1, Ordering::Relaxed)
    }

    /// Returns the newest id, or 0 if none was given.
    pub(crate) fn newest(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Marks `id` and all smaller ones as given, for example in a previous run of the actor.
    pub(crate) fn mark_used(&self, id: u64) {
        self.0.fetch_max(id, Ordering::Relaxed);
    }
}
