//! Tracks everything a server runs, so that timeouts and a stop reach it. Each connection, and the accept loop, holds a
//! slot ([`Slot`]).
//!
//! A timer per read would cost a system call each, because a new timer wakes the reactor. Instead, one task
//! periodically scans all slots and wakes those whose deadline has passed. A timeout fires up to a tenth late, at most
//! 1 s.

use std::collections::{BTreeSet, HashMap};
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use theater_plugin_api::host::Spawned;

/// All slots of one server.
#[derive(Default)]
pub(crate) struct SlotTable {
    stopping: AtomicBool,
    slots: Mutex<Slots>,
}

#[derive(Default)]
struct Slots {
    waits: HashMap<u64, Arc<Mutex<SlotState>>>,
    /// The number of slots with a peer: connections that are served, without those that were displaced.
    served: usize,
    /// The slots of each peer.
    peers: HashMap<IpAddr, BTreeSet<u64>>,
    next: u64,
    emptied: Option<Waker>,
    /// The port has been released.
    is_released: bool,
    release_waker: Option<Waker>,
}

/// The state of one slot.
#[derive(Default)]
struct SlotState {
    deadline: Option<Instant>,
    waker: Option<Waker>,
    /// The task of the connection, for aborting it.
    task: Option<Spawned>,
    /// Since when the connection is idle, that is, waits for a request of which nothing has arrived.
    idle: Option<Instant>,
    /// Another connection has taken this slot: the idle one has to end.
    is_displaced: bool,
}

/// Why a wait ended without a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WaitError {
    TimedOut,
    Stopping,
}

/// Locks a mutex. Poisoning is ignored: a panic leaves no half-finished change under these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SlotTable {
    /// Takes a slot, unless `most` are taken or the peer has its share. Then an idle connection is displaced, if there
    /// is one: of the same peer if it has its share, else of the peer with the most slots among those with an idle one.
    /// Slots without a peer are counted separately.
    pub(crate) fn enter(self: &Arc<Self>, most: usize, peer: Option<(IpAddr, usize)>) -> Option<Slot> {
        let mut slots = lock(&self.slots);
        let of_peer = |peer: &IpAddr| slots.peers.get(peer).map_or(0, BTreeSet::len);
        let waker = match peer {
            Some((peer, share)) if of_peer(&peer) >= share => Some(slots.displace(&peer)?),
            Some(_) if slots.served >= most => {
                let mut peers: Vec<_> = slots.peers.iter().map(|(peer, numbers)| (numbers.len(), *peer)).collect();
                peers.sort_unstable_by(|one, other| other.cmp(one));
                Some(peers.into_iter().find_map(|(_, peer)| slots.displace(&peer))?)
            }
            None if slots.waits.len() - slots.served >= most => return None,
            _ => None,
        };
        let number = slots.next;
        slots.next += 1;
        let wait = Arc::default();
        slots.waits.insert(number, Arc::clone(&wait));
        if let Some((peer, _)) = peer {
            slots.served += 1;
            slots.peers.entry(peer).or_default().insert(number);
        }
        drop(slots);
        if let Some(waker) = waker.flatten() {
            waker.wake();
        }
        Some(Slot { table: Arc::clone(self), number, wait, peer: peer.map(|(peer, _)| peer) })
    }

    pub(crate) fn stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Stops the server: ends every stoppable wait, now and from now on.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.wake(|_| true);
    }

    /// Wakes the slots whose deadline has passed.
    pub(crate) fn sweep(&self) {
        let now = Instant::now();
        self.wake(|wait| wait.deadline.is_some_and(|deadline| deadline <= now));
    }

    fn wake(&self, which: impl Fn(&SlotState) -> bool) {
        let waits: Vec<_> = lock(&self.slots).waits.values().cloned().collect();
        for wait in waits {
            let mut wait = lock(&wait);
            let waker = if which(&wait) { wait.waker.take() } else { None };
            drop(wait);
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.slots).waits.is_empty()
    }

    /// Waits until no slot is taken.
    pub(crate) async fn emptied(&self) {
        poll_fn(|context| {
            let mut slots = lock(&self.slots);
            if slots.waits.is_empty() {
                return Poll::Ready(());
            }
            slots.emptied = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Stores the task that runs in a slot, unless the slot was left already.
    pub(crate) fn set_task(&self, number: u64, task: Spawned) {
        if let Some(wait) = lock(&self.slots).waits.get(&number) {
            lock(wait).task = Some(task);
        }
    }

    /// Aborts all tasks.
    pub(crate) fn abort_all(&self) {
        let waits: Vec<_> = lock(&self.slots).waits.values().cloned().collect();
        for wait in waits {
            let task = lock(&wait).task.take();
            if let Some(task) = task {
                task.abort();
            }
        }
    }

    /// Signals that the port has been released.
    pub(crate) fn release_port(&self) {
        let mut slots = lock(&self.slots);
        slots.is_released = true;
        let waker = slots.release_waker.take();
        drop(slots);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Waits until the port has been released.
    pub(crate) async fn port_released(&self) {
        poll_fn(|context| {
            let mut slots = lock(&self.slots);
            if slots.is_released {
                return Poll::Ready(());
            }
            slots.release_waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    fn leave(&self, number: u64, peer: Option<IpAddr>) {
        let mut slots = lock(&self.slots);
        slots.waits.remove(&number);
        if let Some(peer) = peer {
            slots.uncount(&peer, number);
        }
        let waker = if slots.waits.is_empty() { slots.emptied.take() } else { None };
        drop(slots);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Slots {
    /// Displaces the peer's longest idle connection and returns its waker, if it has one; `None` if no connection is
    /// idle.
    fn displace(&mut self, peer: &IpAddr) -> Option<Option<Waker>> {
        let numbers = self.peers.get(peer)?;
        let idle_since = |number: &u64| Some((lock(self.waits.get(number)?).idle?, *number));
        let (_, number) = numbers.iter().filter_map(idle_since).min()?;
        let wait = Arc::clone(self.waits.get(&number)?);
        // Stop counting it now: many connections may arrive before it has ended.
        self.uncount(peer, number);
        let mut wait = lock(&wait);
        (wait.is_displaced, wait.idle) = (true, None);
        Some(wait.waker.take())
    }

    fn uncount(&mut self, peer: &IpAddr, number: u64) {
        if let Some(numbers) = self.peers.get_mut(peer) {
            if numbers.remove(&number) {
                self.served -= 1;
            }
            if numbers.is_empty() {
                self.peers.remove(peer);
            }
        }
    }
}

/// The slot of a connection or of the accept loop; dropping it leaves the slot.
pub(crate) struct Slot {
    table: Arc<SlotTable>,
    number: u64,
    wait: Arc<Mutex<SlotState>>,
    peer: Option<IpAddr>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.table.leave(self.number, self.peer);
    }
}

impl Slot {
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn stopping(&self) -> bool {
        self.table.stopping()
    }

    /// Marks the connection as idle or busy; an idle one may be displaced. Returns false if it was displaced.
    pub(crate) fn set_idle(&self, is_idle: bool) -> bool {
        let mut wait = lock(&self.wait);
        wait.idle = (is_idle && !wait.is_displaced).then(Instant::now);
        !wait.is_displaced
    }

    /// Waits for `future` until a stop or `deadline`. If `deadline` is `None`, it is set to now plus `timeout` when the
    /// future is first found pending.
    pub(crate) async fn until<T>(
        &self,
        deadline: &mut Option<Instant>,
        timeout: Duration,
        future: impl Future<Output = T>,
    ) -> Result<T, WaitError> {
        self.wait(true, deadline, timeout, future).await
    }

    /// Waits for `future` until `timeout`; a stop does not end the wait.
    pub(crate) async fn until_late<T>(
        &self,
        timeout: Duration,
        future: impl Future<Output = T>,
    ) -> Result<T, WaitError> {
        self.wait(false, &mut None, timeout, future).await
    }

    async fn wait<T>(
        &self,
        stops: bool,
        deadline: &mut Option<Instant>,
        timeout: Duration,
        future: impl Future<Output = T>,
    ) -> Result<T, WaitError> {
        let mut future = pin!(future);
        poll_fn(|context| {
            if let Poll::Ready(value) = future.as_mut().poll(context) {
                return Poll::Ready(Ok(value));
            }
            let now = Instant::now();
            let end = *deadline.get_or_insert_with(|| now + timeout);
            if end <= now {
                return Poll::Ready(Err(WaitError::TimedOut));
            }
            let mut wait = lock(&self.wait);
            if stops && wait.is_displaced {
                return Poll::Ready(Err(WaitError::Stopping));
            }
            wait.deadline = Some(end);
            match &wait.waker {
                Some(waker) if waker.will_wake(context.waker()) => {}
                _ => wait.waker = Some(context.waker().clone()),
            }
            drop(wait);
            // Checked after the waker is stored: otherwise a stop in between would be missed.
            if stops && self.stopping() { Poll::Ready(Err(WaitError::Stopping)) } else { Poll::Pending }
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use futures_lite::future::{block_on, pending, zip};

    use super::*;

    #[test]
    fn a_place_too_many_is_refused_until_one_is_left() {
        let table = Arc::new(SlotTable::default());
        let first = table.enter(1, None).unwrap();
        assert!(table.enter(1, None).is_none());
        drop(first);
        assert!(table.enter(1, None).is_some());
    }

    #[test]
    fn a_peer_has_its_share_and_idle_places_give_way() {
        let table = Arc::new(SlotTable::default());
        let [one, other] = ["192.0.2.1", "192.0.2.2"].map(|peer| peer.parse::<IpAddr>().unwrap());
        let enter = |peer| table.enter(4, Some((peer, 3)));
        let slots: Vec<_> = (0..3).map(|_| enter(one).unwrap()).collect();
        assert!(enter(one).is_none(), "it has its share, and none of it is idle");
        let others = enter(other).unwrap();
        assert!(enter(other).is_none(), "all slots are taken, and none is idle");
        slots[1].set_idle(true);
        let more = enter(other).unwrap();
        let waits = block_on(slots[1].until(&mut None, Duration::from_secs(3_600), pending::<()>()));
        assert_eq!(waits, Err(WaitError::Stopping));
        assert!(enter(other).is_none(), "one that gives way does so once");
        drop((more, others, slots));
        assert!(table.is_empty() && lock(&table.slots).peers.is_empty());
    }

    #[test]
    fn a_stop_ends_waits_and_empties_the_places() {
        let table = Arc::new(SlotTable::default());
        let slot = table.enter(1, None).unwrap();
        let waiting = async {
            let hour = Duration::from_secs(3_600);
            let ended = slot.until(&mut None, hour, pending::<()>()).await;
            drop(slot);
            ended
        };
        let stopping = async {
            table.stop();
            table.emptied().await;
        };
        assert_eq!(block_on(zip(waiting, stopping)).0, Err(WaitError::Stopping));
    }

    #[test]
    fn a_passed_deadline_is_found_by_a_sweep() {
        let table = Arc::new(SlotTable::default());
        let slot = table.enter(1, None).unwrap();
        let thread = std::thread::spawn({
            let table = Arc::clone(&table);
            move || {
                while !table.stopping() {
                    table.sweep();
                    std::thread::yield_now();
                }
            }
        });
        assert_eq!(block_on(slot.until_late(Duration::from_millis(5), pending::<()>())), Err(WaitError::TimedOut));
        table.stop();
        thread.join().unwrap();
    }
}
