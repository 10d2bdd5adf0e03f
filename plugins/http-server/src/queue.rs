//! Limits how many requests wait for the actor.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Lets one request run and `most` wait.
pub(crate) struct Queue {
    most: usize,
    inside: AtomicUsize,
}

/// A request that runs or waits. Dropping it frees its place.
pub(crate) struct Turn<'a>(&'a Queue);

impl Queue {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, inside: AtomicUsize::new(0) }
    }

    /// Enters the queue. Returns `None` if it is full.
    pub(crate) fn enter(&self) -> Option<Turn<'_>> {
        let turn = Turn(self);
        // Count first, so that two requests cannot take the last place. Dropping the refused turn undoes the count.
        (self.inside.fetch_add(1, Ordering::Relaxed) <= self.most).then_some(turn)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.inside.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [http-server-15]
    #[test]
    fn one_runs_and_so_many_wait() {
        let queue = Queue::new(1);
        let first = queue.enter().unwrap();
        let second = queue.enter().unwrap();
        assert!(queue.enter().is_none());
        drop(first);
        assert!(queue.enter().is_some());
        drop(second);
    }
}
