//! An actor's mailbox: two lanes, signals first.
//!
//! Calls are bounded: whoever brings one reserves a place first and waits for it. Signals are few and never wait.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use crate::executor;

/// Calls that an empty mailbox keeps room for: a burst is over, and each of many actors has had one.
const KEPT: usize = 4;

/// A mailbox of calls `C` and signals `S`.
pub struct Mailbox<C, S> {
    inner: Mutex<Inner<C, S>>,
}

struct Inner<C, S> {
    calls: VecDeque<C>,
    signals: VecDeque<S>,
    // Places taken: calls that wait and places that are reserved.
    taken: usize,
    capacity: usize,
    waiting: VecDeque<executor::Sender<()>>,
    receiver: Option<Waker>,
    closed: bool,
}

/// What comes out.
#[derive(Debug)]
pub enum Message<C, S> {
    /// From the lane that goes first.
    Signal(S),
    /// From the other one.
    Call(C),
}

/// A reserved place; dropping it gives the place back.
pub struct Permit<C, S> {
    mailbox: Option<Arc<Mailbox<C, S>>>,
}

impl<C, S> Mailbox<C, S> {
    /// A mailbox for at most `capacity` calls.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            inner: Mutex::new(Inner {
                calls: VecDeque::new(),
                signals: VecDeque::new(),
                taken: 0,
                capacity,
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

    /// Waits for a place for a call; nothing once the mailbox is closed.
    pub async fn reserve(self: &Arc<Self>) -> Option<Permit<C, S>> {
        loop {
            let turn = {
                let mut inner = self.lock();
                if inner.closed {
                    return None;
                }
                if inner.taken < inner.capacity {
                    inner.taken += 1;
                    return Some(Permit { mailbox: Some(Arc::clone(self)) });
                }
                let (sender, receiver) = executor::bounded(1);
                inner.waiting.push_back(sender);
                Turn { mailbox: self, receiver }
            };
            // Closed or sent: look again either way.
            executor::turn(&turn.receiver).await;
        }
    }

    /// Puts a signal in.
    pub fn signal(&self, signal: S) {
        let mut inner = self.lock();
        inner.signals.push_back(signal);
        inner.wake();
    }

    /// Puts a call in that has its place, whether there is room or not.
    pub fn put(&self, call: C) {
        let mut inner = self.lock();
        inner.taken += 1;
        inner.calls.push_back(call);
        inner.wake();
    }

    /// What `of_call` and `of_signal` make of everything that waits.
    pub fn each<T>(&self, of_call: impl Fn(&C) -> T, of_signal: impl Fn(&S) -> Option<T>) -> Vec<T> {
        let inner = self.lock();
        inner.signals.iter().filter_map(of_signal).chain(inner.calls.iter().map(of_call)).collect()
    }

    /// Takes the next message, signals first.
    pub async fn next(&self) -> Message<C, S> {
        poll_fn(|context| {
            let mut inner = self.lock();
            if let Some(signal) = inner.signals.pop_front() {
                return Poll::Ready(Message::Signal(signal));
            }
            if let Some(call) = inner.calls.pop_front() {
                inner.give_back();
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

    /// Takes nothing in any more: what waited comes back, in order.
    pub fn close(&self) -> Vec<C> {
        let mut inner = self.lock();
        inner.closed = true;
        inner.waiting.clear();
        inner.calls.drain(..).collect()
    }

    /// Whether nothing is taken in any more.
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

    fn give_back(&mut self) {
        self.taken -= 1;
        self.call_next();
    }

    fn call_next(&mut self) {
        while let Some(waiting) = self.waiting.pop_front() {
            // One that has gone away passes its turn on.
            if waiting.try_send(()).is_ok() {
                return;
            }
        }
    }
}

/// A wait for one's turn; a turn that was called and not taken goes to the next one.
struct Turn<'a, C, S> {
    mailbox: &'a Mailbox<C, S>,
    receiver: executor::Receiver<()>,
}

impl<C, S> Drop for Turn<'_, C, S> {
    fn drop(&mut self) {
        if self.receiver.try_recv().is_ok() {
            self.mailbox.lock().call_next();
        }
    }
}

impl<C, S> Permit<C, S> {
    /// Puts the call in its place; gives it back once the mailbox is closed.
    ///
    /// # Errors
    /// The call.
    pub fn send(mut self, call: C) -> Result<(), C> {
        let Some(mailbox) = self.mailbox.take() else { return Err(call) };
        let mut inner = mailbox.lock();
        if inner.closed {
            return Err(call);
        }
        inner.calls.push_back(call);
        inner.wake();
        Ok(())
    }
}

impl<C, S> Drop for Permit<C, S> {
    fn drop(&mut self) {
        if let Some(mailbox) = self.mailbox.take() {
            mailbox.lock().give_back();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executor::{block_on, spawn};

    #[test]
    fn signals_come_first_and_calls_in_order() {
        let mailbox = Arc::new(Mailbox::new(4));
        block_on(async {
            for number in 0..3 {
                mailbox.reserve().await.unwrap().send(number).unwrap();
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
        let mailbox = Arc::new(Mailbox::<u32, ()>::new(1));
        block_on(async {
            mailbox.reserve().await.unwrap().send(1).unwrap();
            let other = Arc::clone(&mailbox);
            let waiting = spawn(async move { other.reserve().await.unwrap().send(2).unwrap() });
            assert!(matches!(mailbox.next().await, Message::Call(1)));
            waiting.await;
            assert!(matches!(mailbox.next().await, Message::Call(2)));
        });
    }

    #[test]
    fn a_burst_that_is_over_takes_no_memory() {
        let mailbox = Arc::new(Mailbox::<u32, ()>::new(1_000));
        block_on(async {
            for number in 0..1_000 {
                mailbox.reserve().await.unwrap().send(number).unwrap();
            }
            for number in 0..1_000 {
                assert!(matches!(mailbox.next().await, Message::Call(n) if n == number));
            }
            assert!(futures_lite::future::poll_once(mailbox.next()).await.is_none());
        });
        assert!(mailbox.lock().calls.capacity() <= KEPT);
    }

    #[test]
    fn a_dropped_permit_gives_its_place_back() {
        let mailbox = Arc::new(Mailbox::<u32, ()>::new(1));
        block_on(async {
            drop(mailbox.reserve().await.unwrap());
            mailbox.reserve().await.unwrap().send(1).unwrap();
            assert_eq!(mailbox.close(), [1]);
            assert!(mailbox.reserve().await.is_none());
        });
    }
}
