//! Property tests of [`Plugin::narrow`] with random pairs of a ceiling and a config: the narrowed config may allow an
//! act only if both do.
//!
//! The test supplies an oracle that decides whether a config allows an act. It should not be the plugin's own code.

use std::fmt::Debug;

use serde_json::Value;

use crate::plugin::Plugin;
use crate::testing::seeded::Seeded;

/// A ceiling, a requested config and the narrowed config.
#[derive(Debug, Clone, PartialEq)]
pub struct Pair {
    /// The parent's permissions; `Null` is everything.
    pub ceiling: Value,
    /// The requested config.
    pub requested: Value,
    /// The result of [`Plugin::narrow`].
    pub narrowed: Value,
}

/// Returns `count` random pairs, created by `config`. One in ten ceilings is `Null`, as for a top-level actor.
///
/// # Panics
/// If `narrow` returns an error for a pair.
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

    /// Checks that the narrowed config allows the act exactly if both sides do, and returns whether it does.
    ///
    /// # Panics
    /// If it allows more or less.
    pub fn exactly<A: Debug + ?Sized>(&self, act: &A, allows: impl Fn(&Value, &A) -> bool) -> bool {
        let left = allows(&self.narrowed, act);
        assert_eq!(left, self.both(act, allows), "{act:?} of {self:#?}");
        left
    }

    /// Checks that the narrowed config allows the act only if both sides do, and returns whether it does.
    ///
    /// # Panics
    /// If it allows more.
    pub fn at_most<A: Debug + ?Sized>(&self, act: &A, allows: impl Fn(&Value, &A) -> bool) -> bool {
        let left = allows(&self.narrowed, act);
        assert!(!left || self.both(act, allows), "{act:?} of {self:#?}");
        left
    }
}
