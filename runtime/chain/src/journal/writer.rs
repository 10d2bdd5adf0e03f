//! Writing groups to segments: the writer's thread, who waits alone, and who keeps the segments behind them.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{MutexGuard, PoisonError, TryLockError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use super::queue::{Bases, Batch, By};
use super::{GROUP_WINDOW, HIGH_WATER, JournalError, JournalState, lock, now_ms};
use crate::event::{FORMAT, Id};
use crate::journal::segment::{self, SegmentEnd};
use crate::journal::{recovery, retention};

/// Time after which what could not be written is tried again.
const AGAIN: Duration = Duration::from_millis(200);

impl JournalState {
    pub fn writer(&self) -> MutexGuard<'_, Option<Writer>> {
        // A panic while it is locked leaves the batch where it is: it is written again.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The writer's thread: until the journal is closed and all is written, or the disk does not take it.
    pub fn write_groups(&self) {
        while self.is_due() {
            let written = self.writer().as_mut().map(|writer| writer.write_next(self, By::Thread));
            match written {
                Some(Ok(())) => {}
                Some(Err(_)) if !lock(self).stop => thread::sleep(AGAIN),
                Some(Err(_)) | None => return,
            }
        }
    }

    /// Waits until there is something to write: at once when somebody waits for it, else when the group window ends. False:
    /// the journal is closed and all is written.
    fn is_due(&self) -> bool {
        let mut queue = lock(self);
        let mut seen = None;
        loop {
            if queue.failed.is_some() {
                return true;
            }
            let rest = match queue.since {
                Some(since) => {
                    let rest = GROUP_WINDOW.saturating_sub(since.elapsed());
                    if queue.urgent || queue.stop || rest.is_zero() || queue.bytes.len() > HIGH_WATER / 2 {
                        return true;
                    }
                    rest
                }
                None if queue.stop => return false,
                // Nothing since the last look: what is idle needs no memory.
                None if seen == Some(queue.appended) => {
                    queue.shrink();
                    queue.sleeps = true;
                    queue = self.work.wait(queue).unwrap_or_else(PoisonError::into_inner);
                    queue.sleeps = false;
                    continue;
                }
                None => GROUP_WINDOW,
            };
            seen = Some(queue.appended);
            queue = self.work.wait_timeout(queue, rest).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Writes what waits on the caller's thread, unless the writer's own is at work or has more to do than that.
    pub fn write_here(&self) {
        let mut writer = match self.writer.try_lock() {
            Ok(writer) => writer,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        let Some(writer) = writer.as_mut().filter(|writer| writer.batch.is_none() && !writer.is_full()) else { return };
        // Others may have come since the caller looked.
        let mut queue = lock(self);
        if queue.is_for_who_waits() {
            writer.batch = queue.take();
            drop(queue);
            if writer.write_next(self, By::Waiter).is_err() {
                self.work.notify_one();
            }
        }
    }
}

/// Each time a segment has ended: writes its index, and drops what may go from all that have.
pub(super) fn keep_segments(shared: &JournalState, folder: &Path, rotations: &mpsc::Receiver<u32>) {
    let mut indexed = 1;
    while let Ok(current) = rotations.recv() {
        let current = rotations.try_iter().last().unwrap_or(current);
        let (bases, rotated) = {
            let queue = lock(shared);
            let of = |(id, bases): (&Id, &Bases)| Some((*id, bases.within(queue.rotated)?.clone()));
            // A program that ends leaves what may go to the next one.
            let bases = if queue.stop { HashMap::new() } else { queue.bases.iter().filter_map(of).collect() };
            (bases, queue.rotated)
        };
        let kept = retention::write_indices(folder, indexed, current).and_then(|()| {
            indexed = current;
            retention::drop_data(folder, current, &bases)
        });
        match kept {
            Ok(moved) => lock(shared).follow(&moved, rotated),
            Err(error) => tracing::warn!("{}: what may go was not dropped: {error}", folder.display()),
        }
    }
}

pub(super) struct Writer {
    folder: PathBuf,
    // Tells of the number of each segment that begins.
    rotated: mpsc::Sender<u32>,
    segment_size: u64,
    number: u32,
    file: File,
    path: PathBuf,
    offset: u64,
    group: u64,
    // What is being written: where that fails it comes before anything else, at the same place.
    batch: Option<Batch>,
    failures: Failures,
}

/// How long it is between two log lines on a disk that takes nothing.
const TOLD_EVERY: Duration = Duration::from_secs(30);

/// Since when the disk takes nothing, and when that was logged last.
#[derive(Default)]
struct Failures(Option<(Instant, Instant)>);

impl Failures {
    fn failed(&mut self, error: &JournalError) {
        let now = Instant::now();
        let (since, told) = self.0.unwrap_or((now, now));
        if self.0.is_none() {
            tracing::error!("{error}; trying again, calls fail meanwhile");
        } else if now.duration_since(told) < TOLD_EVERY {
            return;
        } else {
            tracing::error!("{error}; calls have failed for {} s", now.duration_since(since).as_secs());
        }
        self.0 = Some((since, now));
    }

    fn succeeded(&mut self) {
        if let Some((since, _)) = self.0.take() {
            tracing::warn!("the journal is written again, after {} s", since.elapsed().as_secs());
        }
    }
}

impl Writer {
    pub fn open(folder: PathBuf, segment_size: u64, rotated: mpsc::Sender<u32>) -> io::Result<Self> {
        let last = segment::list(&folder)?.pop();
        match last {
            None => Self::start(folder, segment_size, 1, 1, rotated),
            Some((number, path)) => {
                let SegmentEnd { offset, next_group: group, .. } = recovery::repair(&path)?;
                let file = OpenOptions::new().read(true).write(true).open(&path)?;
                let writer = Self {
                    folder,
                    rotated,
                    segment_size,
                    number,
                    file,
                    path,
                    offset,
                    group,
                    batch: None,
                    failures: Failures::default(),
                };
                writer.tell_keeper();
                Ok(writer)
            }
        }
    }

    fn start(
        folder: PathBuf,
        segment_size: u64,
        number: u32,
        group: u64,
        rotated: mpsc::Sender<u32>,
    ) -> io::Result<Self> {
        let path = folder.join(format!("{number:08}.log"));
        let draft = path.with_extension("draft");
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        let header = segment::header(number, now_ms(), group);
        file.write_all_at(&header, 0)?;
        file.sync_data()?;
        // A segment has its whole header from the start: a crash before this line leaves a draft that nothing reads.
        std::fs::rename(&draft, &path)?;
        File::open(&folder)?.sync_all()?;
        let offset = header.len() as u64;
        Ok(Self {
            folder,
            rotated,
            segment_size,
            number,
            file,
            path,
            offset,
            group,
            batch: None,
            failures: Failures::default(),
        })
    }

    fn is_full(&self) -> bool {
        self.offset >= self.segment_size
    }

    /// Begins the next segment where this one is full; all that was written is on the disk then.
    fn rotate(&mut self, shared: &JournalState) -> io::Result<()> {
        if !self.is_full() {
            return Ok(());
        }
        self.file.sync_data()?;
        let rotated = self.rotated.clone();
        let next = Self::start(self.folder.clone(), self.segment_size, self.number + 1, self.group, rotated)?;
        *self = Self { batch: self.batch.take(), failures: std::mem::take(&mut self.failures), ..next };
        let mut queue = lock(shared);
        queue.rotated = queue.written;
        drop(queue);
        self.tell_keeper();
        Ok(())
    }

    /// There may be ended segments to see to.
    fn tell_keeper(&self) {
        if self.rotated.send(self.number).is_err() {
            tracing::warn!("{}: nobody keeps its segments any more; they stay as they are", self.folder.display());
        }
    }

    /// Writes what waits, beginning with what could not be written before.
    fn write_next(&mut self, shared: &JournalState, by: By) -> Result<(), JournalError> {
        if self.batch.is_none() {
            self.batch = lock(shared).take();
        }
        // Somebody who waited may have written what was due.
        if self.batch.is_none() {
            return Ok(());
        }
        match self.rotate(shared).and_then(|()| self.write()) {
            Ok(took) => {
                self.failures.succeeded();
                if let Some(batch) = self.batch.take() {
                    let told = lock(shared).settle(batch, took, by);
                    drop(told);
                }
                Ok(())
            }
            Err(error) => {
                let failed = JournalError { path: self.path.clone(), reason: error.to_string() };
                self.failures.failed(&failed);
                lock(shared).fail(failed.clone());
                Err(failed)
            }
        }
    }

    /// How long it took, where it was flushed too.
    fn write(&mut self) -> io::Result<Option<Duration>> {
        let Some(batch) = &mut self.batch else { return Ok(None) };
        let (commit, places) = batch.seal(self.number, self.offset, self.group);
        let events = batch.bytes.len();
        // All of a group in one write: each one more is felt where the disk is waited for.
        batch.bytes.extend_from_slice(&commit);
        let begun = Instant::now();
        let written = self
            .file
            .write_all_at(&batch.bytes, self.offset)
            .and_then(|()| if batch.sync { self.file.sync_data().map(|()| Some(begun.elapsed())) } else { Ok(None) });
        if written.is_ok() {
            self.offset += batch.bytes.len() as u64;
            self.group += 1;
            batch.places = places;
        } else {
            batch.bytes.truncate(events);
        }
        written
    }
}

const _: () = assert!(FORMAT == 1, "the writer writes format 1");

#[cfg(test)]
mod tests {
    use futures_lite::future::{block_on, poll_once};

    use super::super::tests::{Folder, alone, push};
    use super::super::{SEGMENT_SIZE, Sync};
    use super::*;
    use crate::event::Chain;
    use crate::verify;

    #[test]
    fn what_could_not_be_written_is_written_once_the_disk_takes_it_and_nothing_is_appended_meanwhile() {
        let folder = Folder::new("failing");
        let journal = folder.journal(SEGMENT_SIZE);
        let mut chain = Chain::new([1; 16]);
        for is_alone in [true, false] {
            push(&journal, &mut chain, Sync::Always).unwrap();
            block_on(journal.written()).unwrap();
            let use_file = |file| std::mem::replace(&mut journal.shared.writer().as_mut().unwrap().file, file);
            let good = use_file(File::open(folder.path().join("journal/00000001.log")).unwrap());
            push(&journal, &mut chain, Sync::Always).unwrap();
            let failed = if is_alone {
                alone(&journal);
                // At once, unless the thread is at it in this moment.
                block_on(poll_once(journal.written())).unwrap_or_else(|| block_on(journal.written()))
            } else {
                lock(&journal.shared).crowd = 2;
                block_on(journal.written())
            };
            assert!(failed.unwrap_err().to_string().contains("Bad file descriptor"));
            assert!(push(&journal, &mut chain, Sync::Always).is_err());
            use_file(good);
            while push(&journal, &mut chain, Sync::Always).is_err() {
                thread::yield_now();
            }
        }
        journal.close();
        let contents = verify::read(folder.path(), |_| {}).unwrap();
        assert_eq!(contents.chains[&[1; 16]].chain.len(), 6);
    }
}
