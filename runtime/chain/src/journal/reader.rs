//! Reads events from disk without verifying chains: for listings and searches.
//!
//! Frames and groups are checked by their checksums, but hashes are not compared: [`crate::verify`] does that. At most one
//! segment is in memory. Segments without events of the wanted actor are skipped (see [`crate::journal::index`]).

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::event::{Hash, Header, Id, event_hash};
use crate::finding::Finding;
use crate::journal::index::{Index, IndexError};
use crate::journal::lookup;
use crate::journal::segment::{self, Damage, Frame, Frames, SegmentEnd};
use crate::record::Kind;
use crate::verify::{Event, segments, select_chain};

/// A chain as the indices describe it, without reading its events.
#[derive(Debug, Clone)]
pub struct CatalogEntry {
    /// The actor's name.
    pub name: String,
    /// The number of events.
    pub events: u64,
    /// Type of the last event, ignoring seals.
    pub last: u8,
    /// Time of the first event, ms since the epoch.
    pub first_ms: u64,
    /// Time of the last event.
    pub last_ms: u64,
    newest: (PathBuf, u32),
}

impl CatalogEntry {
    /// Reads the hash of the newest event.
    ///
    /// # Errors
    /// `J0002`.
    pub fn head(&self, actor: Id) -> Result<Hash, Error> {
        let (path, offset) = &self.newest;
        let event = lookup::read_event_in(path, actor, *offset, self.events.saturating_sub(1)..);
        event.map(|event| event.hash).map_err(|source| Error::Read { path: path.clone(), source })
    }
}

/// The chains of a data folder or file.
#[derive(Debug, Default)]
pub struct Catalog {
    /// By the actor's id.
    pub chains: BTreeMap<Id, CatalogEntry>,
}

impl Catalog {
    /// Reads the indices of all segments.
    ///
    /// # Errors
    /// `J0002`; `J0004` if a segment without an index is damaged.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let mut catalog = Self::default();
        for segment in segments(path)? {
            for part in index(&segment)?.parts {
                let id = part.actor();
                let entry = catalog.chains.entry(id).or_insert_with(|| CatalogEntry {
                    name: String::new(),
                    events: 0,
                    last: 0,
                    first_ms: part.first_ms,
                    last_ms: 0,
                    newest: (PathBuf::new(), 0),
                });
                entry.events += part.count;
                entry.last_ms = part.last_ms;
                if part.last != Kind::Sealed as u8 || entry.last == 0 {
                    entry.last = part.last;
                }
                entry.newest = (segment.clone(), part.newest);
                entry.name = part.name.unwrap_or(std::mem::take(&mut entry.name));
            }
        }
        Ok(catalog)
    }

    /// Finds a chain by id, name (the newest of several), or unique prefix of an id.
    #[must_use]
    pub fn find(&self, wanted: &str) -> Option<(Id, &CatalogEntry)> {
        select_chain(&self.chains, wanted, |entry| (&entry.name, entry.first_ms))
    }
}

/// Finds a chain of a data folder or file by id, name or prefix of an id: see [`Catalog::find`].
///
/// # Errors
/// `J0003`, and those of reading.
pub fn find(path: &Path, wanted: &str) -> Result<Id, Error> {
    let catalog = Catalog::read(path)?;
    let found = catalog.find(wanted).map(|(id, _)| id);
    found.ok_or_else(|| Error::NoSuchChain { id: wanted.to_owned(), path: path.to_owned() })
}

fn index(segment: &Path) -> Result<Index, Error> {
    Index::of(segment).map_err(|error| match error {
        IndexError::Unreadable(source) => Error::Read { path: segment.to_owned(), source },
        IndexError::Damaged(damage) => damaged(segment, &damage),
    })
}

fn damaged(path: &Path, damage: &Damage) -> Error {
    Error::Invalid(Box::new(Finding::damage(path, damage)))
}

/// Which events to read.
pub struct EventFilter<H> {
    /// The actor; none for all.
    pub only: Option<Id>,
    /// Whether an event with this header is wanted. Others are not hashed.
    pub header: H,
}

/// A reader's position, from which it continues when there are new events.
#[derive(Debug, Clone, Default)]
pub struct ReadPosition {
    // The segment, and how far it was read.
    at: Option<(PathBuf, SegmentEnd)>,
}

/// Passes the wanted events after `position` to `show`, in order, and moves `position` to the current end. `show` may stop
/// early.
///
/// # Errors
/// `J0002`, and `J0004` where a segment is damaged.
pub fn read_more(
    path: &Path,
    position: &mut ReadPosition,
    wanted: &mut EventFilter<impl FnMut(&Header) -> bool>,
    mut show: impl FnMut(&Event<'_>) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, Error> {
    let segments = segments(path)?;
    let from = match &position.at {
        Some((at, _)) => segments.iter().position(|segment| segment == at).unwrap_or_default(),
        None => 0,
    };
    let last = segments.len();
    for (number, segment) in segments.iter().enumerate().skip(from) {
        let is_last = number + 1 == last;
        let has_events = |only| index(segment).map(|index| index.part(only).is_some());
        if let (false, Some(only)) = (is_last, wanted.only)
            && position.at.as_ref().is_none_or(|(at, _)| at != segment)
            && !has_events(only)?
        {
            continue;
        }
        if read_segment(segment, is_last, position, wanted, &mut show)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

fn read_segment(
    path: &Path,
    is_last: bool,
    position: &mut ReadPosition,
    wanted: &mut EventFilter<impl FnMut(&Header) -> bool>,
    show: &mut impl FnMut(&Event<'_>) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, Error> {
    let unreadable = |source| Error::Read { path: path.to_owned(), source };
    let known = position.at.as_ref().filter(|(at, _)| at == path).map(|(_, end)| *end);
    let first = known.map_or(0, |end| end.next_group);
    // Only the newest segment cannot have been rewritten: continue by offset. Any other is read again from its first group.
    if let Some(end) = known.filter(|_| is_last) {
        let bytes = segment::read_from(path, end.offset).map_err(unreadable)?;
        let mut frames = Frames::after(&end, &bytes);
        if let Ok(flow) = show_frames(&mut frames, first, wanted, show) {
            position.at = Some((path.to_owned(), frames.end()));
            return Ok(flow);
        }
    }
    let bytes = segment::read_all(path).map_err(unreadable)?;
    let damaged = |damage| damaged(path, &damage);
    let mut frames = Frames::new(&bytes).map_err(damaged)?;
    let flow = show_frames(&mut frames, first, wanted, show).map_err(damaged)?;
    position.at = Some((path.to_owned(), frames.end()));
    Ok(flow)
}

/// Passes the wanted events of the groups from `first` on to `show`.
fn show_frames(
    frames: &mut Frames<'_>,
    first: u64,
    wanted: &mut EventFilter<impl FnMut(&Header) -> bool>,
    show: &mut impl FnMut(&Event<'_>) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, Damage> {
    let mut group = Vec::new();
    while let Some(frame) = frames.next_frame()? {
        match frame {
            Frame::Event { header, event, data, .. } => {
                if wanted.only.is_none_or(|only| only == header.actor) {
                    group.push((*header, event, data));
                }
            }
            Frame::Commit { group: number } if number < first => group.clear(),
            Frame::Commit { .. } => {
                for (header, event, data) in group.drain(..) {
                    if !(wanted.header)(&header) {
                        continue;
                    }
                    let event = Event { header, hash: event_hash(event), data };
                    if show(&event).is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                }
            }
            // A group that is being written.
            Frame::Torn { .. } => {}
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// Passes the wanted events to `show`, in order. `show` may stop early.
///
/// # Errors
/// Those of [`read_more`].
pub fn read(
    path: &Path,
    only: Option<Id>,
    header: impl FnMut(&Header) -> bool,
    show: impl FnMut(&Event<'_>) -> ControlFlow<()>,
) -> Result<(), Error> {
    read_more(path, &mut ReadPosition::default(), &mut EventFilter { only, header }, show).map(|_| ())
}
