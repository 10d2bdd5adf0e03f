//! The one place where code runs in a program's process before the program does.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Has a started process run `enter` before it becomes the program.
///
/// `enter` must do nothing but system calls: it takes no lock and allocates nothing, since the process is a copy of this one
/// in which no other thread goes on.
pub(crate) fn run(command: &mut Command, enter: impl FnMut() -> io::Result<()> + Send + Sync + 'static) {
    // SAFETY: what callers give makes system calls only, as asked above (async-signal-safe, `signal-safety(7)`).
    unsafe { command.pre_exec(enter) };
}
