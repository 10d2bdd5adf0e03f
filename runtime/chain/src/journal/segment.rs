//! Segments on disk: their frames, and reading them. The format is described in [`crate::event`].

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::event::{FORMAT, Header, INLINE};

/// The first bytes of a segment.
pub const MAGIC: [u8; 8] = *b"THTRJRN1";
/// The length of a segment's header, in bytes.
pub const SEGMENT_HEADER: usize = 40;
/// The length of a frame before its payload, in bytes.
pub const FRAME: usize = 24;
/// Kind of a frame that holds an event with its data.
pub const EVENT: u8 = 1;
/// Kind of a frame that holds an event whose data was deleted.
pub const EVENT_WITHOUT_DATA: u8 = 2;
/// Kind of a frame that ends a group.
pub const COMMIT: u8 = 3;
/// The link to the previous frame of a frame that has none.
pub const NO_POSITION: u64 = u64::MAX;
pub(super) const COMMIT_PAYLOAD: usize = 16;

/// The position of a frame in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FramePosition {
    /// Number of the segment.
    pub segment: u32,
    /// Offset of the frame in the segment.
    pub offset: u32,
}

impl FramePosition {
    pub(crate) fn number(self) -> u64 {
        u64::from(self.segment) << 32 | u64::from(self.offset)
    }

    pub(crate) fn from_number(number: u64) -> Option<Self> {
        (number != NO_POSITION).then_some(Self { segment: (number >> 32) as u32, offset: number as u32 })
    }
}

/// Encodes a segment's header.
#[must_use]
pub fn segment_header(number: u32, created: u64, first_group: u64) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&FORMAT.to_le_bytes());
    bytes.extend_from_slice(&number.to_le_bytes());
    bytes.extend_from_slice(&created.to_le_bytes());
    bytes.extend_from_slice(&first_group.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
    bytes
}

/// Fills in the head of a frame. The payload must be complete: the head has its length and checksum.
pub fn finish_frame(frame: &mut [u8], kind: u8, previous: u64) {
    let Some((head, payload)) = frame.split_at_mut_checked(FRAME) else { return };
    let mut filled = Vec::with_capacity(FRAME);
    filled.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    filled.extend_from_slice(&[kind, 0, 0, 0]);
    filled.extend_from_slice(&previous.to_le_bytes());
    filled.extend_from_slice(&crc32fast::hash(payload).to_le_bytes());
    filled.extend_from_slice(&crc32fast::hash(&filled).to_le_bytes());
    head.copy_from_slice(&filled);
}

/// The commit frame of a group with these frames.
#[must_use]
pub fn commit_frame(group: u64, events: u32, frames: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; FRAME];
    frame.extend_from_slice(&group.to_le_bytes());
    frame.extend_from_slice(&events.to_le_bytes());
    frame.extend_from_slice(&crc32fast::hash(frames).to_le_bytes());
    finish_frame(&mut frame, COMMIT, 0);
    frame
}

/// The segments of a folder, sorted by number. A missing folder has none.
///
/// # Errors
/// The system's error.
pub fn list(folder: &Path) -> io::Result<Vec<(u32, PathBuf)>> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut segments = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let is_log = path.extension().is_some_and(|extension| extension == "log");
        let number = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
        if let (true, Some(number)) = (is_log, number) {
            segments.push((number, path));
        }
    }
    segments.sort();
    Ok(segments)
}

/// Damage of a segment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// The header is not a segment's, or was changed.
    #[error("its header is damaged: {0}")]
    Header(&'static str),
    /// A frame was changed.
    #[error("frame at offset {offset}: {what}")]
    Frame {
        /// Where the frame starts.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
}

/// A frame that was read.
#[derive(Debug)]
pub enum Frame<'a> {
    /// An event.
    Event {
        /// Where the frame starts.
        offset: u64,
        /// The header.
        header: Box<Header>,
        /// The header's bytes, which the event's hash covers.
        event: &'a [u8],
        /// The data; none if it was deleted.
        data: Option<&'a [u8]>,
        /// The position of the actor's previous frame.
        previous: Option<FramePosition>,
    },
    /// The end of a group.
    Commit {
        /// Number of the group.
        group: u64,
    },
    /// The bytes end inside a frame or a group.
    Torn {
        /// Offset of the first byte after the last commit.
        offset: u64,
    },
}

/// Iterates over the frames of a segment in memory, or of its end.
pub struct Frames<'a> {
    bytes: &'a [u8],
    // Where `bytes` starts in the segment.
    base: u64,
    at: usize,
    group_start: usize,
    events: u32,
    next_group: u64,
    number: u32,
}

impl<'a> Frames<'a> {
    /// Starts at the beginning of a segment and checks its header.
    ///
    /// # Errors
    /// [`Damage::Header`].
    pub fn new(bytes: &'a [u8]) -> Result<Self, Damage> {
        let head = bytes.first_chunk::<SEGMENT_HEADER>().ok_or(Damage::Header("it is shorter than 40 bytes"))?;
        let (checked, sum) = head.split_at(SEGMENT_HEADER - 4);
        if !checked.starts_with(&MAGIC) {
            return Err(Damage::Header("it does not start with THTRJRN1"));
        }
        if crc32fast::hash(checked).to_le_bytes() != *sum {
            return Err(Damage::Header("its checksum does not match"));
        }
        let number = read_u32(checked, 12);
        if read_u32(checked, 8) != FORMAT {
            return Err(Damage::Header("it has a format that this program does not read"));
        }
        Ok(Self {
            bytes,
            base: 0,
            at: SEGMENT_HEADER,
            group_start: SEGMENT_HEADER,
            events: 0,
            next_group: read_u64(checked, 24),
            number,
        })
    }

    /// Continues after a commit. `bytes` starts at `end`.
    #[must_use]
    pub fn after(end: &SegmentEnd, bytes: &'a [u8]) -> Self {
        let SegmentEnd { number, offset, next_group } = *end;
        Self { bytes, base: offset, at: 0, group_start: 0, events: 0, next_group, number }
    }

    /// The end of the committed part.
    #[must_use]
    pub fn end(&self) -> SegmentEnd {
        SegmentEnd { number: self.number, offset: self.committed(), next_group: self.next_group }
    }

    /// The segment's number, from its header.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Number of the next group.
    #[must_use]
    pub fn next_group(&self) -> u64 {
        self.next_group
    }

    /// Offset after the last commit.
    #[must_use]
    pub fn committed(&self) -> u64 {
        self.base + self.group_start as u64
    }

    /// The next frame; none at the end.
    ///
    /// # Errors
    /// [`Damage::Frame`]. The frames after a damaged one cannot be read.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'a>>, Damage> {
        let offset = self.base + self.at as u64;
        let damage = |what| Damage::Frame { offset, what };
        if self.at == self.bytes.len() {
            let whole = self.group_start == self.at;
            self.at = usize::MAX;
            return Ok((!whole).then_some(Frame::Torn { offset: self.committed() }));
        }
        let Some(rest) = self.bytes.get(self.at..) else { return Ok(None) };
        let Some(head) = rest.first_chunk::<FRAME>() else {
            self.at = usize::MAX;
            return Ok(Some(Frame::Torn { offset: self.committed() }));
        };
        if crc32fast::hash(&head[..20]) != read_u32(head, 20) {
            return Err(damage("its head (length, kind or link) was changed"));
        }
        let length = read_u32(head, 0) as usize;
        let Some(payload) = rest.get(FRAME..FRAME + length) else {
            self.at = usize::MAX;
            return Ok(Some(Frame::Torn { offset: self.committed() }));
        };
        if crc32fast::hash(payload) != read_u32(head, 16) {
            return Err(damage("its content was changed"));
        }
        self.at += FRAME + length;
        match head[4] {
            COMMIT => self.commit(payload, offset).map(Some),
            kind @ (EVENT | EVENT_WITHOUT_DATA) => {
                self.events += 1;
                let (header, length) = Header::parse(payload).ok_or_else(|| damage("its event is truncated"))?;
                let (event, rest) = payload.split_at(length);
                let data = data_of(&header, rest, kind)
                    .ok_or_else(|| damage("its data has a different length than its header says"))?;
                let data = if header.length <= INLINE as u64 { event.get(crate::event::HEADER..) } else { data };
                let previous = FramePosition::from_number(read_u64(head, 8));
                Ok(Some(Frame::Event { offset, header: Box::new(header), event, data, previous }))
            }
            _ => Err(damage("its kind is unknown")),
        }
    }

    fn commit(&mut self, payload: &[u8], offset: u64) -> Result<Frame<'a>, Damage> {
        let damage = |what| Damage::Frame { offset, what };
        if payload.len() != COMMIT_PAYLOAD {
            return Err(damage("a commit has a wrong length"));
        }
        let group = read_u64(payload, 0);
        if group != self.next_group {
            return Err(damage("groups are missing before this commit"));
        }
        if read_u32(payload, 8) != self.events {
            return Err(damage("events are missing before this commit"));
        }
        let start = (offset - self.base) as usize;
        let frames = self.bytes.get(self.group_start..start).unwrap_or_default();
        if read_u32(payload, 12) != crc32fast::hash(frames) {
            return Err(damage("the group it ends was changed"));
        }
        self.group_start = self.at;
        self.events = 0;
        self.next_group = self.next_group.wrapping_add(1);
        Ok(Frame::Commit { group })
    }
}

/// The data after a header in a frame: `Some(None)` if it was deleted or is in the header, `None` if its length is wrong.
fn data_of<'a>(header: &Header, rest: &'a [u8], kind: u8) -> Option<Option<&'a [u8]>> {
    if header.length <= INLINE as u64 {
        return rest.is_empty().then_some(None);
    }
    match kind {
        EVENT_WITHOUT_DATA => rest.is_empty().then_some(None),
        _ => (rest.len() as u64 == header.length).then_some(Some(rest)),
    }
}

pub(super) fn read_u32(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |chunk| u32::from_le_bytes(*chunk))
}

pub(super) fn read_u64(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |chunk| u64::from_le_bytes(*chunk))
}

/// Where writing or reading of a segment continues.
#[derive(Debug, Clone, Copy)]
pub struct SegmentEnd {
    /// Number of the segment.
    pub number: u32,
    /// Offset after the last commit.
    pub offset: u64,
    /// Number of the next group.
    pub next_group: u64,
}

/// Writes and flushes a file that only its owner can read.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Replaces a file atomically: writes a draft, then renames it.
pub(crate) fn replace_file(path: &Path, draft: &Path, bytes: &[u8]) -> io::Result<()> {
    // A draft that remained on a full disk would keep it full.
    write_private(draft, bytes)
        .and_then(|()| std::fs::rename(draft, path))
        .inspect_err(|_| drop(std::fs::remove_file(draft)))
}

/// The path of a segment.
#[must_use]
pub fn segment_path(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("{number:08}.log"))
}

/// Reads a whole file.
///
/// # Errors
/// The system's error.
pub fn read_all(path: &Path) -> io::Result<Vec<u8>> {
    read_from(path, 0)
}

/// Reads a file from an offset to its end.
///
/// # Errors
/// The system's error.
pub fn read_from(path: &Path, offset: u64) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let length = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::with_capacity(usize::try_from(length.saturating_sub(offset)).unwrap_or_default());
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}
