//! Reads single events by their position.

use std::fs::File;
use std::io;
use std::ops::RangeBounds;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::event::{Hash, Header, INLINE, Id, event_hash};
use crate::journal::index::Index;
use crate::journal::segment::{
    EVENT_WITHOUT_DATA, FRAME, Frame, FramePosition, Frames, read_all, read_u32, read_u64, segment_path,
};

/// An event that was read by its position.
pub struct StoredEvent {
    /// Its header.
    pub header: Header,
    /// Its hash.
    pub hash: Hash,
    /// Its data; none if it was deleted.
    pub data: Option<Vec<u8>>,
    /// The position of the actor's previous event, at the time when this one was written.
    pub previous: Option<FramePosition>,
    /// Where it starts in its segment.
    pub offset: u32,
}

/// Reads the event of an actor at a position. Its sequence must be in `sequences`.
///
/// Retention may have rewritten the segment since the position was recorded. The position was that of the actor's last event
/// in the segment at that time, so a lookup that fails falls back to the offset in the segment's index, then to a scan.
///
/// # Errors
/// The system's error, or there is no such event.
pub fn read_event(
    folder: &Path,
    actor: Id,
    position: FramePosition,
    sequences: impl RangeBounds<u64>,
) -> io::Result<StoredEvent> {
    read_event_in(&segment_path(folder, position.segment), actor, position.offset, sequences)
}

/// Like [`read_event`], from a segment's file.
///
/// # Errors
/// Like [`read_event`].
pub fn read_event_in(path: &Path, actor: Id, offset: u32, sequences: impl RangeBounds<u64>) -> io::Result<StoredEvent> {
    let is_wanted = |event: &StoredEvent| event.header.actor == actor && sequences.contains(&event.header.sequence);
    let read_at = |offset| match read_frame(path, offset) {
        Ok(event) => Ok(Some(event).filter(is_wanted)),
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) => Ok(None),
        Err(error) => Err(error),
    };
    if let Some(event) = read_at(offset)? {
        return Ok(event);
    }
    let index = Index::of(path).map_err(|error| bad(&error.to_string()))?;
    let newest = index.part(actor).map(|part| part.newest).filter(|newest| *newest != offset);
    if let Some(event) = newest.map(read_at).transpose()?.flatten() {
        return Ok(event);
    }
    // Neither offset: the segment was replaced between the two reads. Scan all of it in one read.
    let bytes = read_all(path)?;
    let mut frames = Frames::new(&bytes).map_err(|damage| bad(&damage.to_string()))?;
    let mut found = None;
    while let Some(frame) = frames.next_frame().map_err(|damage| bad(&damage.to_string()))? {
        if let Frame::Event { offset, header, event, data, previous } = frame
            && header.actor == actor
            && sequences.contains(&header.sequence)
        {
            let data = data.map(<[u8]>::to_vec);
            found =
                Some(StoredEvent { header: *header, hash: event_hash(event), data, previous, offset: offset as u32 });
        }
    }
    found.ok_or_else(|| bad("a frame links to a position at which its actor has no event"))
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn read_frame(path: &Path, offset: u32) -> io::Result<StoredEvent> {
    let damaged = || bad("a frame of the journal is damaged");
    let file = File::open(path)?;
    let mut head = [0; FRAME];
    file.read_exact_at(&mut head, offset.into())?;
    if crc32fast::hash(&head[..20]) != read_u32(&head, 20) {
        return Err(damaged());
    }
    let mut payload = vec![0; read_u32(&head, 0) as usize];
    file.read_exact_at(&mut payload, u64::from(offset) + FRAME as u64)?;
    let (header, length) = Header::parse(&payload).ok_or_else(damaged)?;
    let (event, rest) = payload.split_at(length);
    let data = match head[4] {
        _ if header.length <= INLINE as u64 => Some(header.tail.clone()),
        EVENT_WITHOUT_DATA => None,
        _ => Some(rest.to_vec()),
    };
    let previous = FramePosition::from_number(read_u64(&head, 8));
    Ok(StoredEvent { hash: event_hash(event), header, data, previous, offset })
}
