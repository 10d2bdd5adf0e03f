//! Actors that start and supervise others.

use std::net::SocketAddr;

use serde_json::{Value as Json, json};
use theater_tests::talk::{TALK, ask, ask_until, manifests, start, tell, try_ask};
use theater_tests::{Running, Scratch, chain, component, texts, theater, wait_until};

const SUPERVISE: &str = "[[handlers]]\ntype = \"supervisor\"\n";
const WORKER: &str = "[[handlers]]\ntype = \"message-server\"\n[[handlers]]\ntype = \"timing\"\n";

/// Starts a tree with the worker's manifest next to its own. `config` is that of its supervisor handler.
fn tree(scratch: &Scratch, config: &str) -> (Running, SocketAddr) {
    manifests(scratch, &[("worker", WORKER)]);
    let timing = "[[handlers]]\ntype = \"timing\"\n";
    let (running, at) =
        start(scratch, &[("tree", &format!("restart = \"never\"\n{TALK}{SUPERVISE}{config}\n{timing}"))]);
    (running, at[0])
}

fn grow(tree: SocketAddr, children: u64) -> Vec<String> {
    let grown = ask(tree, "grow", json!({"children": children}));
    grown["children"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect()
}

fn order(tree: SocketAddr, child: &str, kind: &str, payload: Json) {
    let _ = ask(tree, "tell", json!({"child": child, "message": {"type": kind, "payload": payload}}));
}

fn worker(tree: SocketAddr, child: &str) -> Json {
    ask(tree, "ask", json!({"child": child, "message": {"type": "report"}}))
}

fn counts(report: &Json) -> [u64; 3] {
    ["errors", "exits", "external_stops"].map(|key| report[key].as_u64().unwrap())
}

fn verified(running: &Running) {
    let output = theater(&["chain", "verify", "--data", &running.data.display().to_string()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
// [sup-9 sup-10 runtime-12]
fn each_kind_of_death_is_told_once_and_in_its_own_way() {
    let scratch = Scratch::new();
    let (mut running, at) = tree(&scratch, "");
    let children = grow(at, 3);
    assert_eq!(ask(at, "report", json!({}))["children"], json!(children), "oldest first");
    order(at, &children[0], "crash", json!({}));
    let report = ask_until(at, "report", |report| (counts(report) == [1, 0, 0]).then(|| report.clone()));
    assert_eq!(report["last"]["kind"], "error WitErrorType::Internal");
    assert_eq!(report["last"]["child"], children[0]);
    assert!(report["last"]["data"].as_str().unwrap().contains("unreachable"), "{report}");
    order(at, &children[1], "exit", json!({"data": "good bye"}));
    let report = ask_until(at, "report", |report| (counts(report) == [1, 1, 0]).then(|| report.clone()));
    assert_eq!((&report["last"]["data"], &report["last"]["child"]), (&json!("good bye"), &json!(children[1])));
    let _ = ask(at, "stop", json!({"child": children[2]}));
    ask_until(at, "report", |report| (counts(report) == [1, 1, 1] && report["children"] == json!([])).then_some(()));
    // Ended children can still be queried.
    for child in &children {
        let state = ask(at, "state", json!({"child": child}));
        assert!(state["state"].as_str().unwrap().contains(child.as_str()), "{state}");
        let types = ask(at, "events", json!({"child": child}));
        assert_eq!(types["types"][0], "runtime/created");
    }
    assert!(try_ask(at, "state", json!({"child": "somebody"})).unwrap_err().contains("somebody"));
    assert!(running.stop().0.success());
    theater_tests::replays(&running.data);
    verified(&running);
}

#[test]
fn an_err_is_a_failure_only_where_the_manifest_says_so() {
    let scratch = Scratch::new();
    let (_running, at) = tree(&scratch, "");
    let child = &grow(at, 1)[0];
    order(at, child, "fail", json!({}));
    assert_eq!(worker(at, child)["handled"], 1, "it continues");
    manifests(&scratch, &[("worker", &format!("on_error = \"fail\"\n{WORKER}"))]);
    let strict = &grow(at, 1)[0];
    order(at, strict, "fail", json!({}));
    let report = ask_until(at, "report", |report| (counts(report) == [1, 0, 0]).then(|| report.clone()));
    assert!(report["last"]["data"].as_str().unwrap().contains("told to fail"), "{report}");
}

#[test]
// [sup-7]
fn a_child_that_fails_is_started_again_with_its_first_state_and_what_waits_for_it() {
    let scratch = Scratch::new();
    let (mut running, at) = tree(&scratch, "config = { restart = \"on-failure\" }");
    let child = &grow(at, 1)[0];
    order(at, child, "echo", json!(1));
    assert_eq!(worker(at, child)["handled"], 2);
    order(at, child, "busy", json!({"ms": 300}));
    order(at, child, "crash", json!({}));
    for number in 0..10 {
        order(at, child, "echo", json!(number));
    }
    ask_until(at, "report", |report| (counts(report) == [1, 0, 0]).then_some(()));
    let report = wait_until("all ten", || Some(worker(at, child)).filter(|report| report["handled"] == 11));
    assert_eq!((&report["starts"], &report["id"]), (&json!(1), &json!(child)), "{report}");
    assert!(running.stop().0.success());
    theater_tests::replays(&running.data);
    verified(&running);
    let events = chain(&running.data, "worker");
    assert_eq!(texts(&events, "restarted").len(), 1);
    assert_eq!(texts(&events, "failed").len(), 1);
}

#[test]
fn an_exit_is_started_again_only_under_always_and_a_stop_never() {
    let scratch = Scratch::new();
    let (_running, at) = tree(&scratch, "config = { restart = \"always\" }");
    let child = &grow(at, 1)[0];
    order(at, child, "exit", json!({}));
    ask_until(at, "report", |report| (counts(report) == [0, 1, 0]).then_some(()));
    wait_until("its restart", || (worker(at, child)["handled"] == 1).then_some(()));
    let _ = ask(at, "stop", json!({"child": child}));
    ask_until(at, "report", |report| (counts(report) == [0, 1, 1] && report["children"] == json!([])).then_some(()));
}

#[test]
fn too_many_restarts_fail_the_parent() {
    let scratch = Scratch::new();
    let (mut running, at) = tree(&scratch, "config = { restart = \"on-failure\", max_restarts = 2 }");
    let child = &grow(at, 1)[0];
    let crash = || try_ask(at, "tell", json!({"child": child, "message": {"type": "crash"}}));
    for number in 1..=2 {
        wait_until("a crash", || crash().ok());
        ask_until(at, "report", |report| (counts(report)[0] == number).then_some(()));
    }
    // The third crash fails the parent, possibly before it answers.
    wait_until("the last crash", || (crash().is_ok() || running.has_ended()).then_some(()));
    let status = running.wait();
    assert_eq!(status.code(), Some(1));
    let said = running.all_errors().join("\n");
    assert!(said.contains("restart") && said.contains("worker"), "{said}");
}

#[test]
// [sup-5 sup-7]
fn a_child_is_restarted_and_resumed_by_hand() {
    let scratch = Scratch::new();
    let (_running, at) = tree(&scratch, "");
    let child = &grow(at, 1)[0];
    order(at, child, "echo", json!(1));
    assert_eq!(worker(at, child)["handled"], 2);
    let _ = ask(at, "restart", json!({"child": child}));
    let report = worker(at, child);
    assert_eq!((&report["starts"], &report["handled"]), (&json!(1), &json!(1)), "the initial state");
    assert_eq!(counts(&ask(at, "report", json!({}))), [0, 0, 0], "a restart by hand is not reported");
    assert!(try_ask(at, "resume", json!({"manifest": "worker.toml"})).is_err(), "it is running");
    let _ = ask(at, "stop", json!({"child": child}));
    assert!(try_ask(at, "restart", json!({"child": child})).unwrap_err().contains("resume"));
    let resumed = ask(at, "resume", json!({"manifest": "worker.toml"}));
    assert_eq!(resumed["child"], *child, "the same id");
    let report = worker(at, child);
    assert_eq!((&report["starts"], &report["handled"]), (&json!(2), &json!(2)), "its last state");
    let types = ask(at, "events", json!({"child": child}))["types"].to_string();
    assert_eq!(types.matches("runtime/restarted").count(), 2, "the same chain: {types}");
    let _ = ask(at, "stop", json!({"child": child}));
    let with_state = json!({"manifest": "worker.toml", "state": "{\"starts\": 6}"});
    let _ = ask(at, "resume", with_state);
    assert_eq!(worker(at, child)["starts"], 7);
}

#[test]
// [sup-1 sup-4]
fn a_failed_start_is_err_and_no_death() {
    let scratch = Scratch::new();
    let (_running, at) = tree(&scratch, "config = { restart = \"always\" }");
    for (manifest, reason) in [
        ("nowhere.toml", "\"nowhere.toml\" is no file that this actor may name"),
        ("name = \"x\"\n", "component_path"),
        ("name = \"x\"\ncomponent_path = \"nothing.wasm\"", "\"nothing.wasm\" is no file that this actor may name"),
        ("store://shared/x.toml", "has no store shared"),
        ("ftp://somewhere/x.toml", "ftp"),
    ] {
        let error = try_ask(at, "grow", json!({"children": 1, "worker": manifest})).unwrap_err();
        assert!(error.contains(reason), "{error}");
    }
    manifests(&scratch, &[("init-fails", "")]);
    let error = try_ask(at, "grow", json!({"children": 1, "worker": "init-fails.toml"})).unwrap_err();
    assert!(error.contains("init"), "{error}");
    assert_eq!(counts(&ask(at, "report", json!({}))), [0, 0, 0]);
}

#[test]
fn a_child_may_only_what_its_parent_may() {
    let scratch = Scratch::new();
    let timing = "config = { max_sleep_duration = 50 }";
    let worker = manifests(&scratch, &[("worker", WORKER)]).remove(0);
    let parent = format!("{TALK}{SUPERVISE}\n[[handlers]]\ntype = \"timing\"\n{timing}\n");
    let with_ceiling = format!("{parent}\n[permissions.timing]\nmax_sleep_duration = 7\n");
    let paths = manifests(&scratch, &[("tree", &with_ceiling)]);
    let shown = theater(&["validate", &paths[0], "--data", &scratch.path().join("d").display().to_string()]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(
        shown.contains("children, handler timing: at most") && shown.contains("\"max_sleep_duration\":7"),
        "{shown}"
    );
    // An unrestricted actor with the child's manifest is started first.
    let mut running = Running::start(&scratch.path().join("data"), &[&worker, &paths[0]]);
    let at = running.address(1);
    // The child's own manifest sets no limit.
    let child = grow(at, 1).remove(0);
    let sleep = |ms: u64| {
        let message = json!({"type": "sleep", "payload": {"ms": ms}});
        try_ask(at, "ask", json!({"child": child, "message": message}))
    };
    assert_eq!(sleep(7), Ok(json!({})));
    let refused = sleep(8).unwrap_err();
    assert!(refused.contains("max_sleep_duration"), "{refused}");
    assert!(running.stop().0.success());
    theater_tests::replays(&running.data);
}

#[test]
fn a_component_that_was_replaced_is_what_the_next_start_runs() {
    let scratch = Scratch::new();
    let (mut running, at) = tree(&scratch, "");
    let worker = std::fs::read(component("worker")).unwrap();
    let own = scratch.write("own.wasm", &worker);
    let manifest = format!("name = \"own\"\ncomponent_path = \"own.wasm\"\n{WORKER}");
    scratch.write("own.toml", manifest);
    let grown = || ask(at, "grow", json!({"children": 1, "worker": "own.toml"}))["children"][0].clone();
    let before = [grown(), grown()];
    // The same component with an appended custom section.
    std::fs::write(&own, [&worker[..], &[0, 2, 1, b'x']].concat()).unwrap();
    let after = grown();
    assert!(running.stop().0.success());
    theater_tests::replays(&running.data);
    verified(&running);
    let digest_of = |child: &Json| {
        let text = texts(&chain(&running.data, child.as_str().unwrap()), "created").remove(0);
        text.split_once("component sha256:").unwrap().1[..64].to_owned()
    };
    assert_eq!(digest_of(&before[0]), digest_of(&before[1]));
    assert_ne!(digest_of(&before[1]), digest_of(&after));
}

#[test]
fn a_thousand_children_that_fail_at_once_are_a_thousand_deaths() {
    let scratch = Scratch::new();
    let (mut running, at) = tree(&scratch, "");
    for _ in 0..10 {
        assert_eq!(grow(at, 100).len(), 100);
    }
    let told = ask(at, "tell", json!({"message": {"type": "crash"}}));
    assert_eq!(told["told"], 1000);
    ask_until(at, "report", |report| (counts(report)[0] >= 1000).then_some(()));
    let report = ask(at, "report", json!({}));
    assert_eq!((counts(&report), &report["children"]), ([1000, 0, 0], &json!([])));
    assert!(running.stop().0.success());
    theater_tests::replays(&running.data);
    // No more came later either: the whole chain has exactly this number.
    let events = chain(&running.data, "tree");
    let told = |event: &&Json| event["type"] == "queued" && event["function"].to_string().contains("handle-child-");
    assert_eq!(events.iter().filter(told).count(), 1000);
    verified(&running);
}

#[test]
// [sup-8 sup-18]
fn an_actor_that_ends_takes_all_below_it_along_deepest_first() {
    let scratch = Scratch::new();
    manifests(&scratch, &[("worker", WORKER)]);
    let all = format!("{TALK}{SUPERVISE}\n[[handlers]]\ntype = \"timing\"\n");
    let below =
        "[[handlers]]\ntype = \"message-server\"\n".to_owned() + SUPERVISE + "[[handlers]]\ntype = \"timing\"\n";
    let head = manifests(&scratch, &[("tree", &below)]).remove(0);
    let inner = scratch.write("inner.toml", std::fs::read(head).unwrap());
    let (mut running, at) = start(&scratch, &[("tree", &all)]);
    let inner = inner.display().to_string();
    let grown = ask(at[0], "grow", json!({"children": 3, "depth": 3, "tree": inner}));
    let first = grown["children"][0].as_str().unwrap().to_owned();
    let _ = ask(at[0], "stop", json!({"child": first}));
    let report = ask(at[0], "report", json!({}));
    assert_eq!((counts(&report), report["children"].as_array().unwrap().len()), ([0, 0, 1], 2));
    assert!(running.stop().0.success());
    theater_tests::replays(&running.data);
    let data = running.data.display().to_string();
    let events = theater(&["-o", "json", "events", "--data", &data]);
    let events = theater_tests::json_lines(&events.stdout);
    let ended: Vec<&Json> = events.iter().filter(|event| event["type"] == "stopped").collect();
    assert_eq!(ended.len(), 1 + 3 + 9 + 27, "all are stopped, none failed");
    verified(&running);
    // In the first subtree, the root is stopped last.
    let at_root = ended.iter().position(|event| event["actor"] == first.as_str()).unwrap();
    assert_eq!(at_root, 12, "its 3 and their 9 were before it");
}

#[test]
fn a_bank_loses_no_money_when_a_transfer_crashes() {
    let scratch = Scratch::new();
    manifests(&scratch, &[("account", "[[handlers]]\ntype = \"message-server\"\n")]);
    manifests(&scratch, &[("transfer", "[[handlers]]\ntype = \"message-server\"\n")]);
    let teller = format!(
        "init_state = {{ json = {{ open = {{ alice = 100, bob = 100 }} }} }}\n{TALK}{SUPERVISE}config = {{ restart = \"on-failure\", max_restarts = 10, children = {{ account = {{ restart = \"never\" }} }} }}\n"
    );
    let (mut running, at) = start(&scratch, &[("teller", &teller)]);
    for (from, to, amount, crash) in
        [("alice", "bob", 30, false), ("alice", "bob", 30, true), ("bob", "alice", 5, true)]
    {
        let order = json!({"from": from, "to": to, "amount": amount, "crash": crash});
        let id = ask(at[0], "transfer", order)["transfer"].as_str().unwrap().to_owned();
        let done = ask_until(at[0], "transfers", |all| (all[&id]["status"] == "done").then(|| all[&id].clone()));
        assert_eq!(done["crashes"], u64::from(crash), "{done}");
    }
    assert_eq!(ask(at[0], "balances", json!({})), json!({"alice": 45, "bob": 155}));
    assert!(running.stop().0.success());
    theater_tests::replays(&running.data);
    verified(&running);
}

#[test]
fn a_send_to_a_child_that_was_stopped_is_err() {
    let scratch = Scratch::new();
    let (_running, at) = tree(&scratch, "");
    let child = &grow(at, 1)[0];
    let _ = ask(at, "stop", json!({"child": child}));
    let error = try_ask(at, "tell", json!({"child": child, "message": {"type": "echo"}})).unwrap_err();
    assert!(error.contains(child.as_str()), "{error}");
    tell(at, "tell", json!({"child": child, "message": {"type": "echo"}}));
}

/// Starts a tree whose child is a tree with one worker, and a second, unrelated tree. Returns the addresses of both,
/// and the ids of the first one, its child and its grandchild.
fn family(scratch: &Scratch) -> (Running, [SocketAddr; 2], [String; 3]) {
    manifests(scratch, &[("worker", WORKER)]);
    let below = format!("[[handlers]]\ntype = \"message-server\"\n{SUPERVISE}[[handlers]]\ntype = \"timing\"\n");
    let head = manifests(scratch, &[("tree", &below)]).remove(0);
    let inner = scratch.write("inner.toml", std::fs::read(head).unwrap()).display().to_string();
    let all = format!("{TALK}{SUPERVISE}\n[[handlers]]\ntype = \"timing\"\n");
    let path = manifests(scratch, &[("tree", &all)]).remove(0);
    let running = Running::start(&scratch.path().join("data"), &[path.as_str(), path.as_str()]);
    let at = [running.address(0), running.address(1)];
    let grown = ask(at[0], "grow", json!({"children": 1, "depth": 2, "tree": inner}));
    let child = grown["children"][0].as_str().unwrap().to_owned();
    let report = ask(at[0], "ask", json!({"child": child, "message": {"type": "report"}}));
    let grandchild = report["children"][0].as_str().unwrap().to_owned();
    let ready = running.lines().into_iter().find(|line| line.contains(" ready")).unwrap();
    let first = ready.split(' ').nth(1).unwrap().to_owned();
    (running, at, [first, child, grandchild])
}

#[test]
// [sup-11]
fn only_own_children_are_ruled_and_only_descendants_looked_at() {
    let scratch = Scratch::new();
    let (_running, [own, stranger], [_, child, grandchild]) = family(&scratch);
    for kind in ["state", "events"] {
        assert!(try_ask(own, kind, json!({"child": grandchild})).is_ok(), "{kind} of a descendant");
        assert!(try_ask(stranger, kind, json!({"child": child})).is_err(), "{kind} of a stranger");
    }
    for kind in ["stop", "restart"] {
        assert!(try_ask(own, kind, json!({"child": grandchild})).is_err(), "{kind} of a child's child");
        assert!(try_ask(stranger, kind, json!({"child": child})).is_err(), "{kind} of a stranger");
    }
    let report = ask(own, "ask", json!({"child": child, "message": {"type": "report"}}));
    assert_eq!(report["children"], json!([grandchild]), "no actor was stopped");
}

#[test]
// [sup-13]
fn a_parent_that_is_being_stopped_is_told_nothing() {
    let scratch = Scratch::new();
    let (mut running, [own, _], [_, child, grandchild]) = family(&scratch);
    let _ = ask(own, "stop", json!({"child": child}));
    ask_until(own, "report", |report| (counts(report) == [0, 0, 1]).then_some(()));
    assert!(running.stop().0.success());
    theater_tests::replays(&running.data);
    let data = running.data.display().to_string();
    let events = theater(&["-o", "json", "events", "--data", &data]);
    let events = theater_tests::json_lines(&events.stdout);
    let of = |actor: &str, kind: &str| {
        events.iter().filter(|event| event["actor"] == actor && event["type"] == kind).count()
    };
    assert_eq!((of(&child, "stopped"), of(&grandchild, "stopped")), (1, 1));
    let told = events
        .iter()
        .filter(|event| event["actor"] == *child && event["function"].to_string().contains("handle-child"));
    assert_eq!(told.count(), 0, "it was being stopped itself");
    assert!(events.iter().any(|event| event["function"].to_string().contains("handle-child-external-stop")));
}

#[test]
// [sup-26 msg-45]
fn a_wait_that_closes_a_cycle_is_err_at_once_and_prints_the_cycle() {
    let scratch = Scratch::new();
    let (_running, [own, other], [first, child, _]) = family(&scratch);
    // The child sends a request to its parent, which is waiting for the child.
    let back = json!({"type": "ask", "payload": {"child": first, "message": {"type": "report"}}});
    let error = try_ask(own, "ask", json!({"child": child, "message": back})).unwrap_err();
    // The printed cycle names one actor twice and the other once.
    let named = |error: &str, id: &str| error.matches(&id[..8]).count();
    let cycle = |error: &str| error.contains("would never end") && named(error, &first) + named(error, &child) == 3;
    assert!(cycle(&error), "{error}");
    // The child, in a call from another actor, asks its parent to stop or restart the child.
    for kind in ["stop", "restart"] {
        let order = json!({"type": kind, "payload": {"child": child}});
        let order = json!({"type": "ask", "payload": {"child": first, "message": order}});
        let error = try_ask(other, "ask", json!({"child": child, "message": order})).unwrap_err();
        assert!(cycle(&error), "{kind}: {error}");
    }
}

#[test]
// [sup-10]
fn the_state_of_a_child_that_is_in_a_call_is_its_last_and_comes_at_once() {
    let scratch = Scratch::new();
    let (_running, at) = tree(&scratch, "");
    let child = &grow(at, 1)[0];
    assert_eq!(worker(at, child)["handled"], 1);
    // Longer than the timeout of a request: an answer after this call would be too late.
    order(at, child, "sleep", json!({"ms": 600_000}));
    let state = ask(at, "state", json!({"child": child}))["state"].to_string();
    assert!(state.contains("handled\\\":1"), "{state}");
    let _ = ask(at, "stop", json!({"child": child}));
}
