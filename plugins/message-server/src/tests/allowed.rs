//! Tests of allow lists: which actors an actor may reach, and which may reach it.

use serde_json::{Value, json};

use super::{Actor, Program};
use crate::config::narrow;

fn three(configs: [Value; 3]) -> (Program, [Actor; 3]) {
    let program = Program::new();
    let [a, b, c] = configs;
    let actors = program.actors([("a", a), ("b", b), ("c", c)]);
    (program, actors)
}

/// Tries each way for `from` to reach `to`.
fn reached(from: &Actor, to: &str) -> [Result<(), String>; 3] {
    [from.send(to, b""), from.request(to, b"").map(drop), from.open(to, b"").map(drop)]
}

#[test]
// [msg-46]
fn without_lists_everyone_reaches_everyone() {
    let (_program, [a, b, _]) = three([json!({}), json!({}), json!({})]);
    assert_eq!(reached(&a, "b"), [Ok(()), Ok(()), Ok(())]);
    assert_eq!(reached(&b, &a.id()), [Ok(()), Ok(()), Ok(())]);
}

#[test]
// [msg-27] [msg-47] [msg-52]
fn an_actor_reaches_only_those_on_its_list() {
    let (_program, [a, b, c]) = three([json!({"allow_to": ["b"]}), json!({}), json!({"allow_to": []})]);
    assert_eq!(reached(&a, "b"), [Ok(()), Ok(()), Ok(())]);
    assert_eq!(reached(&a, &b.id()), [Ok(()), Ok(()), Ok(())]);
    for (from, to) in [(&a, "c"), (&c, "a"), (&c, "b")] {
        for refused in reached(from, to) {
            let sentence = refused.unwrap_err();
            assert!(sentence.contains(&format!("add {to:?} to allow_to")), "{sentence}");
        }
    }
    assert_eq!(reached(&b, "a"), [Ok(()), Ok(()), Ok(())], "the list limits whom it reaches, not who reaches it");
    assert!(c.is_idle());
}

#[test]
// [msg-27] [msg-47] [msg-52]
fn an_actor_is_reached_only_by_those_on_its_list() {
    let (_program, [a, b, c]) = three([json!({"allow_from": ["b"]}), json!({}), json!({"allow_from": []})]);
    assert_eq!(reached(&b, "a"), [Ok(()), Ok(()), Ok(())]);
    for (from, name, to) in [(&c, "c", "a"), (&a, "a", "c"), (&b, "b", "c")] {
        for refused in reached(from, to) {
            let sentence = refused.unwrap_err();
            assert!(sentence.contains(&format!("add {name:?} to allow_from")), "{sentence}");
        }
    }
    assert_eq!(reached(&a, "b"), [Ok(()), Ok(()), Ok(())], "the list limits who reaches it, not whom it reaches");
    assert!(c.is_idle());
}

#[test]
// [msg-27]
fn lists_name_actors_by_their_whole_id_too() {
    let program = Program::new();
    let [friend, stranger] = program.actors([("friend", json!({})), ("stranger", json!({}))]);
    let to = json!({"allow_to": [friend.id()], "allow_from": [friend.id()]});
    let short = json!({"allow_from": [friend.id()[..35], "frien"]});
    let [listing, starts] = program.actors([("listing", to), ("starts", short)]);
    program.acquaint(&[&friend, &stranger, &listing, &starts].map(|actor| &actor.host));
    assert_eq!(reached(&listing, "friend"), [Ok(()), Ok(()), Ok(())]);
    assert_eq!(reached(&friend, "listing"), [Ok(()), Ok(()), Ok(())]);
    assert!(reached(&listing, "stranger").iter().all(Result::is_err));
    assert!(reached(&stranger, "listing").iter().all(Result::is_err));
    assert!(reached(&friend, "starts").iter().all(Result::is_err), "a part of a name or id is neither");
}

#[test]
// [msg-27] [msg-46]
fn a_channel_that_was_allowed_goes_both_ways() {
    let (_program, [a, b, _]) = three([json!({"allow_from": []}), json!({"allow_to": []}), json!({})]);
    let channel = a.open("b", b"").unwrap();
    assert_eq!(b.say(&channel, b"an answer"), Ok(()));
    assert!(b.send("a", b"").is_err());
}

#[test]
// [msg-51]
fn a_child_reaches_and_is_reached_by_whom_both_lists_have() {
    let (ceiling, requested) = (json!(["a", "b"]), json!(["b", "c"]));
    for key in ["allow_from", "allow_to"] {
        for (above, below, left) in [
            (Some(&ceiling), Some(&requested), Some(json!(["b"]))),
            (Some(&ceiling), None, Some(ceiling.clone())),
            (None, Some(&requested), Some(requested.clone())),
            (None, None, None),
        ] {
            let config = |list: Option<&Value>| list.map_or(json!({}), |list| json!({ key: list }));
            let narrowed = narrow(&config(above), &config(below)).unwrap();
            assert_eq!(narrowed.get(key), left.as_ref(), "{above:?} {below:?}");
            let other = if key == "allow_to" { "allow_from" } else { "allow_to" };
            assert_eq!(narrowed.get(other), None);
        }
        assert_eq!(narrow(&Value::Null, &json!({ key: ["x"] })).unwrap()[key], json!(["x"]));
        for (above, below) in [(json!({ key: "a" }), json!({})), (json!({}), json!({ key: 1 }))] {
            assert_eq!(narrow(&above, &below), Err(format!("{key} is not a list")));
        }
    }
}
