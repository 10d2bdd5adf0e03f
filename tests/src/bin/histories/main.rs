//! Records histories of all kinds of actors and replays each from its start.
//!
//! ```text
//! histories [1000] [1]   at least this many chains of 200 events or more, with this seed, which reproduces the choices
//!                        of a run, but not its timing
//! ```
//!
//! A round uses one data folder. About thirty actors (`cast`) with real plugins are called over loopback until each has
//! a history; some fail, restart, or are interrupted in a call; then the program is stopped. In every other round it is
//! first killed with `kill -9` and resumed. At the end every chain is replayed (`check`).
//!
//! Starts the real program and prints one JSON object. Panics if a replay differs. The exit code is 1 if a function of
//! `tests/golden/functions.tsv` was never called, if there were no failures, restarts, resumed actors or interrupted
//! calls, or if the histories come from too few different actors.

mod cast;
mod check;
mod ends;
mod family;
mod messages;
mod programs;
mod round;
mod sockets;
mod stage;
mod switchboard;
mod upstream;
mod web;

use std::process::ExitCode;
use std::time::Instant;

use serde_json::json;
use theater_plugin_api::testing::Seeded;

use check::Totals;

fn main() -> ExitCode {
    let numbers: Result<Vec<u64>, _> = std::env::args().skip(1).map(|number| number.parse()).collect();
    let (wanted, seed) = match numbers.as_deref() {
        Ok([]) => (1_000, 1),
        Ok([wanted]) => (*wanted, 1),
        Ok([wanted, seed]) => (*wanted, *seed),
        _ => {
            eprintln!("histories [HISTORIES] [SEED]");
            return ExitCode::from(2);
        }
    };
    let (begun, mut chance, mut totals) = (Instant::now(), Seeded::new(seed), Totals::default());
    let mut rounds = 0_u64;
    while totals.histories < wanted || rounds == 0 {
        let is_killed = rounds.is_multiple_of(2);
        round::run(is_killed, &mut chance, &mut totals);
        rounds += 1;
    }
    println!(
        "{}",
        json!({
            "soak": "histories", "seed": seed, "rounds": rounds, "histories": totals.histories,
            "actors": totals.actors.len(), "chains": totals.chains, "events": totals.events, "calls": totals.calls,
            "host_calls": totals.host_calls, "functions": totals.called.len(), "failures": totals.failures,
            "restarts": totals.restarts, "resumed": totals.resumed, "interrupted": totals.interrupted,
            "seconds": begun.elapsed().as_secs(),
        })
    );
    let missing = totals.missing();
    for what in &missing {
        eprintln!("missing: {what}");
    }
    if missing.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
