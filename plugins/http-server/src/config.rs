//! The handler's config; `config.schema.json` documents the keys.

use serde::Deserialize;
use serde_json::Value;
use theater_http_listener as listener;
use theater_plugin_api::narrow::Rule;

pub(crate) const MAX_QUEUE: usize = 256;

/// The handler's config; `config.schema.json` says what each key means.
#[derive(Debug, Deserialize)]
pub(crate) struct Config {
    #[serde(flatten)]
    pub(crate) listen: listener::Config,
    #[serde(default = "max_queue")]
    pub(crate) max_queue: usize,
}

fn max_queue() -> usize {
    MAX_QUEUE
}

/// Returns the part of `requested` that `ceiling` allows.
///
/// # Errors
/// Returns a sentence about a value of the wrong type.
pub(crate) fn narrow(ceiling: &Value, requested: &Value) -> Result<Value, String> {
    listener::narrow(ceiling, requested, &[("max_queue", Rule::Smaller(MAX_QUEUE as u64))])
}
