//! What events of a chain say: the data of each type, in the one encoding.
//!
//! These are part of the chain format (see [`crate::event`]): a field is never changed or removed, a new one makes a new
//! event type.

use std::fmt;

use serde::{Deserialize, Serialize};
use theater_encoding::Bytes;
use theater_encoding::{EncodingError, encode, encode_into};

use crate::interface_name::is_init;

/// The type of an event, as its number in the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum Kind {
    /// The actor exists: [`Created`]. Always the first event; of a fork, its cause is the event behind which it begins.
    Created = 1,
    /// The instance is a new one: [`Renewed`]. Replay can begin here.
    Instance = 2,
    /// A call of an export waits in the mailbox: [`Queued`].
    Queued = 3,
    /// The actor called a host function: [`HostCall`].
    Host = 4,
    /// The actor is about to call a host function that changes the outside; the data is the encoded arguments.
    Intent = 5,
    /// A call of an export ended: [`Return`].
    Return = 6,
    /// State and handlers' states, to start from: [`Snapshot`].
    Snapshot = 7,
    /// A plugin failed: [`Fault`].
    Fault = 8,
    /// The actor ended by failure: [`Failed`]. The last event but for a seal, unless it is started again.
    Failed = 9,
    /// The actor ended: [`Stopped`]. The last event but for a seal, unless it is started again or, stopped with the program,
    /// resumed.
    Stopped = 10,
    /// The actor starts again with its id and chain: [`Created`].
    Restarted = 11,
    /// The actor goes on with another plugin, core or config: [`Created`].
    Swapped = 12,
    /// Something from outside that no export of the actor takes: [`Noted`].
    Noted = 13,
    /// The parent of an actor that ended by itself does not start it again.
    Released = 14,
    /// An operator's signature over the event before: [`Sealed`].
    Sealed = 15,
}

impl Kind {
    /// The type with that number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Created,
            2 => Self::Instance,
            3 => Self::Queued,
            4 => Self::Host,
            5 => Self::Intent,
            6 => Self::Return,
            7 => Self::Snapshot,
            8 => Self::Fault,
            9 => Self::Failed,
            10 => Self::Stopped,
            11 => Self::Restarted,
            12 => Self::Swapped,
            13 => Self::Noted,
            14 => Self::Released,
            15 => Self::Sealed,
            _ => return None,
        })
    }

    /// The type's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Instance => "instance",
            Self::Queued => "queued",
            Self::Host => "host",
            Self::Intent => "intent",
            Self::Return => "return",
            Self::Snapshot => "snapshot",
            Self::Fault => "fault",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
            Self::Restarted => "restarted",
            Self::Swapped => "swapped",
            Self::Noted => "noted",
            Self::Released => "released",
            Self::Sealed => "sealed",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Data of `created`, `restarted` and `swapped`: everything the rest of the chain is read with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Created {
    /// The actor's name, unique among its siblings.
    pub name: String,
    /// The parent's id, for an actor that was spawned by another.
    pub parent: Option<String>,
    /// What it was started from.
    pub setup: Setup,
    /// SHA-256 of the initial state (kept in `objects/`), if there is one.
    pub init_state: Option<String>,
    /// Core and engine: `theater 0.1.0, wasmtime 48.0.8`.
    pub engine: String,
}

/// The part of [`Created`] that is the same for all actors of one manifest, component and set of plugins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setup {
    /// SHA-256 of the manifest (kept in `objects/`), lower-case hex.
    pub manifest: String,
    /// Where it was read from, or a name in angle brackets.
    pub path: String,
    /// Where its relative paths start.
    pub folder: String,
    /// SHA-256 of the component (kept in `objects/`).
    pub component: String,
    /// The handlers, in the manifest's order, ambient ones behind.
    pub handlers: Vec<HandlerRecord>,
    /// The functions that events name by index.
    pub functions: Vec<FunctionRecord>,
    /// The limits in force.
    pub limits: Vec<(String, u64)>,
    /// How the instance is kept: `cached`, `fresh` or `kept`.
    pub instance: String,
}

/// The encoding of [`Created`] with a [`Setup`] that is encoded already.
///
/// # Errors
/// None for text.
pub fn created(
    name: &str,
    parent: Option<&str>,
    setup: &[u8],
    init_state: Option<&str>,
    engine: &str,
) -> Result<Vec<u8>, EncodingError> {
    // A record is its fields in a row.
    let mut data = encode(&(name, parent))?;
    data.extend_from_slice(setup);
    encode_into(&(init_state, engine), &mut data)?;
    Ok(data)
}

/// A handler of an actor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandlerRecord {
    /// The handler type of the manifest.
    pub handler_type: String,
    /// The plugin's name.
    pub plugin: String,
    /// The plugin's version.
    pub version: String,
    /// SHA-256 of the plugin's file.
    pub digest: String,
    /// SHA-256 of the plugin's WIT (kept in `objects/` as the JSON of the descriptor's `wit`).
    pub wit: String,
    /// The effective config, JSON.
    pub config: String,
}

/// A function that events name by its index in `Setup::functions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionRecord {
    /// `package:name/interface`.
    pub interface: String,
    /// The function's name.
    pub function: String,
    /// Which of the handlers offers it, for an import; none for an export.
    pub handler: Option<u32>,
}

impl FunctionRecord {
    /// Whether it is the export that starts an actor.
    #[must_use]
    pub fn is_init(&self) -> bool {
        self.handler.is_none() && is_init(&self.interface, &self.function)
    }
}

/// Why there is a new instance: the actor goes on in another program. One that is kept has its memory again.
pub const RESUMED: &str = "resume";

/// Data of `instance`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renewed {
    /// Counts the actor's instances from 1.
    pub number: u64,
    /// Why there is a new one.
    pub reason: String,
}

/// Data of `queued`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queued {
    /// Where the call comes from, in words; the header's cause names an event when there is one.
    pub source: String,
    /// The encoded params, behind the state.
    pub params: Bytes,
}

/// Data of `host`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostCall {
    /// The encoded arguments.
    pub arguments: Bytes,
    /// What came back.
    pub result: HostResult,
}

/// What a host call gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum HostResult {
    /// The encoded result.
    Value(Bytes),
    /// The plugin failed, and the call trapped with this text.
    Fault(String),
    /// The result is a function of a chain: which part, and its digest.
    Chain {
        /// First sequence.
        from: u64,
        /// Behind the last sequence.
        to: u64,
        /// Hash of the last event.
        head: Bytes,
        /// SHA3-256 of the encoded result.
        digest: Bytes,
    },
}

/// Data of `return`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Return {
    /// How the call ended.
    pub outcome: Outcome,
    /// How many host calls it made.
    pub host_calls: u64,
    /// Digest of the state when the call changed it (see [`crate::state_digest`]).
    pub state: Option<StateDigest>,
}

/// The new state: its length and digest; a length of 2^64 - 1 is no state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateDigest {
    /// In bytes.
    pub length: u64,
    /// See [`crate::state_digest`].
    pub digest: Bytes,
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// `ok`, with the encoded values behind the state.
    Ok(Bytes),
    /// `err`, with its text.
    Err(String),
    /// The guest trapped.
    Trap(String),
    /// The core ended the call.
    Interrupted(String),
}

/// Data of `snapshot`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The actor's state.
    pub state: Option<Bytes>,
    /// Each handler's exported state, in the order of `Setup::handlers`.
    pub handlers: Vec<Bytes>,
    /// Sequences of the `queued` events before this one whose calls have not begun.
    pub waiting: Vec<u64>,
}

/// Data of `fault`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// The plugin's name.
    pub plugin: String,
    /// The stable code, as `P0101`.
    pub code: String,
    /// What happened.
    pub message: String,
}

/// Data of `noted`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Noted {
    /// The plugin's name.
    pub plugin: String,
    /// What it is, in words.
    pub what: String,
    /// The bytes themselves.
    pub data: Bytes,
}

/// Data of `sealed`; see [`crate::signature`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// The public key.
    pub key: Bytes,
    /// The signature.
    pub signature: Bytes,
}

/// Data of `failed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// What the actor was doing.
    pub step: String,
    /// The chain of causes.
    pub message: String,
}

/// Data of `stopped`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    /// Who asked: `shutdown`, `program`, `parent`.
    pub reason: String,
    /// What `shutdown` was given.
    pub data: Option<Bytes>,
}

#[cfg(test)]
mod tests {
    use theater_encoding::decode;

    use super::*;

    #[test]
    fn a_start_is_its_parts_in_a_row() {
        let setup = Setup {
            manifest: "m".repeat(64),
            path: "m.toml".into(),
            folder: ".".into(),
            component: "c".repeat(64),
            handlers: Vec::new(),
            functions: vec![FunctionRecord { interface: "a:b/c".into(), function: "f".into(), handler: Some(3) }],
            limits: vec![("memory_bytes".into(), 1 << 20)],
            instance: "cached".into(),
        };
        let encoded = encode(&setup).unwrap();
        for (parent, init_state) in [(None, None), (Some("p"), Some("s"))] {
            let bytes = created("name", parent, &encoded, init_state, "engine").unwrap();
            let whole = Created {
                name: "name".into(),
                parent: parent.map(str::to_owned),
                setup: setup.clone(),
                init_state: init_state.map(str::to_owned),
                engine: "engine".into(),
            };
            assert_eq!(decode::<Created>(&bytes).unwrap(), whole);
            assert_eq!(encode(&whole).unwrap(), bytes);
        }
    }
}
