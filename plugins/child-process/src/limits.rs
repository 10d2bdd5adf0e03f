//! The number of open files that programs may have: what whoever started the runtime gave it, not what it raised it to.
//!
//! Programs that use `select(2)`, or close all numbers there could be, go wrong or slow with a high one.

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, TryLockError};

use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};

/// The variable in which the runtime keeps the soft limit it was started with.
pub(crate) const OPEN_FILES: &str = "THEATER_OPEN_FILES";

fn given() -> Option<u64> {
    std::env::var(OPEN_FILES).ok().and_then(|text| text.parse().ok())
}

/// The limit of this process while it starts a program, which inherits it.
///
/// It is the given one where that keeps nobody from opening files: less than half of it is in use. A start takes about a
/// millisecond. Else the program has the raised limit until [`restore`], just behind its start.
pub(crate) struct Lowered {
    raised: Option<Rlimit>,
    _alone: Option<MutexGuard<'static, ()>>,
}

impl Lowered {
    pub(crate) fn now() -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        let nothing = Self { raised: None, _alone: None };
        let Some(soft) = given().filter(|soft| lowest_free().is_some_and(|free| free < soft / 2)) else {
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
        if let Some(Rlimit { maximum, .. }) = self.raised {
            // The runtime raises it to all it may have: whatever another plugin does at the same time, that is what it was.
            setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).ok();
        }
    }
}

/// The number that the next open file gets: about how many there are.
fn lowest_free() -> Option<u64> {
    let probe: OwnedFd = rustix::fs::open("/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?;
    u64::try_from(probe.as_raw_fd()).ok()
}

/// Gives a program that was started with the raised limit the given one.
pub(crate) fn restore(program: Pid) {
    let Some(soft) = given() else { return };
    let maximum = getrlimit(Resource::Nofile).maximum;
    // One that has ended meanwhile needs none.
    prlimit(Some(program), Resource::Nofile, Rlimit { current: Some(soft), maximum }).ok();
}
