//! The program `theater`.

mod cli;

use std::process::ExitCode;

use theater_plugin_api::abi::loading;

// Actors are created on one thread and dropped on another. With the C library's allocator the threads then contend for its
// arenas, and the start of an actor takes half as long again (bench B1).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    loading::hold_plugin_executors();
    if let Some(soft) = theater_runtime::support::open_files::limit() {
        loading::keep_open_files_limit(soft);
    }
    cli::main()
}
