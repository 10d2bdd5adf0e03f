//! Tests of the port over real sockets. `theater-http-listener` tests the rules of HTTP.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use theater_plugin_api::Handler;
use theater_plugin_api::abi::{ABSENT, Answer, GONE, TRAP};
use theater_plugin_api::testing::{FakeHost, PATIENCE, Way, block_on};

use super::{ALL, ANY_BYTES, Actor, Program, REQUEST, SEND, no_answer, sent, usual, with_id};
use crate::port::is_own;

/// An actor with an open port, and its address.
struct Open {
    _program: Program,
    actor: Actor,
    address: SocketAddr,
}

/// A response that a client received.
struct Response {
    status: u16,
    head: String,
    body: Vec<u8>,
}

fn open_at(host: &str, mut config: Value) -> Open {
    let program = Program::new();
    config["port"] = json!(0);
    config["host"] = json!(host);
    let actor = FakeHost::new();
    actor.set_exports(&ALL, usual);
    let server = program.attached(&actor, config).unwrap();
    let url = block_on(server.started(false)).unwrap().remove(0);
    let address = url.strip_prefix("http://").unwrap().parse().unwrap();
    Open { _program: program, actor: Actor { host: actor, server }, address }
}

fn open(config: Value) -> Open {
    open_at("127.0.0.1", config)
}

/// Sends bytes and reads the response to the end of the stream.
fn exchange(address: SocketAddr, bytes: &[u8]) -> Response {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a whole head");
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    Response { status: head[9..12].parse().unwrap(), head, body: answer[end + 4..].to_vec() }
}

impl Open {
    /// Sends a request with the given head, to which `connection: close` and the length are added.
    fn raw(&self, head: &str, body: &[u8]) -> Response {
        let head = format!("{head}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
        exchange(self.address, &[head.as_bytes(), body].concat())
    }

    fn ask(&self, method: &str, target: &str, body: &[u8]) -> Response {
        self.raw(&format!("{method} {target} HTTP/1.1\r\nhost: {}", self.address), body)
    }

    fn post(&self, target: &str, body: &[u8]) -> Response {
        self.ask("POST", target, body)
    }

    /// Sends a request from another thread, which waits for the response.
    fn posting(&self, target: &'static str) -> JoinHandle<Response> {
        let head = format!("POST {target} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.address);
        let address = self.address;
        std::thread::spawn(move || exchange(address, head.as_bytes()))
    }
}

impl Response {
    fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }
}

#[test]
// [msg-30] [msg-33] [msg-38] [msg-50]
fn a_body_that_is_sent_is_a_message() {
    let port = open(json!({}));
    for bytes in ANY_BYTES {
        let response = port.post("/send", bytes);
        assert_eq!((response.status, response.body), (202, Vec::new()));
        let called = port.actor.next();
        assert_eq!(sent(&called).as_ref(), bytes);
        assert!(called.cause.starts_with("POST /send from 127.0.0.1:"), "{}", called.cause);
        assert_eq!((called.from, called.way), (None, Way::Post));
    }
    assert_eq!(port.actor.host.metric("received"), Some(ANY_BYTES.len() as f64));
    let chunked = format!(
        "POST /send?x HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
        port.address
    );
    assert_eq!(exchange(port.address, chunked.as_bytes()).status, 202);
    assert_eq!(sent(&port.actor.next()).as_ref(), b"ab");
}

#[test]
// [msg-31] [msg-33] [msg-38] [msg-50]
fn the_answer_of_a_request_is_the_body() {
    let port = open(json!({}));
    for (number, bytes) in (1..).zip(ANY_BYTES) {
        let response = port.post("/request", bytes);
        assert_eq!((response.status, response.body.as_slice()), (200, bytes));
        assert!(response.head.contains("content-type: application/octet-stream"), "{}", response.head);
        let called = port.actor.next();
        assert_eq!(with_id(&called.params), (number.to_string(), bytes.into()));
        assert!(called.cause.starts_with("POST /request from 127.0.0.1:"), "{}", called.cause);
        assert_eq!(called.from, None);
    }
}

#[test]
// [msg-10] [msg-31]
fn a_request_from_outside_is_answered_later_too() {
    let port = open(json!({}));
    port.actor.host.set_exports(&ALL, no_answer);
    let posting = port.posting("/request");
    assert_eq!(port.actor.next().export, REQUEST);
    assert_eq!(port.actor.outstanding(), ["1"]);
    assert_eq!(port.actor.respond("1", b"later"), Ok(()));
    let response = posting.join().unwrap();
    assert_eq!((response.status, response.text()), (200, "later".to_owned()));
}

#[test]
// [msg-9] [msg-32]
fn a_request_nobody_answers_is_504_after_the_limit() {
    let port = open(json!({"request_timeout_ms": 30}));
    port.actor.host.set_exports(&ALL, no_answer);
    let before = Instant::now();
    let response = port.post("/request", b"");
    assert!(before.elapsed() >= Duration::from_millis(30));
    assert_eq!(response.status, 504);
    assert!(response.text().contains("had not answered after 30 ms"), "{}", response.text());
    assert!(port.actor.outstanding().is_empty() && port.actor.respond("1", b"late").is_err());
}

#[test]
// [msg-34]
fn other_methods_are_405_and_other_paths_404() {
    let port = open(json!({}));
    for target in ["/send", "/request", "/send?a=b"] {
        for method in ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "post", "POSTS"] {
            let response = port.ask(method, target, b"");
            assert_eq!(response.status, 405, "{method} {target}");
            assert!(response.head.contains("allow: POST"), "{}", response.head);
        }
    }
    for target in ["/", "/sends", "/send/", "/Send", "//send", "/x?/send", "/%73end", "/a://b/send"] {
        assert_eq!(port.post(target, b"").status, 404, "{target}");
    }
    let absolute = |target: &str| port.post(&format!("http://{}{target}", port.address), b"").status;
    assert_eq!((absolute("/send?x"), absolute(""), absolute("/")), (202, 404, 404));
    assert_eq!(port.actor.next().export, SEND);
    assert!(port.actor.is_idle());
}

#[test]
// [msg-35]
fn a_mailbox_that_stays_full_is_503() {
    let port = open(json!({}));
    port.actor.host.fill();
    let response = port.post("/send", b"lost");
    assert_eq!(response.status, 503);
    assert!(response.head.contains("retry-after: 1") && response.text().contains("mailbox is full"));
    port.actor.host.make_room();
    assert_eq!(port.post("/send", b"taken").status, 202);
    assert_eq!(sent(&port.actor.next()).as_ref(), b"taken");
}

#[test]
// [msg-35]
fn as_many_outstanding_requests_as_there_may_be_are_503_for_the_next() {
    let port = open(json!({"max_outstanding": 2}));
    port.actor.host.set_exports(&ALL, no_answer);
    let waiting = [port.posting("/request"), port.posting("/request")];
    assert_eq!((port.actor.next().export, port.actor.next().export), (REQUEST, REQUEST));
    let response = port.post("/request", b"");
    assert_eq!(response.status, 503);
    assert!(response.head.contains("retry-after: 1") && response.text().contains("outstanding"));
    assert_eq!(port.post("/send", b"").status, 202, "a message does not count as an outstanding request");
    assert_eq!((port.actor.respond("1", b""), port.actor.cancel("2")), (Ok(()), Ok(())));
    let mut statuses = waiting.map(|waiting| waiting.join().unwrap().status);
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 500]);
    port.actor.host.set_exports(&ALL, usual);
    assert_eq!(port.post("/request", b"").status, 200);
}

#[test]
// [msg-36]
fn a_request_that_names_another_host_is_403() {
    let port = open(json!({}));
    let number = port.address.port();
    let with = |hosts: &[String]| {
        let hosts: String = hosts.iter().map(|host| format!("\r\nhost: {host}")).collect();
        port.raw(&format!("POST /send HTTP/1.1{hosts}"), b"").status
    };
    for own in [format!("127.0.0.1:{number}"), format!("localhost:{number}"), format!("LocalHost:{number}")] {
        assert_eq!(with(std::slice::from_ref(&own)), 202, "{own}");
        assert_eq!(port.actor.next().export, SEND);
    }
    for foreign in
        ["evil.example".to_owned(), format!("evil.example:{number}"), format!("localhost.evil.example:{number}")]
    {
        assert_eq!(with(std::slice::from_ref(&foreign)), 421, "{foreign}");
    }
    for foreign in [
        "127.0.0.1".to_owned(),
        "localhost".to_owned(),
        format!("127.0.0.1:{}", number ^ 1),
        format!("127.0.0.2:{number}"),
        format!("[::1]:{number}"),
    ] {
        assert_eq!(with(std::slice::from_ref(&foreign)), 403, "{foreign}");
    }
    let old = exchange(port.address, b"POST /send HTTP/1.0\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(old.status, 403, "a request without a host");
    assert!(port.actor.is_idle());
}

#[test]
// [msg-37]
fn a_page_of_another_site_is_403() {
    let port = open(json!({}));
    let with = |origins: &[String]| {
        let origins: String = origins.iter().map(|origin| format!("\r\norigin: {origin}")).collect();
        port.raw(&format!("POST /send HTTP/1.1\r\nhost: {}{origins}", port.address), b"").status
    };
    let own = format!("http://{}", port.address);
    assert_eq!(with(std::slice::from_ref(&own)), 202);
    assert_eq!(port.actor.next().export, SEND);
    let foreign = [
        "http://evil.example".to_owned(),
        "null".to_owned(),
        String::new(),
        format!("https://{}", port.address),
        port.address.to_string(),
        format!("{own}.evil.example"),
        format!("http://127.0.0.1:{}", port.address.port() ^ 1),
    ];
    for origin in foreign {
        assert_eq!(with(std::slice::from_ref(&origin)), 403, "{origin:?}");
        assert_eq!(with(&[own.clone(), origin]), 403, "a single foreign origin is enough");
    }
    assert!(port.actor.is_idle());
}

#[test]
// [msg-36]
fn an_authority_is_ones_own_by_address_and_port() {
    let at = |address: &str| address.parse::<SocketAddr>().unwrap();
    for (authority, bound, own) in [
        ("127.0.0.1", "127.0.0.1:80", true),
        ("127.0.0.1", "127.0.0.1:8080", false),
        ("localhost", "127.0.0.1:80", true),
        ("127.0.0.1:80", "127.0.0.1:80", true),
        ("127.0.0.1:", "127.0.0.1:80", false),
        ("[::1]", "[::1]:80", true),
        ("[::1]:8080", "[::1]:8080", true),
        ("[::1]:8081", "[::1]:8080", false),
        ("[::1", "[::1]:80", false),
        ("[0:0:0:0:0:0:0:1]:8080", "[::1]:8080", true),
        ("localhost:8080", "[::1]:8080", true),
        ("10.0.0.9:8080", "0.0.0.0:8080", true),
        ("[2001:db8::1]:8080", "[::]:8080", true),
        ("10.0.0.9:8081", "0.0.0.0:8080", false),
        ("name.example:8080", "0.0.0.0:8080", false),
        ("10.0.0.9:8080", "10.0.0.8:8080", false),
        ("", "127.0.0.1:80", false),
    ] {
        assert_eq!(is_own(authority, at(bound)), own, "{authority} at {bound}");
    }
}

#[test]
// [msg-28]
fn schemas_count_for_what_comes_from_outside_and_lists_do_not() {
    let schema = json!({"type": "object"});
    let config = json!({"allow_from": [], "schemas": {"handle-send": schema, "handle-request": schema}});
    let port = open(config);
    for (target, ok) in [("/send", 202), ("/request", 200)] {
        let response = port.post(target, b"1");
        assert_eq!(response.status, 400, "{target}");
        assert!(response.text().contains("1 is not of type \"object\""), "{}", response.text());
        assert!(port.actor.is_idle());
        assert_eq!(port.post(target, b"{}").status, ok);
        let _ = port.actor.next();
    }
}

#[test]
// [msg-40]
fn what_the_actor_does_not_export_is_501() {
    let port = open(json!({}));
    port.actor.host.set_exports(&[REQUEST], usual);
    let response = port.post("/send", b"");
    assert_eq!((response.status, response.text().contains("handle-send")), (501, true));
    port.actor.host.set_exports(&[SEND], usual);
    let response = port.post("/request", b"");
    assert_eq!((response.status, response.text().contains("handle-request")), (501, true));
    // The core's answer decides.
    port.actor.host.set_exports(&ALL, |_, _| Answer::with(ABSENT, "it is not there"));
    let response = port.post("/request", b"");
    assert_eq!((response.status, response.text().contains("handle-request")), (501, true));
}

#[test]
fn a_failure_is_500_and_the_log_has_what_happened_under_the_id_the_client_got() {
    let port = open(json!({}));
    for (answer, what) in [(Answer::error("a secret"), "a secret"), (Answer::with(TRAP, "unreachable"), "unreachable")]
    {
        let (status, sentence) = (answer.status, answer.sentence());
        port.actor.host.set_exports(&ALL, move |_, _| Answer::with(status, sentence.clone()));
        let response = port.post("/request", b"");
        assert_eq!(response.status, 500);
        assert!(!response.text().contains(what), "{}", response.text());
        let id = response.head.split("x-request-id: ").nth(1).unwrap().split("\r\n").next().unwrap();
        let line = block_on(port.actor.host.next_line()).unwrap().message;
        assert!(line.contains(id) && line.contains(what) && line.contains("POST /request from "), "{line}");
    }
}

#[test]
fn an_actor_that_is_ending_is_503_and_closes_the_connection() {
    let port = open(json!({}));
    port.actor.host.set_exports(&ALL, |_, _| Answer::with(GONE, "it is ending"));
    for target in ["/send", "/request"] {
        let head = format!("POST {target} HTTP/1.1\r\nhost: {}\r\ncontent-length: 0\r\n\r\n", port.address);
        // The server closes the connection, although the client did not ask for it.
        let response = exchange(port.address, head.as_bytes());
        assert_eq!((response.status, response.head.contains("connection: close")), (503, true));
    }
    assert_eq!(port.actor.host.metric("received"), Some(1.0), "only the request was counted as received");
}

#[test]
// [msg-29]
fn a_stop_answers_who_waits_and_frees_the_port() {
    let port = open(json!({}));
    port.actor.host.set_exports(&ALL, no_answer);
    let posting = port.posting("/request");
    assert_eq!(port.actor.next().export, REQUEST);
    let before = Instant::now();
    block_on(port.actor.server.stopped());
    assert!(before.elapsed() < Duration::from_secs(4), "the stop does not wait for the whole grace period");
    let response = posting.join().unwrap();
    assert_eq!(response.status, 503);
    TcpListener::bind(port.address).unwrap();
}

#[test]
// [msg-29] [msg-54] [msg-55]
fn a_port_is_opened_where_it_is_asked_for_and_reported() {
    for (host, start) in [("127.0.0.1", "127.0.0.1:"), ("::1", "[::1]:")] {
        let port = open_at(host, json!({}));
        assert!(port.address.to_string().starts_with(start), "{}", port.address);
        assert_ne!(port.address.port(), 0);
        assert_eq!(port.post("/send", b"").status, 202);
        // A port that is in use is refused before the actor starts.
        let config = json!({"host": host, "port": port.address.port()});
        let refused = Program::new().attached(&FakeHost::new(), config).err().unwrap();
        assert!(refused.contains("in use"), "{refused}");
    }
    let program = Program::new();
    let without = program.attached(&FakeHost::new(), json!({})).unwrap();
    assert_eq!(block_on(without.started(false)), Ok(Vec::new()), "without a port, nothing is opened");
}

#[test]
// [msg-53]
fn a_port_is_opened_only_where_it_may_be() {
    let program = Program::new();
    let refused = |config: Value| program.attached(&FakeHost::new(), config).err().unwrap();
    let address = refused(json!({"port": 0, "host": "0.0.0.0"}));
    assert!(address.contains("bind_hosts = [\"0.0.0.0\"]"), "{address}");
    let port = refused(json!({"port": 1023}));
    assert!(port.contains("bind_ports = [1023]"), "{port}");
    assert!(refused(json!({"port": 0, "bind_ports": ["8000-8999"]})).contains("bind_ports"));
    let everywhere = open_at("0.0.0.0", json!({"bind_hosts": ["0.0.0.0"]}));
    let number = everywhere.address.port();
    let at = |host: &str| {
        let head = format!("POST /send HTTP/1.1\r\nhost: {host}:{number}\r\nconnection: close\r\n\r\n");
        exchange(SocketAddr::from(([127, 0, 0, 1], number)), head.as_bytes()).status
    };
    assert_eq!((at("127.0.0.1"), at("192.0.2.1"), at("localhost"), at("evil.example")), (202, 202, 202, 421));
}

#[test]
fn a_port_that_was_bound_and_never_opened_is_freed_with_its_handler() {
    let program = Program::new();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let handler = program.attached(&FakeHost::new(), json!({"port": free.port()})).unwrap();
    assert!(TcpListener::bind(free).is_err());
    drop(handler);
    TcpListener::bind(free).unwrap();
}

#[test]
fn a_handler_that_is_dropped_without_a_stop_closes_its_port() {
    let Open { _program, actor: Actor { host, server }, address } = open(json!({}));
    assert!(TcpListener::bind(address).is_err());
    drop(server);
    let before = Instant::now();
    while let Err(error) = TcpListener::bind(address) {
        assert!(before.elapsed() < PATIENCE, "{error}");
        std::thread::yield_now();
    }
    drop(host);
}
