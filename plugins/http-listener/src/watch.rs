//! Everything a server runs, so that timeouts and a stop reach it.
//!
//! A timer per read would cost a system call each (the reactor is woken for a new timer); so one task looks over all places
//! every now and then and wakes those whose deadline has passed. Deadlines are met a tenth late, at most 1 s.

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use theater_plugin_api::host::Spawned;

/// All places of one server.
#[derive(Default)]
pub(crate) struct Watch {
    stopping: AtomicBool,
    places: Mutex<Places>,
}

#[derive(Default)]
struct Places {
    waits: HashMap<u64, Arc<Mutex<Wait>>>,
    next: u64,
    emptied: Option<Waker>,
    /// The port is bound no more.
    free: bool,
    freed: Option<Waker>,
}

/// What one place waits for.
#[derive(Default)]
struct Wait {
    deadline: Option<Instant>,
    waker: Option<Waker>,
    /// What runs there, to cut it off.
    task: Option<Spawned>,
}

/// Why a wait ended without what it waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Late,
    Stopping,
}

/// Locks; a panic elsewhere leaves nothing half done in here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watch {
    /// A place, unless there are `most` already.
    pub(crate) fn enter(self: &Arc<Self>, most: usize) -> Option<Place> {
        let mut places = lock(&self.places);
        if places.waits.len() >= most {
            return None;
        }
        let number = places.next;
        places.next += 1;
        let wait = Arc::default();
        places.waits.insert(number, Arc::clone(&wait));
        Some(Place { watch: Arc::clone(self), number, wait })
    }

    pub(crate) fn stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Ends every wait that a stop ends, now and later.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.wake(|_| true);
    }

    /// Wakes the places whose deadline has passed.
    pub(crate) fn sweep(&self) {
        let now = Instant::now();
        self.wake(|wait| wait.deadline.is_some_and(|deadline| deadline <= now));
    }

    fn wake(&self, which: impl Fn(&Wait) -> bool) {
        let waits: Vec<_> = lock(&self.places).waits.values().cloned().collect();
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
        lock(&self.places).waits.is_empty()
    }

    /// Ends when there is no place left.
    pub(crate) async fn emptied(&self) {
        poll_fn(|context| {
            let mut places = lock(&self.places);
            if places.waits.is_empty() {
                return Poll::Ready(());
            }
            places.emptied = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// What runs at a place; nothing when it has been left already.
    pub(crate) fn keep(&self, number: u64, task: Spawned) {
        if let Some(wait) = lock(&self.places).waits.get(&number) {
            lock(wait).task = Some(task);
        }
    }

    /// Cuts off everything that runs.
    pub(crate) fn cut(&self) {
        let waits: Vec<_> = lock(&self.places).waits.values().cloned().collect();
        for wait in waits {
            let task = lock(&wait).task.take();
            if let Some(task) = task {
                task.abort();
            }
        }
    }

    /// The port is bound no more.
    pub(crate) fn free(&self) {
        let mut places = lock(&self.places);
        places.free = true;
        let waker = places.freed.take();
        drop(places);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Ends when the port is bound no more.
    pub(crate) async fn freed(&self) {
        poll_fn(|context| {
            let mut places = lock(&self.places);
            if places.free {
                return Poll::Ready(());
            }
            places.freed = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    fn leave(&self, number: u64) {
        let mut places = lock(&self.places);
        places.waits.remove(&number);
        let waker = if places.waits.is_empty() { places.emptied.take() } else { None };
        drop(places);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// A connection's place, or the accept loop's; left when dropped.
pub(crate) struct Place {
    watch: Arc<Watch>,
    number: u64,
    wait: Arc<Mutex<Wait>>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.watch.leave(self.number);
    }
}

impl Place {
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn stopping(&self) -> bool {
        self.watch.stopping()
    }

    /// Waits for `future`, until a stop or `deadline`; a deadline that is `None` starts, and takes `timeout`, when the
    /// future is first found waiting.
    pub(crate) async fn until<T>(
        &self,
        deadline: &mut Option<Instant>,
        timeout: Duration,
        future: impl Future<Output = T>,
    ) -> Result<T, Ended> {
        self.wait(true, deadline, timeout, future).await
    }

    /// The same for what a stop lets finish.
    pub(crate) async fn until_late<T>(&self, timeout: Duration, future: impl Future<Output = T>) -> Result<T, Ended> {
        self.wait(false, &mut None, timeout, future).await
    }

    async fn wait<T>(
        &self,
        stops: bool,
        deadline: &mut Option<Instant>,
        timeout: Duration,
        future: impl Future<Output = T>,
    ) -> Result<T, Ended> {
        let mut future = pin!(future);
        poll_fn(|context| {
            if let Poll::Ready(value) = future.as_mut().poll(context) {
                return Poll::Ready(Ok(value));
            }
            let now = Instant::now();
            let end = *deadline.get_or_insert_with(|| now + timeout);
            if end <= now {
                return Poll::Ready(Err(Ended::Late));
            }
            let mut wait = lock(&self.wait);
            wait.deadline = Some(end);
            match &wait.waker {
                Some(waker) if waker.will_wake(context.waker()) => {}
                _ => wait.waker = Some(context.waker().clone()),
            }
            drop(wait);
            // After the waker is in place: a stop in between would not be seen otherwise.
            if stops && self.stopping() { Poll::Ready(Err(Ended::Stopping)) } else { Poll::Pending }
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
        let watch = Arc::new(Watch::default());
        let first = watch.enter(1).unwrap();
        assert!(watch.enter(1).is_none());
        drop(first);
        assert!(watch.enter(1).is_some());
    }

    #[test]
    fn a_stop_ends_waits_and_empties_the_places() {
        let watch = Arc::new(Watch::default());
        let place = watch.enter(1).unwrap();
        let waiting = async {
            let hour = Duration::from_secs(3_600);
            let ended = place.until(&mut None, hour, pending::<()>()).await;
            drop(place);
            ended
        };
        let stopping = async {
            watch.stop();
            watch.emptied().await;
        };
        assert_eq!(block_on(zip(waiting, stopping)).0, Err(Ended::Stopping));
    }

    #[test]
    fn a_passed_deadline_is_found_by_a_sweep() {
        let watch = Arc::new(Watch::default());
        let place = watch.enter(1).unwrap();
        let thread = std::thread::spawn({
            let watch = Arc::clone(&watch);
            move || {
                while !watch.stopping() {
                    watch.sweep();
                    std::thread::yield_now();
                }
            }
        });
        assert_eq!(block_on(place.until_late(Duration::from_millis(5), pending::<()>())), Err(Ended::Late));
        watch.stop();
        thread.join().unwrap();
    }
}
