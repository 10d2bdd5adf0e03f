//! Timers of the core, all driven by one thread.
//!
//! The reactor of async-std wakes its thread, through the kernel, for every new timer. An actor creates a timer for each wait
//! for a message and drops it when the message arrives. Here the thread is woken only for a timer that ends earlier than the
//! one it sleeps for; a dropped timer is just removed from the queue.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

/// A future that completes at a point in time.
#[derive(Debug)]
pub struct Sleep {
    // `None`: later than the clock can represent, so it never completes.
    end: Option<Instant>,
    // Its key in the queue, from the first poll on.
    key: Option<TimerKey>,
}

type TimerKey = (Instant, u64);

impl Sleep {
    /// Completes `duration` from now.
    #[must_use]
    pub fn new(duration: Duration) -> Self {
        Self { end: Instant::now().checked_add(duration), key: None }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Some(end) = self.end else { return Poll::Pending };
        if Instant::now() >= end {
            return Poll::Ready(());
        }
        self.key = Some(TIMERS.wait(end, self.key, context.waker()));
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            TIMERS.lock().waiting.remove(&key);
        }
    }
}

static TIMERS: LazyLock<Timers> = LazyLock::new(Timers::default);

/// Starts the timer thread, if it is not running. Without it no timer completes.
///
/// # Errors
/// The system could not start a thread.
pub fn start() -> io::Result<()> {
    let mut queue = TIMERS.lock();
    if !queue.runs {
        thread::Builder::new().name("theater-timer".to_owned()).spawn(|| TIMERS.run())?;
        queue.runs = true;
    }
    Ok(())
}

#[derive(Default)]
struct Timers {
    queue: Mutex<Queue>,
    earlier: Condvar,
}

#[derive(Default)]
struct Queue {
    waiting: BTreeMap<TimerKey, Waker>,
    next: u64,
    // The time until which the thread sleeps; `None`: until the first timer is added.
    asleep: Option<Instant>,
    runs: bool,
}

impl Timers {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // The queue is consistent at every point where a panic can happen.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self, end: Instant, key: Option<TimerKey>, waker: &Waker) -> TimerKey {
        let mut queue = self.lock();
        let key = key.unwrap_or_else(|| {
            queue.next += 1;
            (end, queue.next)
        });
        queue.waiting.entry(key).or_insert_with(|| waker.clone()).clone_from(waker);
        if queue.asleep.is_none_or(|until| end < until) {
            queue.asleep = Some(end);
            self.earlier.notify_one();
        }
        key
    }

    fn run(&self) {
        let mut queue = self.lock();
        loop {
            let now = Instant::now();
            let later = queue.waiting.split_off(&(now, u64::MAX));
            let ended = std::mem::replace(&mut queue.waiting, later);
            if !ended.is_empty() {
                // Timers added meanwhile are seen before the next sleep, so they need not wake this thread.
                queue.asleep = Some(now);
                drop(queue);
                ended.into_values().for_each(Waker::wake);
                queue = self.lock();
                continue;
            }
            let next = queue.waiting.first_key_value().map(|((end, _), _)| *end);
            queue.asleep = next;
            queue = match next {
                Some(end) => self.earlier.wait_timeout(queue, end - now).unwrap_or_else(PoisonError::into_inner).0,
                None => self.earlier.wait(queue).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;
    use crate::support::executor::{block_on, spawn};

    fn sleep(millis: u64) -> Sleep {
        start().unwrap();
        Sleep::new(Duration::from_millis(millis))
    }

    #[test]
    fn a_wait_ends_after_its_time_also_one_that_begins_later_and_ends_earlier() {
        let begun = Instant::now();
        let tasks: Vec<_> = [300u64, 20, 150, 0, 80]
            .map(|millis| {
                let sleep = sleep(millis);
                spawn(async move {
                    sleep.await;
                    (millis, begun.elapsed())
                })
            })
            .into_iter()
            .collect();
        for task in tasks {
            let (millis, took) = block_on(task);
            assert!(took >= Duration::from_millis(millis) && took < Duration::from_secs(10), "{millis}: {took:?}");
        }
    }

    struct Counted(AtomicUsize);

    impl Wake for Counted {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn the_waker_of_the_last_poll_is_woken_once_and_none_of_what_was_dropped() {
        let wakers = [0; 3].map(|_| Arc::new(Counted(AtomicUsize::new(0))));
        let [first, last, dropped] = wakers.clone().map(Waker::from);
        let (mut kept, mut gone) = (sleep(50), sleep(50));
        assert!(Pin::new(&mut kept).poll(&mut Context::from_waker(&first)).is_pending());
        assert!(Pin::new(&mut kept).poll(&mut Context::from_waker(&last)).is_pending());
        assert!(Pin::new(&mut gone).poll(&mut Context::from_waker(&dropped)).is_pending());
        drop(gone);
        block_on(sleep(150));
        assert_eq!(wakers.map(|waker| waker.0.load(Ordering::Relaxed)), [0, 1, 0]);
        assert!(Pin::new(&mut kept).poll(&mut Context::from_waker(&last)).is_ready());
    }

    #[test]
    fn a_time_beyond_the_clock_never_comes() {
        let mut never = Sleep::new(Duration::MAX);
        assert!(Pin::new(&mut never).poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }

    #[test]
    fn thousands_wait_and_end_on_many_threads() {
        let tasks: Vec<_> = (0..5_000u64).map(|number| spawn(sleep(number % 97))).collect();
        let dropped: Vec<_> = (0..5_000u64).map(|number| sleep(60_000 + number)).collect();
        for task in tasks {
            block_on(task);
        }
        drop(dropped);
    }
}
