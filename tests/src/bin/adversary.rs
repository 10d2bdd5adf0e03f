//! Runs a hostile actor next to a web server, and checks that it stays within its grants and budget.
//!
//! ```text
//! adversary run [SECONDS]     (1800) all attacks in turn, next to hello-http under load
//! adversary files             the attacks on files once, with every opened file traced by `strace`
//! ```
//!
//! The actor has `supervisor`, `message-server`, `store`, `process`, `filesystem` and `http-framework`. It starts
//! children that start children, that nest, loop, crash, flood and compile; it names files that it was not granted; and
//! it floods the pipes of its programs.
//!
//! Prints one JSON object, with the latency of hello-http overall and during each attack; `nothing` is the baseline
//! without an attack. The exit code is 1 if a request to hello-http was not answered, if memory exceeded the budget, if
//! the program did not exit cleanly, or if a file outside the grants was opened. Runs of at least ten minutes also
//! check the latency (p99 under 50 ms, and during each attack at most 20 ms above the baseline) and the time to exit.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde_json::{Value as Json, json};
use theater_tests::talk::{Line, TALK, manifests, try_ask, try_post};
use theater_tests::{HTTP, Running, Scratch, build_folder, memory, try_get};

/// The memory budget of the program, and what it may use in addition: code, threads, journal buffers, allocator slack.
const BUDGET: u64 = 1 << 30;
const BESIDE: u64 = 256 << 20;
/// The shortest run that checks the latency.
const JUDGED: Duration = Duration::from_secs(600);
/// The latency limits in microseconds: p99 of all answers, and how far p99 during one attack may be above the baseline.
const P99: u64 = 50_000;
const ABOVE: u64 = 20_000;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let what = arguments.next().unwrap_or_default();
    let seconds = arguments.next().and_then(|seconds| seconds.parse().ok()).unwrap_or(1_800);
    let (figures, held) = match what.as_str() {
        "run" => run(Duration::from_secs(seconds)),
        "files" => files(),
        _ => {
            eprintln!("adversary run [SECONDS] | files");
            return ExitCode::from(2);
        }
    };
    println!("{figures}");
    if held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Retains only the data since the last snapshot: the attacks would otherwise fill the disk within half an hour.
const CHAIN: &str = "[chain]\nkeep = \"snapshots\"\nsnapshot_every = 100\n";
const SUPERVISE: &str = "[[handlers]]\ntype = \"supervisor\"\n";
const TIMING: &str = "[[handlers]]\ntype = \"timing\"\n";
const MESSAGES: &str = "[[handlers]]\ntype = \"message-server\"\n";
const FOLDER: &str = "[[handlers]]\ntype = \"filesystem\"\nconfig = { path = \"work\", read = true, write = true }\n";
const PROGRAMS: &str =
    "[[handlers]]\ntype = \"process\"\nconfig = { allowed_programs = [\"sh\"], allowed_paths = [\"work\"] }\n";

/// The folders and manifests of a run.
struct Stage {
    scratch: Scratch,
    /// A folder outside of every grant, with a file that no one may open.
    secret: Scratch,
    paths: Vec<String>,
    /// How often an attack repeats its step, where it has one.
    times: u64,
    /// The last refusal in the current attack.
    refused: Mutex<String>,
}

impl Stage {
    fn new(times: u64) -> Self {
        let (scratch, secret) = (Scratch::new(), Scratch::new());
        std::fs::create_dir(scratch.path().join("work")).expect("a folder");
        secret.write("secret", "hunter2");
        let below = format!("{CHAIN}{MESSAGES}{SUPERVISE}{TIMING}");
        scratch.write("below.toml", format!("name = \"below\"\ncomponent_path = \"tree.wasm\"\n{below}"));
        let framework = "[[handlers]]\ntype = \"http-framework\"\n";
        let tree = format!(
            "max_restarts = 1000000\n{CHAIN}{TALK}{SUPERVISE}{TIMING}[[handlers]]\ntype = \"store\"\n{FOLDER}{PROGRAMS}{framework}"
        );
        let worker = format!("{CHAIN}{MESSAGES}{TIMING}");
        let disk = format!("{CHAIN}{MESSAGES}{FOLDER}{PROGRAMS}");
        let runner = format!("{CHAIN}{MESSAGES}{PROGRAMS}");
        let all = [
            ("hello-http", HTTP),
            ("tree", &tree),
            ("worker", &worker),
            ("disk", &disk),
            ("runner", &runner),
            ("broker", MESSAGES),
            ("subscriber", MESSAGES),
        ];
        let paths = manifests(&scratch, &all);
        assert!(Command::new("mkfifo").arg(scratch.path().join("pipe")).status().expect("mkfifo runs").success());
        Self { scratch, secret, paths, times, refused: Mutex::default() }
    }

    fn secret(&self) -> String {
        self.secret.path().join("secret").display().to_string()
    }

    fn data(&self) -> std::path::PathBuf {
        self.scratch.path().join("data")
    }
}

/// Asks the tree for children and returns the ids of those that started. Stores a refusal in the stage.
fn grow(stage: &Stage, at: SocketAddr, order: Json) -> Vec<String> {
    let grown = try_ask(at, "grow", order).unwrap_or_else(|refused| {
        *stage.refused.lock().expect("no panic while locked") = refused;
        Json::Null
    });
    let ids = grown["children"].as_array().into_iter().flatten();
    ids.filter_map(|id| id.as_str().map(ToOwned::to_owned)).collect()
}

fn order(at: SocketAddr, child: &str, kind: &str, payload: Json) {
    drop(try_ask(at, "tell", json!({ "child": child, "message": { "type": kind, "payload": payload } })));
}

fn clear(at: SocketAddr) {
    let report = try_ask(at, "report", json!({})).unwrap_or_default();
    for child in report["children"].as_array().into_iter().flatten() {
        drop(try_ask(at, "stop", json!({ "child": child })));
    }
}

/// An attack, called with the stage, the address of the adversary, and the number of the round.
type Attack = fn(&Stage, SocketAddr, u64);

/// The attacks by name. The first one does nothing and is the baseline.
const ATTACKS: [(&str, Attack); 11] = [
    (CALM, |_, _, _| thread::sleep(Duration::from_secs(2))),
    ("fork bomb", |stage, at, _| drop(grow(stage, at, json!({ "children": 2, "depth": 12, "tree": "below.toml" })))),
    ("depth bomb", |stage, at, _| drop(grow(stage, at, json!({ "children": 1, "depth": 200, "tree": "below.toml" })))),
    ("files", |stage, at, _| attack_files(stage, at)),
    ("loops", |stage, at, _| {
        for child in grow(stage, at, json!({ "children": 16 })) {
            order(at, &child, "busy", json!({ "ms": 2_000 }));
        }
        thread::sleep(Duration::from_millis(2_500));
    }),
    ("mailbox flood", |stage, at, _| {
        let Some(child) = grow(stage, at, json!({ "children": 1 })).pop() else { return };
        order(at, &child, "sleep", json!({ "ms": 20_000 }));
        let message = json!({ "type": "echo", "payload": "x".repeat(1 << 20) });
        let body = json!({ "type": "tell", "payload": { "child": child, "message": message } }).to_string();
        for _ in 0..stage.times {
            drop(try_post(at, "/send", body.as_bytes()));
        }
    }),
    ("state bomb", |stage, at, _| {
        // Each child has another initial state of 1 MiB.
        let state = "y".repeat(1 << 20);
        for number in 0..stage.times {
            let manifest = format!(
                "name = \"w{number}\"\ncomponent_path = \"worker.wasm\"\ninit_state = {{ json = {{ id = \"{state}\" }} }}\n{MESSAGES}{TIMING}"
            );
            drop(grow(stage, at, json!({ "children": 1, "worker": manifest })));
        }
    }),
    ("channel flood", |stage, at, _| flood_channels(stage, at)),
    ("compile bomb", |stage, at, round| {
        let component = std::fs::read(stage.scratch.path().join("worker.wasm")).expect("the worker's component");
        for number in 0..20_u64 {
            // A unique custom section makes each one a different component, so that nothing is cached.
            let name = format!("bomb-{round}-{number}");
            let mut bytes = component.clone();
            bytes.extend([0, name.len() as u8 + 1, name.len() as u8]);
            bytes.extend(name.as_bytes());
            stage.scratch.write(&format!("bomb-{number}.wasm"), bytes);
            let manifest = format!("name = \"bomb\"\ncomponent_path = \"bomb-{number}.wasm\"\n{MESSAGES}{TIMING}");
            drop(grow(stage, at, json!({ "children": 1, "worker": manifest })));
        }
    }),
    ("programs", |stage, at, _| {
        let Some(child) = grow(stage, at, json!({ "children": 1, "worker": "runner.toml" })).pop() else { return };
        for script in
            ["yes | head -c 20000000", "while true; do :; done", "sleep 1000 & sleep 1000", "exec cat /dev/zero"]
        {
            order(at, &child, "start", json!({ "program": "sh", "args": ["-c", script] }));
        }
        thread::sleep(Duration::from_secs(1));
    }),
    ("crashes", |stage, at, _| {
        for child in grow(stage, at, json!({ "children": 20 })) {
            order(at, &child, "crash", json!({}));
            drop(try_ask(at, "restart", json!({ "child": child })));
        }
    }),
];

const CALM: &str = "nothing";

/// Opens channels to one child until one is refused.
fn flood_channels(stage: &Stage, at: SocketAddr) {
    let child = |manifest: &str| grow(stage, at, json!({ "children": 1, "worker": manifest })).pop();
    let (Some(broker), Some(subscriber)) = (child("broker.toml"), child("subscriber.toml")) else { return };
    for topic in 0..20_000_u64 {
        let payload = json!({ "broker": broker, "topic": topic.to_string() });
        let message = json!({ "type": "subscribe", "payload": payload });
        if let Err(refused) = try_ask(at, "ask", json!({ "child": subscriber, "message": message })) {
            *stage.refused.lock().expect("no panic while locked") = format!("after {topic} channels: {refused}");
            return;
        }
    }
    *stage.refused.lock().expect("no panic while locked") = "20000 channels and no limit".to_owned();
}

/// Tries to read files that were not granted, through manifests and through the filesystem plugin.
fn attack_files(stage: &Stage, at: SocketAddr) {
    let secret = stage.secret();
    std::os::unix::fs::symlink(&secret, stage.scratch.path().join("link")).unwrap_or_default();
    let climbing = format!("../../../../../../../../..{secret}");
    let named = [
        &secret,
        &climbing,
        "link",
        "pipe",
        "/dev/zero",
        "/etc/shadow",
        "data/journal/00000001.log",
        "work/../data/LOCK",
    ];
    for path in named {
        let component = format!("name = \"x\"\ncomponent_path = {path:?}\n");
        let state =
            format!("name = \"x\"\ncomponent_path = \"worker.wasm\"\ninit_state = {path:?}\n{MESSAGES}{TIMING}");
        for manifest in [path, &component, &state] {
            assert!(
                grow(stage, at, json!({ "children": 1, "worker": manifest })).is_empty(),
                "a child was started from {manifest}"
            );
        }
    }
    let Some(disk) = grow(stage, at, json!({ "children": 1, "worker": "disk.toml" })).pop() else { return };
    std::os::unix::fs::symlink(&secret, stage.scratch.path().join("work/link")).unwrap_or_default();
    for path in [&secret, &climbing, "link", "../data/LOCK", "/proc/self/environ"] {
        let message = json!({ "type": "read-file", "payload": { "path": path } });
        let read = try_ask(at, "ask", json!({ "child": disk, "message": message })).unwrap_or_default();
        assert!(read.get("ok").is_none(), "{path} was read: {read}");
    }
}

fn run(time: Duration) -> (Json, bool) {
    let stage = Stage::new(if time < JUDGED { 20 } else { 200 });
    let budget = BUDGET.to_string();
    let started: Vec<&str> = ["--memory", &budget, "--log", "error"]
        .into_iter()
        .chain(stage.paths[..2].iter().map(String::as_str))
        .collect();
    let mut running = Running::start(&stage.data(), &started);
    let (hello, tree) = (running.address(0), running.address(1));
    let (over, peak, wrong) =
        (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let beside = Arc::new(Mutex::new(histogram()));
    let load = {
        let (over, wrong, beside) = (Arc::clone(&over), Arc::clone(&wrong), Arc::clone(&beside));
        thread::spawn(move || load(hello, &over, &wrong, &beside))
    };
    let watch = {
        let (over, peak, pid) = (Arc::clone(&over), Arc::clone(&peak), running.pid().to_string());
        thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                peak.fetch_max(memory::of(&pid, "Pss:") * 1024, Ordering::Relaxed);
                thread::sleep(Duration::from_millis(100));
            }
        })
    };
    let start = Instant::now();
    let (mut attacks, mut refusals) = (0, BTreeMap::new());
    let (mut latency, mut each) = (histogram(), BTreeMap::new());
    for (round, (name, attack)) in ATTACKS.iter().cycle().enumerate() {
        if start.elapsed() >= time && round >= ATTACKS.len() {
            break;
        }
        eprintln!("{:>5} s: {name}", start.elapsed().as_secs());
        attack(&stage, tree, round as u64);
        let refused = std::mem::take(&mut *stage.refused.lock().expect("no panic while locked"));
        if !refused.is_empty() {
            let skipped = refused.chars().count().saturating_sub(160);
            refusals.insert(*name, refused.chars().skip(skipped).collect::<String>());
        }
        clear(tree);
        attacks += 1;
        let seen = std::mem::replace(&mut *beside.lock().expect("no panic while locked"), histogram());
        latency.add(&seen).expect("the same range");
        each.entry(*name).or_insert_with(histogram).add(&seen).expect("the same range");
    }
    // No attack has a lasting effect: even the adversary still answers, possibly after a restart.
    let answers = theater_tests::wait_until("the adversary's answer", || try_ask(tree, "report", json!({})).ok());
    assert!(answers["children"].is_array());
    over.store(true, Ordering::Relaxed);
    load.join().expect("no panic under load");
    latency.add(&*beside.lock().expect("no panic while locked")).expect("the same range");
    watch.join().expect("no panic while memory was watched");
    let (status, took) = running.stop();
    let (p50, p99) = (latency.value_at_quantile(0.5), latency.value_at_quantile(0.99));
    let (peak, wrong) = (peak.load(Ordering::Relaxed), wrong.load(Ordering::Relaxed));
    let p99s: BTreeMap<_, _> = each.iter().map(|(name, seen)| (*name, seen.value_at_quantile(0.99))).collect();
    let bar = p99s.get(CALM).map_or(ABOVE, |calm| calm + ABOVE);
    let figures = json!({
        "soak": "adversary", "seconds": start.elapsed().as_secs(), "attacks": attacks, "requests": latency.len(), "wrong": wrong,
        "p50_us": p50, "p99_us": p99, "max_us": latency.max(), "peak_pss_mib": peak >> 20, "budget_mib": BUDGET >> 20,
        "end_ms": took.as_millis() as u64, "exit": status.code(), "refused": refusals,
        "p99_us_beside": p99s,
    });
    let in_time =
        time < JUDGED || (p99 < P99 && p99s.values().all(|p99| *p99 <= bar) && took < Duration::from_millis(1_500));
    (figures, wrong == 0 && peak < BUDGET + BESIDE && status.success() && in_time)
}

fn histogram() -> Histogram<u64> {
    Histogram::new(3).expect("three digits")
}

/// Sends requests to hello-http until `over`, and records their latency in microseconds.
fn load(hello: SocketAddr, over: &AtomicBool, wrong: &AtomicU64, seen: &Mutex<Histogram<u64>>) {
    while !over.load(Ordering::Relaxed) {
        let start = Instant::now();
        let answered = try_get(hello, "/").is_ok_and(|response| response.status == 200);
        if !answered {
            wrong.fetch_add(1, Ordering::Relaxed);
        }
        let took = start.elapsed().as_micros() as u64;
        seen.lock().expect("no panic while locked").record(took).expect("in range");
        thread::sleep(Duration::from_millis(2));
    }
}

fn files() -> (Json, bool) {
    let stage = Stage::new(1);
    let seen = stage.scratch.path().join("opened");
    let mut command = Command::new("strace");
    command.args(["--follow-forks", "--trace=open,openat,openat2", "--quiet=all", "--output"]).arg(&seen);
    command.arg(build_folder().join("theater")).args(["run", "--data"]).arg(stage.data()).args(&stage.paths[..2]);
    let mut running = Running::spawn(command, &stage.data());
    let tree = running.address(1);
    attack_files(&stage, tree);
    clear(tree);
    assert!(Line::open(tree).is_ok());
    // strace does not forward signals, so its child is signalled directly.
    let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", running.pid())).unwrap_or_default();
    for child in children.split_whitespace() {
        assert!(Command::new("kill").arg(child).status().expect("kill runs").success());
    }
    let status = running.wait();
    let opened = std::fs::read_to_string(&seen).expect("what strace saw");
    let forbidden = [stage.secret(), "/etc/shadow".to_owned(), "\"/dev/zero\"".to_owned()];
    let outside: Vec<_> = opened.lines().filter(|line| is_opened(line, &forbidden)).collect();
    let figures = json!({
        "soak": "adversary files", "calls": opened.lines().count(), "opened_outside": outside, "exit": status.code(),
    });
    (figures, outside.is_empty() && opened.lines().count() > 100 && is_a_path_seen(&opened, stage.scratch.path()))
}

/// Whether a traced call names one of the files and succeeded.
fn is_opened(line: &str, forbidden: &[String]) -> bool {
    forbidden.iter().any(|path| line.contains(path.as_str())) && !line.contains(" = -1 ") && line.contains(" = ")
}

/// Whether the trace has a file that has to be opened. Otherwise it proves nothing.
fn is_a_path_seen(opened: &str, scratch: &Path) -> bool {
    let scratch = scratch.display().to_string();
    opened.lines().any(|line| line.contains("disk.wasm") || line.contains(&scratch))
}
