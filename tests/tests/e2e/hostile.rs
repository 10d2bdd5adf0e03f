//! Actors that try to get the operator's files or to exhaust the machine, and get no more than they were granted.
//!
//! The name of a test begins with the letter and number of the requirement that it covers.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use theater_tests::talk::{TALK, ask, ask_until, manifests, start, tell, try_ask, try_post};
use theater_tests::{HTTP, Running, Scratch, chain, get, manifest, run_behind, texts, theater, try_get, wait_until};

const SUPERVISE: &str = "[[handlers]]\ntype = \"supervisor\"\n";
const WORKER: &str = "[[handlers]]\ntype = \"message-server\"\n[[handlers]]\ntype = \"timing\"\n";
const TIMING: &str = "[[handlers]]\ntype = \"timing\"\n";

/// Starts a tree that may only start children, with the worker's manifest next to its own. `head` is TOML before its
/// handlers and `tail` after them.
fn tree(scratch: &Scratch, head: &str, tail: &str) -> (Running, SocketAddr) {
    manifests(scratch, &[("worker", WORKER)]);
    let (running, at) = start(scratch, &[("tree", &format!("{head}{TALK}{SUPERVISE}{TIMING}{tail}"))]);
    (running, at[0])
}

fn spawn(at: SocketAddr, manifest: &str) -> Result<String, String> {
    let grown = try_ask(at, "grow", json!({ "children": 1, "worker": manifest }))?;
    Ok(grown["children"][0].as_str().unwrap().to_owned())
}

fn fifo(path: &Path) {
    assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn a1_no_file_outside_the_grants_becomes_a_state() {
    let scratch = Scratch::new();
    let outside = Scratch::new();
    let secret = outside.write("secret", "hunter2").display().to_string();
    let (running, at) = tree(&scratch, "", "");
    let of =
        |state: &str| format!("name = \"thief\"\ncomponent_path = \"worker.wasm\"\ninit_state = {state:?}\n{WORKER}");
    // By path: the manifest is in a folder that the actor may name.
    scratch.write("by-path.toml", of(&secret));
    std::os::unix::fs::symlink(&secret, scratch.path().join("link")).unwrap();
    scratch.write("by-link.toml", of("link"));
    let journal = "data/journal/00000001.log";
    let whole = running.data.join("journal/00000001.log").display().to_string();
    let inline = [&secret, journal, &whole, "worker.toml", "/etc/hostname", "/proc/self/environ"].map(of);
    for manifest in ["by-path.toml", "by-link.toml"].into_iter().chain(inline.iter().map(String::as_str)) {
        let refused = spawn(at, manifest).unwrap_err();
        assert!(
            refused.contains("is no file that this actor may name") && refused.contains("state_paths"),
            "{refused}"
        );
    }
    // Manifests and components in the data folder are refused too: it has the contents of stores.
    let content = scratch.path().join("data/plugin-data/store/contents/ab/abcd");
    std::fs::create_dir_all(content.parent().unwrap()).unwrap();
    std::fs::copy(scratch.path().join("worker.toml"), &content).unwrap();
    let refused = spawn(at, &content.display().to_string()).unwrap_err();
    assert!(refused.contains("is no file that this actor may name"), "{refused}");
    assert_eq!(ask(at, "report", json!({}))["children"], json!([]));
}

#[test]
fn a1_what_the_operator_grants_is_read() {
    let (scratch, states) = (Scratch::new(), Scratch::new());
    let state = states.write("state.json", "{\"starts\": 41}").display().to_string();
    manifests(&scratch, &[("worker", WORKER)]);
    let config = format!("config = {{ state_paths = [{:?}] }}\n", states.path().display().to_string());
    let (_running, at) = start(&scratch, &[("tree", &format!("{TALK}{SUPERVISE}{config}{TIMING}"))]);
    let manifest = format!("name = \"w\"\ncomponent_path = \"worker.wasm\"\ninit_state = {state:?}\n{WORKER}");
    let child = spawn(at[0], &manifest).unwrap();
    let report = ask(at[0], "ask", json!({"child": child, "message": {"type": "report"}}));
    assert_eq!(report["starts"], 42);
}

#[test]
fn a1_a_child_names_no_more_files_than_its_parent() {
    let (scratch, elsewhere) = (Scratch::new(), Scratch::new());
    manifests(&elsewhere, &[("worker", WORKER)]);
    let (_running, at) = tree(&scratch, "", "");
    let wide = format!(
        "name = \"tree\"\ncomponent_path = \"tree.wasm\"\n[[handlers]]\ntype = \"message-server\"\n{SUPERVISE}config = {{ paths = [\"/\"], \
         state_paths = [\"/\"] }}\n{TIMING}"
    );
    let child = spawn(at, &wide).unwrap();
    let named = elsewhere.path().join("worker.toml").display().to_string();
    let order = json!({"child": child, "message": {"type": "grow", "payload": {"children": 1, "worker": named}}});
    let refused = try_ask(at, "ask", order).unwrap_err();
    assert!(refused.contains("is no file that this actor may name"), "{refused}");
}

#[test]
fn a2_pipes_devices_and_files_without_an_end_hold_nobody() {
    let scratch = Scratch::new();
    let (running, at) = tree(&scratch, "", "");
    fifo(&scratch.path().join("pipe"));
    std::os::unix::fs::symlink("/dev/zero", scratch.path().join("zero")).unwrap();
    let start = Instant::now();
    // More attempts than there are threads to replace blocked ones.
    for _ in 0..70 {
        for manifest in ["pipe", "name = \"x\"\ncomponent_path = \"pipe\"\n"] {
            assert!(spawn(at, manifest).unwrap_err().contains("is no file that this actor may name"));
        }
    }
    for manifest in ["/dev/zero", "zero", "name = \"x\"\ncomponent_path = \"/dev/zero\"\n"] {
        assert!(spawn(at, manifest).unwrap_err().contains("is no file that this actor may name"));
    }
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    assert!(spawn(at, "worker.toml").is_ok());
    assert!(theater_tests::memory::of(&running.pid().to_string(), "Pss:") < 400_000);
    assert!(!running.errors().iter().any(|line| line.contains("P0107")), "{:?}", running.errors());
}

#[test]
fn a2_an_operators_pipe_is_refused_too() {
    let scratch = Scratch::new();
    fifo(&scratch.path().join("pipe"));
    let component = "name = \"x\"\ncomponent_path = \"pipe\"\n";
    for arguments in [vec!["pipe"], vec!["component.toml"]] {
        scratch.write("component.toml", component);
        let path = scratch.path().join(arguments[0]).display().to_string();
        let output = theater(&["run", "--data", &scratch.path().join("data").display().to_string(), &path]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && said.contains("it is not a regular file"), "{said}");
    }
}

#[test]
fn a3_errors_tell_nothing_of_files() {
    let (scratch, outside) = (Scratch::new(), Scratch::new());
    let secret = outside.write("secret", "(hunter2-top-secret)\nhunter2 = \"x\"\n").display().to_string();
    let missing = outside.path().join("missing").display().to_string();
    let folder = outside.path().display().to_string();
    scratch.write("notes.txt", "(hunter2-in-the-folder\n");
    scratch.write("notes.toml", "hunter2 = \"x\"\nname = 5\n");
    let (_running, at) = tree(&scratch, "", "");
    let component = |path: &str| format!("name = \"x\"\ncomponent_path = {path:?}\n");
    let told = |manifest: &str| spawn(at, manifest).unwrap_err();
    // The error for a path outside does not depend on what is there.
    let same = |of: &dyn Fn(&str) -> String| {
        [&secret, &missing, &folder, "/etc/shadow", "/dev/null"].map(|path| told(&of(path)).replace(path, "PATH"))
    };
    for sentences in [same(&|path| path.to_owned()), same(&|path| component(path))] {
        assert!(sentences.iter().all(|sentence| *sentence == sentences[0]), "{sentences:?}");
    }
    // The error for a path inside does not quote the contents.
    for manifest in ["notes.toml", "notes.txt", &component("notes.txt"), &component("notes.toml"), &component(&secret)]
    {
        assert!(!told(manifest).contains("hunter2"), "{}", told(manifest));
    }
}

#[test]
fn a4_a_childs_limits_are_at_most_its_parents_and_those_of_the_operator() {
    let scratch = Scratch::new();
    let limits = "[limits]\nrun_timeout_ms = 1000\n";
    let (running, at) = tree(&scratch, "", limits);
    let greedy = format!(
        "name = \"worker\"\ncomponent_path = \"worker.wasm\"\n{WORKER}[limits]\nrun_timeout_ms = 3600000\nmemory_bytes = 4294967296\n"
    );
    let child = spawn(at, &greedy).unwrap();
    let order = json!({"child": child, "message": {"type": "busy", "payload": {"ms": 20000}}});
    assert!(try_ask(at, "ask", order).is_err());
    running.wait_for_error("run_timeout_ms = 1000");
    // The operator's limit.
    let scratch = Scratch::new();
    let permissions = scratch.write(
        "p.toml",
        "[http-server]\nbind_hosts = [\"127.0.0.1\"]\nbind_ports = [0]\n[limits]\nrun_timeout_ms = 200\n",
    );
    let looper = format!("restart = \"never\"\n{HTTP}[limits]\nrun_timeout_ms = 60000\n");
    let path = scratch.write("a.toml", manifest("looper", &looper)).display().to_string();
    let arguments = ["--permissions", &permissions.display().to_string(), &path];
    let mut running = Running::start(&scratch.path().join("data"), &arguments);
    drop(try_get(running.address(0), "/loop"));
    running.wait_for_error("run_timeout_ms = 200");
    assert_eq!(running.wait().code(), Some(1));
}

#[test]
fn a5_children_descendants_and_depth_are_bounded_and_named() {
    for (limits, children, depth, named) in [
        ("children = 2", 3, 1, "children = 2"),
        ("descendants = 5", 2, 2, "descendants = 5"),
        ("depth = 2", 1, 3, "depth = 0"),
        ("children = 0", 1, 1, "children = 0"),
    ] {
        let scratch = Scratch::new();
        let below = format!("[[handlers]]\ntype = \"message-server\"\n{SUPERVISE}{TIMING}");
        scratch.write("below.toml", format!("name = \"below\"\ncomponent_path = \"tree.wasm\"\n{below}"));
        let (mut running, at) = tree(&scratch, "", &format!("[limits]\n{limits}\n"));
        let order = json!({ "children": children, "depth": depth, "tree": "below.toml" });
        let refused = try_ask(at, "grow", order).unwrap_err();
        assert!(refused.contains(named), "{limits}: {refused}");
        // Starts that failed no longer count.
        for child in ask(at, "report", json!({}))["children"].as_array().unwrap() {
            let _ = ask(at, "stop", json!({ "child": child }));
        }
        if limits != "children = 0" {
            assert!(spawn(at, "worker.toml").is_ok(), "{limits}");
        }
        assert!(running.stop().0.success());
    }
}

#[test]
fn a5_a_chain_of_actors_that_wait_for_each_other_needs_no_more_instances_than_there_are() {
    let scratch = Scratch::new();
    let below = format!("[[handlers]]\ntype = \"message-server\"\n{SUPERVISE}{TIMING}");
    scratch.write("below.toml", format!("name = \"below\"\ncomponent_path = \"tree.wasm\"\n{below}"));
    manifests(&scratch, &[("worker", WORKER)]);
    let paths = manifests(&scratch, &[("tree", &format!("{TALK}{SUPERVISE}{TIMING}"))]);
    // The pool has 16 instances, and each of 20 generations waits for the next one while its own instance is in use.
    let running = Running::start(&scratch.path().join("data"), &["--memory", "64MiB", &paths[0]]);
    let grown = ask(running.address(0), "grow", json!({ "children": 1, "depth": 20, "tree": "below.toml" }));
    assert_eq!(grown["children"].as_array().unwrap().len(), 1);
}

#[test]
fn a6_a_trees_memory_is_bounded_and_the_limit_is_named() {
    let scratch = Scratch::new();
    let limits = "restart = \"never\"\n[limits]\ntree_bytes = 30000000\n";
    let path = scratch.write("a.toml", manifest("big-state", &format!("{limits}{HTTP}"))).display().to_string();
    let mut running = Running::start(&scratch.path().join("data"), &[&path]);
    assert_eq!(get(running.address(0), "/set/1000000").status, 200);
    drop(try_get(running.address(0), "/set/60000000"));
    running.wait_for_error("tree_bytes = 30000000 of actor \"big-state\"");
    assert_eq!(running.wait().code(), Some(1));
    // This end depends on the memory of the whole tree and is not re-executed.
    theater_tests::replays(&running.data);
}

/// Those of ended children count too, because their parent may still query them.
#[test]
fn a6_manifests_and_compiled_components_count_for_the_tree() {
    let refusal = |scratch: &Scratch, manifest_of: &dyn Fn(u32) -> String| {
        let (mut running, at) = tree(scratch, "", "[limits]\ntree_bytes = 30000000\n");
        let refused = (0..60).find_map(|number| match spawn(at, &manifest_of(number)) {
            Ok(child) => {
                let _ = ask(at, "stop", json!({ "child": child }));
                None
            }
            Err(refused) => Some((number, refused)),
        });
        assert!(running.stop().0.success());
        let (number, refused) = refused.expect("a limit");
        assert!(refused.contains("tree_bytes = 30000000 of actor \"tree\""), "{refused}");
        number
    };
    let scratch = Scratch::new();
    let comment = "#".repeat(500_000);
    let number = refusal(&scratch, &|number| {
        format!("name = \"w{number}\"\ncomponent_path = \"worker.wasm\"\n{WORKER}{comment}")
    });
    assert!((20..=29).contains(&number), "{number} manifests of 1 MB as text and parsed");
    let scratch = Scratch::new();
    let bytes = std::fs::read(theater_tests::component("worker")).unwrap();
    let number = refusal(&scratch, &|number| {
        // A unique custom section makes each one a different component.
        let (file, name) = (format!("bomb-{number}.wasm"), format!("b{number:03}"));
        let section = [&[0, name.len() as u8 + 1, name.len() as u8], name.as_bytes()].concat();
        scratch.write(&file, [&bytes[..], &section].concat());
        format!("name = \"w{number}\"\ncomponent_path = \"{file}\"\n{WORKER}")
    });
    assert!((5..=50).contains(&number), "{number} components");
}

#[test]
fn a6_a_flood_of_messages_to_an_actor_that_does_not_read_is_bounded() {
    let scratch = Scratch::new();
    let worker = format!("{TALK}{TIMING}[limits]\nmailbox_bytes = 4000000\n");
    let (running, at) = start(&scratch, &[("worker", &worker)]);
    tell(at[0], "sleep", json!({ "ms": 60_000 }));
    let body = json!({ "type": "echo", "payload": "x".repeat(1_000_000) }).to_string();
    let mut statuses = Vec::new();
    for _ in 0..8 {
        statuses.push(try_post(at[0], "/send", body.as_bytes()).unwrap().status);
    }
    let taken = statuses.iter().filter(|status| **status == 202).count();
    assert!((3..=5).contains(&taken) && statuses.ends_with(&[503]), "{statuses:?}");
    drop(running);
}

#[test]
fn a9_a_page_whose_name_leads_here_opens_no_websocket() {
    let scratch = Scratch::new();
    let server = "[[handlers]]\ntype = \"websocket-server\"\nconfig = { port = 0, protocols = [\"mqtt\"] }\n";
    let (_running, address) = Running::actor(&scratch, &manifest("parrot", server));
    let asked = |host: &str| {
        let request = format!(
            "GET / HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: x, mqtt\r\n\r\n"
        );
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            std::io::Read::read_exact(&mut stream, &mut byte).unwrap();
            head.push(byte[0]);
        }
        String::from_utf8(head).unwrap().to_ascii_lowercase()
    };
    assert!(asked("evil.example").starts_with("http/1.1 421 "));
    // C6: the subprotocol that both support is selected.
    let head = asked(&address.to_string());
    assert!(head.starts_with("http/1.1 101 ") && head.contains("sec-websocket-protocol: mqtt\r\n"), "{head}");
}

#[test]
fn a11_hostile_text_reaches_no_terminal() {
    const HOSTILE: &str = "\u{1b}]0;owned\u{7}\n2026-01-01T00:00:00Z ERROR forged\r\u{9b}2J\u{2028}\u{202e}\u{feff}end";
    let is_active = theater_chain::text::is_active;
    let scratch = Scratch::new();
    let (mut running, at) = start(&scratch, &[("counter", TALK)]);
    // A message that is not JSON returns `err`. No caller waits for it, so it is logged (C4).
    assert_eq!(try_post(at[0], "/send", HOSTILE.as_bytes()).unwrap().status, 202);
    let _ = try_ask(at[0], HOSTILE, json!({ "text": HOSTILE }));
    tell(at[0], HOSTILE, json!({ "text": HOSTILE }));
    running.wait_for_error("handle-send returned err: ");
    assert!(running.stop().0.success());
    for line in running.lines().iter().chain(&running.all_errors()) {
        assert!(!line.contains(is_active) && !line.starts_with("2026-01-01"), "{line:?}");
    }
    let data = running.data.display().to_string();
    let exported = scratch.path().join("lines").display().to_string();
    let commands: [&[&str]; 11] = [
        &["events"],
        &["-o", "json", "events"],
        &["chain", "show", "counter"],
        &["-o", "json", "chain", "show", "counter"],
        &["chain", "list"],
        &["chain", "export", "counter", "-o", "wave"],
        &["chain", "export", "counter", "-o", "json"],
        &["chain", "export", "counter", "-o", "wave", "--to", &exported],
        &["trace", "counter:3"],
        &["chain", "show", HOSTILE],
        &["validate", HOSTILE],
    ];
    for command in commands {
        let output = theater(&[&["--data", &data], command].concat());
        for text in [String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap()] {
            assert!(!text.chars().any(|c| c != '\n' && is_active(c)), "{command:?}: {text:?}");
            assert!(!text.lines().any(|line| line.starts_with("2026-01-01")), "{command:?}: {text:?}");
        }
    }
    let lines = std::fs::read_to_string(exported).unwrap();
    assert!(lines.contains("\\u{1b}") && !lines.chars().any(|c| c != '\n' && is_active(c)), "{lines:?}");
}

#[test]
fn a12_a_data_folder_that_others_prepared_is_refused() {
    let scratch = Scratch::new();
    let path = scratch.write("a.toml", manifest("hello-http", HTTP)).display().to_string();
    let data = scratch.path().join("data");
    let run = || {
        let output = theater(&["run", "--data", &data.display().to_string(), &path]);
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    let precious = scratch.write("precious", "content");
    std::fs::create_dir(&data).unwrap();
    std::fs::set_permissions(&data, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    std::os::unix::fs::symlink(&precious, data.join("LOCK")).unwrap();
    let said = run();
    assert!(said.contains("its file LOCK is a link"), "{said}");
    std::fs::remove_file(data.join("LOCK")).unwrap();
    std::fs::hard_link(&precious, data.join("LOCK")).unwrap();
    let said = run();
    assert!(said.contains("LOCK is not a file of this folder alone"), "{said}");
    assert_eq!(std::fs::read_to_string(&precious).unwrap(), "content");
    std::fs::remove_file(data.join("LOCK")).unwrap();
    std::fs::set_permissions(&data, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let said = run();
    assert!(said.contains("error[S0007]") && said.contains(&format!("chmod go-w {}", data.display())), "{said}");
}

#[test]
fn a14_mount_points_in_a_folder_are_not_entered_unless_it_is_said() {
    for (more, entered) in [("", false), (", one_filesystem = false", true)] {
        let scratch = Scratch::new();
        let root = scratch.path().display().to_string();
        for folder in ["work/mounted", "other"] {
            std::fs::create_dir_all(scratch.path().join(folder)).unwrap();
        }
        scratch.write("other/secret", "hunter2");
        scratch.write("work/own", "mine");
        let disk = format!(
            "{TALK}[[handlers]]\ntype = \"filesystem\"\nconfig = {{ path = \"work\", read = true, write = true{more} }}\n\
             [[handlers]]\ntype = \"process\"\n"
        );
        let paths = manifests(&scratch, &[("disk", &disk)]);
        // A bind mount has the same device number: only the mount id distinguishes it.
        let mount = format!("mount --bind {root}/other {root}/work/mounted");
        let data = scratch.path().join("data");
        let running = Running::spawn(run_behind(&mount, &data, &[&paths[0]]), &data);
        let at = running.address(0);
        let read = |path: &str| try_ask(at, "read-file", json!({ "path": path })).map(|read| read["ok"].clone());
        assert_eq!(read("own"), Ok(json!("mine")));
        let written = try_ask(at, "write-file", json!({ "path": "mounted/new", "content": "x" }));
        assert_eq!((written.is_ok(), scratch.path().join("other/new").exists()), (entered, entered), "{written:?}");
        match read("mounted/secret") {
            Ok(secret) => assert!(entered && secret == "hunter2", "{secret}"),
            Err(refused) => assert!(!entered && refused.contains("one_filesystem = false"), "{refused}"),
        }
    }
}

#[test]
fn c2_a_service_outlives_what_one_request_does_to_its_actor() {
    let scratch = Scratch::new();
    let head = "init_state = { json = { count = 0 } }\n";
    let (mut running, at) = start(&scratch, &[("counter", &format!("{head}{TALK}"))]);
    let count = |kind: &str| try_ask(at[0], kind, json!({}));
    let before = count("increment").or_else(|_| count("get")).unwrap();
    let body = format!("{{\"type\":\"get\",\"payload\":[{}0]}}", "0,".repeat(8_000_000));
    drop(try_post(at[0], "/request", body.as_bytes()));
    // The port stays open during the restart: requests that arrive then are answered with 503.
    let after = wait_until("an answer", || match count("get") {
        Err(refused) if refused.starts_with("503") => None,
        answer => Some(answer.unwrap()),
    });
    assert_eq!(after, before, "the last state");
    running.wait_for_error("restarted the actor from its last state");
    assert!(running.stop().0.success());
    theater_tests::replays(&running.data);
    assert_eq!(texts(&chain(&running.data, "counter"), "restarted").len(), 1);
}

#[test]
fn c2_an_actor_that_fails_too_often_ends() {
    let scratch = Scratch::new();
    let policy = "max_restarts = 2\nrestart_window_ms = 60000\n";
    let (mut running, at) = Running::actor(&scratch, &manifest("trapper", &format!("{policy}{HTTP}")));
    // Count restarts instead of answers: an answer may be lost when the actor ends.
    wait_until("the end", || {
        drop(try_get(at, "/trap"));
        running.has_ended().then_some(())
    });
    assert_eq!(running.wait().code(), Some(1));
    assert_eq!(texts(&chain(&running.data, "trapper"), "restarted").len(), 2);
    assert_eq!(texts(&chain(&running.data, "trapper"), "failed").len(), 3);
}

#[test]
fn c8_a_parent_restarts_and_resumes_a_child_however_soon_it_asks() {
    let scratch = Scratch::new();
    let (_running, at) = tree(&scratch, "", "");
    let child = spawn(at, "worker.toml").unwrap();
    for round in 0..60 {
        let crash = json!({"child": child, "message": {"type": "crash"}});
        let dead = try_ask(at, "ask", crash);
        assert!(dead.is_err(), "{dead:?}");
        // The parent's plugin may release the child before, during or after this call.
        let again: Json = match round % 2 {
            0 => ask(at, "restart", json!({ "child": child })),
            _ => ask(at, "resume", json!({ "manifest": "worker.toml", "state": null })),
        };
        drop(again);
        let report = ask(at, "ask", json!({"child": child, "message": {"type": "report"}}));
        assert_eq!(report["id"], json!(child));
    }
    let errors = ask_until(at, "report", |report| (report["errors"] == 60).then(|| report["errors"].clone()));
    assert_eq!(errors, 60, "each failure was reported");
}

#[test]
fn c7_manifests_of_the_earlier_system_are_taken() {
    let scratch = Scratch::new();
    let old = "description = \"says hello\"\nlong_description = \"and again\"\nsave_chain = true\n";
    let (mut running, at) = Running::actor(&scratch, &manifest("hello-http", &format!("{old}{HTTP}")));
    assert_eq!(get(at, "/").status, 200);
    assert!(running.stop().0.success());
}

#[test]
fn c12_a_resume_tells_that_component_and_manifest_have_changed() {
    let scratch = Scratch::new();
    let paths = manifests(&scratch, &[("worker", &format!("{TALK}{TIMING}"))]);
    let mut running = Running::start(&scratch.path().join("data"), &[&paths[0]]);
    let _ = ask(running.address(0), "report", json!({}));
    assert!(running.stop().0.success());
    std::fs::copy(theater_tests::component("counter"), scratch.path().join("worker.wasm")).unwrap();
    let running = Running::start(&running.data, &["--resume", &paths[0]]);
    running.wait_for_error("continues with its recorded component");
}

#[test]
fn c10_a_component_that_needs_wasi_is_told_so_before_its_types() {
    let scratch = Scratch::new();
    scratch.write(
        "wasi.wat",
        "(component (import \"wasi:io/poll@0.2.6\" (instance\n (export \"pollable\" (type $pollable (sub resource)))\n \
         (export \"[method]pollable.block\" (func (param \"self\" (borrow $pollable)))))))",
    );
    let path = scratch.write("a.toml", "name = \"a\"\ncomponent_path = \"wasi.wat\"\n").display().to_string();
    let output = theater(&["run", "--data", &scratch.path().join("data").display().to_string(), &path]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("error[C0005]") && said.contains("wasi:io/poll@0.2.6") && said.contains("no WASI"), "{said}");
}
