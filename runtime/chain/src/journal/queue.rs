//! What waits to be written, and who waits for it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::{EncodedEvent, JournalError, Sync};
use crate::event::Id;
use crate::journal::retention::{self, RetainFrom};
use crate::journal::segment::{self, EVENT, FramePosition, NO_PLACE};
use crate::latch::SetOnDrop;

/// Most bytes of memory that are kept for a later batch.
const KEPT: usize = 1024 * 1024;
/// Longest mean time of a write for which a thread of the executor is held ...
pub(super) const QUICK: Duration = Duration::from_micros(500);
/// ... and most bytes.
const SMALL: usize = 64 * 1024;

/// Who waits until so many events are written, and is told when the sender is dropped.
pub(super) type Waiter = (u64, SetOnDrop);

#[derive(Default)]
pub(super) struct Queue {
    // Frames without checksums and places, and where each starts.
    pub bytes: Vec<u8>,
    // The memory of a batch that is written.
    spare: Vec<u8>,
    frames: Vec<(Id, usize)>,
    // When the first of them was appended.
    pub since: Option<Instant>,
    sync: bool,
    pub appended: u64,
    pub written: u64,
    pub waiters: Vec<Waiter>,
    // How many waited for each of the newest batches: the most of them, less for each batch since, as one of many is often
    // the first.
    pub crowd: usize,
    // How long a batch that is flushed takes: the mean of the newest ones.
    pub pace: Option<Duration>,
    // The executor has other threads than the one that waits.
    pub has_more_threads: bool,
    pub room: Vec<SetOnDrop>,
    pub places: HashMap<Id, u64>,
    // What may be dropped, and how many events were written when the newest segment began.
    pub bases: HashMap<Id, Bases>,
    pub rotated: u64,
    pub forget: Vec<Id>,
    pub failed: Option<JournalError>,
    // The writer's thread sleeps until it is told; otherwise it looks at the end of the group window.
    pub sleeps: bool,
    pub urgent: bool,
    pub stop: bool,
}

/// What may be dropped of an actor's chain: of snapshots, each with how many events were appended when it was.
#[derive(Default)]
pub(super) struct Bases {
    // The newest that stands in a segment behind which another one has begun ...
    sealed: Option<(u64, RetainFrom)>,
    // ... the newest that was written when one came behind it, which the next segment makes such a one, ...
    written: Option<(u64, RetainFrom)>,
    // ... and the newest.
    newest: Option<(u64, RetainFrom)>,
    // None will follow.
    pub ended: bool,
}

impl Bases {
    pub fn push(&mut self, appended: u64, base: RetainFrom, written: u64, rotated: u64) {
        let before = self.newest.replace((appended, base)).filter(|(appended, _)| *appended <= written);
        if let Some(before) = before {
            let older = self.written.replace(before).filter(|(appended, _)| *appended <= rotated);
            self.sealed = older.or(self.sealed.take());
        }
    }

    /// The newest base among the first so many events of the journal.
    pub fn within(&self, rotated: u64) -> Option<&RetainFrom> {
        let mut all = [&self.newest, &self.written, &self.sealed].into_iter().flatten();
        all.find(|(appended, _)| *appended <= rotated).map(|(_, base)| base)
    }
}

impl Queue {
    pub fn new(has_more_threads: bool) -> Self {
        Self { has_more_threads, ..Self::default() }
    }

    pub fn push(&mut self, made: &EncodedEvent) {
        self.since.get_or_insert_with(Instant::now);
        self.frames.push((made.actor, self.bytes.len()));
        self.bytes.extend_from_slice(&made.frame);
        self.sync |= made.sync != Sync::None;
        self.appended += 1;
    }

    /// Whether who waits may as well write: nobody else waits, and no thread is held for long that others need.
    pub fn is_for_who_waits(&self) -> bool {
        let is_quick = self.pace.is_some_and(|pace| pace < QUICK);
        is_quick
            && self.has_more_threads
            && self.crowd <= 1
            && self.waiters.is_empty()
            && self.bytes.len() < SMALL
            && self.failed.is_none()
    }

    /// Nothing is kept for a burst that is over.
    pub fn shrink(&mut self) {
        (self.bytes, self.spare) = (Vec::new(), Vec::new());
    }

    /// What waits to be written; nothing where nothing does.
    pub fn take(&mut self) -> Option<Batch> {
        self.since.take()?;
        self.urgent = false;
        let frames = std::mem::take(&mut self.frames);
        let spare = std::mem::take(&mut self.spare);
        let mut places = HashMap::with_capacity(frames.len().min(64));
        for (actor, _) in &frames {
            if let Some(place) = self.places.get(actor) {
                places.insert(*actor, *place);
            }
        }
        Some(Batch {
            bytes: std::mem::replace(&mut self.bytes, spare),
            frames,
            sync: std::mem::take(&mut self.sync),
            forget: std::mem::take(&mut self.forget),
            places,
        })
    }

    /// A batch is written, in this time where it was flushed too: who waited for it is told, and its memory is freed, when the
    /// caller drops what this gives, with nothing locked.
    #[must_use]
    pub fn settle(&mut self, mut batch: Batch, took: Option<Duration>, by: By) -> (Batch, Vec<Waiter>) {
        self.failed = None;
        self.written += batch.frames.len() as u64;
        let written = self.written;
        let told: Vec<_> = self.waiters.extract_if(.., |(until, _)| *until <= written).collect();
        let answered = told.len() + usize::from(by == By::Waiter);
        self.crowd = answered.max(self.crowd - self.crowd.div_ceil(8));
        self.urgent = !self.waiters.is_empty();
        self.pace = took.map(|took| self.pace.map_or(took, |mean| (mean * 7 + took) / 8)).or(self.pace);
        self.room.clear();
        self.places.extend(batch.places.drain());
        // The memory of this batch serves the one after the next: large ones would be mapped and unmapped each time.
        if batch.bytes.capacity() <= KEPT {
            batch.bytes.clear();
            std::mem::swap(&mut self.spare, &mut batch.bytes);
        }
        // Only now: what an actor wrote last is in this batch or an earlier one.
        for actor in &batch.forget {
            self.places.remove(actor);
        }
        (batch, told)
    }

    /// Nothing can be appended until the disk takes what was before.
    pub fn fail(&mut self, failed: JournalError) {
        self.failed = Some(failed);
        self.waiters.clear();
        self.room.clear();
    }

    /// The last events of these actors in these segments are elsewhere now, and of actors that have ended all is dropped
    /// that may be, among the first so many events.
    pub fn follow(&mut self, moved: &retention::Relocations, rotated: u64) {
        self.bases.retain(|_, bases| !(bases.ended && bases.newest.as_ref().is_none_or(|(at, _)| *at <= rotated)));
        for ((actor, segment), offset) in moved {
            if let Some(place) = self.places.get_mut(actor).filter(|place| (**place >> 32) as u32 == *segment) {
                *place = FramePosition { segment: *segment, offset: *offset }.number();
            }
        }
    }
}

/// Who writes a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// Who waits for it.
    Waiter,
    /// The writer's own thread.
    Thread,
}

/// What the writer took from the queue at once.
pub(super) struct Batch {
    pub bytes: Vec<u8>,
    frames: Vec<(Id, usize)>,
    pub sync: bool,
    forget: Vec<Id>,
    pub places: HashMap<Id, u64>,
}

impl Batch {
    /// Fills in the heads of the group's frames, as they will stand from `offset` of segment `number` on: its commit frame,
    /// and where the actors' last events are then.
    pub fn seal(&mut self, number: u32, offset: u64, group: u64) -> (Vec<u8>, HashMap<Id, u64>) {
        let mut places = self.places.clone();
        let ends = self.frames.iter().skip(1).map(|(_, start)| *start).chain([self.bytes.len()]).collect::<Vec<_>>();
        for ((actor, start), end) in self.frames.iter().zip(ends) {
            let before = places.insert(*actor, u64::from(number) << 32 | (offset + *start as u64));
            if let Some(frame) = self.bytes.get_mut(*start..end) {
                segment::seal(frame, EVENT, before.unwrap_or(NO_PLACE));
            }
        }
        (segment::commit(group, self.frames.len() as u32, &self.bytes), places)
    }
}
