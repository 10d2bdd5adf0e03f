//! Actors that are resumed after the program was killed or stopped.

use std::io::Read;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::thread;

use serde_json::{Value as Json, json};
use theater_chain::verify;
use theater_tests::talk::{TALK, ask, ask_until, manifests, start, tell};
use theater_tests::{HTTP, Running, Scratch, chain, get, manifest, plugin_folder, replays, texts, theater, wait_until};
use tungstenite::Message;

/// Every acknowledged call is on disk.
const ALWAYS: &str = "[chain]\nsync = \"always\"\n";
const SUPERVISE: &str = "[[handlers]]\ntype = \"supervisor\"\n";
const STEPS: &str = "[[handlers]]\ntype = \"random\"\n[[handlers]]\ntype = \"timing\"\n";

/// Kills the program to simulate a crash.
fn kill(mut running: Running) {
    running.signal("KILL");
    running.wait();
}

/// Starts a new program that resumes the actors of a data folder.
fn resume(data: &Path, arguments: &[&str]) -> Running {
    Running::start(data, &[&["--resume"], arguments].concat())
}

fn id_of(running: &Running, number: usize) -> String {
    let line =
        wait_until(&format!("ready line {number} of {:?}", running.errors()), || running.lines().get(number).cloned());
    line.split(' ').nth(1).unwrap().to_owned()
}

fn visitor(address: SocketAddr) -> u64 {
    let text = get(address, "/").text();
    text.trim_end_matches(".\n").rsplit(' ').next().unwrap().parse().unwrap_or_else(|_| panic!("{text}"))
}

#[test]
fn an_actor_goes_on_with_its_id_its_state_and_its_chain() {
    let scratch = Scratch::new();
    let (running, address) = Running::actor(&scratch, &manifest("hello-http", &format!("{HTTP}{ALWAYS}")));
    let id = id_of(&running, 0);
    for number in 1..=3 {
        assert_eq!(visitor(address), number);
    }
    let data = running.data.clone();
    kill(running);
    let mut running = resume(&data, &[]);
    assert_eq!(visitor(running.address(0)), 4);
    assert_eq!(id_of(&running, 0), id);
    // Also after the program was stopped.
    assert!(running.stop().0.success());
    let mut running = resume(&data, &[]);
    assert_eq!((visitor(running.address(0)), id_of(&running, 0)), (5, id.clone()));
    assert!(running.stop().0.success());
    let contents = verify::read(&data, |_| {}).unwrap();
    assert_eq!(contents.chains.len(), 1);
    let instances = texts(&chain(&data, &id), "instance");
    assert_eq!(instances.iter().filter(|text| *text == "1 (resume)").count(), 2, "{instances:?}");
    assert_eq!(replays(&data), 6);
}

#[test]
fn a_kept_instance_has_its_memory_again() {
    let scratch = Scratch::new();
    let text = format!("instance = \"kept\"\n{HTTP}{ALWAYS}");
    let (running, address) = Running::actor(&scratch, &manifest("hidden-global", &text));
    let data = running.data.clone();
    let count = |at| get(at, "/").text().trim_end().to_owned();
    assert_eq!((count(address), count(address)), ("1".to_owned(), "2".to_owned()));
    kill(running);
    let running = resume(&data, &[]);
    assert_eq!((count(running.address(0)), count(running.address(0))), ("3".to_owned(), "4".to_owned()));
    kill(running);
    // After a second crash, the calls of both runs are replayed.
    let mut running = resume(&data, &[]);
    assert_eq!(count(running.address(0)), "5");
    assert!(running.stop().0.success());
    assert_eq!(texts(&chain(&data, "hidden-global"), "instance"), ["1 (start)", "1 (resume)", "1 (resume)"]);
    assert_eq!(replays(&data), 6);
}

#[test]
fn what_a_kept_instance_had_from_the_host_comes_from_the_chain() {
    let scratch = Scratch::new();
    let text = format!("instance = \"kept\"\n{HTTP}[[handlers]]\ntype = \"random\"\n{ALWAYS}");
    let (running, address) = Running::actor(&scratch, &manifest("dice", &text));
    let data = running.data.clone();
    for _ in 0..3 {
        assert_eq!(get(address, "/range/1/6").status, 200);
    }
    kill(running);
    let drawn = || texts(&chain(&data, "dice"), "host").len();
    let before = drawn();
    assert!(before >= 3, "{before}");
    let mut running = resume(&data, &[]);
    assert_eq!(drawn(), before, "nothing was drawn again");
    assert_eq!(get(running.address(0), "/range/1/6").status, 200);
    assert!(running.stop().0.success());
    assert_eq!(drawn(), before + before / 3);
    assert_eq!(replays(&data), 5);
}

#[test]
fn of_actors_of_one_name_the_newest_goes_on_and_manifests_of_others_start() {
    let scratch = Scratch::new();
    let text = format!("{HTTP}{ALWAYS}");
    let (mut running, address) = Running::actor(&scratch, &manifest("hello-http", &text));
    assert_eq!(visitor(address), 1);
    assert!(running.stop().0.success());
    let (mut running, address) = Running::actor(&scratch, &manifest("hello-http", &text));
    assert_eq!((visitor(address), visitor(address)), (1, 2));
    let newest = id_of(&running, 0);
    assert!(running.stop().0.success());
    let other = scratch
        .write("other.toml", manifest("clock", &format!("{HTTP}[[handlers]]\ntype = \"timing\"\n")))
        .display()
        .to_string();
    let first = scratch.path().join("manifest.toml").display().to_string();
    let mut running = resume(&running.data.clone(), &[&first, &other]);
    let other = running.address(1);
    assert_eq!((running.lines().len(), id_of(&running, 0)), (2, newest));
    assert_eq!(visitor(running.address(0)), 3);
    assert_eq!(get(other, "/now").status, 200);
    assert!(running.errors().iter().any(|line| line.contains("\"hello-http\" was resumed; no new one")));
    assert!(running.stop().0.success());
    assert_eq!(verify::read(&running.data, |_| {}).unwrap().chains.len(), 3);
}

#[test]
fn where_nobody_is_to_go_on_the_program_says_so() {
    let scratch = Scratch::new();
    let data = scratch.path().join("data");
    let missing = theater(&["--data", &data.display().to_string(), "run", "--resume"]);
    assert_eq!(missing.status.code(), Some(0), "{missing:?}");
    assert!(String::from_utf8_lossy(&missing.stderr).contains("has no actor to resume"), "{missing:?}");
}

#[test]
fn a_call_that_was_cut_off_goes_on_where_it_was_and_what_waits_comes_behind() {
    let scratch = Scratch::new();
    let (running, at) = start(&scratch, &[("steps", &format!("{TALK}{STEPS}{ALWAYS}"))]);
    tell(at[0], "step", json!({ "note": "long", "sleep": 3_000 }));
    tell(at[0], "step", json!({ "note": "second" }));
    tell(at[0], "step", json!({ "note": "third" }));
    let data = running.data.clone();
    let drawn = |events: &[Json]| texts(events, "host").into_iter().find(|text| text.starts_with("(0, "));
    let before = wait_until("the number that was drawn", || drawn(&chain(&data, "steps")));
    kill(running);
    assert!(texts(&chain(&data, "steps"), "return").len() == 1, "only init has returned");
    let mut running = resume(&data, &[]);
    let report = ask_until(running.address(0), "report", |report| {
        (report["steps"].as_array().unwrap().len() == 3).then(|| report.clone())
    });
    let notes: Vec<_> = report["steps"].as_array().unwrap().iter().map(|step| step[0].as_str().unwrap()).collect();
    assert_eq!(notes, ["long", "second", "third"]);
    let result: String = before.rsplit("-> ").next().unwrap().chars().filter(char::is_ascii_digit).collect();
    let number: u64 = result.parse().unwrap();
    assert_eq!(report["steps"][0][1], number, "the number of the previous run: {before}");
    assert!(running.stop().0.success());
    let events = chain(&data, "steps");
    let draws = texts(&events, "host").iter().filter(|text| text.starts_with("(0, ")).count();
    assert_eq!(draws, 3, "drawn once for each step");
    replays(&data);
}

#[test]
fn what_was_sent_before_the_program_was_told_to_end_is_done_by_the_next() {
    let scratch = Scratch::new();
    let (mut running, at) = start(&scratch, &[("steps", &format!("{TALK}{STEPS}"))]);
    tell(at[0], "step", json!({ "note": "long", "sleep": 60_000 }));
    tell(at[0], "step", json!({ "note": "sent" }));
    let asking = thread::spawn({
        let address = at[0];
        move || theater_tests::talk::try_ask(address, "step", json!({ "note": "asked" }))
    });
    running.wait_for_queued("asked");
    assert!(running.stop().0.success());
    assert!(asking.join().unwrap().is_err(), "the waiting caller got an error");
    let data = running.data.clone();
    let mut running = resume(&data, &[]);
    let report = ask_until(running.address(0), "report", |report| {
        report["steps"].as_array().is_some_and(|steps| !steps.is_empty()).then(|| report.clone())
    });
    // The sleep of the first call was interrupted and the call failed. The caller of the last one is gone.
    let notes: Vec<_> = report["steps"].as_array().unwrap().iter().map(|step| step[0].as_str().unwrap()).collect();
    assert_eq!(notes, ["sent"]);
    assert!(running.stop().0.success());
    let returns = texts(&chain(&data, "steps"), "return");
    assert!(
        returns.iter().any(|text| text.contains("interrupted(\"the actor ended before it began\")")),
        "{returns:?}"
    );
    replays(&data);
}

/// Starts a server that accepts connections and never answers. Returns its address and the number of connections.
fn silent() -> (SocketAddr, std::sync::Arc<std::sync::atomic::AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let count = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let seen = std::sync::Arc::clone(&count);
    thread::spawn(move || {
        for stream in listener.incoming().take(8) {
            let Ok(mut stream) = stream else { return };
            seen.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            thread::spawn(move || drop(stream.read_to_end(&mut Vec::new())));
        }
    });
    (address, count)
}

#[test]
fn an_effect_that_a_crash_cut_off_is_in_doubt_unless_it_may_be_tried_again() {
    for (retry, asked) in [(false, 1), (true, 2)] {
        let scratch = Scratch::new();
        let (server, count) = silent();
        let seen = || count.load(std::sync::atomic::Ordering::SeqCst);
        let client = format!(
            "[[handlers]]\ntype = \"http-client\"\nconfig = {{ allowed_hosts = [\"{server}\"], allow_private_addresses = true }}\n"
        );
        let more = format!("{TALK}{client}[chain]\nsync = \"always\"\nretry_effects = {retry}\n");
        let (running, at) = start(&scratch, &[("fetch", &more)]);
        let uri = format!("http://{server}/");
        let asking = thread::spawn(move || theater_tests::talk::try_ask(at[0], "send", json!({ "uri": uri })));
        wait_until("the request", || (seen() == 1).then_some(()));
        let data = running.data.clone();
        kill(running);
        assert!(asking.join().unwrap().is_err());
        let running = resume(&data, &[]);
        running.address(0);
        if retry {
            wait_until("the second request", || (seen() == 2).then_some(()));
        } else {
            let host = wait_until("its result", || texts(&chain(&data, "fetch"), "host").pop());
            assert!(host.contains("err(\"in doubt after a crash\")"), "{host}");
            let end = wait_until("its end", || texts(&chain(&data, "fetch"), "return").into_iter().nth(1));
            assert!(end.starts_with("ok("), "the actor deals with it: {end}");
        }
        kill(running);
        assert_eq!(seen(), asked);
        replays(&data);
    }
}

#[test]
fn snapshots_are_made_and_begun_from() {
    let scratch = Scratch::new();
    let random = "[[handlers]]\ntype = \"random\"\nconfig = { seed = 7 }\n";
    let chained = "[chain]\nsync = \"always\"\nsnapshot_every = 10\n";
    let more = format!("{HTTP}{random}{chained}");
    let thrown = |address: SocketAddr| get(address, "/range/0/1000000").text();
    let (running, address) = Running::actor(&scratch, &manifest("dice", &more));
    let mut numbers: Vec<_> = (0..12).map(|_| thrown(address)).collect();
    let data = running.data.clone();
    kill(running);
    let events = chain(&data, "dice");
    assert!(texts(&events, "snapshot").len() >= 3, "{events:?}");
    let mut running = resume(&data, &[]);
    numbers.extend((0..12).map(|_| thrown(running.address(0))));
    assert!(running.stop().0.success());
    replays(&data);
    // An uninterrupted run draws the same numbers.
    let other = Scratch::new();
    let (mut running, address) = Running::actor(&other, &manifest("dice", &format!("{HTTP}{random}")));
    let whole: Vec<_> = (0..24).map(|_| thrown(address)).collect();
    assert_eq!(numbers, whole);
    assert!(running.stop().0.success());
    // No call was waiting at any of the snapshots.
    let texts = texts(&chain(&data, "dice"), "snapshot");
    assert!(texts.iter().all(|text| text.ends_with("0 calls wait")), "{texts:?}");
}

#[test]
fn a_server_that_the_actor_made_is_there_again_and_its_websockets_are_told_closed() {
    for every in [1_000, 5] {
        let scratch = Scratch::new();
        let chained = format!("[chain]\nsync = \"always\"\nsnapshot_every = {every}\n");
        let more = format!(
            "init_state = {{ json = {{ port = 0 }} }}\n[[handlers]]\ntype = \"http-framework\"\nconfig = {{ bind_ports = [0] }}\n{chained}"
        );
        let (running, address) = Running::actor(&scratch, &manifest("chat", &more));
        let connect = |address: SocketAddr| tungstenite::connect(format!("ws://{address}/chat?name=ada")).unwrap().0;
        let mut client = connect(address);
        assert!(client.read().unwrap().to_text().unwrap().contains("ada"));
        let data = running.data.clone();
        let before = texts(&chain(&data, "chat"), "host");
        kill(running);
        let mut running = resume(&data, &[]);
        assert_eq!(running.address(0), address, "the same port");
        let label = "theater:simple/http-handlers/handle-websocket-disconnect";
        let told = wait_until("the disconnect", || {
            let events = chain(&data, "chat");
            events.iter().position(|event| event["function"] == label && event["type"] == "queued")
        });
        assert!(told > 0);
        // Routes and paths keep their ids: nothing was registered again, and new clients are served.
        assert!(get(address, "/").text().contains("<html"), "the page");
        drop(connect(address));
        assert!(running.stop().0.success());
        let after = chain(&data, "chat");
        let made = |texts: &[String]| texts.iter().filter(|text| text.contains("\"/chat\"")).count();
        assert_eq!(made(&before), made(&texts(&after, "host")));
        let of_the_first = |event: &&Json| {
            event["function"] == label
                && event["type"] == "queued"
                && event["text"].as_str().is_some_and(|text| text.contains("websocket 1 "))
        };
        assert_eq!(after.iter().filter(of_the_first).count(), 1, "once");
        replays(&data);
    }
}

#[test]
fn connections_of_a_websocket_server_are_told_to_have_ended() {
    let scratch = Scratch::new();
    let server = format!("[[handlers]]\ntype = \"websocket-server\"\nconfig = {{ port = 0 }}\n{ALWAYS}");
    let (running, address) = Running::actor(&scratch, &manifest("parrot", &server));
    let mut client = tungstenite::connect(format!("ws://{address}/")).unwrap().0;
    assert_eq!(client.read().unwrap(), Message::text("you are client 1, one of 1"));
    let data = running.data.clone();
    kill(running);
    let mut running = resume(&data, &[]);
    wait_until("the notification of the closed connection", || {
        texts(&chain(&data, "parrot"), "queued")
            .iter()
            .any(|text| text.contains("Close") || text.contains("close"))
            .then_some(())
    });
    let mut client = tungstenite::connect(format!("ws://{}/", running.address(0))).unwrap().0;
    assert_eq!(client.read().unwrap(), Message::text("you are client 2, one of 1"), "it knows that the first one left");
    assert!(running.stop().0.success());
    replays(&data);
}

#[test]
fn children_go_on_with_their_parent_but_not_those_that_ended() {
    let scratch = Scratch::new();
    let chained = "[chain]\nsync = \"always\"\n";
    let worker = format!("[[handlers]]\ntype = \"message-server\"\n[[handlers]]\ntype = \"timing\"\n{chained}");
    manifests(&scratch, &[("worker", &worker)]);
    let timing = "[[handlers]]\ntype = \"timing\"\n";
    let (running, at) = start(&scratch, &[("tree", &format!("{TALK}{SUPERVISE}{timing}{chained}"))]);
    let grown = ask(at[0], "grow", json!({ "children": 4 }));
    let ids: Vec<_> = grown["children"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect();
    let of_child = |at: SocketAddr, child: &str, kind: &str| {
        ask(at, "ask", json!({ "child": child, "message": { "type": kind, "payload": {} } }))
    };
    for _ in 0..3 {
        let _ = of_child(at[0], &ids[1], "echo");
    }
    let handled = of_child(at[0], &ids[1], "report")["handled"].as_u64().unwrap();
    let _ = ask(at[0], "stop", json!({ "child": ids[0] }));
    let _ = ask(at[0], "tell", json!({ "child": ids[2], "message": { "type": "exit", "payload": { "data": "bye" } } }));
    ask_until(at[0], "report", |report| (report["exits"] == 1).then_some(()));
    let data = running.data.clone();
    wait_until("the parent to release the ended child", || {
        chain(&data, &ids[2]).last().filter(|event| event["type"] == "released").map(|_| ())
    });
    kill(running);
    let mut running = resume(&data, &[]);
    let at = running.address(0);
    assert_eq!(ask(at, "report", json!({}))["children"], json!([ids[1], ids[3]]), "oldest first");
    assert_eq!(of_child(at, &ids[1], "report")["handled"], handled + 1);
    // They are still its children: the parent is notified of their failures, and they are resumed with it again.
    let _ = ask(at, "tell", json!({ "child": ids[3], "message": { "type": "crash", "payload": {} } }));
    ask_until(at, "report", |report| (report["errors"] == 1).then_some(()));
    assert!(running.stop().0.success());
    let mut running = resume(&data, &[]);
    let at = running.address(0);
    assert_eq!(ask(at, "report", json!({}))["children"], json!([ids[1]]));
    assert_eq!(of_child(at, &ids[1], "report")["handled"], handled + 2);
    assert!(running.stop().0.success());
    assert_eq!(running.lines().len(), 1, "a ready line for the parent only");
    replays(&data);
}

#[test]
fn what_waited_over_a_restart_is_done_by_the_next_program() {
    let scratch = Scratch::new();
    let worker = format!("[[handlers]]\ntype = \"message-server\"\n[[handlers]]\ntype = \"timing\"\n{ALWAYS}");
    manifests(&scratch, &[("worker", &worker)]);
    let supervise = format!("{SUPERVISE}config = {{ restart = \"on-failure\" }}\n[[handlers]]\ntype = \"timing\"\n");
    let (running, at) = start(&scratch, &[("tree", &format!("{TALK}{supervise}{ALWAYS}"))]);
    let child = ask(at[0], "grow", json!({ "children": 1 }))["children"][0].as_str().unwrap().to_owned();
    let order = |kind: &str, payload: Json| {
        let _ = ask(at[0], "tell", json!({ "child": child, "message": { "type": kind, "payload": payload } }));
    };
    order("sleep", json!({ "ms": 500 }));
    order("crash", json!({}));
    order("sleep", json!({ "ms": 3_000 }));
    order("echo", json!({}));
    let data = running.data.clone();
    wait_until("the restart", || (!texts(&chain(&data, &child), "restarted").is_empty()).then_some(()));
    kill(running);
    let mut running = resume(&data, &[]);
    let address = running.address(0);
    let message = json!({ "child": child, "message": { "type": "report" } });
    let report = ask(address, "ask", message);
    assert_eq!(report["handled"], 3, "the two queued before the restart, and this one: {report}");
    assert!(running.stop().0.success());
    replays(&data);
}

#[test]
fn a_call_that_the_end_of_the_program_interrupted_goes_on_beside_what_was_turned_away() {
    let scratch = Scratch::new();
    let (mut running, at) = start(&scratch, &[("steps", &format!("{TALK}{STEPS}"))]);
    tell(at[0], "step", json!({ "note": "long", "turns": 1_000_000_000_u64 }));
    let data = running.data.clone();
    wait_until("the number that was drawn", || {
        texts(&chain(&data, "steps"), "host").iter().any(|text| text.starts_with("(0, ")).then_some(())
    });
    let asking = thread::spawn({
        let address = at[0];
        move || theater_tests::talk::try_ask(address, "step", json!({ "note": "asked" }))
    });
    running.wait_for_queued("asked");
    assert!(running.stop().0.success());
    assert!(asking.join().unwrap().is_err());
    let mut running = resume(&data, &[]);
    let report = ask_until(running.address(0), "report", |report| {
        report["steps"].as_array().is_some_and(|steps| !steps.is_empty()).then(|| report.clone())
    });
    assert_eq!(report["steps"].as_array().unwrap().len(), 1);
    assert_eq!(report["steps"][0][0], "long");
    assert!(running.stop().0.success());
    let draws = texts(&chain(&data, "steps"), "host").iter().filter(|text| text.starts_with("(0, ")).count();
    assert_eq!(draws, 1, "not drawn again");
    replays(&data);
}

#[test]
fn a_program_that_is_told_to_end_while_its_actors_come_back_ends() {
    let scratch = Scratch::new();
    let first = "init_state = { json = { sleep = 30000 } }\n";
    let paths = manifests(&scratch, &[("steps", &format!("{first}{TALK}{STEPS}{ALWAYS}"))]);
    let data = scratch.path().join("data");
    let running = Running::start(&data, &[&paths[0]]);
    let is_born = || chain_if(&data).is_some_and(|events| texts(&events, "instance").len() == 1);
    wait_until("the start", || is_born().then_some(()));
    kill(running);
    let mut running = resume(&data, &[]);
    wait_until("the start again", || (texts(&chain_if(&data)?, "instance").len() == 2).then_some(()));
    let (_, took) = running.stop();
    assert!(took < theater_tests::PROMPT, "{took:?}");
}

/// The chain of `steps`, or `None` if there is none yet.
fn chain_if(data: &Path) -> Option<Vec<Json>> {
    let contents = verify::read(data, |_| {}).ok()?;
    contents.find("steps").map(|(id, _)| chain(data, &theater_plugin_api::uuid_text(&id)))
}

#[test]
fn a_start_that_had_begun_children_goes_on_with_them() {
    let scratch = Scratch::new();
    let slow = format!(
        "init_state = {{ json = {{ sleep = 1500 }} }}\n[[handlers]]\ntype = \"message-server\"\n{STEPS}{ALWAYS}"
    );
    manifests(&scratch, &[("steps", &slow)]);
    let grown = "init_state = { json = { grow = { children = 2, depth = 1 }, worker = \"steps.toml\" } }\n";
    let paths = manifests(&scratch, &[("tree", &format!("{grown}{TALK}{SUPERVISE}{STEPS}{ALWAYS}"))]);
    let data = scratch.path().join("data");
    let running = Running::start(&data, &[&paths[0]]);
    let first = wait_until("the second child's start", || {
        let contents = verify::read(&data, |_| {}).ok()?;
        let children: Vec<_> = contents.chains.iter().filter(|(_, end)| end.name.starts_with("steps")).collect();
        let oldest = children.iter().min_by_key(|(_, end)| end.first)?;
        (children.len() == 2).then(|| theater_plugin_api::uuid_text(oldest.0))
    });
    kill(running);
    let mut running = resume(&data, &[]);
    let report = ask(running.address(0), "report", json!({}));
    let children = report["children"].as_array().unwrap();
    assert_eq!((children.len(), children[0].as_str().unwrap()), (2, first.as_str()), "{report}");
    assert!(running.stop().0.success());
    replays(&data);
}

#[test]
fn programs_are_told_to_have_ended_once_and_their_ids_mean_one_thing() {
    let scratch = Scratch::new();
    let process = "[[handlers]]\ntype = \"process\"\nconfig = { allowed_programs = [\"sleep\", \"true\"], allowed_paths = [\".\"] }\n";
    let more = format!("{TALK}{process}[chain]\nsync = \"always\"\nsnapshot_every = 6\n");
    let (running, at) = start(&scratch, &[("runner", &more)]);
    let started = |address: SocketAddr, program: &str, argument: &[&str]| {
        let payload = json!({ "program": program, "args": argument, "mode": "lines" });
        ask(address, "start", payload)["id"].as_u64().unwrap()
    };
    let told = |address: SocketAddr| ask(address, "told", json!({}))["told"].clone();
    assert_eq!(started(at[0], "true", &[]), 1);
    wait_until("its end", || (told(at[0]) == json!([[1, "exit", 0]])).then_some(()));
    assert_eq!(started(at[0], "sleep", &["1000"]), 2);
    for _ in 0..6 {
        let _ = told(at[0]);
    }
    let data = running.data.clone();
    kill(running);
    let ends = json!([[1, "exit", 0], [2, "exit", -9]]);
    let running = resume(&data, &[]);
    let address = running.address(0);
    wait_until("the end of the other", || (told(address) == ends).then_some(()));
    kill(running);
    let mut running = resume(&data, &[]);
    let address = running.address(0);
    assert_eq!(started(address, "true", &[]), 3);
    wait_until("its end", || (told(address) == json!([[1, "exit", 0], [2, "exit", -9], [3, "exit", 0]])).then_some(()));
    assert!(running.stop().0.success());
    replays(&data);
}

#[test]
fn a_request_that_the_crash_cut_off_is_handled_once() {
    let scratch = Scratch::new();
    let worker = format!("[[handlers]]\ntype = \"message-server\"\n[[handlers]]\ntype = \"timing\"\n{ALWAYS}");
    manifests(&scratch, &[("worker", &worker)]);
    let timing = "[[handlers]]\ntype = \"timing\"\n";
    let (running, at) = start(&scratch, &[("tree", &format!("{TALK}{SUPERVISE}{timing}{ALWAYS}"))]);
    let child = ask(at[0], "grow", json!({ "children": 1 }))["children"][0].as_str().unwrap().to_owned();
    let message = json!({ "type": "sleep", "payload": { "ms": 2_000 } });
    tell(at[0], "ask", json!({ "child": child, "message": message }));
    let data = running.data.clone();
    wait_until("the request", || {
        texts(&chain(&data, &child), "queued").iter().any(|text| text.contains("request from")).then_some(())
    });
    kill(running);
    let mut running = resume(&data, &[]);
    let label = "theater:simple/message-server-host/request";
    let result = wait_until("the answer", || {
        let events = chain(&data, "tree");
        events
            .iter()
            .find(|event| event["function"] == label && event["type"] == "host")
            .map(|event| event["text"].clone())
    });
    assert!(result.as_str().unwrap().contains("-> ok("), "{result}");
    let message = json!({ "type": "report" });
    let report = ask(running.address(0), "ask", json!({ "child": child, "message": message }));
    assert_eq!(report["handled"], 2, "once, and this");
    assert!(running.stop().0.success());
    replays(&data);
}

#[test]
fn a_child_that_its_parent_never_heard_of_is_not_there_twice() {
    let scratch = Scratch::new();
    let steps = format!(
        "init_state = {{ json = {{ sleep = 2000 }} }}\n[[handlers]]\ntype = \"message-server\"\n{STEPS}{ALWAYS}"
    );
    let paths = manifests(&scratch, &[("steps", &steps)]);
    let more = format!("{TALK}{SUPERVISE}{STEPS}{ALWAYS}");
    let (running, at) = start(&scratch, &[("tree", &more)]);
    tell(at[0], "grow", json!({ "children": 1, "worker": paths[0] }));
    let data = running.data.clone();
    wait_until("a child that is starting", || {
        let contents = verify::read(&data, |_| {}).ok()?;
        let (id, _) = contents.find("steps")?;
        let events = chain(&data, &theater_plugin_api::uuid_text(&id));
        events.iter().any(|event| event["type"] == "queued").then_some(())
    });
    kill(running);
    let mut running = resume(&data, &[]);
    let report = ask_until(running.address(0), "report", |report| {
        report["children"].as_array().is_some_and(|children| !children.is_empty()).then(|| report.clone())
    });
    assert_eq!((report["children"].as_array().unwrap().len(), &report["spawned"]), (1, &json!(1)));
    assert!(running.stop().0.success());
    let contents = verify::read(&data, |_| {}).unwrap();
    let ends: Vec<_> = contents
        .chains
        .iter()
        .filter(|(_, end)| end.name == "steps")
        .map(|(id, _)| {
            let last = chain(&data, &theater_plugin_api::uuid_text(id)).pop().unwrap();
            (last["type"].as_str().unwrap().to_owned(), last["text"].as_str().unwrap().to_owned())
        })
        .collect();
    assert_eq!(ends.len(), 2);
    assert!(ends.contains(&("stopped".to_owned(), "by program".to_owned())), "{ends:?}");
    assert!(
        ends.iter().any(|(kind, text)| kind == "failed" && text.contains("before its parent learned of it")),
        "{ends:?}"
    );
}

#[test]
fn a_plugin_that_is_gone_keeps_its_actor_as_it_is_until_it_is_back_and_another_one_is_told() {
    let scratch = Scratch::new();
    let folder = plugin_folder(&scratch);
    let plugins = folder.display().to_string();
    let path = scratch.write("manifest.toml", manifest("hello-http", &format!("{HTTP}{ALWAYS}")));
    let data = scratch.path().join("data");
    let running = Running::start(&data, &["--plugins", &plugins, &path.display().to_string()]);
    assert_eq!(visitor(running.address(0)), 1);
    kill(running);
    let before = chain(&data, "hello-http").len();
    let file = folder.join("libhttp_server.so");
    let kept = std::fs::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    let mut refused = resume(&data, &["--plugins", &plugins, &path.display().to_string()]);
    assert_eq!(refused.wait().code(), Some(1));
    let said = refused.all_errors();
    assert!(said.iter().any(|line| line.contains("[H0001]")), "{said:?}");
    assert!(said.iter().any(|line| line.contains("no new one is started")), "{said:?}");
    assert_eq!(chain(&data, "hello-http").len(), before, "nothing was added");
    // Another file of the same plugin: the loader ignores bytes after the end of a library.
    std::fs::write(&file, [&kept[..], b"another"].concat()).unwrap();
    let mut running = resume(&data, &["--plugins", &plugins]);
    assert_eq!(visitor(running.address(0)), 2);
    assert!(running.stop().0.success());
    let events = chain(&data, "hello-http");
    assert_eq!(texts(&events, "swapped").len(), 1);
    replays(&data);
    let mut running = resume(&data, &["--plugins", &plugins]);
    assert_eq!(visitor(running.address(0)), 3);
    assert!(running.stop().0.success());
    assert_eq!(texts(&chain(&data, "hello-http"), "swapped").len(), 1, "nothing changed since");
}

#[test]
fn an_actor_whose_component_is_gone_goes_on_from_what_was_kept() {
    let scratch = Scratch::new();
    let component = scratch.path().join("moved.wasm");
    std::fs::copy(theater_tests::component("hello-http"), &component).unwrap();
    let text = format!("name = \"hello\"\ncomponent_path = \"moved.wasm\"\n{HTTP}{ALWAYS}");
    let (running, address) = Running::actor(&scratch, &text);
    assert_eq!(visitor(address), 1);
    let data = running.data.clone();
    kill(running);
    std::fs::remove_file(&component).unwrap();
    std::fs::remove_file(scratch.path().join("manifest.toml")).unwrap();
    let running = resume(&data, &[]);
    assert_eq!(visitor(running.address(0)), 2);
    kill(running);
    for object in std::fs::read_dir(data.join("objects")).unwrap() {
        std::fs::remove_file(object.unwrap().path()).unwrap();
    }
    let mut refused = resume(&data, &[]);
    assert_eq!(refused.wait().code(), Some(1));
    assert!(
        refused.errors().iter().any(|line| line.contains("[A0007]") && line.contains("the object ")),
        "{:?}",
        refused.errors()
    );
}

#[test]
fn an_actor_that_failed_goes_on_and_one_that_ended_does_not() {
    let scratch = Scratch::new();
    let worker = format!("restart = \"never\"\n{TALK}[[handlers]]\ntype = \"timing\"\n{ALWAYS}");
    let (mut running, at) = start(&scratch, &[("worker", &worker)]);
    let _ = ask(at[0], "echo", json!({}));
    tell(at[0], "crash", json!({}));
    assert_eq!(running.wait().code(), Some(1));
    let data = running.data.clone();
    let mut running = resume(&data, &[]);
    let report = ask(running.address(0), "report", json!({}));
    assert_eq!(
        (&report["starts"], &report["handled"]),
        (&json!(1), &json!(2)),
        "the state before the call that failed"
    );
    tell(running.address(0), "exit", json!({}));
    assert_eq!(running.wait().code(), Some(0));
    let mut over = resume(&data, &[]);
    assert_eq!(over.wait().code(), Some(0));
    assert!(over.lines().is_empty() && !over.errors().is_empty());
}
