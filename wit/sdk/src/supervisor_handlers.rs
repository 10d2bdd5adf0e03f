//! For actors that are notified of their children's deaths.

pub use theater_sdk_macros::supervisor_handlers as export;

use crate::State;
use crate::bindings::supervisor_handlers::exports::theater::simple::supervisor_handlers::Guest;
pub use crate::types::{WitActorError, WitErrorType};

/// Receives notifications of children's deaths: exactly one call per death, even if a restart strategy restarts
/// the child. Put [`export`] on the `impl`. The default implementations ignore the death.
///
/// An `Err` of any of the functions is recorded.
pub trait SupervisorHandlers {
    /// Called after a child failed, with its id and the error.
    ///
    /// # Errors
    /// Recorded.
    fn handle_child_error(state: State, params: (String, WitActorError)) -> Result<(State,), String> {
        let (_, _) = (state, params);
        Ok((None,))
    }

    /// Called after a child ended by its own `shutdown`, with its id and the data that it passed.
    ///
    /// # Errors
    /// Recorded.
    fn handle_child_exit(state: State, params: (String, Option<Vec<u8>>)) -> Result<(State,), String> {
        let (_, _) = (state, params);
        Ok((None,))
    }

    /// Called after a child was stopped, by this actor or anyone else, with its id.
    ///
    /// # Errors
    /// Recorded.
    fn handle_child_external_stop(state: State, params: (String,)) -> Result<(State,), String> {
        let (_, _) = (state, params);
        Ok((None,))
    }
}

impl<T: SupervisorHandlers> Guest for T {
    fn handle_child_error(state: State, params: (String, WitActorError)) -> Result<(State,), String> {
        T::handle_child_error(state, params)
    }

    fn handle_child_exit(state: State, params: (String, Option<Vec<u8>>)) -> Result<(State,), String> {
        T::handle_child_exit(state, params)
    }

    fn handle_child_external_stop(state: State, params: (String,)) -> Result<(State,), String> {
        T::handle_child_external_stop(state, params)
    }
}
