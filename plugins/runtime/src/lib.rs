//! The `runtime` plugin: functions available to every actor: its log, its chain and its own shutdown.
//!
//! The core does the work (services `theater.chain` and `theater.lifecycle`); this plugin exposes them as WIT.
//! [`stream`] decides which log lines are shown. The chain has every call, so `log` is `pure`, and the limits lose no
//! evidence.

#![forbid(unsafe_code)]

#[cfg(test)]
mod narrow_tests;
mod stream;

use std::time::Instant;

use serde::Deserialize;
use theater_plugin_api::encoding::{EncodingError, decode};
use theater_plugin_api::host::ChainEvent;
use theater_plugin_api::narrow::{self, Rule};
use theater_plugin_api::{Attachment, Bytes, Call, Handler, Host, Level, Plugin, Recovered};

use stream::{LogLevel, Stream};
use theater::simple::types::{Chain, Event, MetaEvent};

theater_plugin_api::bindings! {
    plugin: Runtime,
    handler: Actor,
    name: "runtime",
    wit: "../../wit",
    provides: { "theater:simple/runtime": { "log": pure, "get-chain": async chain, "shutdown": read } },
    services: { "theater.chain": 0, "theater.lifecycle": 0 },
    config: "config.schema.json",
    ambient: true,
}

const LOG_BYTES: u64 = 65_536;
const CHAIN_EVENTS: u64 = 10_000;

/// The handler's config; `config.schema.json` says what each key means.
#[derive(Deserialize)]
#[serde(default)]
struct Config {
    log_level: LogLevel,
    max_log_bytes_per_second: u64,
    max_chain_events: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { log_level: LogLevel::Info, max_log_bytes_per_second: LOG_BYTES, max_chain_events: CHAIN_EVENTS }
    }
}

/// The plugin. It has no state.
pub struct Runtime;

impl Plugin for Runtime {
    type Handler = Actor;

    fn init(_: Host) -> Result<Self, String> {
        Ok(Self)
    }

    async fn attach(&self, host: Host, attachment: Attachment) -> Result<Actor, String> {
        let config: Config = attachment.config()?;
        let stream = Stream::new(config.log_level, config.max_log_bytes_per_second, Instant::now());
        Ok(Actor { host, stream, max_chain_events: config.max_chain_events })
    }

    fn narrow(
        &self,
        _: &str,
        ceiling: &serde_json::Value,
        requested: &serde_json::Value,
    ) -> Result<serde_json::Value, String> {
        let rules = [
            ("log_level", Rule::Free),
            ("max_log_bytes_per_second", Rule::Smaller(LOG_BYTES)),
            ("max_chain_events", Rule::Smaller(CHAIN_EVENTS)),
        ];
        narrow::object(&rules, ceiling, requested)
    }
}

/// The handler of one actor: its log stream, chain and shutdown.
pub struct Actor {
    host: Host,
    stream: Stream,
    max_chain_events: u64,
}

impl Actor {
    fn show(&self, lines: impl IntoIterator<Item = String>) {
        for line in lines {
            self.host.actor_log(Level::Info, &line);
        }
    }
}

impl Handler for Actor {
    async fn stopped(&self) {
        self.show(self.stream.left_out());
    }

    /// Repeats a recorded `shutdown` that succeeded: the previous run ended before the actor stopped.
    fn recover(&self, call: Recovered<'_>) -> Result<(), String> {
        let wrong = |error: EncodingError| format!("{}: {error}", call.function);
        if call.function.ends_with("/shutdown") && decode::<Result<(), String>>(call.result).map_err(wrong)?.is_ok() {
            let (data,): (Option<Bytes>,) = decode(call.arguments).map_err(wrong)?;
            self.host.shutdown(data.as_ref().map(|data| data.as_slice()))?;
        }
        Ok(())
    }
}

impl theater::simple::runtime::Runtime for Actor {
    fn log(&self, _: &Call, msg: &str) {
        self.show(self.stream.line(msg, Instant::now()));
    }

    async fn get_chain(&self, _: &Call) -> Chain {
        match self.host.newest_events(self.max_chain_events).await {
            Ok(events) => Chain { events: events.into_iter().map(meta_event).collect() },
            #[allow(
                clippy::panic,
                reason = "the function has no result: only a fault, which traps the call, can report it"
            )]
            Err(sentence) => panic!("the chain could not be read: {sentence}"),
        }
    }

    fn shutdown(&self, _: &Call, data: Option<Bytes>) -> Result<(), String> {
        self.host.shutdown(data.as_ref().map(|data| data.as_slice()))
    }
}

fn meta_event(event: ChainEvent) -> MetaEvent {
    let parent = event.parent_hash.as_ref().map(label);
    MetaEvent { hash: label(&event.hash), event: Event { event_type: event.event_type, parent, data: event.data } }
}

/// The first 8 bytes of a hash, big-endian.
fn label(hash: &Bytes) -> u64 {
    hash.first_chunk().map_or(0, |first| u64::from_be_bytes(*first))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use theater_plugin_api::testing::{FakeHost, attach, block_on};

    fn actor(host: &FakeHost, config: Value) -> std::sync::Arc<Actor> {
        block_on(attach::<Runtime>(host, "runtime", config)).unwrap()
    }

    #[test]
    fn an_end_that_was_asked_for_is_asked_for_again_in_the_next_life() {
        for (result, asked) in [(Ok(()), Some(Some(b"bye".to_vec()))), (Err("no".to_owned()), None)] {
            let host = FakeHost::new();
            let actor = actor(&host, json!({}));
            host.recover(&actor, "log", &("a line",), &()).unwrap();
            host.recover(&actor, "shutdown", &(Some(Bytes::from("bye")),), &result).unwrap();
            assert_eq!(host.shut_down(), asked);
        }
    }

    fn log(host: &FakeHost, actor: &std::sync::Arc<Actor>, line: &str) {
        block_on(host.call::<_, ()>(actor, "log", &(line,))).unwrap();
    }

    fn lines(host: &FakeHost) -> Vec<String> {
        let lines = host.lines().into_iter();
        lines
            .map(|line| {
                assert_eq!((line.level, line.target.as_str()), (Level::Info, "actor"));
                line.message
            })
            .collect()
    }

    fn event(hash: u8, parent: Option<u8>) -> ChainEvent {
        ChainEvent {
            hash: vec![hash; 32].into(),
            parent_hash: parent.map(|parent| vec![parent; 32].into()),
            event_type: "wasm".into(),
            data: vec![hash].into(),
            timestamp: 5,
        }
    }

    /// [runtime-5]
    #[test]
    fn a_line_goes_to_the_actors_own_stream_with_control_characters_escaped() {
        let host = FakeHost::new();
        log(&host, &actor(&host, json!({})), "a\nb\u{1b}[31m ü");
        assert_eq!(lines(&host), ["a\\nb\\u{1b}[31m ü"]);
    }

    /// [runtime-6]
    #[test]
    fn the_levels_above_info_silence_the_actor_and_the_others_do_not() {
        for (level, shown) in [("error", 0), ("warn", 0), ("info", 1), ("debug", 1), ("trace", 1)] {
            let host = FakeHost::new();
            log(&host, &actor(&host, json!({ "log_level": level })), "hello");
            assert_eq!(lines(&host).len(), shown, "{level}");
        }
    }

    /// [runtime-7]
    #[test]
    fn lines_that_were_left_out_are_told_of_at_the_end() {
        let host = FakeHost::new();
        let actor = actor(&host, json!({ "max_log_bytes_per_second": 4 }));
        log(&host, &actor, "too long");
        assert!(lines(&host).is_empty());
        block_on(actor.stopped());
        assert_eq!(lines(&host), ["1 line (8 bytes) left out: max_log_bytes_per_second is 4"]);
    }

    /// [runtime-9] [runtime-10] [runtime-15]
    #[test]
    fn the_chain_is_the_newest_events_oldest_first_with_labels_of_the_hashes() {
        let host = FakeHost::new();
        host.set_events(vec![event(1, None), event(2, Some(1)), event(3, Some(2))]);
        let actor = actor(&host, json!({ "max_chain_events": 2 }));
        let chain: Chain = block_on(host.call(&actor, "get-chain", &())).unwrap();
        let labels: Vec<_> = chain.events.iter().map(|meta| (meta.hash, meta.event.parent)).collect();
        let label = |n: u64| n * 0x0101_0101_0101_0101;
        assert_eq!(labels, [(label(2), Some(label(1))), (label(3), Some(label(2)))]);
        assert_eq!(*chain.events[1].event.data, [3]);
    }

    /// [runtime-14]
    #[test]
    fn a_label_is_the_first_eight_bytes_of_the_hash_big_endian() {
        let hash: Vec<u8> = (1..=32).collect();
        assert_eq!(label(&hash.into()), 0x0102_0304_0506_0708);
    }

    /// [runtime-15]
    #[test]
    fn the_first_event_has_no_parent() {
        assert_eq!(meta_event(event(1, None)).event.parent, None);
    }

    #[test]
    fn shutdown_hands_its_data_over_and_a_second_one_is_err() {
        let host = FakeHost::new();
        let actor = actor(&host, json!({}));
        let shutdown = |data: Option<Bytes>| {
            let answer: Result<Result<(), String>, String> = block_on(host.call(&actor, "shutdown", &(data,)));
            answer.unwrap()
        };
        assert_eq!(shutdown(Some("bye".into())), Ok(()));
        assert!(shutdown(None).is_err());
        assert_eq!(host.shut_down(), Some(Some(b"bye".to_vec())));
    }

    /// [runtime-7] [runtime-9] [runtime-10]
    #[test]
    fn without_config_65536_bytes_a_second_are_shown_and_the_newest_10000_events_answered() {
        for (length, shown) in [(65_536, 1), (65_537, 0)] {
            let host = FakeHost::new();
            log(&host, &actor(&host, json!({})), &"x".repeat(length));
            assert_eq!(lines(&host).len(), shown, "{length}");
        }
        let host = FakeHost::new();
        let numbered = |number: u64| ChainEvent { data: number.to_be_bytes().to_vec().into(), ..event(1, None) };
        host.set_events((0..10_001).map(numbered).collect());
        let chain: Chain = block_on(host.call(&actor(&host, json!({})), "get-chain", &())).unwrap();
        let told: Vec<Vec<u8>> = chain.events.iter().map(|meta| meta.event.data.to_vec()).collect();
        let newest: Vec<Vec<u8>> = (1..10_001_u64).map(|number| number.to_be_bytes().to_vec()).collect();
        assert!(told == newest, "{} events", told.len());
    }

    /// [runtime-6] [runtime-7] [runtime-9]
    #[test]
    fn the_schema_names_the_defaults_that_are() {
        let schema: Value = serde_json::from_str(include_str!("../config.schema.json")).unwrap();
        let default = |key: &str| schema["properties"][key]["default"].clone();
        let config = Config::default();
        let level: LogLevel = serde_json::from_value(default("log_level")).unwrap();
        assert_eq!((level, config.log_level), (LogLevel::Info, LogLevel::Info));
        assert_eq!(default("max_log_bytes_per_second"), json!(config.max_log_bytes_per_second));
        assert_eq!(default("max_chain_events"), json!(config.max_chain_events));
    }

    /// [runtime-16]
    #[test]
    fn narrowing_takes_the_smaller_limits() {
        let narrowed = Runtime.narrow("runtime", &json!({ "max_chain_events": 5 }), &json!({ "log_level": "warn" }));
        let expected = json!({ "log_level": "warn", "max_log_bytes_per_second": 65_536, "max_chain_events": 5 });
        assert_eq!(narrowed, Ok(expected));
    }
}
