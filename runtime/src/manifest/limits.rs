//! `[limits]`: the limits of an actor, their defaults, and how the limits of a parent bound those of its children.

use crate::manifest::toml_text::{TomlText, Value};
use crate::support::error::Error;

/// The limits of an actor. They are recorded in its chain and do not depend on the machine, so that a replay has the same
/// ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Size of its linear memory, bytes.
    pub memory_bytes: u64,
    /// Elements of all its tables.
    pub table_elements: u64,
    /// Time that a call may spend in guest code, ms.
    pub run_timeout_ms: u64,
    /// Wall clock time of a call, ms; 0 is no limit.
    pub call_timeout_ms: u64,
    /// Size of one value, bytes.
    pub value_bytes: u64,
    /// Calls in its mailbox.
    pub mailbox_size: u64,
    /// Idle time after which its instance is dropped, ms.
    pub idle_ms: u64,
    /// Time that a running call has to finish when the actor is stopped, ms.
    pub stop_grace_ms: u64,
    /// Size of the arguments of all calls in its mailbox, bytes. The call that reaches the limit is still accepted.
    pub mailbox_bytes: u64,
    /// Memory, states and mailboxes of the actor and all its descendants, bytes; 0 is no limit.
    pub tree_bytes: u64,
    /// Children at a time.
    pub children: u64,
    /// Descendants at a time.
    pub descendants: u64,
    /// Generations of descendants: 1 allows children, but no grandchildren.
    pub depth: u64,
}

/// Default of `call_timeout_ms`: longer than the longest host call that a shipped handler allows by default (`sleep`, one
/// hour).
const CALL_TIMEOUT_MS: u64 = 65 * 60 * 1_000;

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: 256 * 1024 * 1024,
            table_elements: 100_000,
            run_timeout_ms: 5_000,
            call_timeout_ms: CALL_TIMEOUT_MS,
            value_bytes: 64 * 1024 * 1024,
            mailbox_size: 1_000,
            idle_ms: 60_000,
            stop_grace_ms: 5_000,
            mailbox_bytes: 64 * 1024 * 1024,
            tree_bytes: 0,
            children: 1_000,
            descendants: 10_000,
            depth: 64,
        }
    }
}

/// Limits that are off when they are 0.
const ZERO_IS_NONE: [&str; 2] = ["call_timeout_ms", "tree_bytes"];
/// Limits that may be 0, which then allows nothing.
const ZERO_IS_NOTHING: [&str; 4] = ["stop_grace_ms", "children", "descendants", "depth"];

impl Limits {
    /// Names and values, as the chain records them.
    #[must_use]
    pub fn list(&self) -> Vec<(String, u64)> {
        let mut copy = *self;
        copy.slots().map(|(key, slot)| (key.to_owned(), *slot)).into()
    }

    /// Limits that bound nothing: used when `--permissions` has no `[limits]` table.
    #[must_use]
    pub fn unbounded() -> Self {
        let mut limits = Self::default();
        for (key, slot) in limits.slots() {
            *slot = if ZERO_IS_NONE.contains(&key) { 0 } else { u64::MAX };
        }
        limits
    }

    /// These limits, each reduced to that of `bound`.
    #[must_use]
    pub fn within(&self, bound: &Self) -> Self {
        let (mut limits, mut bound) = (*self, *bound);
        for ((key, slot), (_, most)) in limits.slots().into_iter().zip(bound.slots()) {
            if *slot <= *most && *slot > 0 {
                continue;
            }
            *slot = match (ZERO_IS_NONE.contains(&key), *slot, *most) {
                (true, own, 0) => own,
                (true, 0, most) => most,
                (_, own, most) => own.min(most),
            };
        }
        limits
    }

    /// The bound of the limits of this actor's children: its own limits, with one generation less.
    #[must_use]
    pub fn for_children(&self) -> Self {
        Self { depth: self.depth.saturating_sub(1), ..*self }
    }

    /// The inverse of [`Limits::list`]: a missing name has its default, an unknown one is ignored.
    #[must_use]
    pub fn of_list(list: &[(String, u64)]) -> Self {
        let mut limits = Self::default();
        for (key, value) in list {
            if let Some(slot) = limits.slot(key) {
                *slot = *value;
            }
        }
        limits
    }

    fn slot(&mut self, key: &str) -> Option<&mut u64> {
        self.slots().into_iter().find(|(known, _)| *known == key).map(|(_, slot)| slot)
    }

    fn slots(&mut self) -> [(&'static str, &mut u64); 13] {
        [
            ("memory_bytes", &mut self.memory_bytes),
            ("table_elements", &mut self.table_elements),
            ("run_timeout_ms", &mut self.run_timeout_ms),
            ("call_timeout_ms", &mut self.call_timeout_ms),
            ("value_bytes", &mut self.value_bytes),
            ("mailbox_size", &mut self.mailbox_size),
            ("idle_ms", &mut self.idle_ms),
            ("stop_grace_ms", &mut self.stop_grace_ms),
            ("mailbox_bytes", &mut self.mailbox_bytes),
            ("tree_bytes", &mut self.tree_bytes),
            ("children", &mut self.children),
            ("descendants", &mut self.descendants),
            ("depth", &mut self.depth),
        ]
    }
}

impl TomlText<'_> {
    pub(super) fn limits(&self, value: &Value<'_>) -> Result<Limits, Error> {
        self.limits_from(value, Limits::default())
    }

    pub(super) fn limits_from(&self, value: &Value<'_>, mut limits: Limits) -> Result<Limits, Error> {
        let table = self.table("limits", value)?;
        let keys = Limits::default().slots().map(|(key, _)| key);
        self.known(table, &keys, Some("[limits]"))?;
        for (key, value) in table.iter() {
            let number = self.number(key.get_ref(), value)?;
            if let Some(slot) = limits.slot(key.get_ref()) {
                *slot = number;
            }
            let key_text: &str = key.get_ref();
            if number == 0 && !ZERO_IS_NONE.contains(&key_text) && !ZERO_IS_NOTHING.contains(&key_text) {
                return Err(self.bad(key.get_ref(), value, "0 would allow nothing", "write a number above 0"));
            }
        }
        Ok(limits)
    }
}
