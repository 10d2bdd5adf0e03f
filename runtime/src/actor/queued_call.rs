//! Calls on their way to an actor: as a caller brings them, as they wait in the mailbox, and how they end.

use theater_chain::event::EventRef;
use theater_chain::record::Outcome;

use crate::actor::remainder::Remainder;
use crate::support::executor;

/// A call of an export, before it is recorded and queued.
pub struct IncomingCall {
    /// The index among the exports.
    pub export: u32,
    /// The encoded params.
    pub params: Vec<u8>,
    /// The source, as text for the chain.
    pub source: String,
    /// The event that caused it.
    pub cause: Option<EventRef>,
}

/// A call in the mailbox. It is recorded.
pub struct QueuedCall {
    pub(crate) export: u32,
    pub(crate) params: Vec<u8>,
    pub(crate) queued: EventRef,
    pub(crate) cause: Option<EventRef>,
    // `None` if no caller waits for the outcome.
    pub(crate) reply: Option<executor::Sender<CallOutcome>>,
    // What the previous run had done of it.
    pub(crate) begun: Option<Box<Remainder>>,
}

/// A message that the actor handles before all calls.
pub enum ActorSignal {
    /// A stop was requested.
    Stop,
    /// The pool needs the slot of the instance.
    Passivate,
    /// A call that runs before all others.
    First(QueuedCall),
}

impl ActorSignal {
    pub(crate) fn call(&self) -> Option<&QueuedCall> {
        match self {
            Self::First(call) => Some(call),
            Self::Stop | Self::Passivate => None,
        }
    }
}

/// The outcome of a call, for its caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallOutcome {
    /// `ok`, with the encoded values after the state.
    Ok(Vec<u8>),
    /// `err`, with its text.
    Err(String),
    /// It trapped, was interrupted or timed out.
    Failed(String),
    /// The actor is stopping or has ended, or the call could not be recorded.
    Gone(String),
}

impl CallOutcome {
    /// The recorded outcome, for the caller.
    pub(crate) fn of(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Ok(values) => Self::Ok(values.into_vec()),
            Outcome::Err(text) => Self::Err(text),
            Outcome::Trap(text) | Outcome::Interrupted(text) => Self::Failed(text),
        }
    }
}
