//! Micro benches of PERFORMANCE.md: B6 (chain append), B8 (host call through a plugin), B14 (state through a call).
//!
//! `cargo bench --workspace --bench micro`. Each row is a ratio against a floor measured in alternation in the same
//! run, as the median of at least five rounds. Rows are printed as a table and then as JSON objects. The exit code is 1
//! if a row is above its `must`. `--quick` runs a single round after the warm-up and asserts nothing. Any other word
//! selects the rows whose names contain it: `cargo bench --workspace --bench micro -- "B8 host call, async"`.

use std::process::ExitCode;
use std::sync::Arc;

use theater_chain::event::{Chain, NewEvent, data_digest, event_hash};
use theater_chain::journal::{Journal, Sync};
use theater_chain::record::Kind;
use theater_runtime::actor::{ActorHandle, CallOutcome, IncomingCall};
use theater_runtime::core::{Core, Options, Sink};
use theater_runtime::manifest::{Manifest, Values};
use theater_runtime::support::executor::block_on;
use theater_tests::bench::{Only, Row, report, rounds, time};
use theater_tests::{Scratch, build_outside, repository};
use wasmtime::component::{Component, ComponentType, Func, Instance, Lift, Linker, Lower};
use wasmtime::{Config, Engine, Store};

fn append(only: &Only) -> Option<Row> {
    const COUNT: u32 = 20_000;
    let name = "B6 chain append, 256 B".to_owned();
    if !only.has(&name) {
        return None;
    }
    let data = [7u8; 256];
    let journal = Journal::discarding(true);
    let mut header = Vec::new();
    Chain::new([1; 16]).push(&NewEvent::plain(Kind::Host, &data), 1, &mut header);
    let rounds = rounds(only.quick, 9, || {
        let mut sum = 0u8;
        let floor = time(COUNT, || {
            for _ in 0..COUNT {
                sum ^= data_digest(std::hint::black_box(&data))[0];
                sum ^= event_hash(std::hint::black_box(&header))[0];
            }
        });
        let mut chain = Chain::new([1; 16]);
        let ours = time(COUNT, || {
            for _ in 0..COUNT {
                let event = NewEvent::plain(Kind::Host, std::hint::black_box(&data));
                journal.append(&mut chain, &event, Sync::None).expect("events are dropped");
            }
        });
        assert_eq!(chain.len(), u64::from(COUNT));
        std::hint::black_box(sum);
        (floor, ours)
    });
    Some(Row { name, rounds, must: 1.0 / 0.6, goal: 1.0 / 0.85 })
}

fn guest() -> std::path::PathBuf {
    repository().join("tests/benches/guest.wat")
}

/// Starts an actor with the bench's guest, either without a chain or with one that is hashed and dropped.
fn actor(scratch: &Scratch, plugins: &std::path::Path, sink: Sink) -> (Arc<Core>, Arc<ActorHandle>) {
    let manifest = format!(
        "name = \"bench\"\ncomponent_path = {:?}\ninstance = \"kept\"\n[limits]\nrun_timeout_ms = 60000\n[[handlers]]\ntype = \"bench:calls\"\n",
        guest().display().to_string()
    );
    let path = scratch.write("bench.toml", manifest);
    let manifest = Manifest::read(&path, &Values::new()).expect("the bench's manifest");
    let mut options = Options::new(plugins, scratch.path().join(format!("data-{sink:?}")));
    options.sink = sink;
    let core = Core::open(options).expect("a core");
    let actor = block_on(core.start(&manifest)).expect("the bench's actor starts");
    (core, actor)
}

fn call(actor: &Arc<ActorHandle>, export: u32, params: &[u8]) {
    let outcome =
        block_on(actor.call(IncomingCall { export, params: params.to_vec(), source: "bench".to_owned(), cause: None }));
    assert!(matches!(outcome, CallOutcome::Ok(_)), "{outcome:?}");
}

/// The same component with its imports linked directly in the host.
struct Static {
    store: Store<()>,
    run: Func,
}

#[derive(ComponentType, Lift, Lower, Clone)]
#[component(record)]
struct Point {
    x: i32,
    y: i32,
    name: String,
}

impl Static {
    fn new() -> Self {
        let mut config = Config::new();
        config.concurrency_support(false).epoch_interruption(true);
        let engine = Engine::new(&config).expect("an engine");
        let component = Component::from_file(&engine, guest()).expect("the guest");
        let mut linker = Linker::<()>::new(&engine);
        let mut calls = linker.instance("bench:calls/calls").expect("an instance");
        calls.func_wrap("tick", |_, (n,): (u64,)| Ok((n + 1,))).expect("tick");
        calls.func_wrap_async("tick-later", |_, (n,): (u64,)| Box::new(async move { Ok((n + 1,)) })).expect("tick");
        calls.func_wrap("turn", |_, (p,): (Point,)| Ok((p,))).expect("turn");
        calls.func_wrap_async("turn-later", |_, (p,): (Point,)| Box::new(async move { Ok((p,)) })).expect("turn");
        calls.func_wrap("put", |_, (_, c): (String, Vec<u8>)| Ok((Ok::<_, String>(c),))).expect("put");
        calls
            .func_wrap_async("put-later", |_, (_, c): (String, Vec<u8>)| {
                Box::new(async move { Ok((Ok::<_, String>(c),)) })
            })
            .expect("put");
        let mut store = Store::new(&engine, ());
        store.set_epoch_deadline(1_000_000);
        let instance: Instance = block_on(linker.instantiate_async(&mut store, &component)).expect("an instance");
        let driver = instance.get_export_index(&mut store, None, "bench:calls/driver").expect("driver");
        let run = instance.get_export_index(&mut store, Some(&driver), "run").expect("run");
        let run = instance.get_func(&mut store, run).expect("run");
        Self { store, run }
    }

    fn run(&mut self, which: u32, n: u32, len: u32) {
        type Out = (Result<(Option<Vec<u8>>,), String>,);
        let typed = self.run.typed::<(Option<&[u8]>, (u32, u32, u32)), Out>(&self.store).expect("its type");
        block_on(typed.call_async(&mut self.store, (None, (which, n, len)))).expect("runs").0.expect("ok");
    }
}

fn host_calls(only: &Only, scratch: &Scratch, plugins: &std::path::Path) -> Vec<Row> {
    let (_core, actor) = actor(scratch, plugins, Sink::Dropped);
    let export = actor.export("bench:calls/driver/run").expect("run");
    let mut floor = Static::new();
    let cases = [
        ("empty (tick)", 0, 0u32, 50_000u32, 2.5, 1.7),
        ("record", 2, 0, 25_000, 2.5, 1.7),
        ("256 B", 4, 256, 25_000, 2.5, 1.7),
        ("4 KiB", 4, 4096, 12_000, 1.5, 1.15),
        ("64 KiB", 4, 65_536, 1_000, 1.5, 1.15),
    ];
    let mut rows = Vec::new();
    for (name, which, len, count, must, goal) in cases {
        for (kind, shift) in [("sync", 0), ("async", 1)] {
            let name = format!("B8 host call, {kind}, {name}");
            if !only.has(&name) {
                continue;
            }
            let params = theater_plugin_api::encoding::encode(&(which + shift, count, len)).expect("numbers encode");
            // Many short rounds: on a shared machine the speed of code varies by half between one tenth of a second and
            // the next, and by more for larger code.
            let rounds = rounds(only.quick, 41, || {
                (time(count, || floor.run(which + shift, count, len)), time(count, || call(&actor, export, &params)))
            });
            rows.push(Row { name, rounds, must, goal });
        }
    }
    rows
}

fn states(only: &Only, scratch: &Scratch, plugins: &std::path::Path) -> Vec<Row> {
    const COUNT: u32 = 300;
    let mut rows = Vec::new();
    for (size, name) in [(1024usize, "1 KiB"), (65_536, "64 KiB"), (1 << 20, "1 MiB")] {
        for (change, kind) in [(0u32, "unchanged"), (1, "changed")] {
            let name = format!("B14 state of {name}, {kind}");
            if !only.has(&name) {
                continue;
            }
            let (_a, empty) = with_state(scratch, plugins, 0);
            let (_b, full) = with_state(scratch, plugins, size);
            let export = full.export("bench:calls/driver/keep").expect("keep");
            let params = theater_plugin_api::encoding::encode(&change).expect("a number encodes");
            let unchanged = theater_plugin_api::encoding::encode(&0u32).expect("a number encodes");
            let source = vec![3u8; size];
            let (mut one, mut two) = (vec![0u8; size], vec![0u8; size]);
            let rounds = rounds(only.quick, 9, || {
                let floor = time(COUNT, || {
                    for _ in 0..COUNT {
                        call(&empty, export, &unchanged);
                        one.copy_from_slice(std::hint::black_box(&source));
                        two.copy_from_slice(std::hint::black_box(&one));
                        assert!(std::hint::black_box(&two) == std::hint::black_box(&source));
                        if change == 1 {
                            std::hint::black_box(theater_chain::event::sha3([&two[..]]));
                        }
                    }
                });
                let ours = time(COUNT, || {
                    for _ in 0..COUNT {
                        call(&full, export, &params);
                    }
                });
                (floor, ours)
            });
            rows.push(Row { name, rounds, must: 2.5, goal: 1.5 });
        }
    }
    rows
}

/// Starts an actor whose initial state has this many bytes.
fn with_state(scratch: &Scratch, plugins: &std::path::Path, size: usize) -> (Arc<Core>, Arc<ActorHandle>) {
    let state = scratch.write(&format!("state-{size}"), vec![1u8; size]);
    let manifest = format!(
        "name = \"bench\"\ncomponent_path = {:?}\ninit_state = {:?}\ninstance = \"kept\"\n[[handlers]]\ntype = \"bench:calls\"\n",
        guest().display().to_string(),
        state.display().to_string()
    );
    let path = scratch.write("bench.toml", manifest);
    let manifest = Manifest::read(&path, &Values::new()).expect("the bench's manifest");
    let data = scratch.path().join(format!("data-{}", uuid::Uuid::new_v4()));
    let mut options = Options::new(plugins, data);
    options.sink = Sink::Hashed;
    options.memory = Some(256 << 20);
    let core = Core::open(options).expect("a core");
    let actor = block_on(core.start(&manifest)).expect("the bench's actor starts");
    (core, actor)
}

/// The same allocator as in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let only = Only::asked();
    let built = build_outside(&repository().join("tests/bench-plugin"), &["--release"]);
    let scratch = Scratch::new();
    let plugins = scratch.path().join("plugins");
    std::fs::create_dir_all(&plugins).expect("a plugin folder");
    std::fs::copy(built.join("libbench_plugin.so"), plugins.join("libbench_plugin.so")).expect("the bench's plugin");
    let mut rows: Vec<_> = append(&only).into_iter().collect();
    rows.extend(host_calls(&only, &scratch, &plugins));
    rows.extend(states(&only, &scratch, &plugins));
    report(&only, &rows)
}
