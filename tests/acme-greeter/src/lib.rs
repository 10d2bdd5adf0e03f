//! A third party's plugin, and the example of all that an author can use.
//!
//! This file is the plugin: one value per process, which makes a handler for each actor. [`hello`] is the handler, which
//! is what an actor sees and where its state lives, and [`greeting`] makes the words. The interfaces are in `wit/`; the
//! README beside it walks through the steps.

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

/// The handler's config. The core has checked it against `config.schema.json`, which says what each key means.
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
    /// What a schema cannot say.
    fn check(self) -> Result<Self, String> {
        if self.greeting.trim().is_empty() {
            return Err(
                "greeting is blank: it is the first word of every greeting, as in greeting = \"Hello\"".to_owned()
            );
        }
        Ok(self)
    }
}

/// The plugin: what all actors of the process share.
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
