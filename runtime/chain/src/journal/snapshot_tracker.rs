//! Tracks which of an actor's snapshots is in a completed segment.
//!
//! Snapshots can be frequent: at a rotation, the newest one may not be written yet. Keeping three of them is enough to always
//! know one in a completed segment, as long as there is one.

use crate::journal::retention::RetainFrom;

/// An actor's newest snapshots, each with the number of events in the journal when it was appended.
#[derive(Default)]
pub(super) struct SnapshotTracker {
    // The newest one in a completed segment ...
    completed: Option<(u64, RetainFrom)>,
    // ... the newest one that was written when a later one was appended; the next rotation completes its segment ...
    written: Option<(u64, RetainFrom)>,
    // ... and the newest one.
    newest: Option<(u64, RetainFrom)>,
    // The actor has ended: no further snapshot follows.
    pub ended: bool,
}

impl SnapshotTracker {
    /// Adds a snapshot. `appended`, `written` and `completed` count the journal's events: appended so far, written, and in
    /// completed segments.
    pub fn push(&mut self, appended: u64, from: RetainFrom, written: u64, completed: u64) {
        let previous = self.newest.replace((appended, from)).filter(|(appended, _)| *appended <= written);
        if let Some(previous) = previous {
            let older = self.written.replace(previous).filter(|(appended, _)| *appended <= completed);
            self.completed = older.or(self.completed.take());
        }
    }

    /// The newest snapshot among the journal's first `completed` events.
    pub fn within(&self, completed: u64) -> Option<&RetainFrom> {
        let mut all = [&self.newest, &self.written, &self.completed].into_iter().flatten();
        all.find(|(appended, _)| *appended <= completed).map(|(_, from)| from)
    }

    /// Whether the actor has ended and its last snapshot is among the first `completed` events: nothing is left to track.
    pub fn is_finished(&self, completed: u64) -> bool {
        self.ended && self.newest.as_ref().is_none_or(|(appended, _)| *appended <= completed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_snapshot_in_a_completed_segment_is_always_known() {
        let from = |below| RetainFrom { below, waiting: Vec::new() };
        let mut snapshots = SnapshotTracker::default();
        // One snapshot a group: at each rotation the newest is in the group that is about to be written.
        let (mut written, mut completed) = (0, 0);
        for appended in 1..100_u64 {
            snapshots.push(appended, from(appended), written, completed);
            if appended % 10 == 0 {
                completed = written;
                let known = snapshots.within(completed).map(|from| from.below);
                assert_eq!(known, (completed > 0).then_some(completed));
            }
            assert!(snapshots.within(completed).is_none_or(|from| from.below <= completed));
            assert_eq!(snapshots.within(completed).is_some(), completed > 0);
            written = appended;
        }
    }
}
