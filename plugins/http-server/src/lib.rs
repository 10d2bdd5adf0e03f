//! The plugin `http-server`: an actor that is a web server as a whole.
//!
//! Every request, whatever its method and path, is a call of the actor's `handle-request`; what it returns is the answer.
//! Ports, limits and the reading of requests are `theater-http-listener`'s; in here is what lies between a request and the
//! actor: `actor` makes the call and the answer, `queue` bounds how many wait, `server` is the handler.

#![forbid(unsafe_code)]

mod actor;
#[cfg(test)]
mod narrow_tests;
mod queue;
mod server;
#[cfg(test)]
mod tests;

use serde::Deserialize;
use serde_json::Value;
use theater_http_listener as listener;
use theater_plugin_api::narrow::Rule;
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

const MAX_QUEUE: usize = 256;

/// The handler's config; `config.schema.json` says what each key means.
#[derive(Debug, Deserialize)]
struct Config {
    #[serde(flatten)]
    listen: listener::Config,
    #[serde(default = "max_queue")]
    max_queue: usize,
}

fn max_queue() -> usize {
    MAX_QUEUE
}

/// The plugin: it keeps nothing.
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
        listener::narrow(ceiling, requested, &[("max_queue", Rule::Smaller(MAX_QUEUE as u64))])
    }
}
