//! `tests/verify_chain.py`, an independent implementation of the format, verifies what the program writes.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value as Json;
use theater_tests::{repository, theater};

use crate::journal::{chain_verify, fields, recorded, segments, spans};

fn python(path: &Path, more: &[&str]) -> Output {
    let script = repository().join("tests/verify_chain.py");
    let output = Command::new("python3").arg(script).arg(path).args(more).output();
    output.expect("these tests need python3 (hashlib only): install it, as `.ci/run` does")
}

/// The number of events and the head of each actor, as the Python program prints them.
fn read_by_python(path: &Path) -> BTreeMap<String, (u64, String)> {
    let output = python(path, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let line = |line: &str| {
        let (actor, rest) = line.split_once(": ").unwrap();
        let (events, head) = rest.split_once(" events, complete up to ").unwrap();
        (actor.to_owned(), (events.parse().unwrap(), head.to_owned()))
    };
    String::from_utf8(output.stdout).unwrap().lines().map(line).collect()
}

/// The same, as `theater chain verify` prints them.
fn read_by_theater(path: &Path) -> BTreeMap<String, (u64, String)> {
    let output = chain_verify(path, &["-o", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let line = |line: &str| {
        let object: Json = serde_json::from_str(line).unwrap();
        object["id"].as_str().map(|id| {
            (id.to_owned(), (object["events"].as_u64().unwrap(), object["head"].as_str().unwrap().to_owned()))
        })
    };
    String::from_utf8(output.stdout).unwrap().lines().filter_map(line).collect()
}

#[test]
#[cfg_attr(missing_python3, ignore = "needs python3: tests/setup installs it")]
fn both_verifiers_agree_on_a_journal_on_each_export_and_on_what_is_left_after_rm() {
    let scratch = recorded();
    let data = scratch.path().join("data");
    let folder = data.display().to_string();
    let chains = read_by_theater(&data);
    assert_eq!(chains.len(), 2);
    assert_eq!(read_by_python(&data), chains);
    for (actor, (_, head)) in &chains {
        let file = scratch.path().join(format!("{actor}.chain"));
        let done = theater(&["chain", "--data", &folder, "export", actor, "--to", &file.display().to_string()]);
        assert!(done.status.success());
        let exported = read_by_python(&file);
        assert_eq!(exported, read_by_theater(&file));
        assert_eq!(exported[actor], chains[actor]);
        assert_eq!(python(&file, &["--head", head]).status.code(), Some(0));
    }
    let removed = chains.keys().next().unwrap();
    assert!(theater(&["chain", "--data", &folder, "rm", removed]).status.success());
    let left = read_by_python(&data);
    assert_eq!(left, read_by_theater(&data));
    assert_eq!(left.len(), 1);
}

#[test]
#[cfg_attr(missing_python3, ignore = "needs python3: tests/setup installs it")]
fn the_python_verifier_finds_a_flipped_byte_of_each_field() {
    let scratch = recorded();
    let data = scratch.path().join("data");
    let path = segments(&data).remove(0);
    let bytes = std::fs::read(&path).unwrap();
    for (field, offset) in fields(&bytes) {
        let mut flipped = bytes.clone();
        flipped[offset] ^= 0x10;
        std::fs::write(&path, flipped).unwrap();
        let output = python(&data, &[]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{field}: {said}");
        let frame = spans(&bytes).into_iter().find(|span| (span.start..span.end).contains(&offset));
        let offset = frame.map_or(0, |frame| frame.start);
        assert!(said.contains(&format!("segment 00000001.log, offset {offset}:")), "{field}: {said}");
    }
}

#[test]
#[cfg_attr(missing_python3, ignore = "needs python3: tests/setup installs it")]
fn both_verifiers_count_only_what_is_committed_and_miss_the_head_of_what_was_cut_off() {
    let scratch = recorded();
    let data = scratch.path().join("data");
    let whole = read_by_theater(&data);
    let path = segments(&data).remove(1);
    let bytes = std::fs::read(&path).unwrap();
    let spans = spans(&bytes);
    let last = spans.last().unwrap();
    for cut in [last.end - 1, last.start, last.start - 1, spans[spans.len() / 2].end] {
        std::fs::write(&path, &bytes[..cut]).unwrap();
        let left = read_by_python(&data);
        assert_eq!(left, read_by_theater(&data), "cut at {cut}");
        let (_, (_, head)) = whole.iter().find(|(actor, end)| left.get(*actor) != Some(*end)).expect("one is shorter");
        let codes =
            [python(&data, &["--head", head]).status.code(), chain_verify(&data, &["--head", head]).status.code()];
        assert_eq!(codes, [Some(1), Some(1)], "cut at {cut}");
    }
}
