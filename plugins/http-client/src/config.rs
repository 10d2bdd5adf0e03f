//! The config, and how a parent's config narrows a child's.

use std::path::PathBuf;

use serde::Deserialize;
use serde_json::{Map, Value};
use theater_plugin_api::narrow::{self, Rule};

use crate::hosts::HostPattern;

const TIMEOUT_MS: u64 = 30_000;
const MAX_RESPONSE_BYTES: u64 = 16 << 20;
const MAX_REDIRECTS: u32 = 5;

/// The handler's config; `config.schema.json` says what each key means.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct Config {
    pub allowed_hosts: Vec<String>,
    pub allowed_methods: Option<Vec<String>>,
    pub allow_private_addresses: bool,
    pub timeout_ms: u64,
    pub max_response_bytes: u64,
    pub max_redirects: u32,
    pub ca_files: Vec<PathBuf>,
    /// Allows every host. Set only for the operator's own requests.
    #[serde(skip)]
    pub everywhere: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            allowed_hosts: Vec::new(),
            allowed_methods: None,
            allow_private_addresses: false,
            timeout_ms: TIMEOUT_MS,
            max_response_bytes: MAX_RESPONSE_BYTES,
            max_redirects: MAX_REDIRECTS,
            ca_files: Vec::new(),
            everywhere: false,
        }
    }
}

impl Config {
    /// Returns the config of the operator, who started the program: every host and address, with the default limits.
    pub fn of_an_operator() -> Self {
        Self { everywhere: true, allow_private_addresses: true, ..Self::default() }
    }

    /// Parses `allowed_hosts`.
    ///
    /// # Errors
    /// A message that quotes the first entry that is not a host.
    pub fn hosts(&self) -> Result<Vec<HostPattern>, String> {
        self.allowed_hosts.iter().map(|text| HostPattern::parse(text)).collect()
    }
}

/// Deserializes a config; `null` gives the defaults.
///
/// # Errors
/// A message if a value has the wrong type.
pub fn read(config: &Value) -> Result<Config, String> {
    if config.is_null() {
        Ok(Config::default())
    } else {
        Config::deserialize(config).map_err(|error| error.to_string())
    }
}

/// Returns the part of `requested` that `ceiling` allows: the hosts and methods that both allow, and the smaller
/// limits.
///
/// # Errors
/// A message if a value has the wrong type or an entry is not a host.
pub fn narrow(ceiling: &Value, requested: &Value) -> Result<Value, String> {
    let rules = [
        ("allow_private_addresses", Rule::Permission),
        ("timeout_ms", Rule::Smaller(TIMEOUT_MS)),
        ("max_response_bytes", Rule::Smaller(MAX_RESPONSE_BYTES)),
        ("max_redirects", Rule::Smaller(MAX_REDIRECTS.into())),
        ("ca_files", Rule::Powers),
    ];
    let narrowed = narrow::object(&rules, ceiling, requested)?;
    if ceiling.is_null() {
        return Ok(narrowed);
    }
    let mut narrowed = match narrowed {
        Value::Object(narrowed) => narrowed,
        _ => Map::new(),
    };
    let (above, below) = (read(ceiling)?, read(requested)?);
    let (outer, inner) = (above.hosts()?, below.hosts()?);
    let mut hosts: Vec<String> = Vec::new();
    for both in inner.iter().flat_map(|inner| outer.iter().filter_map(|outer| outer.and(inner))) {
        let text = both.to_string();
        if !hosts.contains(&text) {
            hosts.push(text);
        }
    }
    narrowed.insert("allowed_hosts".to_owned(), hosts.into());
    let methods = match (above.allowed_methods, below.allowed_methods) {
        (Some(above), Some(below)) => Some(below.into_iter().filter(|method| above.contains(method)).collect()),
        (above, below) => above.or(below),
    };
    if let Some(methods) = methods {
        narrowed.insert("allowed_methods".to_owned(), Value::from(methods));
    }
    Ok(Value::Object(narrowed))
}
