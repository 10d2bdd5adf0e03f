//! Guest time: measures how long a call has computed, for its time limit and for turns.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::wasm::ticker::TICK;

/// Guest time: the processor time that a call spends in the guest and in host functions that are not async.
///
/// Reading the thread's processor time is a system call, so a stretch that ends before the engine's next tick is
/// measured with wall time instead, and counts for at most two ticks however long the process was paused. Each tick
/// reads the thread's processor time and measures from there.
#[derive(Debug, Default)]
pub struct Clock {
    used: Duration,
    // When the running stretch began; none while the guest waits.
    since: Option<Instant>,
    limit: Duration,
    // The thread's processor time, in ns, up to which the running stretch has been counted; 0 before its first tick,
    // none before the first tick of the instance. Shared with the wait for a turn: that cannot reach the store, and
    // may resume on another thread, whose processor time it stores here.
    counted: Option<Arc<AtomicU64>>,
}

/// Processor time of this thread, in ns.
fn thread_time() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let whole = u64::try_from(time.tv_sec).unwrap_or_default().saturating_mul(1_000_000_000);
    whole.saturating_add(u64::try_from(time.tv_nsec).unwrap_or_default())
}

impl Clock {
    /// Starts the clock for a call that may use `limit`.
    pub fn start(&mut self, limit: Duration) {
        self.used = Duration::ZERO;
        self.limit = limit;
        self.resume();
    }
    /// Stops counting: the guest waits.
    pub fn pause(&mut self) {
        let Some(since) = self.since.take() else { return };
        self.used += match self.counted.as_ref().map_or(0, |counted| counted.load(Ordering::Relaxed)) {
            0 => since.elapsed().min(2 * TICK),
            before => Duration::from_nanos(thread_time().saturating_sub(before)),
        };
    }
    /// Starts counting again: the guest continues.
    pub fn resume(&mut self) {
        self.since = Some(Instant::now());
        if let Some(counted) = &self.counted {
            counted.store(0, Ordering::Relaxed);
        }
    }
    /// Stops the clock without counting the running stretch: the call has ended, and its time is not read again.
    pub(super) fn stop(&mut self) {
        self.since = None;
    }
    /// Counts up to a tick of the engine's clock while the guest runs. Returns whether the guest has exceeded its
    /// limit.
    pub fn tick(&mut self) -> bool {
        self.pause();
        self.since = Some(Instant::now());
        self.counted.get_or_insert_default().store(thread_time(), Ordering::Relaxed);
        self.used > self.limit
    }
    /// Guest time used so far, up to the last tick or wait.
    #[must_use]
    pub fn used(&self) -> Duration {
        self.used
    }
    /// Awaits `turn`, the guest's next turn, without counting the wait.
    pub fn while_others_run<T>(&self, turn: T) -> impl Future<Output = ()> + Send + use<T>
    where
        T: Future<Output = ()> + Send + 'static,
    {
        let counted = self.counted.clone();
        async move {
            turn.await;
            if let Some(counted) = counted {
                counted.store(thread_time(), Ordering::Relaxed);
            }
        }
    }
}
