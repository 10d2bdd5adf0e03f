//! System benches of PERFORMANCE.md: B1 (start of an actor), B2 (memory of idle ones), B3 (messages), B4 (requests), B5
//! (HTTP).
//!
//! `cargo bench --workspace --bench system`, or some rows: `-- "B3"`. Actors are real components with the real
//! plugins, recorded to a real journal with `sync = "none"`. Beside B3 runs Erlang/OTP (Debian's `erlang-base`) where it
//! is installed. B5 is asked by Debian's `wrk`, and its floor is tide without anything else. What wants a process of its own (a core of its own, memory of its own) runs as `--part`.

use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde_json::{Value as Json, json};
use theater_plugin_api::encoding::encode;
use theater_plugin_api::uuid_text;
use theater_runtime::actor::{CallOutcome, Incoming, Shared};
use theater_runtime::chain::{Chain, INLINE, NewEvent, data_digest, event_hash};
use theater_runtime::core::{Core, Options};
use theater_runtime::executor::block_on;
use theater_runtime::manifest::{Manifest, Values};
use theater_runtime::record::Kind;
use theater_runtime::verify;
use theater_tests::bench::{Only, Row, report, rounds, time};
use theater_tests::{Running, Scratch, build_folder, component, repository, wrk};
use wasmtime::component::{Component, InstancePre, Linker, TypedFunc};
use wasmtime::{Engine, Store};

const SEND: &str = "theater:simple/message-server-client/handle-send";
type Handled = (Result<(Option<Vec<u8>>,), String>,);
type HandleSend = TypedFunc<(Option<&'static [u8]>, (&'static [u8],)), Handled>;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some("--part") {
        let mut word = || arguments.next().unwrap_or_default();
        let (part, count, quick) = (word(), word(), word() == "quick");
        println!("{}", run_part(&part, count.parse().unwrap_or_default(), quick));
        return ExitCode::SUCCESS;
    }
    let only = Only::asked();
    let mut rows = Vec::new();
    rows.extend(starts(&only));
    rows.extend(idle(&only));
    rows.extend(sends(&only));
    rows.extend(requests(&only));
    rows.extend(hellos(&only));
    report(&only, &rows)
}

/// A part in a process of its own, on one core if wanted; what it prints.
fn part(name: &str, count: usize, quick: bool, one_core: bool) -> Json {
    let program = std::env::current_exe().expect("this program");
    let mut command = if one_core { Command::new("taskset") } else { Command::new(&program) };
    if one_core {
        command.args(["-c", "0"]).arg(&program);
    }
    let output = command.args(["--part", name, &count.to_string(), if quick { "quick" } else { "" }]).output();
    let output = output.expect("the part runs");
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("a part prints JSON")
}

fn run_part(name: &str, count: usize, quick: bool) -> Json {
    match name {
        "idle" => json!(idle_actors(count)),
        "idle-floor" => json!(idle_instances(count)),
        "sends" => json!(sends_on_one_core(count, quick)),
        "tide" => bare_tide(),
        other => panic!("there is no part {other}"),
    }
}

fn guest() -> std::path::PathBuf {
    repository().join("tests/benches/talk.wat")
}

/// A core with the real plugins, and the manifest of the guest.
fn open(scratch: &Scratch, more: &str) -> (Arc<Core>, Manifest) {
    let text = format!(
        "name = \"talk\"\ncomponent_path = {:?}\n[chain]\nsync = \"none\"\n[limits]\nrun_timeout_ms = 60000\n{more}\n\
         [[handlers]]\ntype = \"message-server\"\n",
        guest().display().to_string()
    );
    let manifest = Manifest::read(&scratch.write("talk.toml", text), &Values::new()).expect("the bench's manifest");
    let options = Options::new(build_folder(), scratch.path().join("data"));
    (Core::open(options).expect("a core"), manifest)
}

fn close(core: &Arc<Core>) {
    block_on(core.stop("bench", Duration::from_secs(5)));
}

/// The guest without a runtime around it.
fn linked(engine: &Engine) -> InstancePre<()> {
    let component = Component::from_file(engine, guest()).expect("the guest");
    let mut linker = Linker::<()>::new(engine);
    let mut messages = linker.instance("theater:simple/message-server-host").expect("an instance");
    messages.func_wrap("send", |_, (_, _): (String, Vec<u8>)| Ok((Ok::<(), String>(()),))).expect("send");
    messages.func_wrap("request", |_, (_, m): (String, Vec<u8>)| Ok((Ok::<_, String>(m),))).expect("request");
    linker.instantiate_pre(&component).expect("a guest that can be started")
}

/// A bare instance of the guest, and its function.
async fn instance(pre: &InstancePre<()>) -> (Store<()>, HandleSend) {
    let mut store = Store::new(pre.engine(), ());
    store.set_epoch_deadline(u64::MAX / 2);
    let instance = pre.instantiate_async(&mut store).await.expect("an instance");
    let interface = instance.get_export_index(&mut store, None, "theater:simple/message-server-client");
    let function = instance.get_export_index(&mut store, interface.as_ref(), "handle-send").expect("handle-send");
    let function = instance.get_typed_func(&mut store, function).expect("its type");
    (store, function)
}

async fn hot_call(store: &mut Store<()>, function: &HandleSend) {
    let answer = function.call_async(&mut *store, (None, (&[0; 64],))).await.expect("runs");
    assert_eq!(answer.0, Ok((None,)));
}

// ---- B1 ------------------------------------------------------------------------------------------------------------

fn starts(only: &Only) -> Option<Row> {
    const COUNT: u32 = 4_000;
    // Enough for both cores to have work while some wait.
    const TASKS: u32 = 16;
    let name = "B1 start and stop of an actor, two cores".to_owned();
    if !only.has(&name) {
        return None;
    }
    let scratch = Scratch::new();
    let (core, manifest) = open(&scratch, "");
    let pre = linked(&core.engines.pooled);
    let together = |one: &dyn Fn() -> async_std::task::JoinHandle<()>| {
        let tasks: Vec<_> = (0..TASKS).map(|_| one()).collect();
        block_on(async {
            for task in tasks {
                task.await;
            }
        });
    };
    let rounds = rounds(only.quick, 9, || {
        let floor = time(COUNT, || {
            together(&|| {
                let pre = pre.clone();
                async_std::task::spawn(async move {
                    for _ in 0..COUNT / TASKS {
                        let (mut store, function) = instance(&pre).await;
                        hot_call(&mut store, &function).await;
                    }
                })
            });
        });
        let ours = time(COUNT, || {
            together(&|| {
                let (core, manifest) = (Arc::clone(&core), manifest.clone());
                async_std::task::spawn(async move {
                    for _ in 0..COUNT / TASKS {
                        let actor = core.start(&manifest).await.expect("an actor starts");
                        actor.stop("bench", Duration::from_secs(5)).await;
                        assert!(actor.end().is_some());
                    }
                })
            });
        });
        (floor, ours)
    });
    close(&core);
    Some(Row { name, rounds, must: 1.0 / 0.2, goal: 1.0 / 0.6 })
}

// ---- B2 ------------------------------------------------------------------------------------------------------------

fn idle(only: &Only) -> Vec<Row> {
    let mut rows = Vec::new();
    for (count, what) in [(1_000, "1k"), (10_000, "10k")] {
        let name = format!("B2 memory of an idle actor, {what} (bytes)");
        if only.has(&name) {
            let bytes = |which: &str| part(which, count, true, false).as_f64().expect("bytes");
            let rounds = (0..if only.quick { 1 } else { 5 }).map(|_| (bytes("idle-floor"), bytes("idle"))).collect();
            rows.push(Row { name, rounds, must: 4.0, goal: 1.5 });
        }
    }
    let name = "B2 memory of 100k passivated actors, of 1 GiB (bytes)".to_owned();
    if only.has(&name) && !only.quick {
        let all = part("idle", 100_000, true, false).as_f64().expect("bytes") * 100_000.0;
        rows.push(Row { name, rounds: vec![(f64::from(1 << 30), all)], must: 6.0, goal: 1.0 });
    }
    rows
}

/// PSS of this process in bytes.
fn pss() -> u64 {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup").expect("the system tells");
    let line = text.lines().find(|line| line.starts_with("Pss:")).expect("the figure is there");
    let figure = line.split_whitespace().nth(1).and_then(|number| number.parse::<u64>().ok());
    figure.expect("a number") * 1024
}

/// Bytes of PSS each.
fn each(before: u64, count: usize) -> f64 {
    pss().saturating_sub(before) as f64 / count as f64
}

fn idle_actors(count: usize) -> f64 {
    let scratch = Scratch::new();
    let (core, manifest) = open(&scratch, "idle_ms = 1000");
    // What the first one costs is not one actor's.
    block_on(core.start(&manifest)).expect("an actor starts");
    let before = pss();
    let actors: Vec<_> = (0..count).map(|_| block_on(core.start(&manifest)).expect("an actor starts")).collect();
    block_on(core.journal.written()).expect("written");
    let each = each(before, count);
    drop(actors);
    close(&core);
    each
}

fn idle_instances(count: usize) -> f64 {
    let scratch = Scratch::new();
    let (core, _) = open(&scratch, "");
    let pre = linked(&core.engines.pooled);
    // The system's mappings are for 8,191 of them (`vm.max_map_count`); one costs as much as the next.
    let count = count.min(core.engines.pool_size - 1);
    let call = || async {
        let (mut store, function) = instance(&pre).await;
        hot_call(&mut store, &function).await;
        store
    };
    let first = block_on(call());
    let before = pss();
    let stores: Vec<_> = (0..count).map(|_| block_on(call())).collect();
    let each = each(before, count);
    drop((first, stores));
    close(&core);
    each
}

// ---- B3 ------------------------------------------------------------------------------------------------------------

fn sends(only: &Only) -> Option<Row> {
    const COUNT: usize = 50_000;
    let name = "B3 one-way messages, 64 B, recorded, one core".to_owned();
    if !only.has(&name) {
        return None;
    }
    let figures = part("sends", COUNT, only.quick, true);
    let rounds = serde_json::from_value(figures).expect("rounds");
    match erlang(COUNT * 10) {
        Some(ns) => println!("Erlang/OTP, one scheduler on one core: {ns:.0} ns a message of 64 B, not recorded"),
        None => println!("Erlang/OTP: not installed (Debian's erlang-base)"),
    }
    Some(Row { name, rounds, must: 1.0 / 0.3, goal: 1.0 / 0.7 })
}

/// What the guest is told: so many messages, or requests, to an actor.
fn go(count: u32, by_request: bool, to: &Shared) -> Vec<u8> {
    let head = [b"g\0\0\0".to_vec(), count.to_le_bytes().to_vec(), u32::from(by_request).to_le_bytes().to_vec()];
    let message = [head.concat(), to.id_text().as_bytes().to_vec()].concat();
    encode(&(theater_plugin_api::Bytes::from(message.as_slice()),)).expect("bytes encode")
}

async fn told(actor: &Arc<Shared>, params: Vec<u8>) {
    let export = actor.export(SEND).expect("handle-send");
    let incoming = Incoming { export, params, source: "bench".to_owned(), cause: None };
    let outcome = actor.call(incoming).await;
    assert!(matches!(outcome, CallOutcome::Ok(_)), "{outcome:?}");
}

fn sends_on_one_core(count: usize, quick: bool) -> Vec<(f64, f64)> {
    let scratch = Scratch::new();
    let (core, manifest) = open(&scratch, "");
    let [from, to] = [(); 2].map(|()| block_on(core.start(&manifest)).expect("an actor starts"));
    let send = |count: u32| {
        let events = to.head().1 + 2 * u64::from(count);
        block_on(told(&from, go(count, false, &to)));
        // Every message is received: its call is queued and returns.
        let end = Instant::now() + Duration::from_secs(60);
        while to.head().1 < events {
            assert!(Instant::now() < end, "messages are missing");
            block_on(async_std::task::yield_now());
        }
    };
    send(1);
    block_on(core.journal.written()).expect("written");
    let hashed = hashed(&scratch, &from, &to);
    let pre = linked(&core.engines.pooled);
    let (mut store, function) = block_on(instance(&pre));
    let rounds = rounds(quick, 9, || {
        let floor = time(count as u32, || {
            block_on(async {
                for _ in 0..count {
                    hot_call(&mut store, &function).await;
                    for (header, data) in &hashed {
                        std::hint::black_box(event_hash(std::hint::black_box(header)));
                        if let Some(data) = data {
                            std::hint::black_box(data_digest(std::hint::black_box(data)));
                        }
                    }
                }
            });
        });
        let ours = time(count as u32, || send(count as u32));
        (floor, ours)
    });
    drop(store);
    close(&core);
    rounds
}

/// The bytes that are hashed for a message: headers of its three events, and the data that is hashed apart.
fn hashed(scratch: &Scratch, from: &Shared, to: &Shared) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    let mut last = std::collections::BTreeMap::new();
    verify::read(&scratch.path().join("data"), |event| {
        let header = &event.header;
        let data = event.data.expect("data").to_vec();
        let kind = Kind::from_number(header.kind).expect("a known type");
        let wanted = match kind {
            Kind::Host => header.actor == from.id(),
            Kind::Queued | Kind::Return => header.actor == to.id(),
            _ => false,
        };
        if wanted {
            let mut bytes = Vec::new();
            let event =
                NewEvent { kind, function: header.function, cause: header.cause, call: header.call, data: &data };
            Chain::new(header.actor).push(&event, header.timestamp, &mut bytes);
            last.insert(kind.name(), (bytes, (data.len() > INLINE).then_some(data)));
        }
    })
    .expect("the chains verify");
    assert_eq!(last.len(), 3, "{}: {last:?}", uuid_text(&from.id()));
    last.into_values().collect()
}

/// Nanoseconds a message of 64 bytes from process to process.
fn erlang(count: usize) -> Option<f64> {
    let script = repository().join("tests/benches/send.escript");
    let output =
        Command::new("taskset").args(["-c", "0", "escript"]).arg(script).arg(count.to_string()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().parse().expect("nanoseconds"))
}

// ---- B4 ------------------------------------------------------------------------------------------------------------

fn requests(only: &Only) -> Vec<Row> {
    const COUNT: u64 = 5_000;
    let names = ["B4 request and reply, recorded, p50", "B4 request and reply, recorded, p99"];
    if !names.iter().any(|name| only.has(name)) {
        return Vec::new();
    }
    let scratch = Scratch::new();
    let (core, manifest) = open(&scratch, "");
    let [from, to] = [(); 2].map(|()| block_on(core.start(&manifest)).expect("an actor starts"));
    let mut all: [Vec<(f64, f64)>; 2] = Default::default();
    // The first round warms up.
    let _ = rounds(only.quick, 9, || {
        let floor = ping_pong(COUNT);
        let (from, params) = (Arc::clone(&from), go(1, true, &to));
        let ours = block_on(async_std::task::spawn(async move {
            let mut times = Histogram::<u64>::new(3).expect("three digits");
            for _ in 0..COUNT {
                let start = Instant::now();
                told(&from, params.clone()).await;
                times.record(start.elapsed().as_nanos() as u64).expect("in range");
            }
            times
        }));
        for (rows, quantile) in all.iter_mut().zip([0.5, 0.99]) {
            rows.push((floor.value_at_quantile(quantile) as f64, ours.value_at_quantile(quantile) as f64));
        }
        (0.0, 0.0)
    });
    for rows in &mut all {
        rows.remove(0);
    }
    close(&core);
    let bars = [(8.0, 3.0), (40.0, 15.0)];
    let rows = names.into_iter().zip(all).zip(bars);
    rows.map(|((name, rounds), (must, goal))| Row { name: name.to_owned(), rounds, must, goal }).collect()
}

/// Two threads that answer each other.
fn ping_pong(count: u64) -> Histogram<u64> {
    let ((ask, asked), (answer, answered)) = (mpsc::channel::<u64>(), mpsc::channel::<u64>());
    let other = std::thread::spawn(move || {
        while let Ok(number) = asked.recv() {
            answer.send(number).expect("somebody listens");
        }
    });
    let mut times = Histogram::<u64>::new(3).expect("three digits");
    for number in 0..count {
        let start = Instant::now();
        ask.send(number).expect("somebody listens");
        assert_eq!(answered.recv(), Ok(number));
        times.record(start.elapsed().as_nanos() as u64).expect("in range");
    }
    drop(ask);
    other.join().expect("the other ends");
    times
}

// ---- B5 ------------------------------------------------------------------------------------------------------------

/// Nanoseconds per request of an actor that greets, over http-server and over http-framework, and of tide that greets, with
/// one thread that asks beside them.
fn hellos(only: &Only) -> Vec<Row> {
    let cases = [("none", 1), ("none", 64), ("none", 256), ("batch", 64), ("batch", 256)];
    let plugins = ["http-server", "http-framework"];
    let name = |plugin: &str, (sync, connections): (&str, usize)| {
        format!("B5 hello, {plugin}, {connections} connections, sync {sync}")
    };
    if !plugins.iter().any(|plugin| cases.iter().any(|case| only.has(&name(plugin, *case)))) {
        return Vec::new();
    }
    let tide = Tide::start();
    let mut rows = Vec::new();
    for sync in ["none", "batch"] {
        let scratch = Scratch::new();
        let manifests = ["hello-http", "hello-routes"].map(|actor| greeter(&scratch, actor, sync));
        let mut running = Running::start(&scratch.path().join("data"), &manifests.each_ref().map(String::as_str));
        let urls = [0, 1].map(|number| format!("http://{}/", running.address(number)));
        for case in cases.into_iter().filter(|(of, _)| *of == sync) {
            let mut all: [Vec<(f64, f64)>; 2] = Default::default();
            // The first round warms up.
            let _ = rounds(only.quick, 5, || {
                let floor = 1e9 / wrk(&tide.url, case.1, 1);
                for (rounds, url) in all.iter_mut().zip(&urls) {
                    rounds.push((floor, 1e9 / wrk(url, case.1, 1)));
                }
                (0.0, 0.0)
            });
            for (plugin, mut rounds) in plugins.iter().zip(all) {
                rounds.remove(0);
                rows.push(Row { name: name(plugin, case), rounds, must: 2.0, goal: 1.0 / 0.9 });
            }
        }
        running.stop();
    }
    rows.retain(|row| only.has(&row.name));
    rows
}

fn greeter(scratch: &Scratch, actor: &str, sync: &str) -> String {
    let more = match actor {
        "hello-http" => {
            "[[handlers]]\ntype = \"runtime\"\nconfig = { log_level = \"error\" }\n[[handlers]]\ntype = \"http-server\"\n"
        }
        _ => "[[handlers]]\ntype = \"http-framework\"\n",
    };
    let state = if actor == "hello-http" { "" } else { "init_state = { json = { port = 0 } }\n" };
    let text = format!(
        "name = \"{actor}\"\ncomponent_path = {:?}\n{state}[chain]\nsync = \"{sync}\"\n{more}",
        component(actor).display().to_string()
    );
    scratch.write(&format!("{actor}.toml"), text).display().to_string()
}

/// The floor, in a process of its own: as many bytes as ours, from tide alone.
struct Tide {
    process: std::process::Child,
    url: String,
}

impl Tide {
    fn start() -> Self {
        let program = std::env::current_exe().expect("this program");
        let mut process = Command::new(program)
            .args(["--part", "tide", "0", ""])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("the floor starts");
        let mut line = String::new();
        let said = process.stdout.take().expect("it is piped");
        std::io::BufRead::read_line(&mut std::io::BufReader::new(said), &mut line).expect("it says where it listens");
        Self { process, url: line.trim().to_owned() }
    }
}

impl Drop for Tide {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// Says where it listens, and serves until it is ended.
fn bare_tide() -> Json {
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::OwnedFd;
    use tide::listener::Listener as _;
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    // By itself tide answers in two pieces, and waits 40 ms for the first one's acknowledgement. What is accepted inherits
    // the option from what listens (tcp(7)), which std can only set on streams.
    let socket = TcpStream::from(OwnedFd::from(listener));
    socket.set_nodelay(true).expect("the option can be set");
    let listener = TcpListener::from(OwnedFd::from(socket));
    let mut app = tide::new();
    app.at("/").get(|_| async { Ok("Hello! You are visitor number 100000.\n") });
    let mut listener = block_on(app.bind(listener)).expect("it can be served");
    println!("{}", listener.info()[0].connection());
    block_on(listener.accept()).expect("it serves");
    json!(null)
}
