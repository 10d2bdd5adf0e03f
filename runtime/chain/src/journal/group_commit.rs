//! Who writes a group, and when: the writer thread, or the only caller that waits for it.

use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread;
use std::time::Duration;

use crate::journal::queue::{Queue, SharedQueue, WrittenBy};
use crate::journal::types::{GROUP_WINDOW, HIGH_WATER};
use crate::journal::writer::Writer;

/// Time between two attempts to write a group on a disk that fails.
const RETRY: Duration = Duration::from_millis(200);

/// The queue and the writer, shared by the journal's handle and its threads.
pub(super) struct GroupCommit {
    pub queue: SharedQueue,
    // Wakes the writer thread.
    pub work: Condvar,
    // Lock order: first this, then the queue. Whoever takes a batch holds it, so batches are written in order. None after
    // closing.
    writer: Mutex<Option<Writer>>,
    /// None: events are discarded.
    pub folder: Option<PathBuf>,
    /// False: events are not even encoded.
    pub hashed: bool,
}

impl GroupCommit {
    pub fn new(folder: &Path, writer: Writer) -> Self {
        let has_other_threads = thread::available_parallelism().is_ok_and(|threads| threads.get() > 1);
        Self {
            queue: SharedQueue::new(Queue::new(has_other_threads)),
            work: Condvar::new(),
            writer: Mutex::new(Some(writer)),
            folder: Some(folder.to_owned()),
            hashed: true,
        }
    }

    pub fn discarding(hashed: bool) -> Self {
        Self { queue: SharedQueue::default(), work: Condvar::new(), writer: Mutex::default(), folder: None, hashed }
    }

    pub fn writer(&self) -> MutexGuard<'_, Option<Writer>> {
        // A panic while the lock is held leaves the batch in the writer: it is written again.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs the writer thread: until the journal is closed and everything is written, or the disk fails then.
    pub fn write_groups(&self) {
        while self.wait_for_group() {
            let written = self.writer().as_mut().map(|writer| writer.write_next(&self.queue, WrittenBy::WriterThread));
            match written {
                Some(Ok(())) => {}
                Some(Err(_)) if !self.queue.lock().closing => thread::sleep(RETRY),
                Some(Err(_)) | None => return,
            }
        }
    }

    /// Waits until a group is due: when a caller waits for it, else at the end of the group window. Returns false if the
    /// journal is closed and everything is written.
    fn wait_for_group(&self) -> bool {
        let mut queue = self.queue.lock();
        let mut seen = None;
        loop {
            if queue.failed.is_some() {
                return true;
            }
            let rest = match queue.group_started {
                Some(since) => {
                    let rest = GROUP_WINDOW.saturating_sub(since.elapsed());
                    if queue.urgent || queue.closing || rest.is_zero() || queue.bytes.len() > HIGH_WATER / 2 {
                        return true;
                    }
                    rest
                }
                None if queue.closing => return false,
                // Nothing was appended during a whole window: release the buffers and sleep.
                None if seen == Some(queue.appended) => {
                    queue.shrink();
                    queue.writer_sleeps = true;
                    queue = self.work.wait(queue).unwrap_or_else(PoisonError::into_inner);
                    queue.writer_sleeps = false;
                    continue;
                }
                None => GROUP_WINDOW,
            };
            seen = Some(queue.appended);
            queue = self.work.wait_timeout(queue, rest).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Writes the current group on the caller's thread. Does nothing if the writer is busy, must retry a batch, or must begin
    /// a segment.
    pub fn write_on_this_thread(&self) {
        let mut writer = match self.writer.try_lock() {
            Ok(writer) => writer,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        let Some(writer) = writer.as_mut().filter(|writer| writer.is_ready()) else { return };
        // More waiters may have come since the caller checked.
        let mut queue = self.queue.lock();
        if queue.waiter_should_write() {
            writer.batch = queue.take_batch();
            drop(queue);
            if writer.write_next(&self.queue, WrittenBy::Waiter).is_err() {
                self.work.notify_one();
            }
        }
    }
}
