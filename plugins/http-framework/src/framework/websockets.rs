//! Sends messages to the clients of open websockets, and closes them.

use std::time::Duration;

use futures_lite::future::or;
use theater_websocket_protocol::Code;

use super::Framework;
use crate::error::Error;
use crate::outbox::PushError;
use crate::session;
use crate::theater::simple::websocket_types::WebsocketMessage;

impl Framework {
    pub(super) async fn send(&self, server: u64, connection: u64, message: WebsocketMessage) -> Result<(), Error> {
        let server = self.table.server(server)?;
        let outbox = server.connection(connection)?;
        let gone = Error::Connection { server: server.id, connection };
        let Some(message) = session::to_client(message).map_err(Error::Message)? else {
            return if outbox.close(Code::Normal) { Ok(()) } else { Err(gone) };
        };
        let config = &self.context.config;
        let most = usize::try_from(config.max_websocket_queue_bytes).unwrap_or(usize::MAX);
        let patience = Duration::from_millis(config.websocket_send_timeout_ms);
        let host = &self.context.host;
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

    pub(super) fn close(&self, server: u64, connection: u64) -> Result<(), Error> {
        let server = self.table.server(server)?;
        let closed = server.connection(connection)?.close(Code::Normal);
        if closed { Ok(()) } else { Err(Error::Connection { server: server.id, connection }) }
    }
}
