//! Tests RFC 6455 byte by byte against an echo server: framing, pings, reserved bits, opcodes, fragmentation, UTF-8,
//! closing, and messages of all sizes, in the order of sections 5 to 8 of the RFC. The cases are those of the Autobahn
//! test suite, sections 1 to 7 and 9; the numbers in the comments are Autobahn's.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use theater_http_listener::{Bound, Config, Listener, Received, Reply, Upgraded};
use theater_plugin_api::Host;
use theater_plugin_api::testing::{FakeHost, block_on};

use crate::{Message, Socket, UpgradePolicy, accept};

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

struct Echo {
    host: Host,
    config: Config,
}

impl Echo {
    async fn speak(self: Arc<Self>, upgraded: Upgraded) {
        let mut socket = Socket::new(self.host.clone(), upgraded, &self.config).await;
        while let Some(message) = socket.next().await {
            let open = match message {
                Message::Text(_) | Message::Binary(_) => socket.send(message).await,
                _ => true,
            };
            if !open {
                break;
            }
        }
        socket.close(None).await;
    }
}

async fn answer(echo: Arc<Echo>, received: Received) -> Reply {
    let origins = ["https://example.com".to_owned()];
    let protocols = ["v2.chat".to_owned(), "mqtt".to_owned()];
    accept(&received, UpgradePolicy { origins: &origins, protocols: &protocols }, |upgraded| echo.speak(upgraded))
}

struct Server {
    _host: FakeHost,
    address: SocketAddr,
}

fn start(config: Value) -> Server {
    let fake = FakeHost::new();
    let config: Config = serde_json::from_value(config).unwrap();
    let bound = block_on(Bound::new(&config)).unwrap();
    let address = bound.address();
    let listener = Listener::new(fake.host(), bound, &config);
    block_on(listener.serve(Arc::new(Echo { host: fake.host(), config }), answer)).unwrap();
    Server { _host: fake, address }
}

/// An upgraded connection.
struct Client(TcpStream);

/// A received frame: whether it is the last of its message, opcode, payload.
type Frame = (bool, u8, Vec<u8>);

impl Server {
    fn open(&self) -> Client {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.set_nodelay(true).unwrap();
        let request = "GET / HTTP/1.1\r\nhost: h\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
                       sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        stream.write_all(request.as_bytes()).unwrap();
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        // The key and its answer are those of RFC 6455, section 1.3.
        assert!(
            head.starts_with("HTTP/1.1 101 ") && head.contains("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
        );
        Client(stream)
    }

    /// Returns all frames that the server sends back until it closes; sends the bytes at once, and again one by one.
    fn answers(&self, sent: &[Vec<u8>]) -> Vec<Frame> {
        let whole = self.open().exchange(&[sent.concat()]);
        let bytes: Vec<Vec<u8>> = sent.concat().chunks(1).map(<[u8]>::to_vec).collect();
        // Bytes that are sent after an error may reset the connection before the answer is read.
        if sent.concat().len() < 2_000 {
            assert_eq!(self.open().exchange(&bytes), whole);
        }
        whole
    }

    /// Returns the code of the server's close frame; the frames before it must equal `before`.
    fn closed_with(&self, sent: &[Vec<u8>], before: &[Frame]) -> u16 {
        let mut answers = self.answers(sent);
        let Some((true, CLOSE, payload)) = answers.pop() else { panic!("no close for {sent:?}") };
        assert_eq!(answers, before, "{sent:?}");
        u16::from_be_bytes([payload[0], payload[1]])
    }
}

impl Client {
    fn exchange(mut self, parts: &[Vec<u8>]) -> Vec<Frame> {
        for part in parts {
            // The server may close before it has read everything.
            if self.0.write_all(part).is_err() {
                break;
            }
        }
        let mut frames = Vec::new();
        while let Some(frame) = self.next() {
            frames.push(frame);
        }
        frames
    }

    /// Reads the next frame; `None` at the end of the stream.
    fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 2];
        match self.0.read_exact(&mut head) {
            Ok(()) => {}
            Err(error) if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => return None,
            Err(error) => panic!("{error}"),
        }
        assert_eq!((head[0] & 0x70, head[1] & 0x80), (0, 0), "no reserved bits, and no mask");
        let length = match head[1] {
            126 => {
                let mut length = [0; 2];
                self.0.read_exact(&mut length).unwrap();
                usize::from(u16::from_be_bytes(length))
            }
            127 => {
                let mut length = [0; 8];
                self.0.read_exact(&mut length).unwrap();
                u64::from_be_bytes(length) as usize
            }
            length => usize::from(length),
        };
        let mut payload = vec![0; length];
        self.0.read_exact(&mut payload).unwrap();
        Some((head[0] & 0x80 != 0, head[0] & 15, payload))
    }

    fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }
}

/// Builds a masked frame with the given first byte.
fn framed(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..=125 => frame.push(0x80 | length as u8),
        length @ 126..=65_535 => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// Builds the last frame of a message.
fn last(opcode: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    framed(0x80 | opcode, payload.as_ref())
}

/// Builds a frame that is followed by more frames of its message.
fn more(opcode: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    framed(opcode, payload.as_ref())
}

fn close(code: u16) -> Vec<u8> {
    last(CLOSE, code.to_be_bytes())
}

fn came(opcode: u8, payload: impl AsRef<[u8]>) -> Frame {
    (true, opcode, payload.as_ref().to_vec())
}

fn goodbye(code: u16) -> Frame {
    came(CLOSE, code.to_be_bytes())
}

/// 1.1, 1.2
#[test]
fn messages_of_every_form_of_length_come_back() {
    let server = start(json!({}));
    for length in [0, 1, 125, 126, 127, 128, 65_535, 65_536] {
        for (opcode, byte) in [(TEXT, b'*'), (BINARY, 0xfe)] {
            let payload = vec![byte; length];
            let answers = server.answers(&[last(opcode, &payload), close(1000)]);
            assert_eq!(answers, [came(opcode, &payload), goodbye(1000)], "{opcode} {length}");
        }
    }
    let payload = vec![b'*'; 65_536];
    let frames = [last(TEXT, &payload), close(1000)].concat();
    let pieces: Vec<Vec<u8>> = frames.chunks(997).map(<[u8]>::to_vec).collect();
    assert_eq!(server.open().exchange(&pieces), [came(TEXT, &payload), goodbye(1000)]);
}

/// 2
#[test]
fn pings_are_answered_and_pongs_are_not() {
    let server = start(json!({}));
    for payload in [&b""[..], b"Hello, world!", b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff", &[0xfe; 125]] {
        assert_eq!(server.answers(&[last(PING, payload), close(1000)]), [came(PONG, payload), goodbye(1000)]);
    }
    assert_eq!(server.closed_with(&[last(PING, [0xfe; 126])], &[]), 1002);
    for pong in [last(PONG, ""), last(PONG, "unsolicited")] {
        let frames = [pong, last(PING, "ping"), close(1000)];
        assert_eq!(server.answers(&frames), [came(PONG, "ping"), goodbye(1000)]);
    }
    let ten = || (0..10).map(|number| format!("payload-{number}"));
    let mut frames: Vec<_> = ten().map(|payload| last(PING, payload)).collect();
    frames.push(close(1000));
    let mut answers: Vec<_> = ten().map(|payload| came(PONG, payload)).collect();
    answers.push(goodbye(1000));
    assert_eq!(server.answers(&frames), answers);
}

/// 3
#[test]
fn reserved_bits_are_a_fault() {
    let server = start(json!({}));
    for bits in 1..=7_u8 {
        for opcode in [CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG] {
            let odd = framed(0x80 | bits << 4 | opcode, b"\x03\xe8");
            assert_eq!(server.closed_with(std::slice::from_ref(&odd), &[]), 1002, "{bits} {opcode}");
            let before = [came(TEXT, "small")];
            assert_eq!(
                server.closed_with(&[last(TEXT, "small"), odd, last(PING, "")], &before),
                1002,
                "{bits} {opcode}"
            );
        }
    }
}

/// 4
#[test]
fn reserved_opcodes_are_a_fault() {
    let server = start(json!({}));
    for opcode in (3..=7).chain(11..=15) {
        assert_eq!(server.closed_with(&[last(opcode, "")], &[]), 1002, "{opcode}");
        assert_eq!(server.closed_with(&[last(opcode, "reserved")], &[]), 1002, "{opcode}");
        let frames = [last(TEXT, "first"), last(opcode, "odd"), last(PING, "")];
        assert_eq!(server.closed_with(&frames, &[came(TEXT, "first")]), 1002, "{opcode}");
    }
}

/// 5
#[test]
fn fragments_make_one_message_with_control_frames_between() {
    let server = start(json!({}));
    for (sent, expected) in [
        (vec![more(TEXT, "frag"), last(CONTINUATION, "ment")], vec![came(TEXT, "fragment")]),
        (vec![more(BINARY, "frag"), last(CONTINUATION, "ment")], vec![came(BINARY, "fragment")]),
        (
            vec![more(TEXT, "frag"), last(PING, "ping"), last(CONTINUATION, "ment")],
            vec![came(PONG, "ping"), came(TEXT, "fragment")],
        ),
        (
            vec![
                more(TEXT, "1"),
                more(CONTINUATION, "2"),
                last(PING, "a"),
                more(CONTINUATION, "3"),
                more(CONTINUATION, "4"),
                last(PING, "b"),
                last(PONG, "c"),
                last(CONTINUATION, "5"),
            ],
            vec![came(PONG, "a"), came(PONG, "b"), came(TEXT, "12345")],
        ),
        (vec![more(TEXT, ""), more(CONTINUATION, ""), last(CONTINUATION, "")], vec![came(TEXT, "")]),
    ] {
        let frames = [sent, vec![close(1000)]].concat();
        assert_eq!(server.answers(&frames), [expected, vec![goodbye(1000)]].concat());
    }
    for (wrong, before) in [
        // Control frames must not be fragmented.
        (vec![more(PING, "frag"), last(CONTINUATION, "ment")], vec![]),
        (vec![more(PONG, "frag"), last(CONTINUATION, "ment")], vec![]),
        (vec![more(CLOSE, "\x03")], vec![]),
        // There is no message to continue.
        (vec![last(CONTINUATION, "nothing"), last(TEXT, "text")], vec![]),
        (vec![more(CONTINUATION, "nothing"), last(TEXT, "text")], vec![]),
        (vec![more(TEXT, "a"), last(CONTINUATION, "b"), more(CONTINUATION, "c")], vec![came(TEXT, "ab")]),
        // A message starts in the middle of another.
        (vec![more(TEXT, "a"), last(TEXT, "b")], vec![]),
        (vec![more(TEXT, "a"), more(BINARY, "b")], vec![]),
        (vec![more(TEXT, "a"), more(CONTINUATION, "b"), last(BINARY, "c")], vec![]),
    ] {
        assert_eq!(server.closed_with(&wrong, &before), 1002, "{wrong:?}");
    }
}

/// 5.19
#[test]
fn fragments_may_come_slowly() {
    let server = start(json!({}));
    let mut client = server.open();
    client.send(&[more(TEXT, "1"), last(PING, "a")].concat());
    assert_eq!(client.next(), Some(came(PONG, "a")));
    std::thread::sleep(Duration::from_millis(100));
    client.send(&[more(CONTINUATION, "2"), last(PING, "b")].concat());
    assert_eq!(client.next(), Some(came(PONG, "b")));
    client.send(&last(CONTINUATION, "3"));
    assert_eq!(client.next(), Some(came(TEXT, "123")));
}

/// 6.1, 6.2, 6.5 to 6.23
#[test]
fn text_that_is_utf8_passes_however_it_is_cut() {
    let server = start(json!({}));
    let texts = [
        "",
        "Hello-\u{b5}@\u{df}\u{f6}\u{e4}\u{fc}\u{e0}\u{e1}-UTF-8!!",
        "\u{3ba}\u{1f79}\u{3c3}\u{3bc}\u{3b5}",
        // The first and the last code points of each length, and around the surrogates.
        "\0",
        "\u{7f}",
        "\u{80}",
        "\u{7ff}",
        "\u{800}",
        "\u{ffff}",
        "\u{10000}",
        "\u{10ffff}",
        "\u{d7ff}",
        "\u{e000}",
        "\u{fffd}",
        "\u{fffe}",
        "\u{1fffe}\u{1ffff}\u{10fffe}",
    ];
    for text in texts {
        let bytes = text.as_bytes();
        let expected = [came(TEXT, text), goodbye(1000)];
        assert_eq!(server.answers(&[last(TEXT, text), close(1000)]), expected, "{text:?}");
        for at in 1..bytes.len() {
            let (first, second) = bytes.split_at(at);
            let frames = [more(TEXT, first), last(CONTINUATION, second), close(1000)];
            assert_eq!(server.open().exchange(&[frames.concat()]), expected, "{text:?} cut at {at}");
        }
        let mut frames = vec![more(TEXT, "")];
        frames.extend(bytes.iter().map(|byte| more(CONTINUATION, [*byte])));
        frames.extend([last(CONTINUATION, ""), close(1000)]);
        assert_eq!(server.answers(&frames), expected, "{text:?} in bytes");
    }
}

/// 6.3, 6.4, 6.6 to 6.21
#[test]
fn text_that_is_no_utf8_closes_with_1007() {
    let server = start(json!({}));
    let wrong: [&[u8]; 31] = [
        b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",
        // Truncated sequences.
        b"\xce",
        b"\xce\xba\xe1",
        b"\xce\xba\xe1\xbd",
        b"\xf4\x8f\xbf",
        // Continuation bytes without a start.
        b"\x80",
        b"\xbf",
        b"\x80\xbf\x80\xbf",
        b"a\x80b",
        // Start bytes without continuation.
        b"\xc3 ",
        b"\xe2\x28\xa1",
        b"\xf0\x28\x8c\xbc",
        b"\xf0\x90\x28\xbc",
        // Overlong encodings.
        b"\xc0\xaf",
        b"\xe0\x80\xaf",
        b"\xf0\x80\x80\xaf",
        b"\xc1\xbf",
        b"\xe0\x9f\xbf",
        b"\xf0\x8f\xbf\xbf",
        b"\xc0\x80",
        // Surrogates.
        b"\xed\xa0\x80",
        b"\xed\xad\xbf",
        b"\xed\xbf\xbf",
        b"\xed\xa0\x80\xed\xb0\x80",
        // Beyond the last code point, and bytes that UTF-8 never uses.
        b"\xf4\x90\x80\x80",
        b"\xf5\x80\x80\x80",
        b"\xf8\x88\x80\x80\x80",
        b"\xfc\x84\x80\x80\x80\x80",
        b"\xfe",
        b"\xff",
        b"\xfe\xfe\xff\xff",
    ];
    for bytes in wrong {
        assert_eq!(server.closed_with(&[last(TEXT, bytes)], &[]), 1007, "{bytes:?}");
        let frames = [more(TEXT, "well, "), last(CONTINUATION, bytes)];
        assert_eq!(server.closed_with(&frames, &[]), 1007, "{bytes:?}");
        // As a binary message, the same bytes are echoed.
        let binary = [last(BINARY, bytes), close(1000)];
        assert_eq!(server.answers(&binary), [came(BINARY, bytes), goodbye(1000)]);
    }
    // The error is found with the fragment that contains it, not with the last one.
    let early = [more(TEXT, b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"), more(CONTINUATION, b"\xf4\x90\x80\x80")];
    assert_eq!(server.closed_with(&early, &[]), 1007);
}

/// 7.1
#[test]
fn nothing_is_answered_behind_a_close() {
    let server = start(json!({}));
    assert_eq!(server.answers(&[last(TEXT, "Hello"), close(1000)]), [came(TEXT, "Hello"), goodbye(1000)]);
    for behind in [close(1000), last(PING, ""), last(TEXT, "late"), last(CONTINUATION, "late")] {
        assert_eq!(server.open().exchange(&[[close(1000), behind].concat()]), [goodbye(1000)]);
    }
    assert_eq!(
        server.open().exchange(&[[more(TEXT, "frag"), close(1000), last(CONTINUATION, "ment")].concat()]),
        [goodbye(1000)]
    );
    let large = vec![b'x'; 256 << 10];
    let frames = [last(TEXT, &large), last(TEXT, "Hello"), close(1000), last(PING, "")].concat();
    assert_eq!(server.open().exchange(&[frames]), [came(TEXT, &large), came(TEXT, "Hello"), goodbye(1000)]);
    // A client may disappear without a close frame.
    drop(server.open());
}

/// 7.3, 7.5, 7.7, 7.9, 7.13
#[test]
fn a_close_is_answered_with_its_code_if_that_is_one() {
    let server = start(json!({}));
    assert_eq!(server.answers(&[last(CLOSE, "")]), [came(CLOSE, "")]);
    assert_eq!(server.closed_with(&[last(CLOSE, "a")], &[]), 1002);
    let with = |code: u16, reason: &[u8]| last(CLOSE, [&code.to_be_bytes()[..], reason].concat());
    for reason in [&b"Hello World!"[..], &[b'*'; 123], "\u{e9}".as_bytes()] {
        assert_eq!(server.closed_with(&[with(1000, reason)], &[]), 1000);
    }
    assert_eq!(server.closed_with(&[with(1000, &[b'*'; 124])], &[]), 1002);
    assert!(matches!(server.closed_with(&[with(1000, b"\xce\xba\xe1\xbd\xb9\xed\xa0\x80")], &[]), 1002 | 1007));
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999] {
        assert_eq!(server.closed_with(&[close(code)], &[]), code);
    }
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        assert_eq!(server.closed_with(&[close(code)], &[]), 1002, "{code}");
    }
}

/// RFC 6455, sections 5.1 and 5.2
#[test]
fn frames_without_mask_and_lengths_that_cannot_be_are_faults() {
    let server = start(json!({}));
    let closed = |frame: &[u8]| server.closed_with(&[frame.to_vec()], &[]);
    assert_eq!(closed(b"\x81\x05Hello"), 1002);
    assert_eq!(closed(b"\x89\x00"), 1002);
    // Longer than any message may be.
    assert_eq!(closed(b"\x82\xff\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00"), 1009);
    assert_eq!(closed(b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00"), 1009);
}

/// 9.1 to 9.6
#[test]
fn messages_up_to_the_limit_come_back_and_larger_ones_close_with_1009() {
    let server = start(json!({}));
    for size in [64 << 10, 1 << 20, 16 << 20] {
        for (opcode, byte) in [(TEXT, b'*'), (BINARY, 0xfe)] {
            let payload = vec![byte; size];
            let writer = last(opcode, &payload);
            let mut client = server.open();
            let mut sending = client.0.try_clone().unwrap();
            let sent = std::thread::spawn(move || sending.write_all(&writer).unwrap());
            assert!(client.next() == Some(came(opcode, &payload)), "{opcode} {size}");
            sent.join().unwrap();
        }
    }
    let too_large = vec![0; (16 << 20) + 1];
    assert_eq!(server.open().exchange(&[last(BINARY, too_large)]).pop().unwrap().2[..2], 1009_u16.to_be_bytes());
    // In fragments of every size.
    let payload = vec![b'*'; 1 << 20];
    for size in [64, 256, 1 << 10, 16 << 10, 256 << 10] {
        let mut frames = more(TEXT, "");
        for part in payload.chunks(size) {
            frames.extend(more(CONTINUATION, part));
        }
        frames.extend(last(CONTINUATION, ""));
        let mut client = server.open();
        client.send(&frames);
        assert!(client.next() == Some(came(TEXT, &payload)), "{size}");
    }
}

/// 9.7, 9.8
#[test]
fn a_thousand_messages_come_back_one_by_one() {
    let server = start(json!({}));
    for size in [0, 16, 64, 256, 1_024, 4_096] {
        let mut client = server.open();
        let (text, binary) = (vec![b'*'; size], vec![0xfe; size]);
        for _ in 0..500 {
            client.send(&last(TEXT, &text));
            assert_eq!(client.next(), Some(came(TEXT, &text)));
            client.send(&last(BINARY, &binary));
            assert_eq!(client.next(), Some(came(BINARY, &binary)));
        }
    }
}

/// RFC 6455, section 4.2
#[test]
fn a_request_that_opens_no_websocket_is_told_why() {
    let server = start(json!({}));
    let asked = |method: &str, headers: &str| {
        let mut stream = TcpStream::connect(server.address).unwrap();
        let request = format!("{method} / HTTP/1.1\r\nhost: h\r\n{headers}\r\n");
        stream.write_all(request.replace(", close", "").as_bytes()).unwrap();
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        (head.split(' ').nth(1).unwrap().parse::<u16>().unwrap(), head)
    };
    let open = "upgrade: websocket\r\nconnection: upgrade\r\n";
    let key = "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let version = "sec-websocket-version: 13\r\n";
    assert_eq!(asked("GET", &format!("{open}{key}{version}")).0, 101);
    assert_eq!(
        asked("GET", &format!("UPGRADE: h2c, WebSocket\r\nConnection: keep-alive, Upgrade\r\n{key}{version}")).0,
        101
    );
    for origin in ["https://example.com", "http://h", "https://H"] {
        assert_eq!(asked("GET", &format!("{open}{key}{version}origin: {origin}\r\n")).0, 101, "{origin}");
    }
    for (headers, status, says) in [
        (format!("{key}{version}"), 426, "upgrade: websocket"),
        (format!("upgrade: h2c\r\nconnection: upgrade\r\n{key}{version}"), 426, "upgrade: websocket"),
        (format!("upgrade: websocket\r\n{key}{version}"), 426, "upgrade: websocket"),
        (format!("{open}{key}"), 426, "sec-websocket-version: 13"),
        (format!("{open}{key}sec-websocket-version: 8\r\n"), 426, "sec-websocket-version: 13"),
        (format!("{open}{key}{version}{version}"), 426, "sec-websocket-version: 13"),
        (format!("{open}{version}"), 400, ""),
        (format!("{open}{version}{key}{key}"), 400, ""),
        (format!("{open}{version}sec-websocket-key: short\r\n"), 400, ""),
        (format!("{open}{version}sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ=a\r\n"), 400, ""),
        (format!("{open}{version}{key}content-length: 0\r\n"), 400, ""),
        (format!("{open}{version}{key}origin: https://example.org\r\n"), 403, ""),
        (format!("{open}{version}{key}origin: null\r\n"), 403, ""),
        (format!("{open}{version}{key}origin: http://h:81\r\n"), 403, ""),
    ] {
        let (found, head) = asked("GET", &headers);
        assert!(found == status && head.contains(says), "{headers:?}: {head}");
    }
    let (status, head) = asked("POST", &format!("{open}{key}{version}"));
    assert!(status == 405 && head.contains("allow: GET"), "{head}");
}
