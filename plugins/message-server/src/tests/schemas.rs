//! Tests of schemas: a message that does not match is an `err` for the sender; an invalid schema fails the start.

use serde_json::{Value, json};
use theater_plugin_api::testing::FakeHost;

use super::{OPEN, Program, message};
use crate::config::narrow;

/// Returns the start of the `err` for a message to the actor "receiver".
fn unfit(function: &str) -> String {
    format!("the message does not fit the schema of actor \"receiver\" (00000000) for {function}: ")
}

#[test]
// [msg-28] [msg-52]
fn each_function_has_its_own_schema_and_what_does_not_fit_is_err_to_the_sender() {
    let functions = ["handle-send", "handle-request", "handle-channel-open", "handle-channel-message"];
    for function in functions {
        let program = Program::new();
        let config = json!({"schemas": { function: {"type": "object", "required": ["n"]} }});
        let [sender, receiver] = program.actors([("sender", json!({})), ("receiver", config)]);
        let channel = sender.open("receiver", b"{\"n\": 0}").unwrap();
        assert_eq!(receiver.next().export, OPEN);
        let ways = |message: &[u8]| {
            [
                sender.send("receiver", message),
                sender.request("receiver", message).map(drop),
                sender.open("receiver", message).map(drop),
                sender.say(&channel, message),
            ]
        };
        for (name, result) in functions.into_iter().zip(ways(b"{\"m\": 1}")) {
            if name == function {
                let expected = format!("{}\"n\" is a required property", unfit(function));
                assert_eq!(result, Err(expected));
            } else {
                assert_eq!(result, Ok(()));
            }
        }
        for _ in 0..3 {
            let _ = receiver.next();
        }
        assert!(receiver.is_idle() && receiver.outstanding().is_empty(), "the message has not arrived");
        assert_eq!(ways(b" {\"n\": 1} "), [const { Ok(()) }; 4]);
    }
}

#[test]
// [msg-28] [msg-52]
fn what_is_no_json_fits_no_schema() {
    let program = Program::new();
    let config = json!({"schemas": {"handle-request": true}});
    let [sender, receiver] = program.actors([("sender", json!({})), ("receiver", config)]);
    for bytes in [&b""[..], b"hello", b"{", b"1 2", b"\xff", b"\"\xc3\x28\""] {
        let refused = sender.request("receiver", bytes).unwrap_err();
        assert!(refused.starts_with(&format!("{}it is not JSON: ", unfit("handle-request"))), "{refused}");
        assert_eq!(sender.send("receiver", bytes), Ok(()), "handle-send has no schema");
    }
    assert_eq!(sender.request("receiver", b"[1]").unwrap().as_ref(), b"[1]", "the bytes, not the parsed value");
    assert_eq!(receiver.host.metric("received"), Some(7.0));
}

#[test]
// [msg-28]
fn of_several_schemas_all_count_and_the_message_says_where() {
    let program = Program::new();
    let schemas = json!([{"type": "object"}, {"properties": {"list": {"items": {"maximum": 9}}}}]);
    let config = json!({"schemas": {"handle-request": schemas, "handle-send": false, "handle-channel-open": []}});
    let [sender, receiver] = program.actors([("sender", json!({})), ("receiver", config)]);
    let ask = |message: &[u8]| sender.request("receiver", message);
    assert!(ask(b"{\"list\": [1]}").is_ok());
    assert_eq!(ask(b"1").unwrap_err(), format!("{}1 is not of type \"object\"", unfit("handle-request")));
    let at = ask(b"{\"list\": [1, 10]}").unwrap_err();
    assert_eq!(at, format!("{}at /list/1: 10 is greater than the maximum of 9", unfit("handle-request")));
    assert!(sender.send("receiver", b"{}").is_err(), "nothing matches false");
    assert!(sender.open("receiver", b"no JSON").is_ok(), "an empty list requires nothing");
    drop(receiver);
}

#[test]
fn a_long_message_is_not_repeated_in_full() {
    let program = Program::new();
    let config = json!({"schemas": {"handle-send": {"type": "number"}}});
    let [sender, _receiver] = program.actors([("sender", json!({})), ("receiver", config)]);
    let refused =
        |length: usize| sender.send("receiver", json!("ä".repeat(length)).to_string().as_bytes()).unwrap_err();
    let whole = refused(10);
    assert!(whole.ends_with(" is not of type \"number\""), "{whole}");
    let cut = refused(10_000);
    assert_eq!(cut, format!("{}\"{}...", unfit("handle-send"), "ä".repeat(399)));
}

#[test]
// [msg-28] [msg-52]
fn what_is_no_schema_ends_the_start_and_says_where() {
    let program = Program::new();
    let attached = |schemas: Value| program.attached(&FakeHost::new(), json!({ "schemas": schemas })).map(drop);
    for bad in [json!({"type": "texts"}), json!({"$ref": "http://example.com/x.json"}), json!([true, {"type": 1}])] {
        for function in ["handle-send", "handle-request", "handle-channel-open", "handle-channel-message"] {
            let refused = attached(json!({ function: bad })).unwrap_err();
            assert!(refused.starts_with(&format!("schemas.{function} is not a JSON schema: ")), "{refused}");
        }
    }
    let unknown = attached(json!({"handle-everything": true})).unwrap_err();
    assert!(unknown.contains("handle-everything"), "{unknown}");
}

#[test]
// [msg-51]
fn a_childs_schemas_add_to_its_parents() {
    let (above, below) = (json!({"type": "object"}), json!({"required": ["n"]}));
    let schemas = |ceiling: Value, requested: Value| {
        narrow(&json!({ "schemas": ceiling }), &json!({ "schemas": requested })).unwrap()["schemas"].clone()
    };
    let one = |schema: &Value| json!({ "handle-send": schema });
    assert_eq!(schemas(one(&above), one(&below)), json!({"handle-send": [above, below]}));
    assert_eq!(schemas(one(&above), one(&above)), one(&above), "a schema of both appears once");
    let two = json!([above, below]);
    assert_eq!(schemas(one(&above), one(&two)), one(&two));
    assert_eq!(schemas(one(&two), one(&below)), one(&two));
    assert_eq!(schemas(one(&two), json!({})), one(&two));
    assert_eq!(schemas(json!({}), one(&below)), one(&below));
    let different = schemas(one(&above), json!({"handle-request": below}));
    assert_eq!(different, json!({"handle-send": above, "handle-request": below}));
    let with = json!({"schemas": one(&above)});
    for (ceiling, requested) in [(with.clone(), json!({})), (json!({}), with.clone()), (Value::Null, with)] {
        assert_eq!(narrow(&ceiling, &requested).unwrap()["schemas"], one(&above));
    }
    assert_eq!(narrow(&json!({}), &json!({})).unwrap().get("schemas"), None);
    for (ceiling, requested) in [(json!({"schemas": 1}), json!({})), (json!({}), json!({"schemas": []}))] {
        assert_eq!(narrow(&ceiling, &requested), Err("schemas is not an object".to_owned()));
    }
}

#[test]
// [msg-51]
fn what_is_narrowed_is_what_a_message_must_fit() {
    let program = Program::new();
    let part = |schema: Value| json!({"schemas": {"handle-request": schema}});
    let config = narrow(&part(json!({"type": "object"})), &part(json!({"required": ["n"]}))).unwrap();
    let [sender, receiver] = program.actors([("sender", json!({})), ("receiver", config)]);
    assert!(sender.request("receiver", b"1").is_err() && sender.request("receiver", b"{}").is_err());
    assert!(sender.request("receiver", b"{\"n\": 1}").is_ok());
    assert_eq!(message(&receiver.next().params).as_ref(), b"{\"n\": 1}");
}
