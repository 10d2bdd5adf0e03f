//! The journal: takes events of all actors to disk, in groups, one behind the other. The format is in [`crate::event`].
//!
//! Appending hashes the event on the caller's thread, under the chain's own lock, and copies it into a shared buffer; the
//! writer takes the whole buffer at once, so events appended under one lock are in one group: after a crash nobody has
//! received what nobody sent.
//!
//! A thread writes the groups. Where one actor waits and nobody else, and the disk is quick, who waits writes the group
//! instead: two changes of thread would take half as long as that.
//!
//! A write that fails is tried again at the same place until it succeeds; meanwhile nothing can be appended, so a call
//! that cannot be recorded fails and nothing wrong is recorded.

pub mod export;
pub mod index;
pub mod lookup;
pub mod prune;
mod queue;
pub mod reader;
pub mod recovery;
pub mod retention;
pub mod segment;
mod writer;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use self::queue::Queue;
use self::writer::{Writer, keep_segments};
use crate::event::{Chain, EventRef, INLINE, Id, NewEvent};
use crate::journal::retention::RetainFrom;
use crate::journal::segment::{FRAME, FramePosition};
use crate::latch::{Latch, SetOnDrop};

/// Longest time between a group's first event and the beginning of its write.
pub const GROUP_WINDOW: Duration = Duration::from_millis(5);
/// Size at which the next segment begins.
pub const SEGMENT_SIZE: u64 = 64 * 1024 * 1024;
/// Bytes that may wait for the writer before calls have to.
const HIGH_WATER: usize = 32 * 1024 * 1024;

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
    shared: Arc<JournalState>,
    // The writer, and who keeps the segments behind it.
    threads: Mutex<Vec<thread::JoinHandle<()>>>,
    // Whether a waiter may write on its own thread.
    may_write: fn() -> bool,
}

/// An event that is in its chain and not in the journal yet.
pub struct EncodedEvent {
    actor: Id,
    frame: Vec<u8>,
    sync: Sync,
}

struct JournalState {
    queue: Mutex<Queue>,
    work: Condvar,
    // Locked before the queue by who takes a batch from it: batches are written in their order. None: at the end.
    writer: Mutex<Option<Writer>>,
    /// None: events are dropped.
    folder: Option<PathBuf>,
    hashed: bool,
}

fn lock(shared: &JournalState) -> MutexGuard<'_, Queue> {
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
        Self::open_with(folder, segment_size, || true)
    }

    /// As [`Journal::open`]. Before a waiter writes a group on its own thread, it asks `may_write`, on that thread.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn open_with(folder: &Path, segment_size: u64, may_write: fn() -> bool) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let (rotated, rotations) = mpsc::channel();
        let writer = Writer::open(folder.to_owned(), segment_size, rotated)?;
        let has_more_threads = thread::available_parallelism().is_ok_and(|threads| threads.get() > 1);
        let shared = Arc::new(JournalState {
            queue: Mutex::new(Queue::new(has_more_threads)),
            work: Condvar::new(),
            writer: Mutex::new(Some(writer)),
            folder: Some(folder.to_owned()),
            hashed: true,
        });
        let of_thread = Arc::clone(&shared);
        let writer =
            thread::Builder::new().name("theater-journal".to_owned()).spawn(move || of_thread.write_groups())?;
        let (of_thread, folder) = (Arc::clone(&shared), folder.to_owned());
        let keeper = thread::Builder::new().name("theater-keeper".to_owned());
        let keeper = keeper.spawn(move || keep_segments(&of_thread, &folder, &rotations))?;
        Ok(Self { shared, threads: Mutex::new(vec![writer, keeper]), may_write })
    }

    /// A journal that drops events, hashed or not: for benches that leave the disk or the chain out.
    #[must_use]
    pub fn discarding(hashed: bool) -> Self {
        let shared = Arc::new(JournalState {
            queue: Mutex::default(),
            work: Condvar::new(),
            writer: Mutex::default(),
            folder: None,
            hashed,
        });
        Self { shared, threads: Mutex::default(), may_write: || true }
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
    pub fn make(&self, chain: &mut Chain, event: &NewEvent<'_>, sync: Sync) -> (EventRef, EncodedEvent) {
        if !self.shared.hashed {
            return (chain.skip_event(), EncodedEvent { actor: chain.actor(), frame: Vec::new(), sync });
        }
        let mut frame = Vec::with_capacity(FRAME + 256 + event.data.len());
        frame.resize(FRAME, 0);
        let made = chain.push(event, now_ms(), &mut frame);
        if event.data.len() > INLINE {
            frame.extend_from_slice(event.data);
        }
        (made, EncodedEvent { actor: chain.actor(), frame, sync })
    }

    /// Appends events in one group: after a crash all of them are there, or none.
    pub fn append_made<const N: usize>(&self, made: [EncodedEvent; N]) {
        if self.shared.folder.is_none() {
            return;
        }
        let mut queue = lock(&self.shared);
        for made in &made {
            queue.push(made);
        }
        if std::mem::take(&mut queue.sleeps) {
            self.shared.work.notify_one();
        }
    }

    /// A snapshot stands for what was before it: the data of that may go, once the snapshot is safe.
    pub fn may_drop(&self, actor: Id, base: RetainFrom) {
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
            let latch = Latch::default();
            queue.room.push(SetOnDrop(latch.clone()));
            latch
        };
        waiter.wait().await;
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
        let mut may_write = (self.may_write)();
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
                    may_write = false;
                    self.shared.write_here();
                    continue;
                }
                let latch = Latch::default();
                queue.waiters.push((until, SetOnDrop(latch.clone())));
                queue.urgent = true;
                self.shared.work.notify_one();
                latch
            };
            // Written, or failed: look again either way.
            waiter.wait().await;
        }
    }

    /// An actor of a program before goes on: its next event follows the one at `newest`.
    pub fn go_on(&self, actor: Id, newest: FramePosition) {
        lock(&self.shared).places.insert(actor, newest.number());
    }

    /// Where an actor's newest written event is.
    #[must_use]
    pub fn place(&self, actor: Id) -> Option<FramePosition> {
        lock(&self.shared).places.get(&actor).copied().and_then(FramePosition::from_number)
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
            // The first is the writer's; who keeps the segments ends when nobody can write any more.
            *self.shared.writer() = None;
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use futures_lite::future::{block_on, poll_once};

    use super::queue::{Bases, QUICK};
    use super::*;
    use crate::event::event_hash;
    use crate::record::Kind;
    use crate::verify;

    pub(super) struct Folder(PathBuf);

    impl Folder {
        pub fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("theater-{name}-{}", std::process::id()));
            drop(std::fs::remove_dir_all(&folder));
            Self(folder)
        }

        pub fn path(&self) -> &Path {
            &self.0
        }

        pub fn journal(&self, segment_size: u64) -> Arc<Journal> {
            Arc::new(Journal::open(&self.0.join("journal"), segment_size).unwrap())
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            drop(std::fs::remove_dir_all(&self.0));
        }
    }

    pub(super) fn push(journal: &Journal, chain: &mut Chain, sync: Sync) -> Result<EventRef, JournalError> {
        journal.append(chain, &NewEvent::plain(Kind::Queued, &[5; 300]), sync)
    }

    /// Who waits next may write, however slow this disk is and however few cores there are.
    pub(super) fn alone(journal: &Journal) {
        let mut queue = lock(&journal.shared);
        (queue.pace, queue.crowd, queue.has_more_threads) = (Some(Duration::ZERO), 0, true);
    }

    #[test]
    fn who_waits_alone_writes_itself() {
        let folder = Folder::new("alone");
        let journal = folder.journal(SEGMENT_SIZE);
        let mut chain = Chain::new([1; 16]);
        push(&journal, &mut chain, Sync::Always).unwrap();
        block_on(journal.written()).unwrap();
        assert!(lock(&journal.shared).pace.is_some(), "it was flushed");
        // Now and then the thread is the first, at the end of a group's window: nobody waits for it then.
        let here = (0..100).any(|_| {
            alone(&journal);
            push(&journal, &mut chain, Sync::Always).unwrap();
            let written = block_on(poll_once(journal.written()));
            let answered = lock(&journal.shared).crowd;
            block_on(journal.written()).unwrap();
            matches!(written, Some(Ok(()))) && answered == 1
        });
        assert!(here);
    }

    #[test]
    fn one_of_many_or_on_a_slow_disk_or_the_only_thread_does_not_write_itself() {
        let folder = Folder::new("many");
        let journal = folder.journal(SEGMENT_SIZE);
        let is_for_who_waits = |change: fn(&mut Queue)| {
            alone(&journal);
            let mut queue = lock(&journal.shared);
            change(&mut queue);
            queue.is_for_who_waits()
        };
        assert!(is_for_who_waits(|queue| queue.crowd = 1));
        assert!(!is_for_who_waits(|queue| queue.crowd = 2));
        assert!(!is_for_who_waits(|queue| queue.pace = Some(QUICK)));
        assert!(!is_for_who_waits(|queue| queue.pace = None));
        assert!(!is_for_who_waits(|queue| queue.has_more_threads = false));
    }

    #[test]
    fn whoever_writes_it_an_event_that_was_waited_for_is_at_its_place_and_groups_are_in_order() {
        const EACH: u64 = 300;
        let folder = Folder::new("whoever");
        let journal = folder.journal(20_000);
        let tasks = [(1, Sync::Always), (2, Sync::Always), (3, Sync::Batch), (4, Sync::None)].map(|(number, sync)| {
            let (journal, path) = (Arc::clone(&journal), folder.path().join("journal"));
            thread::spawn(move || {
                let mut chain = Chain::new([number; 16]);
                for sequence in 0..EACH {
                    let made = push(&journal, &mut chain, sync).unwrap();
                    if sync == Sync::Always {
                        if sequence.is_multiple_of(3) {
                            alone(&journal);
                        }
                        block_on(journal.written()).unwrap();
                        let place = journal.place(chain.actor()).expect("it is written");
                        let event = lookup::read_event(&path, chain.actor(), place, sequence..=sequence).unwrap();
                        assert_eq!(event_hash(&event.header.bytes()), made.hash);
                    } else {
                        thread::yield_now();
                    }
                }
            })
        });
        tasks.into_iter().for_each(|task| task.join().unwrap());
        journal.close();
        let contents = verify::read(folder.path(), |_| {}).unwrap();
        assert_eq!(contents.chains.values().map(|end| end.chain.len()).collect::<Vec<_>>(), [EACH; 4]);
        assert!(segment::list(&folder.path().join("journal")).unwrap().len() > 10);
    }

    #[test]
    fn however_often_snapshots_come_one_of_those_in_ended_segments_is_known() {
        let base = |below| RetainFrom { below, waiting: Vec::new() };
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
