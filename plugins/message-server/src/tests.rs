//! Tests with actors of one program that send each other messages.

use std::pin::Pin;
use std::sync::Arc;

use futures_lite::future::poll_once;
use serde_json::Value;
use theater_plugin_api::abi::{Answer, encoded};
use theater_plugin_api::testing::{Called, FakeHost, attach_to, block_on};
use theater_plugin_api::{Bytes, Handler, Plugin, encoding};

use crate::Messages;
use crate::handler::MessageServer;
use crate::theater::simple::types::ChannelAccept;

mod allowed;
mod channels;
mod limits;
mod numbers;
mod operator;
mod port;
mod presence;
mod requests;
mod schemas;
mod sending;

// The numbers of the called exports, in WIT order.
const SEND: u32 = 0;
const REQUEST: u32 = 1;
const OPEN: u32 = 2;
const MESSAGE: u32 = 3;
const CLOSE: u32 = 4;
const ALL: [u32; 5] = [SEND, REQUEST, OPEN, MESSAGE, CLOSE];

type Nothing = Result<(), String>;
type Reply = Result<Bytes, String>;
type Id = Result<String, String>;

/// Messages that are empty, not text, not JSON, or long.
const ANY_BYTES: [&[u8]; 5] = [b"", b"\0", b"\xff\xfe\x80", b"{\"type\":", &[7; 100_000]];

/// The plugin in one program.
struct Program {
    own: FakeHost,
    plugin: Messages,
}

/// An actor that can be reached.
struct Actor {
    host: FakeHost,
    server: Arc<MessageServer>,
}

impl Program {
    fn new() -> Self {
        let own = FakeHost::new();
        Self { plugin: Messages::init(own.host()).unwrap(), own }
    }

    /// Attaches a handler to the actor of `host`, without starting it.
    fn attached(&self, host: &FakeHost, config: Value) -> Result<Arc<MessageServer>, String> {
        block_on(attach_to(&self.plugin, host, "message-server", config))
    }

    /// Starts actors that know each other.
    fn actors<const N: usize>(&self, all: [(&str, Value); N]) -> [Actor; N] {
        let actors = all.map(|(name, config)| {
            let host = FakeHost::new();
            host.set_name(name);
            host.set_exports(&ALL, usual);
            let server = self.attached(&host, config).unwrap();
            block_on(server.started(false)).unwrap();
            Actor { host, server }
        });
        let hosts: Vec<_> = actors.iter().map(|actor| &actor.host).collect();
        self.acquaint(&hosts);
        actors
    }

    /// Lets all of them, and the operator, find each other by id and name.
    fn acquaint(&self, all: &[&FakeHost]) {
        let ids: Vec<_> = all.iter().map(|host| host.actor()).collect();
        let ids: Vec<_> = ids.iter().map(String::as_str).collect();
        for host in all.iter().copied().chain([&self.own]) {
            host.set_living(&ids);
            for other in all {
                host.set_named(&other.host().whose().unwrap().name, &other.actor());
            }
        }
    }
}

/// The default behaviour of an actor: it answers a request with its own message and accepts every channel.
fn usual(export: u32, params: &[u8]) -> Answer {
    match export {
        REQUEST => encoded(&(Some(message(params)),)),
        OPEN => encoded(&(ChannelAccept { accepted: true, message: None },)),
        _ => encoded(&()),
    }
}

/// Leaves every request outstanding.
fn no_answer(export: u32, params: &[u8]) -> Answer {
    if export == REQUEST { encoded(&(None::<Bytes>,)) } else { usual(export, params) }
}

/// Answers `handle-channel-open` as given.
fn deciding(accepted: bool, message: Option<&str>) -> impl Fn(u32, &[u8]) -> Answer + Send + Sync + 'static {
    let message = message.map(Bytes::from);
    move |export, params| match export {
        OPEN => encoded(&(ChannelAccept { accepted, message: message.clone() },)),
        _ => usual(export, params),
    }
}

/// Decodes the id and the message of a call of `handle-request` or of a channel function.
fn with_id(params: &[u8]) -> (String, Bytes) {
    encoding::decode(params).unwrap()
}

fn message(params: &[u8]) -> Bytes {
    with_id(params).1
}

/// Returns the message of a call of `handle-send`.
fn sent(called: &Called) -> Bytes {
    assert_eq!(called.export, SEND);
    encoding::decode::<(Bytes,)>(&called.params).unwrap().0
}

/// Starts a future and asserts that it waits for something.
fn begun<T>(future: impl Future<Output = T>) -> Pin<Box<impl Future<Output = T>>> {
    let mut future = Box::pin(future);
    assert!(block_on(poll_once(future.as_mut())).is_none(), "it waits for nothing");
    future
}

impl Actor {
    fn id(&self) -> String {
        self.host.actor()
    }

    /// Returns the next call of the actor, in the order of arrival.
    fn next(&self) -> Called {
        block_on(self.host.next_call()).unwrap()
    }

    /// Returns whether there is no further call.
    fn is_idle(&self) -> bool {
        block_on(poll_once(self.host.next_call())).is_none()
    }

    async fn sends(&self, to: &str, message: &[u8]) -> Nothing {
        self.host.call(&self.server, "send", &(to, Bytes::from(message))).await.unwrap()
    }

    async fn requests(&self, to: &str, message: &[u8]) -> Reply {
        self.host.call(&self.server, "request", &(to, Bytes::from(message))).await.unwrap()
    }

    async fn opens(&self, to: &str, message: &[u8]) -> Id {
        self.host.call(&self.server, "open-channel", &(to, Bytes::from(message))).await.unwrap()
    }

    async fn says(&self, channel: &str, message: &[u8]) -> Nothing {
        self.host.call(&self.server, "send-on-channel", &(channel, Bytes::from(message))).await.unwrap()
    }

    fn send(&self, to: &str, message: &[u8]) -> Nothing {
        block_on(self.sends(to, message))
    }

    fn request(&self, to: &str, message: &[u8]) -> Reply {
        block_on(self.requests(to, message))
    }

    fn open(&self, to: &str, message: &[u8]) -> Id {
        block_on(self.opens(to, message))
    }

    fn say(&self, channel: &str, message: &[u8]) -> Nothing {
        block_on(self.says(channel, message))
    }

    fn close(&self, channel: &str) -> Nothing {
        block_on(self.host.call(&self.server, "close-channel", &(channel,))).unwrap()
    }

    fn outstanding(&self) -> Vec<String> {
        block_on(self.host.call(&self.server, "list-outstanding-requests", &())).unwrap()
    }

    fn respond(&self, id: &str, response: &[u8]) -> Nothing {
        block_on(self.host.call(&self.server, "respond-to-request", &(id, Bytes::from(response)))).unwrap()
    }

    fn cancel(&self, id: &str) -> Nothing {
        block_on(self.host.call(&self.server, "cancel-request", &(id,))).unwrap()
    }

    /// Ends the actor and notifies the plugin.
    fn end(&self) {
        self.host.end();
        block_on(self.server.stopped());
    }
}
