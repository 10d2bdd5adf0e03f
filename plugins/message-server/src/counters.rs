//! Counters: the next numbers of an actor's requests and channels, and the gauges over all actors.

use std::sync::atomic::{AtomicU64, Ordering};

use theater_plugin_api::Host;

/// The next numbers of an actor. They are kept across restarts, so that no id is ever reused.
#[derive(Debug)]
pub(crate) struct NextNumbers {
    pub(crate) request: AtomicU64,
    pub(crate) channel: AtomicU64,
}

impl Default for NextNumbers {
    fn default() -> Self {
        Self { request: AtomicU64::new(1), channel: AtomicU64::new(1) }
    }
}

/// Current counts over all actors.
#[derive(Debug, Default)]
pub(crate) struct Gauges {
    pub(crate) outstanding: AtomicU64,
    pub(crate) channels: AtomicU64,
}

impl Gauges {
    pub(crate) fn up(host: &Host, name: &str, gauge: &AtomicU64) {
        host.gauge(name, (gauge.fetch_add(1, Ordering::Relaxed) + 1) as f64);
    }

    pub(crate) fn down(host: &Host, name: &str, gauge: &AtomicU64) {
        host.gauge(name, gauge.fetch_sub(1, Ordering::Relaxed).saturating_sub(1) as f64);
    }
}
