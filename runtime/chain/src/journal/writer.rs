//! Writes groups to segments, begins new segments, and retries what could not be written.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::event::FORMAT;
use crate::journal::queue::{Batch, SharedQueue, WrittenBy};
use crate::journal::recovery;
use crate::journal::segment::{self, SegmentEnd};
use crate::journal::types::{JournalError, now_ms};

/// The writer of the newest segment.
pub(super) struct Writer {
    folder: PathBuf,
    // Receives the number of each segment that begins.
    rotated: mpsc::Sender<u32>,
    segment_size: u64,
    number: u32,
    pub file: File,
    path: PathBuf,
    offset: u64,
    group: u64,
    // The batch that is being written. If the write fails, it is retried before any other batch, at the same offset.
    pub batch: Option<Batch>,
    failures: Failures,
}

/// Time between two log lines about a disk that fails.
const LOG_INTERVAL: Duration = Duration::from_secs(30);

/// When the disk began to fail, and when that was last logged.
#[derive(Default)]
struct Failures(Option<(Instant, Instant)>);

impl Failures {
    fn failed(&mut self, error: &JournalError) {
        let now = Instant::now();
        let (since, logged) = self.0.unwrap_or((now, now));
        if self.0.is_none() {
            tracing::error!("{error}; trying again, calls fail meanwhile");
        } else if now.duration_since(logged) < LOG_INTERVAL {
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
    /// Opens the newest segment after [`recovery`], or begins the first one.
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
                writer.notify_maintenance();
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
        let path = segment::segment_path(&folder, number);
        let draft = path.with_extension("draft");
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        let header = segment::segment_header(number, now_ms(), group);
        file.write_all_at(&header, 0)?;
        file.sync_data()?;
        // A segment has its complete header from the start: a crash before this line leaves a draft that nothing reads.
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

    /// Whether the next batch needs neither a retry of a previous one nor a new segment.
    pub fn is_ready(&self) -> bool {
        self.batch.is_none() && !self.is_full()
    }

    /// Begins the next segment if this one is full. Flushes this one first: completed segments are always on disk.
    fn rotate(&mut self, queue: &SharedQueue) -> io::Result<()> {
        if !self.is_full() {
            return Ok(());
        }
        self.file.sync_data()?;
        let rotated = self.rotated.clone();
        let next = Self::start(self.folder.clone(), self.segment_size, self.number + 1, self.group, rotated)?;
        *self = Self { batch: self.batch.take(), failures: std::mem::take(&mut self.failures), ..next };
        let mut queue = queue.lock();
        queue.completed = queue.written;
        drop(queue);
        self.notify_maintenance();
        Ok(())
    }

    /// Notifies the maintenance thread that there may be completed segments.
    fn notify_maintenance(&self) {
        if self.rotated.send(self.number).is_err() {
            tracing::warn!("{}: the maintenance thread has ended; segments are not maintained", self.folder.display());
        }
    }

    /// Writes a batch: the one whose write failed, else the next one from the queue.
    pub fn write_next(&mut self, queue: &SharedQueue, by: WrittenBy) -> Result<(), JournalError> {
        if self.batch.is_none() {
            self.batch = queue.lock().take_batch();
        }
        // A waiter may have written the batch that was due.
        if self.batch.is_none() {
            return Ok(());
        }
        match self.rotate(queue).and_then(|()| self.write()) {
            Ok(took) => {
                self.failures.succeeded();
                if let Some(batch) = self.batch.take() {
                    let completed = queue.lock().complete(batch, took, by);
                    drop(completed);
                }
                Ok(())
            }
            Err(error) => {
                let failed = JournalError { path: self.path.clone(), reason: error.to_string() };
                self.failures.failed(&failed);
                queue.lock().fail(failed.clone());
                Err(failed)
            }
        }
    }

    /// Writes the batch, and flushes it if one of its events requires that. Returns the duration if it was flushed.
    fn write(&mut self) -> io::Result<Option<Duration>> {
        let Some(batch) = &mut self.batch else { return Ok(None) };
        let (commit, positions) = batch.finish(self.number, self.offset, self.group);
        let events = batch.bytes.len();
        // A group is a single write: each further one would add latency where the caller waits for the disk.
        batch.bytes.extend_from_slice(&commit);
        let started = Instant::now();
        let written = self.file.write_all_at(&batch.bytes, self.offset).and_then(|()| {
            if batch.flush { self.file.sync_data().map(|()| Some(started.elapsed())) } else { Ok(None) }
        });
        if written.is_ok() {
            self.offset += batch.bytes.len() as u64;
            self.group += 1;
            batch.positions = positions;
        } else {
            batch.bytes.truncate(events);
        }
        written
    }
}

const _: () = assert!(FORMAT == 1, "the writer writes format 1");
