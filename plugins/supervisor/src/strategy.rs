//! Decides whether a child that ended is restarted. Pure logic: it uses neither the core nor a clock.
//!
//! As in Erlang/OTP (`supervisor`, "Maximum Restart Intensity"), restarts are counted per supervisor, not per child.
//! When more than `max_restarts` of them fall within `restart_window_ms`, the supervisor itself fails, and its own
//! supervisor decides what to do. An entry of `children` that sets its own limits has its own count for the children it
//! applies to.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Map, Value};
use theater_plugin_api::narrow::{self, Rule};
use theater_plugin_api::{ChildEnd, Ending, FailureKind};

use crate::pattern::Pattern;

const MAX_RESTARTS: u64 = 3;
const RESTART_WINDOW_MS: u64 = 5_000;
const MAX_COMPONENT_BYTES: u64 = 256 * 1024 * 1024;

/// Which endings are followed by a restart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// None.
    #[default]
    Never,
    /// Failures.
    OnFailure,
    /// Failures and the child's own shutdown.
    Always,
}

impl Restart {
    /// Whether a child with this ending is restarted. A child that was stopped, even while it was starting, never is:
    /// the stop was intended.
    fn follows(self, ending: &Ending) -> bool {
        match ending {
            Ending::Stopped | Ending::Failed { kind: FailureKind::ShuttingDown, .. } => false,
            Ending::Failed { .. } => self != Self::Never,
            Ending::Exit(_) => self == Self::Always,
        }
    }
}

/// The handler's config; `config.schema.json` says what each key means.
#[derive(Debug, Deserialize)]
#[serde(default)]
pub struct Config {
    restart: Restart,
    max_restarts: u64,
    restart_window_ms: u64,
    children: BTreeMap<String, ChildOverrides>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            restart: Restart::Never,
            max_restarts: MAX_RESTARTS,
            restart_window_ms: RESTART_WINDOW_MS,
            children: BTreeMap::new(),
        }
    }
}

/// Overrides for the children that a pattern matches.
#[derive(Debug, Default, Deserialize)]
#[serde(default, expecting = "an object with restart, max_restarts and restart_window_ms")]
struct ChildOverrides {
    restart: Option<Restart>,
    max_restarts: Option<u64>,
    restart_window_ms: Option<u64>,
}

/// The part of `requested` that `ceiling` allows.
///
/// Which endings lead to a restart is not a permission: it only concerns the actor's own children. How often is one,
/// since each restart costs resources: the smaller number of restarts applies, and the longer window, which
/// allows fewer of them over time. The ceiling's numbers for all children bound each entry of `children`, and
/// [`Strategy`] bounds the sum of all entries by them. The ceiling's own entries are ignored, since they apply to other
/// children. What a child may do is narrowed by the plugins of its handlers.
///
/// # Errors
/// An error message that names the key whose value has the wrong type.
pub fn narrow(ceiling: &Value, requested: &Value) -> Result<Value, String> {
    if ceiling.is_null() {
        return Ok(requested.clone());
    }
    let rules: Vec<_> = RULES.into_iter().chain(FILES).collect();
    let mut narrowed = narrow::object(&rules, ceiling, requested)?;
    if let (Some(children), Some(keys)) = (requested.get("children"), narrowed.as_object_mut()) {
        keys.insert("children".to_owned(), narrow_children(ceiling, children)?);
    }
    Ok(narrowed)
}

const RULES: [(&str, Rule); 3] = [
    ("restart", Rule::Free),
    ("max_restarts", Rule::Smaller(MAX_RESTARTS)),
    ("restart_window_ms", Rule::Larger(RESTART_WINDOW_MS)),
];

/// Keys that the core reads from this config (service `theater.children`): which files this actor may name.
const FILES: [(&str, Rule); 3] =
    [("paths", Rule::Paths), ("state_paths", Rule::Paths), ("max_component_bytes", Rule::Smaller(MAX_COMPONENT_BYTES))];

fn narrow_children(ceiling: &Value, children: &Value) -> Result<Value, String> {
    let children = children.as_object().ok_or("children is not a table")?;
    let narrowed = children.iter().map(|(pattern, entry)| {
        let entry = narrow_entry(ceiling, entry).map_err(|sentence| format!("children.{pattern:?}: {sentence}"))?;
        Ok((pattern.clone(), entry))
    });
    narrowed.collect::<Result<Map<_, _>, String>>().map(Value::Object)
}

/// A number that the entry does not set stays missing: the one for all children applies.
fn narrow_entry(ceiling: &Value, entry: &Value) -> Result<Value, String> {
    let there: Vec<_> = RULES.into_iter().filter(|(key, _)| entry.get(key).is_some()).collect();
    narrow::object(&there, ceiling, entry)
}

/// What happens to a child that ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is released and not restarted.
    LetGo,
    /// It is restarted.
    StartAgain,
    /// It is released, and its parent fails with this message.
    GiveUp(String),
}

/// A sliding window of restarts.
#[derive(Debug)]
struct Intensity {
    most: u64,
    window: Duration,
    /// Times of the restarts within the window, oldest first.
    restarts: VecDeque<Instant>,
}

impl Intensity {
    fn new(most: u64, window_ms: u64) -> Self {
        Self { most, window: Duration::from_millis(window_ms), restarts: VecDeque::new() }
    }

    /// Counts a restart at `now`, which must not be before the previous one.
    ///
    /// # Errors
    /// If there are too many restarts within the window: their number, including this one.
    fn count(&mut self, now: Instant) -> Result<(), u64> {
        let window = self.window;
        self.restarts.retain(|at| now.saturating_duration_since(*at) <= window);
        self.restarts.push_back(now);
        let number = u64::try_from(self.restarts.len()).unwrap_or(u64::MAX);
        if number > self.most { Err(number) } else { Ok(()) }
    }
}

/// An entry of `children`: a pattern, and the settings for the children it matches.
#[derive(Debug)]
struct Entry {
    pattern: Pattern,
    restart: Restart,
    /// The count of this entry, if it sets its own limits.
    own: Option<Intensity>,
}

impl Entry {
    fn new(pattern: &str, some: &ChildOverrides, config: &Config) -> Self {
        let (most, window_ms) = (some.max_restarts, some.restart_window_ms);
        let own = (most.is_some() || window_ms.is_some()).then(|| {
            Intensity::new(most.unwrap_or(config.max_restarts), window_ms.unwrap_or(config.restart_window_ms))
        });
        Self { pattern: Pattern::new(pattern), restart: some.restart.unwrap_or(config.restart), own }
    }
}

/// Decides about each death and counts restarts.
#[derive(Debug)]
pub struct Strategy {
    restart: Restart,
    intensity: Intensity,
    entries: Vec<Entry>,
    /// The count of all restarts, including those of `entries`, if there is a ceiling.
    bound: Option<Intensity>,
    given_up: bool,
}

impl Strategy {
    /// Creates a strategy that has counted no restarts. No matter how many entries of `config` set their own limits,
    /// the restarts of all children together stay within the limits of `ceiling`.
    pub fn new(config: &Config, ceiling: Option<&Config>) -> Self {
        Self {
            restart: config.restart,
            intensity: Intensity::new(config.max_restarts, config.restart_window_ms),
            entries: config.children.iter().map(|(pattern, some)| Entry::new(pattern, some, config)).collect(),
            bound: ceiling.map(|ceiling| Intensity::new(ceiling.max_restarts, ceiling.restart_window_ms)),
            given_up: false,
        }
    }

    /// Decides about a death that was reported at `now`. After the first [`Decision::GiveUp`] every child is released.
    pub fn decide(&mut self, end: &ChildEnd, now: Instant) -> Decision {
        let matching = self.entries.iter_mut().filter(|entry| entry.pattern.matches(&end.name));
        let closest = matching.reduce(|one, other| if other.pattern.rank() < one.pattern.rank() { other } else { one });
        let (restart, own) = closest.map_or((self.restart, None), |entry| (entry.restart, entry.own.as_mut()));
        if self.given_up || !restart.follows(&end.ending) {
            return Decision::LetGo;
        }
        for intensity in [Some(own.unwrap_or(&mut self.intensity)), self.bound.as_mut()].into_iter().flatten() {
            if let Err(number) = intensity.count(now) {
                self.given_up = true;
                return Decision::GiveUp(too_many(end, number, intensity));
            }
        }
        Decision::StartAgain
    }
}

fn too_many(end: &ChildEnd, number: u64, intensity: &Intensity) -> String {
    let ChildEnd { child, name, ending } = end;
    let why = match ending {
        Ending::Failed { causes, .. } => format!("failed ({causes})"),
        _ => "ended".to_owned(),
    };
    format!(
        "the child {name} ({child}) {why} and is not started again: that would be restart {number} within {} ms, and \
         max_restarts = {}",
        intensity.window.as_millis(),
        intensity.most
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn strategy(config: Value) -> Strategy {
        Strategy::new(&serde_json::from_value(config).unwrap(), None)
    }

    fn failed(name: &str) -> ChildEnd {
        let ending = Ending::Failed { kind: FailureKind::Internal, causes: "a trap".to_owned() };
        ChildEnd { child: "an-id".to_owned(), name: name.to_owned(), ending }
    }

    fn ended(ending: Ending) -> ChildEnd {
        ChildEnd { ending, ..failed("worker") }
    }

    /// The decisions for failures of these names at these milliseconds: `r`estarted, `l`et go, given `u`p.
    fn decided(strategy: &mut Strategy, deaths: &[(&str, u64)]) -> String {
        let start = Instant::now();
        let one = |(name, ms): &(&str, u64)| match strategy.decide(&failed(name), start + Duration::from_millis(*ms)) {
            Decision::StartAgain => 'r',
            Decision::LetGo => 'l',
            Decision::GiveUp(_) => 'u',
        };
        deaths.iter().map(one).collect()
    }

    #[test]
    // [sup-21]
    fn each_strategy_starts_again_after_its_endings_only() {
        let endings = [
            Ending::Failed { kind: FailureKind::Timeout, causes: String::new() },
            Ending::Exit(None),
            Ending::Stopped,
            Ending::Failed { kind: FailureKind::ShuttingDown, causes: String::new() },
        ];
        for (restart, expected) in [
            (None, [false; 4]),
            (Some("never"), [false; 4]),
            (Some("on-failure"), [true, false, false, false]),
            (Some("always"), [true, true, false, false]),
        ] {
            let config = restart.map_or(json!({}), |restart| json!({ "restart": restart }));
            let again = endings
                .clone()
                .map(|ending| strategy(config.clone()).decide(&ended(ending), Instant::now()) == Decision::StartAgain);
            assert_eq!(again, expected, "{restart:?}");
        }
    }

    #[test]
    // [sup-22] [sup-23]
    fn more_than_three_restarts_within_five_seconds_are_too_many() {
        let mut all = strategy(json!({ "restart": "always" }));
        assert_eq!(decided(&mut all, &[("a", 0), ("b", 1), ("c", 2), ("d", 5_000)]), "rrru");
    }

    #[test]
    // [sup-22]
    fn entries_together_are_held_to_the_numbers_of_a_ceiling() {
        let ceiling = serde_json::from_value(json!({ "max_restarts": 3, "restart_window_ms": 100 })).unwrap();
        let entry = json!({ "max_restarts": 2 });
        let config = json!({ "restart": "always", "children": { "a": entry, "b": entry, "c": entry } });
        let config = serde_json::from_value(config).unwrap();
        let deaths = [("a", 0), ("b", 0), ("c", 0), ("d", 0), ("a", 1)];
        assert_eq!(decided(&mut Strategy::new(&config, None), &deaths), "rrrrr");
        assert_eq!(decided(&mut Strategy::new(&config, Some(&ceiling)), &deaths), "rrrul");
        let later = [("a", 0), ("b", 0), ("c", 0), ("d", 101)];
        assert_eq!(decided(&mut Strategy::new(&config, Some(&ceiling)), &later), "rrrr");
    }

    #[test]
    // [sup-22]
    fn a_restart_counts_up_to_the_end_of_the_window() {
        let config = json!({ "restart": "always", "max_restarts": 1, "restart_window_ms": 100 });
        assert_eq!(decided(&mut strategy(config.clone()), &[("a", 0), ("a", 101), ("a", 202), ("a", 302)]), "rrru");
        assert_eq!(decided(&mut strategy(config), &[("a", 0), ("a", 100)]), "ru");
    }

    #[test]
    // [sup-22]
    fn deaths_that_are_not_restarted_do_not_count() {
        let mut all = strategy(json!({ "restart": "on-failure", "max_restarts": 1 }));
        let now = Instant::now();
        for _ in 0..10 {
            assert_eq!(all.decide(&ended(Ending::Exit(None)), now), Decision::LetGo);
            assert_eq!(all.decide(&ended(Ending::Stopped), now), Decision::LetGo);
        }
        assert_eq!(decided(&mut all, &[("a", 0), ("a", 0)]), "ru");
    }

    #[test]
    // [sup-22]
    fn without_restarts_allowed_the_first_death_goes_up() {
        assert_eq!(decided(&mut strategy(json!({ "restart": "always", "max_restarts": 0 })), &[("a", 0)]), "u");
    }

    #[test]
    // [sup-23]
    fn the_failure_goes_up_once_and_names_child_count_window_and_cause() {
        let mut all = strategy(json!({ "restart": "always", "max_restarts": 1, "restart_window_ms": 700 }));
        let now = Instant::now();
        all.decide(&failed("worker"), now);
        let Decision::GiveUp(sentence) = all.decide(&failed("worker#2"), now) else { panic!("not given up") };
        for part in ["worker#2 (an-id)", "a trap", "restart 2 within 700 ms", "max_restarts = 1"] {
            assert!(sentence.contains(part), "{part}: {sentence}");
        }
        assert_eq!(decided(&mut all, &[("worker", 0), ("other", 10_000)]), "ll");
        let mut own_ends = strategy(json!({ "restart": "always", "max_restarts": 0 }));
        let Decision::GiveUp(sentence) = own_ends.decide(&ended(Ending::Exit(None)), now) else { panic!("kept") };
        assert!(sentence.contains("ended and is not started again"), "{sentence}");
    }

    #[test]
    // [sup-24]
    fn the_closest_pattern_of_children_decides_and_what_it_leaves_out_is_as_for_all() {
        let mut some = strategy(json!({
            "restart": "on-failure",
            "max_restarts": 100,
            "children": { "*": { "restart": "never" }, "worker*": { "restart": "always" }, "worker-x": {} }
        }));
        assert_eq!(decided(&mut some, &[("other", 0), ("worker-1", 0), ("worker#2", 0), ("worker-x", 0)]), "lrrr");
        let mut exit = |name: &str| {
            let end = ChildEnd { name: name.to_owned(), ..ended(Ending::Exit(None)) };
            some.decide(&end, Instant::now())
        };
        assert_eq!(exit("worker-1"), Decision::StartAgain);
        assert_eq!(exit("worker-x"), Decision::LetGo);
    }

    #[test]
    // [sup-22] [sup-24]
    fn an_entry_with_numbers_of_its_own_counts_its_children_together_and_by_themselves() {
        let config = json!({
            "restart": "always",
            "max_restarts": 2,
            "children": { "own*": { "max_restarts": 1 }, "shared": { "restart": "on-failure" } }
        });
        assert_eq!(
            decided(&mut strategy(config.clone()), &[("a", 0), ("own1", 0), ("shared", 0), ("own2", 0)]),
            "rrru"
        );
        assert_eq!(decided(&mut strategy(config), &[("a", 0), ("own1", 0), ("shared", 0), ("b", 0)]), "rrru");
        let short = json!({
            "restart": "always", "max_restarts": 1, "children": { "own": { "restart_window_ms": 10 } }
        });
        assert_eq!(decided(&mut strategy(short), &[("own", 0), ("own", 11), ("a", 11), ("own", 21)]), "rrru");
    }

    #[test]
    fn narrowing_takes_fewer_restarts_in_the_longer_window_and_leaves_the_strategy() {
        let ceiling =
            json!({ "restart": "never", "max_restarts": 2, "restart_window_ms": 9_000, "children": { "x": {} } });
        let requested = json!({
            "restart": "always",
            "max_restarts": 9,
            "restart_window_ms": 10,
            "children": { "a": { "restart": "always", "max_restarts": 7 }, "b*": { "restart_window_ms": 20_000 } }
        });
        let narrowed = json!({
            "restart": "always",
            "max_restarts": 2,
            "restart_window_ms": 9_000,
            "children": { "a": { "restart": "always", "max_restarts": 2 }, "b*": { "restart_window_ms": 20_000 } },
            "paths": [], "state_paths": [], "max_component_bytes": MAX_COMPONENT_BYTES
        });
        assert_eq!(narrow(&ceiling, &requested), Ok(narrowed));
        assert_eq!(narrow(&Value::Null, &requested), Ok(requested));
        let defaults = json!({
            "max_restarts": 3, "restart_window_ms": 5_000,
            "paths": [], "state_paths": [], "max_component_bytes": MAX_COMPONENT_BYTES
        });
        assert_eq!(narrow(&json!({}), &Value::Null), Ok(defaults));
    }

    #[test]
    fn narrowing_what_has_the_wrong_type_names_the_key() {
        for (requested, named) in [
            (json!({ "children": 1 }), "children"),
            (json!({ "children": { "w*": { "max_restarts": "many" } } }), "children.\"w*\": max_restarts"),
            (json!({ "restart_window_ms": -1 }), "restart_window_ms"),
        ] {
            let sentence = narrow(&json!({}), &requested).unwrap_err();
            assert!(sentence.contains(named), "{sentence}");
        }
    }
}
