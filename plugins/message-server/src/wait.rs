//! Waiting for a value that is set once, and waiting with a time limit.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use futures_lite::future::{or, poll_once};
use theater_plugin_api::Host;

/// Locks a mutex. Poisoning is ignored: no panic can leave the data under our locks half changed.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A value that is set once. Any number of tasks can wait for it, and one of them can take it.
pub(crate) struct OnceValue<T>(Mutex<Inner<T>>);

struct Inner<T> {
    set: bool,
    value: Option<T>,
    // One waker per wait, by the number of the wait; removed when the wait is dropped.
    waiting: BTreeMap<u64, Waker>,
    waits: u64,
}

/// One wait.
struct OnceWait<'a, T> {
    once: &'a OnceValue<T>,
    number: u64,
}

impl<T> OnceWait<'_, T> {
    fn poll(&self, context: &Context<'_>) -> Poll<()> {
        let mut inner = lock(&self.once.0);
        if inner.set {
            return Poll::Ready(());
        }
        inner.waiting.insert(self.number, context.waker().clone());
        Poll::Pending
    }
}

impl<T> Drop for OnceWait<'_, T> {
    fn drop(&mut self) {
        lock(&self.once.0).waiting.remove(&self.number);
    }
}

impl<T> Default for OnceValue<T> {
    fn default() -> Self {
        Self(Mutex::new(Inner { set: false, value: None, waiting: BTreeMap::new(), waits: 0 }))
    }
}

impl<T> OnceValue<T> {
    /// Sets the value. Returns false if it was set before; the first value stays.
    pub(crate) fn set(&self, value: T) -> bool {
        let waiting = {
            let mut inner = lock(&self.0);
            if inner.set {
                return false;
            }
            (inner.set, inner.value) = (true, Some(value));
            std::mem::take(&mut inner.waiting)
        };
        waiting.into_values().for_each(Waker::wake);
        true
    }

    pub(crate) fn is_set(&self) -> bool {
        lock(&self.0).set
    }

    /// Waits until the value is set.
    pub(crate) async fn wait(&self) {
        let number = {
            let mut inner = lock(&self.0);
            inner.waits += 1;
            inner.waits
        };
        let wait = OnceWait { once: self, number };
        poll_fn(|context| wait.poll(context)).await;
    }

    /// Waits for the value and takes it. Only the first caller gets it; any other waits forever.
    pub(crate) async fn take(&self) -> T {
        loop {
            self.wait().await;
            let value = lock(&self.0).value.take();
            match value {
                Some(value) => return value,
                None => std::future::pending().await,
            }
        }
    }
}

/// A deadline: a number of milliseconds after the limit was created.
#[derive(Clone, Copy)]
pub(crate) struct Deadline {
    from: Instant,
    pub(crate) ms: u64,
}

impl Deadline {
    pub(crate) fn of_ms(ms: u64) -> Self {
        Self { from: Instant::now(), ms }
    }

    async fn over(self, host: &Host) {
        host.sleep(Duration::from_millis(self.ms).saturating_sub(self.from.elapsed())).await;
    }
}

/// Why a wait ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WaitError {
    /// The limit was reached.
    TimedOut,
    /// The actor of `host` is being stopped.
    Stopping,
}

/// Waits for `future` until the limit is reached or the actor of `host` is being stopped.
pub(crate) async fn within<T>(
    host: &Host,
    deadline: Deadline,
    future: impl Future<Output = T>,
) -> Result<T, WaitError> {
    let mut future = pin!(future);
    // A future that is ready needs no timer.
    if let Some(done) = poll_once(future.as_mut()).await {
        return Ok(done);
    }
    let over = async {
        deadline.over(host).await;
        Err(WaitError::TimedOut)
    };
    let stopping = async {
        host.cancelled().await;
        Err(WaitError::Stopping)
    };
    or(async { Ok(future.await) }, or(stopping, over)).await
}
