//! The maintenance thread: after each rotation, writes the indices of completed segments and applies retention to them.

use std::collections::HashMap;
use std::path::Path;
use std::sync::mpsc;

use crate::event::Id;
use crate::journal::queue::SharedQueue;
use crate::journal::retention;
use crate::journal::snapshot_tracker::SnapshotTracker;

/// Runs until the writer is dropped. `rotations` receives the number of each segment that begins.
///
/// An error is logged, and the work is done again after the next rotation: chains do not depend on it.
pub(super) fn maintain_segments(queue: &SharedQueue, folder: &Path, rotations: &mpsc::Receiver<u32>) {
    let mut indexed = 1;
    while let Ok(current) = rotations.recv() {
        let current = rotations.try_iter().last().unwrap_or(current);
        let (snapshots, completed) = {
            let queue = queue.lock();
            let within =
                |(id, snapshots): (&Id, &SnapshotTracker)| Some((*id, snapshots.within(queue.completed)?.clone()));
            // A program that ends leaves the rest to its next run.
            let snapshots =
                if queue.closing { HashMap::new() } else { queue.snapshots.iter().filter_map(within).collect() };
            (snapshots, queue.completed)
        };
        let maintained = retention::write_indices(folder, indexed, current).and_then(|()| {
            indexed = current;
            retention::drop_data(folder, current, &snapshots)
        });
        match maintained {
            Ok(moved) => queue.lock().apply_relocations(&moved, completed),
            Err(error) => tracing::warn!("{}: segments could not be maintained: {error}", folder.display()),
        }
    }
}
