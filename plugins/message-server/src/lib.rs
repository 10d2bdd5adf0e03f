//! The plugin `message-server`: messages, requests and channels between the actors of one runtime, and from outside.
//!
//! One [`directory`] per process knows which actors can be reached: those between `started` and `stopped`. A handler
//! holds one actor's [`endpoint`]: its host, its rules, its unanswered requests and its channels. Each concept has its
//! own file: [`message`] (`send`), [`request`] and [`channel`]; [`port`] and [`command`] take what comes from outside.
//!
//! | function | how it reaches the other actor |
//! |---|---|
//! | `send`, `send-on-channel`, `close-channel` | staged: recorded and queued in one step with the sender's own event |
//! | `request`, `open-channel` | called: the sender waits, which is an edge in the wait graph |
//! | `respond-to-request`, `cancel-request` | not at all: the answer goes to the waiting requester |
//!
//! So no function is declared `effect`: nothing can happen outside without being in the chain, and `read` is enough.
//! Results are recorded as they are; a replay sends nothing.
//!
//! A resumed actor continues its numbering: new request ids and channel ids come after those that its recorded calls
//! show. Outstanding requests and channels are not restored: their other end was notified that they have ended.

#![forbid(unsafe_code)]

mod channel;
mod channel_table;
mod command;
mod config;
mod counters;
mod directory;
mod endpoint;
mod handler;
mod message;
#[cfg(test)]
mod narrow_tests;
mod outstanding;
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

/// The plugin, with the directory of the actors that can be reached in this process.
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
