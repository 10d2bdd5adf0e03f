//! Actors that create their own servers: a to-do list, a chat, a reverse proxy and a job runner, with real clients.

use std::net::{SocketAddr, TcpStream};
use std::process::Command;

use serde_json::{Value, json};
use theater_tests::browser::{Browser, Tab};
use theater_tests::talk::{TALK, ask, start, try_ask};
use theater_tests::{Running, Scratch, chain, component, exchange, get, repository, texts, wait_until, wrk};
use tungstenite::{Message, WebSocket};

/// The manifest of an actor that listens on any free port.
fn manifest(actor: &str, state: Value, handlers: &str) -> String {
    let state: Vec<_> = state.as_object().unwrap().iter().map(|(key, value)| format!("{key} = {value}")).collect();
    format!(
        "name = \"{actor}\"\nversion = \"0.1.0\"\ncomponent_path = \"{}\"\ninit_state = {{ json = {{ {} }} }}\n\
         [[handlers]]\ntype = \"http-framework\"\n{handlers}",
        component(actor).display(),
        state.join(", ")
    )
}

const TODO: &str = "[[handlers]]\ntype = \"store\"\nconfig = { stores = [\"todo\"] }\n\
                    [[handlers]]\ntype = \"environment\"\nconfig = { allowed_vars = [\"TODO_TOKEN\"] }\n";

fn todo(scratch: &Scratch) -> String {
    let text = manifest("todo", json!({ "port": 0, "store": "todo" }), TODO);
    scratch.write("todo.toml", text).display().to_string()
}

fn chat(scratch: &Scratch) -> String {
    scratch.write("chat.toml", manifest("chat", json!({ "port": 0 }), "")).display().to_string()
}

fn asked(address: SocketAddr, method: &str, target: &str, body: &str) -> (u16, Value) {
    let head = format!(
        "{method} {target} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer secret\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    let response = exchange(address, format!("{head}{body}").as_bytes()).unwrap();
    (response.status, serde_json::from_str(&response.text()).unwrap_or_default())
}

#[test]
// [http-framework-70]
fn a_to_do_list_is_kept_and_stands_in_the_chain() {
    let scratch = Scratch::new();
    let (data, manifest) = (scratch.path().join("data"), todo(&scratch));
    let start = || Running::start_with(&data, &[&manifest], &[("TODO_TOKEN", "secret")]);
    let mut running = start();
    let address = running.address(0);
    let refused = get(address, "/todos");
    assert_eq!((refused.status, refused.text().as_str()), (401, "{\"error\":\"a bearer token is needed\"}\n"));
    let item = json!({ "id": 1, "text": "buy milk", "done": false });
    assert_eq!(asked(address, "POST", "/todos", r#"{"text":"buy milk"}"#), (201, item));
    assert_eq!(asked(address, "PATCH", "/todos/1", r#"{"done":true}"#).0, 200);
    assert_eq!(asked(address, "POST", "/todos", "what").0, 400);
    assert_eq!(asked(address, "GET", "/todos/2", "").0, 404);
    assert!(running.stop().0.success());
    theater_tests::replays(&running.data);
    let events = chain(&data, "todo");
    let (queued, returned) = (texts(&events, "queued").join("\n"), texts(&events, "return").join("\n"));
    for recorded in ["GET /todos from 127.0.0.1:", "Bearer secret", "x-route-param-id"] {
        assert!(queued.contains(recorded), "{recorded} in {queued}");
    }
    assert!(returned.contains("buy milk") && returned.contains("x-theater-status"), "{returned}");
    let made = texts(&events, "host").join("\n");
    assert!(
        made.contains("{port: some(0), host: none, tls-config: none}) -> ok(1)") && made.contains("/todos/:id"),
        "{made}"
    );
    let mut running = start();
    let kept = json!([{ "id": 1, "text": "buy milk", "done": true }]);
    assert_eq!(asked(running.address(0), "GET", "/todos", ""), (200, kept));
    assert!(running.stop().0.success());
    theater_tests::replays(&running.data);
}

#[test]
#[cfg_attr(missing_python3_clients, ignore = "needs python3-requests and python3-websockets: tests/setup installs it")]
fn python_agrees() {
    let scratch = Scratch::new();
    let (todo, chat) = (todo(&scratch), chat(&scratch));
    let data = scratch.path().join("data");
    let mut running = Running::start_with(&data, &[&todo, &chat], &[("TODO_TOKEN", "secret")]);
    let urls = [format!("http://{}", running.address(0)), format!("ws://{}", running.address(1))];
    let script = repository().join("tests/clients.py");
    let output = Command::new("/usr/bin/python3").arg(script).args([&urls[0], "secret", &urls[1]]).output();
    let output =
        output.expect("these tests need python3-requests and python3-websockets: install them, as `.ci/run` does");
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert_eq!(said[0], "well\n", "{}", said[1]);
    assert!(running.stop().0.success());
    theater_tests::replays(&running.data);
}

#[test]
#[cfg_attr(missing_wrk, ignore = "needs wrk: tests/setup installs it")]
fn wrk_gets_nothing_but_answers() {
    let scratch = Scratch::new();
    let text = manifest("hello-routes", json!({ "port": 0 }), "");
    let hello = scratch.write("hello-routes.toml", text).display().to_string();
    let mut running = Running::start(&scratch.path().join("data"), &[&hello]);
    let url = format!("http://{}/", running.address(0));
    assert!(wrk(&url, 16, 2) > 8.0);
    assert!(running.stop().0.success());
    theater_tests::replays(&running.data);
}

#[test]
fn the_proxy_passes_on_what_the_files_are() {
    let scratch = Scratch::new();
    std::fs::create_dir(scratch.path().join("site")).unwrap();
    scratch.write("site/a b.txt", "the file");
    let files = format!(
        "name = \"files\"\ncomponent_path = \"{}\"\n[[handlers]]\ntype = \"http-server\"\n\
         [[handlers]]\ntype = \"filesystem\"\nconfig = {{ path = \"site\", read = true }}\n",
        component("files").display()
    );
    let files = scratch.write("files.toml", files).display().to_string();
    let mut server = Running::start(&scratch.path().join("files-data"), &[&files]);
    let upstream = format!("http://{}", server.address(0));
    let client = "[[handlers]]\ntype = \"http-client\"\nconfig = { allowed_hosts = [\"127.0.0.1\"], \
                  allow_private_addresses = true, max_redirects = 0 }\n";
    let text = manifest("proxy", json!({ "port": 0, "upstream": upstream }), client);
    let proxy = scratch.write("proxy.toml", text).display().to_string();
    let mut running = Running::start(&scratch.path().join("data"), &[&proxy]);
    let address = running.address(0);
    let response = get(address, "/a%20b.txt?query");
    assert_eq!((response.status, response.text().as_str()), (200, "the file"));
    assert!(response.head.contains("via: 1.1 theater") && response.head.contains("text/plain"), "{}", response.head);
    assert_eq!(get(address, "/missing").status, 404);
    assert_eq!(asked(address, "POST", "/a%20b.txt", "body").0, 405);
    assert!(server.stop().0.success());
    assert_eq!(get(address, "/a%20b.txt").status, 502);
    assert!(running.stop().0.success());
    theater_tests::replays(&running.data);
}

type Client = WebSocket<TcpStream>;

fn open(address: SocketAddr, target: &str) -> Client {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(theater_tests::PATIENCE)).unwrap();
    tungstenite::client(format!("ws://{address}{target}"), stream).unwrap().0
}

fn heard(client: &mut Client) -> Value {
    serde_json::from_str(client.read().unwrap().to_text().unwrap()).unwrap()
}

#[test]
fn jobs_stream_their_output_and_end_with_their_client() {
    let scratch = Scratch::new();
    let process =
        "[[handlers]]\ntype = \"process\"\nconfig = { allowed_programs = [\"sh\"], allowed_paths = [\".\"] }\n";
    let jobs = scratch.write("jobs.toml", manifest("jobs", json!({ "port": 0 }), process)).display().to_string();
    let mut running = Running::start(&scratch.path().join("data"), &[&jobs]);
    let mut client = open(running.address(0), "/jobs");
    let mut run = |program: &str, script: &str| {
        let job = json!({ "program": program, "args": ["-c", script] });
        client.send(Message::text(job.to_string())).unwrap();
    };
    run("sh", "for n in 1 2 3; do echo line $n; done; echo odd >&2; exit 3");
    run("make", "all");
    run("sh", "echo $$; exec sleep 600");
    let (mut lines, mut others, mut pid) = (Vec::new(), Vec::new(), None);
    while pid.is_none() || others.len() < 5 {
        let said = heard(&mut client);
        match (&said["job"], said["out"].as_str()) {
            (Value::Number(job), Some(line)) if job.as_u64() == Some(1) => lines.push(line.to_owned()),
            (_, Some(line)) => pid = Some(line.parse::<u32>().unwrap()),
            _ => others.push(said),
        }
    }
    assert_eq!(lines, ["line 1", "line 2", "line 3"]);
    for expected in
        [json!({"started": 1}), json!({"started": 2}), json!({"job": 1, "err": "odd"}), json!({"job": 1, "exit": 3})]
    {
        assert!(others.contains(&expected), "{expected} in {others:?}");
    }
    let refused = others.iter().find_map(|said| said["error"].as_str()).unwrap();
    assert!(refused.contains("\"make\" is not allowed"), "{refused}");
    let runs = |pid: u32| std::path::Path::new(&format!("/proc/{pid}")).exists();
    assert!(runs(pid.unwrap()));
    drop(client);
    wait_until("the end of the program", || (!runs(pid.unwrap())).then_some(()));
    assert!(running.stop().0.success());
    theater_tests::replays(&running.data);
    let events = chain(&running.data, "jobs");
    let queued = texts(&events, "queued").join("\n");
    for recorded in ["websocket 1 from 127.0.0.1:", "echo odd >&2; exit 3", "line 2"] {
        assert!(queued.contains(recorded), "{recorded} in {queued}");
    }
}

#[test]
fn a_server_changes_while_it_runs() {
    let scratch = Scratch::new();
    let handlers = format!("{TALK}[[handlers]]\ntype = \"http-framework\"\n[[handlers]]\ntype = \"store\"\n");
    let (mut running, at) = start(&scratch, &[("switchboard", &handlers)]);
    let ok = |kind: &str, payload: Value| ask(at[0], kind, payload)["ok"].clone();
    let (server, handler) = (ok("create-server", json!({})), ok("register-handler", json!({ "name": "any" })));
    let of = |path: &str| json!({ "server": server, "handler": handler, "path": path, "method": "GET" });
    let route = ok("add-route", of("/a"));
    ok("enable-websocket", of("/ws"));
    let port = ok("start-server", of("")).as_u64().unwrap() as u16;
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let info = |running: bool, middleware: u32| json!({ "port": port, "running": running, "routes": 1, "middleware": middleware, "websockets": true });
    assert_eq!(get(address, "/a").text(), handler.to_string());
    let middleware = ok("add-middleware", of("/"));
    assert_eq!((get(address, "/a").status, ok("get-server-info", of(""))), (403, info(true, 1)));
    ok("remove-middleware", json!({ "middleware": middleware }));
    assert_eq!((get(address, "/a").status, ok("get-server-info", of(""))), (200, info(true, 0)));
    let mut client = open(address, "/ws");
    client.send(Message::text("which?")).unwrap();
    let to = json!({ "server": server, "connection": heard(&mut client), "content": "1" });
    ok("send-websocket-message", to.clone());
    assert_eq!(heard(&mut client), 1);
    ok("close-websocket", to);
    assert!(client.read().unwrap().is_close());
    ok("stop-server", of(""));
    assert!(TcpStream::connect(address).is_err());
    assert_eq!(ok("get-server-info", of("")), info(false, 0));
    // The system assigns a port again.
    let port = ok("start-server", of("")).as_u64().unwrap() as u16;
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    assert_eq!(get(address, "/a").status, 200);
    ok("remove-route", json!({ "route": route }));
    assert_eq!(get(address, "/a").status, 404);
    ok("destroy-server", of(""));
    assert!(try_ask(at[0], "get-server-info", of("")).is_err());
    assert!(running.stop().0.success());
    theater_tests::replays(&running.data);
}

#[test]
#[cfg_attr(missing_chromium, ignore = "needs chromium: tests/setup installs it")]
fn two_tabs_of_a_browser_talk_to_each_other() {
    let scratch = Scratch::new();
    let chat = chat(&scratch);
    let mut running = Running::start(&scratch.path().join("data"), &[&chat]);
    let url = format!("http://{}/", running.address(0));
    let mut browser = Browser::start();
    let tabs = ["ann", "bob"].map(|name| {
        let tab = browser.open(&url);
        browser.evaluate(&tab, "document.getElementById('name').focus()");
        browser.enter(&tab, name);
        browser.wait(&tab, "!document.getElementById('say').hidden");
        tab
    });
    let lines = |browser: &mut Browser, tab: &Tab| {
        browser.evaluate(tab, "[...document.querySelectorAll('#log li')].map(line => line.textContent)")
    };
    let wait_for = |browser: &mut Browser, tab: &Tab, expected: Value| {
        let last = format!(
            "JSON.stringify([...document.querySelectorAll('#log li')].map(line => line.textContent)) === {}",
            json!(expected.to_string())
        );
        browser.wait(tab, &last);
    };
    browser.enter(&tabs[0], "is there <b>somebody</b>?");
    wait_for(&mut browser, &tabs[1], json!(["bob is here", "ann: is there <b>somebody</b>?"]));
    browser.enter(&tabs[1], "caf\u{e9} \u{2603}");
    wait_for(
        &mut browser,
        &tabs[0],
        json!(["ann is here", "bob is here", "ann: is there <b>somebody</b>?", "bob: caf\u{e9} \u{2603}"]),
    );
    // A third client with a name that is taken gets an error.
    let third = browser.open(&url);
    browser.evaluate(&third, "document.getElementById('name').focus()");
    browser.enter(&third, "ann");
    wait_for(&mut browser, &third, json!(["the name is taken, or the chat is not there"]));
    assert!(running.stop().0.success());
    theater_tests::replays(&running.data);
    browser.wait(&tabs[0], "document.getElementById('log').lastChild.textContent === 'the connection has ended'");
    assert_eq!(lines(&mut browser, &tabs[1])[0], "bob is here");
}
