//! The directory of the actors that can be reached; there is one per process.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use theater_plugin_api::Host;

use crate::endpoint::Endpoint;

/// The number of actors that have left above which those that have ended for good are removed.
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
    /// Actors that have left and may come back, as in a supervised restart.
    left: HashMap<String, Arc<Numbers>>,
    sweep_at: usize,
}

/// The next numbers of an actor. They are kept across restarts, so that no id is ever reused.
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

/// The result of looking up an actor.
pub(crate) enum Found {
    /// The actor can be reached.
    Here(Arc<Endpoint>),
    /// The actor with this id is alive and was present before: it is being restarted.
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

    /// Returns the numbers of the actor `id`, which continue those of its previous run.
    pub(crate) fn numbers(&self, id: &str) -> Arc<Numbers> {
        let inner = self.read();
        let present = inner.present.get(id).map(|endpoint| &endpoint.numbers);
        present.or_else(|| inner.left.get(id)).cloned().unwrap_or_default()
    }

    /// Adds an actor.
    ///
    /// # Errors
    /// Returns a sentence if the actor is present already.
    pub(crate) fn join(&self, endpoint: &Arc<Endpoint>) -> Result<(), String> {
        let mut inner = self.write();
        if inner.present.contains_key(&endpoint.id) {
            return Err("the actor already has a handler message-server: one [[handlers]] entry is enough".to_owned());
        }
        inner.left.remove(&endpoint.id);
        inner.present.insert(endpoint.id.clone(), Arc::clone(endpoint));
        Ok(())
    }

    /// Removes an actor, unless `endpoint` is not the one that is present.
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

    /// Forgets those of the given actors that have ended.
    fn sweep(&self, mut ended: Vec<String>) {
        // Call the core without holding our lock: it takes locks of its own.
        ended.retain(|id| self.host.find(id).is_err());
        let mut inner = self.write();
        for id in ended {
            inner.left.remove(&id);
        }
        inner.sweep_at = inner.left.len() * 2;
    }

    /// Finds the actor that `wanted` names: an id, a unique prefix of an id, or a name.
    ///
    /// # Errors
    /// Returns a sentence if there is no such actor, more than one matches, or it has no message-server handler.
    pub(crate) fn find(&self, host: &Host, wanted: &str) -> Result<Found, String> {
        // A complete id needs no search.
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
