//! Long-running measurements of websockets and program output.
//!
//! ```text
//! web_soak idle [10000] [30]         this many silent websockets for this many seconds: memory of the program
//! web_soak broadcast [1000] [50] [5] a message to this many clients in this many rounds, with and without a client
//!                                    that never reads, alternating this many times
//! web_soak output [1000]             this many MB of a program's output through an actor that is slow to process it
//! ```
//!
//! Each starts the real program and prints one JSON object. The exit code is 1 if the limit is exceeded.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use theater_tests::bench::median;
use theater_tests::memory::{self, Memory};
use theater_tests::talk::{TALK, ask, manifests};
use theater_tests::{Running, Scratch, component, wait_until};
use tungstenite::{Message, WebSocket};

/// The timeout of every wait.
const PATIENCE: Duration = Duration::from_secs(600);

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let what = arguments.next().unwrap_or_default();
    let mut number = |usual: usize| arguments.next().and_then(|number| number.parse().ok()).unwrap_or(usual);
    let (figures, held) = match what.as_str() {
        "idle" => idle(number(10_000), number(30)),
        "broadcast" => broadcast(number(1_000), number(50), number(5)),
        "output" => output(number(1_000)),
        _ => {
            eprintln!("web_soak idle [SOCKETS] [SECONDS] | broadcast [CLIENTS] [ROUNDS] [TURNS] | output [MB]");
            return ExitCode::from(2);
        }
    };
    println!("{figures}");
    if held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Starts the program with an actor that creates one server.
fn server(scratch: &Scratch, actor: &str, config: &str, more: &str) -> Running {
    let text = format!(
        "name = \"{actor}\"\ncomponent_path = \"{}\"\ninit_state = {{ json = {{ port = 0 }} }}\n\
         [[handlers]]\ntype = \"http-framework\"\nconfig = {{ {config} }}\n{more}",
        component(actor).display()
    );
    let path = scratch.write(&format!("{actor}.toml"), text).display().to_string();
    Running::start(&scratch.path().join("data"), &[&path])
}

// ---- idle ----------------------------------------------------------------------------------------------------------

const OPEN: &str = "GET /jobs HTTP/1.1\r\nhost: h\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
                    sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

fn idle(count: usize, seconds: usize) -> (Json, bool) {
    let scratch = Scratch::new();
    let process = "[[handlers]]\ntype = \"process\"\n";
    let mut running = server(
        &scratch,
        "jobs",
        &format!("max_connections = {0}, max_connections_per_peer = {0}", count + 10),
        process,
    );
    let (address, pid) = (running.address(0), running.pid().to_string());
    let before = memory::of(&pid, "Pss:");
    let begun = Instant::now();
    let mut sockets: Vec<_> = (0..count).map(|_| opened(address)).collect();
    let opening = begun.elapsed();
    thread::sleep(Duration::from_secs(seconds as u64));
    let after = memory::of(&pid, "Pss:");
    // All of them are still open: each answers a ping (RFC 6455, section 5.5.2).
    for socket in &mut sockets {
        socket.write_all(&[0x89, 0x80, 0, 0, 0, 0]).expect("it is open");
    }
    for socket in &mut sockets {
        let mut pong = [0; 2];
        socket.read_exact(&mut pong).expect("it answers");
        assert_eq!(pong, [0x8a, 0]);
    }
    drop(sockets);
    running.stop();
    let figures = json!({
        "soak": "idle", "websockets": count, "opened_s": opening.as_secs_f64(), "pss_kib": after,
        "pss_bytes_each": after.saturating_sub(before) * 1024 / count as u64,
    });
    (figures, after < 1 << 20)
}

/// Opens a websocket and sends nothing after the handshake.
fn opened(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("the server takes it");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    stream.write_all(OPEN.as_bytes()).expect("it is open");
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).expect("an answer");
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
    stream
}

// ---- broadcast -----------------------------------------------------------------------------------------------------

/// Bytes sent to the client that never reads before the measurement starts: more than the socket buffers hold.
const FLOOD: usize = 16 << 20;
const PART: usize = 64 << 10;
/// Length of a measured message.
const LENGTH: usize = 1 << 10;

type Client = WebSocket<TcpStream>;

fn broadcast(count: usize, rounds: usize, turns: usize) -> (Json, bool) {
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for _ in 0..turns {
        without.push(told(count, rounds, false));
        with.push(told(count, rounds, true));
    }
    let (without, with) = (median(without), median(with));
    let ratio = with / without;
    let figures = json!({
        "soak": "broadcast", "clients": count, "rounds": rounds, "last_ms_without": without * 1e3,
        "last_ms_with_one_stuck": with * 1e3, "ratio": ratio,
    });
    (figures, ratio <= 1.2)
}

/// The seconds until the last reading client has received a message, as the median of all rounds.
fn told(count: usize, rounds: usize, stuck: bool) -> f64 {
    let scratch = Scratch::new();
    // The queue is large enough that the server never disconnects the stuck client.
    let config = format!(
        "max_connections = {0}, max_connections_per_peer = {0}, max_websocket_queue_bytes = {1}",
        count + 10,
        4 * FLOOD
    );
    let mut running = server(&scratch, "chat", &config, "");
    let address = running.address(0);
    let first = join(address, "first");
    let mut speaker = join(address, "speaker");
    let mut say = |text: &str| {
        speaker.send(Message::text(text)).expect("the server takes it");
        // Skip the short messages about members who join.
        while speaker.read().expect("the speaker hears itself").len() < text.len() {}
    };
    if stuck {
        for _ in 0..FLOOD / PART {
            say(&"x".repeat(PART));
        }
    }
    let (heard, hearing) = channel();
    let mut readers: Vec<_> =
        (2..count).map(|number| reader(join(address, &format!("n{number}")), heard.clone())).collect();
    let others = readers.len();
    // The first client reads too, or keeps its connection open and never reads.
    let silent = if stuck {
        Some(first)
    } else {
        readers.push(reader(first, channel().0));
        None
    };
    let text = "x".repeat(LENGTH);
    let mut took = Vec::new();
    for _ in 0..rounds {
        let begun = Instant::now();
        say(&text);
        await_all(&hearing, others);
        took.push(begun.elapsed().as_secs_f64());
    }
    running.stop();
    drop(silent);
    for reader in readers {
        reader.join().expect("the reader ends with the server");
    }
    median(took)
}

fn await_all(hearing: &Receiver<()>, count: usize) {
    for _ in 0..count {
        hearing.recv_timeout(PATIENCE).expect("all hear it");
    }
}

fn join(address: SocketAddr, name: &str) -> Client {
    let stream = TcpStream::connect(address).expect("the server takes it");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    tungstenite::client(format!("ws://{address}/chat?name={name}"), stream).expect("a websocket").0
}

/// Reads on a thread and signals each long message.
fn reader(mut client: Client, heard: Sender<()>) -> thread::JoinHandle<()> {
    let reading = move || {
        while let Ok(message) = client.read() {
            if message.len() >= LENGTH {
                heard.send(()).ok();
            }
        }
    };
    thread::Builder::new().stack_size(256 << 10).spawn(reading).expect("a thread")
}

// ---- output --------------------------------------------------------------------------------------------------------

/// From this many MB on, the memory limit applies.
const LONG: usize = 100;

fn output(megabytes: usize) -> (Json, bool) {
    let scratch = Scratch::new();
    let process =
        "[[handlers]]\ntype = \"process\"\nconfig = { allowed_programs = [\"seq\"], allowed_paths = [\".\"] }\n";
    let manifest = manifests(&scratch, &[("runner", &format!("{TALK}{process}"))]);
    let mut running = Running::start(&scratch.path().join("data"), &[manifest[0].as_str()]);
    let address = running.address(0);
    let (last, bytes, digest) = expected(megabytes as u64 * 1_000_000);
    let begun = Instant::now();
    let job = json!({ "program": "seq", "args": [last.to_string()], "mode": "raw", "count": true });
    let id = ask(address, "start", job)["id"].clone();
    // Memory is measured only after the first tenth, so that warming up does not count as growth.
    let part = bytes / 10;
    let counted = || ask(address, "told", json!({}))["count"]["bytes"].as_u64().unwrap_or_default();
    wait_for("the first tenth", || counted() >= part);
    let memory = Memory::watch(running.pid());
    wait_for("the end of the program", || ask(address, "status", json!({ "id": id }))["running"] == false);
    let report = wait_until("the exit notification", || {
        let report = ask(address, "told", json!({}));
        report["told"].as_array().is_some_and(|told| !told.is_empty()).then_some(report)
    });
    let (pss, slope) = memory.end();
    let took = begun.elapsed();
    running.stop();
    let whole = report["count"]["bytes"] == bytes && report["count"]["digest"] == digest;
    let figures = json!({
        "soak": "output", "bytes": report["count"]["bytes"], "whole": whole, "exits": report["told"], "s": took.as_secs_f64(),
        "pss_kib": pss, "pss_slope": slope,
    });
    (figures, whole && report["told"] == json!([[id, "exit", 0]]) && (megabytes < LONG || slope.abs() < 0.1))
}

fn wait_for(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "timeout while waiting for {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// The number that `seq` has to count to for at least this many bytes, and the length and 64-bit FNV-1a of that output.
fn expected(least: u64) -> (u64, u64, u64) {
    let (mut number, mut bytes, mut digest) = (0_u64, 0_u64, 0xcbf2_9ce4_8422_2325_u64);
    while bytes < least {
        number += 1;
        let line = format!("{number}\n");
        bytes += line.len() as u64;
        let step = |digest: u64, byte: u8| (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        digest = line.bytes().fold(digest, step);
    }
    (number, bytes, digest)
}
