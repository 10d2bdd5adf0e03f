//! Random pairs of a ceiling and a config: the narrowed config allows exactly the requests that both allow.

use serde_json::{Map, Value, json};
use theater_plugin_api::testing::{FakeHost, Seeded, pairs};

use crate::HttpClient;
use crate::tests::{Server, exactly, ok, request};

const HOSTS: [&str; 9] = [
    "example.com",
    "*.example.com",
    "a.example.com",
    "*.b.example.com",
    "c.b.example.com:443",
    "example.com:80",
    "127.0.0.1",
    "[::1]:80",
    "*.com:443",
];
const METHODS: [&str; 3] = ["GET", "POST", "PUT"];
const NUMBERS: [(&str, u64); 3] = [("timeout_ms", 30_000), ("max_response_bytes", 16 << 20), ("max_redirects", 5)];

/// An action that a config allows or forbids.
#[derive(Debug)]
enum Act {
    Reach(&'static str, u16),
    Method(&'static str),
    Private,
    Use(&'static str, u64),
}

fn acts() -> Vec<Act> {
    let names = ["example.com", "a.example.com", "b.example.com", "c.b.example.com", "com", "127.0.0.1", "::1"];
    let reach = names.into_iter().flat_map(|name| [Act::Reach(name, 80), Act::Reach(name, 443)]);
    let most = |(key, default): (&'static str, u64)| [1, default, default + 1].map(|much| Act::Use(key, much));
    reach.chain(METHODS.map(Act::Method)).chain([Act::Private]).chain(NUMBERS.into_iter().flat_map(most)).collect()
}

fn config(choices: &mut Seeded) -> Value {
    let mut config = Map::new();
    if !choices.one_in(5) {
        config.insert("allowed_hosts".to_owned(), json!(choices.some(&HOSTS)));
    }
    if !choices.one_in(3) {
        config.insert("allowed_methods".to_owned(), json!(choices.some(&METHODS)));
    }
    if !choices.one_in(3) {
        config.insert("allow_private_addresses".to_owned(), json!(choices.one_in(2)));
    }
    for (key, default) in NUMBERS {
        let number = choices.pick(&[1, default, default + 1]);
        if !choices.one_in(3) {
            config.insert(key.to_owned(), json!(number));
        }
    }
    Value::Object(config)
}

/// The rule of the specification, applied to the JSON.
fn allows(config: &Value, act: &Act) -> bool {
    match act {
        Act::Reach(name, port) => config["allowed_hosts"].as_array().is_some_and(|hosts| {
            hosts.iter().any(|host| {
                let host = host.as_str().unwrap();
                let bare = host.strip_suffix(":80").or_else(|| host.strip_suffix(":443")).unwrap_or(host);
                let named = match bare.strip_prefix('*') {
                    Some(suffix) => name.ends_with(suffix),
                    None => bare.trim_matches(['[', ']']) == *name,
                };
                named && (bare == host || host.ends_with(&format!(":{port}")))
            })
        }),
        Act::Method(method) => {
            config.get("allowed_methods").is_none_or(|list| list.as_array().unwrap().contains(&json!(method)))
        }
        Act::Private => config["allow_private_addresses"] == true,
        Act::Use(key, much) => {
            let default = NUMBERS.iter().find(|(of, _)| of == key).unwrap().1;
            *much <= config.get(key).map_or(default, |most| most.as_u64().unwrap())
        }
    }
}

/// [http-client-30]
#[test]
fn ten_thousand_pairs_allow_exactly_what_both_allow() {
    let plugin = HttpClient { host: FakeHost::new().host() };
    let (mut allowed, mut count) = (0, 0);
    for pair in pairs(&plugin, "http-client", 1, 10_000, config) {
        for act in acts() {
            count += 1;
            allowed += u32::from(pair.exactly(&act, allows));
        }
    }
    assert!(allowed > count / 10 && allowed < count / 2, "{allowed} of {count}");
}

/// [http-client-30] [http-client-5] [http-client-27]
#[test]
fn requests_under_a_thousand_pairs_go_only_where_both_allow() {
    let plugin = HttpClient { host: FakeHost::new().host() };
    let server = Server::start(vec![ok("0123456789"); 3_000]);
    let mut sent = 0;
    for pair in pairs(&plugin, "http-client", 2, 1_000, config) {
        let mut config = pair.narrowed.clone();
        // A busy machine may take longer than a millisecond to answer.
        config["timeout_ms"] = json!(30_000);
        let actor = exactly(config);
        for method in METHODS {
            let answer = actor.send(request(method, &server.url("/")));
            let may =
                [Act::Reach("127.0.0.1", 9), Act::Method(method), Act::Private, Act::Use("max_response_bytes", 10)];
            assert_eq!(
                answer.is_ok(),
                may.iter().all(|act| pair.both(act, allows)),
                "{method}: {answer:?} of {pair:#?}"
            );
            sent += u32::from(answer.is_ok());
        }
    }
    assert!(sent > 20, "{sent}");
}
