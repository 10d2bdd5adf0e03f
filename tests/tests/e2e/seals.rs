//! Seals: signatures over chains, with a key that is stored elsewhere.

use std::path::{Path, PathBuf};
use std::process::Output;

use theater_tests::{HTTP, Running, Scratch, chain, get, json_lines, manifest, texts, theater};

use super::replay::forged;

fn asked(data: &Path, arguments: &[&str]) -> Output {
    let data = data.display().to_string();
    theater(&[&["--data", &data], arguments].concat())
}

/// Creates a key and returns its file and its public part.
fn key(scratch: &Scratch, name: &str) -> (String, String) {
    let file = scratch.path().join(name).display().to_string();
    let made = theater(&["-o", "json", "chain", "key", &file]);
    assert!(made.status.success(), "{made:?}");
    (file, json_lines(&made.stdout)[0]["key"].as_str().unwrap().to_owned())
}

fn sealed(scratch: &Scratch, key: &str) -> PathBuf {
    let text = manifest("hello-http", &format!("{HTTP}[chain]\nsnapshot_every = 10\n"));
    let path = scratch.write("manifest.toml", text).display().to_string();
    let mut running = Running::start(&scratch.path().join("data"), &["--seal", key, &path]);
    for _ in 0..10 {
        assert_eq!(get(running.address(0), "/").status, 200);
    }
    assert!(running.stop().0.success());
    running.data.clone()
}

#[test]
fn a_chain_is_sealed_at_snapshots_and_at_its_end_and_its_key_can_be_demanded() {
    let scratch = Scratch::new();
    let (file, public) = key(&scratch, "seal.key");
    let data = sealed(&scratch, &file);
    let events = chain(&data, "hello-http");
    let seals: Vec<_> = (1..events.len()).filter(|at| events[*at]["type"] == "sealed").collect();
    assert!(seals.iter().all(|at| ["snapshot", "stopped"].contains(&events[at - 1]["type"].as_str().unwrap())));
    assert_eq!(seals.len(), texts(&events, "snapshot").len() + 1);
    assert!(seals.len() > 3);
    assert_eq!(events.last().unwrap()["text"], format!("by ed25519:{public}"));
    let verified = asked(&data, &["chain", "verify", "--key", &public]);
    assert!(verified.status.success(), "{verified:?}");
    let said = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert!(said.contains(&format!("sealed up to event {} by ed25519:{public}", events.len() - 1)), "{said}");
    // The list shows the actor's own last event, not the seal.
    assert!(String::from_utf8_lossy(&asked(&data, &["chain", "list"]).stdout).contains(", last stopped at "));
    let other = asked(&data, &["chain", "verify", "--key", &key(&scratch, "other.key").1]);
    assert_eq!(other.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&other.stderr).contains("a chain is not sealed by"), "{other:?}");
    assert!(asked(&data, &["replay", "hello-http"]).status.success());
}

#[test]
fn a_chain_that_is_written_anew_does_not_fit_its_seals() {
    let scratch = Scratch::new();
    let data = sealed(&scratch, &key(&scratch, "seal.key").0);
    let actor = theater_chain::verify::read(&data, |_| {}).unwrap().find("hello-http").unwrap().0;
    // A chain with other timestamps and consistent hashes: only the seals do not match.
    let forged = forged(&data, actor, |_| ());
    let path = scratch.write("forged.chain", forged).display().to_string();
    let output = theater(&["chain", "verify", &path]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("its signature does not match the previous event"),
        "{output:?}"
    );
}

#[test]
fn a_file_that_is_no_key_and_one_that_is_there_already_are_told() {
    let scratch = Scratch::new();
    let file = scratch.write("no.key", "no key").display().to_string();
    let path = scratch.write("manifest.toml", manifest("hello-http", HTTP)).display().to_string();
    let output = asked(&scratch.path().join("data"), &["run", "--seal", &file, &path]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("[S0006]") && said.contains("not an Ed25519 key") && said.contains("chain key"), "{said}");
    let again = theater(&["chain", "key", &file]);
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("[S0006]"), "{again:?}");
    assert_eq!(std::fs::read(&file).unwrap(), b"no key");
}
