//! Speed and memory: `cargo test --release -p theater-plugin-store speed -- --ignored --nocapture --test-threads 1`.

use std::time::{Duration, Instant};

use super::*;
use crate::caller::Caller;
use crate::index::Index;
use crate::label_update::LabelUpdate;

/// Fills the index of a store with contents that have no files. Listing does not need the files.
fn filled(world: &World, count: u64) {
    let index = Index::open(&world.folder().join("index.redb")).unwrap();
    let filled = index.change(move |changes| {
        changes.create(&Caller::Operator, "s")?;
        for n in 0..count {
            let hash = Hash::of(&n.to_le_bytes());
            changes.add_content(&Caller::Operator, "s", &hash, 8, &LabelUpdate::Newest(format!("label {n}")))?;
        }
        Ok(Vec::new())
    });
    assert!(filled.is_ok());
}

/// The peak memory of the process (`VmHWM`) in bytes.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
}

/// Runs `work` and returns its result, its duration and the number of bytes by which it raised the memory peak.
fn measured<T>(what: &str, work: impl FnOnce() -> T) -> (T, Duration, u64) {
    // Resets the peak to what is used now.
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let (before, start) = (peak(), Instant::now());
    let result = work();
    let (took, raised) = (start.elapsed(), peak() - before);
    println!("{what}: {took:?}, peak + {} MB", raised / 1_000_000);
    (result, took, raised)
}

#[test]
#[ignore = "a measurement"]
fn a_list_of_100_000_contents_takes_less_than_a_second_and_32_mb() {
    let world = World::new();
    filled(&world, 100_000);
    let actor = world.actor(json!({ "stores": ["s"] }));
    actor.size("s");
    let list = || actor.ask::<Vec<ContentRef>>("list-all-content", &("s",)).unwrap().len();
    // Half of the memory is the list that the test decodes.
    let (count, took, raised) = measured("list-all-content of 100,000", list);
    assert!(count == 100_000 && took < Duration::from_secs(1) && raised < 32_000_000, "{took:?} {raised}");
    let (count, took, _) = measured("list-labels of 100,000", || actor.labels("s").len());
    assert!(count == 100_000 && took < Duration::from_secs(1), "{took:?}");
}

/// [store-17]
#[test]
#[ignore = "a measurement"]
fn a_hundred_megabytes_in_and_out_take_at_most_300_mb() {
    let world = World::new();
    let actor = world.actor(json!({ "stores": ["s"] }));
    actor.size("s");
    let content = Bytes::from(vec![7; 100_000_000]);
    let store = || actor.ask::<ContentRef>("store-at-label", &("s", "big", content)).unwrap();
    let (stored, _, raised) = measured("store-at-label of 100 MB", store);
    assert!(raised <= 300_000_000, "{raised}");
    let get = || actor.ask::<Bytes>("get", &("s", &stored)).unwrap().len();
    let (length, _, raised) = measured("get of 100 MB, decoding included", get);
    assert!(length == 100_000_000 && raised <= 300_000_000, "{raised}");
}

#[test]
#[ignore = "a measurement"]
fn a_get_by_label_takes_at_most_twice_as_long_as_reading_the_file() {
    let world = World::new();
    let actor = world.actor(json!({ "stores": ["s"] }));
    for size in [1_000, 100_000, 10_000_000] {
        let content = vec![7; size];
        actor.ask::<ContentRef>("store-at-label", &("s", "a", Bytes::from(&*content))).unwrap();
        let best = |work: &dyn Fn() -> usize| {
            (0..20).map(|_| Instant::now()).map(|start| (assert_eq!(work(), size), start.elapsed()).1).min().unwrap()
        };
        let read = best(&|| fs::read(world.file(&content)).unwrap().len());
        let named = best(&|| {
            let newest = world.plugin.repository.newest(&Caller::Operator, "s", "a").unwrap().unwrap();
            world.plugin.repository.get(&Caller::Operator, "s", &newest).unwrap().len()
        });
        let asked = best(&|| {
            let newest: Option<ContentRef> = actor.ask("get-by-label", &("s", "a")).unwrap();
            actor.ask::<Bytes>("get", &("s", newest.unwrap())).unwrap().len()
        });
        println!("{size} bytes: file {read:?}, by label {named:?}, through the interface {asked:?}");
    }
}

#[test]
#[ignore = "a measurement"]
fn writers_share_fsyncs() {
    for writers in [1, 16, 64] {
        let world = World::new();
        let start = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..writers {
                scope.spawn(|| {
                    let actor = world.actor(json!({ "stores": ["s"] }));
                    for _ in 0..20 {
                        actor.at_label("s", "a", &uuid::Uuid::new_v4().to_string());
                    }
                });
            }
        });
        println!("{writers} writers: {:?} a write", start.elapsed() / (writers * 20));
    }
}

#[test]
#[ignore = "a measurement"]
fn an_index_of_100_000_opens_after_a_kill() {
    let world = World::new();
    filled(&world, 100_000);
    let copy = FakeHost::new();
    let index = Index::open(&world.folder().join("index.redb")).unwrap();
    // Copied while the index is open, as after a kill.
    fs::copy(world.folder().join("index.redb"), copy.host().data_folder().unwrap().join("index.redb")).unwrap();
    drop(index);
    let plugin = Stores::init(copy.host()).unwrap();
    let (_, took, _) =
        measured("first call after a kill, 100,000 contents and labels", || plugin.repository.stores().unwrap());
    assert!(took < Duration::from_secs(5));
}
