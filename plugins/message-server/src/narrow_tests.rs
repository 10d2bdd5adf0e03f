//! Property tests with random ceilings and configs: the narrowed config allows a message, or a timeout, only if both
//! do.
//!
//! Allow lists are narrowed to at most what both allow, not exactly that: a name in one list and the id of the same
//! actor in the other have no common entry. Everything else is exact. The plugin `http-server`, which has the same
//! listening keys, tests those.

use serde_json::{Map, Value, json};
use theater_plugin_api::abi::encoded;
use theater_plugin_api::testing::{FakeHost, Seeded, attach_to, block_on, pairs};
use theater_plugin_api::{Bytes, Handler, Plugin};

use crate::Messages;

const FUNCTIONS: [&str; 4] = ["handle-send", "handle-request", "handle-channel-open", "handle-channel-message"];
const MESSAGES: [&str; 7] = ["{}", r#"{"type": "a"}"#, r#"{"type": 1}"#, "5", "null", "", "not JSON"];
/// The numeric keys with their defaults, from the specification, and for the last two from the schema.
const NUMBERS: [(&str, u64); 4] =
    [("send_timeout_ms", 30_000), ("request_timeout_ms", 30_000), ("max_outstanding", 256), ("max_channels", 1_000)];
/// The maximum time in milliseconds that a test waits for a full mailbox.
const SHORT: u64 = 5;

/// Another actor: its name and its id.
#[derive(Debug, Clone)]
struct Peer(String, String);

/// Something that a config may allow.
#[derive(Debug)]
enum Act<'a> {
    Reach(&'a Peer),
    BeReached(&'a Peer),
    Take { function: &'static str, message: &'static str },
    Use(&'static str, u64),
}

/// Decides whether a message matches a schema.
type Meaning = fn(&Value) -> bool;

/// The schemas of a config, each with a function that decides the same.
fn schemas() -> [(Value, Meaning); 5] {
    [
        (json!({"type": "object"}), Value::is_object),
        (json!({"type": "number"}), Value::is_number),
        (json!({"type": "object", "properties": {"type": {"type": "string"}}, "required": ["type"]}), |message| {
            message["type"].is_string()
        }),
        (json!(true), |_| true),
        (json!(false), |_| false),
    ]
}

fn config(choices: &mut Seeded, peers: &[Peer]) -> Value {
    let names: Vec<_> = peers.iter().map(|Peer(name, _)| name.clone()).collect();
    let mixed: Vec<_> = peers.iter().map(|Peer(name, id)| choices.pick(&[name.clone(), id.clone()])).collect();
    let mut config = Map::new();
    for key in ["allow_from", "allow_to"] {
        if !choices.one_in(3) {
            let entries = if choices.one_in(4) { &mixed } else { &names };
            config.insert(key.to_owned(), json!(choices.some(entries)));
        }
    }
    for (key, default) in NUMBERS {
        let number = choices.pick(&[1, SHORT, default, default + 1, 2 * default]);
        if !choices.one_in(3) {
            config.insert(key.to_owned(), json!(number));
        }
    }
    if choices.one_in(2) {
        let functions = choices.some(&FUNCTIONS);
        let schemas = functions.into_iter().map(|function| (function.to_owned(), schema(choices)));
        config.insert("schemas".to_owned(), Value::Object(schemas.collect()));
    }
    Value::Object(config)
}

/// Returns one schema, or a list of some.
fn schema(choices: &mut Seeded) -> Value {
    let all = schemas().map(|(text, _)| text);
    if choices.one_in(3) { json!(choices.some(&all)) } else { choices.pick(&all) }
}

/// The rule of the specification: a missing list means every actor of this runtime, a missing schema any bytes.
fn allows(config: &Value, act: &Act<'_>) -> bool {
    let on = |key: &str, Peer(name, id): &Peer| {
        config
            .get(key)
            .and_then(Value::as_array)
            .is_none_or(|list| list.contains(&json!(name)) || list.contains(&json!(id)))
    };
    match act {
        Act::Reach(peer) => on("allow_to", peer),
        Act::BeReached(peer) => on("allow_from", peer),
        Act::Take { function, message } => match &config["schemas"][function] {
            Value::Null => true,
            Value::Array(all) => all.iter().all(|schema| fits(schema, message)),
            schema => fits(schema, message),
        },
        Act::Use(key, much) => {
            let default = NUMBERS.iter().find(|(of, _)| of == key).unwrap().1;
            *much <= config[key].as_u64().unwrap_or(default)
        }
    }
}

fn fits(schema: &Value, message: &str) -> bool {
    let known = schemas();
    let (_, meaning) = known.iter().find(|(text, _)| text == schema).unwrap();
    serde_json::from_str(message).is_ok_and(|message| meaning(&message))
}

#[test]
fn ten_thousand_pairs_allow_no_more_than_both_allow() {
    let peers = ["pong", "bank", "broker"].map(|name| Peer(name.to_owned(), format!("id of {name}")));
    let own = FakeHost::new();
    let plugin = Messages::init(own.host()).unwrap();
    let (mut reached, mut both, mut took) = (0, 0, 0);
    for pair in pairs(&plugin, "message-server", 1, 10_000, |choices| config(choices, &peers)) {
        for act in peers.iter().flat_map(|peer| [Act::Reach(peer), Act::BeReached(peer)]) {
            both += u32::from(pair.both(&act, allows));
            reached += u32::from(pair.at_most(&act, allows));
        }
        for function in FUNCTIONS {
            for message in MESSAGES {
                took += u32::from(pair.exactly(&Act::Take { function, message }, allows));
            }
        }
        for (key, default) in NUMBERS {
            for much in [1, 2, SHORT, SHORT + 1, default, default + 1] {
                pair.exactly(&Act::Use(key, much), allows);
            }
        }
    }
    assert!(reached > both * 4 / 5 && both > 10_000 && took > 100_000, "{reached} of {both}; {took}");
}

/// A plugin with actors that know each other; the first one has the config under test.
struct World {
    own: FakeHost,
    plugin: Messages,
    hosts: Vec<FakeHost>,
    peers: Vec<Peer>,
}

impl World {
    fn new() -> Self {
        let own = FakeHost::new();
        let plugin = Messages::init(own.host()).unwrap();
        let hosts: Vec<_> = ["ping", "pong", "bank"]
            .map(|name| {
                let host = FakeHost::new();
                host.set_name(name);
                host.set_exports(&[0, 1, 2, 3, 4, 5], |_, _| encoded(&()));
                host
            })
            .into();
        let peer = |host: &FakeHost| Peer(host.host().whose().unwrap().name, host.actor());
        let peers = hosts.iter().map(peer).collect();
        let world = Self { own, plugin, hosts, peers };
        let ids: Vec<_> = world.peers.iter().map(|Peer(_, id)| id.as_str()).collect();
        for host in world.hosts.iter().chain([&world.own]) {
            host.set_living(&ids);
            for Peer(name, id) in &world.peers {
                host.set_named(name, id);
            }
        }
        world
    }
}

#[test]
fn messages_under_a_hundred_pairs_pass_only_where_both_allow() {
    let (mut passed, mut waited) = (0, 0);
    for seed in 0..100 {
        let world = World::new();
        let peers = &world.peers[1..];
        let pair = pairs(&world.plugin, "message-server", seed, 1, |choices| config(choices, peers)).next().unwrap();
        let servers: Vec<_> = world
            .hosts
            .iter()
            .enumerate()
            .map(|(number, host)| {
                let config = if number == 0 { pair.narrowed.clone() } else { json!({}) };
                let server = block_on(attach_to(&world.plugin, host, "message-server", config)).unwrap();
                block_on(server.started(false)).unwrap();
                server
            })
            .collect();
        let send = |from: usize, to: usize, message: &str| -> Result<(), String> {
            let arguments = (&world.peers[to].0, Bytes::from(message));
            block_on(world.hosts[from].call(&servers[from], "send", &arguments)).unwrap()
        };
        for (number, peer) in world.peers.iter().enumerate().skip(1) {
            // The narrowed list decides: a name and an id of the same actor have no common entry.
            let reach = pair.at_most(&Act::Reach(peer), allows);
            let sent = send(0, number, "anything");
            assert_eq!(sent.is_ok(), reach, "to {peer:?}: {sent:?}, {pair:#?}");
            let reached = pair.at_most(&Act::BeReached(peer), allows);
            for message in MESSAGES {
                let act = Act::Take { function: "handle-send", message };
                let sent = send(number, 0, message);
                assert_eq!(sent.is_ok(), reached && pair.both(&act, allows), "{peer:?}: {sent:?}, {pair:#?}");
                passed += u32::from(sent.is_ok());
            }
            let limit = pair.narrowed["send_timeout_ms"].as_u64().unwrap_or(30_000);
            if reach && limit <= SHORT {
                world.hosts[number].fill();
                let error = send(0, number, "anything").unwrap_err();
                world.hosts[number].make_room();
                assert!(error.contains(&format!("after {limit} ms")), "{error}");
                assert!(pair.both(&Act::Use("send_timeout_ms", limit), allows), "{pair:#?}");
                waited += 1;
            }
        }
    }
    assert!(passed > 100 && waited > 10, "{passed} {waited}");
}
