//! Contents in stores outlive the actors and the program.

use serde_json::json;
use theater_tests::talk::{TALK, ask, start, try_ask};
use theater_tests::{Scratch, chain, json_lines, texts, theater};

fn store(granted: &str) -> String {
    format!(
        "init_state = {{ json = {{ store = \"shared\" }} }}\n{TALK}[[handlers]]\ntype = \"store\"\nconfig = {{ {granted} }}\n"
    )
}

#[test]
fn what_an_actor_keeps_is_there_after_the_program_and_for_the_operator() {
    let scratch = Scratch::new();
    let manifest = store("stores = [\"shared\"]");
    let (mut running, at) = start(&scratch, &[("file-cache", &manifest)]);
    let hash = ask(at[0], "put", json!({"label": "greetings/first", "content": "hello"}))["hash"].clone();
    assert!(running.stop().0.success());
    theater_tests::replays(&running.data);
    let (mut running, at) = start(&scratch, &[("file-cache", &manifest)]);
    let kept = ask(at[0], "get", json!({"label": "greetings/first"}));
    assert_eq!((&kept["content"], &kept["hash"]), (&json!("hello"), &hash));
    assert!(running.stop().0.success());
    theater_tests::replays(&running.data);
    let data = running.data.display().to_string();
    let out = scratch.path().join("out").display().to_string();
    let got = theater(&["--data", &data, "store", "get", "shared", "greetings/first", &out]);
    assert!(got.status.success(), "{}", String::from_utf8_lossy(&got.stderr));
    assert_eq!(std::fs::read(&out).unwrap(), b"hello");
    let listed = theater(&["-o", "json", "--data", &data, "store", "ls"]);
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    assert!(json_lines(&listed.stdout)[0].to_string().contains("shared"));
    let behind = theater(&["store", "ls", "-o", "json", &format!("--data={data}")]);
    assert_eq!(behind, listed, "options may be anywhere");
    let wrong = theater(&["--data", &data, "store", "frob"]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("theater store"));
}

#[test]
fn a_long_content_stands_whole_in_the_intent_and_the_call() {
    let scratch = Scratch::new();
    let (mut running, at) = start(&scratch, &[("file-cache", &store("stores = [\"shared\"]"))]);
    let content: String = (0..3_000).map(|number| char::from(b'a' + (number * 7 % 26) as u8)).collect();
    let _ = ask(at[0], "put", json!({"label": "long", "content": content}));
    assert_eq!(ask(at[0], "get", json!({"label": "long"}))["content"], *content);
    assert!(running.stop().0.success());
    theater_tests::replays(&running.data);
    let events = chain(&running.data, "file-cache");
    let whole =
        |kind: &str| texts(&events, kind).iter().filter(|text| text.contains(&format!("b\"{content}\""))).count();
    assert_eq!(whole("intent"), 1, "{:?}", texts(&events, "intent"));
    // The content that was put and the one that was read.
    assert_eq!(whole("host"), 2, "{:?}", texts(&events, "host"));
}

#[test]
fn a_store_that_is_not_granted_is_not_seen() {
    let scratch = Scratch::new();
    let (_running, at) = start(&scratch, &[("file-cache", &store("stores = [\"other\"]"))]);
    let error = try_ask(at[0], "put", json!({"label": "a", "content": "b"})).unwrap_err();
    assert!(error.contains("stores"), "{error}");
}

#[test]
fn components_and_manifests_come_out_of_a_store() {
    let scratch = Scratch::new();
    let data = scratch.path().join("data").display().to_string();
    let component = theater_tests::component("counter").display().to_string();
    let put =
        theater(&["--data", &data, "store", "put", "shared-assets", &component, "--label", "actors/counter.wasm"]);
    assert!(put.status.success(), "{}", String::from_utf8_lossy(&put.stderr));
    let text = format!("name = \"counter\"\ncomponent = \"store://shared-assets/actors/counter.wasm\"\n{TALK}");
    let path = scratch.write("counter.toml", &text).display().to_string();
    let output = theater(&["run", "--data", &data, &path, "--request", r#"counter={"type":"get"}"#]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("\"count\":0"));
    let missing = text.replace("counter.wasm", "nothing.wasm");
    let path = scratch.write("missing.toml", missing).display().to_string();
    let output = theater(&["run", "--data", &data, &path]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("store://shared-assets/actors/nothing.wasm"));
}
