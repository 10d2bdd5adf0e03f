//! For actors that want the output of programs they started with [`process`](crate::process).

pub use theater_sdk_macros::process_handlers as export;

use crate::State;
use crate::bindings::process_handlers::exports::theater::simple::process_handlers::Guest;

/// Learns what programs say and how they end. Put [`export`] on the `impl`; what is not written ignores it.
///
/// Nothing is dropped: while the actor is busy, reading pauses.
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

    /// Called once, after all output, with the program's id and its exit code, or -n when signal n ended it.
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
