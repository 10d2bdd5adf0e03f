//! Random ceilings and configs: a narrowed config allows reading a store, storing a content and creating a store
//! exactly where both allow it.

use serde_json::Map;
use theater_plugin_api::testing::{Seeded, pairs};

use super::*;

const NAMES: [&str; 4] = ["a", "b", "shared-assets", "shared"];
const LIMITS: [u64; 6] = [0, 1, 2, 5, 10, 4 << 30];
const SIZES: [usize; 3] = [1, 4, 7];

/// What an actor may do.
#[derive(Debug)]
enum Act {
    /// Read a store.
    See(&'static str),
    /// Store `size` bytes in a store that holds `held` bytes.
    Put { store: &'static str, held: u64, size: u64 },
    /// Create a store, with this many created already.
    Make(u64),
}

fn config(choices: &mut Seeded) -> Value {
    let mut config = Map::new();
    if !choices.one_in(6) {
        config.insert("stores".to_owned(), json!(choices.some(&NAMES)));
    }
    for key in ["max_bytes", "max_content_bytes", "max_stores"] {
        let limit = choices.pick(&LIMITS);
        if !choices.one_in(3) {
            config.insert(key.to_owned(), json!(limit));
        }
    }
    Value::Object(config)
}

/// The rule as specified. Missing values default as in the schema.
fn allows(config: &Value, act: &Act) -> bool {
    let most = |key: &str, default| config[key].as_u64().unwrap_or(default);
    match act {
        Act::See(store) => config["stores"].as_array().is_some_and(|stores| stores.contains(&json!(store))),
        Act::Put { store, held, size } => {
            let fits = *size <= most("max_content_bytes", 256 << 20) && held + size <= most("max_bytes", 4 << 30);
            fits && allows(config, &Act::See(store))
        }
        Act::Make(made) => *made < most("max_stores", 1_000),
    }
}

fn acts() -> Vec<Act> {
    let put = |store| {
        let sizes = [0, 1, 2, 3, 6, 256 << 20, (256 << 20) + 1];
        let each = move |size| [0, 1, 4 << 30].map(|held| Act::Put { store, held, size });
        sizes.into_iter().flat_map(each).chain([Act::See(store)])
    };
    NAMES.into_iter().flat_map(put).chain([0, 1, 4, 999, 1_000].map(Act::Make)).collect()
}

/// [store-3] [store-16]
#[test]
fn ten_thousand_pairs_allow_exactly_what_both_allow() {
    let world = World::new();
    let (mut allowed, mut count) = (0, 0);
    for pair in pairs(&world.plugin, "store", 1, 10_000, config) {
        for act in acts() {
            count += 1;
            allowed += u32::from(pair.exactly(&act, allows));
        }
    }
    assert!(allowed > count / 50 && allowed < count / 2, "{allowed} of {count}");
}

/// [store-3] [store-16]
#[test]
fn calls_under_a_hundred_pairs_do_only_what_both_allow() {
    let world = World::new();
    for pair in pairs(&world.plugin, "store", 2, 100, config) {
        let actor = world.actor(pair.narrowed.clone());
        for store in NAMES {
            let seen = actor.ask::<u64>("calculate-total-size", &(store,)).is_ok();
            assert_eq!(seen, pair.both(&Act::See(store), allows), "{store} of {pair:#?}");
            let mut held = 0;
            for size in SIZES {
                // No other content of this store has this size, so each counts.
                let act = Act::Put { store, held, size: size as u64 };
                let stored = actor.store(store, &"x".repeat(size));
                assert_eq!(stored.is_ok(), pair.both(&act, allows), "{act:?}: {stored:?}, {pair:#?}");
                held += if stored.is_ok() { size as u64 } else { 0 };
            }
            if held > 0 {
                world.command(&["rm", store]).unwrap();
            }
        }
        for made in 0..3 {
            let answer = actor.ask::<String>("new", &());
            assert_eq!(answer.is_ok(), pair.both(&Act::Make(made), allows), "{made}: {answer:?}, {pair:#?}");
            if answer.is_err() {
                break;
            }
        }
    }
}
