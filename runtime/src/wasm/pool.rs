//! Slots for instances: those of the pool, and a number of instances on demand for when the pool is full.
//!
//! If no slot of the pool is free, the actor that has been idle longest gives up its slot. If no actor is idle, the
//! instance is allocated on demand: an actor that waits for its children holds a slot that they may need, so waiting
//! for a slot could be a deadlock. A tree of actors that holds more than seven eighths of all instances is greedy. A
//! greedy tree leaves the last eighth of the pool to the others and gets no instances on demand, so that no tree keeps
//! the others from running.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use crate::actor::ActorHandle;
use crate::support::budget::Account;
use crate::support::executor;

/// Time that an idle actor has to give up its slot before the waiter tries again.
const EVICTION: Duration = Duration::from_secs(1);

/// The slots of a program.
pub struct Pool {
    state: Mutex<PoolState>,
}

struct PoolState {
    free: usize,
    slots: usize,
    // Number of instances on demand that may still be allocated in place of pooled ones.
    overflow: usize,
    // Number of slots, and of instances on demand.
    all: u64,
    // Actors that hold an instance and became idle, longest first, with their idle mark of that moment: an entry whose
    // mark has changed since is stale.
    idle: VecDeque<(Weak<ActorHandle>, u64)>,
    waiting: VecDeque<executor::Sender<()>>,
    // Waiters of greedy trees: called only when more than an eighth of the pool is free.
    greedy: VecDeque<executor::Sender<()>>,
}

/// A slot for an instance, returned when dropped.
pub struct PoolSlot {
    pool: Arc<Pool>,
    is_pooled: bool,
    _share: Share,
}

impl PoolSlot {
    /// Whether the instance comes from the pool; else it is allocated on demand.
    #[must_use]
    pub fn is_pooled(&self) -> bool {
        self.is_pooled
    }
}

/// Counts an instance for its tree until dropped.
struct Share {
    account: Arc<Account>,
}

impl Share {
    fn new(account: &Arc<Account>) -> Self {
        account.instance_made();
        Self { account: Arc::clone(account) }
    }

    /// Whether the tree holds more than seven eighths of all instances.
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
    /// Creates a pool with `slots` slots, and `overflow` instances on demand.
    #[must_use]
    pub fn new(slots: usize, overflow: usize) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(PoolState {
                free: slots,
                slots,
                overflow,
                all: slots.saturating_add(overflow) as u64,
                idle: VecDeque::new(),
                waiting: VecDeque::new(),
                greedy: VecDeque::new(),
            }),
        })
    }

    fn lock(&self) -> MutexGuard<'_, PoolState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the pool has no free slot now.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.lock().free == 0
    }

    /// Notes that the actor holds an instance and is idle.
    pub fn mark_idle(&self, actor: &Arc<ActorHandle>) {
        let mark = 1 + actor.idle_mark().fetch_add(1, Ordering::SeqCst);
        let is_pressed = actor.account().is_pressed();
        let mut state = self.lock();
        state.idle.push_back((Arc::downgrade(actor), mark));
        if is_pressed || state.is_waited_for() {
            state.passivate_longest_idle();
        }
        // Stale entries are dropped before there are twice as many entries as slots.
        if state.idle.len() > 2 * state.slots {
            state.idle.retain(|(actor, mark)| is_idle(actor, *mark));
        }
    }

    /// Asks the actor that has been idle longest to give up its instance.
    pub fn passivate_one(&self) {
        self.lock().passivate_longest_idle();
    }

    /// Returns a slot of the pool, if one is free and the tree may have it.
    #[must_use]
    pub fn free_slot(self: &Arc<Self>, account: &Arc<Account>) -> Option<PoolSlot> {
        let share = Share::new(account);
        let mut state = self.lock();
        let is_greedy = share.is_greedy(state.all);
        state.take_free(is_greedy).then(|| PoolSlot { pool: Arc::clone(self), is_pooled: true, _share: share })
    }

    /// Waits for a slot of the pool, or for permission to allocate an instance on demand.
    pub async fn slot(self: &Arc<Self>, account: &Arc<Account>) -> PoolSlot {
        let share = Share::new(account);
        loop {
            let wait = {
                let mut state = self.lock();
                let is_greedy = share.is_greedy(state.all);
                if let Some(is_pooled) = state.take(is_greedy) {
                    return PoolSlot { pool: Arc::clone(self), is_pooled, _share: share };
                }
                let (sender, receiver) = executor::bounded(1);
                if is_greedy {
                    state.greedy.push_back(sender)
                } else {
                    state.waiting.push_back(sender)
                }
                SlotWait { pool: self, receiver }
            };
            // Called or timed out: try again.
            let _called: Option<()> = executor::timeout(EVICTION, executor::turn(&wait.receiver)).await;
        }
    }
}

fn is_idle(actor: &Weak<ActorHandle>, mark: u64) -> bool {
    actor.upgrade().is_some_and(|actor| actor.idle_mark().load(Ordering::SeqCst) == mark)
}

impl PoolState {
    /// Takes a free slot of the pool; a greedy tree leaves the last eighth.
    fn take_free(&mut self, is_greedy: bool) -> bool {
        let kept = if is_greedy { self.slots / 8 } else { 0 };
        let is_free = self.free > kept;
        if is_free {
            self.free -= 1;
        }
        is_free
    }

    /// Takes a slot: true for one of the pool, false for an instance on demand. None if a slot may become free soon,
    /// or the tree has to wait.
    fn take(&mut self, is_greedy: bool) -> Option<bool> {
        if self.take_free(is_greedy) {
            return Some(true);
        }
        // An idle actor gives up its slot, if there is one.
        if self.passivate_longest_idle() || is_greedy || self.overflow == 0 {
            return None;
        }
        self.overflow -= 1;
        Some(false)
    }

    /// Whether an actor waits for a slot. Drops the waiters at the front that have given up.
    fn is_waited_for(&mut self) -> bool {
        for waiting in [&mut self.waiting, &mut self.greedy] {
            while waiting.front().is_some_and(executor::Sender::is_closed) {
                waiting.pop_front();
            }
        }
        !self.waiting.is_empty() || !self.greedy.is_empty()
    }

    /// Wakes the next waiter that has not given up.
    fn call_next(&mut self) {
        while let Some(waiting) = self.waiting.pop_front() {
            if waiting.try_send(()).is_ok() {
                return;
            }
        }
        while self.free > self.slots / 8
            && let Some(waiting) = self.greedy.pop_front()
        {
            if waiting.try_send(()).is_ok() {
                return;
            }
        }
    }

    /// Asks the actor that has been idle longest to give up its slot. Returns false if no actor is idle.
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
        let mut state = self.pool.lock();
        if self.is_pooled {
            state.free += 1;
        } else {
            state.overflow += 1;
        }
        state.call_next();
    }
}

/// A wait for a slot. If it is dropped after it was called, the next waiter is called.
struct SlotWait<'a> {
    pool: &'a Pool,
    receiver: executor::Receiver<()>,
}

impl Drop for SlotWait<'_> {
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
