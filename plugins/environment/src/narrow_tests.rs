//! Random ceilings and configs: a narrowed config allows reading or listing a variable exactly where both allow it.

use serde_json::{Map, Value, json};
use theater_plugin_api::testing::{FakeHost, Seeded, attach, block_on, pairs};

use crate::Environment;

/// Variables that every run of Cargo sets, and one that is never set.
const NAMES: [&str; 6] = ["CARGO", "CARGO_PKG_NAME", "CARGO_PKG_VERSION", "CARGO_MANIFEST_DIR", "PATH", "X_UNSET"];
const PREFIXES: [&str; 7] = ["", "C", "CARGO", "CARGO_", "CARGO_PKG_", "CARGO_PKG_NAME_", "P"];

/// What an actor may do.
#[derive(Debug)]
enum Act {
    Read(&'static str),
    List,
}

fn config(choices: &mut Seeded) -> Value {
    let mut config = Map::new();
    for (key, of) in [("allowed_vars", &NAMES[..]), ("allowed_prefixes", &PREFIXES), ("denied_vars", &NAMES)] {
        // Only a few, so that the intersection is often not empty and seldom everything.
        let items = if choices.one_in(2) { choices.some(of) } else { vec![choices.pick(of)] };
        if !choices.one_in(4) {
            config.insert(key.to_owned(), json!(items));
        }
    }
    if !choices.one_in(4) {
        config.insert("allow_list_all".to_owned(), json!(choices.one_in(2)));
    }
    Value::Object(config)
}

/// The rule as specified, evaluated on the JSON.
fn allows(config: &Value, act: &Act) -> bool {
    let list = |key: &str| config[key].as_array().cloned().unwrap_or_default();
    match act {
        Act::List => config["allow_list_all"] == true,
        Act::Read(name) => {
            let starts = |prefix: &Value| name.starts_with(prefix.as_str().unwrap());
            let allowed = list("allowed_vars").contains(&json!(name)) || list("allowed_prefixes").iter().any(starts);
            allowed && !list("denied_vars").contains(&json!(name))
        }
    }
}

/// [environment-10]
#[test]
fn ten_thousand_pairs_allow_exactly_what_both_allow() {
    let (mut allowed, mut acts) = (0, 0);
    for pair in pairs(&Environment, "environment", 1, 10_000, config) {
        for act in NAMES.map(Act::Read).into_iter().chain([Act::List]) {
            acts += 1;
            allowed += u32::from(pair.exactly(&act, allows));
        }
    }
    assert!(allowed > acts / 20 && allowed < acts / 2, "{allowed} of {acts}");
}

/// [environment-10] [environment-3] [environment-5]
#[test]
fn calls_under_a_hundred_pairs_answer_only_what_both_allow() {
    for pair in pairs(&Environment, "environment", 2, 100, config) {
        let host = FakeHost::new();
        let variables = block_on(attach::<Environment>(&host, "environment", pair.narrowed.clone())).unwrap();
        let there = |name: &str| std::env::var(name).ok().filter(|_| name != "X_UNSET");
        let mut readable = Vec::new();
        for name in NAMES {
            let expected = there(name).filter(|_| pair.both(&Act::Read(name), allows));
            let value: Option<String> = block_on(host.call(&variables, "get-var", &(name,))).unwrap();
            let exists: bool = block_on(host.call(&variables, "exists", &(name,))).unwrap();
            assert_eq!((&value, exists), (&expected, expected.is_some()), "{name} of {pair:#?}");
            readable.extend(value.map(|value| (name.to_owned(), value)));
        }
        let mut listed: Vec<(String, String)> = block_on(host.call(&variables, "list-vars", &())).unwrap();
        listed.retain(|(name, _)| NAMES.contains(&name.as_str()));
        readable.sort();
        let expected = if pair.both(&Act::List, allows) { readable } else { Vec::new() };
        assert_eq!(listed, expected, "{pair:#?}");
    }
}
