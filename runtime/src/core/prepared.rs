//! A prepared actor: the result of every check that a start makes before it records anything.

use std::sync::{Arc, OnceLock};

use serde_json::Value as Json;

use crate::actor::ActorSpec;
use crate::manifest::{Ceilings, Manifest};
use crate::plugin::loaded::Plugin;
use crate::support::error::{Error, HandlerProblem, SourceLocation};
use crate::wasm::linker::Linked;

/// A checked manifest with its plugins and its linked component. No actor exists yet.
pub struct Prepared {
    /// Its handlers, ambient ones last.
    pub handlers: Vec<PreparedHandler>,
    /// The component, linked.
    pub linked: Arc<Linked>,
    /// Whether instances come from the pool.
    pub pooled: bool,
    /// What the actor's children may have.
    pub below: Ceilings,
    /// The encoded setup of the chain, from the first start on.
    pub(super) setup: OnceLock<Vec<u8>>,
}

/// A checked handler that is not attached yet.
pub struct PreparedHandler {
    /// The handler type.
    pub handler_type: String,
    /// The line of the manifest that names it; none for an ambient handler.
    pub place: Option<SourceLocation>,
    /// Its plugin.
    pub plugin: Arc<Plugin>,
    /// The effective config.
    pub config: Json,
    /// The ceiling it was narrowed by.
    pub ceiling: Json,
    /// Both as text.
    pub texts: [String; 2],
}

impl PreparedHandler {
    pub(super) fn new(
        handler_type: &str,
        place: Option<SourceLocation>,
        plugin: Arc<Plugin>,
        config: Json,
        ceiling: Json,
    ) -> Self {
        let texts = [config.to_string(), ceiling.to_string()];
        Self { handler_type: handler_type.to_owned(), place, plugin, config, ceiling, texts }
    }
}

impl Prepared {
    /// Returns the specification of an actor that starts from this, with `state` as its first state.
    pub(super) fn actor_spec(self: Arc<Self>, manifest: Arc<Manifest>, state: Option<Arc<Vec<u8>>>) -> ActorSpec {
        ActorSpec {
            manifest,
            interface: Arc::clone(&self.linked.interface),
            pooled: self.pooled,
            below: self.below.clone(),
            prepared: self,
            state,
        }
    }
}

/// Returns what the core prepared for an actor.
#[must_use]
pub fn prepared_of(spec: &ActorSpec) -> Arc<Prepared> {
    match Arc::clone(&spec.prepared).downcast() {
        Ok(prepared) => prepared,
        Err(_) => unreachable!("only the core creates actor specs, and always with a Prepared"),
    }
}

/// Returns the error of a handler of an actor; `location` is the handler's entry in the manifest.
pub(super) fn handler_error(actor: &str, handler: &str, place: Option<SourceLocation>, what: HandlerProblem) -> Error {
    Error::Handler { place, actor: actor.to_owned(), handler: handler.to_owned(), what }
}
