//! Tests for the functions that an actor calls and for the watch over its children.

use std::sync::{Arc, Mutex, mpsc};

use futures_lite::future::{block_on as run, poll_once};
use serde_json::{Value, json};
use theater_plugin_api::abi::{Answer, GONE, TRAP, encoded};
use theater_plugin_api::testing::{Called, Done, FakeHost, Way, attach, block_on};
use theater_plugin_api::{Bytes, ChildEnd, Ending, FailureKind, Handler, encoding, host};

use crate::theater::simple::types::{ChainEvent, WitActorError, WitErrorType};
use crate::{Parent, Supervisor};

// Numbers of the called exports, in the order of the WIT.
const ERROR: u32 = 0;
const EXIT: u32 = 1;
const STOP: u32 = 2;

fn attached(host: &FakeHost, config: Value) -> Arc<Parent> {
    block_on(attach::<Supervisor>(host, "supervisor", config)).unwrap()
}

/// A started parent that exports all handlers. Every start of a child succeeds.
fn started(config: Value) -> (FakeHost, Arc<Parent>) {
    let host = FakeHost::new();
    host.set_exports(&[ERROR, EXIT, STOP], |_, _| encoded(&()));
    host.set_child_answers(|_| Ok(String::new()));
    let parent = attached(&host, config);
    assert_eq!(block_on(parent.started(false)), Ok(Vec::new()));
    (host, parent)
}

fn ended(child: &str, ending: Ending) -> ChildEnd {
    ChildEnd { child: child.to_owned(), name: format!("name of {child}"), ending }
}

fn failed(child: &str) -> ChildEnd {
    ended(child, Ending::Failed { kind: FailureKind::Internal, causes: "a trap".to_owned() })
}

fn next_call(host: &FakeHost) -> Called {
    block_on(host.next_call()).unwrap()
}

fn next_done(host: &FakeHost) -> Done {
    block_on(host.next_done()).unwrap()
}

/// The child whose death a call reports.
fn told(called: &Called) -> String {
    match called.export {
        ERROR => encoding::decode::<(String, WitActorError)>(&called.params).unwrap().0,
        EXIT => encoding::decode::<(String, Option<Bytes>)>(&called.params).unwrap().0,
        _ => encoding::decode::<(String,)>(&called.params).unwrap().0,
    }
}

// --- functions ------------------------------------------------------------------------------------------------------

type Id = Result<String, String>;
type Nothing = Result<(), String>;

#[test]
// [sup-2] [sup-1] [sup-5]
fn a_start_takes_manifest_and_state_as_they_are_and_answers_the_id() {
    let host = FakeHost::new();
    let parent = attached(&host, json!({}));
    host.set_child_answers(|_| Ok("an id".to_owned()));
    for state in [None, Some(Bytes::default()), Some(Bytes::from(&[0, 255][..]))] {
        for manifest in ["child.toml", "name = \"child\"", "store://s/child", " a\n"] {
            let arguments = (manifest, state.clone());
            let id: Id = block_on(host.call(&parent, "spawn", &arguments)).unwrap();
            assert_eq!(id.as_deref(), Ok("an id"));
            let state = state.clone().map(Bytes::into_vec);
            assert_eq!(next_done(&host), Done::Spawned(manifest.to_owned(), state.clone()));
            let id: Id = block_on(host.call(&parent, "resume", &arguments)).unwrap();
            assert_eq!(id.as_deref(), Ok("an id"));
            assert_eq!(next_done(&host), Done::Resumed(manifest.to_owned(), state));
        }
    }
}

#[test]
// [sup-3] [sup-6] [sup-11]
fn what_the_core_refuses_is_err_with_its_sentence() {
    let host = FakeHost::new();
    let parent = attached(&host, json!({}));
    host.set_child_answers(|done| Err(format!("no: {done:?}")));
    for function in ["spawn", "resume"] {
        let id: Id = block_on(host.call(&parent, function, &("a.toml", None::<Bytes>))).unwrap();
        assert!(id.as_ref().unwrap_err().contains("a.toml"), "{id:?}");
    }
    for function in ["stop-child", "restart-child"] {
        let nothing: Nothing = block_on(host.call(&parent, function, &("somebody",))).unwrap();
        assert!(nothing.as_ref().unwrap_err().contains("somebody"), "{nothing:?}");
    }
    let state: Result<Option<Bytes>, String> = block_on(host.call(&parent, "get-child-state", &("somebody",))).unwrap();
    assert!(state.unwrap_err().contains("not a descendant"));
    let events: Result<Vec<ChainEvent>, String> =
        block_on(host.call(&parent, "get-child-events", &("somebody",))).unwrap();
    assert!(events.unwrap_err().contains("not a descendant"));
}

#[test]
// [sup-1]
fn an_empty_manifest_is_err_that_says_what_a_manifest_is() {
    let host = FakeHost::new();
    let parent = attached(&host, json!({}));
    for function in ["spawn", "resume"] {
        for empty in ["", " ", "\n\t"] {
            let id: Id = block_on(host.call(&parent, function, &(empty, None::<Bytes>))).unwrap();
            let sentence = id.unwrap_err();
            assert!(["TOML", "URL", "path"].iter().all(|form| sentence.contains(form)), "{sentence}");
        }
    }
}

#[test]
// [sup-7] [sup-8]
fn a_child_is_stopped_and_restarted_by_its_id() {
    let host = FakeHost::new();
    let parent = attached(&host, json!({}));
    host.set_child_answers(|_| Ok(String::new()));
    let stopped: Nothing = block_on(host.call(&parent, "stop-child", &("an id",))).unwrap();
    assert_eq!((stopped, next_done(&host)), (Ok(()), Done::Stopped("an id".to_owned())));
    let restarted: Nothing = block_on(host.call(&parent, "restart-child", &("an id",))).unwrap();
    assert_eq!((restarted, next_done(&host)), (Ok(()), Done::Restarted("an id".to_owned())));
}

#[test]
// [sup-26]
fn a_stop_and_a_restart_wait_for_a_living_child_and_for_nobody_else() {
    for function in ["stop-child", "restart-child"] {
        for (living, children, expected) in [
            (&["a"][..], &["a"][..], &["a"][..]),
            // An actor that is not a child, and a child that has ended: the core rejects the first and starts the
            // second.
            (&["a"], &[], &[]),
            (&[], &["a"], &[]),
        ] {
            let host = Arc::new(FakeHost::new());
            let parent = attached(&host, json!({}));
            host.set_living(living);
            host.set_children(children);
            let (sender, waits) = mpsc::channel();
            let (waiting, sender) = (Arc::downgrade(&host), Mutex::new(sender));
            host.set_child_answers(move |_| {
                sender.lock().unwrap().send(waiting.upgrade().unwrap().waits()).unwrap();
                Ok(String::new())
            });
            let done: Nothing = block_on(host.call(&parent, function, &("a",))).unwrap();
            assert_eq!((done, waits.recv().unwrap()), (Ok(()), expected.iter().map(ToString::to_string).collect()));
            assert!(host.waits().is_empty(), "the wait outlives the call");
        }
    }
}

#[test]
// [sup-26]
fn a_wait_that_would_close_a_cycle_is_err_and_nothing_is_done() {
    for function in ["stop-child", "restart-child"] {
        let host = FakeHost::new();
        let parent = attached(&host, json!({}));
        host.set_child_answers(|_| Ok(String::new()));
        // The only cycle that the test host detects: an actor that is its own child.
        host.set_living(&[&host.actor()]);
        host.set_children(&[&host.actor()]);
        let refused: Nothing = block_on(host.call(&parent, function, &(host.actor(),))).unwrap();
        assert!(refused.unwrap_err().contains("wait for itself"), "{function}");
        assert!(run(poll_once(host.next_done())).is_none(), "{function} was carried out");
    }
}

#[test]
// [sup-9]
fn children_are_listed_in_the_order_of_the_core() {
    let host = FakeHost::new();
    let parent = attached(&host, json!({}));
    let list = || block_on(host.call::<_, Vec<String>>(&parent, "list-children", &())).unwrap();
    assert!(list().is_empty());
    host.set_children(&["b", "a"]);
    assert_eq!(list(), ["b", "a"]);
}

#[test]
// [sup-10]
fn state_and_events_of_a_descendant_are_those_of_the_core() {
    let host = FakeHost::new();
    let parent = attached(&host, json!({}));
    let event = |number: u8, parent_hash: Option<Bytes>| host::ChainEvent {
        hash: vec![number; 32].into(),
        parent_hash,
        event_type: "wasm".to_owned(),
        data: vec![number].into(),
        timestamp: u64::from(number),
    };
    let events = vec![event(1, None), event(2, Some(vec![1; 32].into()))];
    host.set_descendant("with", Some(&[7]), events.clone());
    host.set_descendant("without", None, Vec::new());
    let state =
        |id: &str| block_on(host.call::<_, Result<Option<Bytes>, String>>(&parent, "get-child-state", &(id,))).unwrap();
    assert_eq!((state("with"), state("without")), (Ok(Some(vec![7].into())), Ok(None)));
    let read = |id: &str| {
        block_on(host.call::<_, Result<Vec<host::ChainEvent>, String>>(&parent, "get-child-events", &(id,))).unwrap()
    };
    assert_eq!((read("with"), read("without")), (Ok(events), Ok(Vec::new())));
}

#[test]
fn a_function_that_waits_is_err_at_once_when_the_actor_is_being_stopped() {
    let host = FakeHost::new();
    let parent = attached(&host, json!({}));
    host.set_child_answers(|_| Ok(String::new()));
    host.stop();
    let spawned: Id = block_on(host.call(&parent, "spawn", &("a.toml", None::<Bytes>))).unwrap();
    let restarted: Nothing = block_on(host.call(&parent, "restart-child", &("a",))).unwrap();
    assert!(spawned.unwrap_err().contains("being stopped"));
    assert!(restarted.unwrap_err().contains("being stopped"));
    assert!(run(poll_once(host.next_done())).is_none(), "it was carried out");
}

#[test]
fn a_stop_interrupts_a_wait_with_err() {
    let host = FakeHost::new();
    let parent = attached(&host, json!({}));
    let call = host.caller();
    let waited = block_on(async {
        let wait = parent.unless_stopped(&call, "the wait", std::future::pending::<Nothing>());
        let stop = async {
            host.stop();
            std::future::pending().await
        };
        futures_lite::future::or(wait, stop).await
    });
    assert!(waited.unwrap_err().contains("the wait was interrupted"));
}

// --- the watch ------------------------------------------------------------------------------------------------------

#[test]
// [sup-14] [sup-15] [sup-16] [sup-20]
fn each_way_to_end_is_told_by_its_handler() {
    let (host, _parent) = started(json!({}));
    let data = Some(Bytes::from("bye"));
    for (ending, export, params) in [
        (Ending::Exit(data.clone()), EXIT, encoding::encode(&("a", &data)).unwrap()),
        (Ending::Exit(None), EXIT, encoding::encode(&("a", None::<Bytes>)).unwrap()),
        (Ending::Stopped, STOP, encoding::encode(&("a",)).unwrap()),
        (
            Ending::Failed { kind: FailureKind::Timeout, causes: "ä: b".to_owned() },
            ERROR,
            // The case number of operation-timeout, then `some` text.
            encoding::encode(&("a", 0_u8, Some("ä: b"))).unwrap(),
        ),
    ] {
        host.child_ended(ended("a", ending));
        let called = next_call(&host);
        assert_eq!((called.export, &called.params), (export, &params));
        assert_eq!((called.way, called.from), (Way::First, None));
        assert!(called.cause.starts_with("child name of a (a) "), "{}", called.cause);
        assert_eq!(next_done(&host), Done::Released("a".to_owned()));
    }
}

#[test]
// [sup-19] [sup-20]
fn each_kind_of_failure_has_its_error_type() {
    let (host, _parent) = started(json!({}));
    for (kind, expected) in [
        (FailureKind::Timeout, WitErrorType::OperationTimeout),
        (FailureKind::FunctionNotFound, WitErrorType::FunctionNotFound),
        (FailureKind::TypeMismatch, WitErrorType::TypeMismatch),
        (FailureKind::Serialization, WitErrorType::SerializationError),
        (FailureKind::ShuttingDown, WitErrorType::ShuttingDown),
        (FailureKind::Internal, WitErrorType::Internal),
    ] {
        host.child_ended(ended("a", Ending::Failed { kind, causes: format!("{kind:?}") }));
        let (_, error): (String, WitActorError) = encoding::decode(&next_call(&host).params).unwrap();
        assert_eq!(error.error_type, expected);
        assert_eq!(error.data, Some(Bytes::from(format!("{kind:?}"))));
    }
}

#[test]
// [sup-12]
fn a_thousand_children_that_fail_at_once_give_exactly_a_thousand_notifications() {
    let (host, _parent) = started(json!({}));
    let children: Vec<_> = (0..1_000).map(|number| format!("child {number}")).collect();
    for child in &children {
        host.child_ended(failed(child));
    }
    let names: Vec<_> = children.iter().map(|_| told(&next_call(&host))).collect();
    assert_eq!(names, children);
    for child in &children {
        assert_eq!(next_done(&host), Done::Released(child.clone()));
    }
    // There are no further notifications for them: the next one is for another child.
    host.child_ended(failed("the last"));
    assert_eq!(told(&next_call(&host)), "the last");
}

#[test]
// [sup-12] [sup-23]
fn deaths_are_told_also_when_the_failure_has_gone_up() {
    let (host, _parent) = started(json!({ "restart": "always" }));
    let children: Vec<_> = (0..1_000).map(|number| format!("child {number}")).collect();
    for child in &children {
        host.child_ended(failed(child));
    }
    let names: Vec<_> = children.iter().map(|_| told(&next_call(&host))).collect();
    assert_eq!(names, children);
    let (restarted, released): (Vec<_>, Vec<_>) =
        children.iter().map(|_| next_done(&host)).partition(|done| matches!(done, Done::Restarted(_)));
    assert_eq!((restarted.len(), released.len()), (3, 997));
    let sentence = host.failed().unwrap();
    for part in ["name of child 3", "restart 4 within 5000 ms", "max_restarts = 3"] {
        assert!(sentence.contains(part), "{part}: {sentence}");
    }
}

#[test]
// [sup-17] [sup-7]
fn a_death_is_told_before_anything_else_happens_to_the_child() {
    let host = FakeHost::new();
    let order = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&order);
    host.set_exports(&[ERROR, EXIT], move |_, _| {
        log.lock().unwrap().push("told".to_owned());
        encoded(&())
    });
    let log = Arc::clone(&order);
    host.set_child_answers(move |done| {
        log.lock().unwrap().push(format!("{done:?}"));
        Ok(String::new())
    });
    let parent = attached(&host, json!({ "restart": "on-failure" }));
    block_on(parent.started(false)).unwrap();
    for _ in 0..3 {
        host.child_ended(failed("a"));
        assert_eq!(next_done(&host), Done::Restarted("a".to_owned()));
        host.child_ended(ended("a", Ending::Exit(None)));
        assert_eq!(next_done(&host), Done::Released("a".to_owned()));
    }
    let expected = ["told", "Restarted(\"a\")", "told", "Released(\"a\")"].repeat(3);
    assert_eq!(*order.lock().unwrap(), expected);
    assert_eq!(host.metric("restarts"), Some(3.0));
}

#[test]
// [sup-21]
fn a_child_that_somebody_stopped_stays_stopped_under_every_strategy() {
    for restart in ["never", "on-failure", "always"] {
        let (host, _parent) = started(json!({ "restart": restart }));
        host.child_ended(ended("a", Ending::Stopped));
        assert_eq!(next_done(&host), Done::Released("a".to_owned()));
        assert_eq!(next_call(&host).export, STOP);
    }
}

#[test]
// [sup-12] [sup-17]
fn a_slow_start_of_one_child_delays_nobody_elses_news_or_start() {
    let (open, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let host = FakeHost::new();
    host.set_exports(&[ERROR], |_, _| encoded(&()));
    host.set_child_answers(move |done| {
        if *done == Done::Restarted("slow".to_owned()) {
            gate.lock().unwrap().recv().unwrap();
        }
        Ok(String::new())
    });
    let parent = attached(&host, json!({ "restart": "always" }));
    block_on(parent.started(false)).unwrap();
    for child in ["slow", "fast"] {
        host.child_ended(failed(child));
        assert_eq!(told(&next_call(&host)), child);
    }
    assert_eq!(next_done(&host), Done::Restarted("fast".to_owned()));
    open.send(()).unwrap();
    assert_eq!(next_done(&host), Done::Restarted("slow".to_owned()));
}

#[test]
// [sup-22] [sup-23]
fn a_child_whose_starts_keep_failing_is_given_up() {
    let (host, _parent) = started(json!({ "restart": "on-failure", "max_restarts": 2 }));
    host.set_child_answers(|done| match done {
        Done::Restarted(_) => Err("init failed".to_owned()),
        _ => Ok(String::new()),
    });
    for expected in [Done::Restarted("a".to_owned()), Done::Restarted("a".to_owned()), Done::Released("a".to_owned())] {
        host.child_ended(failed("a"));
        assert_eq!(told(&next_call(&host)), "a");
        assert_eq!(next_done(&host), expected);
    }
    // The failure is reported right after the release, so before the next death is handled.
    host.child_ended(failed("b"));
    assert_eq!(next_done(&host), Done::Released("b".to_owned()));
    assert!(host.failed().unwrap().contains("restart 3"));
}

#[test]
// [sup-25]
fn without_a_handler_the_strategy_still_holds() {
    for exports in [&[][..], &[EXIT, STOP][..]] {
        let (host, _parent) = started(json!({ "restart": "on-failure" }));
        host.set_exports(exports, |_, _| encoded(&()));
        host.child_ended(failed("a"));
        assert_eq!(next_done(&host), Done::Restarted("a".to_owned()));
        host.child_ended(ended("a", Ending::Exit(None)));
        assert_eq!(next_done(&host), Done::Released("a".to_owned()));
        assert!(host.lines().iter().all(|line| !line.message.contains("could not be notified")));
    }
}

#[test]
// [sup-13]
fn the_watch_ends_with_its_actor_and_starts_nobody_again() {
    let host = FakeHost::new();
    host.set_exports(&[ERROR], |_, _| Answer::with(GONE, "the actor is ending"));
    host.child_ended(failed("a"));
    let config = serde_json::from_value(json!({ "restart": "always" })).unwrap();
    let watch = crate::ChildWatcher::new(host.host(), crate::Strategy::new(&config, None));
    block_on(async {
        let end = async {
            assert!(host.next_call().await.is_ok());
            host.end();
            std::future::pending().await
        };
        futures_lite::future::or(watch.run(), end).await;
    });
    assert!(run(poll_once(host.next_done())).is_none(), "something was done with the child");
}

#[test]
// [sup-12]
fn a_death_that_cannot_be_recorded_at_the_moment_is_told_again() {
    let (host, _parent) = started(json!({}));
    let times = Arc::new(Mutex::new(0));
    host.set_exports(&[ERROR], move |_, _| {
        let mut times = times.lock().unwrap();
        *times += 1;
        if *times < 3 { Answer::with(GONE, "the journal cannot be written") } else { encoded(&()) }
    });
    host.child_ended(failed("a"));
    for _ in 0..3 {
        assert_eq!(told(&next_call(&host)), "a");
    }
    assert_eq!(next_done(&host), Done::Released("a".to_owned()));
}

#[test]
fn what_the_handler_makes_of_the_news_is_no_fault_of_the_watch() {
    let (host, _parent) = started(json!({}));
    for answer in [Answer::error("no"), Answer::with(TRAP, "unreachable")] {
        let (status, sentence) = (answer.status, answer.sentence());
        host.set_exports(&[ERROR], move |_, _| Answer::with(status, sentence.clone()));
        host.child_ended(failed("a"));
        assert_eq!(next_done(&host), Done::Released("a".to_owned()));
    }
    assert!(host.lines().is_empty(), "{:?}", host.lines());
}

// --- state and config -----------------------------------------------------------------------------------------------

#[test]
fn there_is_no_state_to_keep_and_a_resumed_actor_watches_again() {
    let (host, parent) = started(json!({}));
    assert_eq!(parent.export_state(), Ok(Vec::new()));
    assert_eq!(parent.import_state(&[]), Ok(()));
    host.recover(&parent, "spawn", &("a.toml", None::<Bytes>), &Ok::<_, String>("an id")).unwrap();
    assert!(run(poll_once(host.next_done())).is_none(), "a recorded start was repeated");
    let resumed = FakeHost::new();
    let parent = attached(&resumed, json!({}));
    block_on(parent.started(true)).unwrap();
    resumed.child_ended(failed("a"));
    assert_eq!(told(&next_call(&resumed)), "a");
}

#[test]
// [sup-21] [sup-22]
fn the_defaults_of_the_schema_are_those_of_the_plugin() {
    let schema: Value = serde_json::from_str(include_str!("../config.schema.json")).unwrap();
    let default = |key: &str| schema["properties"][key]["default"].clone();
    assert_eq!(default("restart"), "never");
    let narrowed = crate::strategy::narrow(&json!({}), &json!({})).unwrap();
    assert_eq!((&narrowed["max_restarts"], &narrowed["restart_window_ms"]), (&json!(3), &json!(5_000)));
    assert_eq!(default("max_component_bytes"), narrowed["max_component_bytes"]);
    assert_eq!(default("max_restarts"), narrowed["max_restarts"]);
    assert_eq!(default("restart_window_ms"), narrowed["restart_window_ms"]);
    let unknown = block_on(attach::<Supervisor>(&FakeHost::new(), "supervisor", json!({ "restart": "sometimes" })));
    assert!(unknown.err().unwrap().contains("sometimes"));
}
