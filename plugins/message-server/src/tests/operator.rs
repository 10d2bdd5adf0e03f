//! Tests of the operator's commands `send` and `request`.

use serde_json::{Value, json};
use theater_plugin_api::abi::{Answer, encoded};
use theater_plugin_api::testing::{Way, block_on};
use theater_plugin_api::{Bytes, Handler, Plugin};

use super::{ALL, Actor, OPEN, Program, REQUEST, SEND, begun, message, no_answer, sent, usual, with_id};

fn command(program: &Program, name: &str, arguments: Value) -> Result<Value, String> {
    block_on(program.plugin.command(name, arguments))
}

fn to(actor: &str, value: Value) -> Value {
    json!({ "actor": actor, "value": value })
}

fn alone(config: Value) -> (Program, Actor) {
    let program = Program::new();
    let [actor] = program.actors([("actor", config)]);
    (program, actor)
}

#[test]
// [msg-50]
fn a_value_is_sent_as_json_in_the_operators_name() {
    // Allow lists do not apply to the operator.
    let (program, actor) = alone(json!({"allow_from": []}));
    for name in ["actor", &actor.id()] {
        assert_eq!(command(&program, "send", to(name, json!({"a": [1, "ä"]}))), Ok(json!({"sent": true})));
        let called = actor.next();
        assert_eq!(sent(&called).as_ref(), "{\"a\":[1,\"ä\"]}".as_bytes());
        assert_eq!((&*called.cause, called.from, called.way), ("operator", None, Way::Post));
    }
    assert_eq!(actor.host.metric("received"), Some(2.0));
}

#[test]
// [msg-50]
fn a_requests_answer_is_given_as_json_or_as_text() {
    let (program, actor) = alone(json!({"allow_from": []}));
    assert_eq!(command(&program, "request", to("actor", json!({"a": 1}))), Ok(json!({"a": 1})));
    let called = actor.next();
    assert_eq!(with_id(&called.params), ("1".to_owned(), "{\"a\":1}".into()));
    assert_eq!((&*called.cause, called.from), ("operator", None));
    for (bytes, shown) in [(&b"plain text"[..], "plain text"), (b"", ""), (b"\xffa", "\u{fffd}a")] {
        actor.host.set_exports(&[REQUEST], move |_, _| encoded(&(Some(Bytes::from(bytes)),)));
        assert_eq!(command(&program, "request", to("actor", json!(1))), Ok(json!(shown)));
    }
}

#[test]
// [msg-10] [msg-12] [msg-17]
fn an_operators_request_is_outstanding_like_any_other() {
    let (program, actor) = alone(json!({}));
    actor.host.set_exports(&ALL, no_answer);
    let asking = begun(program.plugin.command("request", to("actor", json!(1))));
    assert_eq!(actor.respond("1", b"2"), Ok(()));
    assert_eq!(block_on(asking), Ok(json!(2)));
    let asking = begun(program.plugin.command("request", to("actor", json!(1))));
    assert_eq!(actor.cancel("2"), Ok(()));
    assert_eq!(block_on(asking), Err(format!("cancelled by {}", actor.id())));
}

#[test]
// [msg-4] [msg-52]
fn what_a_command_cannot_do_is_err_with_the_reason() {
    let (program, actor) = alone(json!({"schemas": {"handle-send": {"type": "object"}}}));
    for name in ["send", "request"] {
        assert!(command(&program, name, to("nobody", json!(1))).unwrap_err().contains("nobody"));
        let offline = command(&program, name, json!({"args": ["actor"]})).unwrap_err();
        assert_eq!(offline, format!("{name} reaches running actors only: theater run MANIFEST --{name} NAME=JSON"));
        for arguments in [json!({}), json!({"actor": "actor"}), json!({"actor": 1, "value": 1}), json!([]), Value::Null]
        {
            let refused = command(&program, name, arguments).unwrap_err();
            assert!(refused.starts_with(&format!("{name} takes {{\"actor\": ID OR NAME, ")), "{refused}");
        }
        let more = json!({"actor": "actor", "value": 1, "more": 1});
        assert!(command(&program, name, more).unwrap_err().contains("more"));
    }
    assert!(command(&program, "send", to("actor", json!(1))).unwrap_err().contains("does not fit the schema"));
    let unknown = command(&program, "close", to("actor", json!(1))).unwrap_err();
    assert_eq!(unknown, "message-server has no command \"close\": it has send and request");
    assert!(actor.is_idle());
    actor.host.set_exports(&[OPEN], usual);
    for (name, value, function) in [("send", json!({}), "handle-send"), ("request", json!(1), "handle-request")] {
        let refused = command(&program, name, to("actor", value)).unwrap_err();
        assert!(refused.contains(&format!("does not export {function}")), "{refused}");
    }
    actor.host.set_exports(&[REQUEST], |_, _| Answer::error("no"));
    assert!(command(&program, "request", to("actor", json!(1))).unwrap_err().ends_with("answered err: no"));
    block_on(actor.server.stopped());
    let restarting = command(&program, "send", to("actor", json!({}))).unwrap_err();
    assert_eq!(restarting, "actor \"actor\" is being restarted: try again");
}

#[test]
// [msg-6] [msg-7]
fn an_operator_waits_as_long_as_the_receiver_would() {
    let (program, actor) = alone(json!({"send_timeout_ms": 20, "request_timeout_ms": 30}));
    actor.host.fill();
    let full = command(&program, "send", to("actor", json!(1))).unwrap_err();
    assert_eq!(full, "the mailbox of actor \"actor\" (00000000) was still full after 20 ms");
    let late = command(&program, "request", to("actor", json!(1))).unwrap_err();
    assert_eq!(late, "actor \"actor\" (00000000) had not answered after 30 ms");
    assert!(actor.outstanding().is_empty());
    actor.host.make_room();
    assert!(command(&program, "send", to("actor", json!(1))).is_ok());
    assert_eq!(actor.next().export, SEND);
}

#[test]
fn a_command_ends_with_the_program_and_with_the_actor() {
    let (program, actor) = alone(json!({}));
    actor.host.fill();
    let sending = begun(program.plugin.command("send", to("actor", json!(1))));
    let asking = begun(program.plugin.command("request", to("actor", json!(1))));
    program.own.stop();
    let stopped = block_on(sending).unwrap_err();
    assert_eq!(stopped, "the mailbox of actor \"actor\" (00000000) was still full when the program was stopped");
    assert!(block_on(asking).unwrap_err().ends_with("had not answered when the requester was stopped"));
    let (program, actor) = alone(json!({}));
    actor.host.end();
    let gone = command(&program, "send", to("actor", json!(1))).unwrap_err();
    assert!(gone.starts_with("actor \"actor\" (00000000) takes no more calls"), "{gone}");
    assert_eq!(actor.host.metric("received"), None);
}

#[test]
fn an_operators_messages_keep_their_order() {
    let (program, actor) = alone(json!({}));
    for number in 0..10 {
        let name = if number % 2 == 0 { "send" } else { "request" };
        assert!(command(&program, name, to("actor", json!(number))).is_ok());
    }
    for number in 0..10_u8 {
        let called = actor.next();
        let bytes = if called.export == SEND { sent(&called) } else { message(&called.params) };
        assert_eq!(bytes.as_ref(), number.to_string().as_bytes());
    }
}
