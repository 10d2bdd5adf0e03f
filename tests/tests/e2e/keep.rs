//! `keep = "snapshots"`, and reading events while segments are rewritten.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value as Json, json};
use theater_chain::verify;
use theater_tests::talk::{TALK, manifests, tell};
use theater_tests::{
    HTTP, Running, Scratch, build_folder, chain, get, manifest, repository, texts, theater, wait_until,
};

const KEEP: &str = "[chain]\nsync = \"always\"\nkeep = \"snapshots\"\nsnapshot_every = 20\n";
const SMALL: [&str; 2] = ["--segment-size", "16KiB"];

fn asked(data: &Path, arguments: &[&str]) -> Output {
    let data = data.display().to_string();
    theater(&[&["--data", &data], arguments].concat())
}

fn start(scratch: &Scratch, more: &[&str]) -> Running {
    let path = scratch.write("manifest.toml", manifest("hello-http", &format!("{HTTP}{KEEP}")));
    let path = path.display().to_string();
    Running::start(&scratch.path().join("data"), &[SMALL.as_slice(), more, &[&path]].concat())
}

fn visits(running: &Running, count: u64) -> String {
    // Too long to be stored inside the event header.
    let path = format!("/?{}", "q".repeat(200));
    let answers: Vec<_> = (0..count).map(|_| get(running.address(0), &path).text()).collect();
    answers.last().cloned().unwrap()
}

/// The sequence numbers of an actor's events whose data was dropped.
fn dropped_of(data: &Path, actor: &str) -> Vec<u64> {
    let mut gone = Vec::new();
    let contents = verify::read(data, |event| {
        gone.extend(event.data.is_none().then_some((event.header.actor, event.header.sequence)));
    });
    let (id, _) = contents.as_ref().unwrap().find(actor).unwrap();
    gone.into_iter().filter(|(actor, _)| *actor == id).map(|(_, sequence)| sequence).collect()
}

fn dropped(data: &Path) -> Vec<u64> {
    dropped_of(data, "hello-http")
}

#[test]
#[cfg_attr(missing_python3, ignore = "needs python3: tests/setup installs it")]
fn data_before_a_snapshot_goes_and_the_chain_verifies_replays_and_goes_on() {
    let scratch = Scratch::new();
    let mut running = start(&scratch, &[]);
    assert!(visits(&running, 200).contains("number 200."));
    let data = running.data.clone();
    let gone = wait_until("data that is dropped", || Some(dropped(&data)).filter(|gone| gone.len() > 20));
    assert!(!gone.contains(&0), "a start is retained");
    assert!(visits(&running, 40).contains("number 240."));
    running.signal("KILL");
    running.wait();

    let output = asked(&data, &["chain", "verify"]);
    assert!(output.status.success(), "{output:?}");
    let python = Command::new("python3").arg(repository().join("tests/verify_chain.py")).arg(&data).output().unwrap();
    assert!(python.status.success(), "{python:?}");
    let replayed = asked(&data, &["replay", "hello-http"]);
    assert!(replayed.status.success(), "{replayed:?}");
    assert!(String::from_utf8_lossy(&replayed.stdout).contains("; from snapshot "), "{replayed:?}");
    let state = asked(&data, &["state", "hello-http", "--at", &gone[5].to_string()]);
    assert_eq!(state.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&state.stderr).contains("its data was dropped"), "{state:?}");
    let shown = asked(&data, &["chain", "show", "hello-http"]);
    assert!(String::from_utf8_lossy(&shown.stdout).contains(" bytes of data were deleted"), "{shown:?}");

    let mut running = start(&scratch, &["--resume"]);
    assert!(visits(&running, 1).contains("number 241."));
    assert!(running.stop().0.success());
    assert!(asked(&data, &["chain", "verify"]).status.success());
}

#[test]
fn what_follows_is_shown_once_wherever_segments_end_and_are_written_anew() {
    let scratch = Scratch::new();
    let mut running = start(&scratch, &[]);
    let data = running.data.clone();
    running.address(0);
    let id = running.lines()[0].split(' ').nth(1).unwrap().to_owned();
    let mut follower = Command::new(build_folder().join("theater"))
        .args([
            "--data",
            &data.display().to_string(),
            "-o",
            "json",
            "events",
            &id,
            "--follow",
            "--where",
            "type!=fault",
        ])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    let seen: Arc<Mutex<Vec<Json>>> = Arc::default();
    let all = Arc::clone(&seen);
    let reader = thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            let event: Json = serde_json::from_str(&line).unwrap();
            all.lock().unwrap().push(event["hash"].clone());
        }
    });
    visits(&running, 150);
    assert!(running.stop().0.success());
    assert!(dropped(&data).len() > 20);
    let expected: Vec<Json> = chain(&data, &id);
    wait_until("all events", || (seen.lock().unwrap().len() >= expected.len()).then_some(()));
    follower.kill().unwrap();
    follower.wait().unwrap();
    reader.join().unwrap();
    let hashes: Vec<_> = expected.iter().map(|event| event["hash"].clone()).collect();
    assert_eq!(*seen.lock().unwrap(), hashes);
}

#[test]
fn an_instance_that_is_kept_has_no_snapshots_to_keep() {
    let scratch = Scratch::new();
    let text =
        format!("instance = \"kept\"\n{}", manifest("hello-http", &format!("{HTTP}[chain]\nkeep = \"snapshots\"\n")));
    let path = scratch.write("manifest.toml", text).display().to_string();
    let output = theater(&["validate", &path]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("an instance that is kept has no snapshots") && said.contains("help: "), "{said}");
}

#[test]
fn what_waits_at_a_snapshot_is_kept_and_done_by_the_next_program() {
    let scratch = Scratch::new();
    let keep = "[chain]\nkeep = \"snapshots\"\nsnapshot_every = 1\n";
    let steps = format!("{TALK}[[handlers]]\ntype = \"random\"\n[[handlers]]\ntype = \"timing\"\n{keep}");
    let paths = manifests(&scratch, &[("steps", &steps), ("hello-http", &format!("{HTTP}{keep}"))]);
    let data = scratch.path().join("data");
    let mut running = Running::start(&data, &[SMALL.as_slice(), &[&paths[0], &paths[1]]].concat());
    let at = running.address(0);
    // Notes that are too long to be stored inside event headers.
    let notes: Vec<String> = (0..4).map(|number| format!("{number}{}", "n".repeat(100))).collect();
    // Another actor fills segments in the meantime.
    let path = format!("/?{}", "q".repeat(400));
    let visit = || assert_eq!(get(running.address(1), &path).status, 200);
    (0..30).for_each(|_| visit());
    // The snapshot after the first call lists the calls that still wait.
    tell(at, "step", json!({ "note": notes[0], "sleep": 1_500 }));
    tell(at, "step", json!({ "note": notes[1], "sleep": 3_600_000 }));
    for note in &notes[2..] {
        tell(at, "step", json!({ "note": note }));
    }
    wait_until("a snapshot", || (!texts(&chain(&data, "steps"), "snapshot").is_empty()).then_some(()));
    let gone = wait_until("data that is dropped", || {
        visit();
        Some(dropped_of(&data, "steps")).filter(|gone| !gone.is_empty())
    });
    let waiting: Vec<u64> = chain(&data, "steps")
        .iter()
        .filter(|event| {
            event["type"] == "queued" && notes[2..].iter().any(|note| event["text"].as_str().unwrap().contains(note))
        })
        .map(|event| event["sequence"].as_u64().unwrap())
        .collect();
    assert_eq!(waiting.len(), 2);
    assert!(waiting.iter().all(|sequence| !gone.contains(sequence)), "{waiting:?} {gone:?}");
    running.signal("KILL");
    running.wait();
    assert!(asked(&data, &["chain", "verify"]).status.success());
    let state = asked(&data, &["state", "steps"]);
    assert!(state.status.success(), "{state:?}");
    let mut running = Running::start(&data, &["--resume"]);
    running.wait_for_line("steps ready");
    assert!(running.stop().0.success());
}
