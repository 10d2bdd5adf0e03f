//! Random pairs of a ceiling and a config: the narrowed config lets an actor bind an address, read a file and take a
//! request exactly if both allow it. Tests the keys that all listening handlers share, and `max_queue`.

use std::net::IpAddr;

use serde_json::{Map, Value, json};
use theater_plugin_api::abi::encoded;
use theater_plugin_api::testing::{FakeHost, Pair, Seeded, attach, block_on, pairs};
use theater_plugin_api::{Bytes, Handler};

use crate::HttpServer;
use crate::theater::simple::http_types::HttpResponse;

const HOSTS: [&str; 7] = ["127.0.0.1", "::1", "localhost", "[::1]", "0:0:0:0:0:0:0:1", "0.0.0.0", "192.0.2.1"];
/// No program uses the low ports, and the system assigns no port above 61000 by itself.
const PORTS: [u16; 6] = [0, 7, 1_023, 1_024, 61_093, 65_535];
const FILES: [&str; 3] = ["cert.pem", "key.pem", "other.pem"];
/// The numeric keys with their defaults from the specification or, if it has none, from the schema.
const NUMBERS: [(&str, u64); 7] = [
    ("max_body_bytes", 16 << 20),
    ("max_header_bytes", 65_536),
    ("max_headers", 128),
    ("read_timeout_ms", 30_000),
    ("max_connections", 1_024),
    ("shutdown_grace_ms", 5_000),
    ("max_queue", 256),
];

/// An action that a config allows or forbids.
#[derive(Debug)]
enum Act {
    Bind(&'static str, u16),
    ReadFile(&'static str),
    /// Use this much of what the key limits.
    Use(&'static str, u64),
}

fn acts() -> Vec<Act> {
    let bind = |host| PORTS.map(|port| Act::Bind(host, port));
    let most = |(key, default): (&'static str, u64)| [1, 300, default, default + 1].map(|much| Act::Use(key, much));
    let binds = ["127.0.0.1", "::1", "0.0.0.0", "192.0.2.1"].into_iter().flat_map(bind);
    binds.chain(FILES.map(Act::ReadFile)).chain(NUMBERS.into_iter().flat_map(most)).collect()
}

fn config(choices: &mut Seeded) -> Value {
    let ports: [Value; 9] = [
        json!(0),
        json!(7),
        json!(61_093),
        json!("1-1023"),
        json!("1000-2000"),
        json!("1024-65535"),
        json!("0-65535"),
        json!("61093"),
        json!("61000-61100"),
    ];
    let mut config = Map::new();
    let lists = [("bind_hosts", json!(choices.some(&HOSTS))), ("bind_ports", json!(choices.some(&ports)))];
    for (key, list) in lists.into_iter().chain([("tls_files", json!(choices.some(&FILES)))]) {
        if !choices.one_in(4) {
            config.insert(key.to_owned(), list);
        }
    }
    for (key, default) in NUMBERS {
        let number = choices.pick(&[256, 300, default, default + 1, 2 * default]);
        if !choices.one_in(3) {
            config.insert(key.to_owned(), json!(number));
        }
    }
    Value::Object(config)
}

/// Returns the pair with the missing lists of the ceiling written out: a list that is missing in a ceiling allows
/// nothing, but one that is missing in a config has its default.
fn in_full(mut pair: Pair) -> Pair {
    if let Some(ceiling) = pair.ceiling.as_object_mut() {
        for key in ["bind_hosts", "bind_ports"] {
            ceiling.entry(key).or_insert(json!([]));
        }
    }
    pair
}

/// The rule of the specification.
fn allows(config: &Value, act: &Act) -> bool {
    let list = |key: &str, default: Value| config.get(key).cloned().unwrap_or(default).as_array().unwrap().clone();
    match act {
        Act::Bind(host, port) => {
            let hosts = list("bind_hosts", json!(["127.0.0.1", "::1"]));
            let ports = list("bind_ports", json!([0, "1024-65535"]));
            let host: IpAddr = host.parse().unwrap();
            hosts.iter().any(|one| address(one.as_str().unwrap()) == host) && ports.iter().any(|one| covers(one, *port))
        }
        Act::ReadFile(file) => list("tls_files", json!([])).contains(&json!(file)),
        Act::Use(key, much) => {
            let default = NUMBERS.iter().find(|(of, _)| of == key).unwrap().1;
            *much <= config.get(key).map_or(default, |most| most.as_u64().unwrap())
        }
    }
}

fn address(text: &str) -> IpAddr {
    match text {
        "localhost" => "127.0.0.1",
        "[::1]" => "::1",
        other => other,
    }
    .parse()
    .unwrap()
}

fn covers(ports: &Value, port: u16) -> bool {
    let text = ports.to_string().replace('"', "");
    let (low, high) = text.split_once('-').unwrap_or((&text, &text));
    (low.parse().unwrap()..=high.parse().unwrap()).contains(&port)
}

/// [http-server-24]
#[test]
fn ten_thousand_pairs_allow_exactly_what_both_allow() {
    let (mut allowed, mut count) = (0, 0);
    for pair in pairs(&HttpServer, "http-server", 1, 10_000, config).map(in_full) {
        for act in acts() {
            count += 1;
            allowed += u32::from(pair.exactly(&act, allows));
        }
    }
    assert!(allowed > count / 10 && allowed < count / 2, "{allowed} of {count}");
}

/// [http-server-24] [http-server-8] [http-server-18] [http-server-19]
#[test]
fn servers_under_a_hundred_pairs_bind_and_take_only_what_both_allow() {
    let mut served = 0;
    for pair in pairs(&HttpServer, "http-server", 2, 100, config).map(in_full) {
        let binds = acts().into_iter().filter(|act| matches!(act, Act::Bind(..)));
        for act in binds {
            let Act::Bind(host, port) = act else { continue };
            let mut config = pair.narrowed.clone();
            config["host"] = json!(host);
            config["port"] = json!(port);
            let fake = FakeHost::new();
            fake.set_exports(&[0], |_, _| {
                encoded(&(HttpResponse { status: 200, headers: Vec::new(), body: None::<Bytes> },))
            });
            let attached = block_on(attach::<HttpServer>(&fake, "http-server", config));
            // The machine may not have an address that is allowed.
            let refused = attached.as_ref().err().is_some_and(|sentence| sentence.contains("is not allowed"));
            assert_eq!(!refused, pair.both(&act, allows), "{act:?}: {:?}, {pair:#?}", attached.err());
            if let (Ok(server), "127.0.0.1", 0) = (&attached, host, port) {
                let url = block_on(server.started(false)).unwrap().remove(0);
                for bytes in [1, 300, 301] {
                    let taken = pair.both(&Act::Use("max_body_bytes", bytes), allows);
                    assert_eq!(status(&url, bytes), if taken { "200" } else { "413" }, "{bytes} bytes of {pair:#?}");
                }
                served += 1;
            }
        }
    }
    assert!(served > 10, "{served}");
}

/// Sends a request with a body of `bytes` bytes, and returns the status of the response.
fn status(url: &str, bytes: u64) -> String {
    let head = format!("POST / HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: {bytes}\r\n\r\n");
    let answer = crate::tests::ask_at(url, &(head + &"x".repeat(bytes as usize)));
    answer.split(' ').nth(1).unwrap_or_default().to_owned()
}
