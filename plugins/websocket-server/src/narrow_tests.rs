//! `theater-http-listener` narrows the keys for listening, which the pairs of `http-server` test in full. These tests
//! check that this plugin uses it.

use serde_json::{Value, json};
use theater_plugin_api::Plugin;
use theater_plugin_api::testing::{Seeded, pairs};

use crate::WebsocketServer;

fn config(choices: &mut Seeded) -> Value {
    let ports: [Value; 4] = [json!(0), json!(7), json!("1024-2000"), json!("1500-3000")];
    json!({
        "bind_hosts": choices.some(&["127.0.0.1", "::1", "0.0.0.0"]), "bind_ports": choices.some(&ports),
        "tls_files": choices.some(&["a.pem", "b.pem"]), "max_body_bytes": choices.below(100), "path": "/a"
    })
}

/// [websocket-server-27]
#[test]
fn ten_thousand_pairs_allow_exactly_what_both_allow() {
    let list = |config: &Value, key: &str| config[key].as_array().cloned().unwrap_or_default();
    let port = |config: &Value, port: u64| {
        list(config, "bind_ports").iter().any(|one| {
            let text = one.to_string().replace('"', "");
            let (low, high) = text.split_once('-').unwrap_or((&text, &text));
            (low.parse().unwrap()..=high.parse().unwrap()).contains(&port)
        })
    };
    let mut allowed = 0;
    for pair in pairs(&WebsocketServer::default(), "websocket-server", 1, 10_000, config) {
        for host in ["127.0.0.1", "::1", "0.0.0.0"] {
            allowed += u32::from(pair.exactly(host, |config, host| list(config, "bind_hosts").contains(&json!(host))));
        }
        for wanted in [0, 7, 1024, 1500, 2000, 2001, 3000] {
            allowed += u32::from(pair.exactly(&wanted, |config, wanted| port(config, *wanted)));
        }
        for file in ["a.pem", "b.pem"] {
            pair.exactly(file, |config, file| list(config, "tls_files").contains(&json!(file)));
        }
        pair.exactly(&50_u64, |config, much| config["max_body_bytes"].as_u64().unwrap() >= *much);
    }
    assert!(allowed > 10_000, "{allowed}");
    let child = WebsocketServer::default().narrow("websocket-server", &json!({}), &json!({ "path": "/b" })).unwrap();
    assert_eq!((&child["bind_ports"], &child["path"]), (&json!([]), &json!("/b")));
}
