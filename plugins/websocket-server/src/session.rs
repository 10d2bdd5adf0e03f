//! One connection. Each event is passed to the actor, and its answer is sent, before the next one is read.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_lite::future::{or, zip};
use theater_http_listener::Upgraded;
use theater_plugin_api::{Bytes, CallError, Level};
use theater_websocket_protocol::{Code, End, Socket};

use crate::context::ServerContext;
use crate::theater::simple::websocket_server::{MessageType, WebsocketMessage, handle_message};

struct Session {
    context: Arc<ServerContext>,
    socket: Socket,
    number: u64,
    cause: String,
}

/// Serves a connection whose subprotocol is `protocol`, if it has one.
pub(crate) async fn run(context: Arc<ServerContext>, peer: SocketAddr, protocol: Option<String>, upgraded: Upgraded) {
    let number = 1 + context.last.fetch_add(1, Ordering::Relaxed);
    let socket = Socket::new(context.host.clone(), upgraded, &context.config.listen).await;
    context.host.count("connections", 1.0);
    let cause = format!("websocket {number} from {peer}");
    context.open().insert(number);
    let mut session = Session { context, socket, number, cause };
    let end = session.serve(protocol).await;
    let Session { context, socket, number, cause } = session;
    // The actor is notified while the closing handshake runs.
    zip(socket.close(end.code()), notify_end(&context, &cause, number)).await;
}

/// Notifies the actor that a connection has ended. The messages it returns are discarded.
pub(crate) async fn notify_end(context: &ServerContext, cause: &str, number: u64) {
    let told = handle_message(&context.host, cause, &event(MessageType::Close, number)).await;
    context.open().remove(&number);
    match told {
        Ok(_) | Err(CallError::Gone(_)) => {}
        Err(error) => context.host.log(Level::Error, &format!("{cause}: could not report the end: {error}")),
    }
}

fn event(ty: MessageType, number: u64) -> WebsocketMessage {
    WebsocketMessage { ty, data: None, text: Some(number.to_string()) }
}

impl Session {
    async fn serve(&mut self, protocol: Option<String>) -> End {
        let data = protocol.map(|protocol| Bytes::from(protocol.into_bytes()));
        let connect = WebsocketMessage { data, ..event(MessageType::Connect, self.number) };
        if let Err(end) = self.deliver(connect).await {
            return end;
        }
        let host = self.context.host.clone();
        let mut stopped = pin!(host.cancelled());
        loop {
            let stop = async {
                stopped.as_mut().await;
                Err(End::Ours(Code::Away))
            };
            let next = async { self.socket.next().await.ok_or(End::Theirs) };
            let message = match or(next, stop).await {
                Ok(message) => message,
                Err(end) => return end,
            };
            self.context.host.count("messages", 1.0);
            if let Err(end) = self.deliver(to_actor(message)).await {
                return end;
            }
        }
    }

    /// Passes an event to the actor, and sends the messages that it returns to the client.
    async fn deliver(&mut self, message: WebsocketMessage) -> Result<(), End> {
        let response = match handle_message(&self.context.host, &self.cause, &message).await {
            Ok(response) => response,
            Err(CallError::Gone(_)) => return Err(End::Ours(Code::Away)),
            // Send nothing back and keep the connection open.
            Err(error) => {
                self.context.host.log(Level::Error, &format!("{}: {error}", self.cause));
                return Ok(());
            }
        };
        for message in response.messages {
            match to_client(message) {
                Ok(Some(message)) => {
                    if !self.socket.send(message).await {
                        return Err(End::Theirs);
                    }
                }
                Ok(None) => return Err(End::Ours(Code::Normal)),
                Err(what) => self.context.host.log(Level::Warn, &format!("{}: not sent: {what}", self.cause)),
            }
        }
        Ok(())
    }
}

theater_websocket_protocol::message_conversions!(crate::theater::simple::websocket_server);
