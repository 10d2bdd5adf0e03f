//! System benches of PERFORMANCE.md: B1 (start of an actor), B2 (memory of idle actors), B3 (messages), B4 (requests),
//! B5 (HTTP), and the growth of the first four with the number of actors.
//!
//! `cargo bench --workspace --bench system` runs all rows, `-- "B3"` only some. `-- "linear"` runs the rows of the
//! growth and draws their page. Actors are real components with the real plugins, recorded to a real journal with `sync
//! = "none"`. B3 is also compared with Erlang/OTP (Debian's `erlang-base`) if that is installed. For B5, `wrk` sends
//! the requests and tide alone is the floor. Measurements that need a separate process, for its CPU core or its memory,
//! run as `--part`.

mod guest;
mod hellos;
mod idle;
mod linear;
mod requests;
mod sends;
mod starts;

use std::process::{Command, ExitCode};

use serde_json::{Value as Json, json};
use theater_tests::bench::{Only, report};

/// The same allocator as in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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
    rows.extend(starts::starts(&only));
    rows.extend(idle::idle(&only));
    rows.extend(sends::sends(&only));
    rows.extend(requests::requests(&only));
    rows.extend(hellos::hellos(&only));
    rows.extend(linear::linear(&only));
    report(&only, &rows)
}

/// Runs a part in a separate process, optionally on one CPU core, and returns the JSON that it prints.
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
        "idle" => json!(idle::idle_actors(count)),
        "idle-floor" => json!(idle::idle_instances(count)),
        "sends" => json!(sends::sends_on_one_core(count, quick)),
        "starts-beside" => json!(linear::starts_beside(count, quick)),
        "sends-among" => json!(linear::sends_among(count, quick)),
        "requests-among" => json!(linear::requests_among(count, quick)),
        "tide" => hellos::bare_tide(),
        other => panic!("there is no part {other}"),
    }
}
