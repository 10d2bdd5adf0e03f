//! The config keys that all listening handlers share, with their defaults.

use std::time::Duration;

use serde::Deserialize;

/// The config of a listening handler. The plugin's schema checks types and unknown keys; a plugin with more keys
/// flattens this into its own config type.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Config {
    /// The address to bind.
    pub host: String,
    /// The port to bind; 0 lets the system choose.
    pub port: u16,
    /// The addresses the handler may bind; default `127.0.0.1` and `::1`.
    pub bind_hosts: Option<Vec<String>>,
    /// The ports the handler may bind, numbers or ranges such as `"1024-65535"`; default 0 and 1024 up.
    pub bind_ports: Option<Vec<serde_json::Value>>,
    /// Serves HTTPS with this certificate; both files must be listed in `tls_files`.
    pub tls: Option<Tls>,
    /// The certificate and key files the handler may read.
    pub tls_files: Vec<String>,
    /// Maximum body size; a larger body is answered with 413.
    pub max_body_bytes: u64,
    /// Maximum size of the request line and headers together; a larger head is answered with 431.
    pub max_header_bytes: usize,
    /// Maximum number of headers; more are answered with 431.
    pub max_headers: usize,
    /// Timeout for a head, and for each started 256 KiB of a body; answered with 408. It also limits how long a
    /// connection may be idle and how long a client may not read its answer.
    pub read_timeout_ms: u64,
    /// Maximum number of connections; further ones are answered with 503 and closed.
    pub max_connections: usize,
    /// Maximum number of connections per peer address (for IPv6, per /64 network); default a quarter of
    /// `max_connections`. Idle connections give way to new ones of the same peer.
    pub max_connections_per_peer: Option<usize>,
    /// Names that requests may have in `Host` in addition to the bound address; others are answered with 421.
    pub allowed_hosts: Vec<String>,
    /// How long running requests may take to finish when the actor stops.
    pub shutdown_grace_ms: u64,
}

/// The certificate files of a server, as in `tls-config` of `theater:simple/http-types`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Tls {
    /// The certificate chain, PEM.
    pub cert_path: String,
    /// The private key, PEM.
    pub key_path: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port: 0,
            bind_hosts: None,
            bind_ports: None,
            tls: None,
            tls_files: Vec::new(),
            max_body_bytes: Self::MAX_BODY_BYTES,
            max_header_bytes: 65_536,
            max_headers: 128,
            read_timeout_ms: 30_000,
            max_connections: 1_024,
            max_connections_per_peer: None,
            allowed_hosts: Vec::new(),
            shutdown_grace_ms: 5_000,
        }
    }
}

impl Config {
    const MAX_BODY_BYTES: u64 = 16 << 20;
    const DAY_MS: u64 = 86_400_000;

    /// Returns [`Config::shutdown_grace_ms`] as a duration.
    #[must_use]
    pub fn shutdown_grace(&self) -> Duration {
        Duration::from_millis(self.shutdown_grace_ms)
    }

    pub(crate) fn limits(&self) -> Limits {
        Limits {
            body_bytes: self.max_body_bytes,
            header_bytes: self.max_header_bytes,
            headers: self.max_headers,
            read: Duration::from_millis(self.read_timeout_ms.clamp(1, Self::DAY_MS)),
            connections: self.max_connections,
            of_peer: self.max_connections_per_peer.unwrap_or_else(|| self.max_connections.div_ceil(4)),
        }
    }
}

/// The limits on connections and requests.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub body_bytes: u64,
    pub header_bytes: usize,
    pub headers: usize,
    pub read: Duration,
    pub connections: usize,
    pub of_peer: usize,
}
