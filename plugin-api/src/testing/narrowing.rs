//! Random pairs of a ceiling and a config, and what [`Plugin::narrow`] makes of them: the narrowed config must allow an act
//! only if both do.
//!
//! Whether a config allows an act is asked of an oracle of the test's, which should not be the plugin's own code.

use std::fmt::Debug;

use serde_json::Value;

use crate::testing::seeded::Seeded;
use crate::Plugin;

/// A ceiling, a config asked for, and what was left of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Pair {
    /// What the parent may; `Null` is everything.
    pub ceiling: Value,
    /// What is asked for.
    pub requested: Value,
    /// What [`Plugin::narrow`] answered.
    pub narrowed: Value,
}

/// So many random pairs. Every tenth ceiling is `Null`, as a top-level actor's is; all else is what `config` makes.
///
/// # Panics
/// When `narrow` refuses a pair.
pub fn pairs<P: Plugin>(
    plugin: &P,
    handler_type: &str,
    seed: u64,
    count: usize,
    mut config: impl FnMut(&mut Seeded) -> Value,
) -> impl Iterator<Item = Pair> {
    let mut choices = Seeded::new(seed);
    (0..count).map(move |number| {
        let ceiling = if choices.one_in(10) { Value::Null } else { config(&mut choices) };
        let requested = config(&mut choices);
        let narrowed = plugin.narrow(handler_type, &ceiling, &requested);
        assert!(narrowed.is_ok(), "pair {number} of seed {seed}: {narrowed:?} for {ceiling} and {requested}");
        Pair { narrowed: narrowed.unwrap_or_default(), ceiling, requested }
    })
}

impl Pair {
    /// Whether ceiling and request both allow an act, by the oracle `allows`.
    pub fn both<A: ?Sized>(&self, act: &A, allows: impl Fn(&Value, &A) -> bool) -> bool {
        (self.ceiling.is_null() || allows(&self.ceiling, act)) && allows(&self.requested, act)
    }

    /// Checks that the narrowed config allows exactly what both sides do; whether that is this act.
    ///
    /// # Panics
    /// When it allows more or less.
    pub fn exactly<A: Debug + ?Sized>(&self, act: &A, allows: impl Fn(&Value, &A) -> bool) -> bool {
        let left = allows(&self.narrowed, act);
        assert_eq!(left, self.both(act, allows), "{act:?} of {self:#?}");
        left
    }

    /// Checks that the narrowed config allows an act only if both sides do; whether it does.
    ///
    /// # Panics
    /// When it allows more.
    pub fn at_most<A: Debug + ?Sized>(&self, act: &A, allows: impl Fn(&Value, &A) -> bool) -> bool {
        let left = allows(&self.narrowed, act);
        assert!(!left || self.both(act, allows), "{act:?} of {self:#?}");
        left
    }
}
