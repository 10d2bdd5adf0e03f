//! The number of open files that programs may have: what whoever started the runtime gave it, not what it raised it to.
//!
//! Programs that use `select(2)`, or close all numbers there could be, go wrong or slow with a high one.

use rustix::process::{Pid, Resource, Rlimit, prlimit};

/// The variable in which the runtime keeps the soft limit it was started with.
pub(crate) const OPEN_FILES: &str = "THEATER_OPEN_FILES";

/// Gives a program that was just started the limit back. It has begun by then: nothing of it opens files that early.
pub(crate) fn restore(program: Pid) {
    let Some(soft) = std::env::var(OPEN_FILES).ok().and_then(|text| text.parse().ok()) else { return };
    let maximum = rustix::process::getrlimit(Resource::Nofile).maximum;
    // One that has ended meanwhile needs none.
    prlimit(Some(program), Resource::Nofile, Rlimit { current: Some(soft), maximum }).ok();
}
