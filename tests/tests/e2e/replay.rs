//! Chains run once more: what was recorded gives the same bytes, and whatever was changed is found at its event.

use std::path::Path;
use std::process::Output;

use serde_json::Value as Json;
use theater_plugin_api::encoding::{decode, encode};
use theater_runtime::chain::{Chain, EventRef, Header, INLINE, Id, NewEvent};
use theater_runtime::record::{HostCall, HostResult, Kind, Return, StateDigest};
use theater_runtime::segment::{self, EVENT, FRAME, NO_PLACE};
use theater_runtime::verify;
use theater_tests::talk::TALK;
use theater_tests::{HTTP, Running, Scratch, component, get, json_lines, manifest, theater, try_get};

/// An event, to be recorded again.
#[derive(Clone)]
pub struct Recorded {
    pub kind: Kind,
    function: Option<u32>,
    cause: Option<EventRef>,
    /// The sequence that the call's `queued` event had.
    call: Option<u64>,
    pub data: Vec<u8>,
    /// The sequence that it had.
    sequence: u64,
}

/// The program with dice thrown three times, ended: data folder and id of the dice's chain.
fn thrown(scratch: &Scratch) -> (std::path::PathBuf, Id) {
    let random = format!("{HTTP}[[handlers]]\ntype = \"random\"\n");
    let (mut running, address) = Running::actor(scratch, &manifest("dice", &random));
    for _ in 0..3 {
        assert_eq!(get(address, "/range/0/1000000").status, 200);
    }
    assert!(running.stop().0.success());
    let contents = verify::read(&running.data, |_| {}).unwrap();
    (running.data.clone(), contents.find("dice").unwrap().0)
}

/// A chain as its events after a change, with hashes that fit: what somebody would write who changes the past.
pub fn forged(data: &Path, actor: Id, change: impl FnOnce(&mut Vec<Recorded>)) -> Vec<u8> {
    let mut events = Vec::new();
    verify::read(data, |event| {
        if event.header.actor != actor {
            return;
        }
        let Header { kind, function, cause, call, sequence, .. } = event.header;
        let kind = Kind::from_number(kind).unwrap();
        events.push(Recorded { kind, function, cause, call, sequence, data: event.data.unwrap().to_vec() });
    })
    .unwrap();
    change(&mut events);
    let mut bytes = segment::header(1, 0, 1);
    let start = bytes.len();
    let (mut chain, mut before) = (Chain::new(actor), NO_PLACE);
    for event in &events {
        // Where the event that it names is now.
        let now = |wanted: u64| events.iter().position(|event| event.sequence == wanted).unwrap() as u64;
        let new = NewEvent {
            kind: event.kind,
            function: event.function,
            cause: event.cause,
            call: event.call.map(now),
            data: &event.data,
        };
        let at = bytes.len();
        let mut header = Vec::new();
        chain.push(&new, 0, &mut header);
        let header = Header::parse(&header).unwrap().0.bytes();
        let long = if event.data.len() > INLINE { &event.data[..] } else { &[] };
        let mut frame = [&vec![0; FRAME][..], &header, long].concat();
        segment::seal(&mut frame, EVENT, before);
        before = 1 << 32 | at as u64;
        bytes.extend_from_slice(&frame);
    }
    let commit = segment::commit(1, events.len() as u32, &bytes[start..]);
    [bytes, commit].concat()
}

fn replay(data: &Path, arguments: &[&str]) -> (Output, Json) {
    let data = data.display().to_string();
    let output = theater(&[&["--data", &data, "-o", "json", "replay"], arguments].concat());
    let said = json_lines(&output.stdout).pop().unwrap_or_else(|| panic!("{output:?}"));
    (output, said)
}

/// The sequences of the host calls.
fn hosts(events: &[Recorded]) -> Vec<usize> {
    (0..events.len()).filter(|at| events[*at].kind == Kind::Host).collect()
}

fn host_call(event: &mut Recorded, change: impl FnOnce(&mut HostCall)) {
    let mut call: HostCall = decode(&event.data).unwrap();
    change(&mut call);
    event.data = encode(&call).unwrap();
}

#[test]
fn whoever_changes_the_past_is_found_at_the_event() {
    let scratch = Scratch::new();
    let (data, actor) = thrown(&scratch);
    let found = |what: &str, change: &dyn Fn(&mut Vec<Recorded>) -> usize| {
        let mut expected = 0;
        let bytes = forged(&data, actor, |events| expected = change(events));
        let path = scratch.write(&format!("{what}.chain"), bytes);
        // Its hashes fit: to verify alone does not find it.
        let path = path.display().to_string();
        assert!(theater(&["chain", "verify", &path]).status.success(), "{what}");
        let (output, said) = replay(&data, &[&path]);
        assert_eq!((output.status.code(), &said["same"]), (Some(1), &Json::from(false)), "{what}: {said}");
        assert_eq!(said["sequence"], expected, "{what}: {said}");
        said["what"].as_str().unwrap().to_owned()
    };
    let untouched = scratch.write("untouched.chain", forged(&data, actor, |_| {}));
    let (output, said) = replay(&data, &[&untouched.display().to_string()]);
    assert!(output.status.success() && said["same"] == true, "{said}");
    // The return of the call that a host call belongs to, where what it gave shows.
    let end =
        |events: &[Recorded], host: usize| (host..events.len()).find(|at| events[*at].kind == Kind::Return).unwrap();
    let other_arguments = found("an argument", &|events| {
        let at = hosts(events)[0];
        host_call(&mut events[at], |call| call.arguments = b"\x01".as_slice().into());
        at
    });
    assert!(other_arguments.contains("other arguments"), "{other_arguments}");
    let otherwise = found("a result", &|events| {
        let at = hosts(events)[1];
        host_call(&mut events[at], |call| {
            call.result = HostResult::Value(encode(&Ok::<u64, String>(7)).unwrap().into())
        });
        end(events, at)
    });
    assert!(otherwise.contains("ends otherwise"), "{otherwise}");
    let not_recorded = found("dropped", &|events| {
        let at = hosts(events)[1];
        events.remove(at);
        end(events, at)
    });
    assert!(not_recorded.contains("was not recorded"), "{not_recorded}");
    let not_made = found("doubled", &|events| {
        let at = hosts(events)[1];
        let again = Recorded { sequence: u64::MAX, ..events[at].clone() };
        events.insert(at + 1, again);
        at + 1
    });
    assert!(not_made.contains("is not made"), "{not_made}");
    // What the first throw gave, as what the last gave.
    found("reordered", &|events| {
        let places = hosts(events);
        let (first, last) = (places[0], places[places.len() - 1]);
        let (one, other) = (events[first].data.clone(), events[last].data.clone());
        (events[first].data, events[last].data) = (other, one);
        end(events, first)
    });
    // A call that never ended, since the program did.
    let unended = found("unended", &|events| {
        let at = *hosts(events).last().unwrap();
        host_call(&mut events[at], |call| call.arguments = b"\x01".as_slice().into());
        events.truncate(at + 1);
        at
    });
    assert!(unended.contains("other arguments"), "{unended}");
    let superfluous = found("more than a result", &|events| {
        let at = *hosts(events).last().unwrap();
        host_call(&mut events[at], |call| {
            let HostResult::Value(bytes) = &call.result else { panic!("it has one") };
            call.result = HostResult::Value([bytes.as_ref(), b"\0"].concat().into());
        });
        end(events, at)
    });
    assert!(superfluous.contains("ends otherwise"), "{superfluous}");
    let another_state = found("another state", &|events| {
        let at = events.iter().rposition(|event| event.kind == Kind::Return).unwrap();
        let mut returned: Return = decode(&events[at].data).unwrap();
        returned.state = Some(StateDigest { length: 1, digest: [7; 32].as_slice().into() });
        events[at].data = encode(&returned).unwrap();
        at
    });
    assert!(another_state.contains("leaves another state"), "{another_state}");
}

#[test]
fn what_was_intended_is_what_was_done() {
    let scratch = Scratch::new();
    let more = format!(
        "init_state = {{ json = {{ store = \"s\" }} }}\n{TALK}[[handlers]]\ntype = \"store\"\nconfig = {{ stores = [\"s\"] }}\n"
    );
    let path = scratch.write("file-cache.toml", manifest("file-cache", &more)).display().to_string();
    let data = scratch.path().join("data");
    let put = r#"file-cache={"type":"put","payload":{"label":"a","content":"one"}}"#;
    let arguments = ["--data", &data.display().to_string(), "run", &path, "--request", put];
    let output = theater(&arguments);
    assert!(output.status.success(), "{output:?}");
    let actor = verify::read(&data, |_| {}).unwrap().find("file-cache").unwrap().0;
    let mut at = 0;
    let bytes = forged(&data, actor, |events| {
        at = events.iter().position(|event| event.kind == Kind::Intent).unwrap();
        *events[at].data.last_mut().unwrap() ^= 1;
    });
    let path = scratch.write("intended.chain", bytes).display().to_string();
    let (output, said) = replay(&data, &[&path]);
    assert_eq!((output.status.code(), &said["sequence"]), (Some(1), &Json::from(at)), "{said}");
    assert!(said["what"].as_str().unwrap().contains("intended"), "{said}");
    assert!(replay(&data, &["file-cache"]).0.status.success());
}

#[test]
fn a_component_with_one_constant_changed_is_found_where_it_shows() {
    let scratch = Scratch::new();
    let (mut running, address) = Running::actor(&scratch, &manifest("hello-http", HTTP));
    for _ in 0..3 {
        assert_eq!(get(address, "/").status, 200);
    }
    assert!(running.stop().0.success());
    let mut bytes = std::fs::read(component("hello-http")).unwrap();
    let at = bytes.windows(15).position(|window| window == b"You are visitor").unwrap() + 8;
    // In the response, not in the log line.
    bytes[at] = b'V';
    let changed = scratch.write("changed.wasm", bytes).display().to_string();
    let (output, said) = replay(&running.data, &["hello-http", "--component", &changed]);
    assert_eq!((output.status.code(), &said["calls"]), (Some(1), &Json::from(1)), "{said}");
    for (side, word) in [("recorded", "You are visitor number 1"), ("replayed", "You are Visitor number 1")] {
        assert!(said[side].as_str().unwrap().contains(word), "{said}");
    }
    // As people are told, with the call above it.
    let data = running.data.display().to_string();
    let output = theater(&["--data", &data, "replay", "hello-http", "--component", &changed]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[0].contains("event 7 differs: the call ends otherwise"), "{text}");
    assert!(lines[1].contains("call     4 queued") && lines[1].contains("handle-request"), "{text}");
    assert!(lines[2].contains("recorded 7") && lines[3].contains("replayed 7"), "{text}");
    // Up to the call before, all is the same.
    let (output, said) = replay(&running.data, &["hello-http", "--component", &changed, "--until", "6"]);
    assert!(output.status.success() && said["unfinished"] == 1, "{said}");
    // One that is another actor altogether.
    let other = component("dice").display().to_string();
    let (output, said) = replay(&running.data, &["hello-http", "--component", &other]);
    assert_eq!((output.status.code(), &said["same"]), (Some(1), &Json::from(false)), "{said}");
    let (output, said) = replay(&running.data, &["hello-http", "--fresh"]);
    assert!(output.status.success() && said["calls"] == 4, "{said}");
}

#[test]
fn a_chain_replays_when_its_files_are_gone_and_says_when_its_objects_are() {
    let scratch = Scratch::new();
    let copy = scratch.path().join("hello.wasm");
    std::fs::copy(component("hello-http"), &copy).unwrap();
    let text = format!("name = \"hello-http\"\ncomponent_path = {:?}\n{HTTP}", copy.display().to_string());
    let (mut running, address) = Running::actor(&scratch, &text);
    assert_eq!(get(address, "/").status, 200);
    assert!(running.stop().0.success());
    std::fs::remove_file(copy).unwrap();
    assert!(replay(&running.data, &["hello-http"]).0.status.success());
    std::fs::remove_dir_all(running.data.join("objects")).unwrap();
    let (output, said) = replay(&running.data, &["hello-http"]);
    assert_eq!((output.status.code(), &said["code"]), (Some(1), &Json::from("J0006")), "{said}");
    assert!(said["help"].as_str().unwrap().contains("--component"), "{said}");
    // With the component it goes without.
    let path = component("hello-http").display().to_string();
    assert!(replay(&running.data, &["hello-http", "--component", &path]).0.status.success());
}

#[test]
fn calls_that_were_interrupted_are_the_same_as_far_as_they_went() {
    let scratch = Scratch::new();
    let limits = format!("[limits]\nrun_timeout_ms = 200\n{HTTP}");
    let (mut running, address) = Running::actor(&scratch, &manifest("looper", &limits));
    // Nothing that can be answered comes of it.
    try_get(address, "/loop").ok();
    running.wait();
    let (output, said) = replay(&running.data, &["looper"]);
    assert!(output.status.success() && said["interrupted"] == 1, "{said}");
}
