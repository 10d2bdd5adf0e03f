//! Waits for a time: all of the core's are one thread's.
//!
//! The reactor of async-std tells its thread of every timer, through the kernel; an actor makes one for each message it waits
//! for, and drops it when the message comes. Here the thread hears only of an end that is earlier than what it waits for.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

/// Ends when its time has come.
#[derive(Debug)]
pub struct Sleep {
    // None: a time beyond what the clock can tell.
    end: Option<Instant>,
    // Its place among all that wait, from the first poll on.
    place: Option<TimerKey>,
}

type TimerKey = (Instant, u64);

impl Sleep {
    /// Ends after `duration`, which begins now.
    #[must_use]
    pub fn new(duration: Duration) -> Self {
        Self { end: Instant::now().checked_add(duration), place: None }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Some(end) = self.end else { return Poll::Pending };
        if Instant::now() >= end {
            return Poll::Ready(());
        }
        self.place = Some(TIMERS.wait(end, self.place, context.waker()));
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            TIMERS.lock().waiting.remove(&place);
        }
    }
}

static TIMERS: LazyLock<Timers> = LazyLock::new(Timers::default);

/// Starts the thread; again is nothing. Without it nobody's time comes.
///
/// # Errors
/// What the system says about one thread more.
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
    // Until when the thread sleeps; none: until somebody waits.
    asleep: Option<Instant>,
    runs: bool,
}

impl Timers {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Every change is whole or not there at all.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self, end: Instant, place: Option<TimerKey>, waker: &Waker) -> TimerKey {
        let mut queue = self.lock();
        let place = place.unwrap_or_else(|| {
            queue.next += 1;
            (end, queue.next)
        });
        queue.waiting.entry(place).or_insert_with(|| waker.clone()).clone_from(waker);
        if queue.asleep.is_none_or(|until| end < until) {
            queue.asleep = Some(end);
            self.earlier.notify_one();
        }
        place
    }

    fn run(&self) {
        let mut queue = self.lock();
        loop {
            let now = Instant::now();
            let later = queue.waiting.split_off(&(now, u64::MAX));
            let ended = std::mem::replace(&mut queue.waiting, later);
            if !ended.is_empty() {
                // Whoever comes meanwhile is seen before the next sleep.
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
