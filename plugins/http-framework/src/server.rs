//! One server: its listener while it runs, its routes and its open websockets.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use theater_http_listener::{Bound, Config as Listen, Listener, ListenerControl, Received, Reply};
use theater_plugin_api::{Host, Level};
use theater_websocket_protocol::Code;

use crate::config::Config;
use crate::error::Error;
use crate::ids::Ids;
use crate::outbox::Outbox;
use crate::routing::Routing;
use crate::theater::simple::http_types::ServerConfig;

/// The state that all servers of an actor share.
pub(crate) struct ServerContext {
    pub(crate) host: Host,
    pub(crate) config: Config,
    pub(crate) ids: Arc<Ids>,
    /// Websockets that have ended, with their disconnect handlers, until the actor has been notified.
    leaving: Mutex<BTreeMap<u64, Option<u64>>>,
}

impl ServerContext {
    pub(crate) fn new(host: Host, config: Config, ids: Arc<Ids>) -> Self {
        Self { host, config, ids, leaving: Mutex::default() }
    }

    pub(crate) fn leaving(&self) -> MutexGuard<'_, BTreeMap<u64, Option<u64>>> {
        self.leaving.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) struct Server {
    pub(crate) id: u64,
    pub(crate) context: Arc<ServerContext>,
    /// The config that the actor asked for.
    pub(crate) asked: ServerConfig,
    /// That config combined with the handler's.
    pub(crate) listen: Listen,
    routing: RwLock<Routing>,
    run: Mutex<ListenStatus>,
    /// The websockets that are open or being opened.
    open: Mutex<BTreeMap<u64, Connection>>,
}

/// An open websocket.
#[derive(Clone)]
pub(crate) struct Connection {
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) disconnect: Option<u64>,
}

struct ListenStatus {
    /// The port it listens on; while stopped, the last or the configured one.
    port: u16,
    state: ListenState,
}

enum ListenState {
    Stopped,
    /// The port is bound; connections wait until the actor has started.
    Bound(Box<Listener<Arc<Server>>>),
    Accepting(ListenerControl),
}

impl Server {
    pub(crate) fn new(id: u64, context: Arc<ServerContext>, asked: ServerConfig, listen: Listen) -> Self {
        let run = Mutex::new(ListenStatus { port: listen.port, state: ListenState::Stopped });
        Self { id, context, asked, listen, routing: RwLock::default(), run, open: Mutex::default() }
    }

    pub(crate) fn routing(&self) -> RwLockReadGuard<'_, Routing> {
        // Each change under these locks is a single step, so a poisoned lock still guards consistent data.
        self.routing.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn routing_mut(&self) -> RwLockWriteGuard<'_, Routing> {
        self.routing.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) -> MutexGuard<'_, ListenStatus> {
        self.run.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn open(&self) -> MutexGuard<'_, BTreeMap<u64, Connection>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the port, and whether it is bound.
    pub(crate) fn port(&self) -> (u16, bool) {
        let run = self.run();
        (run.port, !matches!(run.state, ListenState::Stopped))
    }

    /// Binds the port, unless it is bound already, and returns it. `port` is the port of the previous run of the actor.
    pub(crate) async fn bind(&self, port: Option<u16>) -> Result<u16, Error> {
        if let (port, true) = self.port() {
            return Ok(port);
        }
        let bound = match Bound::again(&self.context.host, &self.listen, port.unwrap_or_default()).await {
            // The actor asked for any port, so a different one will do.
            Err(what) if port.is_some() && self.listen.port == 0 => {
                self.context.host.log(Level::Warn, &format!("server {}: {what}; choosing another port", self.id));
                Bound::new(&self.listen).await
            }
            bound => bound,
        };
        let bound = bound.map_err(Error::Listening)?;
        let port = bound.address().port();
        let listener = Listener::new(self.context.host.clone(), bound, &self.listen);
        *self.run() = ListenStatus { port, state: ListenState::Bound(Box::new(listener)) };
        Ok(port)
    }

    /// Starts accepting requests, which `answer` handles, and returns the URL. Returns `None` if the port is not bound,
    /// or requests are accepted already.
    pub(crate) async fn accept<F>(
        self: &Arc<Self>,
        answer: fn(Arc<Self>, Received) -> F,
    ) -> Result<Option<String>, Error>
    where
        F: Future<Output = Reply> + Send + 'static,
    {
        let listener = {
            let mut run = self.run();
            match std::mem::replace(&mut run.state, ListenState::Stopped) {
                ListenState::Bound(listener) => {
                    run.state = ListenState::Accepting(listener.control());
                    listener
                }
                other => {
                    run.state = other;
                    return Ok(None);
                }
            }
        };
        let url = listener.to_string();
        listener.serve(Arc::clone(self), answer).await.map_err(Error::Listening)?;
        Ok(Some(url))
    }

    /// Stops accepting requests, and returns as soon as the port is free. Running requests get the grace period, but
    /// this does not wait for them: the actor has to answer them, and it is blocked in this call. Returns the control
    /// of the listener, if requests were accepted.
    pub(crate) async fn stop(&self) -> Option<ListenerControl> {
        let control = self.end(Code::Away)?;
        control.retire(self.listen.shutdown_grace()).await;
        Some(control)
    }

    /// Stops accepting requests and closes the websockets with `code`. Returns the control of the listener, if requests
    /// were accepted.
    pub(crate) fn end(&self, code: Code) -> Option<ListenerControl> {
        let state = std::mem::replace(&mut self.run().state, ListenState::Stopped);
        let control = match state {
            ListenState::Accepting(control) => {
                control.end();
                Some(control)
            }
            ListenState::Stopped | ListenState::Bound(_) => None,
        };
        for connection in self.open().values() {
            connection.outbox.end(code);
        }
        control
    }

    pub(crate) fn connection(&self, number: u64) -> Result<Arc<Outbox>, Error> {
        let open = self.open();
        let connection = open.get(&number).ok_or(Error::Connection { server: self.id, connection: number })?;
        Ok(Arc::clone(&connection.outbox))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end(Code::Away);
    }
}
