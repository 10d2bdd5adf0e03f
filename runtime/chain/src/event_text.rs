//! Formats events as text: values in WAVE, with the types that the chain's own `created` event refers to.

use std::collections::HashMap;

use serde_json::{Value as Json, json};
use theater_encoding::decode;
use theater_encoding::uuid_text;

use crate::event::{Header, Id, hex};
use crate::objects::Objects;
use crate::record::{
    Created, Failed, Fault, HostCall, HostResult, Kind, Noted, Outcome, Queued, Renewed, Return, Sealed, Snapshot,
    Stopped,
};
use crate::value_type::resolve_wit;
use crate::value_type::{Signature, ValueType};
use crate::verify::{Event, created};
use crate::wave;

/// Formats events. It learns the types of a chain from the chain's first event.
pub struct EventFormatter {
    objects: Option<Objects>,
    chains: HashMap<Id, Functions>,
    discards: bool,
}

#[derive(Default)]
struct Functions {
    labels: Vec<String>,
    signatures: Vec<Option<Signature>>,
}

/// An event as text.
#[derive(Debug, Clone)]
pub struct EventText {
    /// Its type's name.
    pub kind: String,
    /// `interface/function`, if the event concerns one.
    pub function: Option<String>,
    /// The content.
    pub text: String,
}

impl EventText {
    /// The event as an object of `-o json`.
    #[must_use]
    pub fn json(self, event: &Event<'_>) -> Json {
        json!({
            "actor": uuid_text(&event.header.actor),
            "sequence": event.header.sequence,
            "hash": hex(&event.hash),
            "parent": hex(&event.header.parent),
            "type": self.kind,
            "function": self.function,
            "call": event.header.call,
            "cause": event.header.cause.map(|cause| json!({
                "actor": uuid_text(&cause.actor), "sequence": cause.sequence, "hash": hex(&cause.hash),
            })),
            "timestamp_ms": event.header.timestamp,
            "bytes": event.header.length,
            "text": self.text,
        })
    }
}

impl EventFormatter {
    /// A formatter that reads WIT from these objects. Without objects, values are shown as bytes.
    #[must_use]
    pub fn new(objects: Option<Objects>) -> Self {
        Self { objects, chains: HashMap::new(), discards: false }
    }

    /// A formatter whose texts are all empty, for callers that need no text.
    #[must_use]
    pub fn mute() -> Self {
        Self { objects: None, chains: HashMap::new(), discards: true }
    }

    /// Formats an event. Events of a chain must be passed in order, from `created` on.
    pub fn describe(&mut self, event: &Event<'_>) -> EventText {
        if self.discards {
            return EventText { kind: String::new(), function: None, text: String::new() };
        }
        if let Some(created) = created(event) {
            let functions = self.functions(&created);
            self.chains.insert(event.header.actor, functions);
        }
        let functions = self.chains.get(&event.header.actor);
        let index = event.header.function.map(|index| index as usize);
        let function = self.function(&event.header).map(str::to_owned);
        let signature = index.and_then(|index| functions?.signatures.get(index)?.as_ref());
        let kind = Kind::from_number(event.header.kind);
        let mut text = match (kind, event.data) {
            (_, None) => format!("{} bytes of data were deleted", event.header.length),
            (Some(kind), Some(data)) => content(kind, data, signature).unwrap_or_else(|| wave::bytes(data)),
            (None, Some(data)) => wave::bytes(data),
        };
        if let (Some(Kind::Created), Some(origin)) = (kind, event.header.cause) {
            text.push_str(&format!(", forked from event {} of {}", origin.sequence, uuid_text(&origin.actor)));
        }
        EventText { kind: kind.map_or_else(|| event.header.kind.to_string(), |kind| kind.to_string()), function, text }
    }

    /// The function that an event concerns, as `interface/function`.
    #[must_use]
    pub fn function(&self, header: &Header) -> Option<&str> {
        let index = header.function? as usize;
        self.chains.get(&header.actor)?.labels.get(index).map(String::as_str)
    }

    fn functions(&self, created: &Created) -> Functions {
        let resolves: Vec<_> = created
            .setup
            .handlers
            .iter()
            .filter_map(|handler| {
                let bytes = self.objects.as_ref()?.get(&handler.wit).ok()?;
                resolve_wit(&serde_json::from_slice::<Vec<Vec<(String, String)>>>(&bytes).ok()?).ok()
            })
            .collect();
        let signature = |interface: &str, function: &str| {
            resolves.iter().find_map(|(resolve, _)| {
                let (_, found) =
                    resolve.interfaces.iter().find(|(id, _)| resolve.id_of(*id).as_deref() == Some(interface))?;
                Signature::of_wit(resolve, found.functions.get(function)?).ok()
            })
        };
        Functions {
            labels: created.setup.functions.iter().map(|f| format!("{}/{}", f.interface, f.function)).collect(),
            signatures: created.setup.functions.iter().map(|f| signature(&f.interface, &f.function)).collect(),
        }
    }
}

/// The content of an event; none if its data does not decode.
fn content(kind: Kind, data: &[u8], signature: Option<&Signature>) -> Option<String> {
    match kind {
        Kind::Created | Kind::Restarted | Kind::Swapped => start_text(data),
        Kind::Queued | Kind::Host | Kind::Intent | Kind::Return => call_text(kind, data, signature),
        _ => actor_text(kind, data),
    }
}

/// The content of `created`, `restarted` or `swapped`.
fn start_text(data: &[u8]) -> Option<String> {
    let created: Created = decode(data).ok()?;
    let handlers: Vec<_> = created
        .setup
        .handlers
        .iter()
        .map(|h| format!("{} = {} {} sha256:{}", h.handler_type, h.plugin, h.version, h.digest))
        .collect();
    Some(format!(
        "{} component sha256:{} ({}) [{}]",
        created.name,
        created.setup.component,
        created.engine,
        handlers.join(", ")
    ))
}

/// The content of an event of a call, with values as text if the function's signature is known.
fn call_text(kind: Kind, data: &[u8], signature: Option<&Signature>) -> Option<String> {
    Some(match kind {
        Kind::Queued => {
            let queued: Queued = decode(data).ok()?;
            let params =
                signature.and_then(Signature::handler).and_then(|(params, _)| wave::row(params, &queued.params).ok());
            format!("({}) from {}", params.unwrap_or_else(|| wave::bytes(&queued.params)), queued.source)
        }
        Kind::Host => {
            let call: HostCall = decode(data).ok()?;
            format!("({}) -> {}", arguments(&call.arguments, signature), result(&call.result, signature))
        }
        Kind::Intent => format!("({})", arguments(data, signature)),
        _ => {
            let returned: Return = decode(data).ok()?;
            let outcome = match returned.outcome {
                Outcome::Ok(values) => {
                    let types = signature.and_then(Signature::handler).map(|(_, types)| types);
                    let text = types.and_then(|types| wave::row(types, &values).ok());
                    format!("ok({})", text.unwrap_or_else(|| wave::bytes(&values)))
                }
                Outcome::Err(text) => format!("err({text:?})"),
                Outcome::Trap(text) => format!("trap({text:?})"),
                Outcome::Interrupted(text) => format!("interrupted({text:?})"),
            };
            let state = returned.state.map_or_else(
                || "state unchanged".to_owned(),
                |state| format!("state of {} bytes, {}", state.length, hex(state.digest.get(..8).unwrap_or_default())),
            );
            format!("{outcome}, {} host calls, {state}", returned.host_calls)
        }
    })
}

/// The content of an event of the actor as a whole.
fn actor_text(kind: Kind, data: &[u8]) -> Option<String> {
    Some(match kind {
        Kind::Instance => {
            let renewed: Renewed = decode(data).ok()?;
            format!("{} ({})", renewed.number, renewed.reason)
        }
        Kind::Snapshot => {
            let snapshot: Snapshot = decode(data).ok()?;
            let state =
                snapshot.state.map_or_else(|| "no state".to_owned(), |state| format!("state of {} bytes", state.len()));
            format!("{state}, {} calls wait", snapshot.waiting.len())
        }
        Kind::Sealed => {
            let sealed: Sealed = decode(data).ok()?;
            format!("by ed25519:{}", hex(&sealed.key))
        }
        Kind::Noted => {
            let noted: Noted = decode(data).ok()?;
            format!("{} {:?} {}", noted.plugin, noted.what, wave::bytes(&noted.data))
        }
        Kind::Fault => {
            let fault: Fault = decode(data).ok()?;
            format!("[{}] plugin {:?}: {}", fault.code, fault.plugin, fault.message)
        }
        Kind::Failed => {
            let failed: Failed = decode(data).ok()?;
            format!("in {}: {}", failed.step, failed.message)
        }
        Kind::Stopped => {
            let stopped: Stopped = decode(data).ok()?;
            let data = stopped.data.map(|data| format!(" with {}", wave::bytes(&data)));
            format!("by {}{}", stopped.reason, data.unwrap_or_default())
        }
        _ => String::new(),
    })
}

/// Formats encoded arguments.
pub fn arguments(bytes: &[u8], signature: Option<&Signature>) -> String {
    let types = signature.map(|signature| signature.params.iter().map(|(_, ty)| ty));
    types.and_then(|types| wave::row(types, bytes).ok()).unwrap_or_else(|| wave::bytes(bytes))
}

/// Formats the result of a host call.
pub fn result(result: &HostResult, signature: Option<&Signature>) -> String {
    match result {
        HostResult::Value(bytes) => {
            let ty: Option<&ValueType> = signature.and_then(|signature| signature.result.as_ref());
            let text = ty.and_then(|ty| wave::row([ty], bytes).ok());
            match (text, bytes.is_empty()) {
                (Some(text), _) => text,
                (None, true) => "()".to_owned(),
                (None, false) => wave::bytes(bytes),
            }
        }
        HostResult::Fault(text) => format!("fault({text:?})"),
        HostResult::Chain { from, to, .. } => format!("events {from} to {} of this chain", to.saturating_sub(1)),
    }
}
