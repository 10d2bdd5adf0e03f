//! The handler's config; `config.schema.json` documents the keys.

use serde::Deserialize;
use serde_json::Value;
use theater_http_listener as listener;
use theater_plugin_api::narrow::Rule;
use theater_websocket_protocol::UpgradePolicy;

pub(crate) const MAX_WEBSOCKET_QUEUE_BYTES: u64 = 1 << 20;
pub(crate) const WEBSOCKET_SEND_TIMEOUT_MS: u64 = 1_000;
pub(crate) const MAX_SERVERS: u64 = 16;
pub(crate) const MAX_ROUTES: u64 = 1_000;

/// The handler's config; `config.schema.json` says what each key means.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Config {
    #[serde(flatten)]
    pub(crate) listen: listener::Config,
    #[serde(default = "max_websocket_queue_bytes")]
    pub(crate) max_websocket_queue_bytes: u64,
    #[serde(default = "websocket_send_timeout_ms")]
    pub(crate) websocket_send_timeout_ms: u64,
    #[serde(default = "max_servers")]
    pub(crate) max_servers: u64,
    #[serde(default = "max_routes")]
    pub(crate) max_routes: u64,
    #[serde(default)]
    pub(crate) allowed_origins: Vec<String>,
    #[serde(default)]
    pub(crate) protocols: Vec<String>,
}

impl Config {
    /// Returns which origins may open websockets, and with which subprotocols.
    pub(crate) fn upgrade_policy(&self) -> UpgradePolicy<'_> {
        UpgradePolicy { origins: &self.allowed_origins, protocols: &self.protocols }
    }
}

fn max_servers() -> u64 {
    MAX_SERVERS
}

fn max_routes() -> u64 {
    MAX_ROUTES
}

fn max_websocket_queue_bytes() -> u64 {
    MAX_WEBSOCKET_QUEUE_BYTES
}

fn websocket_send_timeout_ms() -> u64 {
    WEBSOCKET_SEND_TIMEOUT_MS
}

/// Returns the part of `requested` that `ceiling` allows.
///
/// # Errors
/// Returns a sentence about a value of the wrong type.
pub(crate) fn narrow(ceiling: &Value, requested: &Value) -> Result<Value, String> {
    let own = [
        ("max_websocket_queue_bytes", Rule::Smaller(MAX_WEBSOCKET_QUEUE_BYTES)),
        ("websocket_send_timeout_ms", Rule::Smaller(WEBSOCKET_SEND_TIMEOUT_MS)),
        ("max_servers", Rule::Smaller(MAX_SERVERS)),
        ("max_routes", Rule::Smaller(MAX_ROUTES)),
        ("allowed_origins", Rule::Powers),
        ("protocols", Rule::Free),
    ];
    listener::narrow(ceiling, requested, &own)
}
