//! Unique names of siblings: a name that is taken gets `#2`, `#3`, and so on.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The names of living actors with one parent.
#[derive(Debug, Default)]
pub struct NameTable {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    living: HashSet<String>,
    // The last number appended to a name. Numbers are not reused while the program runs.
    last: HashMap<String, u64>,
}

impl NameTable {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Both collections are whole at every point a panic could happen.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the name, or the name with the next free number.
    #[must_use]
    pub fn take(&self, name: &str) -> String {
        let inner = &mut *self.lock();
        if inner.living.insert(name.to_owned()) {
            return name.to_owned();
        }
        let last = inner.last.entry(name.to_owned()).or_insert(1);
        loop {
            *last += 1;
            let numbered = format!("{name}#{last}");
            if inner.living.insert(numbered.clone()) {
                return numbered;
            }
        }
    }

    /// Takes a name again that [`NameTable::take`] returned before. Returns false if it is taken.
    #[must_use]
    pub fn take_again(&self, name: &str) -> bool {
        self.lock().living.insert(name.to_owned())
    }

    /// Releases a name.
    pub fn give_back(&self, name: &str) {
        self.lock().living.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::NameTable;

    #[test]
    fn taken_names_are_numbered() {
        let names = NameTable::default();
        assert_eq!(["a", "a", "a#2", "a"].map(|name| names.take(name)), ["a", "a#2", "a#2#2", "a#3"]);
        names.give_back("a");
        assert_eq!(names.take("a"), "a");
    }
}
