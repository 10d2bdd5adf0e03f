//! The handler's config, and how a parent's config limits it; `config.schema.json` documents the keys.

use serde::Deserialize;
use serde_json::Value;
use theater_http_listener as listener;
use theater_plugin_api::narrow::Rule;

use crate::rules::{self, AllowLists};
use crate::schemas::{self, SchemaTexts};

const SEND_TIMEOUT_MS: u64 = 30_000;
const REQUEST_TIMEOUT_MS: u64 = 30_000;
const MAX_OUTSTANDING: usize = 256;
const MAX_CHANNELS: usize = 1_000;

/// The keys of the config.
#[derive(Debug, Deserialize)]
pub(crate) struct Config {
    #[serde(flatten)]
    pub(crate) rules: AllowLists,
    #[serde(flatten)]
    pub(crate) limits: Limits,
    #[serde(default)]
    pub(crate) schemas: SchemaTexts,
    #[serde(flatten)]
    pub(crate) listen: listener::Config,
}

/// Timeouts and maximum counts.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(default)]
pub(crate) struct Limits {
    pub(crate) send_timeout_ms: u64,
    pub(crate) request_timeout_ms: u64,
    pub(crate) max_outstanding: usize,
    pub(crate) max_channels: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            send_timeout_ms: SEND_TIMEOUT_MS,
            request_timeout_ms: REQUEST_TIMEOUT_MS,
            max_outstanding: MAX_OUTSTANDING,
            max_channels: MAX_CHANNELS,
        }
    }
}

/// Returns the part of `requested` that `ceiling` allows. On either side, a missing allow list means every actor; the
/// schemas of both sides apply.
///
/// # Errors
/// Returns a sentence about a value of the wrong type.
pub(crate) fn narrow(ceiling: &Value, requested: &Value) -> Result<Value, String> {
    let limits = [
        ("send_timeout_ms", Rule::Smaller(SEND_TIMEOUT_MS)),
        ("request_timeout_ms", Rule::Smaller(REQUEST_TIMEOUT_MS)),
        ("max_outstanding", Rule::Smaller(MAX_OUTSTANDING as u64)),
        ("max_channels", Rule::Smaller(MAX_CHANNELS as u64)),
    ];
    let mut narrowed = listener::narrow(ceiling, requested, &limits)?;
    if let Some(keys) = narrowed.as_object_mut() {
        for key in ["allow_from", "allow_to"] {
            keys.extend(rules::narrow(key, ceiling, requested)?.map(|list| (key.to_owned(), list)));
        }
        keys.extend(schemas::narrow(ceiling, requested)?.map(|all| ("schemas".to_owned(), all)));
    }
    Ok(narrowed)
}
