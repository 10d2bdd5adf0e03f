//! The wait graph: which actor waits for which. A wait that would close a cycle is refused, because the actors in it would
//! wait forever; the error has the cycle.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use theater_chain::event::Id;

/// All waits of all actors.
#[derive(Debug, Default)]
pub struct WaitGraph {
    edges: Mutex<Edges>,
}

#[derive(Debug, Default)]
struct Edges {
    next: u64,
    edges: HashMap<u64, Edge>,
    by_waiter: HashMap<Id, Vec<u64>>,
}

#[derive(Debug, Clone)]
struct Edge {
    waiter: Id,
    other: Id,
    why: String,
}

/// A cycle: each actor, and why it waits for the next one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cycle(pub Vec<(Id, String)>);

/// A wait that ends when this is dropped.
#[must_use = "the wait ends when this is dropped"]
pub struct Wait<'a> {
    graph: &'a WaitGraph,
    edge: u64,
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.graph.end(self.edge);
    }
}

impl WaitGraph {
    fn lock(&self) -> MutexGuard<'_, Edges> {
        self.edges.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that `waiter` waits for `other`, until [`WaitGraph::end`] with the returned number.
    ///
    /// # Errors
    /// The cycle that the wait would close. An actor that waits for itself is a cycle.
    pub fn begin(&self, waiter: Id, other: Id, why: &str) -> Result<u64, Cycle> {
        let mut inner = self.lock();
        if let Some(mut path) = inner.path(other, waiter) {
            path.insert(0, (waiter, why.to_owned()));
            return Err(Cycle(path));
        }
        inner.next += 1;
        let number = inner.next;
        inner.edges.insert(number, Edge { waiter, other, why: why.to_owned() });
        inner.by_waiter.entry(waiter).or_default().push(number);
        Ok(number)
    }

    /// As [`WaitGraph::begin`]; the wait ends when the result is dropped.
    ///
    /// # Errors
    /// As [`WaitGraph::begin`].
    pub fn hold(&self, waiter: Id, other: Id, why: &str) -> Result<Wait<'_>, Cycle> {
        self.begin(waiter, other, why).map(|edge| Wait { graph: self, edge })
    }

    /// Ends a wait. Does nothing if it has ended already.
    pub fn end(&self, edge: u64) {
        let mut inner = self.lock();
        if let Some(Edge { waiter, .. }) = inner.edges.remove(&edge)
            && let Some(numbers) = inner.by_waiter.get_mut(&waiter)
        {
            numbers.retain(|number| *number != edge);
            if numbers.is_empty() {
                inner.by_waiter.remove(&waiter);
            }
        }
    }

    /// Ends all waits of an actor.
    pub fn forget(&self, waiter: Id) {
        let mut inner = self.lock();
        for number in inner.by_waiter.remove(&waiter).unwrap_or_default() {
            inner.edges.remove(&number);
        }
    }
}

impl Edges {
    /// The waits that lead from one actor to another. The path is empty if both are the same.
    fn path(&self, from: Id, to: Id) -> Option<Vec<(Id, String)>> {
        if from == to {
            return Some(Vec::new());
        }
        let mut seen = vec![from];
        let mut open = vec![(from, Vec::new())];
        while let Some((actor, path)) = open.pop() {
            for edge in self.by_waiter.get(&actor).into_iter().flatten().filter_map(|number| self.edges.get(number)) {
                let mut longer: Vec<(Id, String)> = path.clone();
                longer.push((actor, edge.why.clone()));
                if edge.other == to {
                    return Some(longer);
                }
                if !seen.contains(&edge.other) {
                    seen.push(edge.other);
                    open.push((edge.other, longer));
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u8) -> Id {
        [number; 16]
    }

    #[test]
    fn a_wait_that_closes_a_cycle_is_refused_with_the_cycle() {
        let graph = WaitGraph::default();
        assert_eq!(graph.begin(id(1), id(1), "self").unwrap_err().0, [(id(1), "self".to_owned())]);
        let first = graph.begin(id(1), id(2), "a").unwrap();
        graph.begin(id(2), id(3), "b").unwrap();
        let cycle = graph.begin(id(3), id(1), "c").unwrap_err().0;
        assert_eq!(cycle, [(id(3), "c".to_owned()), (id(1), "a".to_owned()), (id(2), "b".to_owned())]);
        graph.end(first);
        graph.begin(id(3), id(1), "c").unwrap();
        graph.forget(id(2));
        graph.begin(id(1), id(2), "d").unwrap();
    }
}
