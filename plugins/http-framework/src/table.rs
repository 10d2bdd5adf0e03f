//! An actor's servers, routes and middleware by id, and their snapshot.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use theater_http_listener::ListenerControl;

use crate::error::Error;
use crate::server::Server;
use crate::theater::simple::http_types::ServerConfig;

#[derive(Default)]
pub(crate) struct ServerTable(Mutex<Inner>);

#[derive(Default)]
pub(crate) struct Inner {
    /// Whether the actor takes calls.
    pub(crate) started: bool,
    pub(crate) servers: BTreeMap<u64, Arc<Server>>,
    /// The server of each route, by the id of the route.
    pub(crate) routes: BTreeMap<u64, u64>,
    /// The server of each middleware, by the id of the middleware.
    pub(crate) middleware: BTreeMap<u64, u64>,
    /// What the previous run of the actor left.
    pub(crate) previous: PreviousRun,
    /// The controls of stopped servers whose last requests may still run.
    pub(crate) retired: Vec<ListenerControl>,
}

/// What the previous run of the actor left for `started` to restore.
#[derive(Default)]
pub(crate) struct PreviousRun {
    /// The ports of the servers that ran, by id.
    pub(crate) running: BTreeMap<u64, u16>,
    /// Connections that were open, with their disconnect handlers.
    pub(crate) open: BTreeMap<u64, Option<u64>>,
}

impl ServerTable {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        // Each change under the lock is a single step, so a poisoned lock still guards consistent data.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn server(&self, id: u64) -> Result<Arc<Server>, Error> {
        self.lock().servers.get(&id).cloned().ok_or(Error::Server(id))
    }

    pub(crate) fn servers(&self) -> Vec<Arc<Server>> {
        self.lock().servers.values().cloned().collect()
    }

    /// Removes a server with its routes and middleware.
    pub(crate) fn remove(&self, id: u64) -> Result<Arc<Server>, Error> {
        let mut inner = self.lock();
        let server = inner.servers.remove(&id).ok_or(Error::Server(id))?;
        inner.routes.retain(|_, of| *of != id);
        inner.middleware.retain(|_, of| *of != id);
        inner.previous.running.remove(&id);
        Ok(server)
    }
}

/// The state in a snapshot.
#[derive(Serialize, Deserialize)]
pub(crate) struct HandlerState {
    /// The newest ids of servers, routes, middleware and connections.
    pub(crate) newest: [u64; 4],
    pub(crate) handlers: Vec<(String, u64)>,
    pub(crate) servers: Vec<ServerState>,
    /// Connections whose end the actor has not been notified of, with their disconnect handlers.
    pub(crate) leaving: Vec<(u64, Option<u64>)>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct ServerState {
    pub(crate) id: u64,
    pub(crate) asked: ServerConfig,
    /// Its port, if it is running.
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
