//! How long the running call of an actor has waited for a host call.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The bit that is set once the wait was reported.
const REPORTED: u64 = 1 << 31;
/// The bits of the second in which the wait began.
const SECOND: u64 = REPORTED - 1;

/// The host call that a call waits for: the index of its function plus one in the upper half, and in the lower half the
/// second in which the wait began; 0 is no wait. One atomic, because it is written at every host call that waits.
#[derive(Debug, Default)]
pub(crate) struct HostWait(AtomicU64);

/// The current second of the coarse monotonic clock: the cheapest clock that never goes back.
fn current_second() -> u64 {
    u64::try_from(clock_gettime(ClockId::MonotonicCoarse).tv_sec).unwrap_or_default() & SECOND
}

impl HostWait {
    /// A host call of that function begins.
    pub(crate) fn begin(&self, function: u32) {
        self.0.store((u64::from(function) + 1) << 32 | current_second(), Ordering::Relaxed);
    }

    /// The host call has ended.
    pub(crate) fn end(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// The index of the function, and for how long it has been waited for, if that is at least `patience`. Each wait is
    /// reported once.
    pub(crate) fn report(&self, patience: Duration) -> Option<(u32, Duration)> {
        let wait = self.0.load(Ordering::Relaxed);
        let (function, since) = ((wait >> 32).checked_sub(1)?, wait & SECOND);
        let waited = Duration::from_secs(current_second().saturating_sub(since));
        if waited < patience || wait & REPORTED != 0 {
            return None;
        }
        let reported = self.0.compare_exchange(wait, wait | REPORTED, Ordering::Relaxed, Ordering::Relaxed);
        reported.ok().map(|_| (function as u32, waited))
    }
}
