//! The plugin `http-framework`: web servers that an actor creates, changes and stops while it runs.
//!
//! `theater-http-listener` implements ports, limits and request parsing, and `theater-websocket-protocol` implements
//! websocket frames and close codes. This crate connects them to the actor's handlers.
//!
//! | file | what |
//! |---|---|
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

mod error;
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

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_lite::future::or;
use serde::Deserialize;
use serde_json::Value;
use theater_http_listener::{self as listener, Bound, Tls};
use theater_plugin_api::encoding::{EncodingError, decode, encode};
use theater_plugin_api::narrow::Rule;
use theater_plugin_api::{Attachment, Call, Handler, Host, Level, Plugin, Recovered};
use theater_websocket_protocol::Code;

use error::Error;
use ids::Ids;
use outbox::PushError;
use routing::{Route, Websocket};
use server::{Common, Server};
use table::{Saved, SavedServer, Table};
use theater::simple::http_handlers::{
    exports_handle_middleware, exports_handle_request, exports_handle_websocket_connect,
    exports_handle_websocket_disconnect, exports_handle_websocket_message,
};
use theater::simple::http_types::{ServerConfig, ServerInfo};
use theater::simple::websocket_types::WebsocketMessage;

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

const MAX_WEBSOCKET_QUEUE_BYTES: u64 = 1 << 20;
const WEBSOCKET_SEND_TIMEOUT_MS: u64 = 1_000;
const MAX_SERVERS: u64 = 16;
const MAX_ROUTES: u64 = 1_000;
/// The maximum length of a handler's name, in bytes.
const LONGEST_NAME: usize = 256;

/// The handler's config; `config.schema.json` says what each key means.
#[derive(Debug, Clone, Deserialize)]
struct Config {
    #[serde(flatten)]
    listen: listener::Config,
    #[serde(default = "max_websocket_queue_bytes")]
    max_websocket_queue_bytes: u64,
    #[serde(default = "websocket_send_timeout_ms")]
    websocket_send_timeout_ms: u64,
    #[serde(default = "max_servers")]
    max_servers: u64,
    #[serde(default = "max_routes")]
    max_routes: u64,
    #[serde(default)]
    allowed_origins: Vec<String>,
    #[serde(default)]
    protocols: Vec<String>,
}

impl Config {
    /// Returns which origins may open websockets, and with which subprotocols.
    fn terms(&self) -> theater_websocket_protocol::Terms<'_> {
        theater_websocket_protocol::Terms { origins: &self.allowed_origins, protocols: &self.protocols }
    }
}

fn max_servers() -> u64 {
    MAX_SERVERS
}

fn max_routes() -> u64 {
    MAX_ROUTES
}

fn max_websocket_queue_bytes() -> u64 {
    MAX_WEBSOCKET_QUEUE_BYTES
}

fn websocket_send_timeout_ms() -> u64 {
    WEBSOCKET_SEND_TIMEOUT_MS
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
        Ok(Framework { common: Arc::new(Common::new(host, config, ids)), table: Table::default() })
    }

    fn narrow(&self, _: &str, ceiling: &Value, requested: &Value) -> Result<Value, String> {
        let own = [
            ("max_websocket_queue_bytes", Rule::Smaller(MAX_WEBSOCKET_QUEUE_BYTES)),
            ("websocket_send_timeout_ms", Rule::Smaller(WEBSOCKET_SEND_TIMEOUT_MS)),
            ("max_servers", Rule::Smaller(MAX_SERVERS)),
            ("max_routes", Rule::Smaller(MAX_ROUTES)),
            ("allowed_origins", Rule::Powers),
            ("protocols", Rule::Free),
        ];
        listener::narrow(ceiling, requested, &own)
    }

    const FORGETS: bool = true;

    async fn forget(&self, actor: &str) -> Result<(), String> {
        self.ids().remove(actor);
        Ok(())
    }
}

/// The servers of one actor.
pub struct Framework {
    common: Arc<Common>,
    table: Table,
}

impl Drop for Framework {
    fn drop(&mut self) {
        self.end();
    }
}

impl Handler for Framework {
    /// Starts accepting requests on servers that were started before the actor was ready, and on those that ran in the
    /// previous run of the actor. Reports the connections of that run to the actor as ended.
    async fn started(&self, _: bool) -> Result<Vec<String>, String> {
        let left = {
            let mut inner = self.table.lock();
            inner.started = true;
            std::mem::take(&mut inner.left)
        };
        let mut urls = Vec::new();
        for server in self.table.servers() {
            if let Some(port) = left.running.get(&server.id) {
                server.bind(Some(*port)).await?;
            }
            urls.extend(server.accept().await?);
        }
        if !left.open.is_empty() {
            self.common.leaving().extend(&left.open);
            let common = Arc::clone(&self.common);
            self.common.host.spawn(async move {
                for number in left.open.into_keys() {
                    let cause = format!("websocket {number} ended with the program");
                    session::tell_end(&common, &cause, number).await;
                }
            });
        }
        Ok(urls)
    }

    /// Waits for running requests. All servers share one grace period, including those that were stopped earlier.
    async fn stopped(&self) {
        let controls = self.end();
        let grace = self.common.config.listen.shutdown_grace();
        let all = async {
            for control in &controls {
                control.stop(grace).await;
            }
        };
        or(all, self.common.host.sleep(grace)).await;
    }

    fn export_state(&self) -> Result<Vec<u8>, String> {
        encode(&self.saved()).map_err(|error| error.to_string())
    }

    fn import_state(&self, state: &[u8]) -> Result<(), String> {
        let saved: Saved = decode(state).map_err(|error| error.to_string())?;
        Ok(self.restore(saved)?)
    }

    fn recover(&self, call: Recovered<'_>) -> Result<(), String> {
        let name = call.function.rsplit('/').next().unwrap_or_default();
        self.replay(name, call.arguments, call.result).map_err(|error| format!("{name}: {error}"))
    }
}

impl Framework {
    /// Stops all servers. Returns the controls of those whose requests may still run.
    fn end(&self) -> Vec<listener::Control> {
        let retired = std::mem::take(&mut self.table.lock().retired);
        retired.into_iter().chain(self.table.servers().iter().filter_map(|server| server.end(Code::Away))).collect()
    }

    async fn stop(&self, server: &Server) {
        if let Some(control) = server.stop().await {
            let mut inner = self.table.lock();
            inner.retired.retain(|control| !control.is_over());
            inner.retired.push(control);
        }
    }

    /// Combines the handler's limits and permissions with the address and the TLS files that the actor asks for.
    fn listen(&self, asked: &ServerConfig) -> Result<listener::Config, Error> {
        let mut listen = self.common.config.listen.clone();
        listen.port = asked.port.unwrap_or_default();
        if let Some(host) = &asked.host {
            listen.host.clone_from(host);
        }
        listen.tls = match &asked.tls_config {
            None => None,
            Some(tls) => Some(Tls {
                cert_path: whole(&listen.tls_files, &tls.cert_path)?,
                key_path: whole(&listen.tls_files, &tls.key_path)?,
            }),
        };
        Ok(listen)
    }

    async fn create(&self, asked: ServerConfig) -> Result<u64, Error> {
        let most = self.common.config.max_servers;
        if self.table.lock().servers.len() as u64 >= most {
            return Err(Error::TooMany { what: "servers", key: "max_servers", most });
        }
        let listen = self.listen(&asked)?;
        Bound::check(&listen).await.map_err(Error::Listening)?;
        let id = self.common.ids.servers.next();
        self.insert(id, asked, listen);
        Ok(id)
    }

    fn insert(&self, id: u64, asked: ServerConfig, listen: listener::Config) {
        let server = Server::new(id, Arc::clone(&self.common), asked, listen);
        self.table.lock().servers.insert(id, Arc::new(server));
    }

    async fn start(&self, id: u64) -> Result<u16, Error> {
        let server = self.table.server(id)?;
        let port = server.bind(None).await?;
        // Until then the port is only bound; `started` starts accepting.
        let started = self.table.lock().started;
        if started && let Some(url) = server.accept().await? {
            self.common.host.log(Level::Info, &format!("server {id} listens on {url}"));
        }
        Ok(port)
    }

    fn info(&self, id: u64) -> Result<ServerInfo, Error> {
        let server = self.table.server(id)?;
        let (port, running) = server.port();
        let routing = server.routing();
        let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        Ok(ServerInfo {
            id,
            port,
            host: server.listen.host.clone(),
            running,
            routes_count: count(routing.routes().len()),
            middleware_count: count(routing.middleware().len()),
            websocket_enabled: !routing.websockets().is_empty(),
        })
    }

    fn register(&self, name: &str) -> Result<u64, Error> {
        let host = &self.common.host;
        let exports = exports_handle_request(host)
            || exports_handle_middleware(host)
            || exports_handle_websocket_connect(host)
            || exports_handle_websocket_message(host)
            || exports_handle_websocket_disconnect(host);
        if !exports {
            return Err(Error::NoHandlers);
        }
        if name.len() > LONGEST_NAME {
            return Err(Error::LongName { length: name.len(), most: LONGEST_NAME });
        }
        let mut handlers = self.common.ids.handlers();
        if let Some(id) = handlers.get(name) {
            return Ok(*id);
        }
        self.has_room("handlers", handlers.len())?;
        let id = 1 + handlers.values().copied().max().unwrap_or_default();
        handlers.insert(name.to_owned(), id);
        Ok(id)
    }

    fn check_handler(&self, id: u64) -> Result<(), Error> {
        if self.common.ids.handlers().values().any(|known| *known == id) { Ok(()) } else { Err(Error::Handler(id)) }
    }

    /// Checks `max_routes` before a handler, a route, a middleware or a path of websockets is added.
    fn has_room(&self, what: &'static str, there: usize) -> Result<(), Error> {
        let most = self.common.config.max_routes;
        if (there as u64) < most { Ok(()) } else { Err(Error::TooMany { what, key: "max_routes", most }) }
    }

    fn route(&self, server: u64, path: &str, method: &str, handler: u64) -> Result<u64, Error> {
        let server = self.table.server(server)?;
        self.check_handler(handler)?;
        needs(exports_handle_request(&self.common.host), "handle-request")?;
        self.has_room("routes", self.table.lock().routes.len())?;
        let mut routing = server.change_routing();
        let id = self.common.ids.routes.newest() + 1;
        routing.add_route(server.id, Route { id, path: path.to_owned(), method: method.to_owned(), handler })?;
        drop(routing);
        self.common.ids.routes.was_given(id);
        self.table.lock().routes.insert(id, server.id);
        Ok(id)
    }

    fn remove_route(&self, id: u64) -> Result<(), Error> {
        let server = self.table.lock().routes.remove(&id).ok_or(Error::Route(id))?;
        let server = self.table.server(server)?;
        if server.change_routing().remove_route(id) { Ok(()) } else { Err(Error::Route(id)) }
    }

    fn middleware(&self, server: u64, path: &str, handler: u64) -> Result<u64, Error> {
        let server = self.table.server(server)?;
        self.check_handler(handler)?;
        needs(exports_handle_middleware(&self.common.host), "handle-middleware")?;
        self.has_room("middleware", self.table.lock().middleware.len())?;
        let mut routing = server.change_routing();
        let id = self.common.ids.middleware.newest() + 1;
        routing.add_middleware(id, path.to_owned(), handler)?;
        drop(routing);
        self.common.ids.middleware.was_given(id);
        self.table.lock().middleware.insert(id, server.id);
        Ok(id)
    }

    fn remove_middleware(&self, id: u64) -> Result<(), Error> {
        let server = self.table.lock().middleware.remove(&id).ok_or(Error::Middleware(id))?;
        let server = self.table.server(server)?;
        if server.change_routing().remove_middleware(id) { Ok(()) } else { Err(Error::Middleware(id)) }
    }

    fn websocket(&self, server: u64, path: &str, websocket: Websocket) -> Result<(), Error> {
        let server = self.table.server(server)?;
        let host = &self.common.host;
        let Websocket { connect, message, disconnect } = websocket;
        for handler in [connect, Some(message), disconnect].into_iter().flatten() {
            self.check_handler(handler)?;
        }
        needs(exports_handle_websocket_message(host), "handle-websocket-message")?;
        needs(connect.is_none() || exports_handle_websocket_connect(host), "handle-websocket-connect")?;
        needs(disconnect.is_none() || exports_handle_websocket_disconnect(host), "handle-websocket-disconnect")?;
        let mut routing = server.change_routing();
        self.has_room("paths of websockets", routing.websockets().len())?;
        routing.enable_websocket(path.to_owned(), websocket)
    }

    async fn send(&self, server: u64, connection: u64, message: WebsocketMessage) -> Result<(), Error> {
        let server = self.table.server(server)?;
        let outbox = server.connection(connection)?;
        let gone = Error::Connection { server: server.id, connection };
        let Some(message) = session::sent(message).map_err(Error::Message)? else {
            return if outbox.close(Code::Normal) { Ok(()) } else { Err(gone) };
        };
        let config = &self.common.config;
        let most = usize::try_from(config.max_websocket_queue_bytes).unwrap_or(usize::MAX);
        let patience = Duration::from_millis(config.websocket_send_timeout_ms);
        let host = &self.common.host;
        let pushed = async {
            outbox.push(message, most, patience, host).await.map_err(|error| match error {
                PushError::Gone => gone,
                PushError::Slow => {
                    host.count("slow_clients", 1.0);
                    Error::Slow(connection)
                }
            })
        };
        let stopped = async {
            host.cancelled().await;
            Err(Error::Stopping)
        };
        or(pushed, stopped).await
    }

    fn close(&self, server: u64, connection: u64) -> Result<(), Error> {
        let server = self.table.server(server)?;
        let closed = server.connection(connection)?.close(Code::Normal);
        if closed { Ok(()) } else { Err(Error::Connection { server: server.id, connection }) }
    }

    fn saved(&self) -> Saved {
        let inner = self.table.lock();
        let ids = &self.common.ids;
        let servers = inner.servers.values().map(|server| {
            let routing = server.routing();
            let (port, running) = server.port();
            let routes =
                routing.routes().cloned().map(|Route { id, path, method, handler }| (id, path, method, handler));
            let middleware = routing.middleware().iter().map(|one| (one.id, one.path.clone(), one.handler));
            let (websockets, open) = (routing.websockets().iter(), server.open());
            SavedServer {
                id: server.id,
                asked: server.asked.clone(),
                running: running.then_some(port),
                routes: routes.collect(),
                middleware: middleware.collect(),
                websockets: websockets
                    .map(|(path, one)| (path.clone(), one.connect, one.message, one.disconnect))
                    .collect(),
                // Includes connections whose connect handler is running, because its result is not known yet.
                open: open.iter().map(|(number, one)| (*number, one.disconnect)).collect(),
            }
        });
        Saved {
            newest: ids.counts().map(ids::Count::newest),
            handlers: ids.handlers().iter().map(|(name, id)| (name.clone(), *id)).collect(),
            servers: servers.collect(),
            leaving: self.common.leaving().iter().map(|(number, disconnect)| (*number, *disconnect)).collect(),
        }
    }

    fn restore(&self, saved: Saved) -> Result<(), Error> {
        let ids = &self.common.ids;
        for (count, newest) in ids.counts().into_iter().zip(saved.newest) {
            count.was_given(newest);
        }
        ids.handlers().extend(saved.handlers);
        self.table.lock().left.open.extend(saved.leaving);
        for SavedServer { id, asked, running, routes, middleware, websockets, open } in saved.servers {
            let listen = self.listen(&asked)?;
            self.insert(id, asked, listen);
            for (route, path, method, handler) in routes {
                self.restore_route(id, Route { id: route, path, method, handler })?;
            }
            for (middleware, path, handler) in middleware {
                self.restore_middleware(id, middleware, path, handler)?;
            }
            let server = self.table.server(id)?;
            for (path, connect, message, disconnect) in websockets {
                server.change_routing().enable_websocket(path, Websocket { connect, message, disconnect })?;
            }
            let mut inner = self.table.lock();
            inner.left.open.extend(open);
            inner.left.running.extend(running.map(|port| (id, port)));
        }
        Ok(())
    }

    fn restore_route(&self, server: u64, route: Route) -> Result<(), Error> {
        let id = route.id;
        self.table.server(server)?.change_routing().add_route(server, route)?;
        self.common.ids.routes.was_given(id);
        self.table.lock().routes.insert(id, server);
        Ok(())
    }

    fn restore_middleware(&self, server: u64, id: u64, path: String, handler: u64) -> Result<(), Error> {
        self.table.server(server)?.change_routing().add_middleware(id, path, handler)?;
        self.common.ids.middleware.was_given(id);
        self.table.lock().middleware.insert(id, server);
        Ok(())
    }

    /// Repeats the effect of a recorded call on the servers and ids. A call that was refused creates and removes
    /// nothing.
    fn replay(&self, function: &str, arguments: &[u8], result: &[u8]) -> Result<(), String> {
        let wrong = |error: EncodingError| error.to_string();
        let id = || decode::<Result<u64, String>>(result).map_err(wrong);
        let done = || decode::<Result<(), String>>(result).map(|result| result.is_ok()).map_err(wrong);
        let one = || decode::<(u64,)>(arguments).map(|(id,)| id).map_err(wrong);
        let ids = &self.common.ids;
        match function {
            "create-server" => {
                if let Ok(id) = id()? {
                    let (asked,): (ServerConfig,) = decode(arguments).map_err(wrong)?;
                    let listen = self.listen(&asked)?;
                    ids.servers.was_given(id);
                    self.insert(id, asked, listen);
                }
            }
            "start-server" => {
                if let Ok(port) = decode::<Result<u16, String>>(result).map_err(wrong)? {
                    self.table.lock().left.running.insert(one()?, port);
                }
            }
            "stop-server" if done()? => {
                self.table.lock().left.running.remove(&one()?);
            }
            "destroy-server" if done()? => {
                self.table.remove(one()?)?;
            }
            "register-handler" => {
                if let Ok(id) = id()? {
                    let (name,): (String,) = decode(arguments).map_err(wrong)?;
                    ids.handlers().insert(name, id);
                }
            }
            "add-route" => {
                if let Ok(id) = id()? {
                    let (server, path, method, handler): (u64, String, String, u64) =
                        decode(arguments).map_err(wrong)?;
                    self.restore_route(server, Route { id, path, method, handler })?;
                }
            }
            "remove-route" if done()? => self.remove_route(one()?)?,
            "add-middleware" => {
                if let Ok(id) = id()? {
                    let (server, path, handler): (u64, String, u64) = decode(arguments).map_err(wrong)?;
                    self.restore_middleware(server, id, path, handler)?;
                }
            }
            "remove-middleware" if done()? => self.remove_middleware(one()?)?,
            "enable-websocket" if done()? => {
                let (server, path, connect, message, disconnect): (u64, String, Option<u64>, u64, Option<u64>) =
                    decode(arguments).map_err(wrong)?;
                let server = self.table.server(server)?;
                server.change_routing().enable_websocket(path, Websocket { connect, message, disconnect })?;
            }
            "send-websocket-message" => {
                let (_, connection, _): (u64, u64, WebsocketMessage) = decode(arguments).map_err(wrong)?;
                ids.connections.was_given(connection);
            }
            "close-websocket" => {
                let (_, connection): (u64, u64) = decode(arguments).map_err(wrong)?;
                ids.connections.was_given(connection);
            }
            "handle-websocket-connect" => {
                let (handler, connection, _, _): (u64, u64, String, Option<String>) =
                    decode(arguments).map_err(wrong)?;
                ids.connections.was_given(connection);
                // A connection whose connect call has no result yet counts as open: the call is repeated, and the
                // connection has ended by then.
                let refused = matches!(decode(result).map_err(wrong)?, Some(Err::<(), ()>(())));
                if !refused {
                    self.was_open(connection, |websocket| websocket.connect == Some(handler));
                }
            }
            "handle-websocket-message" => {
                let (handler, connection, _): (u64, u64, WebsocketMessage) = decode(arguments).map_err(wrong)?;
                ids.connections.was_given(connection);
                self.was_open(connection, |websocket| websocket.message == handler);
            }
            "handle-websocket-disconnect" => {
                let (_, connection): (u64, u64) = decode(arguments).map_err(wrong)?;
                self.table.lock().left.open.remove(&connection);
            }
            _ => {}
        }
        Ok(())
    }

    /// Notes that a connection of the previous run has ended, so that `started` notifies its disconnect handler, which
    /// is that of the first path for which `are` returns true.
    fn was_open(&self, connection: u64, are: impl Fn(&Websocket) -> bool) {
        let servers = self.table.servers();
        let disconnect = servers.iter().find_map(|server| {
            let routing = server.routing();
            routing.websockets().values().find(|websocket| are(websocket)).map(|websocket| websocket.disconnect)
        });
        if let Some(disconnect) = disconnect {
            self.table.lock().left.open.insert(connection, disconnect);
        }
    }
}

fn needs(there: bool, function: &'static str) -> Result<(), Error> {
    if there { Ok(()) } else { Err(Error::NoFunction(function)) }
}

/// Resolves `asked` to one of the allowed files. A relative path selects the file that ends with it, because the
/// handler's config has absolute paths. A path that matches none is returned as it is, and the listener refuses it by
/// that name.
///
/// # Errors
/// [`Error::Listening`] if the path is empty, or relative and ambiguous.
fn whole(allowed: &[String], asked: &str) -> Result<String, Error> {
    // Without a leading `./`.
    let end: PathBuf = Path::new(asked).components().filter(|part| *part != Component::CurDir).collect();
    if end.as_os_str().is_empty() {
        return Err(Error::Listening("tls: both the certificate and the key need a file".to_owned()));
    }
    let mut meant = allowed.iter().filter(|file| Path::new(file).ends_with(&end));
    match (meant.next(), meant.next()) {
        (Some(_), Some(_)) if !end.is_absolute() => Err(Error::Listening(format!(
            "tls: the file {asked:?} matches several of the handler's tls_files: use a longer path"
        ))),
        (Some(file), _) => Ok(file.clone()),
        (None, _) => Ok(asked.to_owned()),
    }
}

impl theater::simple::http_framework::HttpFramework for Framework {
    async fn create_server(&self, _: &Call, config: ServerConfig) -> Result<u64, String> {
        Ok(self.create(config).await?)
    }

    fn get_server_info(&self, _: &Call, server_id: u64) -> Result<ServerInfo, String> {
        Ok(self.info(server_id)?)
    }

    async fn start_server(&self, _: &Call, server_id: u64) -> Result<u16, String> {
        Ok(self.start(server_id).await?)
    }

    async fn stop_server(&self, _: &Call, server_id: u64) -> Result<(), String> {
        let server = self.table.server(server_id)?;
        self.stop(&server).await;
        Ok(())
    }

    async fn destroy_server(&self, _: &Call, server_id: u64) -> Result<(), String> {
        let server = self.table.remove(server_id)?;
        self.stop(&server).await;
        Ok(())
    }

    fn register_handler(&self, _: &Call, handler_name: &str) -> Result<u64, String> {
        Ok(self.register(handler_name)?)
    }

    fn add_route(&self, _: &Call, server_id: u64, path: &str, method: &str, handler_id: u64) -> Result<u64, String> {
        Ok(self.route(server_id, path, method, handler_id)?)
    }

    fn remove_route(&self, _: &Call, route_id: u64) -> Result<(), String> {
        Ok(self.remove_route(route_id)?)
    }

    fn add_middleware(&self, _: &Call, server_id: u64, path: &str, handler_id: u64) -> Result<u64, String> {
        Ok(self.middleware(server_id, path, handler_id)?)
    }

    fn remove_middleware(&self, _: &Call, middleware_id: u64) -> Result<(), String> {
        Ok(self.remove_middleware(middleware_id)?)
    }

    fn enable_websocket(
        &self,
        _: &Call,
        server_id: u64,
        path: &str,
        connect_handler_id: Option<u64>,
        message_handler_id: u64,
        disconnect_handler_id: Option<u64>,
    ) -> Result<(), String> {
        let websocket =
            Websocket { connect: connect_handler_id, message: message_handler_id, disconnect: disconnect_handler_id };
        Ok(self.websocket(server_id, path, websocket)?)
    }

    async fn send_websocket_message(
        &self,
        _: &Call,
        server_id: u64,
        connection_id: u64,
        message: WebsocketMessage,
    ) -> Result<(), String> {
        Ok(self.send(server_id, connection_id, message).await?)
    }

    fn close_websocket(&self, _: &Call, server_id: u64, connection_id: u64) -> Result<(), String> {
        Ok(self.close(server_id, connection_id)?)
    }
}
