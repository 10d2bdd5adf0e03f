//! Reads single events by their position.

use std::fs::File;
use std::io;
use std::ops::RangeBounds;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::event::{Hash, Header, INLINE, Id, event_hash};
use crate::journal::index::Index;
use crate::journal::segment::{
    EVENT_WITHOUT_DATA, FRAME, Frame, FramePosition, Frames, file_of, number_u32, number_u64, read_all,
};

/// An event that was read by its place.
pub struct StoredEvent {
    /// Its header.
    pub header: Header,
    /// Its hash.
    pub hash: Hash,
    /// Its data; none when it was dropped.
    pub data: Option<Vec<u8>>,
    /// The place of the actor's event before, as it was when this one was written.
    pub before: Option<FramePosition>,
    /// Where it starts in its segment.
    pub offset: u32,
}

/// Reads an actor's event at a place, whose sequence is one of `sequences`. Where data was dropped from the segment since
/// the place was noted, its last such event of the actor is meant.
///
/// # Errors
/// What the system says, or that there is none.
pub fn read_event(
    folder: &Path,
    actor: Id,
    place: FramePosition,
    sequences: impl RangeBounds<u64>,
) -> io::Result<StoredEvent> {
    read_event_of(&file_of(folder, place.segment), actor, place.offset, sequences)
}

/// As [`read_event`], of a segment's file.
///
/// # Errors
/// As [`read_event`].
pub fn read_event_of(path: &Path, actor: Id, offset: u32, sequences: impl RangeBounds<u64>) -> io::Result<StoredEvent> {
    let is_it = |event: &StoredEvent| event.header.actor == actor && sequences.contains(&event.header.sequence);
    let there = |offset| match read_frame(path, offset) {
        Ok(event) => Ok(Some(event).filter(is_it)),
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) => Ok(None),
        Err(error) => Err(error),
    };
    if let Some(event) = there(offset)? {
        return Ok(event);
    }
    let index = Index::of(path).map_err(|error| bad(&error.to_string()))?;
    let newest = index.part(actor).map(|part| part.newest).filter(|newest| *newest != offset);
    if let Some(event) = newest.map(there).transpose()?.flatten() {
        return Ok(event);
    }
    // Neither: the segment is being written anew, and was read twice. Once is enough to look at all of it.
    let bytes = read_all(path)?;
    let mut frames = Frames::new(&bytes).map_err(|damage| bad(&damage.to_string()))?;
    let mut found = None;
    while let Some(frame) = frames.next_frame().map_err(|damage| bad(&damage.to_string()))? {
        if let Frame::Event { offset, header, event, data, before } = frame
            && header.actor == actor
            && sequences.contains(&header.sequence)
        {
            let data = data.map(<[u8]>::to_vec);
            found = Some(StoredEvent { header: *header, hash: event_hash(event), data, before, offset: offset as u32 });
        }
    }
    found.ok_or_else(|| bad("a frame names a place before where its actor has no event"))
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn read_frame(path: &Path, offset: u32) -> io::Result<StoredEvent> {
    let damaged = || bad("a frame of the journal is damaged");
    let file = File::open(path)?;
    let mut head = [0; FRAME];
    file.read_exact_at(&mut head, offset.into())?;
    if crc32fast::hash(&head[..20]) != number_u32(&head, 20) {
        return Err(damaged());
    }
    let mut payload = vec![0; number_u32(&head, 0) as usize];
    file.read_exact_at(&mut payload, u64::from(offset) + FRAME as u64)?;
    let (header, length) = Header::parse(&payload).ok_or_else(damaged)?;
    let (event, rest) = payload.split_at(length);
    let data = match head[4] {
        _ if header.length <= INLINE as u64 => Some(header.tail.clone()),
        EVENT_WITHOUT_DATA => None,
        _ => Some(rest.to_vec()),
    };
    let before = FramePosition::from_number(number_u64(&head, 8));
    Ok(StoredEvent { hash: event_hash(event), header, data, before, offset })
}
