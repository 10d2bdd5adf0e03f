//! Replays of chains: an unchanged chain is reproduced byte for byte, and any change is reported at its event.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value as Json;
use theater_chain::event::{Chain, EventRef, Header, INLINE, Id, NewEvent};
use theater_chain::journal::segment::{self, EVENT, FRAME, NO_POSITION};
use theater_chain::record::{HostCall, HostResult, Kind, Return, StateDigest};
use theater_chain::verify;
use theater_plugin_api::encoding::{decode, encode};
use theater_tests::talk::TALK;
use theater_tests::{
    HTTP, Running, Scratch, bad_plugins, build_folder, component, get, json_lines, manifest, plugin_folder, theater,
    try_get,
};

/// A recorded event, which can be changed and recorded again.
#[derive(Clone)]
pub struct Recorded {
    pub kind: Kind,
    function: Option<u32>,
    cause: Option<EventRef>,
    /// The original sequence number of the call's `queued` event.
    call: Option<u64>,
    pub data: Vec<u8>,
    /// The original sequence number of the event.
    sequence: u64,
}

/// Records `dice` with three throws and returns the data folder and the id of the chain.
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

/// A chain with changed events and consistent hashes, as written by an attacker who rewrites the past.
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
    let mut bytes = segment::segment_header(1, 0, 1);
    let start = bytes.len();
    let (mut chain, mut before) = (Chain::new(actor), NO_POSITION);
    for event in &events {
        // The new sequence number of the event that this one names.
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
        segment::finish_frame(&mut frame, EVENT, before);
        before = 1 << 32 | at as u64;
        bytes.extend_from_slice(&frame);
    }
    let commit = segment::commit_frame(1, events.len() as u32, &bytes[start..]);
    [bytes, commit].concat()
}

fn replay(data: &Path, arguments: &[&str]) -> (Output, Json) {
    let data = data.display().to_string();
    let output = theater(&[&["--data", &data, "-o", "json", "replay"], arguments].concat());
    let said = json_lines(&output.stdout).pop().unwrap_or_else(|| panic!("{output:?}"));
    (output, said)
}

/// The positions of the host calls.
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
        // The hashes are consistent, so that verification alone does not find the change.
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
    // The `return` event of the call that made a host call: a changed result shows there.
    let end =
        |events: &[Recorded], host: usize| (host..events.len()).find(|at| events[*at].kind == Kind::Return).unwrap();
    let other_arguments = found("an argument", &|events| {
        let at = hosts(events)[0];
        host_call(&mut events[at], |call| call.arguments = b"\x01".as_slice().into());
        at
    });
    assert!(other_arguments.contains("different arguments"), "{other_arguments}");
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
    assert!(not_recorded.contains("the chain does not have"), "{not_recorded}");
    let not_made = found("doubled", &|events| {
        let at = hosts(events)[1];
        let again = Recorded { sequence: u64::MAX, ..events[at].clone() };
        events.insert(at + 1, again);
        at + 1
    });
    assert!(not_made.contains("was not made"), "{not_made}");
    // The results of the first and the last throw are swapped.
    found("reordered", &|events| {
        let places = hosts(events);
        let (first, last) = (places[0], places[places.len() - 1]);
        let (one, other) = (events[first].data.clone(), events[last].data.clone());
        (events[first].data, events[last].data) = (other, one);
        end(events, first)
    });
    // A call that never returned because the program exited.
    let unended = found("unended", &|events| {
        let at = *hosts(events).last().unwrap();
        host_call(&mut events[at], |call| call.arguments = b"\x01".as_slice().into());
        events.truncate(at + 1);
        at
    });
    assert!(unended.contains("different arguments"), "{unended}");
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
    // Change the response, not the log line.
    bytes[at] = b'V';
    let changed = scratch.write("changed.wasm", bytes).display().to_string();
    let (output, said) = replay(&running.data, &["hello-http", "--component", &changed]);
    assert_eq!((output.status.code(), &said["calls"]), (Some(1), &Json::from(1)), "{said}");
    for (side, word) in [("recorded", "You are visitor number 1"), ("replayed", "You are Visitor number 1")] {
        assert!(said[side].as_str().unwrap().contains(word), "{said}");
    }
    // The text output also shows the call.
    let data = running.data.display().to_string();
    let output = theater(&["--data", &data, "replay", "hello-http", "--component", &changed]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[0].contains("event 7 differs: the call ends otherwise"), "{text}");
    assert!(lines[1].contains("call     4 queued") && lines[1].contains("handle-request"), "{text}");
    assert!(lines[2].contains("recorded 7") && lines[3].contains("replayed 7"), "{text}");
    assert_eq!(lines.last(), Some(&"  calls with identical bytes: 1 of 4"), "{text}");
    // Up to the previous call the replay is identical.
    let (output, said) = replay(&running.data, &["hello-http", "--component", &changed, "--until", "6"]);
    assert!(output.status.success() && said["unfinished"] == 1 && said["differing"] == 0, "{said}");
    // The component of a different actor.
    let other = component("dice").display().to_string();
    let (output, said) = replay(&running.data, &["hello-http", "--component", &other]);
    assert_eq!((output.status.code(), &said["same"]), (Some(1), &Json::from(false)), "{said}");
    assert_eq!((&said["calls"], &said["differing"]), (&Json::from(0), &Json::from(4)), "{said}");
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
    // With `--component` the replay does not need the recorded component.
    let path = component("hello-http").display().to_string();
    assert!(replay(&running.data, &["hello-http", "--component", &path]).0.status.success());
}

#[test]
fn calls_that_were_interrupted_are_the_same_as_far_as_they_went() {
    let scratch = Scratch::new();
    let limits = format!("restart = \"never\"\n[limits]\nrun_timeout_ms = 200\n{HTTP}");
    let (mut running, address) = Running::actor(&scratch, &manifest("looper", &limits));
    // The call does not produce an answer.
    try_get(address, "/loop").ok();
    running.wait();
    let (output, said) = replay(&running.data, &["looper"]);
    assert!(output.status.success() && said["interrupted"] == 1, "{said}");
}

#[test]
fn another_component_is_counted_behind_what_differs() {
    let scratch = Scratch::new();
    let snapshots = format!("{HTTP}[chain]\nsnapshot_every = 20\n");
    let (mut running, address) = Running::actor(&scratch, &manifest("hello-http", &snapshots));
    for _ in 0..12 {
        assert_eq!(get(address, "/").status, 200);
    }
    assert!(running.stop().0.success());
    let component = component("hello-http").display().to_string();
    let (output, said) = replay(&running.data, &["hello-http", "--component", &component]);
    assert!(output.status.success() && said["calls"] == 13 && said["differing"] == 0, "{said}");
    // The response to the third visitor is changed: only that call differs.
    let actor = verify::read(&running.data, |_| {}).unwrap().find("hello-http").unwrap().0;
    let mut third = 0;
    let otherwise = forged(&running.data, actor, |events| {
        third = (0..events.len()).filter(|at| events[*at].kind == Kind::Return).nth(3).unwrap();
        let data = &mut events[third].data;
        let at = data.windows(7).position(|window| window == b"visitor").unwrap();
        data[at] = b'V';
    });
    let path = scratch.write("otherwise.chain", otherwise).display().to_string();
    let (output, said) = replay(&running.data, &[&path, "--component", &component]);
    assert_eq!((output.status.code(), &said["sequence"]), (Some(1), &Json::from(third)), "{said}");
    assert_eq!((&said["calls"], &said["differing"]), (&Json::from(12), &Json::from(1)), "{said}");
    let (output, said) = replay(&running.data, &[&path]);
    assert_eq!((output.status.code(), &said["calls"]), (Some(1), &Json::from(3)), "{said}");
    // A call that fails on a changed host call leaves the state one visitor behind, until the next snapshot sets the
    // recorded state.
    let mut behind = 0;
    let other_log = forged(&running.data, actor, |events| {
        let at = hosts(events)[2];
        host_call(&mut events[at], |call| call.arguments = encode("another line").unwrap().into());
        let snapshot = events.iter().position(|event| event.kind == Kind::Snapshot).unwrap();
        behind = events[..snapshot].iter().filter(|event| event.kind == Kind::Return).count();
    });
    let path = scratch.write("other-log.chain", other_log).display().to_string();
    let (output, said) = replay(&running.data, &[&path, "--component", &component]);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said["what"].as_str().unwrap().contains("different arguments"), "{said}");
    // The start, two visitors and all calls after the snapshot are identical.
    assert_eq!((&said["calls"], &said["differing"]), (&Json::from(16 - behind), &Json::from(behind - 3)), "{said}");
    let output = theater(&["--data", text(&running.data), "replay", &path, "--component", &component]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("identical calls before it: 3\n"), "{said}");
    assert!(said.ends_with(&format!("\n  calls with identical bytes: {} of 13\n", 16 - behind)), "{said}");
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The library of one of our plugins.
fn library(name: &str) -> String {
    build_folder().join(format!("lib{name}.so")).display().to_string()
}

/// All files and folders below a folder, with their modification times.
fn files(folder: &Path) -> Vec<(std::path::PathBuf, std::time::SystemTime)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        files.push((entry.path(), entry.metadata().unwrap().modified().unwrap()));
        if entry.metadata().unwrap().is_dir() {
            files.extend(self::files(&entry.path()));
        }
    }
    files.sort();
    files
}

/// The counts of a replay against a plugin: identical, asked, and not asked.
fn counts(said: &Json) -> [u64; 3] {
    ["identical", "asked", "not_asked"].map(|key| said[key].as_u64().unwrap_or_else(|| panic!("{said}")))
}

#[test]
fn a_plugin_gives_again_what_it_gave_of_a_seed() {
    let scratch = Scratch::new();
    let seeded = format!("{HTTP}[[handlers]]\ntype = \"random\"\nconfig = {{ seed = 7 }}\n");
    let (mut running, address) = Running::actor(&scratch, &manifest("dice", &seeded));
    let draw = |address| ["/bytes/20", "/range/1/7", "/float", "/uuid"].map(|path| get(address, path).status);
    assert_eq!(draw(address), [200; 4]);
    assert!(running.stop().0.success());
    let data = running.data.clone();
    // Also after a resume, and while the resumed actor is running.
    let mut running = Running::start(&data, &["--resume"]);
    assert_eq!(draw(running.address(0)), [200; 4]);
    let (output, said) = replay(&data, &["dice", "--plugin", &library("random")]);
    assert!(output.status.success() && said["asked"].as_u64() >= Some(4) && said["same"] == true, "{said}");
    assert!(running.stop().0.success());
    let before = files(&data);
    let (output, said) = replay(&data, &["dice", "--plugin", &library("random")]);
    assert!(output.status.success() && said["same"] == true, "{said}");
    assert_eq!((counts(&said), &said["plugin"]), ([8, 8, 0], &Json::from("random")), "{said}");
    assert_eq!(files(&data), before, "a replay changes nothing of the data folder");
    let last = hosts_of(&data, "dice")[3];
    let (_, said) = replay(&data, &["dice", "--plugin", &library("random"), "--until", &last.to_string()]);
    assert_eq!(counts(&said), [4, 4, 0], "{said}");
    // Also from an exported chain alone.
    let exported = scratch.path().join("dice.chain");
    let output = theater(&["--data", text(&data), "chain", "export", "dice", "--to", text(&exported)]);
    assert!(output.status.success(), "{output:?}");
    let (output, said) = replay(&scratch.path().join("none"), &[text(&exported), "--plugin", &library("random")]);
    assert!(output.status.success() && counts(&said) == [8, 8, 0], "{said}");
    let actor = verify::read(&data, |_| {}).unwrap().find("dice").unwrap().0;
    // Each restart of the actor restarts the random stream.
    let twice = forged(&data, actor, |events| {
        let again = |event: &Recorded| Recorded {
            kind: if event.kind == Kind::Created { Kind::Restarted } else { event.kind },
            sequence: event.sequence + 1_000,
            call: event.call.map(|call| call + 1_000),
            ..event.clone()
        };
        let again: Vec<_> = events.iter().map(again).collect();
        events.extend(again);
    });
    let path = scratch.write("twice.chain", twice).display().to_string();
    let (_, said) = replay(&data, &[&path, "--plugin", &library("random")]);
    assert_eq!(counts(&said), [16, 16, 0], "{said}");
    // Without the first draw, all later ones differ.
    let less = forged(&data, actor, |events| drop(events.remove(hosts(events)[0])));
    let path = scratch.write("less.chain", less).display().to_string();
    let (output, said) = replay(&data, &[&path, "--plugin", &library("random")]);
    assert_eq!((output.status.code(), counts(&said)), (Some(0), [0, 7, 0]), "{said}");
    assert_eq!((&said["read_differ"], &said["failed"]), (&Json::from(7), &Json::from(0)), "{said}");
}

#[test]
fn a_handler_goes_on_where_its_plugin_was_replaced() {
    let scratch = Scratch::new();
    let plugins = plugin_folder(&scratch);
    let seeded = format!("{HTTP}[[handlers]]\ntype = \"random\"\nconfig = {{ seed = 7 }}\n");
    let path = scratch.write("dice.toml", manifest("dice", &seeded));
    let data = scratch.path().join("data");
    for (number, more) in [text(&path), "--resume"].into_iter().enumerate() {
        let mut running = Running::start(&data, &["--plugins", text(&plugins), more]);
        assert_eq!(get(running.address(0), "/bytes/20").status, 200, "{number}");
        assert!(running.stop().0.success());
        // The same code in another file.
        let mut bytes = std::fs::read(plugins.join("librandom.so")).unwrap();
        bytes.push(0);
        std::fs::write(plugins.join("librandom.so"), bytes).unwrap();
    }
    let events = theater_tests::chain(&data, "dice");
    assert_eq!(theater_tests::texts(&events, "swapped").len(), 1, "{events:?}");
    let (output, said) = replay(&data, &["dice", "--plugin", &library("random")]);
    assert!(output.status.success() && counts(&said) == [2, 2, 0], "{said}");
}

/// The sequence numbers of an actor's host calls.
fn hosts_of(data: &Path, actor: &str) -> Vec<u64> {
    let events = theater_tests::chain(data, actor);
    let hosts = events.iter().filter(|event| event["type"] == "host");
    hosts.map(|event| event["sequence"].as_u64().unwrap()).collect()
}

#[test]
fn what_a_read_function_gives_now_is_counted_and_no_failure() {
    let scratch = Scratch::new();
    let random = format!("{HTTP}[[handlers]]\ntype = \"random\"\n");
    let (mut running, address) = Running::actor(&scratch, &manifest("dice", &random));
    for _ in 0..12 {
        assert_eq!(get(address, "/range/0/1000000000").status, 200);
    }
    assert!(running.stop().0.success());
    let (output, said) = replay(&running.data, &["dice", "--plugin", &library("random")]);
    assert_eq!((output.status.code(), counts(&said)), (Some(0), [0, 12, 0]), "{said}");
    assert_eq!((&said["read_differ"], &said["pure_differ"]), (&Json::from(12), &Json::from(0)), "{said}");
    assert_eq!(said["differences"].as_array().unwrap().len(), 10, "{said}");
    let first = &said["differences"][0];
    assert_eq!(first["sequence"], hosts_of(&running.data, "dice")[0], "{said}");
    assert_eq!((&first["arguments"], &first["effect"]), (&Json::from("0, 1000000000"), &Json::from("read")), "{said}");
    let output = theater(&["--data", text(&running.data), "replay", "dice", "--plugin", &library("random")]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    for part in [
        ": called plugin random ",
        "\n  calls with identical bytes: 0 of 12\n",
        "\n  calls of read functions that differ (not a failure): 12\n",
        " theater:simple/random/random-range (read)\n    arguments (0, 1000000000)\n    recorded  ok(",
        "\n    given     ok(",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    assert!(said.ends_with("\n  and 2 more\n"), "{said}");
    // Arguments that do not decode for the function are not passed to it.
    let actor = verify::read(&running.data, |_| {}).unwrap().find("dice").unwrap().0;
    let other = forged(&running.data, actor, |events| {
        let at = hosts(events)[0];
        host_call(&mut events[at], |call| call.arguments = b"\x01".as_slice().into());
    });
    let path = scratch.write("other.chain", other).display().to_string();
    let (_, said) = replay(&running.data, &[&path, "--plugin", &library("random")]);
    assert_eq!(said["differences"][0]["given"], "nothing: the function takes other arguments now", "{said}");
    assert_eq!((counts(&said), &said["failed"]), ([0, 12, 0], &Json::from(1)), "{said}");
}

#[test]
fn a_plugin_with_one_constant_changed_is_found_in_its_pure_functions() {
    let scratch = Scratch::new();
    let (mut running, address) = super::acme::one(&scratch, "");
    for path in ["/greet/Ada", "/greet/Ada/birthday/36", "/average/1/2/6", "/count", "/owner", "/greet-later/Ada/20"] {
        assert_eq!(get(address, path).status, 200, "{path}");
    }
    // An effect is not asked in a replay, so that the plugin's count of calls is one too low.
    assert_eq!(get(address, "/start-ticks/3600000").status, 200);
    assert_eq!(get(address, "/count").text().trim_end(), "8");
    assert!(running.stop().0.success());
    let plugin = scratch.path().join("plugins/libacme_greeter.so");
    let (output, said) = replay(&running.data, &["greeter", "--plugin", text(&plugin)]);
    assert_eq!((output.status.code(), counts(&said)), (Some(0), [6, 7, 1]), "{said}");
    assert_eq!((&said["pure_differ"], &said["read_differ"]), (&Json::from(0), &Json::from(1)), "{said}");
    let only = &said["differences"][0];
    assert_eq!((&only["recorded"], &only["given"]), (&Json::from("8"), &Json::from("7")), "{said}");

    let mut bytes = std::fs::read(&plugin).unwrap();
    let at = bytes.windows(15).position(|window| window == b" Happy birthday").unwrap() + 7;
    bytes[at] = b'B';
    let changed = scratch.write("libchanged.so", bytes);
    let (output, said) = replay(&running.data, &["greeter", "--plugin", text(&changed)]);
    assert_eq!((output.status.code(), counts(&said)), (Some(1), [5, 7, 1]), "{said}");
    assert_eq!((&said["pure_differ"], &said["read_differ"]), (&Json::from(1), &Json::from(1)), "{said}");
    let first = &said["differences"][0];
    assert_eq!((&first["effect"], &first["function"]), (&"pure".into(), &"acme:greeter/hello@1.0.0/greet".into()));
    assert_eq!(first["recorded"], "ok(\"Hello, dear Ada! Happy birthday number 36! *smile, clap*\")", "{said}");
    assert_eq!(first["given"], "ok(\"Hello, dear Ada! Happy Birthday number 36! *smile, clap*\")", "{said}");
}

/// Records an actor that calls a healthy plugin with the interface that all of `tests/bad-plugins` share.
fn probed(scratch: &Scratch) -> std::path::PathBuf {
    let plugins = plugin_folder(scratch);
    std::fs::copy(broken("newer"), plugins.join("libbad_newer.so")).unwrap();
    let path = scratch.write("prober.toml", manifest("prober", &format!("{HTTP}[[handlers]]\ntype = \"bad:newer\"\n")));
    let data = scratch.path().join("data");
    let mut running = Running::start(&data, &["--plugins", text(&plugins), text(&path)]);
    let address = running.address(0);
    for path in ["/run/ok", "/later/ok", "/run/loop", "/later/x", "/bare"] {
        assert_eq!(get(address, path).status, 200, "{path}");
    }
    assert!(running.stop().0.success());
    data
}

fn broken(name: &str) -> String {
    bad_plugins().join(format!("lib{}.so", name.replace('-', "_"))).display().to_string()
}

#[test]
fn a_plugin_that_fails_when_it_is_asked_is_counted() {
    let scratch = Scratch::new();
    let data = probed(&scratch);
    let asked = |name: &str| {
        let (output, said) = replay(&data, &["prober", "--plugin", &broken(name)]);
        assert!(output.status.success(), "{name}: {output:?}");
        (counts(&said), said["failed"].as_u64().unwrap(), said)
    };
    for healthy in ["newer", "older"] {
        let (counts, failed, said) = asked(healthy);
        assert_eq!((counts, failed), ([5, 5, 0], 0), "{said}");
    }
    let given = |said: &Json, at: usize| said["differences"][at]["given"].as_str().unwrap().to_owned();
    let (counts, failed, said) = asked("call-panics");
    assert_eq!((counts, failed), ([2, 5, 0], 3), "{said}");
    assert!(given(&said, 0).starts_with("err(\"[P0101] plugin \\\"bad-call-panics\\\": "), "{said}");
    assert!(given(&said, 1).contains("a panic in run-later"), "{said}");
    assert!(given(&said, 2).starts_with("fault(\"[P0101]") && given(&said, 2).contains("a panic in bare"), "{said}");
    let (counts, failed, said) = asked("wrong-bytes");
    assert_eq!((counts, failed), ([0, 5, 0], 5), "{said}");
    assert!(given(&said, 0).contains("[P0102]"), "{said}");
    // Two futures that are never woken, with a timeout of 5 s each.
    let (counts, failed, said) = asked("never-wakes");
    assert_eq!((counts, failed), ([3, 5, 0], 2), "{said}");
    assert_eq!(given(&said, 0), "nothing: it did not end within 5 s");
    // A plugin that blocks the thread is not asked again.
    let (counts, failed, said) = asked("sync-loop");
    assert_eq!((counts, failed), ([2, 3, 2], 1), "{said}");
    assert_eq!(given(&said, 0), "nothing: it did not end within 5 s");
}

#[test]
fn a_file_that_cannot_be_asked_says_why_and_what_to_do() {
    let scratch = Scratch::new();
    let data = probed(&scratch);
    let temporary = scratch.path().join("temporary");
    std::fs::create_dir(&temporary).unwrap();
    let ask = |plugin: &str, temporary: &Path| {
        let mut theater = Command::new(build_folder().join("theater"));
        theater.args(["--data", text(&data), "replay", "prober", "--plugin", plugin]).env("TMPDIR", temporary);
        theater.output().unwrap()
    };
    let refused = |plugin: &str| {
        let output = ask(plugin, &temporary);
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), &b""[..]), "{plugin}");
        let said = String::from_utf8(output.stderr).unwrap();
        let said = said.replace(text(scratch.path()), "<folder>").replace(text(bad_plugins()), "<bad>");
        said.replace(text(build_folder()), "<plugins>")
    };
    assert_eq!(
        refused(text(&scratch.path().join("none.so"))),
        "error[P0002] plugin file <folder>/none.so: cannot be read: No such file or directory (os error 2)\n  help: check \
         the path and the file's permissions\n"
    );
    let said = refused(text(&scratch.write("text.so", "no library")));
    assert!(said.starts_with("error[P0003] plugin file <folder>/text.so: is not a shared library"), "{said}");
    assert!(said.contains("\n  help: build the plugin as crate-type = [\"cdylib\"]"), "{said}");
    assert_eq!(
        refused(&library("timing")),
        "error[P0024] plugin \"timing\" (<plugins>/libtiming.so) offers nothing that the chain calls: it calls \
         bad:plugin/probe@1.0.0/bare, bad:plugin/probe@1.0.0/run, bad:plugin/probe@1.0.0/run-later\n  help: name the file of \
         a plugin that offers one of them; `theater plugin inspect FILE` shows what a plugin offers\n"
    );
    assert_eq!(
        refused(&broken("attach-error")),
        "error[H0003] handler \"bad:attach-error\" of actor \"prober\": the plugin does not take the recorded config {}: no \
         seat left\n"
    );
    let said = refused(&broken("attach-panics"));
    assert!(said.starts_with("error[H0004] handler \"bad:attach-panics\" of actor \"prober\": plugin "), "{said}");
    assert_eq!(
        refused(&broken("init-error")),
        "error[P0016] plugin \"bad-init-error\" 1.0.0 (<bad>/libinit_error.so): its init returned an error: no licence file\n"
    );
    // No temporary file is left.
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0);
    let output = ask(&broken("newer"), &scratch.path().join("nowhere"));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.starts_with("error[P0020] plugin \"bad-newer\" ") && said.contains("/nowhere/theater-replay-"),
        "{said}"
    );
    assert!(said.contains("TMPDIR"), "{said}");
    let output = theater(&["replay", "prober", "--plugin", "a.so", "--component", "b.wasm"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}
