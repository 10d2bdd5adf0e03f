//! Retention (`keep = "snapshots"`): deletes call data that a later snapshot covers. Headers are kept, so chains still verify.
//!
//! Only completed segments are rewritten, and only for snapshots that are in completed segments too: those are on disk. The
//! new segment is written to a draft and renamed over the old one, so a crash leaves one or the other. A segment is rewritten
//! only if at least a sixteenth of it can be deleted. Links between segments may then point to old offsets: see
//! [`crate::event`] on how readers resolve them.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::Path;

use crate::event::{Header, Id};
use crate::journal::index::{Index, Part, is_call_data};
use crate::journal::rewrite::{Retain, rewrite_segment};
use crate::journal::segment;

/// A segment is rewritten when at least one in this many of its bytes can be deleted.
const WORTH: u64 = 16;

/// The snapshot from which on an actor's data must be retained.
#[derive(Debug, Clone, Default)]
pub struct RetainFrom {
    /// The sequence of the snapshot: the data of earlier calls can be deleted ...
    pub below: u64,
    /// ... except of these calls, sorted, which had not begun at the snapshot.
    pub waiting: Vec<u64>,
}

impl RetainFrom {
    /// Whether the snapshot covers all calls of an actor in a segment.
    fn covers_all(&self, part: &Part) -> bool {
        let here = part.first_sequence..=part.last_sequence();
        part.last_sequence() < self.below && !self.waiting.iter().any(|waiting| here.contains(waiting))
    }

    fn covers(&self, header: &Header) -> bool {
        header.sequence < self.below
            && is_call_data(header.kind)
            && self.waiting.binary_search(&header.sequence).is_err()
    }
}

/// The new offset of each actor's last event in each segment that was rewritten.
pub type Relocations = BTreeMap<(Id, u32), u32>;

/// Deletes the data that `snapshots` cover from the segments before `current`.
///
/// # Errors
/// The system's error. A damaged segment is skipped.
pub fn drop_data(folder: &Path, current: u32, snapshots: &HashMap<Id, RetainFrom>) -> io::Result<Relocations> {
    let mut moved = Relocations::new();
    if snapshots.is_empty() {
        return Ok(moved);
    }
    for (number, path) in segment::list(folder)?.into_iter().filter(|(number, _)| *number < current) {
        let Ok(index) = Index::of(&path) else { continue };
        let is_covered = |part: &&Part| snapshots.get(&part.actor()).is_some_and(|from| from.covers_all(part));
        let parts = index.parts.iter().filter(is_covered);
        if parts.map(|part| part.data).sum::<u64>() < index.length / WORTH {
            continue;
        }
        for (actor, offset) in rewrite_without_data(number, &path, snapshots)? {
            moved.insert((actor, number), offset);
        }
    }
    Ok(moved)
}

/// Rewrites a segment and its index. Returns the new offset of each actor's last event.
fn rewrite_without_data(number: u32, path: &Path, snapshots: &HashMap<Id, RetainFrom>) -> io::Result<Vec<(Id, u32)>> {
    let bytes = segment::read_all(path)?;
    let mut positions = BTreeMap::new();
    let retain = |header: &Header| match snapshots.get(&header.actor) {
        Some(from) if from.covers(header) => Retain::Header,
        _ => Retain::Whole,
    };
    let Ok(written) = rewrite_segment(&bytes, number, &mut positions, retain) else { return Ok(Vec::new()) };
    segment::replace_file(path, &path.with_extension("draft"), &written)?;
    if let Some(folder) = path.parent() {
        std::fs::File::open(folder)?.sync_all()?;
    }
    let index = Index::build(&written).map_err(|damage| io::Error::new(io::ErrorKind::InvalidData, damage))?;
    index.write(path)?;
    tracing::debug!("{}: {} bytes of data deleted", path.display(), bytes.len().saturating_sub(written.len()));
    Ok(index.parts.iter().map(|part| (part.actor(), part.newest)).collect())
}

/// Writes the missing indices of the segments from `first` to before `current`.
///
/// # Errors
/// The system's error.
pub fn write_indices(folder: &Path, first: u32, current: u32) -> io::Result<()> {
    for (_, path) in segment::list(folder)?.into_iter().filter(|(number, _)| (first..current).contains(number)) {
        if Index::is_current(&path)? {
            continue;
        }
        // A damaged segment gets no index: its readers report the damage.
        if let Ok(index) = Index::of(&path) {
            index.write(&path)?;
        }
    }
    Ok(())
}
