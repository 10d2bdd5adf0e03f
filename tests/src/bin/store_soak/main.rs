//! Long-running tests of the store: crashes and size.
//!
//! ```text
//! store_soak kills [--kills 5] [--seed N]
//!     `kill -9` while several sockets write; everything acknowledged survives, and no label points at nothing
//! store_soak size [--contents 1000] [--mib 100] [--seed N]
//!     `get` by label takes at most twice as long as reading the file, `list-all-content` less than 1 s and 32 MB
//! ```
//!
//! (`size` starts `store_soak fill` as a separate process.)
//!
//! The defaults are short; the long forms are `--kills 200` and `--contents 100000 --mib 10240`. Each prints one JSON
//! object. The exit code is 1 if a limit is exceeded; the time limits are for `--release`. A seed reproduces the
//! choices of a run, but not its timing.

mod kills;
mod size;

use std::collections::BTreeMap;
use std::process::ExitCode;

use serde_json::Value as Json;

const USAGE: &str = "store_soak kills [--kills N] [--seed N] | size [--contents N] [--mib N] [--seed N]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [fill, folder, numbers @ ..] = arguments.as_slice()
        && fill == "fill"
    {
        let numbers: Vec<u64> = numbers.iter().map(|number| number.parse().expect("a number")).collect();
        size::fill(folder.as_ref(), numbers[0], numbers[1], numbers[2]);
        return ExitCode::SUCCESS;
    }
    let Some((figures, held)) = run(&arguments) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    println!("{figures}");
    if held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The figures, and whether the limits hold. `None` for a wrong command line.
fn run(arguments: &[String]) -> Option<(Json, bool)> {
    let (what, flags) = arguments.split_first()?;
    match what.as_str() {
        "kills" => {
            let [kills, seed] = numbers(flags, [("--kills", 5), ("--seed", 1)])?;
            Some(kills::run(kills, seed))
        }
        "size" => {
            let [contents, mib, seed] = numbers(flags, [("--contents", 1_000), ("--mib", 100), ("--seed", 1)])?;
            Some(size::run(contents, mib << 20, seed))
        }
        _ => None,
    }
}

/// The numbers of these flags, each with its default. `None` for an unknown flag.
fn numbers<const N: usize>(flags: &[String], known: [(&str, u64); N]) -> Option<[u64; N]> {
    let mut given = BTreeMap::new();
    for pair in flags.chunks(2) {
        let [flag, number] = pair else { return None };
        given.insert(flag.as_str(), number.parse().ok()?);
    }
    let numbers = known.map(|(flag, default)| given.remove(flag).unwrap_or(default));
    given.is_empty().then_some(numbers)
}
