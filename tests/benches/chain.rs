//! Benches of the chain (PERFORMANCE.md): B7 (durable append), B10 (verify and replay).
//!
//! `cargo bench --workspace --bench chain` runs all rows, `-- "B7"` only some.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use theater_chain::event::{Chain, INLINE, NewEvent, data_digest, event_hash};
use theater_chain::journal::segment::{self, Frames};
use theater_chain::journal::{Journal, SEGMENT_SIZE, Sync};
use theater_chain::record::Kind;
use theater_chain::verify;
use theater_plugin_api::Bytes;
use theater_plugin_api::encoding::encode;
use theater_runtime::actor::{CallOutcome, IncomingCall};
use theater_runtime::core::{Core, Options};
use theater_runtime::manifest::{Manifest, Values};
use theater_runtime::replay::{self, replay};
use theater_runtime::support::executor::{self, block_on, spawn};
use theater_tests::bench::{Only, Row, report, rounds, time};
use theater_tests::{Scratch, build_folder, component};

const SEND: &str = "theater:simple/message-server-client/handle-send";
const DATA: [u8; 256] = [7; 256];

/// The same allocator as in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let only = Only::asked();
    executor::init(std::thread::available_parallelism().map_or(2, usize::from));
    let rows = [grouped(&only), alone(&only), verified(&only), replayed(&only)];
    report(&only, &rows.into_iter().flatten().collect::<Vec<_>>())
}

fn event() -> NewEvent<'static> {
    NewEvent::plain(Kind::Host, &DATA)
}

fn journal(scratch: &Scratch) -> Journal {
    Journal::open(&scratch.path().join("journal"), SEGMENT_SIZE).expect("a journal")
}

/// The bytes and the number of groups in the only segment of a journal.
fn written(scratch: &Scratch) -> (usize, u64) {
    let (_, path) = segment::list(&scratch.path().join("journal")).expect("the journal").pop().expect("a segment");
    let bytes = segment::read_all(&path).expect("the segment");
    let mut frames = Frames::new(&bytes).expect("a segment");
    while frames.next_frame().expect("it is whole").is_some() {}
    (bytes.len(), frames.next_group() - 1)
}

/// Writes this many bytes in this many pieces and flushes each piece.
fn flushed(path: &Path, bytes: usize, pieces: u64) {
    let mut file: File = OpenOptions::new().create(true).append(true).open(path).expect("a file");
    let piece = vec![7; bytes.div_ceil(pieces as usize)];
    for _ in 0..pieces {
        file.write_all(&piece).expect("it is written");
        file.sync_data().expect("it is flushed");
    }
}

/// An actor that waits until its event is on disk before it appends the next one.
async fn appended(journal: Arc<Journal>, mut chain: Chain, count: u32) {
    for _ in 0..count {
        journal.append(&mut chain, &event(), Sync::Always).expect("the disk takes it");
        journal.written().await.expect("the disk takes it");
    }
}

/// Appends by 64 actors, each of which waits until its event is on disk before it appends the next one.
fn grouped(only: &Only) -> Option<Row> {
    const ACTORS: u8 = 64;
    const EACH: u32 = 50;
    let name = "B7 durable append, 64 actors".to_owned();
    if !only.has(&name) {
        return None;
    }
    let rounds = rounds(only.quick, 7, || {
        let scratch = Scratch::new();
        let count = u32::from(ACTORS) * EACH;
        let ours = {
            let journal = Arc::new(journal(&scratch));
            let ours = time(count, || {
                let appending = |actor| spawn(appended(Arc::clone(&journal), Chain::new([actor; 16]), EACH));
                let actors: Vec<_> = (0..ACTORS).map(appending).collect();
                actors.into_iter().for_each(block_on);
            });
            journal.close();
            ours
        };
        let (bytes, groups) = written(&scratch);
        let floor = time(count, || flushed(&scratch.path().join("floor"), bytes, groups));
        (floor, ours)
    });
    Some(Row { name, rounds, must: 1.0 / 0.6, goal: 1.0 / 0.85 })
}

/// Appends by one actor, which waits until each event is on disk.
fn alone(only: &Only) -> Option<Row> {
    const COUNT: u32 = 300;
    let name = "B7 durable append, one actor".to_owned();
    if !only.has(&name) {
        return None;
    }
    let rounds = rounds(only.quick, 7, || {
        let scratch = Scratch::new();
        let ours = {
            let journal = Arc::new(journal(&scratch));
            let ours = time(COUNT, || block_on(spawn(appended(Arc::clone(&journal), Chain::new([1; 16]), COUNT))));
            journal.close();
            ours
        };
        let (bytes, groups) = written(&scratch);
        assert_eq!(groups, u64::from(COUNT));
        let floor = time(COUNT, || flushed(&scratch.path().join("floor"), bytes, groups));
        (floor, ours)
    });
    Some(Row { name, rounds, must: 1.25, goal: 1.1 })
}

/// Verifies a journal. The floor only hashes the same bytes.
fn verified(only: &Only) -> Option<Row> {
    const COUNT: u32 = 200_000;
    let name = "B10 verify".to_owned();
    if !only.has(&name) {
        return None;
    }
    let scratch = Scratch::new();
    let journal = journal(&scratch);
    let mut chain = Chain::new([1; 16]);
    for _ in 0..COUNT {
        block_on(journal.wait_for_capacity());
        journal.append(&mut chain, &event(), Sync::None).expect("the disk takes it");
    }
    journal.close();
    let mut headers = Vec::new();
    verify::read(scratch.path(), |event| headers.push(event.header.bytes())).expect("it verifies");
    assert!(DATA.len() > INLINE);
    let rounds = rounds(only.quick, 7, || {
        let mut sum = 0;
        let floor = time(COUNT, || {
            for header in &headers {
                sum ^= data_digest(std::hint::black_box(&DATA))[0] ^ event_hash(std::hint::black_box(header))[0];
            }
        });
        std::hint::black_box(sum);
        let mut events = 0;
        let ours = time(COUNT, || {
            verify::read(scratch.path(), |_| events += 1).expect("it verifies");
        });
        assert_eq!(events, COUNT);
        (floor, ours)
    });
    Some(Row { name, rounds, must: 1.0 / 0.6, goal: 1.0 / 0.85 })
}

/// Replays calls of a counter. The floor is the live, recorded run of the same calls.
fn replayed(only: &Only) -> Option<Row> {
    const COUNT: u32 = 20_000;
    let name = "B10 replay, beside the live run".to_owned();
    if !only.has(&name) {
        return None;
    }
    let rounds = rounds(only.quick, 5, || {
        let scratch = Scratch::new();
        let text = format!(
            "name = \"counter\"\ncomponent_path = {:?}\n[chain]\nsync = \"none\"\n[[handlers]]\ntype = \"message-server\"\n",
            component("counter").display().to_string()
        );
        let path = scratch.write("counter.toml", text);
        let manifest = Manifest::read(&path, &Values::new()).expect("the manifest");
        let data = scratch.path().join("data");
        let core = Core::open(Options::new(build_folder(), &data)).expect("a core");
        let actor = block_on(core.start(&manifest)).expect("the counter starts");
        let export = actor.export(SEND).expect("it takes messages");
        let message = r#"{"type":"increment","action":"add","payload":{"by":2},"metadata":{}}"#;
        let params = encode(&(Bytes::from(message),)).expect("bytes encode");
        let live = time(COUNT, || {
            for _ in 0..COUNT {
                let incoming = IncomingCall { export, params: params.clone(), source: "bench".to_owned(), cause: None };
                assert!(matches!(block_on(actor.call(incoming)), CallOutcome::Ok(_)));
            }
        });
        let id = actor.id();
        block_on(core.stop("program", core.services.grace(1_000)));
        core.services.journal.close();
        let mut calls = 0;
        let again = time(COUNT, || {
            let report = replay(&data, id, &data, &replay::Options::default()).expect("it replays");
            assert!(report.difference.is_none());
            calls = report.calls;
        });
        assert_eq!(calls, u64::from(COUNT) + 1);
        (live, again)
    });
    Some(Row { name, rounds, must: 1.0, goal: 0.33 })
}
