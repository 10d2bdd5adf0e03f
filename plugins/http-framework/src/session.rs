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

use crate::outbox::{Order, Outbox, length};
use crate::routing::Websocket;
use crate::server::{Common, Connection, Server};
use crate::theater::simple::http_handlers::{
    handle_websocket_connect, handle_websocket_disconnect, handle_websocket_message,
};
use crate::theater::simple::websocket_types::{MessageType, WebsocketMessage};

/// A websocket that the actor has not accepted yet.
pub(crate) struct Opening(Place);

/// The connection's entry in its server, which is removed on drop.
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

    /// Calls the connect handler, if there is one, with the chosen subprotocol added to the query. The call runs in a
    /// separate task, which outlives this future: if the handler accepts a connection that is gone by then, the actor
    /// is notified of its end.
    pub(crate) async fn connect(
        self,
        request: &str,
        received: &Received,
        protocol: Option<&str>,
    ) -> Result<Opened, CallError> {
        let Self(place) = self;
        let Some(handler) = place.websocket.connect else { return Ok(Opened::new(place)) };
        let cause = format!("{}: {request}", place.cause);
        let (path, mut query) = (received.path().to_owned(), received.query().map(str::to_owned));
        if let Some(protocol) = protocol {
            let said = format!("{PROTOCOL}={protocol}");
            query = Some(query.map_or_else(|| said.clone(), |query| format!("{query}&{said}")));
        }
        let host = place.host().clone();
        let said = Arc::<Said>::default();
        let asked = Arc::clone(&said);
        host.clone().spawn(async move {
            let agreed = handle_websocket_connect(&host, &cause, &handler, &place.number, &path, &query).await;
            asked.set(agreed.map(|()| Opened::new(place)));
        });
        said.get().await
    }
}

/// Passes the result of the connect handler to the waiter.
#[derive(Default)]
struct Said {
    answer: Mutex<Option<Result<Opened, CallError>>>,
    there: Event,
}

impl Said {
    fn set(&self, answer: Result<Opened, CallError>) {
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
        self.there.notify(1);
    }

    async fn get(&self) -> Result<Opened, CallError> {
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
pub(crate) struct Opened(Option<Place>);

impl Drop for Opened {
    fn drop(&mut self) {
        if let Some(place) = self.0.take() {
            place.tell_end();
        }
    }
}

impl Opened {
    fn new(place: Place) -> Self {
        Self(Some(place))
    }

    pub(crate) async fn run(mut self, upgraded: Upgraded) {
        let Some(place) = &self.0 else { return };
        let mut socket = Socket::new(place.host().clone(), upgraded, &place.server.listen).await;
        let end = place.serve(&mut socket).await;
        // Nothing more can be sent; callers that wait to send return an error.
        place.outbox.end(Code::Normal);
        if let Some(payload) = socket.farewell() {
            let payload = (!payload.is_empty()).then(|| Bytes::from(payload.to_vec()));
            let close = WebsocketMessage { ty: MessageType::Close, data: payload, text: None };
            let Place { websocket, number, cause, .. } = place;
            let told = handle_websocket_message(place.host(), cause, &websocket.message, number, &close).await;
            note(place.host(), cause, told.map(drop));
        }
        // The actor is notified while the closing handshake runs.
        if let Some(place) = self.0.take() {
            place.tell_end();
        }
        socket.close(end.code()).await;
    }
}

impl Place {
    fn host(&self) -> &Host {
        &self.server.common.host
    }

    /// Removes the connection, then notifies the disconnect handler of the end in a separate task.
    fn tell_end(self) {
        let (common, number, cause) = (Arc::clone(&self.server.common), self.number, self.cause.clone());
        common.leaving().insert(number, self.websocket.disconnect);
        drop(self);
        common.host.clone().spawn(async move { tell_end(&common, &cause, number).await });
    }

    async fn serve(&self, socket: &mut Socket) -> End {
        enum Step {
            Order(Order),
            Heard(Option<Message>),
        }
        loop {
            // `race` picks one at random if both are ready, so neither side can starve the other.
            let order = async { Step::Order(self.outbox.next().await) };
            let heard = async { Step::Heard(socket.next().await) };
            let ended = match race(order, heard).await {
                Step::Order(order) => self.carry_out(socket, order).await,
                Step::Heard(None) => Err(End::Theirs),
                Step::Heard(Some(message)) => self.tell(socket, message).await,
            };
            if let Err(end) = ended {
                return end;
            }
        }
    }

    /// Sends a message of the actor, or closes the connection.
    async fn carry_out(&self, socket: &mut Socket, order: Order) -> Result<(), End> {
        match order {
            Order::Close(code) => Err(End::Ours(code)),
            Order::Send(message) => {
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
            let answer = async { Step::Answer(call.as_mut().await) };
            let order = async { Step::Order(self.outbox.next().await) };
            match or(answer, order).await {
                Step::Answer(answer) => break answer,
                Step::Order(order) => self.carry_out(socket, order).await?,
            }
        };
        // Only what is queued now: an actor that keeps sending would delay the answer forever.
        for _ in 0..self.outbox.waiting() {
            if let Some(order) = self.outbox.next_if_any() {
                self.carry_out(socket, order).await?;
            }
        }
        let messages = match answer {
            Ok(messages) => messages,
            Err(CallError::Gone(_)) => return Err(End::Ours(Code::Away)),
            // Send nothing back and keep the connection open.
            Err(error) => {
                note(self.host(), &self.cause, Err(error));
                return Ok(());
            }
        };
        for message in messages {
            match sent(message) {
                Ok(Some(message)) => self.send(socket, message, 0).await?,
                Ok(None) => return Err(End::Ours(Code::Normal)),
                Err(what) => self.host().log(Level::Warn, &format!("{}: not sent: {what}", self.cause)),
            }
        }
        Ok(())
    }
}

/// Notifies the actor that a connection in `leaving` has ended.
pub(crate) async fn tell_end(common: &Common, cause: &str, number: u64) {
    let handler = common.leaving().get(&number).copied().flatten();
    if let Some(handler) = handler {
        note(&common.host, cause, handle_websocket_disconnect(&common.host, cause, &handler, &number).await);
    }
    common.leaving().remove(&number);
}

fn note(host: &Host, cause: &str, told: Result<(), CallError>) {
    match told {
        Ok(()) | Err(CallError::Gone(_)) => {}
        Err(error) => host.log(Level::Error, &format!("{cause}: {error}")),
    }
}

theater_websocket_protocol::message_conversions!(crate::theater::simple::websocket_types);
