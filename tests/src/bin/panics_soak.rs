//! A plugin panics in every call of one actor, which has to stay as fast and as small as at the start.
//!
//! `panics_soak [COUNT]` makes COUNT calls, by default 100,000, and prints one JSON object. From 10,000 calls on, the
//! exit code is 1 if the median of the last 1,000 calls is more than 1.5 times that of the first 1,000, or if memory
//! grew by more than 5 % since the first tenth of the calls.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use theater_plugin_api::abi::loading::hold_plugin_executors;
use theater_plugin_api::encoding::encode;
use theater_runtime::actor::{ActorHandle, CallOutcome, IncomingCall};
use theater_runtime::core::{Core, Options};
use theater_runtime::manifest::{Manifest, Values};
use theater_runtime::support::executor;
use theater_tests::{HTTP, Scratch, bad_plugins, manifest, plugin_folder};

/// Number of calls at each end whose median is compared.
const ENDS: usize = 1_000;
/// The shortest run that checks the limits.
const LONG: usize = 10_000;
const SLOWER: f64 = 1.5;
const LARGER: f64 = 1.05;

fn main() -> ExitCode {
    hold_plugin_executors();
    let count: usize = match std::env::args().nth(1).map(|argument| argument.parse()) {
        None => 100_000,
        Some(Ok(count)) if count >= 2 * ENDS => count,
        Some(_) => {
            eprintln!("usage: panics_soak [COUNT], at least {}", 2 * ENDS);
            return ExitCode::from(2);
        }
    };
    executor::init(std::thread::available_parallelism().map_or(2, usize::from));
    let scratch = Scratch::new();
    let plugins = plugin_folder(&scratch);
    std::fs::copy(bad_plugins().join("libcall_panics.so"), plugins.join("libbad_call_panics.so")).expect("it is built");
    // No fsync and a single segment: events that wait for a slow disk would count as memory growth.
    let mut options = Options::new(plugins, scratch.path().join("data"));
    options.segment_size = u64::from(u32::MAX) / 2;
    let core = Core::open(options).expect("a core opens");
    let chain = "[chain]\nsync = \"none\"\n";
    let text = manifest("prober", &format!("{HTTP}[[handlers]]\ntype = \"bad:call-panics\"\n{chain}"));
    let path = scratch.write("prober.toml", text);
    let manifest = Manifest::read(&path, &Values::default()).expect("the manifest reads");
    let actor = executor::block_on(core.start(&manifest)).expect("the actor starts");

    // Filled with a value that is not zero, so that its pages are resident before memory is measured.
    let mut times = vec![1.0; count];
    let mut memory = 0;
    for (number, time) in times.iter_mut().enumerate() {
        if number == count / 10 {
            memory = resident();
        }
        // Half of the panics are in the synchronous function.
        let path = if number % 2 == 0 { "/run/x" } else { "/later/x" };
        let start = Instant::now();
        panics(&actor, path);
        *time = start.elapsed().as_secs_f64() * 1e6;
    }
    let larger = resident() as f64 / memory as f64;
    let (first, last) = (median(&times[..ENDS]), median(&times[count - ENDS..]));
    let slower = last / first;
    executor::block_on(core.stop("soak", std::time::Duration::from_secs(1)));
    println!(
        "{}",
        serde_json::json!({
            "soak": "panics", "calls": count, "first_us": first, "last_us": last, "slower": slower,
            "rss_before": memory, "larger": larger,
        })
    );
    if count >= LONG && (slower > SLOWER || larger > LARGER) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Makes one call in which the plugin panics. The actor gets an `err` from the plugin and puts it into its response.
fn panics(actor: &Arc<ActorHandle>, path: &str) {
    let headers: Vec<(String, String)> = Vec::new();
    let request = encode(&("GET", path, headers, None::<Vec<u8>>)).expect("a request encodes");
    let export = actor.export("theater:simple/http-server/handle-request").expect("the prober exports it");
    match executor::block_on(actor.call(IncomingCall {
        export,
        params: request,
        source: "soak".to_owned(),
        cause: None,
    })) {
        CallOutcome::Ok(values) => {
            let told = String::from_utf8_lossy(&values);
            assert!(told.contains("[P0101]") && told.contains("a panic in run"), "{told}");
        }
        other => panic!("{path}: {other:?}"),
    }
}

fn median(times: &[f64]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// Resident memory of this process in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has /proc");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("status has VmRSS");
    let kib = line.trim().trim_end_matches("kB").trim();
    kib.parse::<u64>().expect("VmRSS is a number") * 1024
}
