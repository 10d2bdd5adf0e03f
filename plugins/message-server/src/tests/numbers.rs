//! Tests of the numbers in ids: no number is reused, even after a restart or a resume.

use serde_json::json;
use theater_plugin_api::encoding::{decode, encode};
use theater_plugin_api::testing::{FakeHost, block_on};
use theater_plugin_api::{Bytes, Handler};

use super::{ALL, Actor, CLOSE, OPEN, Program, REQUEST, begun, no_answer, with_id};
use crate::MessageServer;

/// Starts an actor as in a resume, and another to talk to; `tell` recovers the handler before the start.
fn resumed(program: &Program, tell: impl FnOnce(&FakeHost, &Actor)) -> [Actor; 2] {
    let host = FakeHost::new();
    host.set_name("resumed");
    host.set_exports(&ALL, no_answer);
    let actor = Actor { server: program.attached(&host, json!({})).unwrap(), host };
    tell(&actor.host, &actor);
    block_on(actor.server.started(true)).unwrap();
    let [other] = program.actors([("other", json!({}))]);
    program.acquaint(&[&actor.host, &other.host]);
    [actor, other]
}

/// Returns the channels whose close the actor is notified of; there must be `count`.
fn closed(actor: &Actor, count: usize) -> Vec<String> {
    let closed = (0..count).map(|_| {
        let called = actor.next();
        assert_eq!(called.export, CLOSE);
        decode::<(String,)>(&called.params).unwrap().0
    });
    let mut closed: Vec<_> = closed.collect();
    closed.sort();
    closed
}

/// Returns the number of the next request to the actor, and of the next channel that it opens.
fn next_numbers([actor, other]: &[Actor; 2]) -> [u64; 2] {
    let asking = begun(other.requests("resumed", b""));
    let called = actor.next();
    assert_eq!(called.export, REQUEST);
    drop(asking);
    let channel = actor.open("other", b"").unwrap();
    assert_eq!(other.next().export, OPEN);
    let (actor, channel) = channel.split_once('/').unwrap_or_else(|| panic!("{channel}"));
    assert_eq!(actor.len(), 36);
    [with_id(&called.params).0.parse().unwrap(), channel.parse().unwrap()]
}

#[test]
// [msg-48]
fn an_actor_counts_its_requests_and_its_channels_from_1() {
    let program = Program::new();
    let actors = resumed(&program, |_, _| ());
    assert_eq!([next_numbers(&actors), next_numbers(&actors)], [[1, 1], [2, 2]]);
    let [another] = program.actors([("another", json!({}))]);
    program.acquaint(&[&actors[0].host, &actors[1].host, &another.host]);
    assert!(another.open("other", b"").unwrap().ends_with("/1"), "each actor has its own numbers");
}

#[test]
// [msg-48]
fn an_exported_state_is_where_another_life_goes_on() {
    let program = Program::new();
    let actors = resumed(&program, |_, _| ());
    let exported = |server: &MessageServer| decode::<(u64, u64, Vec<String>)>(&server.export_state().unwrap()).unwrap();
    assert_eq!(exported(&actors[0].server), (1, 1, Vec::new()));
    assert!(actors[0].open("other", b"").is_ok() && actors[0].open("other", b"").is_ok());
    let (request, channel, mut ids) = exported(&actors[0].server);
    ids.sort();
    let whole = |number| format!("{}/{number}", actors[0].host.actor());
    assert_eq!((request, channel, ids), (1, 3, vec![whole(1), whole(2)]));
    let state = actors[0].server.export_state().unwrap();
    let actors = resumed(&Program::new(), |_, actor| {
        assert_eq!(actor.server.import_state(&state), Ok(()));
        // An import never lowers a number.
        let import = |request: u64| encode(&(request, 0_u64, Vec::<String>::new())).unwrap();
        assert_eq!(actor.server.import_state(&import(9)), Ok(()));
        assert_eq!(actor.server.import_state(&import(0)), Ok(()));
        assert!(actor.server.import_state(&[255; 3]).is_err());
    });
    assert_eq!(closed(&actors[0], 2), [whole(1), whole(2)], "a channel does not survive the end of the program");
    assert_eq!(next_numbers(&actors), [9, 3]);
}

#[test]
// [msg-48]
fn recorded_calls_show_which_numbers_are_in_use() {
    let actors = resumed(&Program::new(), |host, actor| {
        let opened = |result: Result<String, String>| {
            host.recover(&actor.server, "open-channel", &("other", Bytes::default()), &result).unwrap();
        };
        opened(Ok(format!("{}/7", host.actor())));
        opened(Ok(format!("{}/5", host.actor())));
        opened(Err("somebody/99".to_owned()));
        opened(Ok("no number".to_owned()));
        host.recover(&actor.server, "list-outstanding-requests", &(), &vec!["9", "11", "10", "012", "x"]).unwrap();
        host.recover(&actor.server, "list-outstanding-requests", &(), &vec!["2"]).unwrap();
        host.recover(&actor.server, "list-outstanding-requests", &(), &Vec::<String>::new()).unwrap();
    });
    closed(&actors[0], 3);
    assert_eq!(next_numbers(&actors), [12, 8]);
}

#[test]
// [msg-48]
fn calls_of_the_actor_show_requests_and_channels_too() {
    let actors = resumed(&Program::new(), |host, actor| {
        let told = |export: &str, id: &str, result: Option<Result<(bool, Option<Bytes>), ()>>| {
            host.recover(&actor.server, export, &(id, Bytes::default()), &result).unwrap();
        };
        told("handle-request", "14", None);
        told("handle-channel-open", "a/1", Some(Ok((true, None))));
        told("handle-channel-open", "a/2", Some(Ok((false, None))));
        told("handle-channel-open", "a/3", Some(Err(())));
        told("handle-channel-open", "a/4", None);
        told("handle-channel-open", "a/5", Some(Ok((true, None))));
        host.recover(&actor.server, "handle-channel-close", &("a/5",), &Some(Ok::<(), ()>(()))).unwrap();
    });
    assert_eq!(closed(&actors[0], 2), ["a/1", "a/4"], "accepted, or still queued");
    assert_eq!(next_numbers(&actors), [15, 1]);
}

#[test]
// [msg-48]
fn a_request_that_was_answered_or_cancelled_had_its_number() {
    for function in ["respond-to-request", "cancel-request"] {
        let actors = resumed(&Program::new(), |host, actor| {
            let settled = |id: &str, result: Result<(), String>| match function {
                "cancel-request" => host.recover(&actor.server, function, &(id,), &result).unwrap(),
                _ => host.recover(&actor.server, function, &(id, Bytes::from("answer")), &result).unwrap(),
            };
            settled("20", Ok(()));
            settled("3", Ok(()));
            settled("90", Err("it is not yours".to_owned()));
        });
        assert_eq!(next_numbers(&actors), [21, 1]);
    }
}

#[test]
fn a_recorded_call_that_does_not_decode_is_err_with_its_function() {
    let program = Program::new();
    let _ = resumed(&program, |host, actor| {
        for function in ["open-channel", "list-outstanding-requests", "respond-to-request", "cancel-request"] {
            let refused = host.recover(&actor.server, function, &(), &77_u8).unwrap_err();
            assert!(refused.contains(&format!("/{function}: ")), "{refused}");
        }
        for function in ["send", "request", "send-on-channel", "close-channel"] {
            assert_eq!(host.recover(&actor.server, function, &(), &77_u8), Ok(()), "{function} shows no number");
        }
    });
}

#[test]
// [msg-48]
fn numbers_go_on_over_a_supervised_restart() {
    let program = Program::new();
    let actors = resumed(&program, |_, _| ());
    assert_eq!(next_numbers(&actors), [1, 1]);
    let [actor, other] = actors;
    block_on(actor.server.stopped());
    let again = program.attached(&actor.host, json!({})).unwrap();
    block_on(again.started(false)).unwrap();
    let actors = [Actor { host: actor.host, server: again }, other];
    let told = actors[1].next();
    assert_eq!(told.export, CLOSE, "the channel of the previous run");
    assert_eq!(next_numbers(&actors), [2, 2]);
    // Attached while the first one is still present.
    let second = program.attached(&actors[0].host, json!({})).unwrap();
    block_on(actors[0].server.stopped());
    block_on(second.started(false)).unwrap();
    let [actor, other] = actors;
    assert_eq!(other.next().export, CLOSE);
    assert_eq!(next_numbers(&[Actor { host: actor.host, server: second }, other]), [3, 3]);
}
