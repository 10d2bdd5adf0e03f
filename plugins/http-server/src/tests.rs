//! Tests of the calls between a request and the actor. `theater-http-listener` tests the rules of HTTP.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use theater_plugin_api::abi::{Answer, GONE, TRAP};
use theater_plugin_api::testing::{FakeHost, attach, block_on};
use theater_plugin_api::{Bytes, Handler, Plugin, encoding};

use crate::HttpServer;
use crate::config::{Config, MAX_QUEUE};
use crate::server::Server;
use crate::theater::simple::http_types::{HttpRequest, HttpResponse};

/// A started server and its actor.
struct Running {
    host: FakeHost,
    server: Arc<Server>,
    url: String,
}

fn attached(host: &FakeHost, config: Value) -> Result<Arc<Server>, String> {
    block_on(attach::<HttpServer>(host, "http-server", config))
}

fn start(config: Value, answer: impl Fn(HttpRequest) -> Answer + Send + Sync + 'static) -> Running {
    let host = FakeHost::new();
    host.set_exports(&[0], move |_, params| answer(encoding::decode(params).unwrap()));
    let server = attached(&host, config).unwrap();
    let url = block_on(server.started(false)).unwrap().remove(0);
    Running { host, server, url }
}

fn ok(status: u16, headers: &[(&str, &str)], body: Option<&str>) -> Answer {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    theater_plugin_api::abi::encoded(&(HttpResponse { status, headers, body: body.map(Bytes::from) },))
}

pub(crate) fn ask_at(url: &str, bytes: &str) -> String {
    let mut stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(bytes.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

impl Running {
    fn ask(&self, bytes: &str) -> String {
        ask_at(&self.url, bytes)
    }

    /// Returns the last log line.
    fn logged(&self) -> String {
        self.host.lines().pop().unwrap().message
    }
}

const GET: &str = "GET /a?b HTTP/1.1\r\nHost: h\r\nX-Y: 1\r\nx-y: 2\r\nconnection: close\r\n\r\n";

/// [http-server-4]
#[test]
fn a_request_is_a_call_and_its_result_the_answer() {
    let server = start(json!({}), |request| {
        let expected = [("host", "h"), ("x-y", "1"), ("x-y", "2"), ("connection", "close")];
        let expected: Vec<_> = expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        assert_eq!((request.method.as_str(), request.uri.as_str()), ("GET", "/a?b"));
        assert_eq!((request.headers, request.body), (expected, None));
        ok(201, &[("Set-Cookie", "a"), ("set-cookie", "b"), ("content-length", "99")], Some("hello"))
    });
    let answer = server.ask(GET);
    let start =
        "HTTP/1.1 201 Created\r\nSet-Cookie: a\r\nset-cookie: b\r\ncontent-length: 5\r\nconnection: close\r\ndate: ";
    assert!(answer.starts_with(start) && answer.ends_with("\r\n\r\nhello"), "{answer}");
    let cause = block_on(server.host.next_call()).unwrap().cause;
    assert!(cause.starts_with("GET /a?b from 127.0.0.1:"), "{cause}");
}

/// [http-server-6] [http-server-14]
#[test]
fn every_method_and_path_is_a_call_with_the_target_as_it_was_sent() {
    let server = start(json!({}), |request| ok(200, &[], Some(&format!("{} {}", request.method, request.uri))));
    for line in ["GET /", "PUT /a%2F../b//c?d=%zz&e", "DELETE /a/b", "OPTIONS *", "BREW http://pot/?milk"] {
        let answer = server.ask(&format!("{line} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n"));
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(&format!("\r\n\r\n{line}")), "{answer}");
    }
}

/// [http-server-2]
#[test]
fn a_header_with_bytes_outside_ascii_is_400() {
    let server = start(json!({}), |_| ok(200, &[], None));
    let answer = server.ask(&GET.replace("X-Y: 1", "X-Y: \u{e9}"));
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

/// [http-server-8] [http-server-9]
#[test]
fn a_body_and_a_head_over_the_limits_are_413_and_431() {
    let post =
        |length: usize| format!("POST / HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
    let server = start(json!({}), |_| ok(200, &[], None));
    assert!(server.ask(&post(16_777_217)).starts_with("HTTP/1.1 413 "));
    let server = start(json!({"max_body_bytes": 2, "max_header_bytes": 256}), |_| ok(200, &[], None));
    assert!(server.ask(&(post(2) + "ab")).starts_with("HTTP/1.1 200 "));
    assert!(server.ask(&post(3)).starts_with("HTTP/1.1 413 "));
    let get = |length: usize| GET.replace("X-Y: 1", &format!("X-Y: {}", "a".repeat(length)));
    assert!(server.ask(&get(100)).starts_with("HTTP/1.1 200 "));
    assert!(server.ask(&get(256)).starts_with("HTTP/1.1 431 "));
}

/// [http-server-10]
#[test]
fn a_request_that_does_not_arrive_in_time_is_408() {
    let server = start(json!({"read_timeout_ms": 200}), |_| ok(200, &[], None));
    let answer = server.ask("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 1\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

/// [http-server-11]
#[test]
fn a_connection_too_many_is_503_with_retry_after() {
    let server = start(json!({"max_connections": 1}), |_| ok(200, &[], None));
    let mut kept = TcpStream::connect(server.url.strip_prefix("http://").unwrap()).unwrap();
    kept.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").unwrap();
    kept.read_exact(&mut [0]).unwrap();
    // An idle connection would be closed to make room, but one with a partial request is not.
    kept.write_all(b"GET").unwrap();
    let told = || Some(server.ask(GET)).filter(|answer| answer.starts_with("HTTP/1.1 503 "));
    let answer = std::iter::repeat_with(told).take(1_000).find_map(|answer| answer).expect("a 503");
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("\r\nretry-after: 1\r\n"), "{answer}");
}

/// [http-server-5]
#[test]
fn no_body_and_an_empty_one_differ() {
    let server = start(json!({}), |request| ok(200, &[], Some(&format!("{:?}", request.body))));
    let post = "POST / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n";
    assert!(server.ask(&format!("{post}\r\n")).ends_with("\r\n\r\nNone"));
    assert!(server.ask(&format!("{post}content-length: 0\r\n\r\n")).ends_with("\r\n\r\nSome(b\"\")"));
    let chunked = format!("{post}transfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n");
    assert!(server.ask(&chunked).ends_with("\r\n\r\nSome(b\"hi\")"));
}

/// [http-server-3] [http-server-7]
#[test]
fn a_failure_gives_an_id_and_keeps_its_text_to_the_log() {
    let long = "/".repeat(1_000);
    for answer in [
        (|_| Answer::error("secret of the actor")) as fn(HttpRequest) -> Answer,
        |_| Answer::with(TRAP, "secret trap"),
        |_| Answer::ok(b"secret bytes".to_vec()),
        |_| ok(99, &[("secret", "x")], None),
        |_| ok(101, &[("secret", "x")], None),
        |_| ok(600, &[("secret", "x")], None),
        |_| ok(200, &[("x", "secret\r\nset-cookie: a")], None),
        |_| ok(200, &[("secret name", "x")], None),
        |_| ok(200, &[("x", "secret \u{e9}")], None),
    ] {
        let server = start(json!({}), answer);
        let reply = server.ask(&GET.replace("/a", &long));
        assert!(reply.starts_with("HTTP/1.1 500 ") && !reply.contains("secret"), "{reply}");
        let (head, body) = reply.split_once("\r\n\r\n").unwrap();
        let id = head.split("x-request-id: ").nth(1).unwrap().split("\r\n").next().unwrap();
        assert!(id.len() == 16 && body.contains(id));
        assert!(server.logged().contains(id) && server.logged().len() < 500, "{}", server.logged());
    }
    let server = start(json!({}), |_| Answer::error("secret of the actor"));
    server.ask(GET);
    assert!(server.logged().ends_with(": secret of the actor"));
}

#[test]
fn an_actor_that_has_gone_is_503_and_the_end() {
    let server = start(json!({}), |_| Answer::with(GONE, "stopped"));
    let answer = server.ask("GET / HTTP/1.1\r\nhost: h\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("connection: close"), "{answer}");
}

/// [http-server-15]
#[test]
fn a_full_queue_is_503_with_retry_after() {
    let server = start(json!({"max_queue": 1}), |_| ok(200, &[], None));
    let queue = &server.server.actor().queue;
    let turns = (queue.enter().unwrap(), queue.enter().unwrap());
    let answer = server.ask(GET);
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("\r\nretry-after: 1\r\n"), "{answer}");
    drop(turns);
    assert!(server.ask(GET).starts_with("HTTP/1.1 200 "));
}

/// [http-server-15]
#[test]
fn without_config_one_request_runs_256_wait_and_the_next_is_503() {
    let server = start(json!({}), |_| ok(200, &[], None));
    let queue = &server.server.actor().queue;
    let mut turns: Vec<_> = (0..257).map(|_| queue.enter().unwrap()).collect();
    let answer = server.ask(GET);
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("\r\nretry-after: 1\r\n"), "{answer}");
    turns.pop();
    assert!(server.ask(GET).starts_with("HTTP/1.1 200 "));
}

/// [http-server-17]
#[test]
fn no_request_is_taken_before_the_actor_has_started() {
    let host = FakeHost::new();
    host.set_exports(&[0], |_, _| ok(200, &[], None));
    let server = attached(&host, json!({})).unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    stream.write_all(GET.as_bytes()).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(30))).unwrap();
    assert!(stream.peek(&mut [0]).is_err(), "nothing answers yet");
    block_on(server.started(false)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

/// [http-server-16] [http-server-22]
#[test]
fn requests_wait_until_the_actor_has_started() {
    let host = FakeHost::new();
    host.set_exports(&[0], |_, _| ok(200, &[], None));
    let server = attached(&host, json!({"host": "::1"})).unwrap();
    let port = server.port();
    let asking = std::thread::spawn(move || ask_at(&format!("http://[::1]:{port}"), GET));
    let urls = block_on(server.started(false)).unwrap();
    assert_eq!(urls, [format!("http://[::1]:{port}")]);
    assert!(asking.join().unwrap().starts_with("HTTP/1.1 200 "));
}

/// [http-server-16] [http-server-21]
#[test]
fn one_actor_may_have_two_servers() {
    let host = FakeHost::new();
    host.set_exports(&[0], |_, _| ok(200, &[], None));
    let servers = [attached(&host, json!({})).unwrap(), attached(&host, json!({})).unwrap()];
    let urls = servers.each_ref().map(|server| block_on(server.started(false)).unwrap().remove(0));
    assert_ne!(urls[0], urls[1]);
    assert!(urls.iter().all(|url| ask_at(url, GET).starts_with("HTTP/1.1 200 ")));
    let taken: u16 = urls[0].rsplit(':').next().unwrap().parse().unwrap();
    let error = attached(&host, json!({ "port": taken })).err().unwrap();
    assert!(error.contains("is in use"), "{error}");
}

#[test]
fn a_stop_is_quick_when_nothing_runs_and_frees_the_port() {
    let server = start(json!({}), |_| ok(200, &[], None));
    let mut idle = TcpStream::connect(server.url.strip_prefix("http://").unwrap()).unwrap();
    server.ask(GET);
    let before = Instant::now();
    block_on(server.server.stopped());
    assert!(before.elapsed() < Duration::from_millis(500));
    assert_eq!(idle.read(&mut [0]).unwrap(), 0);
    let again = attached(&server.host, json!({"port": server.server.port()}));
    assert!(again.is_ok(), "{:?}", again.err());
}

/// [http-server-13]
#[test]
fn a_stop_lets_a_running_request_finish() {
    let config: Config = serde_json::from_value(json!({})).unwrap();
    assert_eq!(config.listen.shutdown_grace_ms, 5_000);
    let (arrival, arrived) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let server = start(json!({}), move |_| {
        arrival.send(()).unwrap();
        released.lock().unwrap().recv().unwrap();
        ok(200, &[], None)
    });
    let url = server.url.clone();
    let asking = std::thread::spawn(move || ask_at(&url, GET));
    arrived.recv().unwrap();
    let stopped = Arc::clone(&server.server);
    let stopping = std::thread::spawn(move || block_on(stopped.stopped()));
    std::thread::sleep(Duration::from_millis(20));
    assert!(!stopping.is_finished(), "the request runs");
    release.send(()).unwrap();
    assert!(asking.join().unwrap().starts_with("HTTP/1.1 200 "));
    stopping.join().unwrap();
}

#[test]
fn the_end_of_the_handler_ends_the_server() {
    let server = start(json!({}), |_| ok(200, &[], None));
    let port = server.server.port();
    let Running { host, server, .. } = server;
    drop(server);
    let before = Instant::now();
    while attached(&host, json!({ "port": port })).is_err() {
        assert!(before.elapsed() < Duration::from_secs(10));
        std::thread::yield_now();
    }
}

/// [http-server-12] [http-server-18] [http-server-19] [http-server-23]
#[test]
fn a_config_that_cannot_be_is_refused_by_name() {
    let host = FakeHost::new();
    let refused = |config: Value| attached(&host, config).err().unwrap();
    assert!(refused(json!({"tls": {"cert_path": "a", "key_path": "b"}})).starts_with("tls:"));
    assert!(refused(json!({"port": 80})).contains("add bind_ports = [80]"));
    assert!(refused(json!({"host": "0.0.0.0"})).contains("add bind_hosts"));
    assert!(refused(json!({"host": "nowhere"})).starts_with("host ="));
}

/// [http-server-18] [http-server-19] [http-server-20]
#[test]
fn the_schema_names_the_defaults_that_are() {
    let schema: Value = serde_json::from_str(include_str!("../config.schema.json")).unwrap();
    let default = |key: &str| schema["properties"][key]["default"].clone();
    let config: Config = serde_json::from_value(json!({})).unwrap();
    let listen = &config.listen;
    for (key, value) in [
        ("host", json!(listen.host)),
        ("port", json!(listen.port)),
        ("max_body_bytes", json!(listen.max_body_bytes)),
        ("max_header_bytes", json!(listen.max_header_bytes)),
        ("max_headers", json!(listen.max_headers)),
        ("read_timeout_ms", json!(listen.read_timeout_ms)),
        ("max_connections", json!(listen.max_connections)),
        ("shutdown_grace_ms", json!(listen.shutdown_grace_ms)),
        ("max_queue", json!(config.max_queue)),
        ("max_queue", json!(MAX_QUEUE)),
        ("tls_files", json!(listen.tls_files)),
    ] {
        assert_eq!(default(key), value, "{key}");
    }
    assert_eq!(default("tls_files"), json!([]));
    let narrowed = HttpServer.narrow("http-server", &Value::Null, &json!({})).unwrap();
    assert_eq!(narrowed, json!({"bind_hosts": default("bind_hosts"), "bind_ports": default("bind_ports")}));
    let child = HttpServer.narrow("http-server", &json!({"max_queue": 3}), &json!({"max_queue": 9})).unwrap();
    assert_eq!(child["max_queue"], 3);
}
