//! The journal: writes the events of all actors to disk, in groups, to one sequence of segments.
//!
//! The on-disk format is described in [`crate::event`].
//!
//! # Groups and commits
//! [`Journal::append`] hashes the event on the caller's thread and copies its frame into a shared buffer, under the lock of
//! the queue. Whoever writes takes the whole buffer at once: this is a group. A group is one write: its frames, then a commit
//! frame with their checksum. A group without a valid commit frame does not count, so events that are appended under one lock
//! ([`Journal::append_encoded`]) survive a crash together or not at all: a message that was received was also sent.
//!
//! # Who writes
//! The writer thread writes a group at the end of [`GROUP_WINDOW`], or earlier when a caller waits for it or the buffer is half
//! full. If exactly one caller waits and flushes have been fast, this caller writes the group on its own thread: two thread
//! switches would cost half as much again. Groups are written in order in either case: the writer's lock is taken before the
//! queue's.
//!
//! # What is acknowledged when
//! [`Journal::written`] returns once the group of the caller's events is written, and flushed if an event of the group is from
//! an actor whose [`Sync`] is not `none`. Appending alone acknowledges nothing.
//!
//! # Crash recovery
//! [`Journal::open`] truncates the newest segment after its last commit ([`recovery`]). A segment gets its header before its
//! name, so there is never a segment without a header.
//!
//! # Disk failures
//! A group that cannot be written is retried at the same offset until the write succeeds. Meanwhile
//! [`Journal::append`] and [`Journal::written`] return [`JournalError`]: calls fail, and no later event is added to any chain.
//!
//! # Retention
//! When a segment is full, a maintenance thread writes its index, and deletes the call data that a later snapshot covers from
//! completed segments ([`retention`]). A snapshot counts only once it is in a completed segment, since those are flushed.

pub mod export;
mod group_commit;
pub mod index;
pub mod lookup;
mod maintenance;
pub mod prune;
mod queue;
pub mod reader;
pub mod recovery;
pub mod retention;
mod rewrite;
pub mod segment;
mod snapshot_tracker;
#[cfg(test)]
mod tests;
pub(crate) mod types;
mod writer;

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;

use crate::event::{Chain, EventRef, INLINE, Id, NewEvent};
use crate::journal::group_commit::GroupCommit;
use crate::journal::maintenance::maintain_segments;
use crate::journal::retention::RetainFrom;
use crate::journal::segment::{FRAME, FramePosition};
use crate::journal::types::HIGH_WATER;
pub use crate::journal::types::{EncodedEvent, GROUP_WINDOW, JournalError, SEGMENT_SIZE, Sync, now_ms};
use crate::journal::writer::Writer;
use crate::latch::{Latch, SetOnDrop};

/// The journal of a data folder. Dropping it writes the remaining events and stops its threads.
pub struct Journal {
    groups: Arc<GroupCommit>,
    // The writer thread first, then the maintenance thread.
    threads: Mutex<Vec<thread::JoinHandle<()>>>,
    // Whether a waiter may write on its own thread.
    may_write: fn() -> bool,
}

impl Journal {
    /// Opens the journal of a data folder and repairs the end of its last segment: bytes after the last commit are moved to a
    /// file `.torn` next to it.
    ///
    /// # Errors
    /// The system's error, or damage in the last segment before its last commit. Older segments are not read.
    pub fn open(folder: &Path, segment_size: u64) -> io::Result<Self> {
        Self::open_with(folder, segment_size, || true)
    }

    /// Like [`Journal::open`]. Before a waiter writes a group on its own thread, it calls `may_write` on that thread.
    ///
    /// # Errors
    /// Like [`Journal::open`].
    pub fn open_with(folder: &Path, segment_size: u64, may_write: fn() -> bool) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let (rotated, rotations) = mpsc::channel();
        let writer = Writer::open(folder.to_owned(), segment_size, rotated)?;
        let groups = Arc::new(GroupCommit::new(folder, writer));
        let of_thread = Arc::clone(&groups);
        let writer =
            thread::Builder::new().name("theater-journal".to_owned()).spawn(move || of_thread.write_groups())?;
        let (of_thread, folder) = (Arc::clone(&groups), folder.to_owned());
        let maintenance = thread::Builder::new().name("theater-keeper".to_owned());
        let maintenance = maintenance.spawn(move || maintain_segments(&of_thread.queue, &folder, &rotations))?;
        Ok(Self { groups, threads: Mutex::new(vec![writer, maintenance]), may_write })
    }

    /// A journal that discards events, hashed or not: for benches that leave out the disk or the chain.
    #[must_use]
    pub fn discarding(hashed: bool) -> Self {
        Self { groups: Arc::new(GroupCommit::discarding(hashed)), threads: Mutex::default(), may_write: || true }
    }

    /// Whether events are not even encoded: a bench that leaves out the chain.
    #[must_use]
    pub fn is_disabled(&self) -> bool {
        !self.groups.hashed
    }

    /// The folder of the segments; none for a journal that discards events.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        self.groups.folder.as_deref()
    }

    /// Appends an event to a chain. The event is not on disk when this returns: see [`Journal::written`].
    ///
    /// # Errors
    /// The last write to the disk failed.
    pub fn append(&self, chain: &mut Chain, event: &NewEvent<'_>, sync: Sync) -> Result<EventRef, JournalError> {
        if !self.groups.hashed {
            return Ok(chain.skip_event());
        }
        self.check_writable()?;
        let (event, frame) = self.encode(chain, event, sync);
        self.append_encoded([frame]);
        Ok(event)
    }

    /// Checks that the last write to the disk succeeded.
    ///
    /// # Errors
    /// It failed, and no retry has succeeded yet.
    pub fn check_writable(&self) -> Result<(), JournalError> {
        self.groups.queue.lock().failed.clone().map_or(Ok(()), Err)
    }

    /// Hashes and encodes a chain's next event, for [`Journal::append_encoded`]. The queue is not locked meanwhile: the hash
    /// depends only on the chain.
    pub fn encode(&self, chain: &mut Chain, event: &NewEvent<'_>, sync: Sync) -> (EventRef, EncodedEvent) {
        if !self.groups.hashed {
            return (chain.skip_event(), EncodedEvent { actor: chain.actor(), frame: Vec::new(), sync });
        }
        let mut frame = Vec::with_capacity(FRAME + 256 + event.data.len());
        frame.resize(FRAME, 0);
        let reference = chain.push(event, now_ms(), &mut frame);
        if event.data.len() > INLINE {
            frame.extend_from_slice(event.data);
        }
        (reference, EncodedEvent { actor: chain.actor(), frame, sync })
    }

    /// Appends events to one group: a crash preserves either all of them or none.
    pub fn append_encoded<const N: usize>(&self, events: [EncodedEvent; N]) {
        if self.groups.folder.is_none() {
            return;
        }
        let mut queue = self.groups.queue.lock();
        for event in &events {
            queue.push(event);
        }
        if std::mem::take(&mut queue.writer_sleeps) {
            self.groups.work.notify_one();
        }
    }

    /// Allows the journal to delete the call data that a snapshot covers, once the snapshot is in a completed segment.
    pub fn retain_from(&self, actor: Id, from: RetainFrom) {
        if self.groups.folder.is_none() {
            return;
        }
        let mut queue = self.groups.queue.lock();
        let (appended, written, completed) = (queue.appended, queue.written, queue.completed);
        let snapshots = queue.snapshots.entry(actor).or_default();
        snapshots.ended = false;
        snapshots.push(appended, from, written, completed);
    }

    /// Releases the memory that the journal holds for the chain of an actor that ended. A later event of the chain has no
    /// link to the previous frame, unless [`Journal::resume_chain`] is called first.
    pub fn end_chain(&self, actor: Id) {
        if self.groups.folder.is_some() {
            let mut queue = self.groups.queue.lock();
            queue.ended.push(actor);
            if let Some(snapshots) = queue.snapshots.get_mut(&actor) {
                snapshots.ended = true;
            }
        }
    }

    /// Waits until the buffer is below its high-water mark. Callers that append without waiting for [`Journal::written`] call
    /// this for backpressure.
    pub async fn wait_for_capacity(&self) {
        let waiter = {
            let mut queue = self.groups.queue.lock();
            if queue.bytes.len() < HIGH_WATER || queue.closing {
                return;
            }
            let latch = Latch::default();
            queue.capacity_waiters.push(SetOnDrop(latch.clone()));
            latch
        };
        waiter.wait().await;
    }

    /// Waits until everything appended so far is written, and flushed for actors whose [`Sync`] is not `none`.
    ///
    /// # Errors
    /// The write failed. It is retried, but this call does not wait for that.
    pub async fn written(&self) -> Result<(), JournalError> {
        if self.groups.folder.is_none() {
            return Ok(());
        }
        let mut wanted = None;
        let mut may_write = (self.may_write)();
        loop {
            let waiter = {
                let mut queue = self.groups.queue.lock();
                let until = *wanted.get_or_insert(queue.appended);
                if queue.written >= until {
                    return Ok(());
                }
                if let Some(failed) = &queue.failed {
                    return Err(failed.clone());
                }
                if may_write && queue.waiter_should_write() {
                    drop(queue);
                    may_write = false;
                    self.groups.write_on_this_thread();
                    continue;
                }
                let latch = Latch::default();
                queue.waiters.push((until, SetOnDrop(latch.clone())));
                queue.urgent = true;
                self.groups.work.notify_one();
                latch
            };
            // The latch is set on success and on failure: check again.
            waiter.wait().await;
        }
    }

    /// Continues the chain of a previous run: its next event follows the one at `newest`.
    pub fn resume_chain(&self, actor: Id, newest: FramePosition) {
        self.groups.queue.lock().positions.insert(actor, newest.number());
    }

    /// The position of an actor's newest written event.
    #[must_use]
    pub fn newest_position(&self, actor: Id) -> Option<FramePosition> {
        self.groups.queue.lock().positions.get(&actor).copied().and_then(FramePosition::from_number)
    }

    /// Writes the remaining events and stops the threads.
    pub fn close(&self) {
        {
            let mut queue = self.groups.queue.lock();
            queue.closing = true;
            self.groups.work.notify_one();
        }
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            drop(thread.join());
            // The writer thread comes first. Dropping the writer closes the channel on which the maintenance thread waits.
            *self.groups.writer() = None;
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.close();
    }
}
