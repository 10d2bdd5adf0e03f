//! Data that the core and a plugin exchange through a host.

use serde::{Deserialize, Serialize};
use theater_encoding::Bytes;

/// The level of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// An operator must see it.
    Error = 1,
    /// An operator should see it.
    Warn = 2,
    /// Normal operation.
    Info = 3,
    /// Details for finding a fault.
    Debug = 4,
    /// All details.
    Trace = 5,
}

/// The plugin, actor and handler type that a host belongs to.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[non_exhaustive]
pub struct About {
    /// The plugin's name.
    pub plugin: String,
    /// The actor's id; empty for the host of the plugin itself.
    pub actor: String,
    /// The actor's name; empty for the host of the plugin itself.
    pub name: String,
    /// The handler type that the manifest names; empty for the host of the plugin itself.
    pub handler: String,
    /// Whether the actor has ended and is about to be restarted. Resources such as listeners may then stay open for the
    /// next run.
    #[serde(default)]
    pub restarts: bool,
}

impl About {
    /// For the host of a plugin itself.
    #[must_use]
    pub fn plugin(name: &str) -> Self {
        Self::actor(name, "", "", "")
    }
    /// For the host of an actor: the plugin's name, the actor's id and name, and the handler type.
    #[must_use]
    pub fn actor(plugin: &str, actor: &str, name: &str, handler: &str) -> Self {
        let [plugin, actor, name, handler] = [plugin, actor, name, handler].map(str::to_owned);
        Self { plugin, actor, name, handler, restarts: false }
    }
}

/// An event of an actor's chain: `chain-event` of `theater:simple/types`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainEvent {
    /// SHA3-256 of the event's header.
    pub hash: Bytes,
    /// The hash of the previous event; none for the first.
    pub parent_hash: Option<Bytes>,
    /// The kind of the event.
    pub event_type: String,
    /// The event's data.
    pub data: Bytes,
    /// Milliseconds since the epoch.
    pub timestamp: u64,
}

/// The end of a child.
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
    /// By its own `shutdown`, with the data that it passed.
    Exit(Option<Bytes>),
    /// Stopped by its parent or an operator.
    Stopped,
    /// It failed.
    Failed {
        /// The kind of failure.
        kind: FailureKind,
        /// The chain of causes.
        causes: String,
    },
}

/// The kind of failure that ended an actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailureKind {
    /// A call exceeded a time limit.
    Timeout,
    /// An export that should have been called does not exist.
    FunctionNotFound,
    /// An import or export does not have the expected type.
    TypeMismatch,
    /// A plugin's answer is not the encoding of a value of the type.
    Serialization,
    /// It was stopped during its start.
    ShuttingDown,
    /// Anything else, such as a trap.
    Internal,
}
