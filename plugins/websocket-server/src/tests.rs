//! Tests over real sockets: with tungstenite's client, or with raw frames if a test has to send what no client sends.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use theater_plugin_api::abi::encoded;
use theater_plugin_api::encoding::decode;
use theater_plugin_api::testing::{FakeHost, attach, attach_to, block_on};
use theater_plugin_api::{Bytes, Handler, Plugin};
use tungstenite::{Message, WebSocket};

use crate::WebsocketServer;
use crate::config::Config;
use crate::server::Server;
use crate::theater::simple::websocket_server::{MessageType, WebsocketMessage, WebsocketResponse};

/// A server whose actor echoes every message, but answers some texts as they ask.
struct Case {
    host: FakeHost,
    server: Arc<Server>,
    url: String,
}

fn text(text: &str) -> WebsocketMessage {
    WebsocketMessage { ty: MessageType::Text, data: None, text: Some(text.to_owned()) }
}

fn of(ty: MessageType, data: &[u8]) -> WebsocketMessage {
    WebsocketMessage { ty, data: Some(data.into()), text: None }
}

/// Returns what the actor answers.
fn answers(message: WebsocketMessage) -> Vec<WebsocketMessage> {
    match (&message.ty, message.text.as_deref()) {
        (MessageType::Connect, Some(number)) => vec![text(&format!("welcome {number}"))],
        (MessageType::Text, Some("three")) => vec![text("1"), of(MessageType::Binary, b"2"), text("3")],
        (MessageType::Text, Some("bye")) => {
            vec![text("so long"), WebsocketMessage { ty: MessageType::Close, data: None, text: None }, text("never")]
        }
        (MessageType::Text, Some("ping")) => vec![of(MessageType::Ping, b"are you there")],
        (MessageType::Text, Some("wrong")) => vec![
            of(MessageType::Connect, b""),
            of(MessageType::Other("odd".to_owned()), b""),
            of(MessageType::Ping, &[0; 126]),
            text("right"),
        ],
        (MessageType::Text, Some("much")) => (0..40).map(|_| of(MessageType::Binary, &vec![7; 1 << 20])).collect(),
        (MessageType::Text | MessageType::Binary, _) => vec![message],
        _ => Vec::new(),
    }
}

fn start(config: Value) -> Case {
    started(&WebsocketServer::default(), FakeHost::new(), config)
}

fn started(plugin: &WebsocketServer, host: FakeHost, config: Value) -> Case {
    host.set_exports(&[0], |_, params| {
        let (message,): (WebsocketMessage,) = decode(params).unwrap();
        if message.text.as_deref() == Some("fail") {
            return theater_plugin_api::testing::Answer::error("the actor says no");
        }
        encoded(&(WebsocketResponse { messages: answers(message) },))
    });
    let server = block_on(attach_to(plugin, &host, "websocket-server", config)).unwrap();
    let url = block_on(server.started(false)).unwrap().remove(0);
    Case { host, server, url }
}

type Client = WebSocket<TcpStream>;

impl Case {
    fn address(&self) -> &str {
        self.url.strip_prefix("ws://").unwrap().split('/').next().unwrap()
    }
    fn stream(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }
    fn open(&self) -> Client {
        tungstenite::client(self.url.as_str(), self.stream()).unwrap().0
    }
    /// Sends a request, and returns the head of the response.
    fn ask(&self, head: &str) -> String {
        let mut stream = self.stream();
        stream.write_all(head.replace('\n', "\r\n").as_bytes()).unwrap();
        let (mut text, mut byte) = (Vec::new(), [0]);
        while !text.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() > 0 {
            text.push(byte[0]);
        }
        String::from_utf8(text).unwrap()
    }
    /// Opens a connection that has switched protocols; nothing after the head has been read.
    fn raw(&self) -> TcpStream {
        let mut stream = self.stream();
        stream.write_all(OPEN.replace('\n', "\r\n").as_bytes()).unwrap();
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
        stream
    }
    fn next_event(&self) -> WebsocketMessage {
        let called = block_on(self.host.next_call()).unwrap();
        decode::<(WebsocketMessage,)>(&called.params).unwrap().0
    }
}

const OPEN: &str = "GET / HTTP/1.1\nhost: h\nupgrade: websocket\nconnection: keep-alive, Upgrade\n\
                    sec-websocket-version: 13\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\n\n";

/// Returns a frame as a client sends it; its mask is zero.
fn frame(last: bool, opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![u8::from(last) << 7 | opcode];
    match payload.len() {
        length @ 0..=125 => frame.push(0x80 | length as u8),
        length => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

/// Reads the frames of a server until it closes, each with its opcode and payload.
fn frames(stream: &mut TcpStream) -> Vec<(u8, Vec<u8>)> {
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    let (mut frames, mut rest) = (Vec::new(), &all[..]);
    while let [first, length, ..] = rest {
        let (length, head) = match length {
            126 => (usize::from(u16::from_be_bytes([rest[2], rest[3]])), 4),
            length => (usize::from(*length), 2),
        };
        frames.push((first & 15, rest[head..head + length].to_vec()));
        rest = &rest[head + length..];
    }
    frames
}

fn next(client: &mut Client) -> Message {
    client.read().unwrap()
}

/// Reads up to the next close frame, and returns its code.
fn closed(client: &mut Client) -> u16 {
    loop {
        match client.read() {
            Ok(Message::Close(Some(frame))) => return frame.code.into(),
            Ok(_) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// [websocket-server-2] [websocket-server-3] [websocket-server-4] [websocket-server-23]
#[test]
fn it_listens_where_the_config_says() {
    let case = start(json!({ "path": "/chat" }));
    assert!(case.url.starts_with("ws://127.0.0.1:") && case.url.ends_with("/chat") && !case.url.contains(":0/"));
    let mut client = tungstenite::client(format!("{}?a=b", case.url), case.stream()).unwrap().0;
    assert_eq!(next(&mut client), Message::text("welcome 1"));
    let other = case.url.replace("/chat", "/other");
    assert!(tungstenite::client(other, case.stream()).unwrap_err().to_string().contains("404"));
    let port = case.address().rsplit(':').next().unwrap().parse::<u16>().unwrap();
    let refused = block_on(attach::<WebsocketServer>(&FakeHost::new(), "websocket-server", json!({ "port": port })));
    assert!(refused.err().unwrap().contains("is in use"));
}

/// [websocket-server-24]
#[test]
fn ipv6_works() {
    let case = start(json!({ "host": "::1" }));
    assert_eq!(next(&mut case.open()), Message::text("welcome 1"));
}

/// [websocket-server-5] [websocket-server-6] [websocket-server-7] [websocket-server-8] [websocket-server-25]
#[test]
fn every_event_is_told_and_answered_to_the_client_that_caused_it() {
    let case = start(json!({}));
    // Open one after the other: the order of two concurrent connections is not defined.
    let mut one = case.open();
    assert_eq!(next(&mut one), Message::text("welcome 1"));
    let mut other = case.open();
    assert_eq!(next(&mut other), Message::text("welcome 2"));
    assert_eq!((case.next_event(), case.next_event()), (connect(1), connect(2)));
    other.send(Message::text("h\u{e9}llo")).unwrap();
    assert_eq!((case.next_event(), next(&mut other)), (text("h\u{e9}llo"), Message::text("h\u{e9}llo")));
    one.send(Message::binary(vec![0, 255])).unwrap();
    assert_eq!(
        (case.next_event(), next(&mut one)),
        (of(MessageType::Binary, &[0, 255]), Message::binary(vec![0, 255]))
    );
    one.send(Message::Ping(b"1".to_vec().into())).unwrap();
    assert_eq!((case.next_event(), next(&mut one)), (of(MessageType::Ping, b"1"), Message::Pong(b"1".to_vec().into())));
    one.send(Message::Pong(b"2".to_vec().into())).unwrap();
    assert_eq!(case.next_event(), of(MessageType::Pong, b"2"));
    one.close(None).unwrap();
    assert!(matches!(next(&mut one), Message::Close(_)));
    assert_eq!(case.next_event(), close(1));
    // A connection that is lost without a close has ended too.
    drop(other);
    assert_eq!(case.next_event(), close(2));
}

fn connect(number: u64) -> WebsocketMessage {
    WebsocketMessage { ty: MessageType::Connect, data: None, text: Some(number.to_string()) }
}

fn close(number: u64) -> WebsocketMessage {
    WebsocketMessage { ty: MessageType::Close, data: None, text: Some(number.to_string()) }
}

/// [websocket-server-9]
#[test]
fn answers_come_in_order() {
    let case = start(json!({}));
    let mut client = case.open();
    next(&mut client);
    for number in 0..200 {
        client.send(Message::text(number.to_string())).unwrap();
    }
    client.send(Message::text("three")).unwrap();
    for number in 0..200 {
        assert_eq!(next(&mut client), Message::text(number.to_string()));
    }
    let last = [next(&mut client), next(&mut client), next(&mut client)];
    assert_eq!(last, [Message::text("1"), Message::binary(b"2".to_vec()), Message::text("3")]);
}

#[test]
fn the_actor_may_close_ping_and_fail() {
    let case = start(json!({}));
    let mut client = case.open();
    next(&mut client);
    client.send(Message::text("ping")).unwrap();
    assert_eq!(next(&mut client), Message::Ping(b"are you there".to_vec().into()));
    client.send(Message::text("fail")).unwrap();
    client.send(Message::text("wrong")).unwrap();
    assert_eq!(next(&mut client), Message::text("right"));
    let lines: Vec<_> = case.host.lines().into_iter().map(|line| line.message).collect();
    for said in ["the actor says no", "only comes in", "no kind \"odd\"", "at most 125 bytes"] {
        assert!(lines.iter().any(|line| line.contains(said)), "{said} in {lines:?}");
    }
    client.send(Message::text("bye")).unwrap();
    assert_eq!(next(&mut client), Message::text("so long"));
    assert_eq!(closed(&mut client), 1000);
}

/// [websocket-server-10]
#[test]
fn a_message_over_the_limit_closes_with_1009() {
    let config: Config = serde_json::from_value(json!({})).unwrap();
    assert_eq!(config.listen.max_body_bytes, 16 << 20);
    let case = start(json!({ "max_body_bytes": 10 }));
    let mut client = case.open();
    next(&mut client);
    client.send(Message::text("0123456789")).unwrap();
    assert_eq!(next(&mut client), Message::text("0123456789"));
    client.send(Message::text("0123456789+")).unwrap();
    assert_eq!(closed(&mut client), 1009);
    // Also in fragments that are each within the limit.
    let mut stream = case.raw();
    stream.write_all(&[frame(false, 1, b"012345"), frame(true, 0, b"6789+")].concat()).unwrap();
    assert_eq!(
        frames(&mut stream).last().map(|(kind, payload)| (*kind, payload[..2].to_vec())),
        Some((8, vec![3, 241]))
    );
}

/// [websocket-server-11] [websocket-server-12] [websocket-server-13]
#[test]
fn the_limits_of_requests_hold() {
    let case = start(json!({ "max_header_bytes": 300, "read_timeout_ms": 200, "max_connections": 1 }));
    let long = OPEN.replacen("host: h", &format!("host: h\nx: {}", "y".repeat(300)), 1);
    assert!(case.ask(&long).starts_with("HTTP/1.1 431 "));
    // From here on, the previous connection may not be closed yet.
    let start = Instant::now();
    let late = loop {
        let answer = case.ask("GET / HTTP/1.1\nhost");
        if !answer.starts_with("HTTP/1.1 503 ") {
            break answer;
        }
        assert!(start.elapsed() < Duration::from_secs(10), "{answer}");
    };
    assert!(late.starts_with("HTTP/1.1 408 "), "{late}");
    let mut client = loop {
        match tungstenite::client(case.url.as_str(), case.stream()) {
            Ok((client, _)) => break client,
            Err(error) => assert!(start.elapsed() < Duration::from_secs(10), "{error}"),
        }
    };
    next(&mut client);
    assert!(case.ask(OPEN).starts_with("HTTP/1.1 503 "));
    // Keep it open for longer than the timeout of a head.
    std::thread::sleep(Duration::from_millis(500));
    client.send(Message::text("still here")).unwrap();
    assert_eq!(next(&mut client), Message::text("still here"));
}

/// [websocket-server-14] [websocket-server-15]
#[test]
fn a_client_that_does_not_read_is_waited_for_and_then_closed() {
    let case = start(json!({ "read_timeout_ms": 1_000 }));
    let mut client = case.open();
    next(&mut client);
    let start = Instant::now();
    client.send(Message::text("much")).unwrap();
    client.send(Message::text("not read any more")).unwrap();
    assert_eq!((case.next_event(), case.next_event()), (connect(1), text("much")));
    // 40 MB do not fit into a socket's buffer. The connection ends after the timeout, and no other message arrives
    // before that.
    let end = case.next_event();
    assert_eq!(end.ty, MessageType::Close);
    assert!(start.elapsed() >= Duration::from_secs(1), "{:?}", start.elapsed());
    let mut quick = case.open();
    assert_eq!(next(&mut quick), Message::text("welcome 2"));
    // A client that reads in the end receives the reason.
    let case = self::start(json!({ "read_timeout_ms": 300 }));
    let mut client = case.open();
    next(&mut client);
    client.send(Message::text("much")).unwrap();
    let start = Instant::now();
    while case.host.metric("slow_clients").is_none() {
        assert!(start.elapsed() < Duration::from_secs(20));
        std::thread::yield_now();
    }
    assert_eq!(closed(&mut client), 1013);
}

/// [websocket-server-16]
#[test]
fn fragments_are_joined_and_control_frames_stand_between() {
    let case = start(json!({}));
    let mut stream = case.raw();
    let sent = [
        frame(false, 1, b"h\xc3"),
        frame(true, 9, b"ping"),
        frame(false, 0, b"\xa9l"),
        frame(true, 0, b"lo"),
        frame(false, 2, b"1"),
        frame(true, 0, b"2"),
        frame(true, 8, &[3, 232]),
    ];
    stream.write_all(&sent.concat()).unwrap();
    assert_eq!(
        frames(&mut stream),
        [
            (1, b"welcome 1".to_vec()),
            (10, b"ping".to_vec()),
            (1, "h\u{e9}llo".into()),
            (2, b"12".to_vec()),
            (8, vec![3, 232])
        ]
    );
}

/// [websocket-server-17]
#[test]
fn what_is_no_message_closes_with_its_code() {
    let case = start(json!({}));
    let cases = [
        (frame(true, 1, b"\xff"), 1007),
        ([frame(false, 1, b"\xc3"), frame(true, 0, b"(")].concat(), 1007),
        (frame(true, 3, b""), 1002),
        (frame(true, 11, b""), 1002),
        (frame(false, 9, b""), 1002),
        (frame(true, 9, &[0; 126]), 1002),
        (frame(true, 0, b"x"), 1002),
        ([frame(false, 1, b"a"), frame(true, 1, b"b")].concat(), 1002),
        // Reserved bits, and a frame without a mask.
        (vec![0xc1, 0x80, 0, 0, 0, 0], 1002),
        (vec![0x81, 0x01, b'a'], 1002),
    ];
    for (sent, code) in cases {
        let mut stream = case.raw();
        stream.write_all(&sent).unwrap();
        let last = frames(&mut stream).pop().unwrap();
        assert_eq!((last.0, u16::from_be_bytes([last.1[0], last.1[1]])), (8, code), "{sent:?}");
    }
}

/// [websocket-server-18] [websocket-server-20] [websocket-server-21] [websocket-server-22] [websocket-server-26]
#[test]
fn a_config_that_cannot_be_is_refused_by_name() {
    let refused = |config: Value| {
        block_on(attach::<WebsocketServer>(&FakeHost::new(), "websocket-server", config)).err().unwrap()
    };
    assert!(refused(json!({ "host": "0.0.0.0" })).contains("add bind_hosts = [\"0.0.0.0\"]"));
    assert!(refused(json!({ "port": 80 })).contains("add bind_ports = [80]"));
    let tls = json!({ "cert_path": "/nowhere/c", "key_path": "/nowhere/k" });
    assert!(refused(json!({ "tls": tls })).contains("add tls_files = [\"/nowhere/c\"]"));
    let allowed = json!({ "tls": tls, "tls_files": ["/nowhere/c", "/nowhere/k"] });
    assert!(refused(allowed).starts_with("tls: /nowhere/c has no certificate"));
    let schema: Value = serde_json::from_str(include_str!("../config.schema.json")).unwrap();
    let default = |key: &str| schema["properties"][key]["default"].clone();
    let narrowed = WebsocketServer::default().narrow("websocket-server", &Value::Null, &json!({})).unwrap();
    assert_eq!(narrowed, json!({ "bind_hosts": default("bind_hosts"), "bind_ports": default("bind_ports") }));
    assert_eq!((default("tls_files"), default("path")), (json!([]), json!("/")));
}

#[test]
fn only_an_opening_handshake_opens() {
    let case = start(json!({}));
    let without = |line: &str, instead: &str| case.ask(&OPEN.replacen(line, instead, 1));
    assert!(case.ask(OPEN).contains("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "RFC 6455, section 1.3");
    assert!(without("upgrade: websocket\n", "").starts_with("HTTP/1.1 426 "));
    assert!(without("upgrade: websocket", "upgrade: h2c").starts_with("HTTP/1.1 426 "));
    assert!(without("keep-alive, Upgrade", "keep-alive").starts_with("HTTP/1.1 426 "));
    let version = without("version: 13", "version: 8");
    assert!(version.starts_with("HTTP/1.1 426 ") && version.contains("sec-websocket-version: 13"), "{version}");
    assert!(without("sec-websocket-version: 13\n", "").starts_with("HTTP/1.1 426 "));
    assert!(without("sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\n", "").starts_with("HTTP/1.1 400 "));
    assert!(without("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ=").starts_with("HTTP/1.1 400 "));
    assert!(without("sec-websocket-version", "content-length: 0\nsec-websocket-version").starts_with("HTTP/1.1 400 "));
    let post = without("GET", "POST");
    assert!(post.starts_with("HTTP/1.1 405 ") && post.contains("allow: GET"), "{post}");
    assert!(without("GET /", "GET /else").starts_with("HTTP/1.1 404 "));
}

/// [websocket-server-19]
#[test]
fn a_stop_closes_with_1001() {
    let case = start(json!({}));
    let mut clients = [case.open(), case.open(), case.open()];
    clients.iter_mut().for_each(|client| drop(next(client)));
    let stopping = std::thread::spawn({
        let (server, start) = (Arc::clone(&case.server), Instant::now());
        case.host.stop();
        move || {
            block_on(server.stopped());
            start.elapsed()
        }
    });
    for client in &mut clients {
        assert_eq!(closed(client), 1001);
        // tungstenite sends the answer to a close with the next read, which then finds the end.
        while client.read().is_ok() {}
    }
    assert!(stopping.join().unwrap() < Duration::from_secs(4));
    assert!(TcpStream::connect(case.address()).is_err(), "the port is free");
}

/// [websocket-server-25]
#[test]
fn a_restart_gives_no_number_twice() {
    let plugin = WebsocketServer::default();
    let case = started(&plugin, FakeHost::new(), json!({}));
    assert_eq!(next(&mut case.open()), Message::text("welcome 1"));
    let Case { host, server, .. } = case;
    drop(server);
    let again = started(&plugin, host, json!({}));
    assert_eq!(next(&mut again.open()), Message::text("welcome 2"));
    assert_eq!(next(&mut started(&plugin, FakeHost::new(), json!({})).open()), Message::text("welcome 1"));
    block_on(plugin.forget(&again.host.actor())).unwrap();
    assert_eq!(plugin.numbers().len(), 1);
}

#[test]
fn bytes_behind_the_handshake_are_the_first_message() {
    let case = start(json!({}));
    let mut stream = case.stream();
    let mut sent = OPEN.replace('\n', "\r\n").into_bytes();
    sent.extend(frame(true, 2, &Bytes::from(b"early".to_vec())));
    sent.extend(frame(true, 8, &[3, 232]));
    stream.write_all(&sent).unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    assert!(String::from_utf8_lossy(&all).contains("early"));
}

/// A resume passes two things about the previous run's connections to a server: a state, and the later events of the
/// actor.
#[test]
fn connections_that_were_open_when_the_program_before_ended_are_told_to_have_ended() {
    let case = start(json!({}));
    let mut one = case.open();
    assert_eq!(next(&mut one), Message::text("welcome 1"));
    let mut other = case.open();
    assert_eq!(next(&mut other), Message::text("welcome 2"));
    let state = case.server.export_state().unwrap();
    let host = FakeHost::new();
    host.set_exports(&[0], |_, params| {
        let (message,): (WebsocketMessage,) = decode(params).unwrap();
        encoded(&(WebsocketResponse { messages: answers(message) },))
    });
    let server = block_on(attach::<WebsocketServer>(&host, "websocket-server", json!({}))).unwrap();
    server.import_state(&state).unwrap();
    for message in [connect(3), text("4"), close(1), connect(5), close(3)] {
        let answered = Some(Ok::<_, ()>((WebsocketResponse { messages: Vec::new() },)));
        host.recover(&server, "handle-message", &(message,), &answered).unwrap();
    }
    assert!(server.import_state(b"no state").is_err());
    let url = block_on(server.started(true)).unwrap().remove(0);
    let case = Case { host, server, url };
    let mut ended = [case.next_event(), case.next_event()];
    ended.sort_by_key(|message| message.text.clone());
    assert_eq!(ended, [close(2), close(5)]);
    // No number is reused.
    assert_eq!((next(&mut case.open()), case.next_event()), (Message::text("welcome 6"), connect(6)));
}

#[test]
fn a_server_that_is_gone_listens_no_more() {
    let Case { host, server, url } = start(json!({}));
    let case = Case { server: start(json!({})).server, host, url };
    assert_eq!(next(&mut case.open()), Message::text("welcome 1"));
    drop(server);
    let start = Instant::now();
    while TcpStream::connect(case.address()).is_ok() {
        assert!(start.elapsed() < Duration::from_secs(10));
        std::thread::sleep(Duration::from_millis(10));
    }
}
