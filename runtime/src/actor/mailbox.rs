//! An actor's mailbox: two lanes, signals first.
//!
//! Calls are bounded in number and in bytes. A sender reserves a permit first, and waits for it while the mailbox is full:
//! that is the backpressure on callers. The call that reaches the limit of bytes is still accepted, so that a call longer
//! than the limit is not refused forever. Queued bytes beyond the first 4 KiB are charged to the account of the actor.
//! Signals are few and are not bounded.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use crate::support::budget::{ACTOR_BYTES, Account, Charge, Exceeded};
use crate::support::executor;

/// The capacity, in calls, that an empty mailbox keeps. After a burst the rest is freed, because there may be many actors.
const KEPT: usize = 4;
/// Bytes of queued calls that are not charged: they are part of the fixed charge of each actor.
const UNCHARGED: u64 = ACTOR_BYTES / 4;
/// Charges change in steps of so many bytes, because accounts are shared by all actors and contended.
const STEP: u64 = 16 * 1024;

/// A mailbox of calls `C` and signals `S`.
pub struct Mailbox<C, S> {
    inner: Mutex<Inner<C, S>>,
}

struct Inner<C, S> {
    calls: VecDeque<(C, u64)>,
    signals: VecDeque<S>,
    // Queued calls and reserved permits, and their bytes.
    taken: usize,
    taken_bytes: u64,
    charge: Charge,
    capacity: usize,
    capacity_bytes: u64,
    waiting: VecDeque<executor::Sender<()>>,
    receiver: Option<Waker>,
    closed: bool,
}

/// A message taken out of a mailbox.
#[derive(Debug)]
pub enum Message<C, S> {
    /// From the first lane.
    Signal(S),
    /// From the second lane.
    Call(C),
}

/// Reserved space for one call; dropping it gives the space back.
pub struct Permit<C, S> {
    // The mailbox and the bytes; `None` once the call is queued.
    reserved: Option<(Arc<Mailbox<C, S>>, u64)>,
}

/// Why a call is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// The mailbox is closed.
    Closed,
    /// A memory limit is exceeded; the sentence names it.
    OverBudget(String),
}

impl<C, S> Mailbox<C, S> {
    /// A mailbox for at most `capacity` calls of together `capacity_bytes`, charged to `account`.
    #[must_use]
    pub fn new(capacity: usize, capacity_bytes: u64, account: &Arc<Account>) -> Self {
        Self {
            inner: Mutex::new(Inner {
                calls: VecDeque::new(),
                signals: VecDeque::new(),
                taken: 0,
                taken_bytes: 0,
                charge: account.nothing(),
                capacity,
                capacity_bytes,
                waiting: VecDeque::new(),
                receiver: None,
                closed: false,
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner<C, S>> {
        // Every change under the lock is whole before anything can panic.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is space for a call of so many bytes, and reserves it.
    ///
    /// # Errors
    /// The mailbox is closed, or a memory limit is exceeded.
    pub async fn reserve(self: &Arc<Self>, bytes: u64) -> Result<Permit<C, S>, Refused> {
        loop {
            let turn = {
                let mut inner = self.lock();
                if inner.closed {
                    return Err(Refused::Closed);
                }
                if inner.taken < inner.capacity && inner.taken_bytes < inner.capacity_bytes {
                    if let Err(error) = inner.take(bytes) {
                        inner.wake_next();
                        return Err(Refused::OverBudget(error.to_string()));
                    }
                    // One finished call may have freed space for more than one waiter.
                    inner.wake_next_if_free();
                    return Ok(Permit { reserved: Some((Arc::clone(self), bytes)) });
                }
                let (sender, receiver) = executor::bounded(1);
                inner.waiting.push_back(sender);
                Turn { mailbox: self, receiver }
            };
            // Woken or closed: check again either way.
            executor::turn(&turn.receiver).await;
        }
    }

    /// Adds a signal.
    pub fn signal(&self, signal: S) {
        let mut inner = self.lock();
        inner.signals.push_back(signal);
        inner.wake();
    }

    /// Adds a call that was accepted before, whether there is space or not.
    pub fn put(&self, call: C, bytes: u64) {
        let mut inner = self.lock();
        // It counts, even over a limit, so that others wait.
        if inner.take(bytes).is_err() {
            inner.taken += 1;
            inner.taken_bytes += bytes;
        }
        inner.calls.push_back((call, bytes));
        inner.wake();
    }

    /// Maps everything that is queued, signals first.
    pub fn each<T>(&self, of_call: impl Fn(&C) -> T, of_signal: impl Fn(&S) -> Option<T>) -> Vec<T> {
        let inner = self.lock();
        inner.signals.iter().filter_map(of_signal).chain(inner.calls.iter().map(|(call, _)| of_call(call))).collect()
    }

    /// Takes the next message, signals first.
    pub async fn next(&self) -> Message<C, S> {
        poll_fn(|context| {
            let mut inner = self.lock();
            if let Some(signal) = inner.signals.pop_front() {
                return Poll::Ready(Message::Signal(signal));
            }
            if let Some((call, bytes)) = inner.calls.pop_front() {
                inner.give_back(bytes);
                return Poll::Ready(Message::Call(call));
            }
            if inner.calls.capacity() > KEPT {
                inner.calls = VecDeque::new();
            }
            inner.receiver = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Closes the mailbox and returns the queued calls, in order.
    pub fn close(&self) -> Vec<C> {
        let mut inner = self.lock();
        inner.closed = true;
        inner.waiting.clear();
        let calls = std::mem::take(&mut inner.calls);
        calls
            .into_iter()
            .map(|(call, bytes)| {
                inner.give_back(bytes);
                call
            })
            .collect()
    }

    /// Whether the mailbox is closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }
}

impl<C, S> Inner<C, S> {
    fn wake(&mut self) {
        if let Some(waker) = self.receiver.take() {
            waker.wake();
        }
    }

    fn take(&mut self, bytes: u64) -> Result<(), Exceeded> {
        let together = self.taken_bytes + bytes;
        let over = together.saturating_sub(UNCHARGED);
        if over > self.charge.bytes() && self.charge.resize(over.next_multiple_of(STEP)).is_err() {
            self.charge.resize(over)?;
        }
        self.taken += 1;
        self.taken_bytes = together;
        Ok(())
    }

    fn give_back(&mut self, bytes: u64) {
        self.taken -= 1;
        self.taken_bytes -= bytes;
        // A call that `put` added over a limit was not charged, so the charge may be smaller already.
        let over = self.taken_bytes.saturating_sub(UNCHARGED);
        if over == 0 || self.charge.bytes() > over + 2 * STEP {
            self.charge.shrink(over);
        }
        self.wake_next();
    }

    fn wake_next_if_free(&mut self) {
        if self.taken < self.capacity && self.taken_bytes < self.capacity_bytes {
            self.wake_next();
        }
    }

    fn wake_next(&mut self) {
        while let Some(waiting) = self.waiting.pop_front() {
            // A waiter that was dropped passes its turn on.
            if waiting.try_send(()).is_ok() {
                return;
            }
        }
    }
}

/// A wait for space. If it is dropped after it was woken, the next waiter is woken in its place.
struct Turn<'a, C, S> {
    mailbox: &'a Mailbox<C, S>,
    receiver: executor::Receiver<()>,
}

impl<C, S> Drop for Turn<'_, C, S> {
    fn drop(&mut self) {
        if self.receiver.try_recv().is_ok() {
            self.mailbox.lock().wake_next();
        }
    }
}

impl<C, S> Permit<C, S> {
    /// Queues the call.
    ///
    /// # Errors
    /// The call, if the mailbox is closed.
    pub fn send(mut self, call: C) -> Result<(), C> {
        let Some((mailbox, bytes)) = self.reserved.take() else { return Err(call) };
        let mut inner = mailbox.lock();
        if inner.closed {
            inner.give_back(bytes);
            return Err(call);
        }
        inner.calls.push_back((call, bytes));
        inner.wake();
        Ok(())
    }
}

impl<C, S> Drop for Permit<C, S> {
    fn drop(&mut self) {
        if let Some((mailbox, bytes)) = self.reserved.take() {
            mailbox.lock().give_back(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::executor::{block_on, spawn};
    use futures_lite::future::poll_once;

    fn mailbox<S>(capacity: usize) -> Arc<Mailbox<u32, S>> {
        Arc::new(Mailbox::new(capacity, 10, &Account::program(100)))
    }

    #[test]
    fn signals_come_first_and_calls_in_order() {
        let mailbox = mailbox(4);
        block_on(async {
            for number in 0..3 {
                mailbox.reserve(1).await.unwrap().send(number).unwrap();
            }
            mailbox.signal('s');
            assert!(matches!(mailbox.next().await, Message::Signal('s')));
            for number in 0..3 {
                assert!(matches!(mailbox.next().await, Message::Call(n) if n == number));
            }
        });
    }

    #[test]
    fn a_full_mailbox_lets_the_next_wait_until_there_is_a_place() {
        let mailbox = mailbox::<()>(1);
        block_on(async {
            mailbox.reserve(1).await.unwrap().send(1).unwrap();
            let other = Arc::clone(&mailbox);
            let waiting = spawn(async move { other.reserve(1).await.unwrap().send(2).unwrap() });
            assert!(matches!(mailbox.next().await, Message::Call(1)));
            waiting.await;
            assert!(matches!(mailbox.next().await, Message::Call(2)));
        });
    }

    #[test]
    fn a_burst_that_is_over_takes_no_memory() {
        let mailbox = mailbox::<()>(1_000);
        block_on(async {
            for number in 0..1_000 {
                mailbox.reserve(0).await.unwrap().send(number).unwrap();
            }
            for number in 0..1_000 {
                assert!(matches!(mailbox.next().await, Message::Call(n) if n == number));
            }
            assert!(poll_once(mailbox.next()).await.is_none());
        });
        assert!(mailbox.lock().calls.capacity() <= KEPT);
    }

    #[test]
    fn a_dropped_permit_gives_its_place_back() {
        let mailbox = mailbox::<()>(1);
        block_on(async {
            drop(mailbox.reserve(1).await.unwrap());
            mailbox.reserve(1).await.unwrap().send(1).unwrap();
            assert_eq!(mailbox.close(), [1]);
            assert_eq!(mailbox.reserve(1).await.err(), Some(Refused::Closed));
        });
    }

    #[test]
    fn bytes_are_bounded_as_calls_are_and_charged_while_they_wait() {
        let account = Account::program(100_000);
        let mailbox = Arc::new(Mailbox::<u32, ()>::new(1_000, 5_000, &account));
        block_on(async {
            mailbox.reserve(UNCHARGED).await.unwrap().send(1).unwrap();
            assert_eq!(account.used(), 0);
            mailbox.reserve(50_000).await.unwrap().send(2).unwrap();
            assert_eq!(account.used(), 50_000_u64.next_multiple_of(STEP));
            let mut third = Box::pin(mailbox.reserve(1));
            assert!(poll_once(&mut third).await.is_none(), "54,096 of 5,000 bytes wait");
            assert!(matches!(mailbox.next().await, Message::Call(1)));
            assert!(poll_once(&mut third).await.is_none(), "50,000 of 5,000 bytes wait");
            assert!(matches!(mailbox.next().await, Message::Call(2)));
            drop(third.await.unwrap());
            assert_eq!(account.used(), 0);
            let Err(Refused::OverBudget(sentence)) = mailbox.reserve(200_000).await else { panic!("it has a place") };
            assert!(sentence.contains("--memory"), "{sentence}");
            // Calls that were accepted before are added, charged or not; a closed mailbox has no charge.
            mailbox.put(3, 200_000);
            assert_eq!(account.used(), 0);
            assert!(matches!(mailbox.next().await, Message::Call(3)));
            mailbox.put(4, 50_000);
            assert_eq!(account.used(), (50_000 - UNCHARGED).next_multiple_of(STEP));
            // A few bytes more or less do not change the account.
            mailbox.put(5, 100);
            assert_eq!(account.used(), (50_000 - UNCHARGED).next_multiple_of(STEP));
            assert_eq!(mailbox.close(), [4, 5]);
            assert_eq!(account.used(), 0);
        });
    }
}
