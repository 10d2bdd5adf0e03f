//! The behaviour of the fake host that tests of plugins rely on.

use std::time::Duration;

use crate::call_error::CallError;
use crate::host_types::{ChainEvent, Level};
use crate::testing::executor::{block_on, spawn, timeout, unbounded};
use crate::testing::fake_host::FakeHost;
use crate::testing::observed::{Called, Way};
use theater_encoding::uuid_text;
use theater_plugin_abi::Answer;

#[test]
fn a_stop_ends_the_wait_for_it() {
    block_on(async {
        let fake = FakeHost::new();
        let host = fake.host();
        let waiting = spawn(async move { host.cancelled().await });
        fake.stop();
        waiting.await;
        assert!(fake.caller().is_cancelled());
    });
}

#[test]
fn a_spawned_future_runs_until_it_is_aborted_or_the_actor_ends() {
    block_on(async {
        let fake = FakeHost::new();
        fake.set_exports(&[0], |_, params| Answer::ok(params.to_vec()));
        let host = fake.host();
        let inner = host.clone();
        host.spawn(async move {
            let answer: Result<u8, _> = inner.call(0, &[7], "a test").await;
            assert_eq!(answer, Ok(7));
            let absent: Result<u8, _> = inner.call(1, &[7], "a test").await;
            assert!(matches!(absent, Err(CallError::Absent(_))));
            inner.gauge("done", 1.0);
            panic!("on purpose");
        });
        let (from, way) = (None, Way::Call);
        let called = Called { export: 0, params: vec![7], cause: "a test".into(), from, way };
        assert_eq!(fake.next_call().await, Ok(called));
        assert_eq!(fake.next_call().await.unwrap().export, 1);
        let (sender, dropped) = unbounded::<()>();
        let forever = async move {
            std::future::pending::<()>().await;
            drop(sender);
        };
        host.spawn(forever).abort();
        assert!(dropped.recv().await.is_err());
        let (sender, dropped) = unbounded::<()>();
        host.spawn(async move {
            std::future::pending::<()>().await;
            drop(sender);
        });
        fake.end();
        assert!(dropped.recv().await.is_err());
        let gone: Result<u8, _> = host.call(0, &[7], "a test").await;
        assert!(matches!(gone, Err(CallError::Gone(_))));
    });
}

#[test]
fn a_wait_lasts_until_it_is_dropped() {
    let fake = FakeHost::new();
    fake.set_living(&["other"]);
    let waiting = fake.host().wait_for("other", "a test").unwrap();
    assert_eq!(fake.waits(), ["other"]);
    drop(waiting);
    assert!(fake.waits().is_empty());
    assert!(fake.host().wait_for(&fake.actor(), "a test").is_err());
    assert!(fake.host().wait_for("unknown", "a test").is_err());
}

#[test]
fn a_full_mailbox_accepts_only_calls_that_go_first() {
    block_on(async {
        let fake = FakeHost::new();
        fake.set_exports(&[0], |_, _| Answer::ok(Vec::new()));
        fake.fill();
        let host = fake.host();
        let invocation = || crate::messages::invocation::<()>(0, Vec::new(), |_| Ok(()));
        assert_eq!(host.post(invocation(), "first", None, true).await, Ok(()));
        let waiting = spawn({
            let host = host.clone();
            async move { host.post(invocation(), "waits", None, false).await }
        });
        assert_eq!(fake.next_call().await.unwrap().cause, "first");
        fake.make_room();
        assert_eq!(waiting.await, Ok(()));
        assert_eq!(fake.next_call().await.unwrap().cause, "waits");
    });
}

#[test]
fn a_call_that_waits_for_room_when_the_actor_ends_is_gone() {
    block_on(async {
        let fake = FakeHost::new();
        fake.set_exports(&[0], |_, _| Answer::ok(Vec::new()));
        fake.fill();
        let host = fake.host();
        let invocation = crate::messages::invocation::<()>(0, Vec::new(), |_| Ok(()));
        let mut waiting = Box::pin(host.post(invocation, "waits", None, false));
        assert!(timeout(Duration::ZERO, waiting.as_mut()).await.is_err(), "there is no room");
        fake.end();
        assert!(matches!(waiting.await, Err(CallError::Gone(_))));
    });
}

#[test]
fn an_actor_is_found_by_its_id_and_its_name() {
    let (fake, other) = (FakeHost::new(), FakeHost::new());
    other.set_name("other");
    fake.set_living(&[&other.actor()]);
    fake.set_named("other", &other.actor());
    fake.set_cause(Some(&other));
    assert_eq!(fake.host().find("other"), Ok(other.actor()));
    assert_eq!(fake.host().find(&other.actor()), Ok(other.actor()));
    assert_eq!(other.host().whose().unwrap().name, "other");
    assert_eq!(uuid_text(&fake.caller().context().cause_actor), other.actor());
}

#[test]
fn events_shutdown_lines_metrics_and_the_folder_are_there() {
    let fake = FakeHost::new();
    let event = |n| ChainEvent {
        hash: vec![n].into(),
        parent_hash: None,
        event_type: "wasm".into(),
        data: Vec::new().into(),
        timestamp: 0,
    };
    fake.set_events(vec![event(1), event(2), event(3)]);
    let host = fake.host();
    assert_eq!(block_on(host.newest_events(2)), Ok(vec![event(2), event(3)]));
    assert_eq!(host.shutdown(Some(b"bye")), Ok(()));
    assert!(host.shutdown(None).is_err());
    assert_eq!(fake.shut_down(), Some(Some(b"bye".to_vec())));
    host.log(Level::Warn, "careful");
    assert_eq!(fake.lines()[0].level, Level::Warn);
    host.count("n", 2.0);
    host.count("n", 2.0);
    assert_eq!(fake.metric("n"), Some(4.0));
    let folder = host.data_folder().unwrap();
    assert!(folder.is_dir());
    assert_eq!(host.whose().unwrap().actor, fake.actor());
    drop(fake);
    assert!(!folder.exists());
}
