//! Writes a journal with many events and measures how fast the program reads it.
//!
//! ```text
//! journal_soak [50000000]   writes this many events of 20 actors with the real journal; then the real program lists
//!                           the chains, starts an actor, and finds events by conditions
//! ```
//!
//! Prints one JSON object: seconds to write; milliseconds to list the chains, until an actor is ready, until the first
//! row of `events --where`, and until its last row; and the peak memory of the reader in KiB. Panics if a row is
//! missing or wrong. The exit code is 1 if listing, readiness or the first row takes 1 s or more, or all rows take 60 s
//! or more.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use theater_chain::event::{Chain, NewEvent};
use theater_chain::journal::{Journal, SEGMENT_SIZE, Sync};
use theater_chain::record::{Created, FunctionRecord, HostCall, HostResult, Kind, Outcome, Queued, Return, Setup};
use theater_plugin_api::encoding::encode;
use theater_runtime::support::executor::block_on;
use theater_tests::{HTTP, Running, Scratch, build_folder, json_lines, manifest};

const ACTORS: u64 = 20;
/// One call in this many is of the function that is searched for.
const RARE: u64 = 100_000;
/// Wait for the writer after this many events, so that memory is bounded.
const AT_ONCE: u64 = 50_000;

fn main() -> ExitCode {
    let events = std::env::args().nth(1).map_or(Ok(50_000_000), |number| number.parse::<u64>());
    let Ok(events) = events else {
        eprintln!("journal_soak [EVENTS]");
        return ExitCode::from(2);
    };
    // Build before anything is timed.
    build_folder();
    let scratch = Scratch::new();
    let data = scratch.path().join("data");
    let begun = Instant::now();
    let rare = write(&data.join("journal"), events);
    let written = begun.elapsed();
    let listed = list(&data, events);
    let ready = ready(&scratch, &data);
    let found = find(&data);
    assert_eq!(found.rows, rare, "every call of the rare function is found");
    let ms = |time: Duration| time.as_millis() as u64;
    let figures = json!({
        "soak": "journal", "events": events, "write_seconds": written.as_secs(), "list_ms": ms(listed),
        "ready_ms": ms(ready), "first_row_ms": ms(found.first), "all_rows_ms": ms(found.all), "rows": found.rows,
        "reader_peak_kib": found.memory,
    });
    println!("{figures}");
    let second = Duration::from_secs(1);
    let held = [listed, ready, found.first].iter().all(|time| *time < second) && found.all < 60 * second;
    if held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn function(interface: &str, function: &str) -> FunctionRecord {
    FunctionRecord { interface: interface.to_owned(), function: function.to_owned(), handler: None }
}

fn created(number: u64) -> Vec<u8> {
    let text = |text: &str| text.to_owned();
    let functions = vec![function("a:b/c", "handle"), function("a:b/d", "often"), function("a:b/d", "rare")];
    let setup = Setup {
        manifest: text("none"),
        path: text("none"),
        folder: text("."),
        component: text("none"),
        handlers: Vec::new(),
        functions,
        limits: Vec::new(),
        instance: text("cached"),
    };
    let name = format!("actor-{number}");
    encode(&Created { name, parent: None, setup, init_state: None, engine: text("soak") }).expect("it encodes")
}

/// Writes calls of three events each, and returns how many host calls are of the rare function.
fn write(journal: &Path, events: u64) -> u64 {
    let journal = Journal::open(journal, SEGMENT_SIZE).expect("a journal");
    let mut chains: Vec<_> = (0..ACTORS).map(|number| Chain::new([number as u8 + 1; 16])).collect();
    for (number, chain) in (0..).zip(&mut chains) {
        let data = created(number);
        journal.append(chain, &NewEvent::plain(Kind::Created, &data), Sync::None).expect("recorded");
    }
    let queued = encode(&Queued { source: "soak".to_owned(), params: vec![7; 64].into() }).expect("it encodes");
    let result = HostResult::Value(vec![1].into());
    let host = encode(&HostCall { arguments: vec![9; 32].into(), result }).expect("it encodes");
    let outcome = Outcome::Ok(vec![].into());
    let returned = encode(&Return { outcome, host_calls: 1, state: None }).expect("it encodes");
    let mut rare = 0;
    for call in 0..(events - ACTORS) / 3 {
        let is_rare = call % RARE == 0;
        rare += u64::from(is_rare);
        let chain = &mut chains[(call % ACTORS) as usize];
        let about = |kind, function, data| NewEvent { function: Some(function), ..NewEvent::plain(kind, data) };
        let append = |chain: &mut Chain, event| journal.append(chain, &event, Sync::None).expect("recorded").sequence;
        let begun = append(chain, about(Kind::Queued, 0, &queued));
        append(chain, NewEvent { call: Some(begun), ..about(Kind::Host, 1 + u32::from(is_rare), &host) });
        append(chain, NewEvent { call: Some(begun), ..about(Kind::Return, 0, &returned) });
        if call % (AT_ONCE / 3) == 0 {
            block_on(journal.written()).expect("the disk takes it");
        }
    }
    journal.close();
    rare
}

fn asked(data: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(build_folder().join("theater"));
    command.args(["--data", &data.display().to_string(), "-o", "json"]).args(arguments);
    command
}

/// Measures the time to list the chains.
fn list(data: &Path, events: u64) -> Duration {
    let begun = Instant::now();
    let output = asked(data, &["chain", "list"]).output().expect("theater runs");
    let time = begun.elapsed();
    let chains = json_lines(&output.stdout);
    assert_eq!(chains.len() as u64, ACTORS, "{output:?}");
    let all: u64 = chains.iter().filter_map(|chain| chain["events"].as_u64()).sum();
    assert!(events - all < 3, "{all} of {events} events are listed");
    time
}

/// Measures the time until an actor that is started on this data folder is ready.
fn ready(scratch: &Scratch, data: &Path) -> Duration {
    let manifest = scratch.write("hello.toml", manifest("hello-http", HTTP)).display().to_string();
    let begun = Instant::now();
    let mut running = Running::start(data, &[&manifest]);
    running.wait_for_line("ready");
    let time = begun.elapsed();
    assert!(running.stop().0.success());
    time
}

struct Found {
    rows: u64,
    first: Duration,
    all: Duration,
    memory: u64,
}

/// Finds the calls of the rare function.
fn find(data: &Path) -> Found {
    let begun = Instant::now();
    let mut reader = asked(data, &["events", "--where", "type=host", "--where", "function=rare"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("theater runs");
    let (mut rows, mut first, mut memory) = (0, None, 0);
    for line in BufReader::new(reader.stdout.take().expect("its output")).lines() {
        let row: Json = serde_json::from_str(&line.expect("a line")).expect("an object");
        assert_eq!((row["type"].as_str(), row["function"].as_str()), (Some("host"), Some("a:b/d/rare")));
        rows += 1;
        first = first.or(Some(begun.elapsed()));
        memory = memory.max(peak(reader.id()).unwrap_or_default());
    }
    assert!(reader.wait().expect("it ends").success());
    Found { rows, first: first.unwrap_or_default(), all: begun.elapsed(), memory }
}

/// The peak memory of a process in KiB, or `None` once it has exited.
fn peak(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse().ok())
}
