//! The index of a segment: which actors have events in it, where the last one of each is, and the actors' names.
//!
//! An index is a cache. A reader that wants the events of one actor uses it to skip segments without any. The maintenance
//! thread writes it when the segment is complete, and retention when it rewrites the segment. An index that is missing,
//! damaged, or of another length than its segment is rebuilt from the frames.
//!
//! # Format
//! `NNNNNNNN.index`: `THTRIDX1`, then the record [`Index`] in the crate's encoding, then the CRC-32 of both (4 bytes,
//! little-endian).

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use theater_encoding::Bytes;
use theater_encoding::{decode, encode};

use crate::event::{Header, INLINE, Id};
use crate::journal::segment::{self, Damage, Frame, Frames};
use crate::record::{Created, Kind};

const MAGIC: &[u8; 8] = b"THTRIDX1";

/// The content of a segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    /// The segment's length in bytes.
    pub length: u64,
    /// Number of the group after the last one.
    pub next_group: u64,
    /// One part per actor, sorted by id.
    pub parts: Vec<Part>,
}

/// The events of one actor in a segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    actor: Bytes,
    /// Sequence of the first event.
    pub first_sequence: u64,
    /// The number of events.
    pub count: u64,
    /// Time of the first event, ms since the epoch.
    pub first_ms: u64,
    /// Time of the last event.
    pub last_ms: u64,
    /// Offset of the last event.
    pub newest: u32,
    /// Type of the last event, ignoring seals.
    pub last: u8,
    /// The actor's name, if the segment has one of its starts.
    pub name: Option<String>,
    /// Bytes of call data outside the headers: what retention can delete.
    pub data: u64,
}

impl Part {
    /// The actor.
    #[must_use]
    pub fn actor(&self) -> Id {
        self.actor.as_ref().try_into().unwrap_or_default()
    }

    /// Sequence of the last event.
    #[must_use]
    pub fn last_sequence(&self) -> u64 {
        self.first_sequence.saturating_add(self.count).saturating_sub(1)
    }
}

/// Whether events of this type hold call data, which a later snapshot covers.
#[must_use]
pub fn is_call_data(kind: u8) -> bool {
    matches!(
        Kind::from_number(kind),
        Some(Kind::Queued | Kind::Host | Kind::Intent | Kind::Return | Kind::Snapshot | Kind::Fault | Kind::Noted)
    )
}

impl Index {
    /// Builds the index of the committed part of a segment in memory.
    ///
    /// # Errors
    /// The segment is damaged.
    pub fn build(bytes: &[u8]) -> Result<Self, Damage> {
        let mut frames = Frames::new(bytes)?;
        let mut parts: BTreeMap<Id, Part> = BTreeMap::new();
        let mut group: Vec<(u32, Header, Option<String>, u64)> = Vec::new();
        while let Some(frame) = frames.next_frame()? {
            match frame {
                Frame::Event { offset, header, data, .. } => {
                    let name = name_in_start(header.kind, data);
                    let outside = data.filter(|data| data.len() > INLINE && is_call_data(header.kind));
                    group.push((offset as u32, *header, name, outside.map_or(0, |data| data.len() as u64)));
                }
                Frame::Commit { .. } => {
                    for (offset, header, name, outside) in group.drain(..) {
                        add(&mut parts, offset, &header, name, outside);
                    }
                }
                Frame::Torn { .. } => {}
            }
        }
        let parts = parts.into_values().collect();
        Ok(Self { length: bytes.len() as u64, next_group: frames.next_group(), parts })
    }

    /// The index of a segment: from its file, or rebuilt from the frames.
    ///
    /// # Errors
    /// The segment cannot be read, or is damaged.
    pub fn of(segment: &Path) -> Result<Self, IndexError> {
        let length = std::fs::metadata(segment)?.len();
        if let Some(index) = Self::read(segment).filter(|index| index.length == length) {
            return Ok(index);
        }
        Ok(Self::build(&segment::read_all(segment)?)?)
    }

    /// Whether the segment has an index file that matches it.
    ///
    /// # Errors
    /// The segment cannot be read.
    pub fn is_current(segment: &Path) -> io::Result<bool> {
        let length = std::fs::metadata(segment)?.len();
        Ok(Self::read(segment).is_some_and(|index| index.length == length))
    }

    fn read(segment: &Path) -> Option<Self> {
        let bytes = std::fs::read(segment.with_extension("index")).ok()?;
        let (checked, sum) = bytes.split_last_chunk::<4>()?;
        if crc32fast::hash(checked).to_le_bytes() != *sum {
            return None;
        }
        decode(checked.strip_prefix(MAGIC)?).ok()
    }

    /// Writes the index to a file next to its segment.
    ///
    /// # Errors
    /// The system's error.
    pub fn write(&self, segment: &Path) -> io::Result<()> {
        let mut bytes = [MAGIC.as_slice(), &encode(self).map_err(io::Error::other)?].concat();
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        segment::replace_file(&segment.with_extension("index"), &segment.with_extension("index-draft"), &bytes)
    }

    /// The part of an actor.
    #[must_use]
    pub fn part(&self, actor: Id) -> Option<&Part> {
        let found = self.parts.binary_search_by(|part| part.actor.as_ref().cmp(actor.as_slice()));
        found.ok().and_then(|at| self.parts.get(at))
    }
}

/// The actor's name in an event of a start.
fn name_in_start(kind: u8, data: Option<&[u8]>) -> Option<String> {
    match Kind::from_number(kind)? {
        Kind::Created | Kind::Restarted | Kind::Swapped => decode::<Created>(data?).ok().map(|created| created.name),
        _ => None,
    }
}

fn add(parts: &mut BTreeMap<Id, Part>, offset: u32, header: &Header, name: Option<String>, data: u64) {
    let part = parts.entry(header.actor).or_insert_with(|| Part {
        actor: Bytes::from(header.actor.as_slice()),
        first_sequence: header.sequence,
        count: 0,
        first_ms: header.timestamp,
        last_ms: 0,
        newest: 0,
        last: 0,
        name: None,
        data: 0,
    });
    part.count += 1;
    part.data += data;
    (part.newest, part.last_ms) = (offset, header.timestamp);
    // A seal does not show what the actor did.
    if header.kind != Kind::Sealed as u8 || part.last == 0 {
        part.last = header.kind;
    }
    part.name = name.or(part.name.take());
}

/// Why there is no index of a segment.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// The segment cannot be read.
    #[error(transparent)]
    Unreadable(#[from] io::Error),
    /// The segment is damaged.
    #[error(transparent)]
    Damaged(#[from] Damage),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Chain, NewEvent};
    use crate::journal::segment::{EVENT, FRAME, NO_POSITION};

    /// A segment of one group with events of two actors.
    fn segment() -> Vec<u8> {
        let mut chains = [Chain::new([1; 16]), Chain::new([2; 16])];
        let mut bytes = segment::segment_header(1, 0, 1);
        let start = bytes.len();
        for number in 0..10 {
            let mut frame = vec![0; FRAME];
            let data = [7; 100];
            chains[number % 2].push(&NewEvent::plain(Kind::Host, &data), 50 + number as u64, &mut frame);
            frame.extend_from_slice(&data);
            segment::finish_frame(&mut frame, EVENT, NO_POSITION);
            bytes.extend_from_slice(&frame);
        }
        let commit = segment::commit_frame(1, 10, &bytes[start..]);
        [bytes, commit].concat()
    }

    #[test]
    fn an_index_describes_each_actor_and_is_rebuilt_if_it_does_not_match() {
        let folder = std::env::temp_dir().join(format!("theater-index-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("00000001.log");
        let bytes = segment();
        std::fs::write(&path, &bytes).unwrap();
        let index = Index::of(&path).unwrap();
        let part = index.part([2; 16]).unwrap();
        assert_eq!((part.first_sequence, part.count, part.last_sequence(), part.data), (0, 5, 4, 500));
        assert_eq!((part.first_ms, part.last_ms, part.actor()), (51, 59, [2; 16]));
        assert!(index.part([3; 16]).is_none());
        // The file is used only for a segment of that length.
        let other = Index { parts: Vec::new(), ..index.clone() };
        other.write(&path).unwrap();
        assert_eq!(Index::of(&path).unwrap(), other);
        Index { length: 1, ..other }.write(&path).unwrap();
        assert_eq!(Index::of(&path).unwrap(), index);
        let file = path.with_extension("index");
        index.write(&path).unwrap();
        let mut flipped = std::fs::read(&file).unwrap();
        flipped[20] ^= 1;
        std::fs::write(&file, flipped).unwrap();
        assert_eq!(Index::of(&path).unwrap(), index);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
