//! What every actor has: its start.

pub use theater_sdk_macros::actor as export;

use crate::State;
use crate::bindings::actor::exports::theater::simple::actor::Guest;

/// The start of an actor. Put [`export`] on the `impl`.
pub trait Actor {
    /// Called once when the actor starts, and again at every restart and resume, before any other function.
    ///
    /// `state` is `None` for a plain start, else the manifest's `init_state`, or the bytes that `spawn` or
    /// `resume` were given. `params` is the actor's id.
    ///
    /// # Errors
    /// Whatever the actor cannot start with; the start fails with that text.
    fn init(state: State, params: (String,)) -> Result<(State,), String>;
}

impl<T: Actor> Guest for T {
    fn init(state: State, params: (String,)) -> Result<(State,), String> {
        T::init(state, params)
    }
}
