//! The program `theater`.

mod cli;

use std::process::ExitCode;

// Actors are made on one thread and end on another: with the C library's allocator, whose arenas the threads then contend
// for, the start of an actor takes half as long again (bench B1).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    theater_plugin_api::abi::loading::hold_plugin_executors();
    cli::main()
}
