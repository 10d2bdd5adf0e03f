//! Tests of the journal as a whole: who writes, order, failing disks, retention.

use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use futures_lite::future::{block_on, poll_once};

use super::queue::{MAX_WAITER_FLUSH, Queue};
use super::*;
use crate::event::event_hash;
use crate::record::Kind;
use crate::verify;

struct Folder(PathBuf);

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

fn push(journal: &Journal, chain: &mut Chain, sync: Sync) -> Result<EventRef, JournalError> {
    journal.append(chain, &NewEvent::plain(Kind::Queued, &[5; 300]), sync)
}

/// Lets the next waiter write, however slow this disk is and however few cores there are.
fn alone(journal: &Journal) {
    let mut queue = journal.groups.queue.lock();
    (queue.mean_flush, queue.recent_waiters, queue.has_other_threads) = (Some(Duration::ZERO), 0, true);
}

#[test]
fn a_single_waiter_writes_on_its_own_thread() {
    let folder = Folder::new("alone");
    let journal = folder.journal(SEGMENT_SIZE);
    let mut chain = Chain::new([1; 16]);
    push(&journal, &mut chain, Sync::Always).unwrap();
    block_on(journal.written()).unwrap();
    assert!(journal.groups.queue.lock().mean_flush.is_some(), "it was flushed");
    // Sometimes the writer thread is first, at the end of the group window: then the caller does not wait.
    let here = (0..100).any(|_| {
        alone(&journal);
        push(&journal, &mut chain, Sync::Always).unwrap();
        let written = block_on(poll_once(journal.written()));
        let answered = journal.groups.queue.lock().recent_waiters;
        block_on(journal.written()).unwrap();
        matches!(written, Some(Ok(()))) && answered == 1
    });
    assert!(here);
}

#[test]
fn a_waiter_does_not_write_if_there_are_others_or_the_disk_is_slow_or_there_is_only_one_thread() {
    let folder = Folder::new("many");
    let journal = folder.journal(SEGMENT_SIZE);
    let waiter_should_write = |change: fn(&mut Queue)| {
        alone(&journal);
        let mut queue = journal.groups.queue.lock();
        change(&mut queue);
        queue.waiter_should_write()
    };
    assert!(waiter_should_write(|queue| queue.recent_waiters = 1));
    assert!(!waiter_should_write(|queue| queue.recent_waiters = 2));
    assert!(!waiter_should_write(|queue| queue.mean_flush = Some(MAX_WAITER_FLUSH)));
    assert!(!waiter_should_write(|queue| queue.mean_flush = None));
    assert!(!waiter_should_write(|queue| queue.has_other_threads = false));
}

#[test]
fn an_acknowledged_event_is_on_disk_and_groups_are_in_order_whichever_thread_writes() {
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
                    let position = journal.newest_position(chain.actor()).expect("it is written");
                    let event = lookup::read_event(&path, chain.actor(), position, sequence..=sequence).unwrap();
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
fn a_failed_write_is_retried_and_nothing_can_be_appended_meanwhile() {
    let folder = Folder::new("failing");
    let journal = folder.journal(SEGMENT_SIZE);
    let mut chain = Chain::new([1; 16]);
    for is_alone in [true, false] {
        push(&journal, &mut chain, Sync::Always).unwrap();
        block_on(journal.written()).unwrap();
        let use_file = |file| std::mem::replace(&mut journal.groups.writer().as_mut().unwrap().file, file);
        let good = use_file(File::open(folder.path().join("journal/00000001.log")).unwrap());
        push(&journal, &mut chain, Sync::Always).unwrap();
        let failed = if is_alone {
            alone(&journal);
            // At once, unless the writer thread is writing at this moment.
            block_on(poll_once(journal.written())).unwrap_or_else(|| block_on(journal.written()))
        } else {
            journal.groups.queue.lock().recent_waiters = 2;
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

const BIG: &[u8] = &[5; 1_000];

#[test]
fn data_that_a_snapshot_covers_is_deleted_and_the_chains_verify() {
    let folder = std::env::temp_dir().join(format!("theater-keep-{}", std::process::id()));
    drop(std::fs::remove_dir_all(&folder));
    let journal = Journal::open(&folder.join("journal"), 20_000).unwrap();
    let (mut kept, mut whole) = (Chain::new([1; 16]), Chain::new([2; 16]));
    let push = |chain: &mut Chain, kind| journal.append(chain, &NewEvent::plain(kind, BIG), Sync::Batch).unwrap();
    push(&mut kept, Kind::Created);
    push(&mut whole, Kind::Created);
    let mut snapshot = 0;
    for round in 0..100 {
        for _ in 0..3 {
            push(&mut kept, Kind::Queued);
            push(&mut whole, Kind::Queued);
        }
        if round % 10 == 9 {
            snapshot = push(&mut kept, Kind::Snapshot).sequence;
            journal.retain_from([1; 16], RetainFrom { below: snapshot, waiting: vec![1] });
        }
        block_on(journal.written()).unwrap();
    }
    journal.close();
    let (mut dropped, mut newest) = (Vec::new(), 0);
    let contents = verify::read(&folder, |event| match event.header.actor {
        [1, ..] if event.data.is_none() => dropped.push(event.header.sequence),
        [1, ..] if event.header.kind == Kind::Snapshot as u8 => newest = event.header.sequence,
        _ => assert!(event.data.is_some(), "{:?}", event.header),
    });
    let contents = contents.unwrap();
    assert_eq!((contents.chains[&[1; 16]].chain.len(), contents.chains[&[2; 16]].chain.len()), (311, 301));
    assert_eq!(newest, snapshot);
    // The data of the first event, a start, is retained, and of the call that waited at each snapshot.
    assert!(dropped.len() > 150 && !dropped.contains(&0), "{dropped:?}");
    assert!(!dropped.contains(&1), "{dropped:?}");
    assert!(dropped.iter().all(|sequence| *sequence < snapshot));
    // Every event is found from the next one, even if segments were rewritten between.
    for (actor, end) in &contents.chains {
        let (mut at, mut sequence) = (Some(end.newest), end.chain.len());
        while let Some(position) = at {
            sequence -= 1;
            let event = lookup::read_event(&folder.join("journal"), *actor, position, sequence..=sequence).unwrap();
            at = event.previous;
        }
        assert_eq!(sequence, 0);
    }
    std::fs::remove_dir_all(&folder).unwrap();
}
