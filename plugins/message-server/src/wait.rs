//! Waiting: for a value that is set once, and not longer than a limit.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use futures_lite::future::{or, poll_once};
use theater_plugin_api::Host;

/// Locks; what is under our locks is whole before anything can panic.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A value that is set once, for any number of tasks to wait for and one of them to take.
pub(crate) struct Once<T>(Mutex<Inner<T>>);

struct Inner<T> {
    set: bool,
    value: Option<T>,
    // By the number of the wait: one waker each, gone with it.
    waiting: BTreeMap<u64, Waker>,
    waits: u64,
}

/// One wait.
struct Wait<'a, T> {
    once: &'a Once<T>,
    number: u64,
}

impl<T> Wait<'_, T> {
    fn poll(&self, context: &Context<'_>) -> Poll<()> {
        let mut inner = lock(&self.once.0);
        if inner.set {
            return Poll::Ready(());
        }
        inner.waiting.insert(self.number, context.waker().clone());
        Poll::Pending
    }
}

impl<T> Drop for Wait<'_, T> {
    fn drop(&mut self) {
        lock(&self.once.0).waiting.remove(&self.number);
    }
}

impl<T> Default for Once<T> {
    fn default() -> Self {
        Self(Mutex::new(Inner { set: false, value: None, waiting: BTreeMap::new(), waits: 0 }))
    }
}

impl<T> Once<T> {
    /// False when it was set before: the first value stands.
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

    /// Ends once it is set.
    pub(crate) async fn wait(&self) {
        let number = {
            let mut inner = lock(&self.0);
            inner.waits += 1;
            inner.waits
        };
        let wait = Wait { once: self, number };
        poll_fn(|context| wait.poll(context)).await;
    }

    /// Waits for the value and takes it; only the first who asks gets it, the others wait without end.
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

/// A point in time, and how long it was away at first.
#[derive(Clone, Copy)]
pub(crate) struct Limit {
    from: Instant,
    pub(crate) ms: u64,
}

impl Limit {
    pub(crate) fn of_ms(ms: u64) -> Self {
        Self { from: Instant::now(), ms }
    }

    async fn over(self, host: &Host) {
        host.sleep(Duration::from_millis(self.ms).saturating_sub(self.from.elapsed())).await;
    }
}

/// Why a wait had no end of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CutShort {
    /// The limit was reached.
    TimedOut,
    /// The actor of `host` is being stopped.
    Stopping,
}

/// Waits for `future` until the limit is reached or the actor of `host` is being stopped.
pub(crate) async fn within<T>(host: &Host, limit: Limit, future: impl Future<Output = T>) -> Result<T, CutShort> {
    let mut future = pin!(future);
    // What is ready needs no timer.
    if let Some(done) = poll_once(future.as_mut()).await {
        return Ok(done);
    }
    let over = async {
        limit.over(host).await;
        Err(CutShort::TimedOut)
    };
    let stopping = async {
        host.cancelled().await;
        Err(CutShort::Stopping)
    };
    or(async { Ok(future.await) }, or(stopping, over)).await
}
