//! Data about a plugin's actions that the fake host records for the test.

use crate::host_types::Level;

/// A line that a plugin logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The level.
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
    /// The origin of the call, as the plugin described it.
    pub cause: String,
    /// The id of the actor whose call this call is part of, if there is one.
    pub from: Option<String>,
    /// How it was delivered.
    pub way: Way,
}

/// How a call is delivered to an actor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// The caller waits for its result.
    Call,
    /// Queued after the calls that wait.
    Post,
    /// Queued before the calls that wait.
    First,
    /// Attached to the sender's host call, with the result of that host call in case this actor has ended.
    Staged(Vec<u8>),
}

/// An operation of a plugin on a child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// Started from this manifest, with this state.
    Spawned(String, Option<Vec<u8>>),
    /// Resumed after its end, with this manifest and state.
    Resumed(String, Option<Vec<u8>>),
    /// Restarted as it was first started.
    Restarted(String),
    /// Stopped.
    Stopped(String),
    /// Released.
    Released(String),
}
