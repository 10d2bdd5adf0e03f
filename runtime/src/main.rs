//! The program `theater`.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    theater_plugin_api::abi::loading::hold_plugin_executors();
    cli::main()
}
