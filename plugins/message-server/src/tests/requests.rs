//! Tests of `request`: the receiver answers at once, later, within the same call, or not at all.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;
use theater_plugin_api::Bytes;
use theater_plugin_api::abi::{Answer, TRAP, encoded};
use theater_plugin_api::testing::{Way, block_on};

use super::{ANY_BYTES, Actor, Program, REQUEST, begun, no_answer, with_id};
use crate::theater::simple::message_server_host::MessageServerHost;

/// A requester, and a receiver that leaves every request outstanding.
fn pair(program: &Program) -> [Actor; 2] {
    let actors = program.actors([("requester", json!({"request_timeout_ms": 10_000})), ("receiver", json!({}))]);
    actors[1].host.set_exports(&super::ALL, no_answer);
    actors
}

#[test]
// [msg-38] [msg-50]
fn a_request_is_any_bytes_and_so_is_its_answer() {
    let program = Program::new();
    let [requester, receiver] = program.actors([("requester", json!({})), ("receiver", json!({}))]);
    for (number, bytes) in (1..).zip(ANY_BYTES) {
        assert_eq!(requester.request("receiver", bytes).unwrap().as_ref(), bytes);
        let called = receiver.next();
        assert_eq!((called.export, called.way), (REQUEST, Way::Call));
        assert_eq!(with_id(&called.params), (number.to_string(), bytes.into()));
        assert_eq!(called.from, Some(requester.id()));
        assert_eq!(called.cause, "request from \"requester\" (00000000)");
    }
    let count = Some(ANY_BYTES.len() as f64);
    assert_eq!((requester.host.metric("requests"), receiver.host.metric("received")), (count, count));
    assert!(receiver.outstanding().is_empty());
}

#[test]
// [msg-7] [msg-8] [msg-9]
fn a_request_nobody_answers_is_err_after_the_limit_and_its_id_is_gone() {
    let program = Program::new();
    let [requester, receiver] =
        program.actors([("requester", json!({"request_timeout_ms": 30})), ("receiver", json!({}))]);
    receiver.host.set_exports(&super::ALL, no_answer);
    let before = Instant::now();
    let late = requester.request("receiver", b"").unwrap_err();
    assert_eq!(late, "actor \"receiver\" (00000000) had not answered after 30 ms");
    assert!(before.elapsed() >= Duration::from_millis(30));
    assert_eq!((receiver.outstanding(), requester.host.waits()), (vec![], vec![]));
    for refused in [receiver.respond("1", b"late"), receiver.cancel("1")] {
        assert!(refused.unwrap_err().contains("its requester waits no longer"));
    }
    assert_eq!(receiver.host.metric("outstanding"), Some(0.0));
}

#[test]
// [msg-7] [msg-8]
fn the_time_that_a_request_waits_for_its_turn_counts() {
    let program = Program::new();
    let [requester, receiver] =
        program.actors([("requester", json!({"request_timeout_ms": 30})), ("receiver", json!({}))]);
    receiver.host.fill();
    let late = requester.request("receiver", b"").unwrap_err();
    assert!(late.ends_with("had not answered after 30 ms"), "{late}");
    assert!(receiver.outstanding().is_empty());
}

#[test]
// [msg-10] [msg-12] [msg-42]
fn a_request_that_is_left_is_answered_later() {
    let program = Program::new();
    let [requester, receiver] = pair(&program);
    let mut asking = begun(requester.requests("receiver", b"question"));
    assert_eq!(receiver.next().export, REQUEST);
    assert_eq!(receiver.outstanding(), ["1"]);
    assert_eq!(requester.host.waits(), [receiver.id()], "an outstanding request is an edge");
    assert_eq!(receiver.host.metric("outstanding"), Some(1.0));
    for bytes in ANY_BYTES {
        let id = receiver.outstanding().remove(0);
        assert_eq!(receiver.respond(&id, bytes), Ok(()));
        assert!(receiver.outstanding().is_empty(), "the answer takes effect at once");
        assert_eq!(block_on(asking).unwrap().as_ref(), bytes);
        assert!(requester.host.waits().is_empty());
        asking = begun(requester.requests("receiver", b"question"));
    }
}

#[test]
// [msg-11]
fn outstanding_requests_are_listed_oldest_first_the_one_being_handled_included() {
    let program = Program::new();
    let [requester, receiver] = pair(&program);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (server, host) = (Arc::downgrade(&receiver.server), receiver.host.caller());
    let log = Arc::clone(&seen);
    receiver.host.set_exports(&super::ALL, move |export, params| {
        log.lock().unwrap().push(server.upgrade().unwrap().list_outstanding_requests(&host));
        no_answer(export, params)
    });
    let mut asking: Vec<_> = (0..12).map(|_| begun(requester.requests("receiver", b""))).collect();
    let ids = |numbers: std::ops::RangeInclusive<u32>| numbers.map(|number| number.to_string()).collect::<Vec<_>>();
    assert_eq!(*seen.lock().unwrap(), (1..=12).map(|last| ids(1..=last)).collect::<Vec<_>>());
    assert_eq!(receiver.host.metric("outstanding"), Some(12.0));
    assert_eq!(receiver.respond("2", b"second"), Ok(()));
    assert_eq!(block_on(asking.remove(1)).unwrap().as_ref(), b"second");
    assert_eq!(receiver.outstanding(), [ids(1..=1), ids(3..=12)].concat());
    drop(asking);
    assert!(receiver.outstanding().is_empty(), "no one waits any more");
    assert_eq!(receiver.host.metric("outstanding"), Some(0.0));
}

#[test]
// [msg-13] [msg-17]
fn the_requester_of_a_cancelled_one_is_told_by_whom() {
    let program = Program::new();
    let [requester, receiver] = pair(&program);
    let asking = begun(requester.requests("receiver", b""));
    assert_eq!(receiver.cancel("1"), Ok(()));
    assert!(receiver.outstanding().is_empty());
    assert_eq!(block_on(asking), Err(format!("cancelled by {}", receiver.id())));
}

/// Lets the receiver respond or cancel within `handle-request` and then return something else; returns both results.
fn within_the_call(responds: bool, returned: fn() -> Answer) -> (super::Nothing, super::Reply) {
    let program = Program::new();
    let [requester, receiver] = pair(&program);
    let done = Arc::new(Mutex::new(None));
    let (server, call, log) = (Arc::downgrade(&receiver.server), receiver.host.caller(), Arc::clone(&done));
    receiver.host.set_exports(&super::ALL, move |_, params| {
        let (server, id) = (server.upgrade().unwrap(), with_id(params).0);
        let own =
            if responds { server.respond_to_request(&call, &id, b"within") } else { server.cancel_request(&call, &id) };
        assert!(server.list_outstanding_requests(&call).is_empty());
        assert!(server.respond_to_request(&call, &id, b"twice").is_err() && server.cancel_request(&call, &id).is_err());
        *log.lock().unwrap() = Some(own);
        returned()
    });
    let reply = requester.request("receiver", b"");
    let done = done.lock().unwrap().take().unwrap();
    (done, reply)
}

#[test]
// [msg-12] [msg-13] [msg-14] [msg-16]
fn what_is_said_within_the_call_stands_whatever_it_returns() {
    let returns: [fn() -> Answer; 4] = [
        || encoded(&(None::<Bytes>,)),
        || encoded(&(Some(Bytes::from("returned")),)),
        || Answer::error("no"),
        || Answer::with(TRAP, "unreachable"),
    ];
    for returned in returns {
        let (done, reply) = within_the_call(true, returned);
        assert_eq!((done, reply), (Ok(()), Ok(Bytes::from("within"))));
        let (done, reply) = within_the_call(false, returned);
        assert_eq!(done, Ok(()));
        assert!(reply.unwrap_err().starts_with("cancelled by "));
    }
}

#[test]
// [msg-15] [msg-49] [msg-52]
fn nobody_but_the_receiver_answers_or_cancels() {
    let program = Program::new();
    let [requester, receiver, other] = program.actors(["a", "b", "c"].map(|name| (name, json!({}))));
    receiver.host.set_exports(&super::ALL, no_answer);
    let asking = begun(requester.requests("b", b""));
    for stranger in [&requester, &other] {
        assert!(stranger.outstanding().is_empty());
        for refused in [stranger.respond("1", b""), stranger.cancel("1")] {
            let sentence = refused.unwrap_err();
            assert!(sentence.contains("no outstanding request \"1\""), "{sentence}");
            assert!(sentence.contains("list-outstanding-requests"), "{sentence}");
        }
    }
    assert_eq!(receiver.outstanding(), ["1"]);
    assert_eq!(receiver.respond("1", b"mine"), Ok(()));
    assert_eq!(block_on(asking).unwrap().as_ref(), b"mine");
}

#[test]
// [msg-16] [msg-52]
fn a_request_is_answered_once_and_by_the_one_spelling_of_its_id() {
    let program = Program::new();
    let [requester, receiver] = pair(&program);
    let asking = begun(requester.requests("receiver", b""));
    for no_id in ["", "0", "01", "+1", " 1", "1 ", "2", "-1", "one", "18446744073709551616", "receiver/1"] {
        for refused in [receiver.respond(no_id, b""), receiver.cancel(no_id)] {
            assert!(refused.unwrap_err().contains(&format!("{no_id:?}")));
        }
    }
    assert_eq!(receiver.respond("1", b"first"), Ok(()));
    for again in [receiver.respond("1", b"second"), receiver.cancel("1")] {
        assert!(again.unwrap_err().contains("answered or cancelled"));
    }
    assert_eq!(block_on(asking).unwrap().as_ref(), b"first");
}

#[test]
// [msg-42] [msg-44]
fn a_request_to_oneself_is_err_at_once() {
    let program = Program::new();
    let [actor] = program.actors([("actor", json!({}))]);
    let refused = actor.request("actor", b"").unwrap_err();
    assert!(refused.contains("wait for itself"), "{refused}");
    assert!(actor.is_idle() && actor.outstanding().is_empty());
    assert_eq!(actor.host.metric("requests"), None);
}

#[test]
fn a_handler_that_fails_is_err_for_its_requester() {
    let program = Program::new();
    let [requester, receiver] = pair(&program);
    receiver.host.set_exports(&super::ALL, |_, _| Answer::error("not on Sundays"));
    let refused = requester.request("receiver", b"").unwrap_err();
    assert_eq!(refused, "actor \"receiver\" (00000000) answered err: not on Sundays");
    receiver.host.set_exports(&super::ALL, |_, _| Answer::with(TRAP, "unreachable"));
    let trapped = requester.request("receiver", b"").unwrap_err();
    assert_eq!(trapped, "actor \"receiver\" (00000000) failed in handle-request: unreachable");
    receiver.host.end();
    let ending = requester.request("receiver", b"").unwrap_err();
    assert!(ending.starts_with("actor \"receiver\" (00000000) takes no more calls"), "{ending}");
    assert!(receiver.outstanding().is_empty());
}

#[test]
fn a_receiver_that_ends_answers_all_who_wait() {
    let program = Program::new();
    let [requester, receiver] = pair(&program);
    let asking: Vec<_> = (0..3).map(|_| begun(requester.requests("receiver", b""))).collect();
    receiver.end();
    for asked in asking {
        assert_eq!(block_on(asked), Err("actor \"receiver\" (00000000) has ended".to_owned()));
    }
    assert_eq!((receiver.outstanding(), requester.host.waits()), (vec![], vec![]));
    assert_eq!(receiver.host.metric("outstanding"), Some(0.0));
}

#[test]
// [msg-8]
fn a_requester_that_is_stopped_leaves_nothing_behind() {
    let program = Program::new();
    let [requester, receiver] = pair(&program);
    let asking = begun(requester.requests("receiver", b""));
    requester.host.stop();
    let stopped = block_on(asking).unwrap_err();
    assert_eq!(stopped, "actor \"receiver\" (00000000) had not answered when the requester was stopped");
    assert_eq!((receiver.outstanding(), requester.host.waits()), (vec![], vec![]));
    assert!(receiver.respond("1", b"").is_err());
}
