//! The handler's config; `config.schema.json` documents the keys.

use serde::Deserialize;
use serde_json::Value;
use theater_http_listener as listener;
use theater_plugin_api::narrow::Rule;

/// The handler's config; `config.schema.json` says what each key means.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Config {
    #[serde(flatten)]
    pub(crate) listen: listener::Config,
    #[serde(default = "root")]
    pub(crate) path: String,
    #[serde(default)]
    pub(crate) allowed_origins: Vec<String>,
    #[serde(default)]
    pub(crate) protocols: Vec<String>,
}

fn root() -> String {
    "/".to_owned()
}

/// Returns the part of `requested` that `ceiling` allows.
///
/// # Errors
/// Returns a sentence about a value of the wrong type.
pub(crate) fn narrow(ceiling: &Value, requested: &Value) -> Result<Value, String> {
    listener::narrow(
        ceiling,
        requested,
        &[("path", Rule::Free), ("allowed_origins", Rule::Powers), ("protocols", Rule::Free)],
    )
}
