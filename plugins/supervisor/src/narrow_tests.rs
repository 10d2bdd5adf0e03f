//! Random ceilings and configs: a narrowed config restarts a failing child no more often than either of the two would.
//! Which endings are followed by a restart is not a permission, and a ceiling's entries for certain names apply to
//! other children, so only a ceiling's numbers for all children count.
//!
//! The tests check "at most", not "exactly": narrowing takes the smaller number and the longer window, which both
//! allow.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use theater_plugin_api::testing::{Done, FakeHost, Pair, Seeded, block_on, pairs};
use theater_plugin_api::{Attachment, ChildEnd, Ending, FailureKind, Handler, Plugin};

use crate::{Parent, Supervisor};

const NAMES: [&str; 3] = ["a", "b", "c"];
const RESTARTS: [u64; 5] = [0, 1, 2, 3, 6];
const WINDOWS: [u64; 3] = [600_000, 700_000, 800_000];

/// A number of failures of a child, `apart_ms` apart, each followed by a restart.
#[derive(Debug)]
struct Act {
    child: &'static str,
    failures: u64,
    apart_ms: u64,
}

fn acts() -> Vec<Act> {
    let of = |child| {
        let each = move |failures| [0, 3_000, 250_000, 650_000].map(|apart_ms| Act { child, failures, apart_ms });
        (1..8).flat_map(each)
    };
    NAMES.into_iter().flat_map(of).collect()
}

fn numbers(choices: &mut Seeded) -> Map<String, Value> {
    let mut config = Map::new();
    for (key, of) in [("max_restarts", &RESTARTS[..]), ("restart_window_ms", &WINDOWS)] {
        let number = choices.pick(of);
        if !choices.one_in(3) {
            config.insert(key.to_owned(), json!(number));
        }
    }
    if !choices.one_in(4) {
        config.insert("restart".to_owned(), json!(choices.pick(&["never", "on-failure", "always", "always"])));
    }
    config
}

fn config(choices: &mut Seeded) -> Value {
    let mut config = numbers(choices);
    if !choices.one_in(3) {
        let children: Map<String, Value> =
            choices.some(&NAMES).into_iter().map(|name| (name.to_owned(), numbers(choices).into())).collect();
        config.insert("children".to_owned(), children.into());
    }
    Value::Object(config)
}

/// Like [`config`], but with a window long enough for a whole test. The default of 5 s may be too short on a busy
/// machine.
fn slow(choices: &mut Seeded) -> Value {
    let mut config = config(choices);
    if config.get("restart_window_ms").is_none() {
        config["restart_window_ms"] = json!(500_000);
    }
    config
}

/// The pair with only the ceiling's numbers for all children.
fn of_all(mut pair: Pair) -> Pair {
    if let Some(ceiling) = pair.ceiling.as_object_mut() {
        ceiling.remove("children");
        ceiling.insert("restart".to_owned(), json!("always"));
    }
    pair
}

/// The rule as specified: the keys of the entry for the child, and the keys for all children where it has none.
fn allows(config: &Value, act: &Act) -> bool {
    let entry = &config["children"][act.child];
    let of = |key: &str| entry.get(key).or_else(|| config.get(key));
    let number = |key: &str, default| of(key).map_or(default, |number| number.as_u64().unwrap());
    let (most, window) = (number("max_restarts", 3), number("restart_window_ms", 5_000));
    let within = window.checked_div(act.apart_ms).map_or(act.failures, |more| act.failures.min(more + 1));
    of("restart").is_some_and(|restart| restart != "never") && within <= most
}

#[test]
fn ten_thousand_pairs_allow_no_more_than_both_allow() {
    let (mut allowed, mut both, mut count) = (0, 0, 0);
    for pair in pairs(&Supervisor, "supervisor", 1, 10_000, config).map(of_all) {
        for act in acts() {
            count += 1;
            both += u32::from(pair.both(&act, allows));
            allowed += u32::from(pair.at_most(&act, allows));
        }
    }
    assert!(allowed > both * 9 / 10 && both < count / 2, "{allowed} of {both} of {count}");
}

#[test]
fn children_under_a_hundred_pairs_are_started_again_only_as_often_as_both_allow() {
    for pair in pairs(&Supervisor, "supervisor", 2, 100, slow).map(of_all) {
        for child in NAMES {
            let (host, _parent) = parent(&pair);
            for failures in 1..8 {
                let again = fails(&host, child);
                let both = pair.both(&Act { child, failures, apart_ms: 0 }, allows);
                assert_eq!(again, both, "failure {failures} of {child}: {pair:#?}");
                if !again {
                    break;
                }
            }
        }
        // All children in turn: whatever each one is allowed, together they stay within the ceiling.
        let (host, _parent) = parent(&pair);
        let together = NAMES.into_iter().cycle().take(24).filter(|child| fails(&host, child)).count() as u64;
        let most = pair.ceiling.get("max_restarts").map_or(3, |most| most.as_u64().unwrap());
        assert!(pair.ceiling.is_null() || together <= most, "{together} of {most}: {pair:#?}");
    }
}

/// A started parent with the narrowed config of a pair.
fn parent(pair: &Pair) -> (FakeHost, Arc<Parent>) {
    let host = FakeHost::new();
    host.set_child_answers(|_| Ok(String::new()));
    let (config, ceiling) = (pair.narrowed.clone(), pair.ceiling.clone());
    let attachment = Attachment { handler_type: "supervisor".to_owned(), config, ceiling };
    let parent = Arc::new(block_on(Supervisor.attach(host.host(), attachment)).unwrap());
    block_on(parent.started(false)).unwrap();
    (host, parent)
}

/// Lets a child fail and returns whether it is restarted.
fn fails(host: &FakeHost, child: &str) -> bool {
    let ending = Ending::Failed { kind: FailureKind::Internal, causes: "a trap".to_owned() };
    host.child_ended(ChildEnd { child: child.to_owned(), name: child.to_owned(), ending });
    let done = block_on(host.next_done()).unwrap();
    assert!([Done::Restarted(child.to_owned()), Done::Released(child.to_owned())].contains(&done), "{done:?}");
    done == Done::Restarted(child.to_owned())
}
