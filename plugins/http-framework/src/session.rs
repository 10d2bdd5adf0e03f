//! One websocket: what the client says goes to the actor, message by message, and what the actor sends goes to the client,
//! also while the actor works on a message.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use futures_lite::future::{or, zip};
use theater_http_listener::{Received, Upgraded};
use theater_plugin_api::{Bytes, CallError, Host, Level};
use theater_websockets::{Code, Kind, Message, Socket};

use crate::outbox::{Order, Outbox, length};
use crate::routing::Websocket;
use crate::server::{Connection, Server};
use crate::theater::simple::http_handlers::{
    handle_websocket_connect, handle_websocket_disconnect, handle_websocket_message,
};
use crate::theater::simple::websocket_types::{MessageType, WebsocketMessage};

/// A websocket that the actor has not agreed to.
pub(crate) struct Opening(Place);

/// A connection among those of its server, until it is dropped.
struct Place {
    server: Arc<Server>,
    websocket: Websocket,
    number: u64,
    outbox: Arc<Outbox>,
    cause: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.server.open().remove(&self.number);
        self.server.common.host.count("websockets_ended", 1.0);
    }
}

impl Opening {
    pub(crate) fn new(server: &Arc<Server>, websocket: Websocket, peer: SocketAddr) -> Self {
        let number = server.common.ids.connections.next();
        let outbox = Arc::<Outbox>::default();
        let connection = Connection { outbox: Arc::clone(&outbox), disconnect: websocket.disconnect };
        server.open().insert(number, connection);
        server.common.host.count("websockets_begun", 1.0);
        let cause = format!("websocket {number} from {peer}");
        Self(Place { server: Arc::clone(server), websocket, number, outbox, cause })
    }

    /// Asks the connect handler, if there is one.
    pub(crate) async fn connect(self, request: &str, received: &Received) -> Result<Opened, CallError> {
        let Self(place) = self;
        if let Some(handler) = &place.websocket.connect {
            let cause = format!("{}: {request}", place.cause);
            let path = received.path().to_owned();
            let query = received.query().map(str::to_owned);
            handle_websocket_connect(&place.server.common.host, &cause, handler, &place.number, &path, &query).await?;
        }
        Ok(Opened(Some(place)))
    }
}

/// A websocket that the actor has agreed to: it hears of its end, also when it never came to be.
pub(crate) struct Opened(Option<Place>);

impl Drop for Opened {
    fn drop(&mut self) {
        if let Some(place) = self.0.take() {
            let host = place.server.common.host.clone();
            host.spawn(async move { place.tell_end().await });
        }
    }
}

/// How a session ends.
enum End {
    /// The client has closed, or is gone.
    Theirs,
    /// We close it.
    Ours(Code),
}

impl Opened {
    pub(crate) async fn run(mut self, upgraded: Upgraded) {
        let Some(place) = &self.0 else { return };
        let mut socket = Socket::new(place.host().clone(), upgraded, &place.server.listen).await;
        let end = place.serve(&mut socket).await;
        let code = match end {
            End::Theirs => None,
            End::Ours(code) => Some(code),
        };
        // Nothing more can be sent, and whoever waits to hears of it.
        place.outbox.end(Code::Normal);
        if let Some(payload) = socket.farewell() {
            let payload = (!payload.is_empty()).then(|| Bytes::from(payload.to_vec()));
            let close = WebsocketMessage { ty: MessageType::Close, data: payload, text: None };
            let Place { server, websocket, number, cause, .. } = place;
            let told = handle_websocket_message(&server.common.host, cause, &websocket.message, number, &close).await;
            place.note(told.map(drop));
        }
        // The actor hears of it while the client takes its leave.
        let Some(place) = self.0.take() else { return };
        zip(socket.close(code), place.tell_end()).await;
    }
}

impl Place {
    fn host(&self) -> &Host {
        &self.server.common.host
    }

    /// The end, to the disconnect handler; the connection is not there any more then.
    async fn tell_end(self) {
        let (server, number, cause) = (Arc::clone(&self.server), self.number, self.cause.clone());
        let handler = self.websocket.disconnect;
        drop(self);
        tell_end(&server.common.host, &cause, handler, number).await;
    }

    /// What happened to a call that answers nothing.
    fn note(&self, told: Result<(), CallError>) {
        note(self.host(), &self.cause, told);
    }

    async fn serve(&self, socket: &mut Socket) -> End {
        enum Step {
            Order(Order),
            Heard(Option<Message>),
        }
        loop {
            let order = async { Step::Order(self.outbox.next().await) };
            let heard = async { Step::Heard(socket.next().await) };
            let ended = match or(order, heard).await {
                Step::Order(order) => self.obey(socket, order).await,
                Step::Heard(None) => Err(End::Theirs),
                Step::Heard(Some(message)) => self.tell(socket, message).await,
            };
            if let Err(end) = ended {
                return end;
            }
        }
    }

    /// Sends what the actor sent, or closes.
    async fn obey(&self, socket: &mut Socket, order: Order) -> Result<(), End> {
        match order {
            Order::Close(code) => Err(End::Ours(code)),
            Order::Send(message) => {
                let length = length(&message);
                let sent = self.send(socket, message).await;
                self.outbox.sent(length);
                sent
            }
        }
    }

    /// Sends a message, unless the connection is to be closed before it has left.
    async fn send(&self, socket: &mut Socket, message: Message) -> Result<(), End> {
        let sent = async { if socket.send(message).await { Ok(()) } else { Err(End::Theirs) } };
        let ended = async { Err(End::Ours(self.outbox.ended().await)) };
        or(sent, ended).await
    }

    /// Tells the actor of a message, and the client what it answers, with what the actor sends meanwhile before it.
    async fn tell(&self, socket: &mut Socket, message: Message) -> Result<(), End> {
        enum Step {
            Order(Order),
            Answer(Result<Vec<WebsocketMessage>, CallError>),
        }
        self.host().count("websocket_messages", 1.0);
        let message = told(message);
        let (handler, number) = (self.websocket.message, self.number);
        let mut call = pin!(handle_websocket_message(self.host(), &self.cause, &handler, &number, &message));
        let answer = loop {
            let order = async { Step::Order(self.outbox.next().await) };
            let answer = async { Step::Answer(call.as_mut().await) };
            match or(order, answer).await {
                Step::Order(order) => self.obey(socket, order).await?,
                Step::Answer(answer) => break answer,
            }
        };
        while let Some(order) = self.outbox.next_if_any() {
            self.obey(socket, order).await?;
        }
        let messages = match answer {
            Ok(messages) => messages,
            Err(CallError::Gone(_)) => return Err(End::Ours(Code::Away)),
            // Nothing goes back, and the connection goes on.
            Err(error) => {
                self.note(Err(error));
                return Ok(());
            }
        };
        for message in messages {
            match sent(message) {
                Ok(Some(message)) => self.send(socket, message).await?,
                Ok(None) => return Err(End::Ours(Code::Normal)),
                Err(what) => self.host().log(Level::Warn, &format!("{}: not sent: {what}", self.cause)),
            }
        }
        Ok(())
    }
}

/// Tells the actor that a connection has ended.
pub(crate) async fn tell_end(host: &Host, cause: &str, handler: Option<u64>, number: u64) {
    if let Some(handler) = handler {
        note(host, cause, handle_websocket_disconnect(host, cause, &handler, &number).await);
    }
}

fn note(host: &Host, cause: &str, told: Result<(), CallError>) {
    match told {
        Ok(()) | Err(CallError::Gone(_)) => {}
        Err(error) => host.log(Level::Error, &format!("{cause}: {error}")),
    }
}

/// A message as the actor is told of it.
fn told(message: Message) -> WebsocketMessage {
    let data = |ty, bytes: Vec<u8>| WebsocketMessage { ty, data: Some(Bytes::from(bytes)), text: None };
    match message {
        Message::Text(text) => WebsocketMessage { ty: MessageType::Text, data: None, text: Some(text) },
        Message::Binary(bytes) => data(MessageType::Binary, bytes),
        Message::Ping(bytes) => data(MessageType::Ping, bytes),
        Message::Pong(bytes) => data(MessageType::Pong, bytes),
        other => data(MessageType::Other(format!("{other:?}")), Vec::new()),
    }
}

/// A message as it is sent; none to close.
pub(crate) fn sent(message: WebsocketMessage) -> Result<Option<Message>, String> {
    let WebsocketMessage { ty, data, text } = message;
    let kind = match ty {
        MessageType::Text => Kind::Text,
        MessageType::Binary => Kind::Binary,
        MessageType::Ping => Kind::Ping,
        MessageType::Pong => Kind::Pong,
        MessageType::Close => Kind::Close,
        MessageType::Connect => Kind::Connect,
        MessageType::Other(kind) => Kind::Other(kind),
    };
    Message::sent(kind, data.map(Bytes::into_vec), text)
}
