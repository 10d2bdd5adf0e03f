//! How many requests may wait for the actor.

use std::sync::atomic::{AtomicUsize, Ordering};

/// One request runs and `most` wait.
pub(crate) struct Queue {
    most: usize,
    inside: AtomicUsize,
}

/// A request's turn, or its wait for it; over when dropped.
pub(crate) struct Turn<'a>(&'a Queue);

impl Queue {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, inside: AtomicUsize::new(0) }
    }

    /// None when the queue is full.
    pub(crate) fn enter(&self) -> Option<Turn<'_>> {
        let turn = Turn(self);
        // Counted first, so that two cannot take the last place; a refused turn counts down again when dropped.
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
