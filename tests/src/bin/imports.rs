//! Prints the import graph of the shipped crates: arrows between folders, and files that use each other.
//!
//! ```text
//! imports            arrows between folders (floors within runtime/src), with the number of arrows between files
//! imports FOLDER     arrows between files, of files below the folder
//! ```

use std::process::ExitCode;

use theater_tests::source::{Imports, shipped_files};

fn main() -> ExitCode {
    let imports = Imports::of(&shipped_files());
    match std::env::args().nth(1) {
        None => {
            for ((from, to), count) in imports.folders() {
                println!("{from} -> {to} ({count})");
            }
        }
        Some(folder) => {
            for ((from, to), names) in imports.arrows.iter().filter(|((from, _), _)| from.starts_with(&folder)) {
                println!("{from} -> {to}: {}", names.iter().cloned().collect::<Vec<_>>().join(", "));
            }
        }
    }
    let cycles = imports.cycles(|_, _| false);
    println!("groups of files that use each other: {}", cycles.len());
    for cycle in cycles {
        println!("  {}", cycle.join(", "));
    }
    ExitCode::SUCCESS
}
