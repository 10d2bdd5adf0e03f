//! The data of each event type.
//!
//! These records are part of the chain format (see [`crate::event`]). A field is never changed or removed; a new field
//! requires a new event type.

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
    /// The actor exists: [`Created`]. Always the first event. The cause of a fork's is the event after which the fork begins.
    Created = 1,
    /// There is a new instance: [`Renewed`]. A replay can start here.
    Instance = 2,
    /// A call of an export waits in the mailbox: [`Queued`].
    Queued = 3,
    /// A host function returned: [`HostCall`].
    Host = 4,
    /// The actor is about to call a host function with side effects. The data is the encoded arguments.
    Intent = 5,
    /// A call of an export ended: [`Return`].
    Return = 6,
    /// The actor's and its handlers' states, from which a resume can start: [`Snapshot`].
    Snapshot = 7,
    /// A plugin failed: [`Fault`].
    Fault = 8,
    /// The actor failed: [`Failed`]. Only a seal follows, unless the actor is started again.
    Failed = 9,
    /// The actor stopped: [`Stopped`]. Only a seal follows, unless the actor is started again, or resumed after it was stopped
    /// with the program.
    Stopped = 10,
    /// The actor starts again with its id and chain: [`Created`].
    Restarted = 11,
    /// The actor continues with another plugin, core or config: [`Created`].
    Swapped = 12,
    /// Input from outside that is not passed to an export of the actor: [`Noted`].
    Noted = 13,
    /// The parent of an ended actor decided not to start it again.
    Released = 14,
    /// An operator's signature over the previous event: [`Sealed`].
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

/// Data of `created`, `restarted` and `swapped`: everything that is needed to read the following events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Created {
    /// The actor's name, unique among its siblings.
    pub name: String,
    /// The parent's id, if another actor spawned it.
    pub parent: Option<String>,
    /// Manifest, component, handlers and limits.
    pub setup: Setup,
    /// SHA-256 of the initial state (stored in `objects/`), if there is one.
    pub init_state: Option<String>,
    /// Versions of runtime and engine: `theater 0.1.0, wasmtime 48.0.8`.
    pub engine: String,
}

/// The part of [`Created`] that is the same for all actors of one manifest, component and set of plugins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setup {
    /// SHA-256 of the manifest (stored in `objects/`), lower-case hex.
    pub manifest: String,
    /// The path of the manifest, or a name in angle brackets.
    pub path: String,
    /// The folder that its relative paths are relative to.
    pub folder: String,
    /// SHA-256 of the component (stored in `objects/`).
    pub component: String,
    /// The handlers, in the manifest's order, followed by ambient ones.
    pub handlers: Vec<HandlerRecord>,
    /// The functions that events name by index.
    pub functions: Vec<FunctionRecord>,
    /// The effective limits.
    pub limits: Vec<(String, u64)>,
    /// The instance policy: `cached`, `fresh` or `kept`.
    pub instance: String,
}

/// Encodes [`Created`] with a [`Setup`] that is already encoded.
///
/// # Errors
/// Those of the encoder; strings cause none.
pub fn created(
    name: &str,
    parent: Option<&str>,
    setup: &[u8],
    init_state: Option<&str>,
    engine: &str,
) -> Result<Vec<u8>, EncodingError> {
    // A record is encoded as the concatenation of its fields.
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
    /// SHA-256 of the plugin's WIT (stored in `objects/` as the JSON of the descriptor's `wit`).
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
    /// The index of the handler that offers it, for an import; none for an export.
    pub handler: Option<u32>,
}

impl FunctionRecord {
    /// Whether this is the export that starts an actor.
    #[must_use]
    pub fn is_init(&self) -> bool {
        self.handler.is_none() && is_init(&self.interface, &self.function)
    }
}

/// Reason of a new instance after a resume. An instance with the policy `kept` gets its memory back by replay.
pub const RESUMED: &str = "resume";

/// Data of `instance`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renewed {
    /// The instance's number, from 1.
    pub number: u64,
    /// Why there is a new instance.
    pub reason: String,
}

/// Data of `queued`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queued {
    /// A description of the caller. If an event caused the call, the header has it as its cause.
    pub source: String,
    /// The encoded params, without the state.
    pub params: Bytes,
}

/// Data of `host`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostCall {
    /// The encoded arguments.
    pub arguments: Bytes,
    /// The result.
    pub result: HostResult,
}

/// The result of a host call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum HostResult {
    /// The encoded result.
    Value(Bytes),
    /// The plugin failed, and the call trapped with this text.
    Fault(String),
    /// The result can be computed from this actor's chain: the range of events, and a digest.
    Chain {
        /// The first sequence.
        from: u64,
        /// The sequence after the last one.
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
    /// The number of host calls it made.
    pub host_calls: u64,
    /// Digest of the new state if the call changed it (see [`crate::state_digest`]).
    pub state: Option<StateDigest>,
}

/// Length and digest of a state. A length of 2^64 - 1 means no state.
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
    /// `ok`, with the encoded values without the state.
    Ok(Bytes),
    /// `err`, with its text.
    Err(String),
    /// The guest trapped.
    Trap(String),
    /// The runtime interrupted the call.
    Interrupted(String),
}

/// Data of `snapshot`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The actor's state.
    pub state: Option<Bytes>,
    /// Each handler's exported state, in the order of `Setup::handlers`.
    pub handlers: Vec<Bytes>,
    /// Sequences of earlier `queued` events whose calls have not begun.
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
    /// A description of the input.
    pub what: String,
    /// The input.
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
    /// The error and its causes.
    pub message: String,
}

/// Data of `stopped`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    /// Who stopped the actor: `shutdown` (itself), `program`, `parent`.
    pub reason: String,
    /// The argument of `shutdown`.
    pub data: Option<Bytes>,
}

#[cfg(test)]
mod tests {
    use theater_encoding::decode;

    use super::*;

    #[test]
    fn a_start_is_the_concatenation_of_its_parts() {
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
