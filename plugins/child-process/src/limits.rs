//! The number of open files that programs may have: what whoever started the runtime gave it, not what it raised it to.
//!
//! Programs that use `select(2)`, or close all numbers there could be, go wrong or slow with a high one.

use std::sync::{Mutex, MutexGuard, TryLockError};

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};

/// The variable in which the runtime keeps the soft limit it was started with.
pub(crate) const OPEN_FILES: &str = "THEATER_OPEN_FILES";

/// The most that the runtime raises it to.
const RAISED: u64 = 1 << 20;

fn given() -> Option<u64> {
    std::env::var(OPEN_FILES).ok().and_then(|text| text.parse().ok())
}

/// The limit of this process while it starts a program, which inherits it.
///
/// It is the given one where that keeps nobody from opening files: this process has less than half as many open. A start
/// takes about a millisecond. Else the program has the raised limit until [`restore`], just after its start.
pub(crate) struct Lowered {
    raised: Option<Rlimit>,
    _alone: Option<MutexGuard<'static, ()>>,
}

impl Lowered {
    pub(crate) fn now() -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        let nothing = Self { raised: None, _alone: None };
        let Some(soft) = given().filter(|soft| has_fewer_open_than(soft / 2)) else {
            return nothing;
        };
        // Nobody waits for another one's start, which a file system may hold up.
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
        // Another plugin may have lowered it at the same time: then it is raised to what the runtime does, at most.
        let raised = Rlimit { current: current.max(maximum.map(|most| most.min(RAISED)).or(Some(RAISED))), maximum };
        setrlimit(Resource::Nofile, raised).ok();
    }
}

fn has_fewer_open_than(count: u64) -> bool {
    let most = usize::try_from(count).unwrap_or(usize::MAX);
    std::fs::read_dir("/proc/self/fd").is_ok_and(|open| open.take(most).count() < most)
}

/// Gives a program that was started with the raised limit the given one.
pub(crate) fn restore(program: Pid) {
    let Some(soft) = given() else { return };
    let maximum = getrlimit(Resource::Nofile).maximum;
    // One that has ended meanwhile needs none.
    prlimit(Some(program), Resource::Nofile, Rlimit { current: Some(soft), maximum }).ok();
}
