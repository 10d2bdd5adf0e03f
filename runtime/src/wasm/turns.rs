//! Turns of guests that run long: only as many run at a time as the machine has cores, and trees of actors take turns.
//!
//! A guest yields to other tasks at every tick of the engine's clock. That is enough while few guests compute. With
//! many, each task that waits for an executor thread waits for one tick of every guest that does not end. So a call
//! that has used `LONG` of processor time needs a turn for every further `SLICE`. The executor gets one more thread
//! for each turn: its other threads are left to calls that have just begun, and the system shares the cores between
//! both.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::support::budget::Account;
use crate::support::executor;

/// Processor time after which a call counts as long.
pub const LONG: Duration = Duration::from_millis(10);
/// Length of a turn, ticks.
const SLICE: u32 = 5;

/// The turns of a program.
pub struct Turns {
    queue: Mutex<TurnQueue>,
    // The number of turns.
    all: usize,
    has_threads: AtomicBool,
}

struct TurnQueue {
    free: usize,
    // Waiters by tree. A tree is in `order` as long as it has waiters.
    waiting: HashMap<usize, VecDeque<executor::Sender<()>>>,
    order: VecDeque<usize>,
}

impl TurnQueue {
    /// Calls the next waiter, of the tree that has waited longest. Returns false if there is none.
    fn call_next(&mut self) -> bool {
        while let Some(tree) = self.order.pop_front() {
            let Some(waiting) = self.waiting.get_mut(&tree) else { continue };
            let called = std::iter::from_fn(|| waiting.pop_front()).any(|waiting| waiting.try_send(()).is_ok());
            if waiting.is_empty() {
                self.waiting.remove(&tree);
            } else {
                self.order.push_back(tree);
            }
            if called {
                return true;
            }
        }
        false
    }
}

impl Turns {
    /// Creates `turns` turns for guests; each gets an additional executor thread.
    #[must_use]
    pub fn new(turns: usize) -> Arc<Self> {
        Self::with(turns, false)
    }

    /// Creates a single turn, for work that runs on separate threads.
    #[must_use]
    pub fn one() -> Arc<Self> {
        Self::with(1, true)
    }

    fn with(turns: usize, has_threads: bool) -> Arc<Self> {
        let queue = TurnQueue { free: turns, waiting: HashMap::new(), order: VecDeque::new() };
        Arc::new(Self { queue: Mutex::new(queue), all: turns, has_threads: AtomicBool::new(has_threads) })
    }

    fn lock(&self) -> MutexGuard<'_, TurnQueue> {
        // The collections agree at every point a panic could happen.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn take(&self, tree: usize) {
        if !self.has_threads.swap(true, Ordering::Relaxed) {
            let turns = self.all;
            // On a blocking thread: the executor's threads may all be busy.
            drop(executor::spawn(executor::blocking(move || (0..turns).filter(|_| executor::add_thread()).count())));
        }
        let wait = {
            let mut queue = self.lock();
            if queue.free > 0 {
                queue.free -= 1;
                return;
            }
            let (sender, receiver) = executor::bounded(1);
            let waiting = queue.waiting.entry(tree).or_default();
            waiting.push_back(sender);
            if waiting.len() == 1 {
                queue.order.push_back(tree);
            }
            Wait { turns: self, receiver: Some(receiver) }
        };
        wait.called().await;
    }

    fn give_back(&self) {
        let mut queue = self.lock();
        if !queue.call_next() {
            queue.free += 1;
        }
    }
}

/// A turn, given back when dropped.
pub struct Turn(Arc<Turns>);

impl Turn {
    /// Waits for a turn of a tree.
    pub async fn wait(turns: &Arc<Turns>, tree: usize) -> Self {
        turns.take(tree).await;
        Self(Arc::clone(turns))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.give_back();
    }
}

/// A wait for a turn. If it is dropped after it was called, the turn goes to the next waiter.
struct Wait<'a> {
    turns: &'a Turns,
    receiver: Option<executor::Receiver<()>>,
}

impl Wait<'_> {
    async fn called(mut self) {
        if let Some(receiver) = &self.receiver {
            executor::turn(receiver).await;
        }
        self.receiver = None;
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if self.receiver.take().is_some_and(|receiver| receiver.try_recv().is_ok()) {
            self.turns.give_back();
        }
    }
}

/// A guest that may run long, with its turn while it has one.
pub struct Runner {
    turns: Arc<Turns>,
    tree: usize,
    has_turn: AtomicBool,
    ticks: AtomicU32,
}

impl Runner {
    /// Creates the runner of a guest; the account says which tree it belongs to.
    #[must_use]
    pub fn new(turns: &Arc<Turns>, account: &Account) -> Arc<Self> {
        let tree = account.tree_number();
        Arc::new(Self { turns: Arc::clone(turns), tree, has_turn: AtomicBool::new(false), ticks: AtomicU32::new(0) })
    }

    /// Lets others run until it is this guest's turn again. `used` is the processor time of its call so far.
    pub fn turn(self: &Arc<Self>, used: Duration) -> impl Future<Output = ()> + Send + use<> {
        let this = Arc::clone(self);
        async move {
            executor::yield_now().await;
            if used < LONG {
                return;
            }
            if this.has_turn.load(Ordering::Relaxed) && this.ticks.fetch_add(1, Ordering::Relaxed) < SLICE {
                return;
            }
            this.give_back();
            this.turns.take(this.tree).await;
            this.ticks.store(0, Ordering::Relaxed);
            this.has_turn.store(true, Ordering::Relaxed);
        }
    }

    /// Gives the turn back, if the guest has one: it does not run now.
    pub fn give_back(&self) {
        if self.has_turn.load(Ordering::Relaxed) && self.has_turn.swap(false, Ordering::Relaxed) {
            self.turns.give_back();
        }
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::executor::block_on;
    use futures_lite::future::poll_once;

    fn turns(count: usize) -> Arc<Turns> {
        Turns::with(count, true)
    }

    #[test]
    fn trees_take_turns_whatever_the_number_of_their_guests() {
        let turns = turns(1);
        let order = Mutex::new(Vec::new());
        block_on(async {
            turns.take(1).await;
            let guests = [1, 1, 1, 1, 2, 3, 3];
            let mut waits: Vec<_> = guests
                .iter()
                .map(|tree| {
                    let (turns, order) = (&turns, &order);
                    Box::pin(async move {
                        turns.take(*tree).await;
                        order.lock().unwrap().push(*tree);
                    })
                })
                .collect();
            for wait in &mut waits {
                assert!(poll_once(wait).await.is_none());
            }
            let mut open: Vec<_> = waits.into_iter().map(Some).collect();
            for _ in 0..guests.len() {
                turns.give_back();
                for wait in &mut open {
                    if let Some(one) = wait
                        && poll_once(one).await.is_some()
                    {
                        *wait = None;
                    }
                }
            }
        });
        assert_eq!(*order.lock().unwrap(), [1, 2, 3, 1, 3, 1, 1]);
    }

    #[test]
    fn a_turn_that_nobody_takes_goes_to_the_next_one() {
        let turns = turns(1);
        block_on(async {
            turns.take(1).await;
            let mut first = Box::pin(turns.take(1));
            let mut second = Box::pin(turns.take(2));
            assert!(poll_once(&mut first).await.is_none() && poll_once(&mut second).await.is_none());
            turns.give_back();
            drop(first);
            assert!(poll_once(&mut second).await.is_some());
            turns.give_back();
            assert_eq!(turns.lock().free, 1);
        });
    }

    #[test]
    fn a_guest_that_waits_or_ends_gives_its_turn_back() {
        let turns = turns(1);
        let account = Account::program(1);
        let runner = Runner::new(&turns, &account);
        block_on(async {
            runner.turn(LONG).await;
            assert_eq!(turns.lock().free, 0);
            runner.give_back();
            runner.give_back();
            assert_eq!(turns.lock().free, 1);
            runner.turn(LONG).await;
            drop(runner);
            assert_eq!(turns.lock().free, 1);
        });
    }
}
