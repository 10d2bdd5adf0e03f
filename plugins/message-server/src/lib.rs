//! The plugin `message-server`: messages, requests and channels between the actors of one runtime, and from outside.
//!
//! One value per process holds the [`directory`]: who can be reached, from `started` to `stopped`. A handler is one actor's
//! [`endpoint`]: its host, its rules, the requests it has not answered and its channels. What an actor does is in the file of
//! its concept: [`message`] (`send`), [`request`], [`channel`]; what comes from outside is in [`port`] and [`command`].
//!
//! | function | how it reaches the other actor |
//! |---|---|
//! | `send`, `send-on-channel`, `close-channel` | staged: recorded and queued in one step with the sender's own event |
//! | `request`, `open-channel` | called: the sender waits, an edge in the wait graph |
//! | `respond-to-request`, `cancel-request` | not at all: the answer goes to whoever waits for it |
//!
//! So no function is declared `effect`: there is nothing that has happened outside while the chain does not know of it, and
//! `read` is enough. Their results are recorded as they are; a replay sends nothing.
//!
//! What a resumed actor has again are its numbers: request ids and channel ids go on where they were, as far as its own calls
//! name them. Outstanding requests and channels are not made again: their other side was told of the end.

#![forbid(unsafe_code)]

mod channel;
mod command;
mod config;
mod directory;
mod endpoint;
mod handler;
mod message;
#[cfg(test)]
mod narrow_tests;
mod port;
mod request;
mod rules;
mod schemas;
#[cfg(test)]
mod tests;
mod wait;

use std::sync::Arc;

use serde_json::Value;
use theater_plugin_api::{Attachment, Host, Plugin};

use directory::Directory;
use handler::MessageServer;

theater_plugin_api::bindings! {
    plugin: Messages,
    handler: MessageServer,
    name: "message-server",
    wit: "../../wit",
    provides: { "theater:simple/message-server-host": {
        "send": async read, "request": async read,
        "open-channel": async read, "send-on-channel": async read, "close-channel": async read,
        "list-outstanding-requests": read, "respond-to-request": read, "cancel-request": read,
    } },
    calls: { "theater:simple/message-server-client": optional },
    services: { "theater.messages": 0 },
    config: "config.schema.json",
    commands: {
        "send": "sends a JSON value to a running actor",
        "request": "sends a JSON value to a running actor and prints the answer",
    },
}

/// The plugin: who can be reached in this process.
pub struct Messages {
    host: Host,
    directory: Arc<Directory>,
}

impl Plugin for Messages {
    type Handler = MessageServer;

    fn init(host: Host) -> Result<Self, String> {
        Ok(Self { directory: Arc::new(Directory::new(host.clone())), host })
    }

    async fn attach(&self, host: Host, attachment: Attachment) -> Result<MessageServer, String> {
        MessageServer::attach(&self.directory, host, &attachment).await
    }

    fn narrow(&self, _: &str, ceiling: &Value, requested: &Value) -> Result<Value, String> {
        config::narrow(ceiling, requested)
    }

    async fn command(&self, name: &str, arguments: Value) -> Result<Value, String> {
        command::run(&self.host, &self.directory, name, arguments).await
    }
}
