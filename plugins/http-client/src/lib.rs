//! The plugin `http-client`: sends HTTP requests to the hosts that the config allows.
//!
//! | file | what |
//! |---|---|
//! | [`config`] | the config, and how a parent's config narrows a child's |
//! | [`hosts`] | the patterns in `allowed_hosts` |
//! | [`target`] | parses and checks a URI |
//! | [`client`] | checks a request, sends it and follows redirects |
//! | [`transport`] | one request on one connection, as a surf backend |
//! | [`response`] | reads and checks a response |
//! | [`error`] | the error type and its messages |
//!
//! A manifest to copy:
//!
//! ```toml
//! [[handlers]]
//! type = "http-client"
//! config = { allowed_hosts = ["api.example.com", "*.example.org:443"], allowed_methods = ["GET", "POST"] }
//! ```
//!
//! Requests go through surf, but connections, TLS and response parsing are implemented here: surf's own backends depend
//! on libraries with open advisories, resolve names twice, and lose bodies that end with the connection. A request and
//! its response pass through surf's types as extensions, because those types cannot hold the order of headers or
//! nonstandard methods and statuses.
//!
//! The runtime also fetches components at `https://` URLs through this plugin: see [`Plugin::resolve`].

#![forbid(unsafe_code)]

mod client;
mod config;
mod error;
mod hosts;
#[cfg(test)]
mod narrow_tests;
mod response;
mod target;
#[cfg(test)]
mod tests;
mod transport;
#[cfg(test)]
mod vectors;

use std::time::Duration;

use futures_lite::future::or;
use serde_json::Value;
use theater_connector::Connector;
use theater_plugin_api::{Attachment, Bytes, Call, Handler, Host, Plugin, Recovered};

use client::{ActorRequest, Client};
use config::Config;
use error::Error;
use response::ReceivedResponse;
use theater::simple::http_types::{HttpRequest, HttpResponse};

theater_plugin_api::bindings! {
    plugin: HttpClient,
    handler: HttpClientHandler,
    name: "http-client",
    wit: "../../wit",
    provides: { "theater:simple/http-client": { "send-http": async effect } },
    config: "config.schema.json",
    schemes: ["https"],
}

/// The largest component that [`Plugin::resolve`] fetches, in bytes.
const MAX_COMPONENT_BYTES: u64 = 256 << 20;
/// The timeout for fetching a component, in milliseconds.
const COMPONENT_TIMEOUT_MS: u64 = 60_000;

/// The plugin.
pub struct HttpClient {
    host: Host,
}

impl Plugin for HttpClient {
    type Handler = HttpClientHandler;

    fn init(host: Host) -> Result<Self, String> {
        Ok(Self { host })
    }

    async fn attach(&self, host: Host, attachment: Attachment) -> Result<HttpClientHandler, String> {
        let config: Config = attachment.config()?;
        let connector = Connector::new(config.allow_private_addresses);
        HttpClientHandler::new(host, config, connector)
    }

    fn narrow(&self, _: &str, ceiling: &Value, requested: &Value) -> Result<Value, String> {
        config::narrow(ceiling, requested)
    }

    async fn resolve(&self, url: &str, _: &str, ceiling: &Value) -> Result<Vec<u8>, String> {
        let mut config = if ceiling.is_null() { Config::of_an_operator() } else { config::read(ceiling)? };
        // A component may be larger than a response, unless the caller's own config sets a lower limit.
        let at_most = |key: &str, most: u64| ceiling.get(key).and_then(Value::as_u64).map_or(most, |own| own.min(most));
        config.timeout_ms = at_most("timeout_ms", COMPONENT_TIMEOUT_MS);
        config.max_response_bytes = at_most("max_response_bytes", MAX_COMPONENT_BYTES);
        let connector = Connector::new(config.allow_private_addresses);
        let requests = HttpClientHandler::new(self.host.clone(), config, connector)?;
        let response = requests.send(ActorRequest::get(url)).await.map_err(|error| format!("{url}: {error}"))?;
        match response {
            ReceivedResponse { status: 200, body: Some(bytes), .. } => Ok(bytes),
            ReceivedResponse { status, .. } => Err(format!("{url}: the server answers with status {status}")),
        }
    }
}

/// The HTTP client of one actor.
pub struct HttpClientHandler {
    host: Host,
    client: Client,
}

impl Handler for HttpClientHandler {
    /// Rebuilds nothing: connections are opened again when they are needed.
    fn recover(&self, _: Recovered<'_>) -> Result<(), String> {
        Ok(())
    }
}

impl HttpClientHandler {
    fn new(host: Host, config: Config, connector: Connector) -> Result<Self, String> {
        Ok(Self { client: Client::new(config, connector)?, host })
    }

    async fn send(&self, request: ActorRequest) -> Result<ReceivedResponse, Error> {
        let timeout = self.client.config().timeout_ms;
        let late = async {
            self.host.sleep(Duration::from_millis(timeout)).await;
            Err(Error::TimedOut(timeout))
        };
        let stopped = async {
            self.host.cancelled().await;
            Err(Error::Stopped)
        };
        let answer = or(or(self.client.send(request), late), stopped).await;
        self.host.count("requests", 1.0);
        if self.client.transport().claim_pruning() {
            let (host, transport) = (self.host.clone(), self.client.transport().clone());
            self.host.spawn(async move {
                while transport.prune() {
                    host.sleep(transport::IDLE).await;
                }
            });
        }
        match &answer {
            Ok(answer) => self.host.count("received_bytes", answer.body.as_ref().map_or(0, Vec::len) as f64),
            Err(error) => self.host.count(if error.is_denial() { "denied" } else { "failed" }, 1.0),
        }
        answer
    }
}

impl theater::simple::http_client::HttpClient for HttpClientHandler {
    async fn send_http(&self, _: &Call, request: HttpRequest) -> Result<HttpResponse, String> {
        let HttpRequest { method, uri, headers, body } = request;
        let request = ActorRequest { method, uri, headers, body: body.map(Bytes::into_vec) };
        let ReceivedResponse { status, headers, body, .. } = self.send(request).await?;
        Ok(HttpResponse { status, headers, body: body.map(Bytes::from) })
    }
}
