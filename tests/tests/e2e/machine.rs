//! Access of actors to the machine: files, folders and programs.

use std::path::PathBuf;

use serde_json::{Value, json};
use theater_tests::talk::{TALK, ask, ask_until, manifests, start, try_ask};
use theater_tests::{Scratch, chain, exchange, get, json_lines, manifest, texts, theater, wait_until};

const ALL: &str = "read = true, write = true, execute = true";

/// All private folders in the data folder, including kept ones of ended actors.
fn private(data: &std::path::Path) -> Vec<PathBuf> {
    let folders = std::fs::read_dir(data.join("plugin-data/filesystem"))
        .map(|entries| entries.map(|entry| entry.unwrap().path()));
    folders.map(Iterator::collect).unwrap_or_default()
}

/// Starts a tree that may give its children private folders, and one child with such a folder.
fn parent(scratch: &Scratch, keep: bool) -> (theater_tests::Running, std::net::SocketAddr, Value, String) {
    let config = format!("config = {{ new_dir = true, keep = {keep}, {ALL} }}\n");
    let child = format!(
        "name = \"disk\"\ncomponent_path = {:?}\n[[handlers]]\ntype = \"message-server\"\n\
         [[handlers]]\ntype = \"filesystem\"\n{config}[[handlers]]\ntype = \"process\"\n",
        "disk.wasm"
    );
    manifests(scratch, &[("disk", "")]);
    let more = format!(
        "{TALK}[[handlers]]\ntype = \"supervisor\"\n[permissions.filesystem]\nnew_dir = true\nread = true\nwrite = true\n"
    );
    let (running, at) = start(scratch, &[("tree", &more)]);
    let grown = ask(at[0], "grow", json!({ "children": 1, "worker": child }));
    (running, at[0], grown["children"][0].clone(), child)
}

fn of_child(at: std::net::SocketAddr, child: &Value, kind: &str, payload: Value) -> Value {
    ask(at, "ask", json!({ "child": child, "message": { "type": kind, "payload": payload } }))
}

#[test]
// [filesystem-3 filesystem-4]
fn a_private_folder_stays_over_restart_and_resume_and_goes_with_the_actor() {
    let scratch = Scratch::new();
    let (mut running, at, child, toml) = parent(&scratch, false);
    of_child(at, &child, "write-file", json!({ "path": "a", "content": "kept" }));
    let read = || of_child(at, &child, "read-file", json!({ "path": "a" }));
    let _ = ask(at, "restart", json!({ "child": child }));
    assert_eq!(read()["ok"], "kept");
    let _ = ask(at, "stop", json!({ "child": child }));
    assert_eq!(ask(at, "resume", json!({ "manifest": toml }))["child"], child);
    assert_eq!(read()["ok"], "kept");
    assert_eq!(private(&running.data).len(), 1);
    // Stopping the program does not remove the folder, because the actors may be resumed.
    assert!(running.stop().0.success());
    theater_tests::replays(&running.data);
    assert_eq!(private(&running.data).len(), 1);
    let other = Scratch::new();
    let (mut running, at, child, _) = parent(&other, false);
    of_child(at, &child, "write-file", json!({ "path": "a", "content": "1" }));
    assert_eq!(private(&running.data).len(), 1);
    let _ = ask(at, "stop", json!({ "child": child }));
    assert_eq!(private(&running.data).len(), 1, "its parent may resume it");
    let _ = try_ask(at, "shutdown", json!({}));
    assert!(running.wait().success());
    assert!(private(&running.data).is_empty(), "{:?}", private(&running.data));
}

#[test]
// [filesystem-5]
fn a_private_folder_that_is_kept_is_left_behind() {
    let scratch = Scratch::new();
    let (mut running, at, child, _) = parent(&scratch, true);
    of_child(at, &child, "write-file", json!({ "path": "a", "content": "1" }));
    let _ = try_ask(at, "shutdown", json!({}));
    assert!(running.wait().success());
    let [folder] = &private(&running.data)[..] else { panic!("one folder") };
    assert_eq!(std::fs::read_to_string(folder.join("files/a")).unwrap(), "1");
}

#[test]
// [filesystem-32]
fn validate_shows_the_files_of_programs() {
    let scratch = Scratch::new();
    let handlers = format!(
        "{TALK}[[handlers]]\ntype = \"filesystem\"\nconfig = {{ path = \".\", allowed_commands = [\"sh\", \"no-such\"] }}\n\
         [[handlers]]\ntype = \"process\"\nconfig = {{ allowed_programs = [\"sh\"], allowed_paths = [\".\"] }}\n"
    );
    let path = scratch.write("disk.toml", manifest("disk", &handlers)).display().to_string();
    let output = theater(&["-o", "json", "validate", &path]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = json_lines(&output.stdout);
    let config = |kind: &str| lines.iter().find(|line| line["type"] == kind).unwrap()["config"].clone();
    for kind in ["filesystem", "process"] {
        let file = config(kind)["programs"]["sh"].as_str().unwrap().to_owned();
        assert!(std::path::Path::new(&file).is_file() && file.ends_with("/sh"), "{file}");
    }
    assert_eq!(config("filesystem")["programs"]["no-such"], Value::Null);
    // A relative path is resolved against the folder of the manifest.
    assert_eq!(config("filesystem")["path"], json!(scratch.path().canonicalize().unwrap()));
    assert_eq!(config("process")["allowed_paths"], json!([scratch.path().canonicalize().unwrap()]));
}

#[test]
// [filesystem-52]
fn every_function_of_the_filesystem_works_and_stands_in_the_chain() {
    let scratch = Scratch::new();
    std::fs::create_dir(scratch.path().join("inside")).unwrap();
    let handlers = format!(
        "{TALK}[[handlers]]\ntype = \"filesystem\"\nconfig = {{ path = \"inside\", {ALL}, allowed_commands = [\"sh\"] }}\n\
         [[handlers]]\ntype = \"process\"\n"
    );
    let (mut running, at) = start(&scratch, &[("disk", &handlers)]);
    let ok = |kind: &str, payload: Value| ask(at[0], kind, payload)["ok"].clone();
    assert_eq!(ok("create-dir", json!({ "path": "a/b" })), Value::Null);
    assert_eq!(ok("write-file", json!({ "path": "a/file", "content": "the content" })), Value::Null);
    assert_eq!(ok("read-file", json!({ "path": "a/file" })), "the content");
    assert_eq!(ok("list-files", json!({ "path": "a" })), json!(["b", "file"]));
    assert_eq!(ok("path-exists", json!({ "path": "a/missing" })), false);
    let run = json!({ "dir": "a", "command": "sh", "args": ["-c", "cat file; echo said >&2; exit 3"] });
    assert_eq!(ok("execute-command", run), json!({ "stdout": "the content", "stderr": "said\n", "exit-code": 3 }));
    assert!(try_ask(at[0], "execute-nix-command", json!({ "command": "true" })).unwrap_err().contains("nix"));
    assert_eq!(ok("delete-file", json!({ "path": "a/file" })), Value::Null);
    assert_eq!(ok("delete-dir", json!({ "path": "a/b" })), Value::Null);
    let refused = try_ask(at[0], "read-file", json!({ "path": "../disk.toml" })).unwrap_err();
    assert!(refused.contains("not a path inside"), "{refused}");
    assert!(running.stop().0.success());
    theater_tests::replays(&running.data);
    let events = chain(&running.data, "disk");
    let hosts = texts(&events, "host").join("\n");
    for recorded in ["(\"a/file\") -> ok(b\"the content\")", "said\\n", "exit-code: 3", "not a path inside"] {
        assert!(hosts.contains(recorded), "{recorded} in {hosts}");
    }
    let intents = texts(&events, "intent").join("\n");
    assert!(intents.contains("the content") && intents.contains("cat file"), "{intents}");
}

#[test]
fn a_static_file_server_serves_its_folder_and_nothing_else() {
    let scratch = Scratch::new();
    std::fs::create_dir_all(scratch.path().join("site/deep")).unwrap();
    scratch.write("secret", "the secret");
    scratch.write("site/index.html", "<p>home");
    scratch.write("site/deep/a b.txt", "text");
    std::os::unix::fs::symlink("../secret", scratch.path().join("site/link")).unwrap();
    let handlers = "[[handlers]]\ntype = \"http-server\"\nconfig = { port = 0 }\n\
                    [[handlers]]\ntype = \"filesystem\"\nconfig = { path = \"site\", read = true }\n";
    let (mut running, at) = start(&scratch, &[("files", handlers)]);
    for (path, status, body) in [
        ("/", 200, "<p>home"),
        ("/index.html?x=1", 200, "<p>home"),
        ("/deep/a%20b.txt", 200, "text"),
        ("/missing", 404, "no such file\n"),
        ("/deep", 404, "no such file\n"),
        ("/../secret", 403, "outside of what is served\n"),
        ("/%2e%2e/secret", 403, "outside of what is served\n"),
        ("/deep/..%2f..%2fsecret", 403, "outside of what is served\n"),
        ("//etc/passwd", 403, "outside of what is served\n"),
        ("/link", 403, "outside of what is served\n"),
    ] {
        let response = get(at[0], path);
        assert_eq!((response.status, response.text().as_str()), (status, body), "{path}");
    }
    let posted =
        exchange(at[0], b"POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").unwrap();
    assert_eq!(posted.status, 405);
    assert!(get(at[0], "/").head.to_lowercase().contains("content-type: text/html"));
    assert!(running.stop().0.success());
    theater_tests::replays(&running.data);
}

#[test]
// [process-19 process-42 process-50]
fn programs_are_told_of_and_all_they_say_stands_in_the_chain() {
    let scratch = Scratch::new();
    let process =
        "[[handlers]]\ntype = \"process\"\nconfig = { allowed_programs = [\"sh\"], allowed_paths = [\".\"] }\n";
    let disk = format!("{TALK}{process}[[handlers]]\ntype = \"filesystem\"\nconfig = {{ path = \".\" }}\n");
    let (mut running, at) = start(&scratch, &[("runner", &format!("{TALK}{process}")), ("disk", &disk)]);
    let said = "read line; echo \"{\\\"got\\\": \\\"$line\\\"}\"; echo no json; echo oh >&2; exit 7";
    let id = ask(at[0], "start", json!({ "program": "sh", "args": ["-c", said], "mode": "json" }))["id"].clone();
    assert_eq!(ask(at[0], "status", json!({ "id": id })), json!({ "running": true, "code": null }));
    assert_eq!(ask(at[0], "write", json!({ "id": id, "text": "hello\n" })), 6);
    let told = ask_until(at[0], "told", |told| {
        let told = told["told"].as_array().unwrap().clone();
        told.iter().any(|one| one[1] == "exit").then_some(told)
    });
    assert_eq!(told, [json!([1, "out", "{\"got\": \"hello\"}"]), json!([1, "exit", 7])]);
    assert_eq!(ask(at[0], "status", json!({ "id": id })), json!({ "running": false, "code": 7 }));
    running.wait_for_error("is not JSON: \"no json\"");
    // Without process-handlers, everything is still recorded.
    let args = json!(["-c", "echo unheard; exit 2"]);
    let _ = ask(at[1], "os-spawn", json!({ "command": "sh", "args": args }));
    wait_until("the program's end", || (ask(at[1], "os-status", json!({}))["ok"] == 2).then_some(()));
    assert!(running.stop().0.success());
    theater_tests::replays(&running.data);
    let noted = texts(&chain(&running.data, "runner"), "noted");
    assert!(noted.iter().any(|text| text.contains("no JSON") && text.contains("no json")), "{noted:?}");
    let queued = texts(&chain(&running.data, "runner"), "queued").join("\n");
    assert!(queued.contains("stdout of program 1") && queued.contains("hello"), "{queued}");
    let noted = texts(&chain(&running.data, "disk"), "noted");
    assert!(noted.iter().any(|text| text.contains("stdout of program 1") && text.contains("unheard")), "{noted:?}");
    assert!(noted.iter().any(|text| text.contains("exit of program 1")), "{noted:?}");
    let verified = theater(&["--data", &running.data.display().to_string(), "chain", "verify"]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
}

#[test]
fn programs_and_what_they_started_end_with_the_program() {
    let scratch = Scratch::new();
    let process =
        "[[handlers]]\ntype = \"process\"\nconfig = { allowed_programs = [\"sh\"], allowed_paths = [\".\"] }\n";
    let (mut running, at) = start(&scratch, &[("runner", &format!("{TALK}{process}"))]);
    let script = "trap '' TERM; sleep 1000 & echo $!; wait";
    let _ = ask(at[0], "start", json!({ "program": "sh", "args": ["-c", script] }));
    let child = ask_until(at[0], "told", |told| told["told"][0][2].as_str().map(|text| text.trim().to_owned()));
    assert!(running.stop().0.success());
    theater_tests::replays(&running.data);
    wait_until("the child's end", || {
        let status = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        (status.is_empty() || status.contains(") Z ")).then_some(())
    });
}
