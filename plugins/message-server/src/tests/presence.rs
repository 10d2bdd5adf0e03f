//! Who can be reached: from the start of an actor to its end, and over restarts.

use std::time::{Duration, Instant};

use serde_json::json;
use theater_plugin_api::Handler;
use theater_plugin_api::testing::{FakeHost, block_on};

use super::{ALL, Actor, OPEN, Program, REQUEST, SEND, begun, sent, usual};

/// Two actors of which the second has stopped, and lives: it is being restarted.
fn restarting(program: &Program, limit: u64) -> [Actor; 2] {
    let limits = json!({"send_timeout_ms": limit, "request_timeout_ms": limit});
    let [sender, receiver] = program.actors([("sender", limits), ("receiver", json!({}))]);
    block_on(receiver.server.stopped());
    [sender, receiver]
}

fn started_again(program: &Program, host: &FakeHost) -> std::sync::Arc<crate::handler::MessageServer> {
    let server = program.attached(host, json!({})).unwrap();
    block_on(server.started(false)).unwrap();
    server
}

#[test]
fn an_actor_that_is_being_restarted_is_waited_for() {
    let program = Program::new();
    let [sender, receiver] = restarting(&program, 10_000);
    let sending = begun(sender.sends("receiver", b"1"));
    let id = receiver.id();
    let asking = begun(sender.requests(&id, b"2"));
    let opening = begun(sender.opens("receiver", b"3"));
    assert_eq!(sender.host.waits(), vec![receiver.id(); 3]);
    let _server = started_again(&program, &receiver.host);
    assert_eq!(block_on(sending), Ok(()));
    assert_eq!(sent(&receiver.next()).as_ref(), b"1");
    assert_eq!(block_on(asking).unwrap().as_ref(), b"2");
    assert_eq!(receiver.next().export, REQUEST);
    assert!(block_on(opening).is_ok());
    assert_eq!(receiver.next().export, OPEN);
    assert!(sender.host.waits().is_empty());
}

#[test]
// [msg-6] [msg-7]
fn an_actor_that_does_not_come_back_is_err_after_the_limit() {
    let program = Program::new();
    let [sender, receiver] = restarting(&program, 30);
    let before = Instant::now();
    let sentence = format!("actor {}, which is being restarted, was not back after 30 ms", receiver.id());
    assert_eq!(sender.send("receiver", b""), Err(sentence.clone()));
    assert!(before.elapsed() >= Duration::from_millis(30));
    assert_eq!(sender.request("receiver", b"").unwrap_err(), sentence);
    assert_eq!(sender.open("receiver", b"").unwrap_err(), sentence);
    assert!(sender.host.waits().is_empty());
}

#[test]
// [msg-4]
fn a_wait_for_a_restart_ends_when_the_actor_has_ended_or_the_sender_is_stopped() {
    let program = Program::new();
    let [sender, receiver] = restarting(&program, 10_000);
    let sending = begun(sender.sends("receiver", b""));
    sender.host.set_living(&[]);
    assert!(block_on(sending).unwrap_err().contains(&receiver.id()));
    sender.host.set_living(&[&receiver.id()]);
    let sending = begun(sender.sends("receiver", b""));
    sender.host.stop();
    assert!(block_on(sending).unwrap_err().contains("was not back when actor \"sender\" (00000000) was stopped"));
}

#[test]
// [msg-27]
fn an_actor_that_came_back_is_asked_whether_it_takes_the_message() {
    let program = Program::new();
    let [sender, receiver] = restarting(&program, 10_000);
    let sending = begun(sender.sends("receiver", b""));
    let server = program.attached(&receiver.host, json!({"allow_from": []})).unwrap();
    block_on(server.started(false)).unwrap();
    assert!(block_on(sending).unwrap_err().contains("allow_from"));
    assert!(receiver.is_idle());
}

#[test]
// [msg-52]
fn a_second_handler_of_one_actor_is_refused_and_takes_nothing_with_it() {
    let program = Program::new();
    let [sender, receiver] = program.actors([("sender", json!({})), ("receiver", json!({}))]);
    let second = program.attached(&receiver.host, json!({})).unwrap();
    let refused = block_on(second.started(false)).unwrap_err();
    assert!(refused.contains("one [[handlers]] entry"), "{refused}");
    assert!(block_on(receiver.server.started(false)).is_err(), "it has started already");
    drop(second);
    assert_eq!(sender.send("receiver", b""), Ok(()));
    assert_eq!(receiver.next().export, SEND);
}

#[test]
// [msg-4]
fn a_handler_that_is_dropped_without_a_stop_is_gone_too() {
    let program = Program::new();
    let [sender, receiver] = program.actors([("sender", json!({})), ("receiver", json!({}))]);
    receiver.host.set_exports(&ALL, super::no_answer);
    let asking = begun(sender.requests("receiver", b""));
    let id = receiver.id();
    let Actor { host, server } = receiver;
    // What waits has the endpoint, not the handler.
    drop(server);
    assert_eq!(block_on(asking), Err("actor \"receiver\" (00000000) has ended".to_owned()));
    program.acquaint(&[&sender.host]);
    assert!(sender.send(&id, b"").unwrap_err().contains(&id));
    drop(host);
}

#[test]
fn those_that_left_are_forgotten_when_there_are_many_that_do_not_live() {
    let program = Program::new();
    let hosts: Vec<_> = (0..65).map(|_| FakeHost::new()).collect();
    let servers: Vec<_> = hosts
        .iter()
        .map(|host| {
            host.set_exports(&ALL, usual);
            started_again(&program, host)
        })
        .collect();
    let [sender] = program.actors([("sender", json!({"send_timeout_ms": 0}))]);
    // For the program all but the second have ended; the sender is asked whom it finds.
    program.own.set_living(&[&hosts[1].actor()]);
    let ids: Vec<_> = hosts.iter().map(FakeHost::actor).collect();
    sender.host.set_living(&ids.iter().map(String::as_str).collect::<Vec<_>>());
    let refused = |number: usize| sender.send(&ids[number], b"").unwrap_err();
    for server in &servers[..64] {
        block_on(server.stopped());
    }
    assert!(refused(0).contains("is being restarted") && refused(63).contains("is being restarted"));
    block_on(servers[64].stopped());
    for number in [0, 2, 63, 64] {
        assert!(refused(number).contains("no message-server handler"), "{number}");
    }
    assert!(refused(1).contains("is being restarted"), "it lives");
}
