//! Why a call into an actor returned no result, and the decoding of its answer.

use serde::de::DeserializeOwned;
use theater_encoding as encoding;
use theater_plugin_abi::{ABSENT, Answer, ERROR, GONE, OK, PANIC};

/// Why a call into the actor returned no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The actor's function returned `err` with this text.
    #[error("{0}")]
    Actor(String),
    /// The actor trapped, or its call was interrupted or timed out.
    #[error("{0}")]
    Trap(String),
    /// The actor is stopping or has ended.
    #[error("{0}")]
    Gone(String),
    /// The actor does not export the function.
    #[error("{0}")]
    Absent(String),
    /// The answer is not the encoding of the function's result.
    #[error("the result does not decode: {0}")]
    Decode(String),
}

/// Decodes the answer of a call into an actor.
pub(crate) fn result_of<R: DeserializeOwned>(answer: &Answer) -> Result<R, CallError> {
    match answer.status {
        OK => encoding::decode(&answer.bytes).map_err(|error| CallError::Decode(error.to_string())),
        ERROR => Err(CallError::Actor(answer.sentence())),
        GONE => Err(CallError::Gone(answer.sentence())),
        ABSENT => Err(CallError::Absent(answer.sentence())),
        PANIC => Err(CallError::Trap(format!("the core failed: {}", answer.sentence()))),
        _ => Err(CallError::Trap(answer.sentence())),
    }
}
