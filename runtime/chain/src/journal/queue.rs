//! The queue: events that are not written yet, the callers that wait for them, and the positions of each actor's newest event.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::event::Id;
use crate::journal::retention;
use crate::journal::segment::{self, EVENT, FramePosition, NO_POSITION};
use crate::journal::snapshot_tracker::SnapshotTracker;
use crate::journal::types::{EncodedEvent, JournalError, Sync};
use crate::latch::SetOnDrop;

/// Largest buffer that is reused for a later batch, in bytes.
const MAX_SPARE: usize = 1024 * 1024;
/// A waiter writes on its own thread only while the mean duration of a write is below this: the thread belongs to an executor.
pub(super) const MAX_WAITER_FLUSH: Duration = Duration::from_micros(500);
/// A waiter writes on its own thread only less than this many bytes.
const MAX_WAITER_BYTES: usize = 64 * 1024;

/// A waiter: the number of events that must be written, and the latch that wakes it when dropped.
pub(super) type Waiter = (u64, SetOnDrop);

/// The queue behind its lock.
#[derive(Default)]
pub(super) struct SharedQueue(Mutex<Queue>);

impl SharedQueue {
    pub fn new(queue: Queue) -> Self {
        Self(Mutex::new(queue))
    }

    pub fn lock(&self) -> MutexGuard<'_, Queue> {
        // A panic while the lock is held leaves the queue either as it was before the append or complete after it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Default)]
pub(super) struct Queue {
    // Frames without checksums and positions. `frames` has where each of them starts.
    pub bytes: Vec<u8>,
    frames: Vec<(Id, usize)>,
    // The buffer of a batch that was written, for reuse.
    spare: Vec<u8>,
    // When the first frame was appended.
    pub group_started: Option<Instant>,
    // Whether an event of the group must be flushed.
    flush: bool,
    // The number of events that were appended and written since the start.
    pub appended: u64,
    pub written: u64,
    pub waiters: Vec<Waiter>,
    // How many callers waited for recent batches: the maximum, which decays by an eighth per batch. One of many waiters is
    // often the first to come, and must not write before the others come.
    pub recent_waiters: usize,
    // How long the write and flush of a batch takes: a moving mean.
    pub mean_flush: Option<Duration>,
    // Whether the executor has more threads than the one that a waiter would block.
    pub has_other_threads: bool,
    pub capacity_waiters: Vec<SetOnDrop>,
    // The newest written frame of each actor.
    pub positions: HashMap<Id, u64>,
    // The snapshots up to which data can be deleted.
    pub snapshots: HashMap<Id, SnapshotTracker>,
    // How many of the written events are in completed segments.
    pub completed: u64,
    // Actors whose positions are removed with the next batch.
    pub ended: Vec<Id>,
    pub failed: Option<JournalError>,
    // The writer thread sleeps until it is notified. Otherwise it wakes up at the end of the group window.
    pub writer_sleeps: bool,
    // A caller waits: the group is written without waiting for the end of its window.
    pub urgent: bool,
    pub closing: bool,
}

impl Queue {
    pub fn new(has_other_threads: bool) -> Self {
        Self { has_other_threads, ..Self::default() }
    }

    pub fn push(&mut self, event: &EncodedEvent) {
        self.group_started.get_or_insert_with(Instant::now);
        self.frames.push((event.actor, self.bytes.len()));
        self.bytes.extend_from_slice(&event.frame);
        self.flush |= event.sync != Sync::None;
        self.appended += 1;
    }

    /// Whether a waiter should write the batch on its own thread: it is the only one, and the write does not block for long a
    /// thread that others need.
    pub fn waiter_should_write(&self) -> bool {
        let is_fast = self.mean_flush.is_some_and(|mean| mean < MAX_WAITER_FLUSH);
        is_fast
            && self.has_other_threads
            && self.recent_waiters <= 1
            && self.waiters.is_empty()
            && self.bytes.len() < MAX_WAITER_BYTES
            && self.failed.is_none()
    }

    /// Releases the buffers, when nothing was appended for a while.
    pub fn shrink(&mut self) {
        (self.bytes, self.spare) = (Vec::new(), Vec::new());
    }

    /// Takes all events that are not written yet; none if there are none.
    pub fn take_batch(&mut self) -> Option<Batch> {
        self.group_started.take()?;
        self.urgent = false;
        let frames = std::mem::take(&mut self.frames);
        let spare = std::mem::take(&mut self.spare);
        let mut positions = HashMap::with_capacity(frames.len().min(64));
        for (actor, _) in &frames {
            if let Some(position) = self.positions.get(actor) {
                positions.insert(*actor, *position);
            }
        }
        Some(Batch {
            bytes: std::mem::replace(&mut self.bytes, spare),
            frames,
            flush: std::mem::take(&mut self.flush),
            ended: std::mem::take(&mut self.ended),
            positions,
        })
    }

    /// Records that a batch is written. `took` is the duration if it was flushed too. Dropping the result wakes the waiters
    /// and frees the batch: the caller does so without a lock.
    #[must_use]
    pub fn complete(&mut self, mut batch: Batch, took: Option<Duration>, by: WrittenBy) -> (Batch, Vec<Waiter>) {
        self.failed = None;
        self.written += batch.frames.len() as u64;
        let written = self.written;
        let ready: Vec<_> = self.waiters.extract_if(.., |(until, _)| *until <= written).collect();
        let answered = ready.len() + usize::from(by == WrittenBy::Waiter);
        self.recent_waiters = answered.max(self.recent_waiters - self.recent_waiters.div_ceil(8));
        self.urgent = !self.waiters.is_empty();
        self.mean_flush =
            took.map(|took| self.mean_flush.map_or(took, |mean| (mean * 7 + took) / 8)).or(self.mean_flush);
        self.capacity_waiters.clear();
        self.positions.extend(batch.positions.drain());
        // The buffer of this batch serves the one after the next. The allocator would map and unmap large ones each time.
        if batch.bytes.capacity() <= MAX_SPARE {
            batch.bytes.clear();
            std::mem::swap(&mut self.spare, &mut batch.bytes);
        }
        // Not earlier: the last event of an ended actor is in this batch or an earlier one.
        for actor in &batch.ended {
            self.positions.remove(actor);
        }
        (batch, ready)
    }

    /// Records that a batch could not be written: appending and waiting fail until a retry succeeds.
    pub fn fail(&mut self, failed: JournalError) {
        self.failed = Some(failed);
        self.waiters.clear();
        self.capacity_waiters.clear();
    }

    /// Updates the positions of frames that retention moved, and stops tracking ended actors whose last snapshot is among the
    /// first `completed` events.
    pub fn apply_relocations(&mut self, moved: &retention::Relocations, completed: u64) {
        self.snapshots.retain(|_, snapshots| !snapshots.is_finished(completed));
        for ((actor, segment), offset) in moved {
            if let Some(position) = self.positions.get_mut(actor).filter(|at| (**at >> 32) as u32 == *segment) {
                *position = FramePosition { segment: *segment, offset: *offset }.number();
            }
        }
    }
}

/// Who writes a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WrittenBy {
    /// A caller that waits for it, on its own thread.
    Waiter,
    /// The writer thread.
    WriterThread,
}

/// The events that are written as one group.
pub(super) struct Batch {
    pub bytes: Vec<u8>,
    frames: Vec<(Id, usize)>,
    pub flush: bool,
    ended: Vec<Id>,
    pub positions: HashMap<Id, u64>,
}

impl Batch {
    /// Fills in the heads of the frames for a write at `offset` of segment `number`. Returns the commit frame, and the
    /// positions of the actors' newest events after this write.
    pub fn finish(&mut self, number: u32, offset: u64, group: u64) -> (Vec<u8>, HashMap<Id, u64>) {
        let mut positions = self.positions.clone();
        let ends = self.frames.iter().skip(1).map(|(_, start)| *start).chain([self.bytes.len()]).collect::<Vec<_>>();
        for ((actor, start), end) in self.frames.iter().zip(ends) {
            let previous = positions.insert(*actor, u64::from(number) << 32 | (offset + *start as u64));
            if let Some(frame) = self.bytes.get_mut(*start..end) {
                segment::finish_frame(frame, EVENT, previous.unwrap_or(NO_POSITION));
            }
        }
        (segment::commit_frame(group, self.frames.len() as u32, &self.bytes), positions)
    }
}
