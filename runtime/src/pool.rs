//! Places in the instance pool: when none is free, the longest idle actor gives its own up.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::actor::Shared;
use crate::executor;

/// The places of the pool.
pub struct Pool {
    inner: Mutex<Inner>,
}

struct Inner {
    free: usize,
    places: usize,
    // Actors that hold an instance and became idle, longest first, with their mark of that moment.
    idle: VecDeque<(Weak<Shared>, u64)>,
    waiting: VecDeque<executor::Sender<()>>,
}

/// A place, given back when dropped.
pub struct Place(Arc<Pool>);

impl Pool {
    /// A pool with so many places.
    #[must_use]
    pub fn new(places: usize) -> Arc<Self> {
        Arc::new(Self {
            inner: Mutex::new(Inner { free: places, places, idle: VecDeque::new(), waiting: VecDeque::new() }),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether no place is free now.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.lock().free == 0
    }

    /// The actor holds an instance and has nothing to do.
    pub fn mark_idle(&self, actor: &Arc<Shared>) {
        let mark = 1 + actor.idle_mark().fetch_add(1, Ordering::SeqCst);
        let mut inner = self.lock();
        inner.idle.push_back((Arc::downgrade(actor), mark));
        if !inner.waiting.is_empty() {
            inner.passivate_longest_idle();
        }
        // Entries of actors that were used since are old: they go before they outnumber the places twice.
        if inner.idle.len() > 2 * inner.places {
            inner.idle.retain(|(actor, mark)| is_idle(actor, *mark));
        }
    }

    /// Waits for a place.
    pub async fn place(self: &Arc<Self>) -> Place {
        loop {
            let turn = {
                let mut inner = self.lock();
                if inner.free > 0 {
                    inner.free -= 1;
                    return Place(Arc::clone(self));
                }
                inner.passivate_longest_idle();
                let (sender, receiver) = executor::bounded(1);
                inner.waiting.push_back(sender);
                Turn { pool: self, receiver }
            };
            executor::turn(&turn.receiver).await;
        }
    }
}

fn is_idle(actor: &Weak<Shared>, mark: u64) -> bool {
    actor.upgrade().is_some_and(|actor| actor.idle_mark().load(Ordering::SeqCst) == mark)
}

impl Inner {
    fn call_next(&mut self) {
        while let Some(waiting) = self.waiting.pop_front() {
            if waiting.try_send(()).is_ok() {
                return;
            }
        }
    }

    fn passivate_longest_idle(&mut self) {
        while let Some((actor, mark)) = self.idle.pop_front() {
            if let Some(actor) = actor.upgrade().filter(|actor| actor.idle_mark().load(Ordering::SeqCst) == mark) {
                actor.passivate();
                return;
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inner = self.0.lock();
        inner.free += 1;
        inner.call_next();
    }
}

/// A wait for one's turn; a turn that was called and not taken goes to the next one.
struct Turn<'a> {
    pool: &'a Pool,
    receiver: executor::Receiver<()>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if self.receiver.try_recv().is_ok() {
            self.pool.lock().call_next();
        }
    }
}
