//! Tests over real sockets, the blocking ones of std, so that a test controls exactly which bytes it sends.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use theater_plugin_api::testing::{FakeHost, block_on};
use tide::listener::Listener as _;

use crate::net::channel::{Receiver, Sender, bounded};
use crate::{Bound, Config, Listener, ListenerControl, Received, Reply};

struct Running {
    _fake: FakeHost,
    address: SocketAddr,
    control: ListenerControl,
    seen: Arc<AtomicUsize>,
    /// `/slow` sends on `arrived` when it is called and answers after a message on `answer`.
    arrived: Receiver<()>,
    answer: Sender<()>,
}

/// The state of the endpoint.
#[derive(Clone)]
struct App {
    seen: Arc<AtomicUsize>,
    arrived: Sender<()>,
    answer: Receiver<()>,
}

async fn endpoint(mut request: tide::Request<App>) -> tide::Result {
    let received = Received::of(&mut request).unwrap();
    let app = request.state();
    app.seen.fetch_add(1, Ordering::SeqCst);
    let path = received.uri.clone();
    match path.as_str() {
        "/slow" => {
            app.arrived.send(()).await.unwrap();
            app.answer.recv().await.unwrap();
        }
        "/panic" => panic!("on purpose"),
        "/tide" => {
            let mut response = tide::Response::new(tide::StatusCode::ImATeapot);
            response.insert_header("x-of", "tide");
            response.set_body("short");
            return Ok(response);
        }
        "/large" => return Ok(Reply::new(200, Vec::new(), Some(vec![b'x'; 64 << 20])).unwrap().into_tide()),
        _ => {}
    }
    let body = received.body.as_ref().map(|body| {
        if body.len() < 100 { String::from_utf8_lossy(body).into_owned() } else { format!("{} bytes", body.len()) }
    });
    let echo = format!("{} {} {:?} {body:?}", received.method, received.uri, received.headers);
    Ok(Reply::new(200, Vec::new(), Some(echo.into_bytes())).unwrap().into_tide())
}

fn start(config: Value) -> Running {
    let config: Config = serde_json::from_value(config).unwrap();
    let fake = FakeHost::new();
    let bound = block_on(Bound::new(&config)).unwrap();
    let address = bound.address();
    let mut listener = Listener::new(fake.host(), bound, &config);
    let control = listener.control();
    let (arrival, arrived) = bounded(16);
    let (answer, answers) = bounded(16);
    let seen = Arc::<AtomicUsize>::default();
    let mut app = tide::with_state(App { seen: Arc::clone(&seen), arrived: arrival, answer: answers });
    app.at("/").all(endpoint);
    block_on(listener.bind(app)).unwrap();
    fake.host().spawn(async move { listener.accept().await.unwrap() });
    Running { _fake: fake, address, control, seen, arrived, answer }
}

impl Running {
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    /// Sends bytes and reads until the server closes.
    fn ask(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect();
        // The server may answer and close before it has read everything.
        stream.write_all(bytes.as_ref()).ok();
        rest(&mut stream)
    }

    fn seen(&self) -> usize {
        self.seen.load(Ordering::SeqCst)
    }
}

fn rest(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    match stream.read_to_end(&mut all) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("{error}"),
        _ => String::from_utf8_lossy(&all).into_owned(),
    }
}

/// Reads one answer with a content-length from a connection that stays open.
fn one(stream: &mut TcpStream) -> String {
    let (mut text, mut byte) = (Vec::new(), [0]);
    while !text.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        text.push(byte[0]);
    }
    let head = String::from_utf8(text).unwrap();
    let length =
        head.split("content-length: ").nth(1).map_or(0, |rest| rest.split("\r\n").next().unwrap().parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    head + &String::from_utf8_lossy(&body)
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).unwrap_or("0").parse().unwrap_or(0)
}

fn statuses(answers: &str) -> Vec<u16> {
    answers.split("HTTP/1.1 ").skip(1).filter_map(|answer| answer.get(..3)?.parse().ok()).collect()
}

const GET: &str = "GET / HTTP/1.1\r\nhost: h\r\n\r\n";
const LAST: &str = "GET /last HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";

#[test]
fn a_request_arrives_as_it_was_sent() {
    let server = start(json!({}));
    let answer =
        server.ask("PUT /a%2F?b=%zz HTTP/1.1\r\nHost: h\r\nX-B: 2\r\nx-a: 1\r\nX-b: 3\r\nconnection: close\r\n\r\n");
    let headers = r#"[("host", "h"), ("x-b", "2"), ("x-a", "1"), ("x-b", "3"), ("connection", "close")]"#;
    assert!(answer.ends_with(&format!("PUT /a%2F?b=%zz {headers} None")), "{answer}");
    let answer = server.ask("BREW http://pot/ HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    assert!(answer.contains("BREW http://pot/ ") && answer.ends_with("Some(\"\")"), "{answer}");
    let answer = server.ask("CONNECT pot:1 HTTP/1.1\r\nhost: h\r\n\r\n");
    assert!(status(&answer) == 200 && answer.contains("connection: close") && !answer.contains("content-length"));
}

#[test]
fn no_request_is_smuggled() {
    let server = start(json!({}));
    let inner = "GET /smuggled HTTP/1.1\r\nhost: h\r\n\r\n";
    let length = inner.len();
    for (name, lines, body) in [
        ("CL.TE", format!("content-length: {length}\r\ntransfer-encoding: chunked\r\n"), format!("0\r\n\r\n{inner}")),
        (
            "TE.CL",
            "transfer-encoding: chunked\r\ncontent-length: 3\r\n".to_owned(),
            format!("{length:x}\r\n{inner}\r\n0\r\n\r\n"),
        ),
        ("TE.TE", "transfer-encoding: chunked\r\ntransfer-encoding: cow\r\n".to_owned(), format!("0\r\n\r\n{inner}")),
        ("two lengths", format!("content-length: 0\r\ncontent-length: {length}\r\n"), inner.to_owned()),
        ("folded", format!("x: y\r\n content-length: {length}\r\n"), inner.to_owned()),
        ("bare LF", format!("x: y\ncontent-length: {length}\r\n"), inner.to_owned()),
        ("bare CR", format!("x: y\rcontent-length: {length}\r\n"), inner.to_owned()),
        ("space before the colon", format!("content-length : {length}\r\n"), inner.to_owned()),
        ("NUL", "x: a\0b\r\n".to_owned(), inner.to_owned()),
    ] {
        let answer = server.ask(format!("POST / HTTP/1.1\r\nhost: h\r\n{lines}\r\n{body}"));
        assert_eq!(statuses(&answer), [400], "{name}: {answer}");
        assert!(answer.contains("connection: close"), "{name}");
    }
    assert_eq!(server.seen(), 0);
}

#[test]
fn garbage_behind_a_request_does_not_undo_it() {
    let server = start(json!({}));
    assert_eq!(statuses(&server.ask(format!("{GET}\0\0garbage"))), [200, 400]);
    let answer = server.ask("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\n\r\nhello\r\n\r\n");
    assert_eq!(statuses(&answer), [200, 400]);
    assert_eq!(statuses(&server.ask(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")), [400]);
    assert_eq!(statuses(&server.ask("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")), [505]);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = start(json!({}));
    let first = "POST /first HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\n\r\nhello\r\n";
    let second = "POST /second HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n";
    let answer = server.ask(format!("{first}{second}{LAST}"));
    assert_eq!(statuses(&answer), [200, 200, 200]);
    let places: Vec<_> = ["/first", "/second", "/last"].map(|path| answer.find(path).unwrap()).into();
    assert!(places.is_sorted());
}

#[test]
fn connections_are_kept_as_the_version_says() {
    let server = start(json!({}));
    let mut stream = server.connect();
    for _ in 0..3 {
        stream.write_all(GET.as_bytes()).unwrap();
        let answer = one(&mut stream);
        assert!(status(&answer) == 200 && !answer.contains("\r\nconnection:"), "{answer}");
    }
    assert!(server.ask("GET / HTTP/1.0\r\n\r\n").contains("\r\nconnection: close\r\n"));
    let mut stream = server.connect();
    stream.write_all(b"GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n").unwrap();
    assert!(one(&mut stream).contains("\r\nconnection: keep-alive\r\n"));
    stream.write_all(LAST.as_bytes()).unwrap();
    assert_eq!(statuses(&rest(&mut stream)), [200]);
}

#[test]
fn a_client_that_has_closed_its_half_gets_its_answer() {
    let server = start(json!({}));
    let mut stream = server.connect();
    stream.write_all(GET.as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(statuses(&rest(&mut stream)), [200]);
    let mut stream = server.connect();
    stream.write_all(b"GET / HT").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(statuses(&rest(&mut stream)), [400]);
}

#[test]
fn head_has_the_length_and_no_body() {
    let server = start(json!({}));
    let answer = server.ask("HEAD / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
    assert!(answer.contains("\r\ncontent-length: ") && answer.contains("\r\ndate: ") && answer.ends_with("\r\n\r\n"));
}

#[test]
fn chunks_make_a_body() {
    let server = start(json!({}));
    let start = "POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: Chunked\r\nconnection: close\r\n\r\n";
    let answer = server.ask(format!("{start}5\r\nhello\r\n006;a=\"b c\"\r\n world\r\n0\r\nx-trailer: 1\r\n\r\n"));
    assert!(answer.ends_with("Some(\"hello world\")"), "{answer}");
    assert!(server.ask(format!("{start}0\r\n\r\n")).ends_with("Some(\"\")"));
    let mut stream = server.connect();
    stream.set_nodelay(true).unwrap();
    for byte in format!("{start}2\r\nab\r\nA\r\n0123456789\r\n0\r\n\r\n").bytes() {
        stream.write_all(&[byte]).unwrap();
    }
    assert!(rest(&mut stream).ends_with("Some(\"ab0123456789\")"));
    for body in [
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello!\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        "g\r\n\r\n",
        "5;\0\r\nhello\r\n0\r\n\r\n",
        "5;a\rb\r\nhello\r\n0\r\n\r\n",
        "0\r\nbad trailer\r\n\r\n",
        "0\r\nx: a\n\r\n",
        "0\r\n folded: a\r\n\r\n",
    ] {
        assert_eq!(statuses(&server.ask(format!("{start}{body}"))), [400], "{body:?}");
    }
    let extension = format!("{start}5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(1_000));
    assert_eq!(statuses(&server.ask(extension)), [400]);
    let extensions = format!("1;{}\r\nx\r\n", "y".repeat(200)).repeat(500);
    assert_eq!(statuses(&server.ask(format!("{start}{extensions}0\r\n\r\n"))), [400]);
}

#[test]
fn bodies_up_to_the_limit_are_taken() {
    let server = start(json!({ "max_body_bytes": 1_000_000 }));
    let counted = |length: usize| {
        let mut request =
            format!("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n").into_bytes();
        request.resize(request.len() + length, b'a');
        request
    };
    assert!(server.ask(counted(1_000_000)).ends_with("Some(\"1000000 bytes\")"));
    assert_eq!(statuses(&server.ask(counted(1_000_001))), [413]);
    let start = "POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n";
    let chunk = format!("7a120\r\n{}\r\n", "a".repeat(500_000));
    assert!(server.ask(format!("{start}{chunk}{chunk}0\r\n\r\n")).ends_with("Some(\"1000000 bytes\")"));
    assert_eq!(statuses(&server.ask(format!("{start}{chunk}{chunk}1\r\n"))), [413]);
    assert_eq!(statuses(&server.ask(format!("{start}ffffffffffffffff\r\n"))), [413]);
    assert_eq!(statuses(&server.ask(format!("{start}fffffffffffffffff\r\n"))), [413]);
}

#[test]
fn a_client_that_waits_is_told_to_continue() {
    let server = start(json!({ "max_body_bytes": 10 }));
    let expects = |length: usize| {
        format!(
            "POST / HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
        )
    };
    let mut stream = server.connect();
    stream.write_all(expects(2).as_bytes()).unwrap();
    assert_eq!(one(&mut stream), "HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"ab").unwrap();
    assert!(rest(&mut stream).ends_with("Some(\"ab\")"));
    assert_eq!(statuses(&server.ask(expects(11))), [413]);
    assert_eq!(statuses(&server.ask(expects(0))), [100, 200]);
    assert_eq!(statuses(&server.ask("POST / HTTP/1.1\r\nhost: h\r\nexpect: tea\r\ncontent-length: 1\r\n\r\n")), [417]);
}

#[test]
fn heads_over_the_limits_are_refused() {
    let server = start(json!({}));
    let headers = |count: usize| format!("GET / HTTP/1.1\r\nhost: h\r\n{}\r\n", "x: y\r\n".repeat(count));
    assert_eq!(statuses(&server.ask(headers(33_000))), [431]);
    assert_eq!(statuses(&server.ask(headers(129))), [431]);
    assert_eq!(statuses(&server.ask(format!("GET /{} HTTP/1.1\r\n", "a".repeat(1 << 20)))), [431]);
    let large = start(json!({ "max_header_bytes": 1_000_000, "max_headers": 40_000 }));
    let answer = large.ask(headers(33_000).replace("h\r\n", "h\r\nconnection: close\r\n"));
    assert_eq!(status(&answer), 200);
}

#[test]
fn slow_clients_are_cut_off() {
    let server = start(json!({ "read_timeout_ms": 200 }));
    let drip = |start: &str| {
        let mut stream = server.connect();
        stream.write_all(start.as_bytes()).unwrap();
        let mut writer = stream.try_clone().unwrap();
        let dripping = std::thread::spawn(move || {
            while writer.write_all(b"a").is_ok() {
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let before = Instant::now();
        let answer = rest(&mut stream);
        stream.shutdown(Shutdown::Both).ok();
        dripping.join().unwrap();
        assert!(before.elapsed() < Duration::from_secs(5));
        statuses(&answer)
    };
    assert_eq!(drip("GET / HTTP/1.1\r\nx: "), [408]);
    assert_eq!(drip("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 10000\r\n\r\n"), [408]);
    assert_eq!(drip("POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\nffff\r\n"), [408]);
    assert_eq!(server.ask(""), "", "a connection that asks nothing is closed without a word");
    assert_eq!(statuses(&server.ask(GET)), [200], "a kept connection is closed without a word");
    assert_eq!(server.seen(), 1);
}

#[test]
fn a_client_that_does_not_read_is_let_go() {
    let server = start(json!({ "read_timeout_ms": 200, "max_connections": 1 }));
    let mut stream = server.connect();
    stream.write_all(b"GET /large HTTP/1.1\r\nhost: h\r\n\r\n").unwrap();
    let before = Instant::now();
    while statuses(&server.ask(LAST)) != [200] {
        assert!(before.elapsed() < Duration::from_secs(10));
    }
    drop(stream);
}

#[test]
fn a_large_answer_arrives_whole() {
    let server = start(json!({}));
    let answer = server.ask("GET /large HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    assert_eq!(body.len(), 64 << 20);
}

#[test]
fn what_tide_itself_answers_is_sent() {
    let server = start(json!({}));
    let answer = server.ask("GET /tide HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
    assert!(
        answer.starts_with("HTTP/1.1 418 ") && answer.contains("x-of: tide\r\n") && answer.ends_with("\r\n\r\nshort")
    );
}

#[test]
fn a_panic_ends_one_connection() {
    let server = start(json!({}));
    let mut other = server.connect();
    other.write_all(GET.as_bytes()).unwrap();
    one(&mut other);
    assert_eq!(server.ask("GET /panic HTTP/1.1\r\nhost: h\r\n\r\n"), "");
    other.write_all(GET.as_bytes()).unwrap();
    assert_eq!(status(&one(&mut other)), 200);
}

#[test]
fn a_connection_too_many_is_told_so() {
    let server = start(json!({ "max_connections": 2, "max_connections_per_peer": 2 }));
    let mut kept: Vec<_> = (0..2).map(|_| server.connect()).collect();
    for stream in &mut kept {
        stream.write_all(GET.as_bytes()).unwrap();
        one(stream);
        // An idle connection would be displaced; one with a started request is not.
        stream.write_all(b"GET").unwrap();
    }
    let before = Instant::now();
    loop {
        let answer = server.ask(LAST);
        if status(&answer) == 503 {
            assert!(answer.contains("retry-after: 1"), "{answer}");
            break;
        }
        assert!(before.elapsed() < Duration::from_secs(10));
    }
    drop(kept);
    let before = Instant::now();
    while status(&server.ask(LAST)) != 200 {
        assert!(before.elapsed() < Duration::from_secs(10));
    }
}

#[test]
fn a_peer_that_takes_all_it_can_get_keeps_nobody_out() {
    let server = start(json!({ "max_connections": 8, "max_connections_per_peer": 2 }));
    // These are busy: each has started a request.
    let mut busy: Vec<_> = (0..2).map(|_| server.connect()).collect();
    for stream in &mut busy {
        stream.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    }
    let before = Instant::now();
    while status(&server.ask(LAST)) != 503 {
        assert!(before.elapsed() < Duration::from_secs(10), "it has its share");
    }
    drop(busy);
    // Idle connections give way to new ones of the same peer.
    let idle: Vec<_> = (0..20).map(|_| server.connect()).collect();
    let before = Instant::now();
    while status(&server.ask(LAST)) != 200 {
        assert!(before.elapsed() < Duration::from_secs(10));
    }
    drop(idle);
}

#[test]
fn a_request_for_another_host_is_421() {
    let server = start(json!({ "allowed_hosts": ["named.example"] }));
    let asked = |host: &str| {
        let request = format!("GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        status(&server.ask(&request))
    };
    for host in ["localhost", "127.0.0.1:1", "named.example", "NAMED.example:80", "name-without-dot"] {
        assert_eq!(asked(host), 200, "{host}");
    }
    for host in ["evil.example", "named.example.evil.example", "10.1.2.3"] {
        assert_eq!(asked(host), 421, "{host}");
    }
}

#[test]
fn a_thousand_idle_connections_hinder_nobody_and_end_at_once() {
    let server = start(json!({}));
    let mut idle: Vec<_> = (0..1_000).map(|_| server.connect()).collect();
    assert_eq!(statuses(&server.ask(LAST)), [200]);
    let before = Instant::now();
    block_on(server.control.stop(Duration::from_secs(5)));
    assert!(before.elapsed() < Duration::from_secs(1), "{:?}", before.elapsed());
    assert!(idle.iter_mut().all(|stream| rest(stream).is_empty()));
}

#[test]
fn a_stop_lets_running_requests_finish_and_frees_the_port() {
    let server = start(json!({}));
    let mut running = server.connect();
    running.write_all(b"GET /slow HTTP/1.1\r\nhost: h\r\n\r\n").unwrap();
    block_on(server.arrived.recv()).unwrap();
    let (mut idle, mut half, mut body) = (server.connect(), server.connect(), server.connect());
    idle.write_all(GET.as_bytes()).unwrap();
    one(&mut idle);
    half.write_all(b"GET / HT").unwrap();
    body.write_all(b"POST / HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n").unwrap();
    one(&mut body);
    let control = server.control.clone();
    let stopping = std::thread::spawn(move || block_on(control.stop(Duration::from_secs(20))));
    assert_eq!((rest(&mut idle), rest(&mut half)), (String::new(), String::new()));
    assert_eq!(statuses(&rest(&mut body)), [503]);
    assert!(!stopping.is_finished());
    block_on(server.answer.send(())).unwrap();
    let answer = rest(&mut running);
    assert!(status(&answer) == 200 && answer.contains("connection: close"), "{answer}");
    stopping.join().unwrap();
    TcpListener::bind(server.address).unwrap();
}

#[test]
fn a_stop_does_not_wait_longer_than_its_grace() {
    let server = start(json!({}));
    let mut running = server.connect();
    running.write_all(b"GET /slow HTTP/1.1\r\nhost: h\r\n\r\n").unwrap();
    block_on(server.arrived.recv()).unwrap();
    let before = Instant::now();
    block_on(server.control.stop(Duration::from_millis(100)));
    assert!((100..2_000).contains(&before.elapsed().as_millis()));
}

/// The folder of a certificate authority, removed on drop.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("theater-http-listener-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

fn secure((cert, key): (std::path::PathBuf, std::path::PathBuf), read_timeout_ms: u64) -> Running {
    start(json!({
        "tls": { "cert_path": cert, "key_path": key }, "tls_files": [cert, key], "read_timeout_ms": read_timeout_ms,
        "max_body_bytes": 100 << 20
    }))
}

/// Connects with TLS as a client that trusts `ca`, sends bytes and returns the answer.
fn ask_in_tls(running: &Running, ca: std::path::PathBuf, name: &str, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    use futures_lite::{AsyncReadExt, AsyncWriteExt};
    let connector = theater_tls::connector(&[ca]).unwrap();
    let name = theater_tls::ServerName::try_from(name.to_owned()).unwrap();
    block_on(async {
        let stream = crate::net::TcpStream::connect(running.address).await?;
        let mut stream = connector.connect(name, stream).await?;
        stream.write_all(bytes).await?;
        stream.flush().await?;
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.map(|_| all)
    })
}

#[test]
fn https_is_served_with_the_same_rules_and_an_end_that_is_said() {
    let folder = Folder::new();
    let authority = theater_certificates::Authority::new(&folder.0);
    let running = secure(authority.sign("localhost", false), 30_000);
    let ask = |bytes: &[u8]| ask_in_tls(&running, authority.file(), "localhost", bytes).unwrap();
    let two = b"GET /1 HTTP/1.1\r\nhost: h\r\n\r\nGET /2 HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";
    let text = String::from_utf8(ask(two)).unwrap();
    assert_eq!(text.matches("HTTP/1.1 200").count(), 2, "{text}");
    assert!(text.contains("GET /1") && text.contains("GET /2"), "{text}");
    let refused = String::from_utf8(ask(b"GET / HTTP/1.1\nhost: h\n\n")).unwrap();
    assert!(refused.starts_with("HTTP/1.1 400"), "{refused}");
    // More than a socket buffers, in both directions.
    let large = ask(b"GET /large HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
    assert!(large.len() > 64 << 20 && large.ends_with(b"xxxx"));
    let mut sent = b"POST / HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: 20000000\r\n\r\n".to_vec();
    sent.resize(sent.len() + 20_000_000, b'y');
    assert!(String::from_utf8(ask(&sent)).unwrap().contains("20000000 bytes"));
}

#[test]
fn who_does_not_speak_tls_or_trusts_another_is_not_answered() {
    let folder = Folder::new();
    let authority = theater_certificates::Authority::new(&folder.0);
    let running = secure(authority.sign("localhost", false), 300);
    let plain = running.ask("GET / HTTP/1.1\r\nhost: h\r\n\r\n");
    assert!(!plain.contains("HTTP/"), "{plain}");
    // A client that never starts the handshake is cut off.
    assert_eq!(rest(&mut running.connect()), "");
    let request = b"GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";
    let stranger = Folder::new();
    let other = theater_certificates::Authority::new(&stranger.0);
    assert!(ask_in_tls(&running, other.file(), "localhost", request).is_err());
    assert!(ask_in_tls(&running, authority.file(), "example.com", request).is_err());
    let expired = secure(authority.sign("localhost", true), 300);
    assert!(ask_in_tls(&expired, authority.file(), "localhost", request).is_err());
    assert_eq!(running.seen() + expired.seen(), 0);
}

#[test]
fn a_bad_certificate_is_an_error_and_never_plain_http() {
    let folder = Folder::new();
    let authority = theater_certificates::Authority::new(&folder.0);
    let ((cert, key), (_, foreign)) = (authority.sign("localhost", false), authority.sign("example.com", false));
    let garbage = folder.0.join("garbage.pem");
    std::fs::write(&garbage, "garbage").unwrap();
    for (cert, key) in [(&cert, &foreign), (&key, &key), (&cert, &cert), (&garbage, &key), (&folder.0, &key)] {
        let config = json!({ "tls": { "cert_path": cert, "key_path": key }, "tls_files": [cert, key] });
        let error = block_on(Bound::new(&serde_json::from_value(config).unwrap())).unwrap_err();
        assert!(error.starts_with("tls: "), "{error}");
    }
}
