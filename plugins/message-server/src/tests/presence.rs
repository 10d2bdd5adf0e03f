//! Tests of which actors can be reached: from start to end, and across restarts.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use theater_plugin_api::Handler;
use theater_plugin_api::testing::{FakeHost, block_on};

use super::{ALL, Actor, MessageServer, OPEN, Program, REQUEST, SEND, begun, sent};

/// Two actors, the second of which is being restarted: its handler has stopped, and the actor is still alive.
fn restarting(program: &Program, limit: u64) -> [Actor; 2] {
    let limits = json!({"send_timeout_ms": limit, "request_timeout_ms": limit});
    let [sender, receiver] = program.actors([("sender", limits), ("receiver", json!({}))]);
    block_on(receiver.server.stopped());
    [sender, receiver]
}

fn started_again(program: &Program, host: &FakeHost) -> Arc<MessageServer> {
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
    // The waiting requester holds the endpoint, not the handler.
    drop(server);
    assert_eq!(block_on(asking), Err("actor \"receiver\" (00000000) has ended".to_owned()));
    program.acquaint(&[&sender.host]);
    assert!(sender.send(&id, b"").unwrap_err().contains(&id));
    drop(host);
}

/// Many actors, and a sender that finds all of them alive, whatever the plugin's own host says.
struct Crowd {
    hosts: Vec<FakeHost>,
    servers: Vec<Arc<MessageServer>>,
    sender: Actor,
}

impl Crowd {
    fn new(program: &Program, count: usize) -> Self {
        let hosts: Vec<_> = (0..count).map(|_| FakeHost::new()).collect();
        let servers = hosts.iter().map(|host| started_again(program, host)).collect();
        let [sender] = program.actors([("sender", json!({"send_timeout_ms": 0}))]);
        let ids: Vec<_> = hosts.iter().map(FakeHost::actor).collect();
        sender.host.set_living(&ids.iter().map(String::as_str).collect::<Vec<_>>());
        Self { hosts, servers, sender }
    }

    fn leave(&self, which: Range<usize>) {
        self.servers[which].iter().for_each(|server| block_on(server.stopped()));
    }

    fn is_forgotten(&self, number: usize) -> bool {
        let refused = self.sender.send(&self.hosts[number].actor(), b"").unwrap_err();
        let forgotten = refused.contains("no message-server handler");
        assert!(forgotten || refused.contains("is being restarted"), "{refused}");
        forgotten
    }
}

#[test]
fn those_that_left_are_forgotten_when_there_are_many_that_do_not_live() {
    let program = Program::new();
    let crowd = Crowd::new(&program, 65);
    program.own.set_living(&[&crowd.hosts[1].actor()]);
    crowd.leave(0..64);
    assert!(!crowd.is_forgotten(0) && !crowd.is_forgotten(63));
    crowd.leave(64..65);
    assert_eq!([0, 1, 2, 63, 64].map(|number| crowd.is_forgotten(number)), [true, false, true, true, true]);
}

#[test]
fn after_a_search_that_found_many_alive_the_next_one_is_at_twice_as_many() {
    let program = Program::new();
    let crowd = Crowd::new(&program, 131);
    let ids: Vec<_> = crowd.hosts.iter().map(FakeHost::actor).collect();
    program.own.set_living(&ids.iter().map(String::as_str).collect::<Vec<_>>());
    crowd.leave(0..65);
    program.own.set_living(&[]);
    crowd.leave(65..130);
    assert!(!crowd.is_forgotten(0) && !crowd.is_forgotten(129));
    crowd.leave(130..131);
    assert!(crowd.is_forgotten(0) && crowd.is_forgotten(130));
}
