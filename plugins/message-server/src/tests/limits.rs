//! Tests of the config: its defaults, its narrowing, and invalid configs.

use serde_json::{Value, json};
use theater_plugin_api::testing::FakeHost;

use super::Program;
use crate::config::{Config, narrow};

const LIMITS: [&str; 3] = ["send_timeout_ms", "request_timeout_ms", "max_outstanding"];

fn schema() -> Value {
    serde_json::from_str(include_str!("../../config.schema.json")).unwrap()
}

#[test]
// [msg-6] [msg-7]
fn the_limits_that_a_config_does_not_have_are_those_of_the_schema() {
    let config: Config = serde_json::from_value(json!({})).unwrap();
    assert_eq!((config.limits.send_timeout_ms, config.limits.request_timeout_ms), (30_000, 30_000));
    assert_eq!(config.limits.max_outstanding, 256);
    let narrowed = narrow(&json!({}), &json!({})).unwrap();
    let schema = schema();
    for (key, expected) in LIMITS.into_iter().zip([30_000, 30_000, 256]) {
        assert_eq!((&schema["properties"][key]["default"], &narrowed[key]), (&json!(expected), &json!(expected)));
    }
}

#[test]
// [msg-51]
fn a_childs_limits_are_the_smaller_ones() {
    for key in LIMITS {
        for (above, below, left) in [(1, 2, 1), (2, 1, 1)] {
            assert_eq!(narrow(&json!({ key: above }), &json!({ key: below })).unwrap()[key], left);
        }
        assert_eq!(narrow(&json!({ key: 9 }), &json!({})).unwrap()[key], 9, "the default is larger");
        assert_eq!(narrow(&json!({}), &json!({ key: 9 })).unwrap()[key], 9);
        assert!(narrow(&json!({ key: "x" }), &json!({})).unwrap_err().contains(key));
    }
}

#[test]
// [msg-51] [msg-53]
fn a_childs_port_may_be_bound_only_where_its_parents_may() {
    let ceiling = json!({"bind_hosts": ["127.0.0.1"], "bind_ports": ["8000-8999"]});
    let narrowed = narrow(&ceiling, &json!({"host": "::1", "port": 9000})).unwrap();
    assert_eq!((&narrowed["host"], &narrowed["port"]), (&json!("::1"), &json!(9000)));
    assert_eq!((&narrowed["bind_hosts"], &narrowed["bind_ports"]), (&json!(["127.0.0.1"]), &json!(["8000-8999"])));
    let program = Program::new();
    let refused = program.attached(&FakeHost::new(), narrowed).err().unwrap();
    assert!(refused.contains("bind_hosts"), "{refused}");
    let none = narrow(&json!({}), &json!({})).unwrap();
    assert_eq!((&none["bind_hosts"], &none["bind_ports"]), (&json!([]), &json!([])));
}

#[test]
// [msg-51]
fn a_plugin_narrows_by_these_rules() {
    use theater_plugin_api::Plugin;
    let program = Program::new();
    let (ceiling, requested) = (json!({"allow_to": ["a"], "send_timeout_ms": 5}), json!({"allow_to": ["a", "b"]}));
    let narrowed = program.plugin.narrow("message-server", &ceiling, &requested);
    assert_eq!(narrowed, narrow(&ceiling, &requested));
    assert_eq!(narrowed.unwrap()["allow_to"], json!(["a"]));
}

#[test]
// [msg-52]
fn a_config_that_is_none_ends_the_start_and_says_what_about_it() {
    let program = Program::new();
    let checked = jsonschema::validator_for(&schema()).unwrap();
    for (config, what) in [
        (json!({"allow_from": "a"}), "a sequence"),
        (json!({"allow_to": [1]}), "a string"),
        (json!({"send_timeout_ms": -1}), "u64"),
        (json!({"request_timeout_ms": "long"}), "u64"),
        (json!({"max_outstanding": 1.5}), "usize"),
        (json!({"schemas": 1}), "an object with a schema"),
        (json!({"schemas": {"handle-nothing": true}}), "handle-nothing"),
        (json!({"port": 65_536}), "u16"),
    ] {
        let refused = program.attached(&FakeHost::new(), config.clone()).err();
        assert!(refused.as_ref().is_some_and(|sentence| sentence.contains(what)), "{config}: {refused:?}");
        assert!(!checked.is_valid(&config), "{config}");
    }
    let full = json!({
        "allow_from": ["a"], "allow_to": [], "send_timeout_ms": 0, "request_timeout_ms": 0, "max_outstanding": 1,
        "schemas": {"handle-send": {}, "handle-request": [true], "handle-channel-open": false},
        "host": "::1", "port": 0, "bind_hosts": ["::1"], "bind_ports": [0, "1-2"],
    });
    assert!(checked.is_valid(&full) && program.attached(&FakeHost::new(), full).is_ok());
    assert!(!checked.is_valid(&json!({"allowed_from": []})), "an unknown key");
}
