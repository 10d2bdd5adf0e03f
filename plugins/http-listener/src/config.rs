//! The keys that every listening handler has, with their defaults.

use std::time::Duration;

use serde::Deserialize;

/// The config of a handler that listens. The schema of the plugin checks types and unknown keys; a plugin with keys of its
/// own flattens this into its type.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Config {
    /// The address to bind.
    pub host: String,
    /// The port to bind; 0 = chosen by the system.
    pub port: u16,
    /// The addresses it may bind; missing = `127.0.0.1` and `::1`.
    pub bind_hosts: Option<Vec<String>>,
    /// The ports it may bind, numbers or ranges such as `"1024-65535"`; missing = 0 and 1024 up.
    pub bind_ports: Option<Vec<serde_json::Value>>,
    /// HTTPS with this certificate; both files must be among `tls_files`.
    pub tls: Option<Tls>,
    /// The certificate and key files it may read.
    pub tls_files: Vec<String>,
    /// Largest body; a larger one is answered 413.
    pub max_body_bytes: u64,
    /// Largest request line with headers; a larger one is answered 431.
    pub max_header_bytes: usize,
    /// Most headers; more are answered 431.
    pub max_headers: usize,
    /// How long a head may take, and each started 256 KiB of a body; answered 408. As long may a connection be idle, and a
    /// client not read its answer.
    pub read_timeout_ms: u64,
    /// Most connections; further ones are answered 503 and closed.
    pub max_connections: usize,
    /// Most connections of one peer address, for IPv6 of one /64 network; missing = a quarter of `max_connections`. Idle ones
    /// give way to new ones of the same peer.
    pub max_connections_per_peer: Option<usize>,
    /// Names that requests may have in `Host` beside the address that is bound; others are answered 421.
    pub allowed_hosts: Vec<String>,
    /// How long running requests get when the actor stops.
    pub shutdown_grace_ms: u64,
}

/// Where a server finds its certificate, as `tls-config` of `theater:simple/http-types`.
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

    /// [`Config::shutdown_grace_ms`] as a duration.
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

/// What one connection may cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub body_bytes: u64,
    pub header_bytes: usize,
    pub headers: usize,
    pub read: Duration,
    pub connections: usize,
    pub of_peer: usize,
}
