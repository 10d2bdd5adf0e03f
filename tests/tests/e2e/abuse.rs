//! Malformed and abusive requests to every kind of port: http-server, http-framework, websocket-server and
//! message-server. `theater-http-listener` implements the rules and tests them one by one. These tests show that all
//! four plugins follow them when the real program loads them from files.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use theater_tests::{PATIENCE, Running, Scratch, component};

/// A port, with a valid request and the status of its answer.
struct Port {
    kind: &'static str,
    address: SocketAddr,
    request: String,
    status: u16,
}

/// Starts the program with one actor for each kind of port.
fn ports(scratch: &Scratch) -> (Running, Vec<Port>) {
    let limits = "read_timeout_ms = 2000, max_connections = 1100";
    let kinds = [
        ("hello-http", "http-server", "", "GET / HTTP/1.1\r\nhost: {}\r\n\r\n", 200),
        ("chat", "http-framework", "init_state = { json = { port = 0 } }\n", "GET / HTTP/1.1\r\nhost: {}\r\n\r\n", 200),
        ("parrot", "websocket-server", "", "GET / HTTP/1.1\r\nhost: {}\r\n\r\n", 426),
        (
            "counter",
            "message-server",
            "init_state = { json = { count = 0 } }\n",
            "POST /request HTTP/1.1\r\nhost: {}\r\ncontent-length: 14\r\n\r\n{\"type\":\"get\"}",
            200,
        ),
    ];
    let manifests = kinds.map(|(actor, handler, state, ..)| {
        let port = if handler == "message-server" { ", port = 0" } else { "" };
        let text = format!(
            "name = \"{actor}\"\ncomponent_path = \"{}\"\n{state}[[handlers]]\ntype = \"{handler}\"\n\
             config = {{ {limits}{port} }}\n",
            component(actor).display()
        );
        scratch.write(&format!("{actor}.toml"), text).display().to_string()
    });
    let running = Running::start(&scratch.path().join("data"), &manifests.each_ref().map(String::as_str));
    let ports = kinds.iter().enumerate().map(|(number, (_, kind, _, request, status))| {
        let address = running.address(number);
        Port { kind, address, request: request.replacen("{}", &address.to_string(), 1), status: *status }
    });
    let ports = ports.collect();
    (running, ports)
}

impl Port {
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends bytes and reads all answers until the server closes the connection.
    fn send(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        // The server may answer and close before it has received everything.
        stream.write_all(bytes).ok();
        rest(&mut stream)
    }

    /// Sends the port's request line and host, followed by these lines and this body. Returns the statuses of all
    /// answers.
    fn asked(&self, lines: &str, body: &str) -> Vec<u16> {
        let line = self.request.split("\r\n").next().unwrap();
        statuses(&self.send(format!("{line}\r\nhost: {}\r\n{lines}\r\n{body}", self.address).as_bytes()))
    }

    fn is_well(&self) {
        let closing = self.request.replacen("\r\nhost", "\r\nconnection: close\r\nhost", 1);
        assert_eq!(statuses(&self.send(closing.as_bytes())), [self.status], "{}", self.kind);
    }
}

fn rest(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    match stream.read_to_end(&mut all) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("{error}"),
        _ => String::from_utf8_lossy(&all).into_owned(),
    }
}

fn statuses(answers: &str) -> Vec<u16> {
    answers.split("HTTP/1.1 ").skip(1).filter_map(|answer| answer.get(..3)?.parse().ok()).collect()
}

#[test]
fn no_port_lets_itself_be_abused() {
    let scratch = Scratch::new();
    let (mut running, ports) = ports(&scratch);
    for port in &ports {
        let kind = port.kind;
        let inner = format!("GET /smuggled HTTP/1.1\r\nhost: {}\r\n\r\n", port.address);
        let length = inner.len();
        let many = "a:\r\n".repeat(33_000);
        let large = format!("x: {}\r\n", "y".repeat(70_000));
        for (what, lines, body, status) in [
            (
                "CL.TE",
                format!("content-length: {length}\r\ntransfer-encoding: chunked\r\n"),
                format!("0\r\n\r\n{inner}"),
                400,
            ),
            (
                "TE.CL",
                "transfer-encoding: chunked\r\ncontent-length: 3\r\n".to_owned(),
                format!("{length:x}\r\n{inner}\r\n0\r\n\r\n"),
                400,
            ),
            (
                "TE.TE",
                "transfer-encoding: chunked\r\ntransfer-encoding: cow\r\n".to_owned(),
                format!("0\r\n\r\n{inner}"),
                400,
            ),
            ("two lengths", format!("content-length: 0\r\ncontent-length: {length}\r\n"), inner.clone(), 400),
            ("obs-fold", format!("x: y\r\n content-length: {length}\r\n"), inner.clone(), 400),
            ("bare LF", format!("x: y\ncontent-length: {length}\r\n"), inner.clone(), 400),
            ("NUL", "x: a\0b\r\n".to_owned(), inner.clone(), 400),
            ("space before the colon", format!("content-length : {length}\r\n"), inner.clone(), 400),
            (
                "a chunk's size that is none",
                "transfer-encoding: chunked\r\n".to_owned(),
                format!("0x5\r\nhello\r\n{inner}"),
                400,
            ),
            (
                "a chunk longer than its size",
                "transfer-encoding: chunked\r\n".to_owned(),
                format!("2\r\nhello\r\n{inner}"),
                400,
            ),
            ("a second host", "host: other\r\n".to_owned(), String::new(), 400),
            ("a value outside ASCII", "x: \u{e9}\r\n".to_owned(), String::new(), 400),
            ("a body over the limit", "content-length: 99999999\r\n".to_owned(), String::new(), 413),
            ("an expectation", "expect: tea\r\n".to_owned(), String::new(), 417),
            ("an oversized header", large, String::new(), 431),
            ("33,000 headers", many, String::new(), 431),
        ] {
            assert_eq!(port.asked(&lines, &body), [status], "{kind}: {what}");
        }
        let line = |line: &str| {
            statuses(&port.send(format!("{line}\r\nhost: {}\r\nconnection: close\r\n\r\n", port.address).as_bytes()))
        };
        for wrong in [
            "GET h:80 HTTP/1.1",
            "GET * HTTP/1.1",
            "GET /a#b HTTP/1.1",
            "GET /a b HTTP/1.1",
            "G@T / HTTP/1.1",
            "CONNECT / HTTP/1.1",
        ] {
            assert_eq!(line(wrong), [400], "{kind}: {wrong}");
        }
        assert_eq!(line("GET / HTTP/2.0"), [505], "{kind}");
        // Valid forms. The status depends on the port, but there has to be exactly one answer.
        for right in [
            "GET http://h/ HTTP/1.1",
            "GET /%2e%2e/%2E%2e/etc/passwd HTTP/1.1",
            "GET /%00 HTTP/1.1",
            "CONNECT h:80 HTTP/1.1",
            "OPTIONS * HTTP/1.1",
        ] {
            let answers = line(right);
            assert!(answers.len() == 1 && answers[0] < 502 && answers[0] != 500, "{kind}: {right}: {answers:?}");
        }
        let garbage = statuses(&port.send(format!("{}\0\0garbage", port.request).as_bytes()));
        assert_eq!(garbage, [port.status, 400], "{kind}: garbage after a request");
        assert_eq!(statuses(&port.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")), [400], "{kind}: TLS");
        let twice =
            [port.request.as_str(), &port.request.replacen("\r\nhost", "\r\nconnection: close\r\nhost", 1)].concat();
        assert_eq!(statuses(&port.send(twice.as_bytes())), [port.status; 2], "{kind}: pipelined");
        let head =
            port.send(format!("HEAD / HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", port.address).as_bytes());
        assert!(head.ends_with("\r\n\r\n") && statuses(&head).len() == 1, "{kind}: {head}");
        let waits = "expect: 100-continue\r\ncontent-length: 2\r\nconnection: close\r\n";
        let mut stream = port.connect();
        let first = port.request.split("\r\n").next().unwrap();
        stream.write_all(format!("{first}\r\nhost: {}\r\n{waits}\r\n", port.address).as_bytes()).unwrap();
        let mut interim = [0; 25];
        stream.read_exact(&mut interim).unwrap();
        assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n", "{kind}");
        stream.write_all(b"{}").unwrap();
        assert_eq!(statuses(&rest(&mut stream)).len(), 1, "{kind}");
        port.is_well();
    }
    assert!(running.stop().0.success());
    theater_tests::replays(&running.data);
}

#[test]
fn slow_and_idle_clients_keep_no_port_from_others() {
    let scratch = Scratch::new();
    let (mut running, ports) = ports(&scratch);
    // At each port, a thousand clients send nothing, and one sends its request byte by byte.
    thread::scope(|scope| {
        for port in &ports {
            scope.spawn(move || {
                let idle: Vec<_> = (0..1_000).map(|_| port.connect()).collect();
                port.is_well();
                let mut slow = port.connect();
                let letters = format!("GET / HTTP/1.1\r\nhost: {}\r\nx: {}", port.address, "y".repeat(1_000));
                for letter in letters.as_bytes().chunks(1) {
                    if slow.write_all(letter).is_err() || slow.set_nonblocking(true).is_err() {
                        break;
                    }
                    let answered = slow.peek(&mut [0]).is_ok();
                    slow.set_nonblocking(false).unwrap();
                    if answered {
                        break;
                    }
                    thread::sleep(Duration::from_millis(20));
                }
                assert_eq!(statuses(&rest(&mut slow)), [408], "{}", port.kind);
                port.is_well();
                // Silent clients are disconnected without a response.
                let mut first = idle.into_iter().next().unwrap();
                assert_eq!(rest(&mut first), "", "{}", port.kind);
            });
        }
    });
    assert!(running.stop().0.success());
    theater_tests::replays(&running.data);
}
