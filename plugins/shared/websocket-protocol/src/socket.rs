//! An open websocket and its messages.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use async_tungstenite::WebSocketStream;
use async_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use async_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use async_tungstenite::tungstenite::{self, Error};
use futures_lite::StreamExt;
use futures_lite::future::or;
use futures_sink::Sink;
use theater_http_listener::{Config, Upgraded};
use theater_plugin_api::Host;

/// How long to wait for pending output to be sent and for the client to answer a close.
const LINGER: Duration = Duration::from_secs(2);
/// The same when the server is shutting down: that must not take long.
const SHORT: Duration = Duration::from_millis(200);
/// The read buffer, which every idle connection holds: small, but large enough for a short message.
const READ_BUFFER: usize = 4 << 10;

/// A whole message, or a ping or pong between messages.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Message {
    /// UTF-8 text.
    Text(String),
    /// Bytes.
    Binary(Vec<u8>),
    /// Up to 125 bytes; a received ping has been answered already.
    Ping(Vec<u8>),
    /// Up to 125 bytes.
    Pong(Vec<u8>),
}

/// The message type as an actor gives it, before [`Message::from_parts`] checks it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// Text; the payload is in `text`.
    Text,
    /// Bytes; the payload is in `data`, as for a ping and a pong.
    Binary,
    /// At most 125 bytes.
    Ping,
    /// At most 125 bytes.
    Pong,
    /// Closes the websocket.
    Close,
    /// Announces a new connection to the actor; it cannot be sent.
    Connect,
    /// The name of a type that this version does not know.
    Other(String),
}

/// Defines the conversions between [`Message`] and the types of a plugin's bindings, whose module path is the argument:
/// `to_actor(Message) -> WebsocketMessage` and `to_client(WebsocketMessage) -> Result<Option<Message>, String>`.
#[macro_export]
macro_rules! message_conversions {
    ($types:path) => {
        use $types as types;

        /// Converts a received message to the actor's type.
        pub(crate) fn to_actor(message: $crate::Message) -> types::WebsocketMessage {
            let (kind, data, text) = message.into_parts();
            let ty = match kind {
                $crate::Kind::Text => types::MessageType::Text,
                $crate::Kind::Binary => types::MessageType::Binary,
                $crate::Kind::Ping => types::MessageType::Ping,
                $crate::Kind::Pong => types::MessageType::Pong,
                $crate::Kind::Close => types::MessageType::Close,
                $crate::Kind::Connect => types::MessageType::Connect,
                $crate::Kind::Other(name) => types::MessageType::Other(name),
                _ => types::MessageType::Other(String::new()),
            };
            types::WebsocketMessage { ty, data: data.map(Into::into), text }
        }

        /// Converts an actor's message to the one to send; `None` means close.
        pub(crate) fn to_client(message: types::WebsocketMessage) -> Result<Option<$crate::Message>, String> {
            let types::WebsocketMessage { ty, data, text } = message;
            let kind = match ty {
                types::MessageType::Text => $crate::Kind::Text,
                types::MessageType::Binary => $crate::Kind::Binary,
                types::MessageType::Ping => $crate::Kind::Ping,
                types::MessageType::Pong => $crate::Kind::Pong,
                types::MessageType::Close => $crate::Kind::Close,
                types::MessageType::Connect => $crate::Kind::Connect,
                types::MessageType::Other(name) => $crate::Kind::Other(name),
            };
            $crate::Message::from_parts(kind, data.map(|data| data.into_vec()), text)
        }
    };
}

impl Message {
    /// The largest payload of a control frame, in bytes (RFC 6455, section 5.5).
    const MOST: usize = 125;

    /// Creates a message that an actor sends; `None` means close.
    ///
    /// # Errors
    /// Returns a sentence that says why the message cannot be sent.
    pub fn from_parts(kind: Kind, data: Option<Vec<u8>>, text: Option<String>) -> Result<Option<Self>, String> {
        if kind == Kind::Text && text.is_none() && data.is_some() {
            return Err(
                "a message of the kind text has its payload in `text`, and this one has it in `data`".to_owned()
            );
        }
        if matches!(kind, Kind::Binary | Kind::Ping | Kind::Pong) && data.is_none() && text.is_some() {
            return Err(
                "a binary message, a ping and a pong have their payload in `data`, and this one has it in `text`"
                    .to_owned(),
            );
        }
        let data = data.unwrap_or_default();
        if matches!(kind, Kind::Ping | Kind::Pong) && data.len() > Self::MOST {
            return Err(format!("a ping or pong has at most {} bytes, and this one has {}", Self::MOST, data.len()));
        }
        Ok(Some(match kind {
            Kind::Text => Self::Text(text.unwrap_or_default()),
            Kind::Binary => Self::Binary(data),
            Kind::Ping => Self::Ping(data),
            Kind::Pong => Self::Pong(data),
            Kind::Close => return Ok(None),
            Kind::Connect => {
                return Err(
                    "a message of the kind connect only comes in: send text, binary, ping, pong or close".to_owned()
                );
            }
            Kind::Other(kind) => {
                return Err(format!("there is no kind {kind:?} of messages: send text, binary, ping, pong or close"));
            }
        }))
    }

    /// Splits a received message into its kind, `data` and `text`.
    #[must_use]
    pub fn into_parts(self) -> (Kind, Option<Vec<u8>>, Option<String>) {
        match self {
            Self::Text(text) => (Kind::Text, None, Some(text)),
            Self::Binary(bytes) => (Kind::Binary, Some(bytes), None),
            Self::Ping(bytes) => (Kind::Ping, Some(bytes), None),
            Self::Pong(bytes) => (Kind::Pong, Some(bytes), None),
        }
    }

    /// Returns the length of the payload in bytes.
    #[must_use]
    pub fn length(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) | Self::Ping(bytes) | Self::Pong(bytes) => bytes.len(),
        }
    }
}

/// Which side ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The client closed it or disappeared.
    Theirs,
    /// The server closes it, with this code.
    Ours(Code),
}

impl End {
    /// Returns the code to close with, if the server closes the connection.
    #[must_use]
    pub fn code(self) -> Option<Code> {
        match self {
            Self::Theirs => None,
            Self::Ours(code) => Some(code),
        }
    }
}

/// Why a websocket is closed (RFC 6455, section 7.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Code {
    /// 1000: the connection has served its purpose.
    Normal,
    /// 1001: the server is going away.
    Away,
    /// 1002: the client violated the protocol.
    Protocol,
    /// 1007: a text message is not UTF-8.
    Utf8,
    /// 1009: a message over the limit.
    TooBig,
    /// 1013: the client reads too slowly.
    Again,
}

impl Code {
    fn frame(self) -> CloseFrame {
        let (code, reason) = match self {
            Self::Normal => (CloseCode::Normal, ""),
            Self::Away => (CloseCode::Away, "the server is going away"),
            Self::Protocol => (CloseCode::Protocol, "not the websocket protocol"),
            Self::Utf8 => (CloseCode::Invalid, "text must be UTF-8"),
            Self::TooBig => (CloseCode::Size, "the message is too big"),
            Self::Again => (CloseCode::Again, "messages are read too slowly"),
        };
        CloseFrame { code, reason: reason.into() }
    }
}

/// An open websocket.
pub struct Socket {
    stream: WebSocketStream<Upgraded>,
    host: Host,
    patience: Duration,
    fault: Option<Code>,
    farewell: Option<Vec<u8>>,
    /// A ping whose pong has not been flushed yet.
    ping: Option<Vec<u8>>,
}

impl Socket {
    /// Creates a socket over an upgraded connection. Messages have at most `max_body_bytes`; a client has
    /// `read_timeout_ms` to read one.
    pub async fn new(host: Host, upgraded: Upgraded, config: &Config) -> Self {
        let most = usize::try_from(config.max_body_bytes).unwrap_or(usize::MAX);
        let limits = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(0)
            .max_message_size(Some(most))
            .max_frame_size(Some(most));
        let stream = WebSocketStream::from_raw_socket(upgraded, Role::Server, Some(limits)).await;
        Self {
            stream,
            host,
            patience: Duration::from_millis(config.read_timeout_ms),
            fault: None,
            farewell: None,
            ping: None,
        }
    }

    /// Returns the next message, or `None` if the client has closed, is gone or has violated the protocol. The future
    /// may be dropped while it waits: no message is lost.
    pub async fn next(&mut self) -> Option<Message> {
        loop {
            if self.ping.is_some() {
                // Flush the pong before reading on: otherwise the pongs for a client that sends pings and reads nothing
                // would pile up in memory.
                if !self.in_time(None).await {
                    return None;
                }
                return self.ping.take().map(Message::Ping);
            }
            let read = self.stream.next().await?;
            match read {
                Ok(tungstenite::Message::Text(text)) => return Some(Message::Text(text.as_str().to_owned())),
                Ok(tungstenite::Message::Binary(bytes)) => return Some(Message::Binary(bytes.into())),
                Ok(tungstenite::Message::Ping(bytes)) => self.ping = Some(bytes.into()),
                Ok(tungstenite::Message::Pong(bytes)) => return Some(Message::Pong(bytes.into())),
                // The next read sends the answer and finds the end of the stream.
                Ok(tungstenite::Message::Close(frame)) => self.farewell = Some(frame.map(payload).unwrap_or_default()),
                Ok(tungstenite::Message::Frame(_)) => {}
                Err(error) => {
                    self.fault = fault(&error);
                    return None;
                }
            }
        }
    }

    /// Returns the payload of the client's close frame, if it sent one: a code and a reason, or nothing.
    #[must_use]
    pub fn farewell(&self) -> Option<&[u8]> {
        self.farewell.as_deref()
    }

    /// Sends a message. Returns false if the client is gone or does not read within the timeout.
    pub async fn send(&mut self, message: Message) -> bool {
        let message = match message {
            Message::Text(text) => tungstenite::Message::text(text),
            Message::Binary(bytes) => tungstenite::Message::binary(bytes),
            Message::Ping(bytes) => tungstenite::Message::Ping(bytes.into()),
            Message::Pong(bytes) => tungstenite::Message::Pong(bytes.into()),
        };
        self.in_time(Some(message)).await
    }

    /// Sends a message and everything buffered before it, or only the latter. Returns false if the client is gone or
    /// does not read within the timeout.
    async fn in_time(&mut self, message: Option<tungstenite::Message>) -> bool {
        let (host, patience) = (&self.host, self.patience);
        let late = async {
            host.sleep(patience).await;
            None
        };
        let stream = &mut self.stream;
        let sent = async {
            Some(match message {
                Some(message) => stream.send(message).await,
                None => poll_fn(|context| Pin::new(&mut *stream).poll_flush(context)).await,
            })
        };
        match or(sent, late).await {
            Some(sent) => sent.is_ok(),
            None => {
                self.host.count("slow_clients", 1.0);
                self.fault = Some(Code::Again);
                false
            }
        }
    }

    /// Closes the connection with the code of the error, if there was one, else with `code`. Without a code, no close
    /// frame is sent: the client has closed already.
    pub async fn close(self, code: Option<Code>) {
        let Self { mut stream, host, fault, .. } = self;
        if let Some(code) = fault.or(code) {
            let goodbye = async {
                // Wait for the client's answer only if the close frame was sent and there was no error before.
                if stream.close(Some(code.frame())).await.is_ok() && fault.is_none() {
                    while let Some(Ok(_)) = stream.next().await {}
                }
            };
            or(goodbye, host.sleep(if code == Code::Away { SHORT } else { LINGER })).await;
        }
        stream.into_inner().close().await;
    }
}

/// Encodes a close frame's payload (RFC 6455, section 5.5.1).
fn payload(frame: CloseFrame) -> Vec<u8> {
    let mut payload = u16::from(frame.code).to_be_bytes().to_vec();
    payload.extend_from_slice(frame.reason.as_bytes());
    payload
}

fn fault(error: &Error) -> Option<Code> {
    match error {
        Error::Capacity(_) => Some(Code::TooBig),
        Error::Utf8(_) => Some(Code::Utf8),
        // The connection broke without a close.
        Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake) => None,
        Error::Protocol(_) => Some(Code::Protocol),
        _ => None,
    }
}
