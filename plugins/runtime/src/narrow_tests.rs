//! Random ceilings and configs: a narrowed config shows as many bytes of log and as many events as both allow. The
//! level is not a permission: the request may choose it freely, within the byte limit.

use serde_json::{Map, Value, json};
use theater_plugin_api::Bytes;
use theater_plugin_api::host::ChainEvent;
use theater_plugin_api::testing::{FakeHost, Seeded, attach, block_on, pairs};

use crate::Runtime;
use crate::theater::simple::types::Chain;

const EVENTS: u64 = 12;
const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

/// What an actor may do.
#[derive(Debug)]
enum Act {
    /// Show a line of this many bytes at once.
    Show(usize),
    /// See this many of its events.
    See(u64),
}

fn acts() -> Vec<Act> {
    let lines = [1, 2, 7, 8, 65_536, 65_537].map(Act::Show);
    let events = [1, 2, 5, 6, EVENTS].map(Act::See);
    lines.into_iter().chain(events).collect()
}

fn config(choices: &mut Seeded) -> Value {
    let mut config = Map::new();
    let limits =
        [("max_log_bytes_per_second", &[0, 1, 7, 65_536, 100_000][..]), ("max_chain_events", &[0, 1, 5, 11, 20_000])];
    for (key, of) in limits {
        let limit = choices.pick(of);
        if !choices.one_in(3) {
            config.insert(key.to_owned(), json!(limit));
        }
    }
    if choices.one_in(2) {
        config.insert("log_level".to_owned(), json!(choices.pick(&LEVELS)));
    }
    Value::Object(config)
}

/// The rule as specified. A missing limit has the specified default.
fn allows(config: &Value, act: &Act) -> bool {
    match act {
        Act::Show(bytes) => *bytes as u64 <= config["max_log_bytes_per_second"].as_u64().unwrap_or(65_536),
        Act::See(events) => *events <= config["max_chain_events"].as_u64().unwrap_or(10_000),
    }
}

/// [runtime-16]
#[test]
fn ten_thousand_pairs_allow_exactly_what_both_allow() {
    let (mut allowed, mut count) = (0, 0);
    for pair in pairs(&Runtime, "runtime", 1, 10_000, config) {
        assert_eq!(pair.narrowed.get("log_level"), pair.requested.get("log_level"), "{pair:#?}");
        for act in acts() {
            count += 1;
            allowed += u32::from(pair.exactly(&act, allows));
        }
    }
    assert!(allowed > count / 10 && allowed < count * 2 / 3, "{allowed} of {count}");
}

/// [runtime-16]
#[test]
fn calls_under_a_hundred_pairs_show_only_what_both_allow() {
    for pair in pairs(&Runtime, "runtime", 2, 100, config) {
        let attached = || {
            let host = FakeHost::new();
            let actor = block_on(attach::<Runtime>(&host, "runtime", pair.narrowed.clone())).unwrap();
            (host, actor)
        };
        let silent = matches!(pair.requested["log_level"].as_str(), Some("error" | "warn"));
        for act in acts() {
            let (host, actor) = attached();
            let done = match act {
                Act::Show(bytes) => {
                    let line = "x".repeat(bytes);
                    block_on(host.call::<_, ()>(&actor, "log", &(&line,))).unwrap();
                    host.lines().iter().any(|shown| shown.message == line)
                }
                Act::See(events) => {
                    host.set_events((0..EVENTS).map(event).collect());
                    let chain: Chain = block_on(host.call(&actor, "get-chain", &())).unwrap();
                    chain.events.len() as u64 >= events
                }
            };
            let expected = pair.both(&act, allows) && !(silent && matches!(act, Act::Show(_)));
            assert_eq!(done, expected, "{act:?} of {pair:#?}");
        }
    }
}

fn event(number: u64) -> ChainEvent {
    ChainEvent {
        hash: Bytes::from(vec![number as u8; 32]),
        parent_hash: None,
        event_type: "wasm".to_owned(),
        data: Bytes::default(),
        timestamp: number,
    }
}
