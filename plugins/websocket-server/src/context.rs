//! The state that a server and its sessions share.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use theater_plugin_api::Host;

use crate::config::Config;

/// The state that all sessions of a server share.
pub(crate) struct ServerContext {
    pub(crate) host: Host,
    pub(crate) config: Config,
    /// The number of the newest connection.
    pub(crate) last: Arc<AtomicU64>,
    /// The connections whose end the actor has not been notified of.
    open: Mutex<BTreeSet<u64>>,
}

impl ServerContext {
    pub(crate) fn new(host: Host, config: Config, last: Arc<AtomicU64>) -> Self {
        Self { host, config, last, open: Mutex::default() }
    }

    pub(crate) fn open(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        // Each change under the lock is a single step, so a poisoned lock still guards consistent data.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
