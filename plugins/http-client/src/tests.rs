//! Tests against real servers that send scripted bytes.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use async_io::Async;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use serde_json::{Value, json};
use theater_certificates::Authority;
use theater_connector::{Connector, Resolver};
use theater_plugin_api::Plugin;
use theater_plugin_api::testing::{FakeHost, attach, block_on};

use crate::config::{self, Config};
use crate::theater::simple::http_types::{HttpRequest, HttpResponse};
use crate::{HttpClient, HttpClientHandler};

/// A server with a list of answers, one for each request, across all its connections.
pub(crate) struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicU32>,
}

/// What a server does with a request.
#[derive(Clone)]
pub(crate) enum Says {
    /// Sends this and waits for the next request.
    Then(String),
    /// Sends this and closes.
    Last(String),
    /// Like `Last`, for bytes that are not UTF-8.
    Bytes(Vec<u8>),
}

impl Server {
    pub(crate) fn start(answers: Vec<Says>) -> Self {
        Self::bind("127.0.0.1:0", answers)
    }

    fn bind(address: &str, answers: Vec<Says>) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let server =
            Self { address: listener.local_addr().unwrap(), seen: Arc::default(), connections: Arc::default() };
        let (seen, connections) = (Arc::clone(&server.seen), Arc::clone(&server.connections));
        // The thread ends after the last answer, or with the test process.
        std::thread::spawn(move || {
            let mut answers = VecDeque::from(answers);
            while !answers.is_empty() {
                let (stream, _) = listener.accept().unwrap();
                connections.fetch_add(1, Ordering::SeqCst);
                serve(stream, &seen, &mut answers);
            }
        });
        server
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn host(&self) -> String {
        self.address.to_string()
    }

    pub(crate) fn connections(&self) -> u32 {
        self.connections.load(Ordering::SeqCst)
    }

    /// The requests received, each with its body.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

fn serve(stream: TcpStream, seen: &Mutex<Vec<String>>, answers: &mut VecDeque<Says>) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).unwrap_or(0) == 0 {
                return;
            }
        }
        let length =
            head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |n| n.parse().unwrap());
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        seen.lock().unwrap().push(head + &String::from_utf8_lossy(&body));
        let Some(answer) = answers.pop_front() else { return };
        let bytes = match &answer {
            Says::Then(text) | Says::Last(text) => text.as_bytes(),
            Says::Bytes(bytes) => bytes,
        };
        // Ignore errors: a client that has read enough closes.
        reader.get_mut().write_all(bytes).unwrap_or_default();
        if matches!(answer, Says::Last(_) | Says::Bytes(_)) || answers.is_empty() {
            return;
        }
    }
}

pub(crate) fn ok(body: &str) -> Says {
    Says::Then(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()))
}

pub(crate) fn raw(text: &str) -> Says {
    Says::Last(text.to_owned())
}

fn redirect(status: u16, to: &str) -> Says {
    Says::Then(format!("HTTP/1.1 {status} x\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n"))
}

/// An actor with its plugin handler.
pub(crate) struct Actor {
    pub(crate) host: FakeHost,
    requests: Arc<HttpClientHandler>,
}

/// Returns an actor that may reach loopback; `more` has further keys of its config.
pub(crate) fn actor(more: Value) -> Actor {
    let mut config = json!({ "allowed_hosts": ["127.0.0.1", "localhost", "[::1]"], "allow_private_addresses": true });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    exactly(config)
}

pub(crate) fn exactly(config: Value) -> Actor {
    let host = FakeHost::new();
    let requests = block_on(attach::<HttpClient>(&host, "http-client", config)).unwrap();
    Actor { host, requests }
}

pub(crate) fn resolved(config: Value, resolver: Arc<dyn Resolver>) -> Actor {
    let host = FakeHost::new();
    let config: Config = config::read(&config).unwrap();
    let connector = Connector::with(resolver, config.allow_private_addresses);
    let requests = Arc::new(HttpClientHandler::new(host.host(), config, connector).unwrap());
    Actor { host, requests }
}

impl Actor {
    pub(crate) fn send(&self, request: HttpRequest) -> Result<HttpResponse, String> {
        block_on(self.host.call(&self.requests, "send-http", &(request,))).unwrap()
    }
    pub(crate) fn get(&self, uri: &str) -> Result<HttpResponse, String> {
        self.send(request("GET", uri))
    }
    fn body(&self, uri: &str) -> String {
        String::from_utf8(self.get(uri).unwrap().body.unwrap().into_vec()).unwrap()
    }
}

pub(crate) fn request(method: &str, uri: &str) -> HttpRequest {
    HttpRequest { method: method.to_owned(), uri: uri.to_owned(), headers: Vec::new(), body: None }
}

fn headers(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A resolver that gives its answers in order and counts the calls.
pub(crate) struct Answers(pub(crate) Mutex<VecDeque<Vec<IpAddr>>>, pub(crate) AtomicU32);

impl Answers {
    pub(crate) fn new(all: &[&str]) -> Arc<Self> {
        let parsed = all.iter().map(|address| vec![address.parse().unwrap()]);
        Arc::new(Self(Mutex::new(parsed.collect()), AtomicU32::new(0)))
    }
}

impl Resolver for Answers {
    fn resolve(&self, _: &str) -> Pin<Box<dyn Future<Output = std::io::Result<Vec<IpAddr>>> + Send>> {
        self.1.fetch_add(1, Ordering::SeqCst);
        let answer = self.0.lock().unwrap().pop_front().unwrap_or_default();
        Box::pin(std::future::ready(Ok(answer)))
    }
}

#[test]
fn a_request_is_sent_as_it_is_and_its_response_comes_back_whole() {
    let answer = "HTTP/1.1 299 Odd\r\nX-One: 1\r\nb: 2\r\nx-one: 3\r\ncontent-length: 5\r\n\r\nhello";
    let server = Server::start(vec![Says::Then(answer.to_owned())]);
    let sent = HttpRequest {
        body: Some(b"the body".to_vec().into()),
        headers: headers(&[
            ("X-A", "1"),
            ("b", " 2"),
            ("X-A", "3"),
            ("Host", "evil"),
            ("Content-Length", "1"),
            ("TE", "x"),
        ]),
        ..request("PURGE", &server.url("/a%20b?c=d#e"))
    };
    let response = actor(json!({})).send(sent).unwrap();
    assert_eq!(response.status, 299);
    assert_eq!(response.headers, headers(&[("x-one", "1"), ("b", "2"), ("x-one", "3"), ("content-length", "5")]));
    assert_eq!(response.body.unwrap().into_vec(), b"hello");
    let seen = server.seen().remove(0);
    let expected = format!(
        "PURGE /a%20b?c=d HTTP/1.1\r\nhost: {}\r\nX-A: 1\r\nb:  2\r\nX-A: 3\r\ncontent-length: 8\r\n\r\nthe body",
        server.host()
    );
    assert_eq!(seen, expected);
}

/// [http-client-23]
#[test]
fn repeated_headers_survive() {
    let answer =
        "HTTP/1.1 200 OK\r\nset-cookie: a=1\r\nset-cookie: b=2\r\nSet-Cookie: c=3\r\ncontent-length: 0\r\n\r\n";
    let server = Server::start(vec![raw(answer)]);
    let response = actor(json!({})).get(&server.url("/")).unwrap();
    let cookies: Vec<_> =
        response.headers.iter().filter(|(name, _)| name == "set-cookie").map(|(_, v)| v.as_str()).collect();
    assert_eq!(cookies, ["a=1", "b=2", "c=3"]);
    assert_eq!(response.body.map(theater_plugin_api::Bytes::into_vec), Some(Vec::new()), "empty is not absent");
}

#[test]
fn the_end_of_a_body_is_known_in_three_ways() {
    let server = Server::start(vec![
        Says::Then("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nt: 1\r\n\r\n".into()),
        Says::Then("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\na: b\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".into()),
        Says::Then("HTTP/1.1 204 No\r\ncontent-length: 7\r\n\r\n".into()),
        Says::Then("HTTP/1.1 304 No\r\ncontent-length: 7\r\n\r\n".into()),
        raw("HTTP/1.0 200 OK\r\n\r\nup to the end"),
    ]);
    let actor = actor(json!({}));
    let get = || actor.get(&server.url("/")).unwrap().body.map(|body| String::from_utf8(body.into_vec()).unwrap());
    assert_eq!(get().unwrap(), "abc0123456789");
    assert_eq!(get().unwrap(), "ok");
    assert_eq!((get(), get()), (None, None));
    assert_eq!(get().unwrap(), "up to the end");
    let server = Server::start(vec![raw("HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n")]);
    assert!(actor.send(request("HEAD", &server.url("/"))).unwrap().body.is_none());
}

#[test]
fn what_browsers_accept_is_accepted() {
    let latin: Vec<u8> = b"HTTP/1.1 200 OK\r\nx: caf\xe9\r\ncontent-length: 0\r\n\r\n".to_vec();
    let server = Server::start(vec![
        raw(
            "HTTP/1.1 200 OK\r\ncontent-disposition: attachment; filename=\"\u{e9}.pdf\"\r\ncontent-length: 2\r\n\r\nok",
        ),
        Says::Bytes(latin),
        raw("HTTP/1.1 200 OK\r\nx: one\r\n  two\r\n\t three\r\ncontent-length: 2, 2\r\n\r\nok"),
        raw("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n2\r\n\x1f\x0b\r\n0\r\n\r\n"),
        raw("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nto the end"),
    ]);
    let actor = actor(json!({}));
    let get = || {
        let response = actor.get(&server.url("/")).unwrap();
        let (name, value) = response.headers.first().cloned().unwrap();
        (name, value, response.body.map(theater_plugin_api::Bytes::into_vec).unwrap_or_default())
    };
    let of = |name: &str, value: &str, body: &[u8]| (name.to_owned(), value.to_owned(), body.to_vec());
    assert_eq!(get(), of("content-disposition", "attachment; filename=\"\u{e9}.pdf\"", b"ok"));
    assert_eq!(get(), of("x", "caf\u{e9}", b""));
    assert_eq!(get(), of("x", "one two three", b"ok"));
    assert_eq!(get(), of("transfer-encoding", "gzip, chunked", b"\x1f\x0b"));
    assert_eq!(get(), of("transfer-encoding", "gzip", b"to the end"));
}

/// [http-client-22]
#[test]
fn a_body_that_ends_early_is_an_error() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
        "HTTP/1.1 200 OK\r\ncontent-len",
        "",
    ] {
        let server = Server::start(vec![raw(answer)]);
        let error = actor(json!({})).get(&server.url("/")).unwrap_err();
        assert!(error.contains("ends early"), "{answer:?}: {error}");
    }
}

/// [http-client-28]
#[test]
fn what_is_no_response_is_said_to_be_none() {
    for (answer, why) in [
        ("hello\r\n\r\n", "not send a valid HTTP response"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab", "two lengths"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", "both a length"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 1, 2\r\n\r\nab", "two lengths"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 1,\r\n\r\na", "not a number"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: gzip\r\n\r\na", "both a length"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n", "coded after it was chunked"),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            "chunked twice",
        ),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n\r\n", "no length"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n-1\r\n\r\n", "no length"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n+1\r\na\r\n0\r\n\r\n", "no length"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nabcd\r\n0\r\n\r\n", "longer than it says"),
        ("HTTP/1.1 200 OK\r\ncontent-length: +1\r\n\r\na", "not a number"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\na", "not a number"),
        ("HTTP/1.1 101 Switching\r\nupgrade: x\r\n\r\n", "another protocol"),
    ] {
        let server = Server::start(vec![raw(answer)]);
        let error = actor(json!({})).get(&server.url("/")).unwrap_err();
        assert!(error.contains(why), "{answer:?}: {error}");
    }
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(300));
    let long = format!("HTTP/1.1 200 OK\r\na: {}\r\n\r\n", "b".repeat(70_000));
    for answer in [many, long] {
        let server = Server::start(vec![raw(&answer)]);
        assert!(actor(json!({})).get(&server.url("/")).unwrap_err().contains("more than"));
    }
}

/// [http-client-28]
#[test]
fn what_http_cannot_carry_is_not_sent() {
    let actor = actor(json!({}));
    for method in ["", "GE T", "G\r\nX: y", "CONNECT", "connect", "\u{e9}"] {
        assert!(
            actor.send(request(method, "http://127.0.0.1:9/")).unwrap_err().contains("cannot be sent"),
            "{method:?}"
        );
    }
    for (name, value) in
        [("", "a"), ("a b", "c"), ("a:", "b"), ("a", "b\r\nc: d"), ("a", "\0"), ("a", "\u{e9}"), ("a\n", "b")]
    {
        let sent = HttpRequest { headers: headers(&[(name, value)]), ..request("GET", "http://127.0.0.1:9/") };
        assert!(actor.send(sent).unwrap_err().contains("cannot be sent"), "{name:?} {value:?}");
    }
    assert_eq!(actor.host.metric("received_bytes"), None);
}

/// [http-client-1] [http-client-3] [http-client-26] [http-client-29]
#[test]
fn a_host_that_is_not_named_is_refused_with_the_line_to_add() {
    for config in [json!({}), json!({ "allowed_hosts": ["other.com", "example.com:81"] })] {
        let error = exactly(config).get("https://example.com/a?b").unwrap_err();
        assert!(error.contains("allowed_hosts = [\"example.com\"]"), "{error}");
    }
    let error = exactly(json!({})).get("http://example.com:8080/").unwrap_err();
    assert!(error.contains("allowed_hosts = [\"example.com:8080\"]"), "{error}");
    let refused =
        |config: Value| block_on(attach::<HttpClient>(&FakeHost::new(), "http-client", config)).err().unwrap();
    assert!(refused(json!({ "allowed_hosts": ["http://a"] })).contains("allowed_hosts"));
}

/// [http-client-4] [http-client-27] [http-client-29]
#[test]
fn methods_are_all_unless_some_are_named() {
    let server = Server::start(vec![ok(""), ok(""), ok("")]);
    assert_eq!(actor(json!({})).send(request("PATCH", &server.url("/"))).unwrap().status, 200);
    let some = actor(json!({ "allowed_methods": ["GET", "HEAD"] }));
    assert_eq!(some.get(&server.url("/")).unwrap().status, 200);
    let error = some.send(request("POST", &server.url("/"))).unwrap_err();
    assert!(error.contains("allowed_methods = [\"POST\"]"), "{error}");
    assert!(actor(json!({ "allowed_methods": [] })).get(&server.url("/")).is_err());
    assert_eq!(some.host.metric("denied"), Some(1.0));
}

/// [http-client-5] [http-client-29]
#[test]
fn an_address_inside_that_the_manifest_names_is_told_the_other_line() {
    let server = Server::start(vec![ok("")]);
    let closed = actor(json!({ "allow_private_addresses": false }));
    for uri in [server.url("/"), server.url("/").replace("127.0.0.1", "localhost")] {
        let error = closed.get(&uri).unwrap_err();
        assert!(error.contains("allow_private_addresses = true"), "{error}");
    }
    assert!(server.seen().is_empty());
}

/// [http-client-6]
#[test]
fn a_request_takes_no_longer_than_it_may() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!("http://{}/", listener.local_addr().unwrap());
    let error = actor(json!({ "timeout_ms": 50 })).get(&uri).unwrap_err();
    assert!(error.contains("within 50 ms"), "{error}");
    let actor = actor(json!({}));
    assert_eq!(actor.requests.client.config().timeout_ms, 30_000);
    actor.host.stop();
    assert!(actor.get(&uri).unwrap_err().contains("being stopped"));
}

/// [http-client-7]
#[test]
fn a_body_is_no_larger_than_it_may_be() {
    let exact = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n0123456789";
    let answers = [
        "HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n01234567890",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n6\r\n012345\r\n5\r\n67890\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n01234567890",
    ];
    let actor = actor(json!({ "max_response_bytes": 10 }));
    assert_eq!(actor.body(&Server::start(vec![raw(exact)]).url("/")), "0123456789");
    for answer in answers {
        let error = actor.get(&Server::start(vec![raw(answer)]).url("/")).unwrap_err();
        assert!(error.contains("more than 10 bytes"), "{answer:?}: {error}");
    }
    assert_eq!(self::actor(json!({})).requests.client.config().max_response_bytes, 16 << 20);
}

/// [http-client-8] [http-client-18]
#[test]
fn redirects_are_followed_so_often_and_checked_each_time() {
    let chain = |count: usize| {
        let mut answers: Vec<_> = (0..count).map(|number| redirect(302, &format!("/{number}"))).collect();
        answers.push(ok("there"));
        Server::start(answers)
    };
    assert_eq!(actor(json!({})).body(&chain(5).url("/")), "there");
    let error = actor(json!({})).get(&chain(6).url("/")).unwrap_err();
    assert!(error.contains("after 5 redirects"), "{error}");
    let first = actor(json!({ "max_redirects": 0 })).get(&chain(1).url("/")).unwrap();
    assert_eq!((first.status, first.headers[0].1.as_str()), (302, "/0"));
    for to in
        ["http://example.com/", "http://127.0.0.2/", "http://169.254.169.254/", "//evil.org/", "http://user@127.0.0.1/"]
    {
        let error = actor(json!({})).get(&Server::start(vec![redirect(302, to)]).url("/")).unwrap_err();
        assert!(error.contains("redirects to") && !error.contains("config ="), "{to}: {error}");
    }
    let closed = actor(json!({ "allowed_methods": ["POST"] }));
    let error = closed.send(request("POST", &Server::start(vec![redirect(303, "/")]).url("/"))).unwrap_err();
    assert!(error.contains("not allowed to access"), "the method after the redirect is checked too: {error}");
}

/// [http-client-19]
#[test]
fn what_a_redirect_makes_of_the_method() {
    for (status, method, becomes) in [
        (301, "POST", "GET"),
        (302, "POST", "GET"),
        (303, "POST", "GET"),
        (303, "PUT", "GET"),
        (303, "HEAD", "HEAD"),
        (301, "PUT", "PUT"),
        (302, "DELETE", "DELETE"),
        (307, "POST", "POST"),
        (308, "POST", "POST"),
    ] {
        let server = Server::start(vec![redirect(status, "/next"), ok("")]);
        let body = if method == "HEAD" { None } else { Some(b"the body".to_vec().into()) };
        let sent =
            HttpRequest { body, headers: headers(&[("content-type", "a/b")]), ..request(method, &server.url("/")) };
        actor(json!({})).send(sent).unwrap();
        let second = server.seen().remove(1);
        assert!(second.starts_with(&format!("{becomes} /next HTTP/1.1\r\n")), "{status} {method}: {second}");
        let kept = becomes == method && method != "HEAD";
        assert_eq!(second.ends_with("the body"), kept, "{status} {method}: {second}");
        assert_eq!(second.contains("content-type"), becomes == method, "{status} {method}: {second}");
    }
}

/// [http-client-20]
#[test]
fn secrets_do_not_go_to_another_host() {
    let secrets = || headers(&[("Authorization", "secret"), ("cookie", "secret"), ("x", "public")]);
    let other = Server::start(vec![ok("")]);
    let server = Server::start(vec![redirect(307, "/same"), redirect(307, &other.url("/"))]);
    let sent = HttpRequest { headers: secrets(), ..request("GET", &server.url("/")) };
    actor(json!({})).send(sent).unwrap();
    assert!(server.seen().iter().all(|request| request.matches("secret").count() == 2));
    let there = other.seen().remove(0);
    assert!(!there.contains("secret") && there.contains("x: public"), "{there}");
}

/// [http-client-24]
#[test]
fn connections_are_kept_and_a_closed_one_is_made_again() {
    let server = Server::start((0..5).map(|number| ok(&number.to_string())).collect());
    let keeping = actor(json!({}));
    for number in 0..5 {
        assert_eq!(keeping.body(&server.url("/")), number.to_string());
    }
    assert_eq!(server.connections(), 1);
    let closing =
        Server::start((0..3).map(|_| Says::Last("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx".into())).collect());
    for _ in 0..3 {
        assert_eq!(keeping.body(&closing.url("/")), "x");
    }
    assert_eq!(closing.connections(), 3);
    let said = "HTTP/1.1 200 OK\r\ncontent-length: 1\r\nconnection: close\r\n\r\nx";
    let server = Server::start(vec![raw(said), raw(said)]);
    assert_eq!(keeping.body(&server.url("/")) + &keeping.body(&server.url("/")), "xx");
}

/// RFC 9112, section 9.3: `close` is binding even if the server does not close at once.
#[test]
fn a_connection_is_kept_as_the_response_says() {
    for (version, says, kept) in [
        ("1.1", "", true),
        ("1.1", "connection: close\r\n", false),
        ("1.1", "connection: Keep-Alive, Close\r\n", false),
        ("1.1", "connection: close\r\nconnection: keep-alive\r\n", false),
        ("1.1", "connection: upgrade\r\n", true),
        ("1.0", "", false),
        ("1.0", "connection: keep-alive\r\n", true),
    ] {
        let first = format!("HTTP/{version} 200 OK\r\n{says}content-length: 1\r\n\r\nx");
        let server = Server::start(vec![Says::Then(first), ok("y")]);
        let actor = actor(json!({}));
        assert_eq!((actor.body(&server.url("/")), actor.body(&server.url("/"))), ("x".to_owned(), "y".to_owned()));
        assert_eq!(server.connections(), if kept { 1 } else { 2 }, "{version} {says:?}");
    }
}

#[test]
fn what_a_kept_connection_lost_is_sent_again_only_where_twice_is_as_once() {
    // The server reads the second request and closes the connection.
    let server = || Server::start(vec![ok("1"), raw(""), ok("2")]);
    let actor = actor(json!({}));
    for (method, again) in [("GET", true), ("PUT", true), ("DELETE", true), ("POST", false), ("PATCH", false)] {
        let server = server();
        assert_eq!(actor.body(&server.url("/")), "1");
        let answer = actor.send(request(method, &server.url("/")));
        assert_eq!(answer.is_ok(), again, "{method}: {answer:?}");
        assert_eq!((server.seen().len(), server.connections()), if again { (3, 2) } else { (2, 1) }, "{method}");
    }
}

#[test]
fn interim_responses_are_so_many_and_what_nobody_asked_for_answers_no_other_request() {
    let (early, last) = ("HTTP/1.1 103 Early Hints\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx");
    let actor = actor(json!({}));
    let server = Server::start([16, 17].map(|count| raw(&(early.repeat(count) + last))).to_vec());
    assert_eq!(actor.body(&server.url("/")), "x");
    assert!(actor.get(&server.url("/")).unwrap_err().contains("too many interim responses"));
    // A second response follows the first, as after request smuggling.
    let server = Server::start(vec![Says::Then(last.repeat(2)), ok("y")]);
    assert_eq!((actor.body(&server.url("/")), actor.body(&server.url("/"))), ("x".to_owned(), "y".to_owned()));
    assert_eq!(server.connections(), 2);
}

#[test]
fn what_is_denied_and_what_fails_is_counted() {
    let actor = actor(json!({}));
    assert!(actor.get("http://example.com/").is_err());
    assert_eq!((actor.host.metric("denied"), actor.host.metric("failed")), (Some(1.0), None));
    let server = Server::start(vec![raw("no response")]);
    assert!(actor.get(&server.url("/")).is_err());
    assert_eq!((actor.host.metric("denied"), actor.host.metric("failed")), (Some(1.0), Some(1.0)));
    assert_eq!(actor.host.metric("requests"), Some(2.0));
}

/// [http-client-31]
#[test]
fn ipv6_works() {
    let server = Server::bind("[::1]:0", vec![ok("six")]);
    assert_eq!(actor(json!({})).body(&server.url("/")), "six");
    assert!(server.seen()[0].contains(&format!("host: [::1]:{}", server.address.port())));
}

/// [http-client-10] [http-client-17]
#[test]
fn a_name_is_resolved_once_and_the_answer_is_where_the_connection_goes() {
    let server = Server::start(vec![ok("here")]);
    let answers = Answers::new(&["127.0.0.1", "127.0.0.9"]);
    let config = json!({ "allowed_hosts": ["example.com"], "allow_private_addresses": true });
    let actor = resolved(config.clone(), Arc::clone(&answers) as Arc<dyn Resolver>);
    let uri = format!("http://example.com:{}/", server.address.port());
    assert_eq!(actor.body(&uri), "here");
    assert_eq!(answers.1.load(Ordering::SeqCst), 1);
    assert!(server.seen()[0].contains(&format!("host: example.com:{}", server.address.port())));
    // A name that resolves to a public address first and a private one later is refused: each request resolves the name
    // and checks the result.
    let turning = Answers::new(&["127.0.0.1"]);
    let closed = resolved(json!({ "allowed_hosts": ["example.com"] }), Arc::clone(&turning) as Arc<dyn Resolver>);
    let error = closed.get(&uri).unwrap_err();
    assert!(error.contains("resolves to 127.0.0.1") && !error.contains("config ="), "{error}");
    assert_eq!(turning.1.load(Ordering::SeqCst), 1);
}

/// A temporary folder, removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("theater-http-client-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

/// Starts a TLS server that answers each connection once, and returns its port.
fn secure(authority: &Authority, name: &str, expired: bool, answer: &'static str, says_the_end: bool) -> u16 {
    let (cert, key) = authority.sign(name, expired);
    let acceptor = theater_tls::acceptor(&cert, &key).unwrap();
    let listener = Async::<TcpListener>::bind(([127, 0, 0, 1], 0)).unwrap();
    let port = listener.get_ref().local_addr().unwrap().port();
    std::thread::spawn(move || {
        block_on(async {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let mut request = [0; 1024];
                stream.read(&mut request).await.unwrap();
                stream.write_all(answer.as_bytes()).await.unwrap();
                stream.flush().await.unwrap();
                if says_the_end {
                    stream.close().await.unwrap();
                }
            }
        });
    });
    port
}

const HELLO: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello";

/// [http-client-25]
#[test]
fn certificates_are_verified_always() {
    let folder = Folder::new();
    let (authority, stranger) = (Authority::new(&folder.0), Folder::new());
    let trusting = actor(json!({ "ca_files": [authority.file()] }));
    let get = |actor: &Actor, host: &str, port: u16| actor.get(&format!("https://{host}:{port}/"));
    let good = secure(&authority, "localhost", false, HELLO, true);
    assert_eq!(get(&trusting, "localhost", good).unwrap().body.unwrap().into_vec(), b"hello");
    let address = secure(&authority, "127.0.0.1", false, HELLO, true);
    assert_eq!(get(&trusting, "127.0.0.1", address).unwrap().status, 200);
    for (port, host, actor) in [
        (secure(&authority, "localhost", true, HELLO, true), "localhost", &trusting),
        (secure(&authority, "example.com", false, HELLO, true), "localhost", &trusting),
        (good, "127.0.0.1", &trusting),
        (good, "localhost", &actor(json!({ "ca_files": [Authority::new(&stranger.0).file()] }))),
        // A server without TLS.
        (Server::start(vec![raw("HTTP/1.1 200 OK\r\n\r\n")]).address.port(), "localhost", &trusting),
    ] {
        let error = get(actor, host, port).unwrap_err();
        assert!(error.contains("TLS failed"), "{error}");
    }
    // No header that an actor can send turns verification off.
    let sent = HttpRequest {
        headers: headers(&[("x-insecure", "1"), ("verify", "false")]),
        ..request("GET", &format!("https://127.0.0.1:{good}/"))
    };
    assert!(trusting.send(sent).unwrap_err().contains("TLS failed"));
}

/// [http-client-21] [http-client-22]
#[test]
fn what_begins_with_tls_stays_in_it_to_the_end() {
    let folder = Folder::new();
    let authority = Authority::new(&folder.0);
    let trusting = actor(json!({ "ca_files": [authority.file()] }));
    let down = "HTTP/1.1 302 x\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let port = secure(&authority, "localhost", false, down, true);
    let error = trusting.get(&format!("https://localhost:{port}/")).unwrap_err();
    assert!(error.contains("from https to http is not followed"), "{error}");
    // A body that ends with the connection, which an attacker may have cut.
    let open = "HTTP/1.1 200 OK\r\n\r\nhello";
    let port = secure(&authority, "localhost", false, open, false);
    let error = trusting.get(&format!("https://localhost:{port}/")).unwrap_err();
    assert!(error.contains("ends early"), "{error}");
    let port = secure(&authority, "localhost", false, open, true);
    assert_eq!(trusting.body(&format!("https://localhost:{port}/")), "hello");
}

#[test]
fn a_component_is_fetched_over_tls_as_far_as_whoever_asks_may_reach() {
    let folder = Folder::new();
    let authority = Authority::new(&folder.0);
    let port = secure(&authority, "localhost", false, HELLO, true);
    let fake = FakeHost::new();
    let plugin = HttpClient { host: fake.host() };
    let url = format!("https://localhost:{port}/a.wasm");
    let ceiling =
        json!({ "allowed_hosts": ["localhost"], "allow_private_addresses": true, "ca_files": [authority.file()] });
    assert_eq!(block_on(plugin.resolve(&url, "actor", &ceiling)).unwrap(), b"hello");
    let error = block_on(plugin.resolve(&url, "actor", &json!({}))).unwrap_err();
    assert!(error.contains(&url) && error.contains("not allowed"), "{error}");
    let missing = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let port = secure(&authority, "localhost", false, missing, true);
    let error = block_on(plugin.resolve(&format!("https://localhost:{port}/"), "actor", &ceiling)).unwrap_err();
    assert!(error.contains("status 404"), "{error}");
    // An operator's request trusts only what the system trusts.
    let error = block_on(plugin.resolve(&url, "", &Value::Null)).unwrap_err();
    assert!(error.contains("TLS failed") || error.contains("trusts no certificate"), "{error}");
}
