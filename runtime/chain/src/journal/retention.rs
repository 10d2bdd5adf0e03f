//! `keep = "snapshots"`: the data of calls that a later snapshot stands for is dropped from the journal; headers stay, and
//! the chain verifies.
//!
//! Only segments that nothing is written to any more are touched, and only for snapshots that stand in such segments too:
//! those are on the disk. A segment is written anew beside the old one and takes its place by a rename, so a crash leaves
//! one or the other; groups keep their numbers, and places within the segment fit (see [`crate::event`] for those of others).

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::Path;

use crate::event::{Header, Id};
use crate::journal::index::{Index, Part, is_of_calls};
use crate::journal::prune::{Retain, rewritten};
use crate::journal::segment;

/// A segment is written anew when at least one in so many of its bytes may go.
const WORTH: u64 = 16;

/// What of an actor's chain nobody needs any more.
#[derive(Debug, Clone, Default)]
pub struct RetainFrom {
    /// The sequence of a snapshot: the data of calls before it may go ...
    pub below: u64,
    /// ... but not that of these, sorted, which waited then.
    pub waiting: Vec<u64>,
}

impl RetainFrom {
    /// Whether it covers every event of calls in a part of a segment.
    fn covers_all(&self, part: &Part) -> bool {
        let here = part.first_sequence..=part.last_sequence();
        part.last_sequence() < self.below && !self.waiting.iter().any(|waiting| here.contains(waiting))
    }

    fn covers(&self, header: &Header) -> bool {
        header.sequence < self.below
            && is_of_calls(header.kind)
            && self.waiting.binary_search(&header.sequence).is_err()
    }
}

/// Where the last events of actors are now, by segment and offset.
pub type Relocations = BTreeMap<(Id, u32), u32>;

/// Drops what may go from the segments before `current`: where the events of those that were written anew are.
///
/// # Errors
/// What the system says; a segment that is damaged is left as it is.
pub fn drop_data(folder: &Path, current: u32, bases: &HashMap<Id, RetainFrom>) -> io::Result<Relocations> {
    let mut moved = Relocations::new();
    if bases.is_empty() {
        return Ok(moved);
    }
    for (number, path) in segment::list(folder)?.into_iter().filter(|(number, _)| *number < current) {
        let Ok(index) = Index::of(&path) else { continue };
        let may_go = |part: &&Part| bases.get(&part.actor()).is_some_and(|base| base.covers_all(part));
        let parts = index.parts.iter().filter(may_go);
        if parts.map(|part| part.data).sum::<u64>() < index.length / WORTH {
            continue;
        }
        for (actor, offset) in write_anew(number, &path, bases)? {
            moved.insert((actor, number), offset);
        }
    }
    Ok(moved)
}

fn write_anew(number: u32, path: &Path, bases: &HashMap<Id, RetainFrom>) -> io::Result<Vec<(Id, u32)>> {
    let bytes = segment::read_all(path)?;
    let mut places = BTreeMap::new();
    let stays = |header: &Header| match bases.get(&header.actor) {
        Some(base) if base.covers(header) => Retain::Header,
        _ => Retain::Whole,
    };
    let Ok(written) = rewritten(&bytes, number, &mut places, stays) else { return Ok(Vec::new()) };
    segment::replace(path, &path.with_extension("draft"), &written)?;
    if let Some(folder) = path.parent() {
        std::fs::File::open(folder)?.sync_all()?;
    }
    let index = Index::build(&written).map_err(|damage| io::Error::new(io::ErrorKind::InvalidData, damage))?;
    index.write(path)?;
    tracing::debug!("{}: {} bytes of data dropped", path.display(), bytes.len().saturating_sub(written.len()));
    Ok(index.parts.iter().map(|part| (part.actor(), part.newest)).collect())
}

/// Writes the indices that are missing of segments from `first` on and before `current`.
///
/// # Errors
/// What the system says.
pub fn write_indices(folder: &Path, first: u32, current: u32) -> io::Result<()> {
    for (_, path) in segment::list(folder)?.into_iter().filter(|(number, _)| (first..current).contains(number)) {
        if Index::is_beside(&path)? {
            continue;
        }
        // A damaged one has none: whoever reads it is told.
        if let Ok(index) = Index::of(&path) {
            index.write(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Chain, NewEvent};
    use crate::journal::{Journal, Sync};
    use crate::record::Kind;
    use crate::verify;

    const BIG: &[u8] = &[5; 1_000];

    #[test]
    fn what_a_snapshot_stands_for_goes_and_the_chains_verify() {
        let folder = std::env::temp_dir().join(format!("theater-keep-{}", std::process::id()));
        drop(std::fs::remove_dir_all(&folder));
        let journal = Journal::open(&folder.join("journal"), 20_000).unwrap();
        let (mut kept, mut whole) = (Chain::new([1; 16]), Chain::new([2; 16]));
        let push = |chain: &mut Chain, kind| journal.append(chain, &NewEvent::plain(kind, BIG), Sync::Batch).unwrap();
        push(&mut kept, Kind::Created);
        push(&mut whole, Kind::Created);
        let mut snapshot = 0;
        for round in 0..100 {
            for _ in 0..3 {
                push(&mut kept, Kind::Queued);
                push(&mut whole, Kind::Queued);
            }
            if round % 10 == 9 {
                snapshot = push(&mut kept, Kind::Snapshot).sequence;
                journal.may_drop([1; 16], RetainFrom { below: snapshot, waiting: vec![1] });
            }
            futures_lite::future::block_on(journal.written()).unwrap();
        }
        journal.close();
        let (mut dropped, mut newest) = (Vec::new(), 0);
        let contents = verify::read(&folder, |event| match event.header.actor {
            [1, ..] if event.data.is_none() => dropped.push(event.header.sequence),
            [1, ..] if event.header.kind == Kind::Snapshot as u8 => newest = event.header.sequence,
            _ => assert!(event.data.is_some(), "{:?}", event.header),
        });
        let contents = contents.unwrap();
        assert_eq!((contents.chains[&[1; 16]].chain.len(), contents.chains[&[2; 16]].chain.len()), (311, 301));
        assert_eq!(newest, snapshot);
        // Its first event, a start, stays; so does the call that waited at each snapshot, and nothing beside it.
        assert!(dropped.len() > 150 && !dropped.contains(&0), "{dropped:?}");
        assert!(!dropped.contains(&1), "{dropped:?}");
        assert!(dropped.iter().all(|sequence| *sequence < snapshot));
        // Every event is found from the one behind it, wherever segments were written anew between.
        for (actor, end) in &contents.chains {
            let (mut at, mut sequence) = (Some(end.newest), end.chain.len());
            while let Some(place) = at {
                sequence -= 1;
                let event =
                    crate::journal::lookup::read_event(&folder.join("journal"), *actor, place, sequence..=sequence)
                        .unwrap();
                at = event.before;
            }
            assert_eq!(sequence, 0);
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
