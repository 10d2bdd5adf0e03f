//! Tests of the plugin with a fake host: no core, no component, no files.

use std::sync::Arc;

use futures_lite::future::or;
use serde_json::{Value, json};
use theater_plugin_api::abi::encoded;
use theater_plugin_api::encoding::{decode, encode};
use theater_plugin_api::testing::{FakeHost, attach, attach_to, block_on};
use theater_plugin_api::{Handler, Host, Level, Plugin};

use crate::Greeters;
use crate::acme::greeter::hello::{Fault, Marks, Occasion, Person, Tone};
use crate::hello::Greeter;

type Answer<T> = Result<T, String>;

fn person(name: &str) -> Person {
    Person {
        name: name.into(),
        initial: name.chars().next().unwrap_or('?'),
        age: 36,
        height: 1.65,
        born: -4_853_520_000,
        tags: vec![vec!["mathematician".into()], vec![]],
        tone: Tone::Warm,
        marks: Marks::empty(),
    }
}

fn greeter(host: &FakeHost, config: Value) -> Arc<Greeter> {
    block_on(attach::<Greeters>(host, "acme:greeter", config)).unwrap()
}

/// Creates the started greeter of an actor that exports `visitor`.
fn started(host: &FakeHost) -> Arc<Greeter> {
    host.set_exports(&[0, 1], |export, _| match export {
        0 => encoded(&()),
        _ => encoded(&("Come in!",)),
    });
    let greeter = greeter(host, json!({}));
    block_on(greeter.started(false)).unwrap();
    greeter
}

fn greet(config: Value, who: Person, on: Occasion) -> Answer<String> {
    let host = FakeHost::new();
    let greeting = block_on(host.call(&greeter(&host, config), "greet", &(who, on))).unwrap();
    assert_eq!(host.metric("greetings"), if Answer::is_ok(&greeting) { Some(1.0) } else { None });
    greeting
}

fn number(host: &FakeHost, greeter: &Arc<Greeter>, function: &str) -> u64 {
    block_on(host.call(greeter, function, &())).unwrap()
}

#[test]
fn a_greeting_has_the_words_of_config_tone_and_occasion() {
    let ada = || person("Ada");
    let plain = Person { tone: Tone::Plain, ..ada() };
    assert_eq!(greet(json!({}), plain, Occasion::PlainDay).unwrap(), "Hello, Ada!");
    let birthday = greet(json!({ "greeting": "Moin" }), ada(), Occasion::Birthday(36)).unwrap();
    assert_eq!(birthday, "Moin, dear Ada! Happy birthday number 36!");
    let wedding = Occasion::Wedding((person("Eve"), person("Örs")));
    assert_eq!(greet(json!({}), ada(), wedding).unwrap(), "Hello, dear Ada! To Eve and Örs!");
    let formal = Person { tone: Tone::Formal, ..ada() };
    let other = greet(json!({ "polite": true }), formal, Occasion::Other("spring".into())).unwrap();
    assert_eq!(other, "Hello, most honoured Ada! The reason: spring.");
}

#[test]
fn marks_add_up() {
    let marks = Marks::SHOUT | Marks::REPEAT | Marks::UNDERLINE | Marks::SMILE | Marks::CLAP;
    let who = Person { tone: Tone::Plain, marks, ..person("Ada") };
    let once = "HELLO, ADA! *SMILE, CLAP*";
    let expected = format!("{once} {once}\n{}", "-".repeat(2 * once.len() + 1));
    assert_eq!(greet(json!({}), who, Occasion::PlainDay).unwrap(), expected);
}

#[test]
fn who_cannot_be_greeted_gets_a_sentence_that_says_why() {
    let refused = |config, who, on| greet(config, who, on).unwrap_err();
    assert!(refused(json!({}), person(""), Occasion::PlainDay).contains("without a name"));
    let initial = Person { initial: 'B', ..person("Ada") };
    assert_eq!(refused(json!({}), initial, Occasion::PlainDay), "the initial of Ada is 'A', not 'B'");
    let wedding = Occasion::Wedding((person("Eve"), person("Ben")));
    assert!(refused(json!({ "max_names": 2 }), person("Ada"), wedding).contains("max_names = 3"));
    let formal = Person { tone: Tone::Formal, ..person("Ada") };
    assert!(refused(json!({}), formal, Occasion::PlainDay).contains("polite = true"));
}

#[test]
fn a_blank_greeting_fails_the_start() {
    let config = json!({ "greeting": " " });
    let error = block_on(attach::<Greeters>(&FakeHost::new(), "acme:greeter", config)).err().unwrap();
    assert!(error.contains("greeting is blank"), "{error}");
}

#[test]
fn a_late_greeting_comes_and_a_stop_interrupts_it() {
    let host = FakeHost::new();
    let greeter = greeter(&host, json!({}));
    let later: Answer<String> = block_on(host.call(&greeter, "greet-later", &(person("Ada"), 1_u64))).unwrap();
    assert_eq!(later.unwrap(), "Hello, dear Ada!");
    let interrupted: Answer<String> = block_on(async {
        let stop = async {
            host.stop();
            std::future::pending().await
        };
        or(host.call(&greeter, "greet-later", &(person("Ada"), 3_600_000_u64)), stop).await.unwrap()
    });
    assert!(interrupted.unwrap_err().contains("interrupted"));
}

#[test]
fn numbers_of_every_kind_arrive() {
    let host = FakeHost::new();
    let greeter = greeter(&host, json!({}));
    let mean: f64 = block_on(host.call(&greeter, "average", &([1.0, 2.0, 6.0].to_vec(),))).unwrap();
    assert_eq!(mean, 3.0);
    let none: f64 = block_on(host.call(&greeter, "average", &(Vec::<f64>::new(),))).unwrap();
    assert!(none.is_nan());
    let first = (true, u8::MAX, i8::MIN, u16::MAX, i16::MIN, u32::MAX, i32::MIN, u64::MAX, i64::MIN, 0.5_f32);
    let last = (-0.25_f64, '🎭', 13_u32, 14_u32, 15_u32, 16_u32, 17_u32, 18_u32, 19_u32, "twenty");
    // Nested tuples are encoded as the sequence of their fields, like parameters.
    let mixed: String = block_on(host.call(&greeter, "mix", &(first, last))).unwrap();
    let expected = "true 255 -128 65535 -32768 4294967295 -2147483648 18446744073709551615 -9223372036854775808 \
                    0.5 -0.25 🎭 13 14 15 16 17 18 19 twenty";
    assert_eq!(mixed, expected);
}

#[test]
fn calls_are_counted_per_actor_and_per_process() {
    let (one, other) = (FakeHost::new(), FakeHost::new());
    let plugin = Greeters::init(one.host()).unwrap();
    let attach = |host: &FakeHost| block_on(attach_to(&plugin, host, "acme:greeter", json!({}))).unwrap();
    let (first, second) = (attach(&one), attach(&other));
    assert_eq!((number(&one, &first, "count"), number(&one, &first, "count")), (1, 2));
    assert_eq!(number(&other, &second, "count"), 1);
    assert_eq!(number(&other, &second, "total"), 4);
    let owner: String = block_on(other.call(&second, "owner", &())).unwrap();
    assert_eq!(owner, other.actor());
}

#[test]
fn ticks_are_numbered_and_a_new_rhythm_replaces_the_old_one() {
    let host = FakeHost::new();
    let greeter = started(&host);
    block_on(async {
        let forever: Answer<()> = host.call(&greeter, "start-ticks", &(3_600_000_u64,)).await.unwrap();
        let often: Answer<()> = host.call(&greeter, "start-ticks", &(1_u64,)).await.unwrap();
        assert_eq!((forever, often), (Ok(()), Ok(())));
        for number in 1..=3_u64 {
            let tick = host.next_call().await.unwrap();
            assert_eq!((tick.export, decode(&tick.params)), (0, Ok((number,))));
        }
        let never: Answer<()> = host.call(&greeter, "start-ticks", &(0_u64,)).await.unwrap();
        assert!(never.unwrap_err().contains("not every 0"));
    });
}

#[test]
fn what_is_asked_for_before_the_actor_is_ready_waits_until_it_is() {
    let host = FakeHost::new();
    host.set_exports(&[0, 1], |_, _| encoded(&("Come in!",)));
    let early = greeter(&host, json!({}));
    block_on(async {
        let visit: Answer<String> = host.call(&early, "visit", &(person("Ada"),)).await.unwrap();
        assert_eq!(visit.unwrap(), "Ada is on the way");
        early.started(false).await.unwrap();
        let call = host.next_call().await.unwrap();
        assert_eq!((call.export, decode(&call.params)), (1, Ok((person("Ada"),))));
    });
}

#[test]
fn a_visit_calls_the_actor_and_its_answer_is_logged() {
    let host = FakeHost::new();
    let greeter = started(&host);
    block_on(async {
        let visit: Answer<String> = host.call(&greeter, "visit", &(person("Ada"),)).await.unwrap();
        assert_eq!(visit.unwrap(), "Ada is on the way");
        let line = host.next_line().await.unwrap();
        assert_eq!((line.level, line.message.as_str()), (Level::Info, "Ada was told: Come in!"));
    });
}

#[test]
fn an_actor_that_exports_no_visitor_gets_err() {
    let host = FakeHost::new();
    let greeter = greeter(&host, json!({}));
    let ticks: Answer<()> = block_on(host.call(&greeter, "start-ticks", &(1_u64,))).unwrap();
    let visit: Answer<String> = block_on(host.call(&greeter, "visit", &(person("Ada"),))).unwrap();
    for error in [ticks.unwrap_err(), visit.unwrap_err()] {
        assert!(error.contains("does not export acme:greeter/visitor"), "{error}");
    }
}

#[test]
fn waiting_for_an_actor_ends_with_it_and_a_circle_is_err() {
    let host = FakeHost::new();
    let greeter = greeter(&host, json!({}));
    host.set_living(&["other"]);
    let wait = |actor: String| {
        let (host, greeter) = (&host, &greeter);
        async move { host.call::<_, Answer<()>>(greeter, "wait-for", &(actor,)).await.unwrap() }
    };
    block_on(async {
        assert!(wait(host.actor()).await.unwrap_err().contains("itself"));
        let end = async {
            assert_eq!(host.waits(), ["other"]);
            host.set_living(&[]);
            std::future::pending().await
        };
        assert_eq!(or(wait("other".into()), end).await, Ok(()));
        assert!(host.waits().is_empty());
    });
}

#[test]
fn fail_goes_wrong_in_the_ways_that_can_be() {
    let host = FakeHost::new();
    let greeter = greeter(&host, json!({}));
    let fail = |how: Fault| block_on(host.call::<_, Answer<()>>(&greeter, "fail", &(how,)));
    assert!(fail(Fault::Panic).unwrap_err().contains("asked to panic"));
    assert!(fail(Fault::Error).unwrap().is_err());
    assert!(fail(Fault::WrongBytes).unwrap().unwrap_err().contains("cannot be made"));
    assert_eq!(number(&host, &greeter, "count"), 4);
}

#[test]
fn a_resumed_actor_has_its_count_and_its_ticks() {
    let (before, after) = (FakeHost::new(), FakeHost::new());
    let old = started(&before);
    let ticking: Answer<()> = block_on(before.call(&old, "start-ticks", &(3_600_000_u64,))).unwrap();
    assert_eq!(ticking, Ok(()));
    after.set_exports(&[0], |_, _| encoded(&()));
    let new = greeter(&after, json!({}));
    new.import_state(&old.export_state().unwrap()).unwrap();
    after.recover(&new, "start-ticks", &(1_u64,), &Ok::<(), String>(())).unwrap();
    after.recover(&new, "start-ticks", &(0_u64,), &Err::<(), _>("no")).unwrap();
    block_on(async {
        new.started(true).await.unwrap();
        assert_eq!(after.next_line().await.unwrap().message, "resumed after 3 calls");
        assert_eq!(after.next_call().await.unwrap().params, encode(&1_u64).unwrap());
    });
    assert_eq!(number(&after, &new, "count"), 4);
    assert!(new.import_state(&[1]).unwrap_err().contains("not a greeter's state"));
}

#[test]
fn a_child_gets_no_more_than_its_parent_has() {
    let plugin = |host: Host| Greeters::init(host).unwrap();
    let narrow = |ceiling, requested| plugin(FakeHost::new().host()).narrow("acme:greeter", &ceiling, &requested);
    let requested = json!({ "greeting": "Hi", "max_names": 9, "polite": true });
    assert_eq!(narrow(json!({}), requested.clone()), Ok(json!({ "greeting": "Hi", "max_names": 3, "polite": false })));
    assert_eq!(narrow(Value::Null, requested.clone()), Ok(requested));
}
