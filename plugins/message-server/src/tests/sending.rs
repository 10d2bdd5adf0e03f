//! Tests of `send`: what arrives, and what prevents it.

use std::time::{Duration, Instant};

use serde_json::json;
use theater_plugin_api::encoding;
use theater_plugin_api::testing::{FakeHost, Way, block_on};

use super::{ALL, ANY_BYTES, MESSAGE, OPEN, Program, REQUEST, SEND, begun, message, sent, usual};

#[test]
// [msg-1]
fn what_one_actor_sends_arrives_in_its_order_whatever_it_is() {
    let program = Program::new();
    let [one, other, receiver] = program.actors(["one", "other", "receiver"].map(|name| (name, json!({}))));
    let channel = one.open("receiver", b"").unwrap();
    assert_eq!(receiver.next().export, OPEN);
    for number in 0..50_u8 {
        for (sender, text) in [(&one, [1, number]), (&other, [2, number])] {
            match number % 3 {
                0 => assert_eq!(sender.send("receiver", &text), Ok(())),
                1 => assert_eq!(sender.request("receiver", &text).unwrap().as_ref(), text),
                _ if sender.id() == one.id() => assert_eq!(sender.say(&channel, &text), Ok(())),
                _ => assert_eq!(sender.send(&receiver.id(), &text), Ok(())),
            }
        }
    }
    for number in 0..50_u8 {
        for which in [1, 2] {
            let called = receiver.next();
            let bytes = if called.export == SEND { sent(&called) } else { message(&called.params) };
            assert_eq!(bytes.as_ref(), [which, number]);
        }
    }
    assert!(receiver.is_idle());
}

#[test]
// [msg-2] [msg-38] [msg-50]
fn a_message_arrives_as_it_is_and_says_who_sent_it() {
    let program = Program::new();
    let [sender, receiver] = program.actors([("sender", json!({})), ("receiver", json!({}))]);
    for bytes in ANY_BYTES {
        assert_eq!(sender.send("receiver", bytes), Ok(()));
        let called = receiver.next();
        assert_eq!(sent(&called).as_ref(), bytes);
        assert_eq!(called.from, Some(sender.id()));
        assert_eq!(called.cause, "message from \"sender\" (00000000)");
        let ended = Err::<(), _>("actor \"receiver\" (00000000) has ended");
        assert_eq!(called.way, Way::Staged(encoding::encode(&ended).unwrap()));
    }
    let count = ANY_BYTES.len() as f64;
    assert_eq!((sender.host.metric("sent"), receiver.host.metric("received")), (Some(count), Some(count)));
    assert_eq!((sender.host.metric("received"), receiver.host.metric("sent")), (None, None));
}

#[test]
fn an_actor_may_send_to_itself() {
    let program = Program::new();
    let [actor] = program.actors([("actor", json!({}))]);
    assert_eq!(actor.send(&actor.id(), b"note"), Ok(()));
    assert_eq!(sent(&actor.next()).as_ref(), b"note");
}

#[test]
// [msg-4] [msg-52]
fn a_message_to_nobody_is_err_that_names_whom_it_was_for() {
    let program = Program::new();
    let [sender, receiver] = program.actors([("sender", json!({})), ("receiver", json!({}))]);
    receiver.end();
    program.acquaint(&[&sender.host]);
    for nobody in ["nobody", "", &receiver.id(), "receive"] {
        let expected = format!("{nobody:?}");
        assert!(sender.send(nobody, b"").unwrap_err().contains(&expected));
        assert!(sender.request(nobody, b"").unwrap_err().contains(&expected));
        assert!(sender.open(nobody, b"").unwrap_err().contains(&expected));
    }
    assert_eq!(sender.host.metric("sent"), None);
}

#[test]
// [msg-5] [msg-52]
fn a_message_to_an_actor_without_the_handler_is_err_that_says_how_to_have_it() {
    let program = Program::new();
    let [sender] = program.actors([("sender", json!({}))]);
    let (without, not_yet) = (FakeHost::new(), FakeHost::new());
    without.set_name("without");
    not_yet.set_name("not yet");
    let _attached = program.attached(&not_yet, json!({})).unwrap();
    program.acquaint(&[&sender.host, &without, &not_yet]);
    for name in ["without", "not yet"] {
        let refused = [
            sender.send(name, b"").unwrap_err(),
            sender.request(name, b"").unwrap_err(),
            sender.open(name, b"").unwrap_err(),
        ];
        for sentence in refused {
            assert!(sentence.contains(name) && sentence.contains("type = \"message-server\""), "{sentence}");
        }
    }
}

#[test]
// [msg-40]
fn a_function_that_the_receiver_does_not_export_is_err_for_the_sender() {
    let program = Program::new();
    let [sender, receiver] = program.actors([("sender", json!({})), ("receiver", json!({}))]);
    let channel = sender.open("receiver", b"").unwrap();
    for missing in ALL {
        let left: Vec<_> = ALL.into_iter().filter(|export| *export != missing).collect();
        receiver.host.set_exports(&left, usual);
        for (export, function, result) in [
            (SEND, "handle-send", sender.send("receiver", b"")),
            (REQUEST, "handle-request", sender.request("receiver", b"").map(drop)),
            (OPEN, "handle-channel-open", sender.open("receiver", b"").map(drop)),
            (MESSAGE, "handle-channel-message", sender.say(&channel, b"")),
        ] {
            let lacks = format!(
                "actor \"receiver\" (00000000) does not export {function} of theater:simple/message-server-client"
            );
            assert_eq!(result, if export == missing { Err(lacks) } else { Ok(()) });
        }
    }
    receiver.host.set_exports(&[], usual);
    assert!(sender.send("receiver", b"").unwrap_err().contains("does not export"));
    assert!(receiver.outstanding().is_empty());
}

#[test]
// [msg-6] [msg-41]
fn a_full_mailbox_is_waited_for_and_the_wait_is_an_edge() {
    let program = Program::new();
    let [sender, receiver] = program.actors([("sender", json!({})), ("receiver", json!({}))]);
    assert_eq!(sender.send("receiver", b"1"), Ok(()));
    receiver.host.fill();
    let sending = begun(sender.sends("receiver", b"2"));
    assert_eq!(sender.host.waits(), [receiver.id()]);
    assert_eq!(sender.host.metric("sent"), Some(1.0), "it is not accepted yet");
    receiver.host.make_room();
    assert_eq!(block_on(sending), Ok(()));
    assert!(sender.host.waits().is_empty());
    assert_eq!((sent(&receiver.next()).as_ref(), sent(&receiver.next()).as_ref()), (&b"1"[..], &b"2"[..]));
}

#[test]
// [msg-6]
fn a_mailbox_that_stays_full_is_err_after_the_limit_and_nothing_is_left_of_the_message() {
    let program = Program::new();
    let [sender, receiver] = program.actors([("sender", json!({"send_timeout_ms": 30})), ("receiver", json!({}))]);
    receiver.host.fill();
    let before = Instant::now();
    let refused = sender.send("receiver", b"1").unwrap_err();
    assert_eq!(refused, "the mailbox of actor \"receiver\" (00000000) was still full after 30 ms");
    assert!(before.elapsed() >= Duration::from_millis(30));
    assert!(sender.host.waits().is_empty());
    receiver.host.make_room();
    assert_eq!(sender.send("receiver", b"2"), Ok(()));
    assert_eq!(sent(&receiver.next()).as_ref(), b"2");
}

#[test]
fn a_wait_for_room_ends_with_the_sender_and_with_the_receiver() {
    let program = Program::new();
    let all = ["sender", "receiver", "other"].map(|name| (name, json!({})));
    let [sender, receiver, other] = program.actors(all);
    receiver.host.fill();
    let (sending, another) = (begun(sender.sends("receiver", b"")), begun(other.sends("receiver", b"")));
    sender.host.stop();
    let stopped = block_on(sending).unwrap_err();
    assert!(stopped.contains("was still full when actor \"sender\" (00000000) was stopped"), "{stopped}");
    receiver.host.end();
    let ended = block_on(another).unwrap_err();
    assert!(ended.starts_with("actor \"receiver\" (00000000) takes no more calls"), "{ended}");
    assert_eq!(receiver.host.metric("received"), None);
}

#[test]
// [msg-44]
fn a_wait_that_the_core_refuses_is_err_at_once_and_brings_nothing() {
    let program = Program::new();
    let [sender, receiver] = program.actors([("sender", json!({})), ("receiver", json!({}))]);
    sender.host.set_living(&[]);
    let id = receiver.id();
    receiver.host.fill();
    let refused = [sender.send(&id, b""), sender.request(&id, b"").map(drop), sender.open(&id, b"").map(drop)];
    assert_eq!(refused, [const { "no actor has the id " }; 3].map(|sentence| Err(format!("{sentence}{id}"))));
    receiver.host.make_room();
    assert!(receiver.is_idle() && receiver.outstanding().is_empty());
    assert_eq!(sender.send(&id, b""), Ok(()), "without a wait there is no edge");
}

#[test]
// [msg-44]
fn a_wait_for_room_in_ones_own_mailbox_is_err_at_once() {
    let program = Program::new();
    let [actor] = program.actors([("actor", json!({}))]);
    actor.host.fill();
    let before = Instant::now();
    let refused = actor.send("actor", b"").unwrap_err();
    assert!(refused.contains("wait for itself"), "{refused}");
    assert!(before.elapsed() < Duration::from_secs(10), "it waited for its limit");
    assert!(actor.host.waits().is_empty());
}
