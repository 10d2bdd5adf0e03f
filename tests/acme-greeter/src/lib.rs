//! An example of a third-party plugin that uses every feature available to an author.
//!
//! This file has the plugin itself: one value per process, which creates a handler for each actor. [`hello`] has the
//! handler, with the functions that an actor calls and the state that belongs to the actor. [`greeting`] composes the
//! text. The interfaces are in `wit/`. The README explains the steps.

#![forbid(unsafe_code)]

mod greeting;
mod hello;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use serde::Deserialize;
use serde_json::Value;
use theater_plugin_api::narrow::{self, Rule};
use theater_plugin_api::{Attachment, Host, Plugin};

use hello::Greeter;

theater_plugin_api::bindings! {
    plugin: Greeters,
    handler: Greeter,
    name: "acme-greeter",
    wit: "wit",
    handlers: ["acme:greeter"],
    provides: { "acme:greeter/hello@1.0.0": {
        "greet": pure,
        "greet-later": async read,
        "average": pure,
        "mix": pure,
        "count": read,
        "total": read,
        "owner": read,
        "start-ticks": async effect,
        "visit": async effect,
        "wait-for": async read,
        "fail": read,
    } },
    calls: { "acme:greeter/visitor@1.0.0": optional },
    config: "config.schema.json",
}

const MAX_NAMES: u64 = 3;

/// The config of a handler. The core has checked it against `config.schema.json`, which documents the keys.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub(crate) struct Config {
    greeting: String,
    max_names: u64,
    polite: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { greeting: "Hello".to_owned(), max_names: MAX_NAMES, polite: false }
    }
}

impl Config {
    /// Checks what a JSON schema cannot express.
    fn check(self) -> Result<Self, String> {
        if self.greeting.trim().is_empty() {
            return Err(
                "greeting is blank: it is the first word of every greeting, as in greeting = \"Hello\"".to_owned()
            );
        }
        Ok(self)
    }
}

/// The plugin: the state that all actors of the process share.
pub struct Greeters {
    calls: Arc<AtomicU64>,
}

impl Plugin for Greeters {
    type Handler = Greeter;

    fn init(_: Host) -> Result<Self, String> {
        Ok(Self { calls: Arc::default() })
    }

    async fn attach(&self, host: Host, attachment: Attachment) -> Result<Greeter, String> {
        let config = attachment.config().and_then(Config::check)?;
        Ok(Greeter::new(host, config, Arc::clone(&self.calls)))
    }

    fn narrow(&self, _: &str, ceiling: &Value, requested: &Value) -> Result<Value, String> {
        let rules = [("greeting", Rule::Free), ("max_names", Rule::Smaller(MAX_NAMES)), ("polite", Rule::Permission)];
        narrow::object(&rules, ceiling, requested)
    }
}

#[cfg(test)]
mod tests;
