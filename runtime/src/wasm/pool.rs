//! Slots for instances: those of the pool, and some on demand where the pool is full.
//!
//! When no slot of the pool is free, the longest idle actor gives its own up. When nobody is idle, the instance is made on
//! demand: an actor that waits for its children holds a slot they may need, so waiting for one could last for ever. The last
//! eighth of all slots is for trees that hold less than the rest, so that no tree keeps the others from running.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use crate::actor::ActorHandle;
use crate::support::budget::Account;
use crate::support::executor;

/// How long an idle actor has to give its slot up before another way is looked for.
const EVICTION: Duration = Duration::from_secs(1);

/// The slots.
pub struct Pool {
    inner: Mutex<Inner>,
}

struct Inner {
    free: usize,
    places: usize,
    // Instances on demand that may still be made in place of pooled ones.
    overflow: usize,
    all: u64,
    // Actors that hold an instance and became idle, longest first, with their mark of that moment.
    idle: VecDeque<(Weak<ActorHandle>, u64)>,
    waiting: VecDeque<executor::Sender<()>>,
    // Those of trees that hold nearly everything: their turn comes when an eighth of the pool is free.
    greedy: VecDeque<executor::Sender<()>>,
}

/// A slot for an instance, given back when dropped.
pub struct PoolSlot {
    pool: Arc<Pool>,
    is_pooled: bool,
    _share: Share,
}

impl PoolSlot {
    /// Whether the instance comes from the pool; else it is to be made on demand.
    #[must_use]
    pub fn is_pooled(&self) -> bool {
        self.is_pooled
    }
}

/// An instance that counts for its tree.
struct Share {
    account: Arc<Account>,
}

impl Share {
    fn new(account: &Arc<Account>) -> Self {
        account.instance_made();
        Self { account: Arc::clone(account) }
    }

    /// Whether the tree has nearly all there are.
    fn is_greedy(&self, all: u64) -> bool {
        self.account.instances() > all / 8 * 7
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.account.instance_dropped();
    }
}

impl Pool {
    /// A pool with so many slots, and so many more on demand.
    #[must_use]
    pub fn new(places: usize, overflow: usize) -> Arc<Self> {
        Arc::new(Self {
            inner: Mutex::new(Inner {
                free: places,
                places,
                overflow,
                all: places.saturating_add(overflow) as u64,
                idle: VecDeque::new(),
                waiting: VecDeque::new(),
                greedy: VecDeque::new(),
            }),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether no slot of the pool is free now.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.lock().free == 0
    }

    /// The actor holds an instance and has nothing to do.
    pub fn mark_idle(&self, actor: &Arc<ActorHandle>) {
        let mark = 1 + actor.idle_mark().fetch_add(1, Ordering::SeqCst);
        let is_pressed = actor.account().is_pressed();
        let mut inner = self.lock();
        inner.idle.push_back((Arc::downgrade(actor), mark));
        if is_pressed || inner.is_waited_for() {
            inner.passivate_longest_idle();
        }
        // Entries of actors that were used since are old: they go before they outnumber the slots twice.
        if inner.idle.len() > 2 * inner.places {
            inner.idle.retain(|(actor, mark)| is_idle(actor, *mark));
        }
    }

    /// Asks the longest idle actor for its instance.
    pub fn passivate_one(&self) {
        self.lock().passivate_longest_idle();
    }

    /// A slot of the pool, where one is free and the tree may have it.
    #[must_use]
    pub fn free_slot(self: &Arc<Self>, account: &Arc<Account>) -> Option<PoolSlot> {
        let share = Share::new(account);
        let mut inner = self.lock();
        let is_greedy = share.is_greedy(inner.all);
        inner.take_free(is_greedy).then(|| PoolSlot { pool: Arc::clone(self), is_pooled: true, _share: share })
    }

    /// Waits for a slot of the pool, or for leave to make an instance on demand.
    pub async fn slot(self: &Arc<Self>, account: &Arc<Account>) -> PoolSlot {
        let share = Share::new(account);
        loop {
            let turn = {
                let mut inner = self.lock();
                let is_greedy = share.is_greedy(inner.all);
                if let Some(is_pooled) = inner.take(is_greedy) {
                    return PoolSlot { pool: Arc::clone(self), is_pooled, _share: share };
                }
                let (sender, receiver) = executor::bounded(1);
                if is_greedy {
                    inner.greedy.push_back(sender)
                } else {
                    inner.waiting.push_back(sender)
                }
                Turn { pool: self, receiver }
            };
            // Called or not: look again.
            let _called: Option<()> = executor::timeout(EVICTION, executor::turn(&turn.receiver)).await;
        }
    }
}

fn is_idle(actor: &Weak<ActorHandle>, mark: u64) -> bool {
    actor.upgrade().is_some_and(|actor| actor.idle_mark().load(Ordering::SeqCst) == mark)
}

impl Inner {
    fn take_free(&mut self, is_greedy: bool) -> bool {
        let kept = if is_greedy { self.places / 8 } else { 0 };
        let is_free = self.free > kept;
        if is_free {
            self.free -= 1;
        }
        is_free
    }

    /// A slot, and whether it is one of the pool; a greedy tree leaves the last eighth. None when one may become free soon, or the tree has to wait.
    fn take(&mut self, is_greedy: bool) -> Option<bool> {
        if self.take_free(is_greedy) {
            return Some(true);
        }
        // Somebody idle gives one up, unless there is nobody.
        if self.passivate_longest_idle() || is_greedy || self.overflow == 0 {
            return None;
        }
        self.overflow -= 1;
        Some(false)
    }

    /// Whether somebody waits; who has given up does not.
    fn is_waited_for(&mut self) -> bool {
        for waiting in [&mut self.waiting, &mut self.greedy] {
            while waiting.front().is_some_and(executor::Sender::is_closed) {
                waiting.pop_front();
            }
        }
        !self.waiting.is_empty() || !self.greedy.is_empty()
    }

    fn call_next(&mut self) {
        while let Some(waiting) = self.waiting.pop_front() {
            if waiting.try_send(()).is_ok() {
                return;
            }
        }
        while self.free > self.places / 8
            && let Some(waiting) = self.greedy.pop_front()
        {
            if waiting.try_send(()).is_ok() {
                return;
            }
        }
    }

    /// Asks the longest idle actor for its slot; false when nobody is idle.
    fn passivate_longest_idle(&mut self) -> bool {
        while let Some((actor, mark)) = self.idle.pop_front() {
            if let Some(actor) = actor.upgrade().filter(|actor| actor.idle_mark().load(Ordering::SeqCst) == mark) {
                actor.passivate();
                return true;
            }
        }
        false
    }
}

impl Drop for PoolSlot {
    fn drop(&mut self) {
        let mut inner = self.pool.lock();
        if self.is_pooled {
            inner.free += 1;
        } else {
            inner.overflow += 1;
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::executor::block_on;

    fn now<T>(future: impl Future<Output = T>) -> Option<T> {
        block_on(futures_lite::future::poll_once(Box::pin(future)))
    }

    #[test]
    fn where_nobody_is_idle_instances_are_made_on_demand_until_those_are_out_too() {
        let (pool, program) = (Pool::new(16, 2), Account::program(u64::MAX));
        let trees: Vec<_> = (0..19).map(|_| program.below("tree", 0)).collect();
        let mut slots: Vec<_> = trees.iter().take(18).map(|tree| now(pool.slot(tree)).unwrap()).collect();
        assert_eq!(slots.iter().filter(|slot| slot.is_pooled()).count(), 16);
        assert!(pool.is_full() && now(pool.slot(&trees[18])).is_none());
        drop(slots.pop());
        assert!(!now(pool.slot(&trees[18])).unwrap().is_pooled());
    }

    #[test]
    fn one_tree_leaves_an_eighth_of_the_slots_to_the_others() {
        let (pool, program) = (Pool::new(16, 0), Account::program(u64::MAX));
        let (greedy, modest) = (program.below("greedy", 0), program.below("modest", 0));
        let slots: Vec<_> = std::iter::from_fn(|| now(pool.slot(&greedy))).collect();
        assert_eq!(slots.len(), 14);
        let others = [(); 2].map(|()| now(pool.slot(&modest)).unwrap());
        assert!(now(pool.slot(&modest)).is_none());
        drop((slots, others));
        assert!(now(pool.slot(&greedy)).unwrap().is_pooled());
    }
}
