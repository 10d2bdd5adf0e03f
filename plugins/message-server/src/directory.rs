//! Who can be reached: one for the process.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use theater_plugin_api::Host;

use crate::endpoint::Endpoint;

/// From so many actors that left on, those that nobody finds any more are forgotten.
const LEAST_SWEPT: usize = 64;

/// The actors that are between `started` and `stopped`, by id.
pub(crate) struct Directory {
    /// The plugin's own host.
    host: Host,
    inner: RwLock<Inner>,
    pub(crate) gauges: Gauges,
}

#[derive(Default)]
struct Inner {
    present: HashMap<String, Arc<Endpoint>>,
    /// Those that left and may come again, as in a supervised restart.
    left: HashMap<String, Arc<Numbers>>,
    sweep_at: usize,
}

/// The next numbers of an actor, kept over restarts: an id never means two things.
#[derive(Debug)]
pub(crate) struct Numbers {
    pub(crate) request: AtomicU64,
    pub(crate) channel: AtomicU64,
}

impl Default for Numbers {
    fn default() -> Self {
        Self { request: AtomicU64::new(1), channel: AtomicU64::new(1) }
    }
}

/// What is there now, over all actors.
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

/// An actor that was looked for.
pub(crate) enum Found {
    /// It can be reached.
    Here(Arc<Endpoint>),
    /// It lives, and was here before: it is being restarted.
    Restarting(String),
}

impl Directory {
    pub(crate) fn new(host: Host) -> Self {
        Self { host, inner: RwLock::default(), gauges: Gauges::default() }
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The numbers of the actor `id`: where an earlier life of it left them.
    pub(crate) fn numbers(&self, id: &str) -> Arc<Numbers> {
        let inner = self.read();
        let present = inner.present.get(id).map(|endpoint| &endpoint.numbers);
        present.or_else(|| inner.left.get(id)).cloned().unwrap_or_default()
    }

    /// # Errors
    /// A sentence when the actor is there already.
    pub(crate) fn join(&self, endpoint: &Arc<Endpoint>) -> Result<(), String> {
        let mut inner = self.write();
        if inner.present.contains_key(&endpoint.id) {
            return Err(
                "the handler message-server is there already: one [[handlers]] entry of it is enough".to_owned()
            );
        }
        inner.left.remove(&endpoint.id);
        inner.present.insert(endpoint.id.clone(), Arc::clone(endpoint));
        Ok(())
    }

    /// Nothing when `endpoint` is not the one that is there.
    pub(crate) fn leave(&self, endpoint: &Arc<Endpoint>) {
        let to_sweep = {
            let mut inner = self.write();
            if !inner.present.get(&endpoint.id).is_some_and(|present| Arc::ptr_eq(present, endpoint)) {
                return;
            }
            inner.present.remove(&endpoint.id);
            inner.left.insert(endpoint.id.clone(), Arc::clone(&endpoint.numbers));
            let full = inner.left.len() > inner.sweep_at.max(LEAST_SWEPT);
            if full { inner.left.keys().cloned().collect() } else { Vec::new() }
        };
        if !to_sweep.is_empty() {
            self.sweep(to_sweep);
        }
    }

    /// Forgets those who do not live any more.
    fn sweep(&self, mut ended: Vec<String>) {
        // Asked without the lock: the core has locks of its own.
        ended.retain(|id| self.host.find(id).is_err());
        let mut inner = self.write();
        for id in ended {
            inner.left.remove(&id);
        }
        inner.sweep_at = inner.left.len() * 2;
    }

    /// Whom `wanted`, an id, a unique start of one, or a name, stands for.
    ///
    /// # Errors
    /// A sentence: nobody is there, more than one is meant, or it takes no messages.
    pub(crate) fn find(&self, host: &Host, wanted: &str) -> Result<Found, String> {
        // A whole id needs no search.
        if let Some(endpoint) = self.read().present.get(wanted) {
            return Ok(Found::Here(Arc::clone(endpoint)));
        }
        let id = host.find(wanted)?;
        let inner = self.read();
        match inner.present.get(&id) {
            Some(endpoint) => Ok(Found::Here(Arc::clone(endpoint))),
            None if inner.left.contains_key(&id) => Ok(Found::Restarting(id)),
            None => Err(format!(
                "actor {wanted:?} has no message-server handler that has started: it needs [[handlers]] with type = \
                 \"message-server\" in its manifest"
            )),
        }
    }
}
