//! The plugin `http-server`: turns an actor into a web server.
//!
//! Every request, whatever its method and path, calls the actor's `handle-request`, whose result is the response.
//! `theater-http-listener` implements ports, limits and request parsing. In this crate, `actor` makes the call and the
//! response, `queue` limits how many requests wait, and `server` is the handler.

#![forbid(unsafe_code)]

mod actor;
mod config;
#[cfg(test)]
mod narrow_tests;
mod queue;
mod server;
#[cfg(test)]
mod tests;

use serde_json::Value;
use theater_plugin_api::{Attachment, Host, Plugin};

use server::Server;

theater_plugin_api::bindings! {
    plugin: HttpServer,
    handler: Server,
    name: "http-server",
    wit: "../../wit",
    calls: { "theater:simple/http-server": required },
    config: "config.schema.json",
}

/// The plugin, which has no state.
pub struct HttpServer;

impl Plugin for HttpServer {
    type Handler = Server;

    fn init(_: Host) -> Result<Self, String> {
        Ok(Self)
    }

    async fn attach(&self, host: Host, attachment: Attachment) -> Result<Server, String> {
        Server::bind(host, &attachment.config()?).await
    }

    fn narrow(&self, _: &str, ceiling: &Value, requested: &Value) -> Result<Value, String> {
        config::narrow(ceiling, requested)
    }
}
