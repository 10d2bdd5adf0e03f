//! The handler: the servers of one actor.
//!
//! | file | what |
//! |---|---|
//! | `calls` | the functions of the interface, as the actor calls them |
//! | `servers` | creates, starts and stops servers |
//! | `routes` | handlers, routes, middleware and paths of websockets |
//! | `websockets` | messages to open websockets |
//! | `snapshot` | stores the state in a snapshot and restores it |
//! | `replay` | rebuilds the state from the recorded calls of the previous run |

mod calls;
mod replay;
mod routes;
mod servers;
mod snapshot;
mod websockets;

use std::sync::Arc;

use futures_lite::future::or;
use theater_http_listener::ListenerControl;
use theater_plugin_api::encoding::{decode, encode};
use theater_plugin_api::{Handler, Host, Recovered};
use theater_websocket_protocol::Code;

use crate::config::Config;
use crate::ids::Ids;
use crate::server::ServerContext;
use crate::table::{HandlerState, ServerTable};
use crate::{request, session};

/// The servers of one actor.
pub struct Framework {
    pub(crate) context: Arc<ServerContext>,
    pub(crate) table: ServerTable,
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
        let previous = {
            let mut inner = self.table.lock();
            inner.started = true;
            std::mem::take(&mut inner.previous)
        };
        let mut urls = Vec::new();
        for server in self.table.servers() {
            if let Some(port) = previous.running.get(&server.id) {
                server.bind(Some(*port)).await?;
            }
            urls.extend(server.accept(request::answer).await?);
        }
        if !previous.open.is_empty() {
            self.context.leaving().extend(&previous.open);
            let context = Arc::clone(&self.context);
            self.context.host.spawn(async move {
                for number in previous.open.into_keys() {
                    let cause = format!("websocket {number} ended with the program");
                    session::notify_end(&context, &cause, number).await;
                }
            });
        }
        Ok(urls)
    }

    /// Waits for running requests. All servers share one grace period, including those that were stopped earlier.
    async fn stopped(&self) {
        let controls = self.end();
        let grace = self.context.config.listen.shutdown_grace();
        let all = async {
            for control in &controls {
                control.stop(grace).await;
            }
        };
        or(all, self.context.host.sleep(grace)).await;
    }

    fn export_state(&self) -> Result<Vec<u8>, String> {
        encode(&self.saved()).map_err(|error| error.to_string())
    }

    fn import_state(&self, state: &[u8]) -> Result<(), String> {
        let saved: HandlerState = decode(state).map_err(|error| error.to_string())?;
        Ok(self.restore(saved)?)
    }

    fn recover(&self, call: Recovered<'_>) -> Result<(), String> {
        let name = call.function.rsplit('/').next().unwrap_or_default();
        self.replay(name, &call).map_err(|error| format!("{name}: {error}"))
    }
}

impl Framework {
    pub(crate) fn new(host: Host, config: Config, ids: Arc<Ids>) -> Self {
        Self { context: Arc::new(ServerContext::new(host, config, ids)), table: ServerTable::default() }
    }

    /// Stops all servers. Returns the controls of those whose requests may still run.
    fn end(&self) -> Vec<ListenerControl> {
        let retired = std::mem::take(&mut self.table.lock().retired);
        retired.into_iter().chain(self.table.servers().iter().filter_map(|server| server.end(Code::Away))).collect()
    }
}
