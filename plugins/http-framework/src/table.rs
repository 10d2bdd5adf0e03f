//! An actor's servers and handlers by their ids, and what a snapshot keeps of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use theater_http_listener::Control;

use crate::error::Error;
use crate::server::Server;
use crate::theater::simple::http_types::ServerConfig;

#[derive(Default)]
pub(crate) struct Table(Mutex<Inner>);

#[derive(Default)]
pub(crate) struct Inner {
    /// The actor takes calls.
    pub(crate) started: bool,
    pub(crate) servers: BTreeMap<u64, Arc<Server>>,
    /// The server of each route.
    pub(crate) routes: BTreeMap<u64, u64>,
    /// The server of each middleware.
    pub(crate) middleware: BTreeMap<u64, u64>,
    /// What another life of the actor left behind.
    pub(crate) left: Left,
    /// Of servers that were stopped, and whose last requests may run.
    pub(crate) retired: Vec<Control>,
}

/// What another life of the actor left behind, for `started`.
#[derive(Default)]
pub(crate) struct Left {
    /// The ports of the servers that ran.
    pub(crate) running: BTreeMap<u64, u16>,
    /// Connections that were open, with their disconnect handlers.
    pub(crate) open: BTreeMap<u64, Option<u64>>,
}

impl Table {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every change under the lock is one step.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn server(&self, id: u64) -> Result<Arc<Server>, Error> {
        self.lock().servers.get(&id).cloned().ok_or(Error::Server(id))
    }

    pub(crate) fn servers(&self) -> Vec<Arc<Server>> {
        self.lock().servers.values().cloned().collect()
    }

    /// Forgets a server with all that belongs to it.
    pub(crate) fn remove(&self, id: u64) -> Result<Arc<Server>, Error> {
        let mut inner = self.lock();
        let server = inner.servers.remove(&id).ok_or(Error::Server(id))?;
        inner.routes.retain(|_, of| *of != id);
        inner.middleware.retain(|_, of| *of != id);
        inner.left.running.remove(&id);
        Ok(server)
    }
}

/// What a snapshot keeps.
#[derive(Serialize, Deserialize)]
pub(crate) struct Saved {
    /// The newest ids of servers, routes, middleware and connections.
    pub(crate) newest: [u64; 4],
    pub(crate) handlers: Vec<(String, u64)>,
    pub(crate) servers: Vec<SavedServer>,
    /// Connections that have ended, with their disconnect handlers, of which the actor has not heard.
    pub(crate) leaving: Vec<(u64, Option<u64>)>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct SavedServer {
    pub(crate) id: u64,
    pub(crate) asked: ServerConfig,
    /// Its port, if it runs.
    pub(crate) running: Option<u16>,
    /// Id, path, method and handler.
    pub(crate) routes: Vec<(u64, String, String, u64)>,
    /// Id, path and handler.
    pub(crate) middleware: Vec<(u64, String, u64)>,
    /// Path and handlers.
    pub(crate) websockets: Vec<(String, Option<u64>, u64, Option<u64>)>,
    /// Open connections and their disconnect handlers.
    pub(crate) open: Vec<(u64, Option<u64>)>,
}
