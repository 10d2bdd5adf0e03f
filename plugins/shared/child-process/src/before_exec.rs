//! The only module that runs code in the child process between fork and exec.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Makes the child process run `enter` between fork and exec.
///
/// `enter` must only make system calls: it must not take a lock or allocate memory. The child is a copy of this process
/// in which no other thread runs, so a lock that another thread held at the fork is never released.
pub(crate) fn run(command: &mut Command, enter: impl FnMut() -> io::Result<()> + Send + Sync + 'static) {
    // SAFETY: callers pass a closure that only makes system calls, as required above (async-signal-safe,
    // `signal-safety(7)`).
    unsafe { command.pre_exec(enter) };
}
