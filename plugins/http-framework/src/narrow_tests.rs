//! `theater-http-listener` narrows the keys for listening, which the pairs of `http-server` test in full. These tests
//! check that this plugin uses it, and its own keys.

use serde_json::{Value, json};
use theater_plugin_api::Plugin;
use theater_plugin_api::testing::{Seeded, pairs};

use crate::HttpFramework;

fn config(choices: &mut Seeded) -> Value {
    let ports: [Value; 4] = [json!(0), json!(7), json!("1024-2000"), json!("1500-3000")];
    json!({
        "bind_hosts": choices.some(&["127.0.0.1", "::1", "0.0.0.0"]), "bind_ports": choices.some(&ports),
        "tls_files": choices.some(&["a.pem", "b.pem"]), "max_connections": choices.below(100),
        "max_websocket_queue_bytes": choices.below(100), "websocket_send_timeout_ms": choices.below(100),
        "max_servers": choices.below(100), "max_routes": choices.below(100),
        "allowed_origins": choices.some(&["http://a", "*"])
    })
}

/// [http-framework-69]
#[test]
fn ten_thousand_pairs_allow_exactly_what_both_allow() {
    let has = |config: &Value, key: &str, item: &str| config[key].as_array().unwrap().contains(&json!(item));
    let mut allowed = 0;
    for pair in pairs(&HttpFramework::default(), "http-framework", 1, 10_000, config) {
        for host in ["127.0.0.1", "::1", "0.0.0.0"] {
            allowed += u32::from(pair.exactly(host, |config, host| has(config, "bind_hosts", host)));
        }
        for file in ["a.pem", "b.pem"] {
            allowed += u32::from(pair.exactly(file, |config, file| has(config, "tls_files", file)));
        }
        for origin in ["http://a", "*"] {
            pair.exactly(origin, |config, origin| has(config, "allowed_origins", origin));
        }
        for key in
            ["max_connections", "max_websocket_queue_bytes", "websocket_send_timeout_ms", "max_servers", "max_routes"]
        {
            pair.exactly(&50_u64, |config, much| config[key].as_u64().unwrap() >= *much);
        }
    }
    assert!(allowed > 10_000, "{allowed}");
    let child = HttpFramework::default().narrow("http-framework", &json!({}), &json!({})).unwrap();
    assert_eq!((&child["bind_hosts"], &child["bind_ports"]), (&json!([]), &json!([])));
    assert_eq!((&child["max_websocket_queue_bytes"], &child["tls_files"]), (&json!(1 << 20), &Value::Null));
}
