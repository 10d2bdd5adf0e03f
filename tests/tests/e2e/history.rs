//! What a chain tells afterwards: states, proofs, and causes between chains.

use std::path::Path;
use std::process::Output;

use theater_runtime::chain::hex;
use theater_runtime::{proof, verify};
use theater_tests::talk::{TALK, ask, ask_until, start, tell};
use theater_tests::{HTTP, Running, Scratch, chain, get, json_lines, manifest, theater};

fn asked(data: &Path, arguments: &[&str]) -> Output {
    let data = data.display().to_string();
    theater(&[&["--data", &data], arguments].concat())
}

/// A data folder with an actor that has had so many visitors.
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
        // Whatever is changed, it is no proof for this head any more.
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
    // Each message to itself, and each time that it puts the rest of its order behind them.
    assert_eq!(causes["checked"], 24);
    let contents = verify::read(&data, |_| {}).unwrap();
    let actor = contents.find("chatter").unwrap().0;
    // With hashes that fit, but for the causes: all events have other hashes than those that were named.
    let forged = scratch.write("forged.chain", super::replay::forged(&data, actor, |_| ()));
    let output = theater(&["chain", "verify", &forged.display().to_string()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("names as its cause"), "{output:?}");
}
