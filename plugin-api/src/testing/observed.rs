//! Data about a plugin's actions that the fake host records for the test.

use crate::host_types::Level;

/// A line a plugin logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// How loud.
    pub level: Level,
    /// `actor` for the actor's own stream, else empty.
    pub target: String,
    /// The text.
    pub message: String,
}

/// A call of an export of the actor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Called {
    /// The export's number in the descriptor's `calls`.
    pub export: u32,
    /// The encoded parameters.
    pub params: Vec<u8>,
    /// Where the plugin said the call came from.
    pub cause: String,
    /// Id of the actor whose call it was made from, if it was.
    pub from: Option<String>,
    /// How it was brought.
    pub way: Way,
}

/// How a call is brought to an actor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// Somebody waits for its end.
    Call,
    /// Queued behind what waits.
    Post,
    /// Queued before what waits.
    First,
    /// Left with the sender's host call, with that one's result should this actor have ended.
    Staged(Vec<u8>),
}

/// What a plugin did with a child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// Started from this manifest, with this state.
    Spawned(String, Option<Vec<u8>>),
    /// Started again from its end, with this manifest and state.
    Resumed(String, Option<Vec<u8>>),
    /// Started again from its beginning.
    Restarted(String),
    /// Stopped.
    Stopped(String),
    /// Let go.
    Released(String),
}
