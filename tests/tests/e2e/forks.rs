//! Comparing, forking and exporting chains.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value as Json, json};
use theater_chain::record::{Kind, Return};
use theater_chain::verify;
use theater_plugin_api::encoding::{decode, encode};
use theater_tests::talk::{TALK, start, tell};
use theater_tests::{
    HTTP, Running, Scratch, chain, component, exchange, json_lines, manifest, replays, repository, texts, theater,
};

use super::replay::forged;

fn run(data: &Path, arguments: &[&str]) -> Output {
    let data = data.display().to_string();
    theater(&[&["--data", &data], arguments].concat())
}

/// The stdout of a command that has to succeed.
fn said(data: &Path, arguments: &[&str]) -> String {
    let output = run(data, arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The stderr of a command that has to fail.
fn refused(data: &Path, arguments: &[&str]) -> String {
    let output = run(data, arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
    String::from_utf8(output.stderr).unwrap()
}

fn diff(data: &Path, first: &str, second: &str) -> (Option<i32>, String, Json) {
    let output = run(data, &["chain", "diff", first, second]);
    let object = json_lines(&run(data, &["-o", "json", "chain", "diff", first, second]).stdout).remove(0);
    (output.status.code(), String::from_utf8(output.stdout).unwrap(), object)
}

/// Visits with a request that is identical in every run, and returns the visitor's number.
fn visit(address: SocketAddr, path: &str) -> u64 {
    let request = format!("GET {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n");
    let text = exchange(address, request.as_bytes()).unwrap().text();
    text.trim_end_matches(".\n").rsplit(' ').next().unwrap().parse().unwrap_or_else(|_| panic!("{text}"))
}

/// Runs `hello-http`, visits these paths, stops it, and returns the id of its chain.
fn visited(scratch: &Scratch, paths: &[&str]) -> String {
    let (mut running, address) = Running::actor(scratch, &manifest("hello-http", HTTP));
    for path in paths {
        visit(address, path);
    }
    assert!(running.stop().0.success());
    running.lines()[0].split(' ').nth(1).unwrap().to_owned()
}

/// The sequence numbers of the `return` events of an actor, `init` first.
fn returns(data: &Path, actor: &str) -> Vec<u64> {
    let events = chain(data, actor);
    let all = events.iter().filter(|event| event["type"] == "return");
    all.map(|event| event["sequence"].as_u64().unwrap()).collect()
}

fn chains(data: &Path) -> usize {
    verify::read(data, |_| {}).unwrap().chains.len()
}

#[test]
fn two_runs_with_the_same_inputs_are_the_same_up_to_the_first_other_input() {
    let scratch = Scratch::new();
    let data = scratch.path().join("data");
    let [one, same, other, longer] =
        [&["/", "/a"][..], &["/", "/a"], &["/", "/b"], &["/", "/a", "/"]].map(|paths| visited(&scratch, paths));
    let events = chain(&data, &one);
    let (code, text, object) = diff(&data, &one, &same);
    assert_eq!((code, text), (Some(0), format!("{one} and {same} are identical: {} events\n", events.len())));
    assert_eq!((&object["same"], &object["differs"]), (&json!(events.len()), &json!(false)), "{object}");

    let (code, text, object) = diff(&data, &one, &other);
    let at = events.iter().position(|event| event["text"].as_str().unwrap().contains("\"/a\"")).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let head = format!("event {at} differs: its params differ; identical events before it: {at}");
    assert_eq!((code, lines.len(), lines[0]), (Some(1), 3, head.as_str()), "{text}");
    for (line, id, path) in [(lines[1], &one, "\"/a\""), (lines[2], &other, "\"/b\"")] {
        assert!(line.starts_with(&format!("  {id}  {} ", &id[..8])) && line.contains(" queued "), "{text}");
        assert!(line.contains(path), "{text}");
    }
    assert_eq!((&object["same"], &object["events"][0]), (&json!(at), &events[at]), "{object}");

    let (code, text, object) = diff(&data, &longer, &one);
    assert_eq!((code, &object["what"]), (Some(1), &json!("its type differs")), "{text}");
    let kinds = [&object["events"][0]["type"], &object["events"][1]["type"]];
    assert_eq!(kinds, ["queued", "stopped"], "{text}");
    // In the other direction the roles are swapped.
    assert_eq!(diff(&data, &one, &longer).2["events"][1]["type"], "queued");
}

#[test]
fn a_chain_that_goes_on_begins_with_what_was_exported_of_it() {
    let scratch = Scratch::new();
    let data = scratch.path().join("data");
    let id = visited(&scratch, &["/"]);
    let before = chain(&data, &id).len();
    let file = scratch.path().join("before.chain").display().to_string();
    said(&data, &["chain", "export", &id, "--to", &file]);
    let mut running = Running::start(&data, &["--resume"]);
    assert_eq!(visit(running.address(0), "/"), 2);
    assert!(running.stop().0.success());
    let more = chain(&data, &id).len() - before;
    let sentence = format!("{file} is a prefix of {id}: {before} events are identical, {id} has {more} more\n");
    let (code, text, object) = diff(&data, &file, &id);
    assert_eq!((code, text), (Some(0), sentence.clone()));
    assert_eq!(object["more"], json!([0, more]));
    let (code, text, object) = diff(&data, &id, &file);
    assert_eq!((code, text), (Some(0), sentence));
    assert_eq!(object["more"], json!([more, 0]));

    // A state that no call produces counts as a difference, unlike a state that only differs by an actor id.
    let actor = *uuid::Uuid::parse_str(&id).unwrap().as_bytes();
    let mut at = 0;
    let bytes = forged(&data, actor, |events| {
        at = events.iter().rposition(|event| event.kind == Kind::Return).unwrap();
        let mut returned: Return = decode(&events[at].data).unwrap();
        returned.state.as_mut().unwrap().digest[0] ^= 1;
        events[at].data = encode(&returned).unwrap();
    });
    let changed = scratch.write("changed.chain", bytes).display().to_string();
    let (code, text, object) = diff(&data, &id, &changed);
    assert_eq!((code, &object["same"], &object["what"]), (Some(1), &json!(at), &json!("its new state differs")));
    assert!(text.contains("identical events before it"), "{text}");

    let cut = scratch.write("cut.chain", &std::fs::read(&file).unwrap()[..500]).display().to_string();
    for pair in [[&cut, &id], [&id, &cut]] {
        let error = refused(&data, &["chain", "diff", pair[0], pair[1]]);
        assert!(error.contains("error[J0004]") && error.contains("cut off"), "{error}");
    }
    assert!(refused(&data, &["chain", "diff", &id, "nobody"]).contains("error[J0003]"));
    assert_eq!(run(&data, &["chain", "diff", &id]).status.code(), Some(2));
    // The help says what is compared.
    assert!(
        said(&data, &["chain", "diff", "--help"])
            .contains("how the call ended, its number of host calls, and the new state")
    );
}

#[test]
fn ids_that_actors_have_of_themselves_are_no_difference() {
    let scratch = Scratch::new();
    // One stores its id as text, the other as bytes.
    for actor in ["ping", "chatter"] {
        let id = || {
            let (mut running, at) = start(&scratch, &[(actor, TALK)]);
            if actor == "chatter" {
                tell(at[0], "go", json!({ "to": [], "count": 0 }));
                running.wait_for_queued("go");
            }
            assert!(running.stop().0.success());
            running.lines()[0].split(' ').nth(1).unwrap().to_owned()
        };
        let (first, second) = (id(), id());
        let data = scratch.path().join("data");
        let events = chain(&data, &first);
        let init = events.iter().position(|event| event["type"] == "return").unwrap();
        assert!(events[init]["text"].as_str().unwrap().contains("state of"), "{actor} keeps its id: {events:?}");
        let (code, text, object) = diff(&data, &first, &second);
        assert_eq!((code, &object["states_by_length_from"]), (Some(0), &json!(init)), "{text}");
        let told =
            format!("from event {init} on, states are compared by length only, because they contain the actors' ids");
        assert_eq!(text.lines().nth(1), Some(told.as_str()), "{text}");
    }
}

#[test]
#[cfg_attr(missing_python3, ignore = "needs python3: tests/setup installs it")]
fn a_fork_goes_on_from_the_state_behind_an_event() {
    let scratch = Scratch::new();
    let data = scratch.path().join("data");
    let origin = visited(&scratch, &["/", "/", "/"]);
    let at = returns(&data, &origin)[2].to_string();
    let path = scratch.path().join("manifest.toml").display().to_string();
    let fork = said(&data, &["chain", "fork", "hello-http", "--at", &at, "--manifest", &path]);
    let id = fork.split(' ').nth(1).unwrap().to_owned();
    let lines: Vec<_> = fork.lines().collect();
    let forked = format!("actor {id} hello-http forked from event {at} of {origin} with a state of 1 bytes");
    assert_eq!(lines[..2], [&forked, "`theater run --resume` starts it: its init gets that state"], "{fork}");
    let instead =
        format!("actor {origin} with the same name will not be resumed any more: only the newest actor of a name is");
    assert!(lines.len() == 3 && lines[2].starts_with(&instead), "{fork}");

    // The origin of the fork is shown and can be verified, also by another implementation.
    let verified = said(&data, &["chain", "verify"]);
    assert!(verified.ends_with("\n1 causes between the chains verify\n"), "{verified}");
    let python = Command::new("python3").arg(repository().join("tests/verify_chain.py")).arg(&data).output().unwrap();
    assert!(python.status.success(), "{python:?}");
    let events = chain(&data, &id);
    let cause = &events[0]["cause"];
    assert_eq!((events.len(), &cause["actor"], cause["sequence"].to_string()), (1, &json!(origin), at.clone()));
    assert_eq!(cause["hash"], chain(&data, &origin)[at.parse::<usize>().unwrap()]["hash"]);
    let origin_in_words = format!("forked from event {at} of {origin}");
    assert!(said(&data, &["events", &id]).contains(&origin_in_words));
    let trace = said(&data, &["trace", &format!("{id}:0")]);
    let last = trace.lines().last().unwrap();
    assert!(trace.starts_with(&origin[..8]) && last.trim_start().starts_with(&id[..8]), "{trace}");

    let mut running = Running::start(&data, &["--resume"]);
    assert_eq!((visit(running.address(0), "/"), visit(running.address(0), "/")), (3, 4));
    assert!(running.stop().0.success());
    assert_eq!((running.lines().len(), chains(&data)), (1, 2));
    assert!(running.lines()[0].contains(&id), "{:?}", running.lines());
    // Four calls of the original, and three of the fork including `init`.
    assert_eq!(replays(&data), 7);
    assert_eq!(said(&data, &["state", &id, "--at", "0"]), "2");
    assert_eq!(texts(&chain(&data, &id), "swapped").len(), 0);
    // A fork is an ordinary actor: it can be resumed and forked again.
    let mut running = Running::start(&data, &["--resume"]);
    assert_eq!(visit(running.address(0), "/"), 5);
    assert!(running.stop().0.success());
    let object = run(&data, &["-o", "json", "chain", "fork", &id, "--at", "0", "--manifest", &path]);
    let object = json_lines(&object.stdout).remove(0);
    assert_eq!((&object["bytes"], &object["in_place_of"]), (&json!(1), &json!(id)), "{object}");
}

#[test]
fn a_fork_of_another_name_runs_beside_and_may_begin_with_no_state() {
    let scratch = Scratch::new();
    let data = scratch.path().join("data");
    visited(&scratch, &["/", "/"]);
    let text = manifest("hello-http", HTTP).replace("\"hello-http\"", "\"${name}\"") + "[chain]\nsync = \"always\"\n";
    let text = text.replacen("component_path", "init_state = { json = 7 }\ncomponent_path", 1);
    let path = scratch.write("fork.toml", text).display().to_string();
    let fork = |name: &str, at: &str| {
        let set = format!("name={name}");
        said(&data, &["chain", "fork", "hello-http", "--at", at, "--manifest", &path, "--set", &set])
    };
    let late = fork("late", &returns(&data, "hello-http")[1].to_string());
    assert!(late.contains(" late forked from ") && late.lines().count() == 2, "{late}");
    // The initial state of the manifest is not used either.
    let early = fork("early", "0");
    assert!(early.contains(" early forked from event 0 of ") && early.contains(" with no state\n"), "{early}");
    let mut running = Running::start(&data, &["--resume"]);
    let mut visitors: Vec<_> = (0..3).map(|number| visit(running.address(number), "/")).collect();
    visitors.sort_unstable();
    assert_eq!(visitors, [1, 2, 3]);
    assert!(running.stop().0.success());
    replays(&data);
}

#[test]
fn what_cannot_be_forked_is_told_and_leaves_no_chain() {
    let scratch = Scratch::new();
    let data = scratch.path().join("data");
    let id = visited(&scratch, &["/", "/"]);
    let path = scratch.path().join("manifest.toml").display().to_string();
    let fork =
        |chain: &str, at: &str, path: &str| refused(&data, &["chain", "fork", chain, "--at", at, "--manifest", path]);
    let error = fork(&id, "9999", &path);
    assert!(error.contains("error[J0005] there is no event 9999 in "), "{error}");
    assert!(fork("nobody", "1", &path).contains("error[J0003] there is no chain \"nobody\""));
    let unknown = scratch.write("unknown.toml", manifest("hello-http", "colour = 1\n")).display().to_string();
    let error = fork(&id, "1", &unknown);
    assert!(error.contains("error[M0003]") && error.contains("unknown.toml:3: unknown key \"colour\""), "{error}");
    let lacking = scratch.write("lacking.toml", manifest("dice", HTTP)).display().to_string();
    assert!(fork(&id, "1", &lacking).contains("error[C0006]"));
    let actor = *uuid::Uuid::parse_str(&id).unwrap().as_bytes();
    let bytes = forged(&data, actor, |events| {
        let at = events.iter().rposition(|event| event.kind == Kind::Return).unwrap();
        let mut returned: Return = decode(&events[at].data).unwrap();
        returned.host_calls += 1;
        events[at].data = encode(&returned).unwrap();
    });
    let changed = scratch.write("changed.chain", bytes).display().to_string();
    let newest = (chain(&data, &id).len() - 1).to_string();
    let error = fork(&changed, &newest, &path);
    assert!(error.contains("error[J0006]") && error.contains("the replay diverged from the chain"), "{error}");
    assert_eq!(chains(&data), 1);
    // A missing folder is not created.
    let nowhere = scratch.path().join("nowhere");
    assert!(refused(&nowhere, &["chain", "fork", &id, "--at", "1", "--manifest", &path]).contains("error[J0002]"));
    assert!(!nowhere.exists());
    let mut running = Running::start(&data, &["--resume"]);
    running.address(0);
    let error = fork(&id, "1", &path);
    assert!(error.contains("error[S0002]") && error.contains("is in use by another theater"), "{error}");
    assert!(running.stop().0.success());
    assert_eq!(chains(&data), 1);
}

#[test]
fn a_chain_is_exported_as_lines() {
    let scratch = Scratch::new();
    let data = scratch.path().join("data");
    let id = visited(&scratch, &["/"]);
    let file = scratch.path().join("lines").display().to_string();
    for output in ["json", "wave"] {
        let shown = match output {
            "json" => said(&data, &["-o", "json", "chain", "show", &id]),
            _ => said(&data, &["chain", "show", &id]),
        };
        assert!(shown.lines().count() > 5, "{shown}");
        assert_eq!(said(&data, &["chain", "export", &id, "-o", output]), shown);
        let answer = said(&data, &["chain", "export", "hello-http", "-o", output, "--to", &file]);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), shown);
        let expected = match output {
            "json" => json!({"id": id, "path": file, "bytes": shown.len()}).to_string(),
            _ => format!("{file}: {} bytes", shown.len()),
        };
        assert_eq!(answer, expected + "\n");
    }
    let nowhere = scratch.path().join("no/folder").display().to_string();
    assert!(refused(&data, &["chain", "export", &id, "-o", "wave", "--to", &nowhere]).contains("error[J0002]"));
    // All other commands print text.
    assert_eq!(said(&data, &["-o", "wave", "chain", "list"]), said(&data, &["chain", "list"]));
}

/// The permissions of a folder and of everything in it, each with the kind "folder" or "file".
fn modes(folder: &Path) -> Vec<(String, u32)> {
    let mut all = vec![("folder".to_owned(), std::fs::metadata(folder).unwrap().permissions().mode() & 0o777)];
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        match entry.metadata().unwrap() {
            data if data.is_dir() => all.extend(modes(&entry.path())),
            data => all.push(("file".to_owned(), data.permissions().mode() & 0o777)),
        }
    }
    all
}

#[test]
fn a_bundle_is_a_data_folder_of_its_own() {
    let scratch = Scratch::new();
    let copy = scratch.path().join("hello.wasm");
    std::fs::copy(component("hello-http"), &copy).unwrap();
    let text = format!("name = \"hello-http\"\ncomponent_path = \"hello.wasm\"\ninit_state = {{ json = 5 }}\n{HTTP}");
    let (mut running, address) = Running::actor(&scratch, &text);
    assert_eq!((visit(address, "/"), visit(address, "/")), (6, 7));
    assert!(running.stop().0.success());
    // Another chain with its own object, which the export has to leave out.
    let (mut running, address) =
        Running::actor(&scratch, &manifest("dice", &format!("{HTTP}[[handlers]]\ntype = \"random\"\n")));
    assert_eq!(exchange(address, b"GET /uuid HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap().status, 200);
    assert!(running.stop().0.success());
    let data = running.data.clone();
    let shown = said(&data, &["chain", "show", "hello-http"]);
    let count = shown.lines().count();

    let to = scratch.path().join("taken");
    std::fs::create_dir(&to).unwrap();
    let folder = to.display().to_string();
    let answer = said(&data, &["chain", "export", "hello-http", "--bundle", "--to", &folder]);
    let id = chain(&data, "hello-http")[0]["actor"].as_str().unwrap().to_owned();
    // The objects: manifest, component, initial state, and the WIT that both plugins were built with.
    assert!(answer.starts_with(&format!("{folder}: {count} events of {id} and 4 objects, ")), "{answer}");
    assert_eq!(answer.lines().count(), 1, "{answer}");
    for (kind, mode) in modes(&to) {
        assert_eq!(mode, if kind == "file" { 0o600 } else { 0o700 }, "{kind}");
    }
    let error = refused(&data, &["chain", "export", "hello-http", "--bundle", "--to", &folder]);
    let refusal = format!("error[J0007] the bundle {folder} cannot be written: the folder exists and is not empty");
    assert!(error.starts_with(&refusal) && error.contains("--to FOLDER"), "{error}");

    std::fs::remove_dir_all(&data).unwrap();
    std::fs::remove_file(&copy).unwrap();
    assert_eq!(said(&data, &["chain", "verify", &folder]).lines().count(), 1);
    assert_eq!(said(&to, &["chain", "show", "hello-http"]), shown);
    assert!(said(&to, &["replay", "hello-http"]).contains("replay identical: 3 calls,"));
    assert_eq!(said(&to, &["state", "hello-http"]), "7");
    // Fork the bundled actor into an empty folder: the fork names an origin whose chain is not in that folder.
    let path = scratch.write("fork.toml", manifest("hello-http", HTTP)).display().to_string();
    let fork = ["chain", "fork", &folder, "--at", &(count - 1).to_string(), "--manifest", &path];
    assert!(refused(&data, &["chain", "list"]).contains("error[J0002]"));
    said(&data, &fork);
    assert_eq!(said(&data, &["chain", "verify"]).lines().count(), 1);
    assert!(said(&data, &["trace", "hello-http:0"]).contains(" is not in this folder\n"));
    let mut running = Running::start(&data, &["--resume"]);
    assert_eq!(visit(running.address(0), "/"), 8);
    assert!(running.stop().0.success());
}

#[test]
fn a_bundle_tells_what_it_lacks() {
    let scratch = Scratch::new();
    let data = scratch.path().join("data");
    let id = visited(&scratch, &["/"]);
    let bytes = std::fs::read(component("hello-http")).unwrap();
    let objects = std::fs::read_dir(data.join("objects")).unwrap().map(|entry| entry.unwrap().path());
    let object = objects.into_iter().find(|path| std::fs::read(path).unwrap() == bytes).unwrap();
    let digest = object.file_name().unwrap().to_str().unwrap().to_owned();
    std::fs::remove_file(&object).unwrap();
    let folder = scratch.path().join("lacking").display().to_string();
    let answer = said(&data, &["chain", "export", &id, "--bundle", "--to", &folder]);
    let warning = format!("warning: the component, {digest}, is missing in {}", data.join("objects").display());
    assert!(answer.lines().nth(1).is_some_and(|line| line.starts_with(&warning)), "{answer}");
    assert_eq!(said(Path::new(&folder), &["chain", "show", &id]), said(&data, &["chain", "show", &id]));
    assert!(refused(Path::new(&folder), &["replay", &id]).contains("error[J0006]"));
    // Without `--to` the bundle is written to the working directory.
    let output = Command::new(theater_tests::build_folder().join("theater"))
        .current_dir(scratch.path())
        .args(["--data", "data", "-o", "json", "chain", "export", &id, "--bundle"])
        .output()
        .unwrap();
    let object = json_lines(&output.stdout).remove(0);
    assert_eq!((&object["path"], &object["objects"]), (&json!(format!("{id}.bundle")), &json!(2)), "{object}");
    assert_eq!(object["missing"][0]["digest"], digest, "{object}");
    assert_eq!(chains(&scratch.path().join(format!("{id}.bundle"))), 1);
}
