//! Segments of the journal on disk: frames, and reading them. The format is in [`crate::event`].

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::event::{FORMAT, Header, INLINE};

/// First bytes of a segment.
pub const MAGIC: [u8; 8] = *b"THTRJRN1";
/// Bytes of a segment's header.
pub const SEGMENT_HEADER: usize = 40;
/// Bytes of a frame before its payload.
pub const FRAME: usize = 24;
/// Kind of a frame that holds an event with its data.
pub const EVENT: u8 = 1;
/// Kind of a frame that holds an event whose data was dropped.
pub const EVENT_WITHOUT_DATA: u8 = 2;
/// Kind of a frame that ends a group.
pub const COMMIT: u8 = 3;
/// A frame's place of the frame before when there is none.
pub const NO_PLACE: u64 = u64::MAX;
pub(super) const COMMIT_PAYLOAD: usize = 16;

/// Where a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FramePosition {
    /// Number of the segment.
    pub segment: u32,
    /// Offset of the frame in it.
    pub offset: u32,
}

impl FramePosition {
    pub(crate) fn number(self) -> u64 {
        u64::from(self.segment) << 32 | u64::from(self.offset)
    }

    pub(crate) fn from_number(number: u64) -> Option<Self> {
        (number != NO_PLACE).then_some(Self { segment: (number >> 32) as u32, offset: number as u32 })
    }
}

/// A segment's header.
#[must_use]
pub fn header(number: u32, created: u64, first_group: u64) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&FORMAT.to_le_bytes());
    bytes.extend_from_slice(&number.to_le_bytes());
    bytes.extend_from_slice(&created.to_le_bytes());
    bytes.extend_from_slice(&first_group.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
    bytes
}

/// Fills in the head of a frame whose payload is in place.
pub fn seal(frame: &mut [u8], kind: u8, before: u64) {
    let Some((head, payload)) = frame.split_at_mut_checked(FRAME) else { return };
    let mut filled = Vec::with_capacity(FRAME);
    filled.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    filled.extend_from_slice(&[kind, 0, 0, 0]);
    filled.extend_from_slice(&before.to_le_bytes());
    filled.extend_from_slice(&crc32fast::hash(payload).to_le_bytes());
    filled.extend_from_slice(&crc32fast::hash(&filled).to_le_bytes());
    head.copy_from_slice(&filled);
}

/// The commit frame of a group whose frames are `frames`.
#[must_use]
pub fn commit(group: u64, events: u32, frames: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; FRAME];
    frame.extend_from_slice(&group.to_le_bytes());
    frame.extend_from_slice(&events.to_le_bytes());
    frame.extend_from_slice(&crc32fast::hash(frames).to_le_bytes());
    seal(&mut frame, COMMIT, 0);
    frame
}

/// The segments of a folder, by number.
///
/// # Errors
/// What the system says; a missing folder has none.
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

/// What is wrong with a segment, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// The header is not one, or was changed.
    #[error("its header is damaged: {0}")]
    Header(&'static str),
    /// A frame was changed.
    #[error("frame at offset {offset}: {what}")]
    Frame {
        /// Where it starts.
        offset: u64,
        /// What does not fit.
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
        /// The header's bytes: what is hashed.
        event: &'a [u8],
        /// The data; none when it was dropped.
        data: Option<&'a [u8]>,
        /// The place of the actor's frame before.
        before: Option<FramePosition>,
    },
    /// The end of a group.
    Commit {
        /// Number of the group.
        group: u64,
    },
    /// The bytes end inside a frame or a group: where the unfinished group starts.
    Torn {
        /// Offset of the first byte behind the last commit.
        offset: u64,
    },
}

/// Reads the frames of one segment that is in memory, or of its end.
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
    /// Checks the header.
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
            return Err(Damage::Header("its checksum does not fit"));
        }
        let number = number(checked, 12);
        if number_u32(checked, 8) != FORMAT {
            return Err(Damage::Header("it is of a format this program does not read"));
        }
        Ok(Self {
            bytes,
            base: 0,
            at: SEGMENT_HEADER,
            group_start: SEGMENT_HEADER,
            events: 0,
            next_group: number_u64(checked, 24),
            number,
        })
    }

    /// Goes on behind a commit, with what stands from there on.
    #[must_use]
    pub fn behind(end: &SegmentEnd, bytes: &'a [u8]) -> Self {
        let SegmentEnd { number, offset, next_group } = *end;
        Self { bytes, base: offset, at: 0, group_start: 0, events: 0, next_group, number }
    }

    /// The end of what was committed.
    #[must_use]
    pub fn end(&self) -> SegmentEnd {
        SegmentEnd { number: self.number, offset: self.committed(), next_group: self.next_group }
    }

    /// The number in the header.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Number of the group that comes next.
    #[must_use]
    pub fn next_group(&self) -> u64 {
        self.next_group
    }

    /// Offset behind the last commit.
    #[must_use]
    pub fn committed(&self) -> u64 {
        self.base + self.group_start as u64
    }

    /// The next frame; nothing at the end.
    ///
    /// # Errors
    /// [`Damage::Frame`]. There is no going on behind it.
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
        if crc32fast::hash(&head[..20]) != number_u32(head, 20) {
            return Err(damage("its head (length, kind or place) was changed"));
        }
        let length = number_u32(head, 0) as usize;
        let Some(payload) = rest.get(FRAME..FRAME + length) else {
            self.at = usize::MAX;
            return Ok(Some(Frame::Torn { offset: self.committed() }));
        };
        if crc32fast::hash(payload) != number_u32(head, 16) {
            return Err(damage("its content was changed"));
        }
        self.at += FRAME + length;
        match head[4] {
            COMMIT => self.commit(payload, offset).map(Some),
            kind @ (EVENT | EVENT_WITHOUT_DATA) => {
                self.events += 1;
                let (header, length) = Header::parse(payload).ok_or_else(|| damage("its event is cut off"))?;
                let (event, rest) = payload.split_at(length);
                let data = data_of(&header, rest, kind).ok_or_else(|| damage("its data has another length"))?;
                let data = if header.length <= INLINE as u64 { event.get(crate::event::HEADER..) } else { data };
                let before = FramePosition::from_number(number_u64(head, 8));
                Ok(Some(Frame::Event { offset, header: Box::new(header), event, data, before }))
            }
            _ => Err(damage("it is of no known kind")),
        }
    }

    fn commit(&mut self, payload: &[u8], offset: u64) -> Result<Frame<'a>, Damage> {
        let damage = |what| Damage::Frame { offset, what };
        if payload.len() != COMMIT_PAYLOAD {
            return Err(damage("a commit of another length"));
        }
        let group = number_u64(payload, 0);
        if group != self.next_group {
            return Err(damage("groups are missing before this commit"));
        }
        if number_u32(payload, 8) != self.events {
            return Err(damage("events are missing before this commit"));
        }
        let start = (offset - self.base) as usize;
        let frames = self.bytes.get(self.group_start..start).unwrap_or_default();
        if number_u32(payload, 12) != crc32fast::hash(frames) {
            return Err(damage("the group it ends was changed"));
        }
        self.group_start = self.at;
        self.events = 0;
        self.next_group = self.next_group.wrapping_add(1);
        Ok(Frame::Commit { group })
    }
}

/// The data that stands behind a header in a frame: none when dropped, nothing at all when it is missing.
fn data_of<'a>(header: &Header, rest: &'a [u8], kind: u8) -> Option<Option<&'a [u8]>> {
    if header.length <= INLINE as u64 {
        return rest.is_empty().then_some(None);
    }
    match kind {
        EVENT_WITHOUT_DATA => rest.is_empty().then_some(None),
        _ => (rest.len() as u64 == header.length).then_some(Some(rest)),
    }
}

pub(super) fn number_u32(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |chunk| u32::from_le_bytes(*chunk))
}

fn number(bytes: &[u8], at: usize) -> u32 {
    number_u32(bytes, at)
}

pub(super) fn number_u64(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |chunk| u64::from_le_bytes(*chunk))
}

/// Where a segment can be written, or read, on.
#[derive(Debug, Clone, Copy)]
pub struct SegmentEnd {
    /// Number of the segment.
    pub number: u32,
    /// Behind the last commit.
    pub offset: u64,
    /// Number of the next group.
    pub next_group: u64,
}

/// Writes and syncs a file that only its owner can read, as segments are.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Puts bytes in the place of a file, whole or not at all, by way of a draft beside it.
pub(crate) fn replace(path: &Path, draft: &Path, bytes: &[u8]) -> io::Result<()> {
    // A draft that stayed on a full disk would keep it full.
    write_private(draft, bytes)
        .and_then(|()| std::fs::rename(draft, path))
        .inspect_err(|_| drop(std::fs::remove_file(draft)))
}

/// The file of a segment.
#[must_use]
pub fn file_of(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("{number:08}.log"))
}

/// The whole of a file.
///
/// # Errors
/// What the system says.
pub fn read_all(path: &Path) -> io::Result<Vec<u8>> {
    read_from(path, 0)
}

/// What stands in a file from an offset on.
///
/// # Errors
/// What the system says.
pub fn read_from(path: &Path, offset: u64) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let length = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::with_capacity(usize::try_from(length.saturating_sub(offset)).unwrap_or_default());
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}
