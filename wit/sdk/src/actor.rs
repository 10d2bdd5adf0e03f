//! The interface that every actor exports.

pub use theater_sdk_macros::actor as export;

use crate::State;
use crate::bindings::actor::exports::theater::simple::actor::Guest;

/// Starts the actor. Put [`export`] on the `impl`.
pub trait Actor {
    /// Called once when the actor starts, and again at every restart and resume, before any other function.
    ///
    /// `state` is `None` for a plain start, otherwise the manifest's `init_state` or the bytes passed to `spawn`
    /// or `resume`. `params` is the actor's id.
    ///
    /// # Errors
    /// If the actor cannot start. The start fails with the returned text.
    fn init(state: State, params: (String,)) -> Result<(State,), String>;
}

impl<T: Actor> Guest for T {
    fn init(state: State, params: (String,)) -> Result<(State,), String> {
        T::init(state, params)
    }
}
