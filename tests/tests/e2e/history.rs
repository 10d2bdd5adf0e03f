//! Queries on recorded chains: states, events, proofs, and causes between chains.

use std::path::Path;
use std::process::{Command, Output};

use theater_chain::event::hex;
use theater_chain::proof;
use theater_chain::verify;
use theater_tests::talk::{TALK, ask, ask_until, start, tell};
use theater_tests::{HTTP, Running, Scratch, chain, get, json_lines, manifest, theater};

fn asked(data: &Path, arguments: &[&str]) -> Output {
    let data = data.display().to_string();
    theater(&[&["--data", &data], arguments].concat())
}

/// Records an actor with this many visitors and returns the data folder.
fn visited(scratch: &Scratch, visitors: usize, chained: &str) -> std::path::PathBuf {
    let (mut running, address) =
        Running::actor(scratch, &manifest("hello-http", &format!("{HTTP}[chain]\n{chained}\n")));
    for _ in 0..visitors {
        assert_eq!(get(address, "/").status, 200);
    }
    assert!(running.stop().0.success());
    running.data.clone()
}

#[test]
fn the_state_behind_any_event_is_printed() {
    for chained in ["", "snapshot_every = 7"] {
        let scratch = Scratch::new();
        let data = visited(&scratch, 6, chained);
        let state = |arguments: &[&str]| {
            let output = asked(&data, &[&["state", "hello-http"], arguments].concat());
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        let events = chain(&data, "hello-http");
        let mut visitors = 0;
        for event in events.iter().skip(4) {
            let handled = event["type"] == "return";
            visitors += u64::from(handled);
            assert_eq!(state(&["--at", &event["sequence"].to_string()]), visitors.to_string(), "{event}");
        }
        assert_eq!((state(&[]), visitors), ("6".to_owned(), 6));
        let output = asked(&data, &["-o", "json", "state", "hello-http"]);
        let object = &json_lines(&output.stdout)[0];
        assert_eq!((object["state"].as_str(), object["bytes"].as_u64()), (Some("6"), Some(1)), "{object}");
        let none = asked(&data, &["state", "hello-http", "--at", "9999"]);
        assert_eq!(none.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&none.stderr).contains("[J0005]"), "{none:?}");
    }
}

#[test]
fn events_are_found_by_conditions() {
    let scratch = Scratch::new();
    let data = visited(&scratch, 3, "");
    let found = |conditions: &[&str]| {
        let conditions: Vec<_> = conditions.iter().flat_map(|condition| ["--where", condition]).collect();
        let output = asked(&data, &[&["-o", "json", "events", "hello-http"], conditions.as_slice()].concat());
        assert!(output.status.success(), "{output:?}");
        json_lines(&output.stdout)
    };
    assert_eq!(found(&["type=return"]).len(), 4);
    assert_eq!(found(&["type=return", "function=handle-request"]).len(), 3);
    assert_eq!(found(&["function=theater:simple/runtime/log", "text~visitor 2"]).len(), 1);
    let all = chain(&data, "hello-http");
    assert_eq!(found(&["sequence>=3", "sequence<=5"]), all[3..6]);
    assert_eq!(found(&["type!=host"]).len() + found(&["type=host"]).len(), all.len());
    let call = &found(&["type=host"])[0]["call"];
    assert!(found(&[&format!("call={call}")]).iter().all(|event| event["call"] == *call));
    assert!(found(&["bytes>=1000000"]).is_empty());
    let wrong = asked(&data, &["events", "--where", "kind=host"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("the fields are type, function, text"), "{wrong:?}");
}

#[test]
fn an_event_is_proven_to_be_in_a_chain_by_a_small_file_alone() {
    let scratch = Scratch::new();
    let data = visited(&scratch, 40, "");
    let contents = verify::read(&data, |_| {}).unwrap();
    let (id, end) = contents.find("hello-http").unwrap();
    let head = hex(&end.chain.head());
    let alone = Scratch::new();
    for sequence in [0, 1, 63, 64, 100, end.chain.len() - 1] {
        let file = alone.path().join("a.proof").display().to_string();
        let written = asked(&data, &["chain", "prove", "hello-http", &sequence.to_string(), "--to", &file]);
        assert!(written.status.success(), "{written:?}");
        let bytes = std::fs::read(&file).unwrap();
        assert!(bytes.len() < 4_096, "{} bytes", bytes.len());
        let checked = asked(alone.path(), &["verify-proof", &file, "--head", &head]);
        assert!(checked.status.success(), "{checked:?}");
        let said = String::from_utf8(checked.stdout).unwrap();
        assert!(said.starts_with(&format!("event {sequence} of ")) && said.contains(&head), "{said}");
        // After any change it is no longer a proof for this head.
        let proven = proof::check(Path::new(&file), &bytes).unwrap();
        assert_eq!((proven.header.actor, proven.header.sequence, proven.head), (id, sequence, end.chain.head()));
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            if let Ok(proven) = proof::check(Path::new(&file), &changed) {
                assert_ne!(proven.head, end.chain.head(), "byte {at} of {}", bytes.len());
            }
        }
        let other = asked(alone.path(), &["verify-proof", &file, "--head", &"0".repeat(64)]);
        assert_eq!(other.status.code(), Some(1), "{other:?}");
    }
    let none = asked(&data, &["chain", "prove", "hello-http", "99999"]);
    assert!(String::from_utf8_lossy(&none.stderr).contains("[J0005]"), "{none:?}");
}

/// Records actors that make calls, fail, are killed and are resumed, and returns the data folder.
fn lived(scratch: &Scratch) -> std::path::PathBuf {
    let chained = "[chain]\nsync = \"always\"\nsnapshot_every = 8\n";
    let random = "[[handlers]]\ntype = \"random\"\n";
    let timing = "[[handlers]]\ntype = \"timing\"\n";
    let all = [
        ("hello-http", format!("{HTTP}{chained}")),
        ("dice", format!("{HTTP}{random}{chained}")),
        ("runtime-probe", format!("{HTTP}{chained}")),
        ("looper", format!("[limits]\nrun_timeout_ms = 100\n{HTTP}{chained}")),
        ("steps", format!("{TALK}{random}{timing}{chained}")),
    ];
    let texts: Vec<_> = all.iter().map(|(actor, more)| (*actor, more.as_str())).collect();
    let (running, at) = start(scratch, &texts);
    let talk = |at: &[std::net::SocketAddr]| {
        for path in ["/range/0/100", "/uuid", "/float", "/range/9/1"] {
            let _ = get(at[1], path);
        }
        for path in ["/chain", "/log/hello", "/nothing"] {
            let _ = get(at[2], path);
        }
        assert_eq!(get(at[0], "/").status, 200);
        let _ = ask(at[3], "step", serde_json::json!({ "note": "whole" }));
    };
    talk(&[at[0], at[1], at[2], at[4]]);
    let _ = get(at[3], "/");
    tell(at[4], "step", serde_json::json!({ "note": "cut off", "sleep": 1_000 }));
    let data = running.data.clone();
    theater_tests::wait_until("what was drawn", || {
        (theater_tests::texts(&chain(&data, "steps"), "host").len() >= 4).then_some(())
    });
    running.signal("KILL");
    drop(running);
    let mut running = Running::start(&data, &["--resume"]);
    let at: Vec<_> = [0, 1, 2, 4].iter().map(|number| running.address(*number)).collect();
    talk(&at);
    assert!(running.stop().0.success());
    data
}

/// Every later release has to read, verify and replay these chains. `UPDATE_GOLDEN=1` records them again after a change
/// of the format.
#[test]
#[cfg_attr(missing_python3, ignore = "needs python3: tests/setup installs it")]
fn golden_chains_are_read_verified_and_replayed() {
    let golden = theater_tests::repository().join("tests/golden/chains/1");
    let heads = golden.join("heads.json");
    let found = |data: &Path| -> serde_json::Value {
        let contents = verify::read(data, |_| {}).unwrap();
        let ends = contents.chains.values();
        ends.map(|end| (end.name.clone(), serde_json::json!([end.chain.len(), hex(&end.chain.head())]))).collect()
    };
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let scratch = Scratch::new();
        let data = lived(&scratch);
        for folder in ["journal", "objects"] {
            drop(std::fs::remove_dir_all(golden.join(folder)));
            std::fs::create_dir_all(golden.join(folder)).unwrap();
            for file in std::fs::read_dir(data.join(folder)).unwrap() {
                let file = file.unwrap();
                std::fs::copy(file.path(), golden.join(folder).join(file.file_name())).unwrap();
            }
        }
        std::fs::write(&heads, serde_json::to_string_pretty(&found(&golden)).unwrap() + "\n").unwrap();
    }
    let expected: serde_json::Value = serde_json::from_slice(&std::fs::read(&heads).unwrap()).unwrap();
    assert_eq!(found(&golden), expected);
    assert!(theater_tests::replays(&golden) > 20);
    let verified =
        Command::new("python3").arg(theater_tests::repository().join("tests/verify_chain.py")).arg(&golden).output();
    assert!(verified.unwrap().status.success());
}

#[test]
fn causes_between_chains_are_verified() {
    let scratch = Scratch::new();
    let (mut running, at) = start(&scratch, &[("counter", TALK), ("chatter", TALK)]);
    let id = running.lines()[1].split(' ').nth(1).unwrap().to_owned();
    tell(at[1], "go", serde_json::json!({ "to": [id], "count": 20, "seed": 1, "batch": 4 }));
    ask_until(at[1], "report", |report| (report["sent"] == 20).then_some(()));
    assert_eq!(ask(at[0], "get", serde_json::json!({}))["count"], 0);
    assert!(running.stop().0.success());
    let data = running.data.clone();
    let output = asked(&data, &["-o", "json", "chain", "verify"]);
    assert!(output.status.success(), "{output:?}");
    let causes = json_lines(&output.stdout).into_iter().find(|line| line["event"] == "causes").unwrap();
    // 20 messages to itself, and 4 for the rest of its order, which it queues again after each batch but the last.
    assert_eq!(causes["checked"], 24);
    let contents = verify::read(&data, |_| {}).unwrap();
    let actor = contents.find("chatter").unwrap().0;
    // The forged chain has consistent hashes, but they differ from those that its causes name.
    let forged = scratch.write("forged.chain", super::replay::forged(&data, actor, |_| ()));
    let output = theater(&["chain", "verify", &forged.display().to_string()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("names as its cause"), "{output:?}");
}
