//! For actors that receive the output of programs that they start with [`process`](crate::process).

pub use theater_sdk_macros::process_handlers as export;

use crate::State;
use crate::bindings::process_handlers::exports::theater::simple::process_handlers::Guest;

/// Receives output and exit codes of programs. Put [`export`] on the `impl`. The defaults ignore them.
///
/// No output is dropped: reading pauses while the actor is busy.
pub trait ProcessHandlers {
    /// Called for each piece of standard output, in order, with the program's id.
    ///
    /// # Errors
    /// Recorded.
    fn handle_stdout(state: State, params: (u64, Vec<u8>)) -> Result<(State,), String> {
        let (_, _) = (state, params);
        Ok((None,))
    }

    /// Called for each piece of standard error, in order, with the program's id.
    ///
    /// # Errors
    /// Recorded.
    fn handle_stderr(state: State, params: (u64, Vec<u8>)) -> Result<(State,), String> {
        let (_, _) = (state, params);
        Ok((None,))
    }

    /// Called once, after all output, with the program's id and its exit code, or -n if signal n killed it.
    ///
    /// # Errors
    /// Recorded.
    fn handle_exit(state: State, params: (u64, i32)) -> Result<(State,), String> {
        let (_, _) = (state, params);
        Ok((None,))
    }
}

impl<T: ProcessHandlers> Guest for T {
    fn handle_stdout(state: State, params: (u64, Vec<u8>)) -> Result<(State,), String> {
        T::handle_stdout(state, params)
    }

    fn handle_stderr(state: State, params: (u64, Vec<u8>)) -> Result<(State,), String> {
        T::handle_stderr(state, params)
    }

    fn handle_exit(state: State, params: (u64, i32)) -> Result<(State,), String> {
        T::handle_exit(state, params)
    }
}
