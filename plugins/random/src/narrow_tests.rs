//! Random ceilings and configs: a narrowed config returns as many bytes and as large numbers as both allow. A seed is
//! not a permission: the request alone decides whether its numbers are reproducible.

use serde_json::{Map, Value, json};
use theater_plugin_api::Bytes;
use theater_plugin_api::testing::{FakeHost, Seeded, attach, block_on, pairs};

use crate::Random;

const SIZES: [u64; 6] = [0, 1, 16, 1_048_576, 1_048_577, 5_000_000];
const LARGEST: [u64; 5] = [0, 1, 6, 1_000_000, u64::MAX];

/// What an actor may do.
#[derive(Debug)]
enum Act {
    Bytes(u32),
    /// A number below this one.
    Below(u64),
}

fn acts() -> Vec<Act> {
    let bytes = [0, 1, 2, 16, 17, 1_048_576, 1_048_577, 5_000_001].map(Act::Bytes);
    let ranges = [1, 2, 6, 7, 1_000_000, 1_000_001, u64::MAX].map(Act::Below);
    bytes.into_iter().chain(ranges).collect()
}

fn config(choices: &mut Seeded) -> Value {
    let mut config = Map::new();
    for (key, of) in [("max_bytes", &SIZES[..]), ("max_int", &LARGEST), ("seed", &LARGEST)] {
        let limit = choices.pick(of);
        if !choices.one_in(3) {
            config.insert(key.to_owned(), json!(limit));
        }
    }
    Value::Object(config)
}

/// The rule as specified. A missing limit has the specified default.
fn allows(config: &Value, act: &Act) -> bool {
    match act {
        Act::Bytes(length) => u64::from(*length) <= config["max_bytes"].as_u64().unwrap_or(1_048_576),
        Act::Below(max) => *max <= config["max_int"].as_u64().unwrap_or(u64::MAX),
    }
}

/// [random-14]
#[test]
fn ten_thousand_pairs_allow_exactly_what_both_allow() {
    let (mut allowed, mut count) = (0, 0);
    for pair in pairs(&Random, "random", 1, 10_000, config) {
        assert_eq!(pair.narrowed.get("seed"), pair.requested.get("seed"), "{pair:#?}");
        for act in acts() {
            count += 1;
            allowed += u32::from(pair.exactly(&act, allows));
        }
    }
    assert!(allowed > count / 10 && allowed < count * 2 / 3, "{allowed} of {count}");
}

/// [random-14]
#[test]
fn calls_under_a_hundred_pairs_answer_only_what_both_allow() {
    for pair in pairs(&Random, "random", 2, 100, config) {
        let host = FakeHost::new();
        let dice = block_on(attach::<Random>(&host, "random", pair.narrowed.clone())).unwrap();
        for act in acts() {
            let done: Result<bool, String> = match act {
                Act::Bytes(length) => {
                    let bytes: Result<Bytes, String> = block_on(host.call(&dice, "random-bytes", &(length,))).unwrap();
                    bytes.map(|bytes| bytes.len() == length as usize)
                }
                Act::Below(max) => {
                    let number: Result<u64, String> =
                        block_on(host.call(&dice, "random-range", &(0_u64, max))).unwrap();
                    number.map(|number| number < max)
                }
            };
            assert_eq!(done.as_ref().ok(), pair.both(&act, allows).then_some(&true), "{act:?}: {done:?}, {pair:#?}");
        }
    }
}
