//! The first command of the README: an actor that answers HTTP, and how the program exits.

use std::io::{BufReader, Write};
use std::net::TcpStream;

use theater_tests::{HTTP, PROMPT, Running, Scratch, get, manifest, read_response};

#[test]
fn hello_http_counts_its_visitors() {
    let scratch = Scratch::new();
    let (mut running, address) = Running::actor(&scratch, &manifest("hello-http", HTTP));
    let first = get(address, "/");
    assert_eq!((first.status, first.text().as_str()), (200, "Hello! You are visitor number 1.\n"));
    assert_eq!(get(address, "/").text(), "Hello! You are visitor number 2.\n");
    let (status, took) = running.stop();
    assert!(status.success(), "{status}");
    assert!(took < PROMPT, "{took:?}");
}

#[test]
fn json_output_has_one_object_per_line() {
    let scratch = Scratch::new();
    let path = scratch.write("a.toml", manifest("hello-http", HTTP));
    let mut running = Running::start(&scratch.path().join("data"), &["-o", "json", &path.display().to_string()]);
    let line = running.wait_for_line("ready");
    let object: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(object["event"], "ready");
    assert_eq!(object["name"], "hello-http");
    assert!(object["addresses"][0].as_str().unwrap().starts_with("http://127.0.0.1:"));
    assert!(running.stop().0.success());
    theater_tests::replays(&running.data);
    let data = scratch.path().join("data").display().to_string();
    let listed = theater_tests::theater(&["--data", &data, "-o", "json", "chain", "list"]);
    let chain: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(object["id"], chain["id"]);
    assert_eq!(object["id"].as_str().map(str::len), Some(36));
}

#[test]
// [http-server-25]
fn requests_and_responses_stand_in_the_chain() {
    let scratch = Scratch::new();
    let (mut running, address) = Running::actor(&scratch, &manifest("hello-http", HTTP));
    let mut stream = TcpStream::connect(address).unwrap();
    let head = "POST /some/path?with=words HTTP/1.1\r\nHost: a\r\nX-Mark: of this test\r\nContent-Length: 12\r\n\r\n";
    stream.write_all(format!("{head}a whole body").as_bytes()).unwrap();
    let response = read_response(&mut BufReader::new(stream)).unwrap();
    assert_eq!(response.status, 200);
    assert!(running.stop().0.success());
    theater_tests::replays(&running.data);
    let events = theater_tests::chain(&running.data, "hello-http");
    let queued = theater_tests::texts(&events, "queued").concat();
    for part in ["POST", "/some/path?with=words", "x-mark", "of this test", "a whole body"] {
        assert!(queued.contains(part), "{part}: {queued}");
    }
    let returned = theater_tests::texts(&events, "return").concat();
    assert!(returned.contains("200") && returned.contains("Hello! You are visitor number 1."), "{returned}");
}

#[test]
fn both_signals_end_the_program_within_a_second_while_a_handler_loops_and_connections_idle() {
    for signal in ["INT", "TERM"] {
        let scratch = Scratch::new();
        let (mut running, address) = Running::actor(&scratch, &manifest("looper", HTTP));
        let mut idle = Vec::new();
        for _ in 0..10 {
            let mut stream = TcpStream::connect(address).unwrap();
            write!(stream, "GET /ok HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
            let mut reader = BufReader::new(stream);
            assert_eq!(read_response(&mut reader).unwrap().status, 200);
            idle.push(reader);
        }
        let mut looping = TcpStream::connect(address).unwrap();
        write!(looping, "GET /loop HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
        running.wait_for_queued("/loop");
        let start = std::time::Instant::now();
        running.signal(signal);
        let status = running.wait();
        let took = start.elapsed();
        assert!(status.success(), "{signal}: {status}");
        assert!(took < PROMPT, "{signal}: {took:?}");
    }
}

/// An actor whose `init` never ends.
const LOOPS_IN_INIT: &str = r#"(component
  (core module $m
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
    (func (export "init") (param i32 i32 i32 i32 i32) (result i32) (loop $l (br $l)) (i32.const 0)))
  (core instance $i (instantiate $m))
  (alias core export $i "memory" (core memory $mem))
  (alias core export $i "realloc" (core func $realloc))
  (func $init (param "state" (option (list u8))) (param "params" (tuple string))
     (result (result (tuple (option (list u8))) (error string)))
     (canon lift (core func $i "init") (memory $mem) (realloc $realloc)))
  (instance $actor (export "init" (func $init)))
  (export "theater:simple/actor" (instance $actor)))"#;

#[test]
fn a_signal_while_an_actor_starts_ends_the_program_within_a_second() {
    let scratch = Scratch::new();
    let component = scratch.write("loops.wat", LOOPS_IN_INIT).display().to_string();
    let path = scratch.write("a.toml", format!("name = \"loops\"\ncomponent_path = {component:?}\n"));
    let mut running = Running::start(&scratch.path().join("data"), &[&path.display().to_string()]);
    running.wait_for_queued("theater:simple/actor");
    let (status, took) = running.stop();
    assert!(status.success(), "{status}: {:?}", running.errors());
    assert!(took < PROMPT, "{took:?}");
    let data = running.data.display().to_string();
    let listed = theater_tests::theater(&["chain", "list", "--data", &data]);
    assert!(String::from_utf8_lossy(&listed.stdout).contains("last failed"), "{listed:?}");
}

#[test]
fn a_reader_that_stops_reading_does_not_keep_the_program() {
    let scratch = Scratch::new();
    let (mut running, address) = Running::actor(&scratch, &manifest("big-state", HTTP));
    let mut idle = TcpStream::connect(address).unwrap();
    // A request that is never completed.
    write!(idle, "POST /x HTTP/1.1\r\nHost: {address}\r\nContent-Length: 100\r\n\r\nhalf").unwrap();
    assert_eq!(get(address, "/read").status, 200);
    let (status, took) = running.stop();
    assert!(status.success(), "{status}");
    assert!(took < PROMPT, "{took:?}");
}
