//! Random ceilings and configs: a narrowed config allows a wait exactly where both allow it.

use serde_json::{Map, Value, json};
use theater_plugin_api::testing::{FakeHost, Seeded, attach, block_on, pairs};

use crate::Timing;

const LIMITS: [u64; 8] = [0, 1, 2, 5, 10, 1_000, 3_600_000, u64::MAX];
/// Waits at the limits and next to them.
const WAITS: [u64; 12] = [0, 1, 2, 3, 5, 6, 10, 11, 1_001, 3_600_000, 3_600_001, u64::MAX];
/// The longest wait that a test performs in full.
const SHORT: u64 = 11;

fn config(choices: &mut Seeded) -> Value {
    let mut config = Map::new();
    for (key, of) in [("max_sleep_duration", &LIMITS[2..]), ("min_sleep_duration", &LIMITS[..6])] {
        let limit = choices.pick(of);
        if !choices.one_in(3) {
            config.insert(key.to_owned(), json!(limit));
        }
    }
    Value::Object(config)
}

/// Whether a config allows a wait of `ms` milliseconds. A missing limit has the specified default.
fn allows(config: &Value, ms: &u64) -> bool {
    let limit = |key: &str, default| config[key].as_u64().unwrap_or(default);
    (limit("min_sleep_duration", 0)..=limit("max_sleep_duration", 3_600_000)).contains(ms)
}

/// [timing-10]
#[test]
fn ten_thousand_pairs_allow_exactly_what_both_allow() {
    let (mut allowed, mut acts) = (0, 0);
    for pair in pairs(&Timing, "timing", 1, 10_000, config) {
        for wait in WAITS {
            acts += 1;
            allowed += u32::from(pair.exactly(&wait, allows));
        }
    }
    assert!(allowed > acts / 20 && allowed < acts / 2, "{allowed} of {acts}");
}

/// [timing-10]
#[test]
fn calls_under_a_hundred_pairs_wait_only_as_long_as_both_allow() {
    for pair in pairs(&Timing, "timing", 2, 100, config) {
        // An allowed long wait is interrupted at once, because the actor `stopping` is being stopped.
        let (host, stopping) = (FakeHost::new(), FakeHost::new());
        stopping.stop();
        let attached = |host| block_on(attach::<Timing>(host, "timing", pair.narrowed.clone()));
        let (Ok(clock), Ok(stopped)) = (attached(&host), attached(&stopping)) else {
            // A maximum below the minimum fails the start.
            assert!(!WAITS.iter().any(|wait| pair.both(wait, allows)), "{pair:#?}");
            continue;
        };
        for wait in WAITS {
            let (host, clock) = if wait <= SHORT { (&host, &clock) } else { (&stopping, &stopped) };
            let done: Result<(), String> = block_on(host.call(clock, "sleep", &(wait,))).unwrap();
            let went = match &done {
                Ok(()) => wait <= SHORT,
                Err(sentence) => sentence.contains("interrupted"),
            };
            assert_eq!(went, pair.both(&wait, allows), "{wait} ms: {done:?}, {pair:#?}");
        }
    }
}
