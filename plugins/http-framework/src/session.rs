//! One websocket. Messages of the client go to the actor one by one; messages of the actor go to the client at any
//! time, even while the actor handles a message.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use event_listener::{Event, listener};
use futures_lite::future::{or, race};
use theater_http_listener::{Received, Upgraded};
use theater_plugin_api::{Bytes, CallError, Host, Level};
use theater_websocket_protocol::{Code, End, Message, PROTOCOL, Socket};

use crate::outbox::{ConnectionCommand, Outbox, length};
use crate::routing::Websocket;
use crate::server::{Connection, Server, ServerContext};
use crate::theater::simple::http_handlers::{
    handle_websocket_connect, handle_websocket_disconnect, handle_websocket_message,
};
use crate::theater::simple::websocket_types::{MessageType, WebsocketMessage};

/// A websocket that the actor has not accepted yet.
pub(crate) struct PendingWebsocket(ConnectionEntry);

/// The connection's entry in its server, which is removed on drop.
struct ConnectionEntry {
    server: Arc<Server>,
    websocket: Websocket,
    number: u64,
    outbox: Arc<Outbox>,
    cause: String,
}

impl Drop for ConnectionEntry {
    fn drop(&mut self) {
        self.server.open().remove(&self.number);
        self.server.context.host.count("websockets_ended", 1.0);
    }
}

impl PendingWebsocket {
    pub(crate) fn new(server: &Arc<Server>, websocket: Websocket, peer: SocketAddr) -> Self {
        let number = server.context.ids.connections.next();
        let outbox = Arc::<Outbox>::default();
        let connection = Connection { outbox: Arc::clone(&outbox), disconnect: websocket.disconnect };
        server.open().insert(number, connection);
        server.context.host.count("websockets_begun", 1.0);
        let cause = format!("websocket {number} from {peer}");
        Self(ConnectionEntry { server: Arc::clone(server), websocket, number, outbox, cause })
    }

    /// Calls the connect handler, if there is one, with the chosen subprotocol added to the query. The call runs in a
    /// separate task, which outlives this future: if the handler accepts a connection that is gone by then, the actor
    /// is notified of its end.
    pub(crate) async fn connect(
        self,
        request: &str,
        received: &Received,
        protocol: Option<&str>,
    ) -> Result<AcceptedWebsocket, CallError> {
        let Self(entry) = self;
        let Some(handler) = entry.websocket.connect else { return Ok(AcceptedWebsocket::new(entry)) };
        let cause = format!("{}: {request}", entry.cause);
        let (path, mut query) = (received.path().to_owned(), received.query().map(str::to_owned));
        if let Some(protocol) = protocol {
            let parameter = format!("{PROTOCOL}={protocol}");
            query = Some(query.map_or_else(|| parameter.clone(), |query| format!("{query}&{parameter}")));
        }
        let host = entry.host().clone();
        let reply = Arc::<ConnectReply>::default();
        let sender = Arc::clone(&reply);
        host.clone().spawn(async move {
            let agreed = handle_websocket_connect(&host, &cause, &handler, &entry.number, &path, &query).await;
            sender.set(agreed.map(|()| AcceptedWebsocket::new(entry)));
        });
        reply.get().await
    }
}

/// Passes the result of the connect handler to the waiter.
#[derive(Default)]
struct ConnectReply {
    answer: Mutex<Option<Result<AcceptedWebsocket, CallError>>>,
    there: Event,
}

impl ConnectReply {
    fn set(&self, answer: Result<AcceptedWebsocket, CallError>) {
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
        self.there.notify(1);
    }

    async fn get(&self) -> Result<AcceptedWebsocket, CallError> {
        loop {
            listener!(self.there => there);
            if let Some(answer) = self.answer.lock().unwrap_or_else(PoisonError::into_inner).take() {
                return answer;
            }
            there.await;
        }
    }
}

/// A websocket that the actor has accepted. Dropping it notifies the actor of the end, even if the websocket was never
/// opened.
pub(crate) struct AcceptedWebsocket(Option<ConnectionEntry>);

impl Drop for AcceptedWebsocket {
    fn drop(&mut self) {
        if let Some(entry) = self.0.take() {
            entry.notify_end();
        }
    }
}

impl AcceptedWebsocket {
    fn new(entry: ConnectionEntry) -> Self {
        Self(Some(entry))
    }

    pub(crate) async fn run(mut self, upgraded: Upgraded) {
        let Some(entry) = &self.0 else { return };
        let mut socket = Socket::new(entry.host().clone(), upgraded, &entry.server.listen).await;
        let end = entry.serve(&mut socket).await;
        // Nothing more can be sent; callers that wait to send return an error.
        entry.outbox.end(Code::Normal);
        if let Some(payload) = socket.farewell() {
            let payload = (!payload.is_empty()).then(|| Bytes::from(payload.to_vec()));
            let close = WebsocketMessage { ty: MessageType::Close, data: payload, text: None };
            let ConnectionEntry { websocket, number, cause, .. } = entry;
            let told = handle_websocket_message(entry.host(), cause, &websocket.message, number, &close).await;
            log_failure(entry.host(), cause, told.map(drop));
        }
        // The actor is notified while the closing handshake runs.
        if let Some(entry) = self.0.take() {
            entry.notify_end();
        }
        socket.close(end.code()).await;
    }
}

impl ConnectionEntry {
    fn host(&self) -> &Host {
        &self.server.context.host
    }

    /// Removes the connection, then notifies the disconnect handler of the end in a separate task.
    fn notify_end(self) {
        let (context, number, cause) = (Arc::clone(&self.server.context), self.number, self.cause.clone());
        context.leaving().insert(number, self.websocket.disconnect);
        drop(self);
        context.host.clone().spawn(async move { notify_end(&context, &cause, number).await });
    }

    async fn serve(&self, socket: &mut Socket) -> End {
        enum Step {
            Command(ConnectionCommand),
            Received(Option<Message>),
        }
        loop {
            // `race` picks one at random if both are ready, so neither side can starve the other.
            let command = async { Step::Command(self.outbox.next().await) };
            let received = async { Step::Received(socket.next().await) };
            let ended = match race(command, received).await {
                Step::Command(command) => self.execute(socket, command).await,
                Step::Received(None) => Err(End::Theirs),
                Step::Received(Some(message)) => self.deliver(socket, message).await,
            };
            if let Err(end) = ended {
                return end;
            }
        }
    }

    /// Sends a message of the actor, or closes the connection.
    async fn execute(&self, socket: &mut Socket, command: ConnectionCommand) -> Result<(), End> {
        match command {
            ConnectionCommand::Close(code) => Err(End::Ours(code)),
            ConnectionCommand::Send(message) => {
                let length = length(&message);
                self.send(socket, message, length).await
            }
        }
    }

    /// Sends a message, which counts `length` bytes in the queue. Stops if the connection is to be closed now.
    async fn send(&self, socket: &mut Socket, message: Message, length: usize) -> Result<(), End> {
        self.outbox.sending();
        let sent = async { if socket.send(message).await { Ok(()) } else { Err(End::Theirs) } };
        let ended = async { Err(End::Ours(self.outbox.ended().await)) };
        let sent = or(sent, ended).await;
        self.outbox.sent(length);
        sent
    }

    /// Passes a message to the actor and sends the answer to the client, after the messages that the actor sent in the
    /// meantime.
    async fn deliver(&self, socket: &mut Socket, message: Message) -> Result<(), End> {
        enum Step {
            Command(ConnectionCommand),
            Answer(Result<Vec<WebsocketMessage>, CallError>),
        }
        self.host().count("websocket_messages", 1.0);
        let message = to_actor(message);
        let (handler, number) = (self.websocket.message, self.number);
        let mut call = pin!(handle_websocket_message(self.host(), &self.cause, &handler, &number, &message));
        let answer = loop {
            let answer = async { Step::Answer(call.as_mut().await) };
            let command = async { Step::Command(self.outbox.next().await) };
            match or(answer, command).await {
                Step::Answer(answer) => break answer,
                Step::Command(command) => self.execute(socket, command).await?,
            }
        };
        // Only what is queued now: an actor that keeps sending would delay the answer forever.
        for _ in 0..self.outbox.waiting() {
            if let Some(command) = self.outbox.next_if_any() {
                self.execute(socket, command).await?;
            }
        }
        let messages = match answer {
            Ok(messages) => messages,
            Err(CallError::Gone(_)) => return Err(End::Ours(Code::Away)),
            // Send nothing back and keep the connection open.
            Err(error) => {
                log_failure(self.host(), &self.cause, Err(error));
                return Ok(());
            }
        };
        for message in messages {
            match to_client(message) {
                Ok(Some(message)) => self.send(socket, message, 0).await?,
                Ok(None) => return Err(End::Ours(Code::Normal)),
                Err(what) => self.host().log(Level::Warn, &format!("{}: not sent: {what}", self.cause)),
            }
        }
        Ok(())
    }
}

/// Notifies the actor that a connection in `leaving` has ended.
pub(crate) async fn notify_end(context: &ServerContext, cause: &str, number: u64) {
    let handler = context.leaving().get(&number).copied().flatten();
    if let Some(handler) = handler {
        log_failure(&context.host, cause, handle_websocket_disconnect(&context.host, cause, &handler, &number).await);
    }
    context.leaving().remove(&number);
}

fn log_failure(host: &Host, cause: &str, told: Result<(), CallError>) {
    match told {
        Ok(()) | Err(CallError::Gone(_)) => {}
        Err(error) => host.log(Level::Error, &format!("{cause}: {error}")),
    }
}

theater_websocket_protocol::message_conversions!(crate::theater::simple::websocket_types);
