//! Long-running measurements with many actors, many starts and busy neighbours.
//!
//! ```text
//! scale_soak idle [20000]    this many idle actors of one component in one process; each still answers
//! scale_soak churn [1000]    this many starts and stops; memory and open files grow by at most 5 % after the first
//!                            tenth
//! scale_soak fair [2000]     this many requests to one actor, alone and next to twice as many looping guests as cores;
//!                            p99 rises by at most 20 ms
//! scale_soak memory          `theater run --memory 512MiB` serving hello-http; PSS under 150 MB
//! ```
//!
//! Each prints one JSON object. The exit code is 1 if the limit is exceeded.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde_json::{Value as Json, json};
use theater_plugin_api::encoding::encode;
use theater_runtime::actor::{ActorHandle, CallOutcome, IncomingCall};
use theater_runtime::core::{Core, Options};
use theater_runtime::manifest::{Manifest, Values};
use theater_runtime::support::executor::{self, block_on};
use theater_tests::{HTTP, Running, Scratch, build_folder, build_outside, get, manifest, memory, repository};

const CALL: &str = "bench:calls/driver/keep";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let what = arguments.next().unwrap_or_default();
    let count = arguments.next().and_then(|count| count.parse().ok());
    let (figures, held) = match what.as_str() {
        "idle" => idle(count.unwrap_or(20_000)),
        "churn" => churn(count.unwrap_or(1_000)),
        "fair" => fair(count.unwrap_or(2_000)),
        "memory" => small(),
        _ => {
            eprintln!("scale_soak idle|churn|fair|memory [COUNT]");
            return ExitCode::from(2);
        }
    };
    println!("{figures}");
    if held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn core(scratch: &Scratch) -> Arc<Core> {
    core_with(scratch, build_folder())
}

fn core_with(scratch: &Scratch, plugins: &Path) -> Arc<Core> {
    let mut options = Options::new(plugins, scratch.path().join("data"));
    options.memory = Some(4 << 30);
    Core::open(options).expect("a core opens")
}

fn read(scratch: &Scratch, text: &str) -> Manifest {
    Manifest::read(&scratch.write("manifest.toml", text), &Values::new()).expect("the manifest reads")
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

fn ask(actor: &Arc<ActorHandle>) {
    let export = actor.export(CALL).expect("the guest has it");
    let params = encode(&0u32).expect("a number encodes");
    let outcome = block_on(actor.call(IncomingCall { export, params, source: "soak".to_owned(), cause: None }));
    assert!(matches!(outcome, CallOutcome::Ok(_)), "{outcome:?}");
}

fn idle(count: usize) -> (Json, bool) {
    let scratch = Scratch::new();
    // Use the plugin of the benches: its guest can be called without a socket.
    let built = build_outside(&repository().join("tests/bench-plugin"), &[]);
    let library = std::fs::read(built.join("libbench_plugin.so")).expect("the benches' plugin");
    let plugins = scratch.write("plugins/libbench_plugin.so", library);
    let core = core_with(&scratch, plugins.parent().expect("a folder"));
    let guest = repository().join("tests/benches/guest.wat").display().to_string();
    let text = format!(
        "name = \"idle\"\ncomponent_path = {guest:?}\n[limits]\nidle_ms = 1000\n[[handlers]]\ntype = \"bench:calls\"\n"
    );
    let manifest = read(&scratch, &text);
    let before = memory::of("self", "Pss:");
    let start = Instant::now();
    let actors: Vec<_> = (0..count).map(|_| block_on(core.start(&manifest)).expect("an actor starts")).collect();
    let started = start.elapsed();
    let resident = memory::of("self", "Pss:").saturating_sub(before);
    // Twice, so that every actor's instance was passivated or evicted before its second call.
    for actor in actors.iter().chain(&actors) {
        ask(actor);
    }
    let figures = json!({
        "soak": "idle", "actors": count, "start_us_each": started.as_micros() as usize / count,
        "pss_bytes_each": resident * 1024 / count as u64, "pool": core.engines.pool_size,
    });
    block_on(core.stop("soak", Duration::from_secs(1)));
    (figures, true)
}

fn churn(count: usize) -> (Json, bool) {
    let scratch = Scratch::new();
    let core = core(&scratch);
    let manifest = read(&scratch, &manifest("hello-http", HTTP));
    let mut marks = Vec::new();
    for number in 1..=count {
        let actor = block_on(core.start(&manifest)).expect("an actor starts");
        let address =
            actor.addresses().first().and_then(|address| address.strip_prefix("http://")).expect("an address");
        assert_eq!(get(address.parse().expect("digits"), "/").status, 200);
        block_on(actor.stop("soak", Duration::from_secs(1)));
        drop(actor);
        if number == count / 10 || number == count {
            block_on(core.services.journal.written()).expect("written");
            marks.push((memory::of("self", "Rss:"), open_files()));
        }
    }
    let (early, late) = (marks[0], marks[marks.len() - 1]);
    let held = late.0 as f64 <= early.0 as f64 * 1.05 && late.1 as f64 <= early.1 as f64 * 1.05;
    let figures = json!({
        "soak": "churn", "starts": count, "rss_kib": [early.0, late.0], "open_files": [early.1, late.1],
    });
    (figures, held)
}

fn p99(address: std::net::SocketAddr, requests: usize) -> u64 {
    let mut histogram = Histogram::<u64>::new(3).expect("three digits");
    for _ in 0..requests {
        let start = Instant::now();
        assert_eq!(get(address, "/").status, 200);
        histogram.record(start.elapsed().as_micros() as u64).expect("in range");
    }
    histogram.value_at_quantile(0.99)
}

fn fair(requests: usize) -> (Json, bool) {
    let scratch = Scratch::new();
    executor::init(std::thread::available_parallelism().map_or(2, usize::from));
    let core = core(&scratch);
    let server = block_on(core.start(&read(&scratch, &manifest("hello-http", HTTP)))).expect("a server");
    let address = server.addresses()[0].trim_start_matches("http://").parse().expect("digits");
    let alone = p99(address, requests);
    let looper = read(&scratch, &manifest("looper", &format!("[limits]\nrun_timeout_ms = 600000\n{HTTP}")));
    let greedy = 2 * std::thread::available_parallelism().map_or(2, usize::from);
    for _ in 0..greedy {
        let actor = block_on(core.start(&looper)).expect("a looper");
        let address: std::net::SocketAddr = actor.addresses()[0].trim_start_matches("http://").parse().expect("digits");
        // The thread is never joined: there is no answer.
        std::thread::spawn(move || drop(theater_tests::try_get(address, "/loop")));
    }
    theater_tests::wait_until("all loopers to loop", || {
        let running =
            core.registry().all().iter().filter(|actor| actor.name().starts_with("looper") && actor.is_busy()).count();
        (running == greedy).then_some(())
    });
    let beside = p99(address, requests);
    block_on(core.stop("soak", Duration::from_millis(100)));
    let figures = json!({"soak": "fair", "loopers": greedy, "p99_us_alone": alone, "p99_us_beside": beside});
    (figures, beside <= alone + 20_000)
}

fn small() -> (Json, bool) {
    let scratch = Scratch::new();
    let path = scratch.write("manifest.toml", manifest("hello-http", HTTP));
    let data = scratch.path().join("data");
    let mut running = Running::start(&data, &["--memory", "512MiB", &path.display().to_string()]);
    let address = running.address(0);
    for _ in 0..200 {
        assert_eq!(get(address, "/").status, 200);
    }
    let pss = memory::of(&running.pid().to_string(), "Pss:");
    let (status, _) = running.stop();
    (json!({"soak": "memory", "pss_kib": pss, "exit": status.code()}), pss < 150_000 && status.success())
}
