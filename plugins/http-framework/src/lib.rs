//! The plugin `http-framework`: web servers that an actor creates, changes and stops while it runs.
//!
//! `theater-http-listener` implements ports, limits and request parsing, and `theater-websocket-protocol` implements
//! websocket frames and close codes. This crate connects them to the actor's handlers.
//!
//! | file | what |
//! |---|---|
//! | [`framework`] | the handler: an actor's servers, and the functions that it calls |
//! | [`config`] | the config, and how a parent's config narrows a child's |
//! | [`tls_file`] | which TLS files a server may use |
//! | [`path`] | paths of routes, middleware and requests |
//! | [`routing`] | finds the handler of a request |
//! | [`server`] | one server: its listener, its routes, its open websockets |
//! | [`request`] | calls the handlers of a request and returns the response |
//! | [`session`], [`outbox`] | one websocket, and the queue of messages to its client |
//! | [`table`], [`ids`] | an actor's servers and ids, and their snapshot |
//! | [`error`] | the error type and its messages |
//!
//! A manifest to copy:
//!
//! ```toml
//! [[handlers]]
//! type = "http-framework"
//! config = { bind_ports = [8080], max_connections = 10000 }
//! ```
//!
//! - A request is routed first; if no route matches, it is answered without the actor. Then it passes the middleware,
//!   in the order it was added, and reaches the handler. Websocket requests also pass the middleware of their path.
//! - Segments are compared percent-decoded and captured as sent. A path with a segment `.` or `..` (encoded or not), or
//!   with an empty segment before the last, is answered with 400: it could bypass middleware that guards a path.
//! - `*rest` matches the rest of the path, even if it is empty: `/files/*rest` matches `/files/` but not `/files`.
//! - Backpressure: nothing more is read from a client while the actor handles its message or while it does not read.
//!   Messages of `send-websocket-message` are queued, up to `max_websocket_queue_bytes`. If the queue is full and the
//!   client takes longer than `websocket_send_timeout_ms` to read a message, its connection is closed with 1013.
//! - Pages of other sites cannot open websockets, unless `allowed_origins` lists their site.
//! - `enable-websocket` may replace the handlers of a path; the new ones serve the connections opened afterwards.
//! - `stop-server` does not wait for running requests, because the actor itself has to answer them.

#![forbid(unsafe_code)]

mod config;
mod error;
mod framework;
mod ids;
#[cfg(test)]
mod narrow_tests;
mod outbox;
mod path;
mod request;
mod routing;
mod server;
mod session;
mod table;
#[cfg(test)]
mod tests;
mod tls_file;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use theater_plugin_api::{Attachment, Host, Plugin};

use framework::Framework;
use ids::Ids;

theater_plugin_api::bindings! {
    plugin: HttpFramework,
    handler: Framework,
    name: "http-framework",
    wit: "../../wit",
    provides: { "theater:simple/http-framework": {
        "create-server": async read, "get-server-info": read,
        "start-server": async effect, "stop-server": async effect, "destroy-server": async effect,
        "register-handler": read, "add-route": read, "remove-route": read,
        "add-middleware": read, "remove-middleware": read, "enable-websocket": read,
        "send-websocket-message": async read, "close-websocket": read,
    } },
    calls: { "theater:simple/http-handlers": optional },
    config: "config.schema.json",
}

/// The plugin. Keeps the newest ids of each actor, so that a restarted actor never reuses one.
#[derive(Default)]
pub struct HttpFramework {
    ids: Mutex<HashMap<String, Arc<Ids>>>,
}

impl HttpFramework {
    fn ids(&self) -> MutexGuard<'_, HashMap<String, Arc<Ids>>> {
        // Each change under the lock is a single step, so a poisoned lock still guards consistent data.
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Plugin for HttpFramework {
    type Handler = Framework;

    fn init(_: Host) -> Result<Self, String> {
        Ok(Self::default())
    }

    async fn attach(&self, host: Host, attachment: Attachment) -> Result<Framework, String> {
        let config = attachment.config()?;
        let ids = Arc::clone(self.ids().entry(host.whose()?.actor).or_default());
        Ok(Framework::new(host, config, ids))
    }

    fn narrow(&self, _: &str, ceiling: &Value, requested: &Value) -> Result<Value, String> {
        config::narrow(ceiling, requested)
    }

    const FORGETS: bool = true;

    async fn forget(&self, actor: &str) -> Result<(), String> {
        self.ids().remove(actor);
        Ok(())
    }
}
