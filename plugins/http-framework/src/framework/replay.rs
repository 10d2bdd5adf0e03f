//! Rebuilds the servers from the recorded calls of the previous run.
//!
//! Each recorded call changes the state as the original call did, with the ids that the original returned, but opens no
//! port and sends nothing. `started` then restores what the calls show to have been running.
//!
//! **Invariant:** only a call that succeeded changes the state. The arguments of a refused call are the actor's own
//! claims: an id among them may never have existed. The arguments of the calls to the actor come from this plugin, so
//! their ids are real whatever the actor answered.

use serde::Deserialize;
use theater_plugin_api::Recovered;
use theater_plugin_api::encoding::decode;

use super::Framework;
use crate::routing::{Route, Websocket};
use crate::theater::simple::http_types::ServerConfig;
use crate::theater::simple::websocket_types::WebsocketMessage;

/// A recorded call, encoded.
#[derive(Clone, Copy)]
struct RecordedCall<'a> {
    arguments: &'a [u8],
    result: &'a [u8],
}

impl<'a> RecordedCall<'a> {
    fn arguments<T: Deserialize<'a>>(&self) -> Result<T, String> {
        decode(self.arguments).map_err(|error| error.to_string())
    }

    fn result<T: Deserialize<'a>>(&self) -> Result<T, String> {
        decode(self.result).map_err(|error| error.to_string())
    }

    /// Returns the only argument of a call that takes an id.
    fn id_argument(&self) -> Result<u64, String> {
        self.arguments().map(|(id,)| id)
    }

    /// Returns the id that the call returned, or `None` if it was refused.
    fn returned_id(&self) -> Result<Option<u64>, String> {
        self.result::<Result<u64, String>>().map(Result::ok)
    }

    fn succeeded(&self) -> Result<bool, String> {
        self.result::<Result<(), String>>().map(|result| result.is_ok())
    }
}

impl Framework {
    /// Repeats the effect of a recorded call on the servers and ids.
    pub(super) fn replay(&self, function: &str, call: &Recovered<'_>) -> Result<(), String> {
        let call = RecordedCall { arguments: call.arguments, result: call.result };
        match function {
            "create-server" | "start-server" | "stop-server" | "destroy-server" => self.replay_server(function, call),
            "send-websocket-message" | "close-websocket" => self.replay_websocket(function, call),
            "handle-websocket-connect" | "handle-websocket-message" | "handle-websocket-disconnect" => {
                self.replay_handler(function, call)
            }
            _ => self.replay_routing(function, call),
        }
    }

    fn replay_server(&self, function: &str, call: RecordedCall<'_>) -> Result<(), String> {
        match function {
            "create-server" => {
                if let Some(id) = call.returned_id()? {
                    let (asked,): (ServerConfig,) = call.arguments()?;
                    let listen = self.listen(&asked)?;
                    self.context.ids.servers.mark_used(id);
                    self.insert(id, asked, listen);
                }
            }
            "start-server" => {
                if let Ok(port) = call.result::<Result<u16, String>>()? {
                    self.table.lock().previous.running.insert(call.id_argument()?, port);
                }
            }
            "stop-server" if call.succeeded()? => {
                self.table.lock().previous.running.remove(&call.id_argument()?);
            }
            "destroy-server" if call.succeeded()? => {
                self.table.remove(call.id_argument()?)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn replay_routing(&self, function: &str, call: RecordedCall<'_>) -> Result<(), String> {
        match function {
            "register-handler" => {
                if let Some(id) = call.returned_id()? {
                    let (name,): (String,) = call.arguments()?;
                    self.context.ids.handlers().insert(name, id);
                }
            }
            "add-route" => {
                if let Some(id) = call.returned_id()? {
                    let (server, path, method, handler): (u64, String, String, u64) = call.arguments()?;
                    self.restore_route(server, Route { id, path, method, handler })?;
                }
            }
            "remove-route" if call.succeeded()? => self.remove_route(call.id_argument()?)?,
            "add-middleware" => {
                if let Some(id) = call.returned_id()? {
                    let (server, path, handler): (u64, String, u64) = call.arguments()?;
                    self.restore_middleware(server, id, path, handler)?;
                }
            }
            "remove-middleware" if call.succeeded()? => self.remove_middleware(call.id_argument()?)?,
            "enable-websocket" if call.succeeded()? => {
                let (server, path, connect, message, disconnect): (u64, String, Option<u64>, u64, Option<u64>) =
                    call.arguments()?;
                let server = self.table.server(server)?;
                server.routing_mut().enable_websocket(path, Websocket { connect, message, disconnect })?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Replays the actor's calls about a websocket.
    fn replay_websocket(&self, function: &str, call: RecordedCall<'_>) -> Result<(), String> {
        if call.succeeded()? {
            let connection = match function {
                "close-websocket" => call.arguments().map(|(_, connection): (u64, u64)| connection)?,
                _ => call.arguments().map(|(_, connection, _): (u64, u64, WebsocketMessage)| connection)?,
            };
            self.context.ids.connections.mark_used(connection);
        }
        Ok(())
    }

    /// Replays the calls to the actor about a websocket.
    fn replay_handler(&self, function: &str, call: RecordedCall<'_>) -> Result<(), String> {
        let connections = &self.context.ids.connections;
        match function {
            "handle-websocket-connect" => {
                let (handler, connection, _, _): (u64, u64, String, Option<String>) = call.arguments()?;
                connections.mark_used(connection);
                // A connection whose connect call has no result yet counts as open: the call is repeated, and the
                // connection has ended by then.
                let refused = matches!(call.result()?, Some(Err::<(), ()>(())));
                if !refused {
                    self.mark_open(connection, |websocket| websocket.connect == Some(handler));
                }
            }
            "handle-websocket-message" => {
                let (handler, connection, _): (u64, u64, WebsocketMessage) = call.arguments()?;
                connections.mark_used(connection);
                self.mark_open(connection, |websocket| websocket.message == handler);
            }
            "handle-websocket-disconnect" => {
                let (_, connection): (u64, u64) = call.arguments()?;
                self.table.lock().previous.open.remove(&connection);
            }
            _ => {}
        }
        Ok(())
    }

    /// Notes that a connection of the previous run has ended, so that `started` notifies its disconnect handler, which
    /// is that of the first path for which `are` returns true.
    fn mark_open(&self, connection: u64, are: impl Fn(&Websocket) -> bool) {
        let servers = self.table.servers();
        let disconnect = servers.iter().find_map(|server| {
            let routing = server.routing();
            routing.websockets().values().find(|websocket| are(websocket)).map(|websocket| websocket.disconnect)
        });
        if let Some(disconnect) = disconnect {
            self.table.lock().previous.open.insert(connection, disconnect);
        }
    }
}
