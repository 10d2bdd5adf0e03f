//! Tests of channels: how they open, their messages, and every way they end.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_lite::future::block_on as run;
use serde_json::json;
use theater_plugin_api::abi::{Answer, TRAP};
use theater_plugin_api::encoding;
use theater_plugin_api::testing::{Called, PATIENCE, Way, block_on};

use super::{ALL, ANY_BYTES, Actor, CLOSE, MESSAGE, OPEN, Program, SEND, begun, deciding, sent, usual, with_id};
use crate::directory::Lookup;
use crate::theater::simple::message_server_host::MessageServerHost;

fn pair(program: &Program) -> [Actor; 2] {
    program.actors([("initiator", json!({})), ("acceptor", json!({}))])
}

/// Opens a channel between two actors; returns them and its id.
fn opened(program: &Program) -> ([Actor; 2], String) {
    let [initiator, acceptor] = pair(program);
    let channel = initiator.open("acceptor", b"").unwrap();
    assert_eq!(acceptor.next().export, OPEN);
    ([initiator, acceptor], channel)
}

/// Counts the references to an actor's endpoint: from its handler, the directory, and its channels.
fn kept(program: &Program, actor: &Actor) -> usize {
    match program.plugin.directory.find(&program.own.host(), &actor.id()) {
        Ok(Lookup::Present(member)) => Arc::strong_count(&member.endpoint),
        _ => panic!("it is not there"),
    }
}

/// Returns the channel whose close a call reports.
fn closed(called: &Called) -> String {
    assert_eq!(called.export, CLOSE);
    encoding::decode::<(String,)>(&called.params).unwrap().0
}

/// Returns the channel message of a call, as text.
fn said(called: &Called) -> String {
    assert_eq!(called.export, MESSAGE);
    String::from_utf8(with_id(&called.params).1.into_vec()).unwrap()
}

#[test]
fn an_actor_is_part_of_so_many_channels_and_no_more() {
    for (ours, theirs) in [(json!({ "max_channels": 2 }), json!({})), (json!({}), json!({ "max_channels": 2 }))] {
        let program = Program::new();
        let [initiator, _acceptor] = program.actors([("initiator", ours), ("acceptor", theirs)]);
        let open = || initiator.open("acceptor", b"");
        let first = open().unwrap();
        open().unwrap();
        let refused = open().unwrap_err();
        assert!(refused.contains("2 channels, as many as max_channels"), "{refused}");
        initiator.close(&first).unwrap();
        let again = std::iter::repeat_with(open).take(1_000).find_map(Result::ok);
        assert!(again.is_some(), "a closed channel no longer counts once the actors are notified");
    }
}

#[test]
// [msg-18] [msg-38] [msg-48] [msg-50]
fn an_acceptor_is_asked_with_the_id_and_the_message() {
    let program = Program::new();
    let [initiator, acceptor] = pair(&program);
    for (number, bytes) in (1..).zip(ANY_BYTES) {
        let channel = initiator.open("acceptor", bytes).unwrap();
        assert_eq!(channel, format!("{}/{number}", initiator.id()));
        let called = acceptor.next();
        assert_eq!((called.export, &called.way), (OPEN, &Way::Call));
        assert_eq!(with_id(&called.params), (channel, bytes.into()));
        assert_eq!(called.from, Some(initiator.id()));
        assert_eq!(called.cause, "channel with \"initiator\" (00000000)");
        assert_eq!(initiator.host.metric("channels"), Some(f64::from(number)));
    }
    assert!(initiator.is_idle(), "an acceptance without a message shows only in the result");
}

#[test]
// [msg-19]
fn a_refusal_is_err_with_its_message() {
    let program = Program::new();
    let [initiator, acceptor] = pair(&program);
    for (message, expected) in [
        (Some("not today: ä"), "not today: ä"),
        (Some(""), ""),
        (None, "actor \"acceptor\" (00000000) refused the channel"),
    ] {
        acceptor.host.set_exports(&ALL, deciding(false, message));
        assert_eq!(initiator.open("acceptor", b""), Err(expected.to_owned()));
        let (channel, _) = with_id(&acceptor.next().params);
        for end in [&initiator, &acceptor] {
            assert!(end.say(&channel, b"").is_err() && end.close(&channel).is_err());
        }
    }
    assert_eq!(initiator.host.metric("channels"), None);
    assert!(initiator.is_idle() && acceptor.is_idle());
}

#[test]
fn an_acceptor_that_fails_has_not_accepted() {
    let program = Program::new();
    let [initiator, acceptor] = pair(&program);
    for (answer, expected) in [
        (Answer::error("no"), "answered err: no"),
        (Answer::with(TRAP, "unreachable"), "failed in handle-channel-open: unreachable"),
    ] {
        let (status, sentence) = (answer.status, answer.sentence());
        acceptor.host.set_exports(&ALL, move |_, _| Answer::with(status, sentence.clone()));
        let refused = initiator.open("acceptor", b"").unwrap_err();
        assert_eq!(refused, format!("actor \"acceptor\" (00000000) {expected}"));
        let (channel, _) = with_id(&acceptor.next().params);
        assert!(acceptor.say(&channel, b"").is_err());
    }
}

#[test]
// [msg-20] [msg-38] [msg-50]
fn the_acceptances_message_is_the_first_that_the_initiator_gets() {
    let program = Program::new();
    let [initiator, acceptor] = pair(&program);
    acceptor.host.set_exports(&ALL, deciding(true, Some("first")));
    // A message that waits for room in a full mailbox comes after it.
    initiator.host.fill();
    let channel = initiator.open("acceptor", b"").unwrap();
    let second = begun(acceptor.says(&channel, b"second"));
    let called = initiator.next();
    assert_eq!(with_id(&called.params), (channel.clone(), "first".into()));
    assert_eq!((called.export, called.way), (MESSAGE, Way::First));
    assert_eq!(called.cause, "channel with \"acceptor\" (00000000)");
    initiator.host.make_room();
    assert_eq!(block_on(second), Ok(()));
    assert_eq!(said(&initiator.next()), "second");
    assert!(initiator.is_idle());
}

#[test]
fn an_acceptances_message_that_the_initiator_cannot_take_is_no_acceptance() {
    let program = Program::new();
    let strict = json!({"schemas": {"handle-channel-message": {"type": "number"}}});
    let [initiator, acceptor] = program.actors([("initiator", strict), ("acceptor", json!({}))]);
    acceptor.host.set_exports(&ALL, deciding(true, Some("\"text\"")));
    let unfit = initiator.open("acceptor", b"").unwrap_err();
    assert!(unfit.contains("schema of actor \"initiator\" (00000000) for handle-channel-message"), "{unfit}");
    initiator.host.set_exports(&[], usual);
    acceptor.host.set_exports(&ALL, deciding(true, Some("1")));
    let deaf = initiator.open("acceptor", b"").unwrap_err();
    assert!(deaf.contains("does not export handle-channel-message"), "{deaf}");
    // The acceptor believed that the channel was open.
    for number in [1, 2] {
        let (channel, _) = with_id(&acceptor.next().params);
        assert_eq!(closed(&acceptor.next()), channel);
        assert!(channel.ends_with(&format!("/{number}")));
        assert!(acceptor.say(&channel, b"1").is_err());
    }
    assert_eq!(initiator.host.metric("channels"), None);
}

#[test]
// [msg-21] [msg-52]
fn a_channel_to_oneself_is_err() {
    let program = Program::new();
    let [actor] = program.actors([("actor", json!({}))]);
    for oneself in ["actor", &actor.id()] {
        let refused = actor.open(oneself, b"").unwrap_err();
        assert!(refused.contains("cannot open a channel to itself"), "{refused}");
    }
    assert!(actor.is_idle());
}

#[test]
// [msg-22] [msg-49] [msg-52]
fn only_the_two_of_a_channel_send_on_it_and_close_it() {
    let program = Program::new();
    let [one, other, stranger] = program.actors(["one", "other", "stranger"].map(|name| (name, json!({}))));
    let channel = one.open("other", b"").unwrap();
    let with_stranger = stranger.open("other", b"").unwrap();
    for (actor, id) in [(&stranger, &*channel), (&one, &with_stranger), (&one, "nothing"), (&other, "")] {
        for refused in [actor.say(id, b"hello"), actor.close(id)] {
            let sentence = refused.unwrap_err();
            assert!(sentence.contains(&format!("has no open channel {id:?}")), "{sentence}");
        }
    }
    for end in [&one, &other] {
        assert_eq!(end.say(&channel, b"still open"), Ok(()));
    }
    assert!(stranger.is_idle());
}

#[test]
// [msg-23] [msg-38] [msg-50]
fn messages_go_both_ways_in_order() {
    let program = Program::new();
    let ([initiator, acceptor], channel) = opened(&program);
    for number in 0..100 {
        for end in [&initiator, &acceptor] {
            assert_eq!(end.say(&channel, number.to_string().as_bytes()), Ok(()));
        }
    }
    for (end, peer) in [(&initiator, &acceptor), (&acceptor, &initiator)] {
        for number in 0..100 {
            let called = end.next();
            assert_eq!(said(&called), number.to_string());
            assert_eq!(with_id(&called.params).0, channel);
            assert_eq!(called.from, Some(peer.id()));
            assert!(matches!(called.way, Way::Staged(_)));
        }
        assert_eq!((end.host.metric("sent"), end.host.metric("received")), (Some(100.0), Some(100.0)));
    }
    for bytes in ANY_BYTES {
        assert_eq!(initiator.say(&channel, bytes), Ok(()));
        assert_eq!(with_id(&acceptor.next().params).1.as_ref(), bytes);
    }
}

#[test]
// [msg-6] [msg-41]
fn a_message_on_a_channel_waits_for_room_like_any_other() {
    let program = Program::new();
    let [initiator, acceptor] =
        program.actors([("initiator", json!({"send_timeout_ms": 30})), ("acceptor", json!({}))]);
    let channel = initiator.open("acceptor", b"").unwrap();
    assert_eq!(acceptor.next().export, OPEN);
    acceptor.host.fill();
    let refused = initiator.say(&channel, b"lost").unwrap_err();
    assert_eq!(refused, "the mailbox of actor \"acceptor\" (00000000) was still full after 30 ms");
    let saying = begun(initiator.says(&channel, b"waits"));
    assert_eq!(initiator.host.waits(), [acceptor.id()]);
    acceptor.host.make_room();
    assert_eq!(block_on(saying), Ok(()));
    assert_eq!(said(&acceptor.next()), "waits");
    assert!(initiator.host.waits().is_empty());
}

#[test]
// [msg-24] [msg-25] [msg-52]
fn after_a_close_by_either_both_are_told_once_and_nothing_passes() {
    for by_initiator in [true, false] {
        let program = Program::new();
        let (actors, first) = opened(&program);
        let [initiator, acceptor] = &actors;
        let (closer, peer) = if by_initiator { (initiator, acceptor) } else { (acceptor, initiator) };
        assert_eq!(closer.close(&first), Ok(()));
        for end in [initiator, acceptor] {
            assert!(end.say(&first, b"").unwrap_err().contains("it was closed"));
            assert!(end.close(&first).unwrap_err().contains("it was closed"));
            assert_eq!(closed(&end.next()), first);
        }
        assert_eq!(initiator.host.metric("channels"), Some(0.0));
        // A duplicate notification would arrive before the next close.
        let second = initiator.open("acceptor", b"").unwrap();
        assert_eq!(acceptor.next().export, OPEN);
        assert_eq!(peer.close(&second), Ok(()));
        for end in [initiator, acceptor] {
            assert_eq!(closed(&end.next()), second);
        }
    }
}

#[test]
fn nothing_is_kept_of_a_channel_that_is_closed_or_was_not_opened() {
    let program = Program::new();
    let [initiator, acceptor] =
        program.actors([("initiator", json!({"request_timeout_ms": 30})), ("acceptor", json!({}))]);
    let none = [kept(&program, &initiator), kept(&program, &acceptor)];
    let channel = initiator.open("acceptor", b"").unwrap();
    assert!(none.iter().zip([&initiator, &acceptor]).all(|(none, end)| kept(&program, end) > *none));
    assert_eq!(initiator.close(&channel), Ok(()));
    acceptor.host.set_exports(&ALL, deciding(false, None));
    assert!(initiator.open("acceptor", b"").is_err());
    acceptor.host.fill();
    assert!(initiator.open("acceptor", b"").is_err(), "it is late");
    acceptor.host.make_room();
    let before = Instant::now();
    // The tasks that notify them may still be running.
    while [kept(&program, &initiator), kept(&program, &acceptor)] != none {
        assert!(before.elapsed() < PATIENCE, "something is left");
        std::thread::yield_now();
    }
}

#[test]
// [msg-24]
fn the_peer_is_told_of_a_close_by_the_closers_own_call() {
    let program = Program::new();
    let ([initiator, acceptor], channel) = opened(&program);
    assert_eq!(acceptor.close(&channel), Ok(()));
    let (at_peer, at_closer) = (initiator.next(), acceptor.next());
    // If the peer has ended by then, the close is still ok.
    assert_eq!(at_peer.way, Way::Staged(encoding::encode(&Ok::<(), String>(())).unwrap()));
    assert_eq!((at_peer.from, &*at_peer.cause), (Some(acceptor.id()), "channel with \"acceptor\" (00000000)"));
    assert_eq!((at_closer.way, at_closer.from), (Way::Post, None));
}

#[test]
// [msg-24]
fn a_full_mailbox_keeps_no_channel_open() {
    let program = Program::new();
    let ([initiator, acceptor], channel) = opened(&program);
    acceptor.host.fill();
    assert_eq!(initiator.close(&channel), Ok(()));
    assert_eq!(closed(&initiator.next()), channel);
    assert!(acceptor.is_idle() && acceptor.say(&channel, b"").is_err());
    acceptor.host.make_room();
    assert_eq!(closed(&acceptor.next()), channel);
}

#[test]
// [msg-25]
fn a_message_that_waits_for_room_when_the_channel_is_closed_is_err() {
    let program = Program::new();
    let ([initiator, acceptor], channel) = opened(&program);
    acceptor.host.fill();
    let saying = begun(initiator.says(&channel, b"too late"));
    assert_eq!(acceptor.close(&channel), Ok(()));
    let refused = block_on(saying).unwrap_err();
    assert!(refused.contains("was closed while the mailbox of actor \"acceptor\" (00000000) was full"), "{refused}");
    acceptor.host.make_room();
    assert_eq!(closed(&acceptor.next()), channel);
    assert_eq!(closed(&initiator.next()), channel);
    assert_eq!(initiator.host.metric("sent"), None);
}

#[test]
// [msg-24] [msg-40]
fn whoever_does_not_export_the_close_is_not_told() {
    let program = Program::new();
    let ([initiator, acceptor], channel) = opened(&program);
    for end in [&initiator, &acceptor] {
        end.host.set_exports(&ALL[..4], usual);
    }
    assert_eq!(initiator.close(&channel), Ok(()));
    assert!(acceptor.say(&channel, b"").is_err());
    assert_eq!((initiator.host.faults(), acceptor.host.faults()), (vec![], vec![]));
}

#[test]
// [msg-24] [msg-25] [msg-26]
fn the_death_of_either_closes_all_its_channels() {
    for initiator_dies in [true, false] {
        let program = Program::new();
        let (actors, first) = opened(&program);
        let [initiator, acceptor] = &actors;
        let second = acceptor.open("initiator", b"").unwrap();
        assert_eq!(initiator.next().export, OPEN);
        let (dead, left) = if initiator_dies { (initiator, acceptor) } else { (acceptor, initiator) };
        dead.end();
        let mut told = [closed(&left.next()), closed(&left.next())];
        told.sort();
        let mut both = [first, second];
        both.sort();
        assert_eq!(told, both);
        for channel in &both {
            assert!(left.say(channel, b"").unwrap_err().contains("its other end has ended"));
            assert!(left.close(channel).is_err());
        }
        // A second stop notifies no one.
        block_on(theater_plugin_api::Handler::stopped(&*dead.server));
        assert_eq!(left.send(&left.id(), b"the next"), Ok(()));
        assert_eq!(left.next().export, SEND);
    }
}

#[test]
// [msg-43]
fn the_wait_for_a_decision_is_an_edge() {
    let program = Program::new();
    let [initiator, acceptor] = pair(&program);
    acceptor.host.fill();
    let opening = begun(initiator.opens("acceptor", b""));
    assert_eq!(initiator.host.waits(), [acceptor.id()]);
    acceptor.host.make_room();
    assert!(block_on(opening).is_ok());
    assert!(initiator.host.waits().is_empty());
}

#[test]
// [msg-7]
fn an_acceptance_that_comes_too_late_is_taken_back() {
    let program = Program::new();
    let [initiator, acceptor] =
        program.actors([("initiator", json!({"request_timeout_ms": 30})), ("acceptor", json!({}))]);
    acceptor.host.fill();
    let before = Instant::now();
    let late = initiator.open("acceptor", b"").unwrap_err();
    assert_eq!(late, "actor \"acceptor\" (00000000) had not decided about the channel after 30 ms");
    assert!(before.elapsed() >= Duration::from_millis(30));
    acceptor.host.make_room();
    let (channel, _) = with_id(&acceptor.next().params);
    assert_eq!(closed(&acceptor.next()), channel);
    assert!(initiator.say(&channel, b"").is_err() && acceptor.say(&channel, b"").is_err());
    assert!(initiator.is_idle());
    assert_eq!(initiator.host.metric("channels"), None);
}

#[test]
// [msg-26]
fn a_channel_does_not_open_when_either_ends_before_the_decision() {
    let program = Program::new();
    let [initiator, acceptor] = pair(&program);
    acceptor.host.fill();
    let opening = begun(initiator.opens("acceptor", b""));
    initiator.host.stop();
    let stopped = block_on(opening).unwrap_err();
    assert!(stopped.contains("had not decided about the channel when actor \"initiator\""), "{stopped}");
    let [another] = program.actors([("another", json!({}))]);
    program.acquaint(&[&acceptor.host, &another.host]);
    let opening = begun(another.opens("acceptor", b""));
    acceptor.end();
    // The error is of the call or of the endpoint, whichever ends first.
    let ended = block_on(opening).unwrap_err();
    assert!(ended.starts_with("actor \"acceptor\" (00000000) ") && ended.ends_with("has ended"), "{ended}");
    assert!(another.is_idle());
}

#[test]
fn within_handle_channel_open_the_channel_is_not_open_yet() {
    let program = Program::new();
    let [initiator, acceptor] = pair(&program);
    let tried = Arc::new(Mutex::new(Vec::new()));
    acceptor.host.set_cause(Some(&initiator.host));
    let (server, call, log) = (Arc::downgrade(&acceptor.server), acceptor.host.caller(), Arc::clone(&tried));
    acceptor.host.set_exports(&ALL, move |export, params| {
        if export == OPEN {
            let (server, (id, _)) = (server.upgrade().unwrap(), with_id(params));
            log.lock().unwrap().push(run(server.send_on_channel(&call, id.clone(), "early".into())));
            log.lock().unwrap().push(run(server.close_channel(&call, id)));
        }
        usual(export, params)
    });
    let channel = initiator.open("acceptor", b"").unwrap();
    let tried = tried.lock().unwrap().clone();
    assert_eq!(tried.len(), 2);
    for refused in tried {
        assert!(refused.unwrap_err().contains("not open yet"));
    }
    assert_eq!(acceptor.say(&channel, b"now"), Ok(()));
    assert_eq!(said(&initiator.next()), "now");
}

#[test]
fn a_later_call_of_the_acceptor_waits_until_the_decision_is_known() {
    let program = Program::new();
    let [initiator, acceptor] = pair(&program);
    acceptor.host.fill();
    let opening = begun(initiator.opens("acceptor", b""));
    let channel = format!("{}/1", initiator.id());
    let saying = begun(acceptor.says(&channel, b"at once"));
    acceptor.host.make_room();
    assert_eq!(block_on(opening), Ok(channel.clone()));
    assert_eq!(block_on(saying), Ok(()));
    assert_eq!(said(&initiator.next()), "at once");
    // The wait for a decision that never comes is limited.
    acceptor.host.fill();
    let opening = begun(initiator.opens("acceptor", b""));
    let undecided = format!("{}/2", initiator.id());
    assert!(acceptor.say(&undecided, b"").unwrap_err().contains("not open yet"));
    drop(opening);
    assert!(acceptor.say(&undecided, b"").unwrap_err().contains("no open channel"));
}

#[test]
fn messages_beside_a_channel_are_not_its_own() {
    let program = Program::new();
    let ([initiator, acceptor], channel) = opened(&program);
    assert_eq!(initiator.say(&channel, b"on it"), Ok(()));
    assert_eq!(initiator.send("acceptor", b"next to it"), Ok(()));
    assert_eq!(said(&acceptor.next()), "on it");
    assert_eq!(sent(&acceptor.next()).as_ref(), b"next to it");
}
