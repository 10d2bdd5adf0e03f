//! Forwards publications to subscribers. Its state is `{"topics": {topic: [channels]}}`.
//!
//! - A channel that opens with `{"type": "subscribe", "payload": {"topic": ..}}` is accepted with
//!   `{"type": "subscribed", "payload": {"topic": ..}}`, and receives each publication as
//!   `{"type": "event", "payload": {"topic": .., "data": ..}}` until it is closed. Other channels are refused.
//! - `{"type": "publish", "payload": {"topic": .., "data": any JSON}}` is accepted as a send, as a request (answered
//!   with `{"delivered": N}`) and on a channel, which also receives it if it is subscribed to the topic.
//! - On a channel, `{"type": "subscribe", ..}` adds another topic.
//! - request `{"type": "topics"}`: answers `{topic: number of channels}`

use std::collections::BTreeMap;

use message::Message;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use theater_sdk::message_server::{ChannelAccept, ChannelId};
use theater_sdk::{State, actor, message_server, message_server_host};

#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct Broker {
    topics: BTreeMap<String, Vec<ChannelId>>,
}

#[derive(Deserialize)]
struct Subscription {
    topic: String,
}

#[derive(Serialize, Deserialize)]
struct Event {
    topic: String,
    data: Value,
}

#[actor::export]
impl actor::Actor for Broker {
    /// Ignores an earlier state: channels do not survive a restart.
    fn init(_state: State, (_id,): (String,)) -> Result<(State,), String> {
        Ok((message::keep(&Self::default())?,))
    }
}

#[message_server::export]
impl message_server::MessageServerClient for Broker {
    fn handle_send(state: State, (bytes,): (Vec<u8>,)) -> Result<(State,), String> {
        message::handle_send(state, &bytes, act)
    }

    fn handle_request(state: State, (bytes,): (Vec<u8>,)) -> Result<(State, (Vec<u8>,)), String> {
        message::handle_request(state, &bytes, act)
    }

    fn handle_channel_open(
        state: State,
        (channel, bytes): (ChannelId, Vec<u8>),
    ) -> Result<(State, (ChannelAccept,)), String> {
        let mut broker: Self = message::state(state)?;
        let answer = Message::read(&bytes).and_then(|message| broker.subscribe(&channel, &message));
        let accept =
            ChannelAccept { accepted: answer.is_ok(), message: Some(answer.unwrap_or_else(String::into_bytes)) };
        Ok((message::keep(&broker)?, (accept,)))
    }

    fn handle_channel_message(state: State, (channel, bytes): (ChannelId, Vec<u8>)) -> Result<(State,), String> {
        let mut broker: Self = message::state(state)?;
        let message = Message::read(&bytes)?;
        if message.kind == "subscribe" {
            let answer = broker.subscribe(&channel, &message)?;
            message_server_host::send_on_channel(&channel, &answer)?;
        } else {
            act(&mut broker, &message)?;
        }
        Ok((message::keep(&broker)?,))
    }

    fn handle_channel_close(state: State, (channel,): (ChannelId,)) -> Result<(State,), String> {
        let mut broker: Self = message::state(state)?;
        broker.forget(&channel);
        Ok((message::keep(&broker)?,))
    }
}

fn act(broker: &mut Broker, message: &Message) -> Result<Value, String> {
    match message.kind.as_str() {
        "publish" => {
            let event: Event = message.payload()?;
            Ok(json!({ "delivered": broker.publish(&event) }))
        }
        "topics" => {
            let count = |(topic, channels): (&String, &Vec<ChannelId>)| (topic.clone(), json!(channels.len()));
            Ok(broker.topics.iter().map(count).collect())
        }
        _ => message.unknown("publish, topics"),
    }
}

impl Broker {
    fn subscribe(&mut self, channel: &ChannelId, message: &Message) -> Result<Vec<u8>, String> {
        if message.kind != "subscribe" {
            return message.unknown("subscribe");
        }
        let Subscription { topic } = message.payload()?;
        let answer = message::write("subscribed", "", json!({ "topic": topic }));
        let channels = self.topics.entry(topic).or_default();
        if !channels.contains(channel) {
            channels.push(channel.clone());
        }
        Ok(answer)
    }

    /// Returns how many channels accepted the event. A channel that did not is closed; `handle-channel-close` follows.
    fn publish(&self, event: &Event) -> usize {
        let message = message::write("event", "", json!(event));
        let channels = self.topics.get(&event.topic).into_iter().flatten();
        channels.filter(|channel| message_server_host::send_on_channel(channel, &message).is_ok()).count()
    }

    fn forget(&mut self, channel: &ChannelId) {
        self.topics.retain(|_, channels| {
            channels.retain(|known| known != channel);
            !channels.is_empty()
        });
    }
}
