//! The plugin `websocket-server`: an actor that serves websockets as a whole.
//!
//! Every connection, message and end of one is a call of the actor's `handle-message`; what it returns goes back to that
//! client, in order. Ports, limits and the reading of requests are `theater-http-listener`'s, frames and codes are
//! `theater-websocket-protocol`'; in here is what lies between a socket and the actor: [`session`] is one connection, [`server`] the
//! handler.
//!
//! A manifest to copy:
//!
//! ```toml
//! [[handlers]]
//! type = "websocket-server"
//! config = { host = "127.0.0.1", port = 8090, path = "/ws" }
//! ```
//!
//! While the actor works on a client's message, and while that client does not read, nothing more is read of it. Several
//! clients wait for the actor in its mailbox.

#![forbid(unsafe_code)]

#[cfg(test)]
mod narrow_tests;
mod server;
mod session;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Deserialize;
use serde_json::Value;
use theater_http_listener as listener;
use theater_plugin_api::narrow::Rule;
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

/// The handler's config; `config.schema.json` says what each key means.
#[derive(Debug, Clone, Deserialize)]
struct Config {
    #[serde(flatten)]
    listen: listener::Config,
    #[serde(default = "root")]
    path: String,
    #[serde(default)]
    allowed_origins: Vec<String>,
    #[serde(default)]
    protocols: Vec<String>,
}

fn root() -> String {
    "/".to_owned()
}

/// The plugin: how many connections each actor has had, so that a restart gives no number twice.
#[derive(Default)]
pub struct WebsocketServer {
    numbers: Mutex<HashMap<String, Arc<AtomicU64>>>,
}

impl WebsocketServer {
    fn numbers(&self) -> MutexGuard<'_, HashMap<String, Arc<AtomicU64>>> {
        // Every change under the lock is one step.
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
        listener::narrow(
            ceiling,
            requested,
            &[("path", Rule::Free), ("allowed_origins", Rule::Powers), ("protocols", Rule::Free)],
        )
    }

    const FORGETS: bool = true;

    async fn forget(&self, actor: &str) -> Result<(), String> {
        self.numbers().remove(actor);
        Ok(())
    }
}
