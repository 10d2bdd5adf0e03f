//! Tests with real programs and a fake actor that receives the calls.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use theater_plugin_api::abi::encoded;
use theater_plugin_api::encoding::decode;
use theater_plugin_api::testing::{FakeHost, attach, block_on};
use theater_plugin_api::{Bytes, Handler};

use crate::theater::simple::process::{OutputMode, ProcessConfig, ProcessStatus};
use crate::{ProcessHandler, Processes};

const STDOUT: u32 = 0;
const STDERR: u32 = 1;
const EXIT: u32 = 2;

/// A folder, removed on drop.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("theater-process-{}-{number}", std::process::id()));
        std::fs::create_dir_all(path.join("inner")).unwrap();
        Self(path.canonicalize().unwrap())
    }
    pub(crate) fn path(&self) -> PathBuf {
        self.0.clone()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

/// A call that the actor received.
#[derive(Debug, Clone, PartialEq, Eq)]
enum ReceivedCall {
    Out(u64, String),
    Err(u64, String),
    Exit(u64, i32),
}

/// An actor that may run a shell; `more` adds to its config.
struct Case {
    host: FakeHost,
    shell: Arc<ProcessHandler>,
    scratch: Scratch,
}

fn case(more: Value) -> Case {
    let scratch = Scratch::new();
    let mut config = json!({ "allowed_programs": ["sh", "sleep", "env"], "allowed_paths": [scratch.path()] });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let host = FakeHost::new();
    host.set_exports(&[STDOUT, STDERR, EXIT], |_, _| encoded(&()));
    let shell = block_on(attach::<Processes>(&host, "process", config)).unwrap();
    Case { host, shell, scratch }
}

fn script(text: &str) -> ProcessConfig {
    ProcessConfig {
        program: "sh".to_owned(),
        args: vec!["-c".to_owned(), text.to_owned()],
        cwd: None,
        env: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
        buffer_size: 4096,
        stdout_mode: OutputMode::LineByLine,
        stderr_mode: OutputMode::LineByLine,
        chunk_size: None,
        execution_timeout: None,
    }
}

impl Case {
    fn start(&self, config: ProcessConfig) -> Result<u64, String> {
        block_on(self.host.call(&self.shell, "os-spawn", &(config,))).unwrap()
    }
    fn run(&self, text: &str) -> u64 {
        self.start(script(text)).unwrap()
    }
    fn write(&self, id: u64, data: &[u8]) -> Result<u32, String> {
        block_on(self.host.call(&self.shell, "os-write-stdin", &(id, Bytes::from(data)))).unwrap()
    }
    fn status(&self, id: u64) -> Result<ProcessStatus, String> {
        block_on(self.host.call(&self.shell, "os-status", &(id,))).unwrap()
    }
    fn signal(&self, id: u64, number: u32) -> Result<(), String> {
        block_on(self.host.call(&self.shell, "os-signal", &(id, number))).unwrap()
    }
    fn kill(&self, id: u64) -> Result<(), String> {
        block_on(self.host.call(&self.shell, "os-kill", &(id,))).unwrap()
    }
    fn next(&self) -> ReceivedCall {
        let called = block_on(self.host.next_call()).unwrap();
        let text = |bytes: Bytes| String::from_utf8(bytes.into_vec()).unwrap();
        match called.export {
            EXIT => {
                let (id, code) = decode(&called.params).unwrap();
                ReceivedCall::Exit(id, code)
            }
            stream => {
                let (id, bytes) = decode(&called.params).unwrap();
                if stream == STDOUT { ReceivedCall::Out(id, text(bytes)) } else { ReceivedCall::Err(id, text(bytes)) }
            }
        }
    }
    /// Returns all calls up to the next exit.
    fn until_exit(&self) -> Vec<ReceivedCall> {
        let mut told = Vec::new();
        loop {
            told.push(self.next());
            if matches!(told.last(), Some(ReceivedCall::Exit(..))) {
                return told;
            }
        }
    }
    /// Returns the standard output up to the exit, and the exit code.
    fn output(&self) -> (Vec<String>, i32) {
        let mut told = self.until_exit();
        let Some(ReceivedCall::Exit(_, code)) = told.pop() else { panic!("{told:?}") };
        let out = |told| match told {
            ReceivedCall::Out(_, text) => text,
            other => panic!("{other:?}"),
        };
        (told.into_iter().map(out).collect(), code)
    }
}

fn lives(process: i32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    !(status.is_empty() || status.contains(") Z "))
}

fn wait_until(what: &str, mut there: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !there() {
        assert!(Instant::now() < end, "waited for {what}");
        std::thread::yield_now();
    }
}

fn number(told: ReceivedCall) -> i32 {
    match told {
        ReceivedCall::Out(_, text) => text.trim().parse().unwrap(),
        other => panic!("{other:?}"),
    }
}

/// [process-1]
#[test]
fn so_many_run_and_no_more() {
    let case = case(json!({ "max_processes": 2 }));
    let first = case.run("read line");
    case.run("read line");
    assert!(case.start(script("true")).unwrap_err().contains("max_processes = 3"));
    case.write(first, b"").unwrap();
    assert_eq!(case.next(), ReceivedCall::Exit(first, 1));
    assert_eq!(case.run("true"), 3);
    let other = self::case(json!({ "max_processes": 0 }));
    assert!(other.start(script("true")).unwrap_err().contains("max_processes = 1"));
}

/// [process-2] [process-6] [process-7] [process-46] [process-48]
#[test]
fn a_program_is_named_by_its_name_or_its_file() {
    let case = case(json!({ "allowed_programs": ["sh", "/bin/cat", "no-such-program"] }));
    let start = |program: &str| case.start(ProcessConfig { program: program.to_owned(), ..script("true") });
    assert_eq!(start("sh"), Ok(1));
    let file = theater_child_process::find("sh", Some("/usr/bin:/bin".as_ref())).unwrap();
    assert_eq!(start(file.to_str().unwrap()), Ok(2));
    assert_eq!(start("/bin/cat"), Ok(3));
    assert!(start("cat").unwrap_err().contains("allowed_programs = [\"cat\"]"));
    assert!(start("no-such-program").unwrap_err().contains("was not found"));
    for program in ["", "./sh", "/bin/../bin/sh", "../bin/sh", "/etc", "sh\0"] {
        assert!(start(program).unwrap_err().contains("is not allowed"), "{program:?}");
    }
    let nothing = self::case(json!({ "allowed_programs": [] }));
    assert!(nothing.start(script("true")).unwrap_err().contains("allowed_programs = [\"sh\"]"));
}

/// [process-3] [process-8] [process-9] [process-46]
#[test]
fn a_program_runs_below_an_allowed_folder() {
    let case = case(json!({}));
    let start = |cwd: Option<String>| case.start(ProcessConfig { cwd, ..script("pwd -P") });
    let inner = case.scratch.path().join("inner");
    for (cwd, folder) in [(None, case.scratch.path()), (Some(inner.display().to_string()), inner.clone())] {
        start(cwd).unwrap();
        assert_eq!(case.output(), (vec![folder.display().to_string()], 0));
    }
    std::os::unix::fs::symlink("/etc", case.scratch.path().join("out")).unwrap();
    std::os::unix::fs::symlink("inner", case.scratch.path().join("in")).unwrap();
    let below = |name: &str| Some(format!("{}/{name}", case.scratch.path().display()));
    for cwd in [
        Some("/etc".to_owned()),
        Some("/".to_owned()),
        below("out"),
        below("../"),
        below("inner/../../x"),
        Some(String::new()),
    ] {
        assert!(start(cwd.clone()).unwrap_err().contains("is not allowed"), "{cwd:?}");
    }
    assert!(start(below("missing")).unwrap_err().contains("could not be opened"));
    start(below("in")).unwrap();
    assert_eq!(case.output().0, [inner.display().to_string()]);
    let nothing = self::case(json!({ "allowed_paths": [] }));
    assert!(nothing.start(script("true")).unwrap_err().contains("allowed_paths"));
}

/// [process-4] [process-10] [process-11] [process-47]
#[test]
fn what_cannot_be_started_is_refused_with_a_reason() {
    let case = case(json!({ "max_output_buffer": 100 }));
    let wrong = [
        (ProcessConfig { buffer_size: 0, ..script("") }, "buffer-size = 0"),
        (ProcessConfig { buffer_size: 101, ..script("") }, "1 to 100"),
        (ProcessConfig { buffer_size: 1, stdout_mode: OutputMode::Chunked, ..script("") }, "needs chunk-size"),
        (ProcessConfig { buffer_size: 1, stderr_mode: OutputMode::Chunked, ..script("") }, "needs chunk-size"),
        (ProcessConfig { buffer_size: 1, chunk_size: Some(0), ..script("") }, "chunk-size = 0"),
        (ProcessConfig { buffer_size: 1, chunk_size: Some(101), ..script("") }, "chunk-size = 101"),
        (ProcessConfig { buffer_size: 1, execution_timeout: Some(0), ..script("") }, "execution-timeout = 0"),
        (ProcessConfig { buffer_size: 1, ..script("a\0b") }, "an argument has a NUL"),
        (ProcessConfig { buffer_size: 1, env: vec![("A=".into(), String::new())], ..script("") }, "env has"),
        (ProcessConfig { buffer_size: 1, env: vec![(String::new(), String::new())], ..script("") }, "env has"),
        (ProcessConfig { buffer_size: 1, env: vec![("A".into(), "\0".into())], ..script("") }, "env has"),
        (ProcessConfig { buffer_size: 1, cwd: Some("\0".into()), ..script("") }, "NUL"),
    ];
    for (config, said) in wrong {
        let error = case.start(config.clone()).unwrap_err();
        assert!(error.contains(said), "{error} of {config:?}");
    }
    assert_eq!(case.host.metric("started"), None);
}

/// [process-5]
#[test]
fn variables_are_those_given_unless_inherited() {
    for (inherit, seen) in [(false, false), (true, true)] {
        let case = case(json!({ "inherit_env": inherit, "allowed_env": ["A"] }));
        let env = vec![("A".to_owned(), "1".to_owned())];
        case.start(ProcessConfig { program: "env".into(), args: Vec::new(), env, ..script("") }).unwrap();
        let (lines, _) = case.output();
        assert!(lines.contains(&"A=1".to_owned()));
        assert_eq!(lines.iter().any(|line| line.starts_with("CARGO_PKG_NAME=")), seen, "{lines:?}");
    }
    let case = case(json!({}));
    for name in ["A", "LD_PRELOAD", "LD_DEBUG_OUTPUT"] {
        let env = vec![(name.to_owned(), "/tmp/x".to_owned())];
        let refused = case.start(ProcessConfig { program: "true".into(), args: Vec::new(), env, ..script("") });
        assert!(refused.unwrap_err().contains(&format!("allowed_env = [{name:?}]")));
    }
}

/// [process-12] [process-13] [process-21] [process-22] [process-23] [process-24] [process-25]
#[test]
fn output_comes_as_its_mode_says_then_one_exit() {
    let case = case(json!({}));
    case.run("echo a; echo; printf b; exit 3");
    assert_eq!(case.output(), (vec!["a".into(), String::new(), "b".into()], 3));
    let raw =
        ProcessConfig { stdout_mode: OutputMode::Raw, buffer_size: 10, ..script("printf 012345678901234567890123") };
    case.start(raw).unwrap();
    let (pieces, _) = case.output();
    assert_eq!(pieces.concat(), "012345678901234567890123");
    assert!(pieces.iter().all(|piece| (1..=10).contains(&piece.len())), "{pieces:?}");
    let chunks = ProcessConfig {
        stdout_mode: OutputMode::Chunked,
        chunk_size: Some(4),
        ..script("printf 0123; sleep 0.1; printf 456789")
    };
    case.start(chunks).unwrap();
    assert_eq!(case.output().0, ["0123", "4567", "89"]);
}

/// [process-23] [process-24] [process-25]
#[test]
fn two_streams_keep_their_order_and_the_exit_is_last() {
    let case = case(json!({}));
    let id = case.run("i=0; while [ $i -lt 500 ]; do echo o$i; echo e$i >&2; i=$((i+1)); done");
    let told = case.until_exit();
    let of = |wanted: fn(&ReceivedCall) -> Option<&String>| told.iter().filter_map(wanted).cloned().collect::<Vec<_>>();
    let out = of(|told| if let ReceivedCall::Out(_, text) = told { Some(text) } else { None });
    let err = of(|told| if let ReceivedCall::Err(_, text) = told { Some(text) } else { None });
    assert_eq!(out, (0..500).map(|number| format!("o{number}")).collect::<Vec<_>>());
    assert_eq!(err, (0..500).map(|number| format!("e{number}")).collect::<Vec<_>>());
    assert_eq!(told.last(), Some(&ReceivedCall::Exit(id, 0)));
    // The next call is another program's exit: the first exit was reported once.
    let other = case.run("true");
    assert_eq!(case.next(), ReceivedCall::Exit(other, 0));
}

/// [process-17] [process-18] [process-20]
#[test]
fn what_is_no_json_is_counted_logged_and_not_delivered() {
    let case = case(json!({}));
    let text = "echo '{\"a\": 1}'; echo nonsense; echo 2";
    case.start(ProcessConfig { stdout_mode: OutputMode::Json, ..script(text) }).unwrap();
    assert_eq!(case.output().0, ["{\"a\": 1}", "2"]);
    assert_eq!(case.host.metric("not_json"), Some(1.0));
    assert!(case.host.lines().iter().any(|line| line.message.contains("\"nonsense\"")));
    assert_eq!(case.host.notes(), [("stdout of program 1, no JSON".to_owned(), b"nonsense".to_vec())]);
}

/// [process-26]
#[test]
fn a_signal_that_ended_it_is_a_negative_code() {
    let case = case(json!({}));
    case.run("kill -15 $$");
    assert_eq!(case.output(), (vec![], -15));
}

/// [process-27] [process-28]
#[test]
fn input_is_written_whole_and_closed_by_nothing() {
    let case = case(json!({}));
    // More than a pipe holds. The program starts to read only after the first check for a blocked program.
    let id = case.run("sleep 0.7; wc -c; sleep 1000");
    let data = vec![b'x'; 1 << 20];
    assert_eq!(case.write(id, &data), Ok(1 << 20));
    assert_eq!(case.write(id, b""), Ok(0));
    assert!(case.write(id, b"").unwrap_err().contains("is closed"));
    assert!(case.write(id, b"more").unwrap_err().contains("is closed"));
    assert_eq!(case.next(), ReceivedCall::Out(id, (1 << 20).to_string()));
}

#[test]
fn input_that_nobody_will_read_is_refused() {
    let case = case(json!({}));
    let id = case.run("exec <&-; echo closed; sleep 1000");
    assert_eq!(case.next(), ReceivedCall::Out(id, "closed".to_owned()));
    let error = case.write(id, b"more").unwrap_err();
    assert!(error.contains("is closed"), "{error}");
}

/// [process-27]
#[test]
fn a_stop_ends_the_wait_for_room() {
    let case = case(json!({}));
    let id = case.run("sleep 1000");
    case.host.stop();
    assert!(case.write(id, &vec![b'x'; 1 << 20]).unwrap_err().contains("being stopped"));
}

/// [process-27]
#[test]
fn a_program_that_has_to_speak_first_ends_the_wait_for_room_once_enough_is_kept() {
    let case = case(json!({ "max_output_buffer": 100_000 }));
    // The actor is busy with the call that writes, so it accepts no output.
    let (_busy, gate) = std::sync::mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    case.host.set_exports(&[STDOUT, STDERR, EXIT], move |_, _| {
        gate.lock().unwrap().recv().unwrap_or_default();
        encoded(&())
    });
    let id = case.run("cat");
    let error = case.write(id, &vec![b'\n'; 4 << 20]).unwrap_err();
    assert!(error.contains("write less at a time") && error.contains("of 4194304 bytes"), "{error}");
}

/// [process-44]
#[test]
fn a_restart_gives_no_id_twice() {
    let plugin = Processes::default();
    let (host, scratch) = (FakeHost::new(), Scratch::new());
    host.set_exports(&[STDOUT, STDERR, EXIT], |_, _| encoded(&()));
    let config = json!({ "allowed_programs": ["sh"], "allowed_paths": [scratch.path()] });
    let life = || block_on(theater_plugin_api::testing::attach_to(&plugin, &host, "process", config.clone())).unwrap();
    let start = |shell: &Arc<ProcessHandler>| -> u64 {
        block_on(host.call::<_, Result<u64, String>>(shell, "os-spawn", &(script("true"),))).unwrap().unwrap()
    };
    let ids = [start(&life()), start(&life())];
    assert_eq!(ids, [1, 2]);
    block_on(theater_plugin_api::Plugin::forget(&plugin, &host.actor())).unwrap();
    assert_eq!(start(&life()), 1);
}

/// [process-29] [process-30] [process-36]
#[test]
fn after_the_exit_status_and_kill_answer_and_the_rest_is_an_error() {
    let case = case(json!({}));
    let before = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64;
    let id = case.run("read line; exit 4");
    let status = case.status(id).unwrap();
    assert!(status.running && status.exit_code.is_none() && status.pid == id, "{status:?}");
    assert!((before..before + 10_000).contains(&status.start_time));
    case.write(id, b"\n").unwrap();
    assert_eq!(case.next(), ReceivedCall::Exit(id, 4));
    let ended = case.status(id).unwrap();
    assert_eq!((ended.running, ended.exit_code, ended.start_time), (false, Some(4), status.start_time));
    assert!(case.write(id, b"x").unwrap_err().contains("has ended"));
    assert!(case.write(id, b"").unwrap_err().contains("has ended"));
    assert!(case.signal(id, 15).unwrap_err().contains("has ended"));
    assert_eq!(case.kill(id), Ok(()));
}

/// [process-31] [process-32]
#[test]
fn signals_are_sent_by_their_numbers() {
    let case = case(json!({}));
    let id = case.run("trap 'echo usr2' USR2; trap 'echo usr1; exit 0' USR1; echo ready; while :; do sleep 0.01; done");
    assert_eq!(case.next(), ReceivedCall::Out(id, "ready".into()));
    case.signal(id, 12).unwrap();
    assert_eq!(case.next(), ReceivedCall::Out(id, "usr2".into()));
    case.signal(id, 10).unwrap();
    assert_eq!(case.output().0, ["usr1"]);
    let id = case.run("sleep 1000");
    for number in [0, 65, u32::MAX] {
        assert!(case.signal(id, number).unwrap_err().contains("is not a signal"), "{number}");
    }
    case.signal(id, 64).unwrap();
    assert_eq!(case.next(), ReceivedCall::Exit(id, -64));
}

/// [process-33] [process-35]
#[test]
fn a_kill_reaches_the_whole_group() {
    let case = case(json!({}));
    let id = case.run("sleep 1000 & echo $!; wait");
    let child = number(case.next());
    case.kill(id).unwrap();
    assert_eq!(case.next(), ReceivedCall::Exit(id, -15));
    wait_until("the child's end", || !lives(child));
}

#[test]
fn with_confine_a_program_reaches_its_paths_and_no_others() {
    if theater_child_process::missing().is_some_and(|missing| missing.contains("NOT confined")) {
        return;
    }
    let outside = Scratch::new();
    std::fs::write(outside.path().join("key"), "secret").unwrap();
    let text = format!("cat {}/key && echo read; echo x > made && cat made", outside.path().display());
    let out = |config| {
        let case = case(config);
        case.run(&text);
        case.until_exit()
    };
    let has = |told: &[ReceivedCall], line: &str| {
        told.iter().any(|one| matches!(one, ReceivedCall::Out(_, text) if text.contains(line)))
    };
    let told = out(json!({ "confine": true }));
    assert!(!has(&told, "secret") && has(&told, "x"), "{told:?}");
    assert!(has(&out(json!({})), "secret"));
    assert!(has(&out(json!({ "confine": true, "readable_paths": [outside.path()] })), "secret"));
}

#[test]
fn a_child_is_confined_where_its_parent_is_and_no_link_widens_its_folders() {
    let narrow = |above, below| crate::config::narrow(&above, &below).unwrap();
    assert_eq!(narrow(json!({ "confine": true }), json!({}))["confine"], json!(true));
    assert_eq!(narrow(json!({}), json!({ "confine": true }))["confine"], json!(true));
    assert_eq!(narrow(json!({}), json!({}))["confine"], json!(false));
    if theater_child_process::missing().is_some_and(|missing| missing.contains("NOT confined")) {
        return;
    }
    let (scratch, outside) = (Scratch::new(), Scratch::new());
    std::fs::write(outside.path().join("key"), "secret").unwrap();
    let link = scratch.path().join("link");
    std::os::unix::fs::symlink(outside.path(), &link).unwrap();
    let case = case(json!({ "confine": true, "allowed_paths": [scratch.path(), link] }));
    case.run(&format!("cat {}/key", outside.path().display()));
    let told = case.until_exit();
    assert!(!told.iter().any(|one| matches!(one, ReceivedCall::Out(..))), "{told:?}");
}

/// [process-34]
#[test]
fn what_ignores_the_first_signal_is_killed_by_the_second() {
    let case = case(json!({}));
    let id = case.run("trap '' TERM; echo ready; while :; do sleep 1; done");
    assert_eq!(case.next(), ReceivedCall::Out(id, "ready".into()));
    let start = Instant::now();
    case.kill(id).unwrap();
    let ended = case.until_exit();
    assert_eq!(ended, [ReceivedCall::Exit(id, -9)]);
    let took = start.elapsed();
    assert!((crate::PATIENCE..crate::PATIENCE + Duration::from_secs(4)).contains(&took), "{took:?}");
}

/// [process-37]
#[test]
fn the_execution_timeout_kills() {
    let case = case(json!({}));
    let id = case.start(ProcessConfig { execution_timeout: Some(1), ..script("sleep 1000") }).unwrap();
    let start = Instant::now();
    assert_eq!(case.next(), ReceivedCall::Exit(id, -9));
    assert!(start.elapsed() >= Duration::from_millis(900));
}

/// [process-38]
#[test]
fn a_stop_kills_all_with_their_children() {
    let case = case(json!({}));
    case.run("trap '' TERM; sleep 1000 & echo $!; wait");
    let first = number(case.next());
    case.run("sleep 1000 & echo $!; wait");
    let second = number(case.next());
    block_on(case.shell.stopped());
    wait_until("the children's ends", || !lives(first) && !lives(second));
    assert!(case.shell.table.running().iter().all(|program| program.group.status().is_some()));
}

/// [process-38]
#[test]
fn a_dropped_handler_leaves_nothing_running() {
    let case = case(json!({}));
    case.run("echo $$; sleep 1000");
    let process = number(case.next());
    case.host.end();
    drop(case.shell);
    wait_until("the program's end", || !std::path::Path::new(&format!("/proc/{process}")).exists());
}

/// [process-39] [process-40]
#[test]
fn a_busy_actor_pauses_the_reading_and_loses_nothing() {
    let case = case(json!({}));
    let (open, gate) = std::sync::mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    case.host.set_exports(&[STDOUT, STDERR, EXIT], move |_, _| {
        gate.lock().unwrap().recv().unwrap();
        encoded(&())
    });
    // More than the buffer and the pipe hold together.
    let text =
        "i=0; while [ $i -lt 60000 ]; do echo line-$i-padding-padding-padding; i=$((i+1)); done; echo done > end";
    let id = case.run(text);
    open.send(()).unwrap();
    assert_eq!(case.next(), ReceivedCall::Out(id, "line-0-padding-padding-padding".into()));
    std::thread::sleep(Duration::from_millis(300));
    assert!(!case.scratch.path().join("end").exists(), "the program was not blocked");
    for _ in 0..60_010 {
        open.send(()).unwrap();
    }
    let (lines, code) = case.output();
    assert_eq!((lines.len(), code), (59_999, 0));
    assert_eq!(lines.last().unwrap(), "line-59999-padding-padding-padding");
}

/// [process-41] [process-43]
#[test]
fn without_an_export_output_is_read_and_noted_and_not_delivered() {
    let case = case(json!({}));
    case.host.set_exports(&[STDERR], |_, _| encoded(&()));
    let id = case.run("echo out; echo err >&2; exit 2");
    assert_eq!(case.until_noted(3), [("stdout of program 1", "out"), ("exit of program 1", "2")].map(owned));
    assert_eq!(case.status(id).unwrap().exit_code, Some(2));
    let none = self::case(json!({}));
    none.host.set_exports(&[], |_, _| encoded(&()));
    none.run("echo out; echo err >&2");
    let mut noted = none.until_noted(3);
    noted.sort();
    let expected =
        [("exit of program 1", "0"), ("stderr of program 1", "err"), ("stdout of program 1", "out")].map(owned);
    assert_eq!(noted, expected);
}

fn owned((what, data): (&str, &str)) -> (String, String) {
    (what.to_owned(), data.to_owned())
}

impl Case {
    /// Returns the notes, once the exit is noted.
    fn until_noted(&self, most: usize) -> Vec<(String, String)> {
        wait_until("the note of the exit", || self.host.notes().iter().any(|(what, _)| what.starts_with("exit")));
        let notes = self.host.notes();
        assert!(notes.len() <= most);
        notes.into_iter().map(|(what, data)| (what, String::from_utf8(data).unwrap())).collect()
    }
}

/// [process-44] [process-45]
#[test]
fn ids_count_from_1_for_each_actor_and_mean_nothing_to_another() {
    let (one, other) = (case(json!({})), case(json!({})));
    assert_eq!((one.run("sleep 1000"), one.run("sleep 1000"), other.run("sleep 1000")), (1, 2, 1));
    for id in [0, 2, 3, u64::MAX] {
        assert!(other.status(id).unwrap_err().contains("has no program"));
        assert!(other.kill(id).unwrap_err().contains("has no program"));
        assert!(other.signal(id, 15).unwrap_err().contains("has no program"));
        assert!(other.write(id, b"x").unwrap_err().contains("has no program"));
    }
}

#[test]
fn a_process_that_left_its_group_holds_no_exit_up() {
    let case = case(json!({}));
    let id = case.run("mkfifo f; setsid sh -c 'echo $$; echo > f; exec sleep 30' & read line < f; exit 5");
    let child = number(case.next());
    assert_eq!(case.next(), ReceivedCall::Exit(id, 5));
    assert!(case.host.lines().iter().any(|line| line.message.contains("held open")));
    assert!(std::process::Command::new("kill").arg(child.to_string()).status().unwrap().success());
}

#[test]
fn a_thousand_short_programs_leave_no_zombie_and_no_descriptor() {
    let alone = "THEATER_TEST_ALONE";
    if std::env::var_os(alone).is_none() {
        // Run this test again in a separate process, without the children and descriptors of other tests.
        let test = "tests::a_thousand_short_programs_leave_no_zombie_and_no_descriptor";
        let mut again = std::process::Command::new(std::env::current_exe().unwrap());
        let output = again.args(["--exact", test]).env(alone, "1").output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    let case = case(json!({}));
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    case.run("true");
    case.next();
    // The guardian of all programs is one child.
    let children = || {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        let of =
            |task: std::io::Result<std::fs::DirEntry>| std::fs::read_to_string(task.unwrap().path().join("children"));
        let ids: String = tasks.map(|task| of(task).unwrap_or_default()).collect();
        ids.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    let (before, guardian) = (open(), children());
    assert_eq!(guardian.len(), 1);
    for number in 0..1_000 {
        let id = case.start(ProcessConfig { args: vec!["-c".into(), format!("exit {}", number % 200)], ..script("") });
        assert_eq!(case.next(), ReceivedCall::Exit(id.unwrap(), number % 200));
    }
    wait_until("descriptors to be closed", || open() <= before);
    assert_eq!(children(), guardian);
    assert_eq!(case.host.metric("ended"), Some(1_001.0));
}

#[test]
fn a_program_of_before_is_told_to_have_been_lost() {
    let case = case(json!({}));
    case.host.recover(&case.shell, "os-spawn", &(script("true"),), &Ok::<u64, String>(3)).unwrap();
    case.host.recover(&case.shell, "os-spawn", &(script("true"),), &Err::<u64, _>("no".to_owned())).unwrap();
    case.host.recover(&case.shell, "os-kill", &(3_u64,), &Ok::<(), String>(())).unwrap();
    block_on(case.shell.started(true)).unwrap();
    assert_eq!(case.next(), ReceivedCall::Exit(3, -9));
    assert_eq!(case.status(3).unwrap().exit_code, Some(-9));
    assert_eq!(case.run("true"), 4);
}

/// A resume gives a handler the state of a snapshot, and the calls that the actor made and received after it.
#[test]
fn ends_of_programs_of_before_are_told_unless_the_actor_heard_of_them() {
    let before = case(json!({}));
    assert_eq!((before.run("exit 7"), before.next()), (1, ReceivedCall::Exit(1, 7)));
    let waits = before.run("sleep 1000");
    let state = before.shell.export_state().unwrap();
    let case = case(json!({}));
    case.shell.import_state(&state).unwrap();
    assert!(case.shell.import_state(b"no state").is_err());
    let ends = [(3, Some(Ok(()))), (4, Some(Err(()))), (5, None::<Result<(), ()>>)];
    for (id, heard) in ends {
        case.host.recover(&case.shell, "os-spawn", &(script("exit 1"),), &Ok::<u64, String>(id)).unwrap();
        case.host.recover(&case.shell, "handle-exit", &(id, 1_i32), &heard).unwrap();
    }
    block_on(case.shell.started(true)).unwrap();
    let mut told = [case.next(), case.next()];
    told.sort_by_key(|told| format!("{told:?}"));
    // A failed exit call is made again; a queued one is delivered by the core.
    assert_eq!(told, [ReceivedCall::Exit(waits, -9), ReceivedCall::Exit(4, 1)]);
    let codes = (1..=5).map(|id| case.status(id).unwrap().exit_code.unwrap()).collect::<Vec<_>>();
    assert_eq!(codes, [7, -9, 1, 1, 1]);
    assert_eq!((case.run("true"), case.next()), (6, ReceivedCall::Exit(6, 0)), "and no others");
}
