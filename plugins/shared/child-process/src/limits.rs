//! The limit on open files for programs: the one that the runtime was started with, not the one it raised it to.
//!
//! Programs that use `select(2)`, or that close every possible descriptor, fail or get slow with a high limit.

use std::sync::{Mutex, MutexGuard, TryLockError};

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};

/// The environment variable in which the runtime keeps the soft limit it was started with.
pub(crate) const OPEN_FILES: &str = "THEATER_OPEN_FILES";

/// The highest value to which the runtime raises the limit.
const RAISED: u64 = 1 << 20;

fn soft_limit() -> Option<u64> {
    std::env::var(OPEN_FILES).ok().and_then(|text| text.parse().ok())
}

/// Lowers the limit of this process while it starts a program, which inherits it; restores it on drop.
///
/// The limit is lowered to the original one only if this process has fewer than half that many files open, so that
/// other threads can still open files meanwhile. A start takes about a millisecond. Otherwise the program has the
/// raised limit until [`restore`], right after its start.
pub(crate) struct Lowered {
    raised: Option<Rlimit>,
    _alone: Option<MutexGuard<'static, ()>>,
}

impl Lowered {
    pub(crate) fn now() -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        let nothing = Self { raised: None, _alone: None };
        let Some(soft) = soft_limit().filter(|soft| has_fewer_open_than(soft / 2)) else {
            return nothing;
        };
        // Do not wait for another start, which a slow file system may hold up.
        let alone = match ALONE.try_lock() {
            Ok(alone) => alone,
            Err(TryLockError::Poisoned(alone)) => alone.into_inner(),
            Err(TryLockError::WouldBlock) => return nothing,
        };
        let raised = getrlimit(Resource::Nofile);
        match setrlimit(Resource::Nofile, Rlimit { current: Some(soft), ..raised }) {
            Ok(()) => Self { raised: Some(raised), _alone: Some(alone) },
            Err(_) => nothing,
        }
    }
}

impl Drop for Lowered {
    fn drop(&mut self) {
        let Some(Rlimit { current, maximum }) = self.raised else { return };
        // Another plugin may have lowered the limit at the same time, and `current` may be that value: restore at least
        // the limit that the runtime raises it to.
        let raised = Rlimit { current: current.max(maximum.map(|most| most.min(RAISED)).or(Some(RAISED))), maximum };
        setrlimit(Resource::Nofile, raised).ok();
    }
}

fn has_fewer_open_than(count: u64) -> bool {
    let most = usize::try_from(count).unwrap_or(usize::MAX);
    std::fs::read_dir("/proc/self/fd").is_ok_and(|open| open.take(most).count() < most)
}

/// Sets the original limit for a program that may have been started with the raised one.
pub(crate) fn restore(program: Pid) {
    let Some(soft) = soft_limit() else { return };
    let maximum = getrlimit(Resource::Nofile).maximum;
    // A failure is ignored: the program may have ended already.
    prlimit(Some(program), Resource::Nofile, Rlimit { current: Some(soft), maximum }).ok();
}
