//! Recorded histories of all kinds of actors, each replayed from its start.
//!
//! ```text
//! histories [1000] [1]   at least so many chains of 200 events or more, of a seed; it makes the choices of a run again, not
//!                        its timing
//! ```
//!
//! A round is a data folder: about thirty actors (`cast`) with real plugins are driven over loopback until each has a history,
//! some fail, are started again or are cut off in a call, and the program is told to end. In every other round it is killed
//! with `kill -9` before, and goes on. Then every chain is replayed (`check`).
//!
//! It starts the real program and prints one JSON object. It ends with 1 when a replay differs, when one of the functions in
//! `tests/golden/functions.tsv` was never called, or when nothing failed, was started again, went on or was cut off.

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
