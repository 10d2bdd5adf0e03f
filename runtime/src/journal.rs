//! The journal: one writer thread that takes events of all actors to disk, in groups. The format is in [`crate::chain`].
//!
//! Appending hashes the event on the caller's thread, under the chain's own lock, and copies it into a shared buffer; the
//! writer takes the whole buffer at once, so events appended under one lock are in one group: after a crash nobody has
//! received what nobody sent.
//!
//! Where nobody else waits for the disk, and it is quick, who waits writes the group on its own thread: two changes of
//! thread would take as long as the flush.
//!
//! A write that fails is tried again at the same place until it succeeds; meanwhile nothing can be appended, so a call
//! that cannot be recorded fails and nothing wrong is recorded.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::chain::{Chain, EventRef, FORMAT, INLINE, Id, NewEvent};
use crate::executor;
use crate::keep::{self, Base};
use crate::segment::{self, EVENT, End, FRAME, NO_PLACE, Place};

/// Longest time between a group's first event and the end of its write.
pub const GROUP_WINDOW: Duration = Duration::from_millis(5);
/// Size at which the next segment begins.
pub const SEGMENT_SIZE: u64 = 64 * 1024 * 1024;
/// Bytes that may wait for the writer before calls have to.
const HIGH_WATER: usize = 32 * 1024 * 1024;
/// Most bytes of memory that are kept for a later batch.
const KEPT: usize = 1024 * 1024;
/// Longest mean flush for which a thread of the executor is held ...
const QUICK: Duration = Duration::from_micros(500);
/// ... and most bytes.
const SMALL: usize = 64 * 1024;

/// How durable an actor's events are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sync {
    /// Written to the system within the group window; lost only when the machine stops.
    None,
    /// And flushed to the disk with the group.
    #[default]
    Batch,
    /// And flushed before anything that follows from them leaves: the result of a host call that waits for something, the
    /// answer to a call, and the word that a message was taken in.
    Always,
}

/// Why an event could not be appended.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the journal {} cannot be written: {reason}", path.display())]
pub struct JournalError {
    /// The segment.
    pub path: PathBuf,
    /// The system's words.
    pub reason: String,
}

/// Where events go.
pub struct Journal {
    shared: Arc<Shared>,
    // The writer, and who keeps the segments behind it.
    threads: Mutex<Vec<thread::JoinHandle<()>>>,
}

/// An event that is in its chain and not in the journal yet.
pub struct Made {
    actor: Id,
    frame: Vec<u8>,
    sync: Sync,
}

struct Shared {
    queue: Mutex<Queue>,
    work: Condvar,
    // Locked before the queue by who takes a batch from it: batches are written in their order. None: at the end.
    writer: Mutex<Option<Writer>>,
    /// None: events are dropped.
    folder: Option<PathBuf>,
    hashed: bool,
}

#[derive(Default)]
struct Queue {
    // Frames without checksums and places, and where each starts.
    bytes: Vec<u8>,
    // The memory of a batch that is written.
    spare: Vec<u8>,
    frames: Vec<(Id, usize)>,
    // When the first of them was appended.
    since: Option<Instant>,
    sync: bool,
    appended: u64,
    written: u64,
    waiters: Vec<(u64, executor::Sender<()>)>,
    // How many wait for a batch, at most: forgotten by and by, since one of many is often the first. And how long a flush
    // takes: the mean of the newest ones.
    crowd: usize,
    flush: Option<Duration>,
    room: Vec<executor::Sender<()>>,
    places: HashMap<Id, u64>,
    // What may be dropped, and how many events were written when the newest segment began.
    bases: HashMap<Id, Bases>,
    rotated: u64,
    forget: Vec<Id>,
    failed: Option<JournalError>,
    // The writer's thread sleeps until it is told; otherwise it looks at the end of the group window.
    sleeps: bool,
    urgent: bool,
    stop: bool,
}

/// What may be dropped of an actor's chain: of snapshots, each with how many events were appended when it was.
#[derive(Default)]
struct Bases {
    // The newest that stands in a segment behind which another one has begun ...
    sealed: Option<(u64, Base)>,
    // ... the newest that was written when one came behind it, which the next segment makes such a one, ...
    written: Option<(u64, Base)>,
    // ... and the newest.
    newest: Option<(u64, Base)>,
    // None will follow.
    ended: bool,
}

impl Bases {
    fn push(&mut self, appended: u64, base: Base, written: u64, rotated: u64) {
        let before = self.newest.replace((appended, base)).filter(|(appended, _)| *appended <= written);
        if let Some(before) = before {
            let older = self.written.replace(before).filter(|(appended, _)| *appended <= rotated);
            self.sealed = older.or(self.sealed.take());
        }
    }

    /// The newest base among the first so many events of the journal.
    fn within(&self, rotated: u64) -> Option<&Base> {
        let mut all = [&self.newest, &self.written, &self.sealed].into_iter().flatten();
        all.find(|(appended, _)| *appended <= rotated).map(|(_, base)| base)
    }
}

fn lock(shared: &Shared) -> MutexGuard<'_, Queue> {
    // A panic while the lock is held leaves the queue as it was before the append or whole after it.
    shared.queue.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Milliseconds since the epoch.
#[must_use]
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

impl Journal {
    /// Opens the journal of a data folder, repairing the end of its last segment: what a crash cut off is moved to a
    /// file `.torn` beside it.
    ///
    /// # Errors
    /// What the system says; damage anywhere else than behind the last commit does not hinder writing.
    pub fn open(folder: &Path, segment_size: u64) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let (rotated, rotations) = mpsc::channel();
        let writer = Writer::open(folder.to_owned(), segment_size, rotated)?;
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            work: Condvar::new(),
            writer: Mutex::new(Some(writer)),
            folder: Some(folder.to_owned()),
            hashed: true,
        });
        let of_thread = Arc::clone(&shared);
        let writer = thread::Builder::new().name("theater-journal".to_owned()).spawn(move || of_thread.write_all())?;
        let (of_thread, folder) = (Arc::clone(&shared), folder.to_owned());
        let keeper = thread::Builder::new().name("theater-keeper".to_owned());
        let keeper = keeper.spawn(move || keep_segments(&of_thread, &folder, &rotations))?;
        Ok(Self { shared, threads: Mutex::new(vec![writer, keeper]) })
    }

    /// A journal that drops events, hashed or not: for benches that leave the disk or the chain out.
    #[must_use]
    pub fn discarding(hashed: bool) -> Self {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            work: Condvar::new(),
            writer: Mutex::default(),
            folder: None,
            hashed,
        });
        Self { shared, threads: Mutex::default() }
    }

    /// Whether events are not even made: a bench that leaves the chain out.
    #[must_use]
    pub fn drops_all(&self) -> bool {
        !self.shared.hashed
    }

    /// Where the segments are.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        self.shared.folder.as_deref()
    }

    /// Appends one event to a chain.
    ///
    /// # Errors
    /// When the disk does not take events.
    pub fn append(&self, chain: &mut Chain, event: &NewEvent<'_>, sync: Sync) -> Result<EventRef, JournalError> {
        if !self.shared.hashed {
            return Ok(chain.skip_event());
        }
        self.takes_events()?;
        let (made, frame) = self.make(chain, event, sync);
        self.append_made([frame]);
        Ok(made)
    }

    /// Whether the disk takes events.
    ///
    /// # Errors
    /// When it does not.
    pub fn takes_events(&self) -> Result<(), JournalError> {
        lock(&self.shared).failed.clone().map_or(Ok(()), Err)
    }

    /// Makes a chain's next event, for [`Journal::append_made`]: hashed before the queue is locked, since that needs only the
    /// chain's own end.
    pub fn make(&self, chain: &mut Chain, event: &NewEvent<'_>, sync: Sync) -> (EventRef, Made) {
        if !self.shared.hashed {
            return (chain.skip_event(), Made { actor: chain.actor(), frame: Vec::new(), sync });
        }
        let mut frame = Vec::with_capacity(FRAME + 256 + event.data.len());
        frame.resize(FRAME, 0);
        let made = chain.push(event, now_ms(), &mut frame);
        if event.data.len() > INLINE {
            frame.extend_from_slice(event.data);
        }
        (made, Made { actor: chain.actor(), frame, sync })
    }

    /// Appends events in one group: after a crash all of them are there, or none.
    pub fn append_made<const N: usize>(&self, made: [Made; N]) {
        if self.shared.folder.is_none() {
            return;
        }
        let mut queue = lock(&self.shared);
        queue.since.get_or_insert_with(Instant::now);
        for Made { actor, frame, sync } in &made {
            queue.push(*actor, frame, *sync);
        }
        if queue.sleeps {
            self.shared.work.notify_one();
        }
    }

    /// A snapshot stands for what was before it: the data of that may go, once the snapshot is safe.
    pub fn may_drop(&self, actor: Id, base: Base) {
        if self.shared.folder.is_none() {
            return;
        }
        let mut queue = lock(&self.shared);
        let (appended, written, rotated) = (queue.appended, queue.written, queue.rotated);
        let bases = queue.bases.entry(actor).or_default();
        bases.ended = false;
        bases.push(appended, base, written, rotated);
    }

    /// Forgets an actor that has ended: its next event, if there is one, starts a new list of places.
    pub fn forget(&self, actor: Id) {
        if self.shared.folder.is_some() {
            let mut queue = lock(&self.shared);
            queue.forget.push(actor);
            if let Some(bases) = queue.bases.get_mut(&actor) {
                bases.ended = true;
            }
        }
    }

    /// Waits until events may be appended without the buffer growing beyond its bound.
    pub async fn room(&self) {
        let waiter = {
            let mut queue = lock(&self.shared);
            if queue.bytes.len() < HIGH_WATER || queue.stop {
                return;
            }
            let (sender, receiver) = executor::bounded(1);
            queue.room.push(sender);
            receiver
        };
        executor::turn(&waiter).await;
    }

    /// Waits until everything appended so far is written (and flushed, for actors that say so).
    ///
    /// # Errors
    /// When the disk does not take it.
    pub async fn written(&self) -> Result<(), JournalError> {
        if self.shared.folder.is_none() {
            return Ok(());
        }
        let mut wanted = None;
        let mut may_write = true;
        loop {
            let waiter = {
                let mut queue = lock(&self.shared);
                let until = *wanted.get_or_insert(queue.appended);
                if queue.written >= until {
                    return Ok(());
                }
                if let Some(failed) = &queue.failed {
                    return Err(failed.clone());
                }
                if may_write && queue.is_for_who_waits() {
                    drop(queue);
                    self.shared.write_here();
                    may_write = false;
                    continue;
                }
                let (sender, receiver) = executor::bounded(1);
                queue.waiters.push((until, sender));
                queue.urgent = true;
                self.shared.work.notify_one();
                receiver
            };
            // Written, or failed: look again either way.
            executor::turn(&waiter).await;
        }
    }

    /// An actor of a program before goes on: its next event follows the one at `newest`.
    pub fn go_on(&self, actor: Id, newest: Place) {
        lock(&self.shared).places.insert(actor, newest.number());
    }

    /// Where an actor's newest written event is.
    #[must_use]
    pub fn place(&self, actor: Id) -> Option<Place> {
        lock(&self.shared).places.get(&actor).copied().and_then(Place::from_number)
    }

    /// Writes what is left and ends the writer.
    pub fn close(&self) {
        {
            let mut queue = lock(&self.shared);
            queue.stop = true;
            self.shared.work.notify_one();
        }
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            drop(thread.join());
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.close();
    }
}

impl Queue {
    fn push(&mut self, actor: Id, frame: &[u8], sync: Sync) {
        self.frames.push((actor, self.bytes.len()));
        self.bytes.extend_from_slice(frame);
        self.sync |= sync != Sync::None;
        self.appended += 1;
    }

    /// Whether who waits may as well write: nobody else waits, and it does not hold its thread for long.
    fn is_for_who_waits(&self) -> bool {
        let is_quick = self.flush.is_some_and(|flush| flush < QUICK);
        is_quick && self.crowd <= 1 && self.waiters.is_empty() && self.bytes.len() < SMALL
    }

    /// What waits to be written; nothing where nothing does.
    fn take(&mut self) -> Option<Batch> {
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

    /// A batch is written, and flushed in this time where it had to be: who waited for it is told.
    fn settle(&mut self, mut batch: Batch, flush: Option<Duration>, waits: Waits) {
        self.failed = None;
        self.written += batch.frames.len() as u64;
        let (written, waited) = (self.written, self.waiters.len());
        self.waiters.retain(|(until, _)| *until > written);
        let waited = waited - self.waiters.len() + usize::from(waits == Waits::Here);
        self.crowd = waited.max(self.crowd - self.crowd.div_ceil(8));
        self.urgent = !self.waiters.is_empty();
        self.flush = flush.map(|flush| self.flush.map_or(flush, |mean| (mean * 7 + flush) / 8)).or(self.flush);
        self.room.clear();
        self.places.extend(batch.places.drain());
        // The memory of this batch serves the one after the next: large ones would be mapped and unmapped each time.
        if batch.bytes.capacity() <= KEPT {
            batch.bytes.clear();
            self.spare = batch.bytes;
        }
        // Only now: what an actor wrote last is in this batch or an earlier one.
        for actor in &batch.forget {
            self.places.remove(actor);
        }
    }

    /// Nothing can be appended until the disk takes what was before.
    fn fail(&mut self, failed: JournalError) {
        self.failed = Some(failed);
        self.waiters.clear();
        self.room.clear();
    }

    /// The last events of these actors in these segments are elsewhere now, and of actors that have ended all is dropped
    /// that may be, among the first so many events.
    fn follow(&mut self, moved: &keep::Moved, rotated: u64) {
        self.bases.retain(|_, bases| !(bases.ended && bases.newest.as_ref().is_none_or(|(at, _)| *at <= rotated)));
        for ((actor, segment), offset) in moved {
            if let Some(place) = self.places.get_mut(actor).filter(|place| (**place >> 32) as u32 == *segment) {
                *place = Place { segment: *segment, offset: *offset }.number();
            }
        }
    }
}

impl Shared {
    fn writer(&self) -> MutexGuard<'_, Option<Writer>> {
        // A panic while it is locked leaves the batch where it is: it is written again.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The writer's thread.
    fn write_all(&self) {
        let mut written = Ok(());
        while written.is_ok() && self.is_due() {
            let mut writer = self.writer();
            let Some(writer) = writer.as_mut() else { return };
            loop {
                written = writer.write_next(self, Waits::Others);
                if written.is_ok() || lock(self).stop {
                    break;
                }
                thread::sleep(Duration::from_millis(200));
            }
        }
        // Who keeps the segments ends with it.
        *self.writer() = None;
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
                    (queue.bytes, queue.spare) = (Vec::new(), Vec::new());
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
    fn write_here(&self) {
        let Ok(mut writer) = self.writer.try_lock() else { return };
        if let Some(writer) = writer.as_mut().filter(|writer| writer.batch.is_none() && !writer.is_full())
            && writer.write_next(self, Waits::Here).is_err()
        {
            self.work.notify_one();
        }
    }
}

/// Each time a segment has ended: writes its index, and drops what may go from all that have.
fn keep_segments(shared: &Shared, folder: &Path, rotations: &mpsc::Receiver<u32>) {
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
        let kept = keep::write_indices(folder, indexed, current).and_then(|()| {
            indexed = current;
            keep::drop_data(folder, current, &bases)
        });
        match kept {
            Ok(moved) => lock(shared).follow(&moved, rotated),
            Err(error) => tracing::warn!("{}: what may go was not dropped: {error}", folder.display()),
        }
    }
}

struct Writer {
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
}

/// Who waits for a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waits {
    /// Who writes it.
    Here,
    /// Only others, or nobody.
    Others,
}

impl Writer {
    fn open(folder: PathBuf, segment_size: u64, rotated: mpsc::Sender<u32>) -> io::Result<Self> {
        let last = segment::list(&folder)?.pop();
        match last {
            None => Self::start(folder, segment_size, 1, 1, rotated),
            Some((number, path)) => {
                let End { offset, next_group: group, .. } = segment::repair(&path)?;
                let file = OpenOptions::new().read(true).write(true).open(&path)?;
                let writer = Self { folder, rotated, segment_size, number, file, path, offset, group, batch: None };
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
        Ok(Self { folder, rotated, segment_size, number, file, path, offset, group, batch: None })
    }

    fn is_full(&self) -> bool {
        self.offset >= self.segment_size
    }

    /// Begins the next segment where this one is full; all that was written is on the disk then.
    fn rotate(&mut self, shared: &Shared) -> io::Result<()> {
        if !self.is_full() {
            return Ok(());
        }
        self.file.sync_data()?;
        let rotated = self.rotated.clone();
        let next = Self::start(self.folder.clone(), self.segment_size, self.number + 1, self.group, rotated)?;
        *self = Self { batch: self.batch.take(), ..next };
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
    fn write_next(&mut self, shared: &Shared, waits: Waits) -> Result<(), JournalError> {
        if self.batch.is_none() {
            self.batch = lock(shared).take();
        }
        // Somebody who waited may have written what was due.
        if self.batch.is_none() {
            return Ok(());
        }
        match self.rotate(shared).and_then(|()| self.write()) {
            Ok(flush) => {
                if let Some(batch) = self.batch.take() {
                    lock(shared).settle(batch, flush, waits);
                }
                Ok(())
            }
            Err(error) => {
                let failed = JournalError { path: self.path.clone(), reason: error.to_string() };
                tracing::error!("{failed}; trying again, calls fail meanwhile");
                lock(shared).fail(failed.clone());
                Err(failed)
            }
        }
    }

    /// How long the flush took, where there was one.
    fn write(&mut self) -> io::Result<Option<Duration>> {
        let Some(batch) = &mut self.batch else { return Ok(None) };
        let (commit, places) = batch.seal(self.number, self.offset, self.group);
        let events = batch.bytes.len();
        // All of a group in one write: each one more is felt where the disk is waited for.
        batch.bytes.extend_from_slice(&commit);
        let written = self.file.write_all_at(&batch.bytes, self.offset).and_then(|()| {
            let begun = Instant::now();
            if batch.sync { self.file.sync_data().map(|()| Some(begun.elapsed())) } else { Ok(None) }
        });
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

/// What the writer took from the queue at once.
struct Batch {
    bytes: Vec<u8>,
    frames: Vec<(Id, usize)>,
    sync: bool,
    forget: Vec<Id>,
    places: HashMap<Id, u64>,
}

impl Batch {
    /// Fills in the heads of the group's frames, as they will stand from `offset` of segment `number` on: its commit frame,
    /// and where the actors' last events are then.
    fn seal(&mut self, number: u32, offset: u64, group: u64) -> (Vec<u8>, HashMap<Id, u64>) {
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

const _: () = assert!(FORMAT == 1, "the writer writes format 1");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::event_hash;
    use crate::executor::{block_on, spawn};
    use crate::record::Kind;
    use crate::verify;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("theater-{name}-{}", std::process::id()));
            drop(std::fs::remove_dir_all(&folder));
            Self(folder)
        }

        fn journal(&self, segment_size: u64) -> Arc<Journal> {
            Arc::new(Journal::open(&self.0.join("journal"), segment_size).unwrap())
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            drop(std::fs::remove_dir_all(&self.0));
        }
    }

    fn push(journal: &Journal, chain: &mut Chain, sync: Sync) -> EventRef {
        journal.append(chain, &NewEvent::plain(Kind::Queued, &[5; 300]), sync).unwrap()
    }

    #[test]
    fn who_waits_alone_writes_itself_and_one_of_many_does_not() {
        let folder = Folder::new("alone");
        let journal = folder.journal(SEGMENT_SIZE);
        let mut chain = Chain::new([1; 16]);
        push(&journal, &mut chain, Sync::Always);
        block_on(journal.written()).unwrap();
        assert!(lock(&journal.shared).flush.is_some(), "it was flushed");
        // However slow this disk is.
        let is_for_who_waits = |flush, crowd| {
            let mut queue = lock(&journal.shared);
            (queue.flush, queue.crowd) = (Some(flush), crowd);
            queue.is_for_who_waits()
        };
        assert!(
            !is_for_who_waits(QUICK, 1) && !is_for_who_waits(Duration::ZERO, 2) && is_for_who_waits(Duration::ZERO, 1)
        );
        // The writer's thread answers to nobody here, who waits to itself; now and then that thread is the first.
        let here = (2..100).any(|count| {
            push(&journal, &mut chain, Sync::Always);
            journal.shared.write_here();
            block_on(journal.written()).unwrap();
            let queue = lock(&journal.shared);
            assert_eq!(queue.written, count);
            queue.crowd == 1
        });
        assert!(here);
    }

    #[test]
    fn whoever_writes_it_an_event_that_was_waited_for_is_at_its_place_and_groups_are_in_order() {
        const EACH: u64 = 300;
        let folder = Folder::new("whoever");
        let journal = folder.journal(20_000);
        let tasks = [(1, Sync::Always), (2, Sync::Always), (3, Sync::Batch), (4, Sync::None)].map(|(number, sync)| {
            let (journal, path) = (Arc::clone(&journal), folder.0.join("journal"));
            spawn(async move {
                let mut chain = Chain::new([number; 16]);
                for sequence in 0..EACH {
                    let made = push(&journal, &mut chain, sync);
                    if sync == Sync::Always {
                        journal.written().await.unwrap();
                        let place = journal.place(chain.actor()).expect("it is written");
                        let event = segment::read_event(&path, chain.actor(), place, sequence..=sequence).unwrap();
                        assert_eq!(event_hash(&event.header.bytes()), made.hash);
                    } else {
                        executor::yield_now().await;
                    }
                }
            })
        });
        tasks.into_iter().for_each(block_on);
        journal.close();
        let contents = verify::read(&folder.0, |_| {}).unwrap();
        assert_eq!(contents.chains.values().map(|end| end.chain.len()).collect::<Vec<_>>(), [EACH; 4]);
        assert!(segment::list(&folder.0.join("journal")).unwrap().len() > 10);
    }

    #[test]
    fn however_often_snapshots_come_one_of_those_in_ended_segments_is_known() {
        let base = |below| Base { below, waiting: Vec::new() };
        let mut bases = Bases::default();
        // One snapshot a group: at each rotation the newest is in the group that is about to be written.
        let (mut written, mut rotated) = (0, 0);
        for appended in 1..100_u64 {
            bases.push(appended, base(appended), written, rotated);
            if appended % 10 == 0 {
                rotated = written;
                let known = bases.within(rotated).map(|base| base.below);
                assert_eq!(known, (rotated > 0).then_some(rotated));
            }
            assert!(bases.within(rotated).is_none_or(|base| base.below <= rotated));
            assert_eq!(bases.within(rotated).is_some(), rotated > 0);
            written = appended;
        }
    }
}
