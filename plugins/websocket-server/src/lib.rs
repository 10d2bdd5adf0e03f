//! The plugin `websocket-server`: turns an actor into a websocket server.
//!
//! Every new connection, every message and every end of a connection calls the actor's `handle-message`; the messages
//! it returns go to that client, in order. `theater-http-listener` implements ports, limits and request parsing, and
//! `theater-websocket-protocol` implements frames and close codes. In this crate, [`session`] is one connection and
//! [`server`] is the handler.
//!
//! A manifest to copy:
//!
//! ```toml
//! [[handlers]]
//! type = "websocket-server"
//! config = { host = "127.0.0.1", port = 8090, path = "/ws" }
//! ```
//!
//! Backpressure: nothing more is read from a client while the actor handles its message or while it does not read. The
//! messages of several clients wait in the actor's mailbox.

#![forbid(unsafe_code)]

mod config;
mod context;
#[cfg(test)]
mod narrow_tests;
mod server;
mod session;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use theater_plugin_api::{Attachment, Host, Plugin};

use server::Server;

theater_plugin_api::bindings! {
    plugin: WebsocketServer,
    handler: Server,
    name: "websocket-server",
    wit: "../../wit",
    calls: { "theater:simple/websocket-server": required },
    config: "config.schema.json",
}

/// The plugin. Keeps the number of the newest connection of each actor, so that a restarted actor never reuses one.
#[derive(Default)]
pub struct WebsocketServer {
    numbers: Mutex<HashMap<String, Arc<AtomicU64>>>,
}

impl WebsocketServer {
    fn numbers(&self) -> MutexGuard<'_, HashMap<String, Arc<AtomicU64>>> {
        // Each change under the lock is a single step, so a poisoned lock still guards consistent data.
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Plugin for WebsocketServer {
    type Handler = Server;

    fn init(_: Host) -> Result<Self, String> {
        Ok(Self::default())
    }

    async fn attach(&self, host: Host, attachment: Attachment) -> Result<Server, String> {
        let last = Arc::clone(self.numbers().entry(host.whose()?.actor).or_default());
        Server::bind(host, attachment.config()?, last).await
    }

    fn narrow(&self, _: &str, ceiling: &Value, requested: &Value) -> Result<Value, String> {
        config::narrow(ceiling, requested)
    }

    const FORGETS: bool = true;

    async fn forget(&self, actor: &str) -> Result<(), String> {
        self.numbers().remove(actor);
        Ok(())
    }
}
