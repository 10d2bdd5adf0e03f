//! Collects the publications of a broker.
//!
//! Requests and sends:
//!
//! - `{"type": "subscribe", "payload": {"broker": id, "topic": ..}}`: opens a channel; answers `{"channel": id}`
//! - `{"type": "publish", "payload": {"topic": .., "data": ..}}`: publishes on the channel of that topic
//! - `{"type": "unsubscribe", "payload": {"topic": ..}}`: closes the channel of that topic
//! - `{"type": "report"}`: answers the state, `{"channels": {channel: topic}, "confirmed": [topics],
//!   "events": [{"topic": .., "data": ..}], "closed": [topics]}`, with all lists in order of arrival

use std::collections::BTreeMap;

use message::Message;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use theater_sdk::message_server::ChannelId;
use theater_sdk::{State, actor, message_server, message_server_host};

#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct Subscriber {
    channels: BTreeMap<ChannelId, String>,
    confirmed: Vec<String>,
    events: Vec<Value>,
    closed: Vec<String>,
}

#[derive(Deserialize)]
struct Subscribe {
    broker: String,
    topic: String,
}

#[derive(Deserialize)]
struct Topic {
    topic: String,
}

#[actor::export]
impl actor::Actor for Subscriber {
    /// Ignores an earlier state: channels do not survive a restart.
    fn init(_state: State, (_id,): (String,)) -> Result<(State,), String> {
        Ok((message::keep(&Self::default())?,))
    }
}

#[message_server::export]
impl message_server::MessageServerClient for Subscriber {
    fn handle_send(state: State, (bytes,): (Vec<u8>,)) -> Result<(State,), String> {
        message::handle_send(state, &bytes, act)
    }

    fn handle_request(state: State, (bytes,): (Vec<u8>,)) -> Result<(State, (Vec<u8>,)), String> {
        message::handle_request(state, &bytes, act)
    }

    fn handle_channel_message(state: State, (_channel, bytes): (ChannelId, Vec<u8>)) -> Result<(State,), String> {
        let mut subscriber: Self = message::state(state)?;
        let message = Message::read(&bytes)?;
        match message.kind.as_str() {
            "subscribed" => subscriber.confirmed.push(topic(&message)?),
            "event" => subscriber.events.push(message.payload()?),
            _ => return message.unknown("subscribed, event"),
        }
        Ok((message::keep(&subscriber)?,))
    }

    fn handle_channel_close(state: State, (channel,): (ChannelId,)) -> Result<(State,), String> {
        let mut subscriber: Self = message::state(state)?;
        subscriber.closed.extend(subscriber.channels.remove(&channel));
        Ok((message::keep(&subscriber)?,))
    }
}

fn act(subscriber: &mut Subscriber, message: &Message) -> Result<Value, String> {
    match message.kind.as_str() {
        "subscribe" => subscriber.subscribe(message.payload()?),
        "publish" => {
            let channel = subscriber.channel(&topic(message)?)?;
            let publication = message::write("publish", "", message.payload()?);
            message_server_host::send_on_channel(&channel, &publication).map(|()| json!({}))
        }
        "unsubscribe" => {
            let channel = subscriber.channel(&topic(message)?)?;
            message_server_host::close_channel(&channel).map(|()| json!({}))
        }
        "report" => Ok(json!(subscriber)),
        _ => message.unknown("subscribe, publish, unsubscribe, report"),
    }
}

fn topic(message: &Message) -> Result<String, String> {
    message.payload::<Topic>().map(|Topic { topic }| topic)
}

impl Subscriber {
    fn subscribe(&mut self, Subscribe { broker, topic }: Subscribe) -> Result<Value, String> {
        let wanted = message::write("subscribe", "", json!({ "topic": topic }));
        let channel = message_server_host::open_channel(&broker, &wanted)?;
        self.channels.insert(channel.clone(), topic);
        Ok(json!({ "channel": channel }))
    }

    fn channel(&self, topic: &str) -> Result<ChannelId, String> {
        let mut channels = self.channels.iter();
        let found = channels.find(|(_, subscribed)| *subscribed == topic);
        found.map(|(channel, _)| channel.clone()).ok_or_else(|| format!("no subscription of \"{topic}\""))
    }
}
