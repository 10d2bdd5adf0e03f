//! Data that the core and a plugin exchange through a host.

use serde::{Deserialize, Serialize};

use crate::Bytes;

/// How loud a log line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something an operator must see.
    Error = 1,
    /// Something an operator should see.
    Warn = 2,
    /// Ordinary news.
    Info = 3,
    /// For whoever looks for a fault.
    Debug = 4,
    /// Everything.
    Trace = 5,
}

/// Whom a host is for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[non_exhaustive]
pub struct About {
    /// The plugin's name.
    pub plugin: String,
    /// The actor's id; empty for the plugin's own host.
    pub actor: String,
    /// The actor's name; empty for the plugin's own host.
    pub name: String,
    /// The handler type the manifest names; empty for the plugin's own host.
    pub handler: String,
    /// Whether the actor has ended and is about to be started again: what it keeps open may stay open for its next life.
    #[serde(default)]
    pub restarts: bool,
}

impl About {
    /// Of a plugin's own host.
    #[must_use]
    pub fn plugin(name: &str) -> Self {
        Self::actor(name, "", "", "")
    }
    /// Of an actor's host: the plugin's name, the actor's id and name, the handler type.
    #[must_use]
    pub fn actor(plugin: &str, actor: &str, name: &str, handler: &str) -> Self {
        let [plugin, actor, name, handler] = [plugin, actor, name, handler].map(str::to_owned);
        Self { plugin, actor, name, handler, restarts: false }
    }
}

/// An event of an actor's chain, as `chain-event` of `theater:simple/types`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainEvent {
    /// SHA3-256 of the event's header.
    pub hash: Bytes,
    /// The same of the event before; none for the first.
    pub parent_hash: Option<Bytes>,
    /// What kind of event.
    pub event_type: String,
    /// The event's data.
    pub data: Bytes,
    /// Milliseconds since the epoch.
    pub timestamp: u64,
}

/// The death of a child.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildEnd {
    /// The child's id.
    pub child: String,
    /// The child's name.
    pub name: String,
    /// How it ended.
    pub ending: Ending,
}

/// How an actor ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// By its own `shutdown`, with the data it gave.
    Exit(Option<Bytes>),
    /// Stopped by its parent or an operator.
    Stopped,
    /// It failed.
    Failed {
        /// What kind of failure.
        kind: FailureKind,
        /// The chain of causes.
        causes: String,
    },
}

/// What kind of failure ended an actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailureKind {
    /// A call took longer than a limit.
    Timeout,
    /// An export that was to be called is missing.
    FunctionNotFound,
    /// An import or export has another type than expected.
    TypeMismatch,
    /// A plugin answered bytes that are no value of the type.
    Serialization,
    /// It was stopped while it was starting.
    ShuttingDown,
    /// Anything else, such as a trap.
    Internal,
}
