//! Writes to standard output and standard error.
//!
//! Standard output has data. If its reader closes the pipe, a listing ends quietly, as with `head`; a result is an error,
//! because it would look complete; and `theater run` continues without output. Any other failed write, such as on a full disk,
//! is an error except for `theater run`.
//!
//! Standard error has log lines and error messages. They go through a bounded queue to a separate thread, so that a slow reader
//! does not block the program. Lines that do not fit in the queue are counted and dropped.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{OnceLock, PoisonError, RwLock};

use serde_json::Value as Json;
use theater_chain::text;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};

/// Capacity of the queue to standard error, in lines.
const QUEUED_LINES: usize = 8_192;

/// What a command writes to standard output, which determines what a failed write means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Purpose {
    /// A listing: it ends quietly when the reader closes the pipe.
    Listing,
    /// A result: a failed write is an error, because the output is incomplete.
    Result,
    /// Events of a running program: it continues.
    Service,
}

static PURPOSE: AtomicU8 = AtomicU8::new(Purpose::Listing as u8);
static STDERR_QUEUE: RwLock<Option<NonBlocking>> = RwLock::new(None);
static DROPPED: OnceLock<ErrorCounter> = OnceLock::new();
// Dropped lines that were reported already.
static REPORTED: AtomicU64 = AtomicU64::new(0);
// Whether a failed write to standard output was logged.
static STDOUT_REPORTED: AtomicU8 = AtomicU8::new(0);

/// Sets what standard output is used for.
pub fn set_purpose(purpose: Purpose) {
    PURPOSE.store(purpose as u8, Ordering::Relaxed);
}

/// Owns the thread that writes to standard error. Dropping it waits for up to a second until queued lines are written.
#[must_use]
pub struct StderrGuard(Option<WorkerGuard>);

impl Drop for StderrGuard {
    fn drop(&mut self) {
        *STDERR_QUEUE.write().unwrap_or_else(PoisonError::into_inner) = None;
        drop(self.0.take());
    }
}

/// Starts the thread that writes to standard error. Returns its guard and the writer of its queue.
pub fn start_stderr() -> (StderrGuard, NonBlocking) {
    let builder = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(QUEUED_LINES);
    let (writer, guard) = builder.thread_name("theater-log").finish(io::stderr());
    DROPPED.get_or_init(|| writer.error_counter());
    *STDERR_QUEUE.write().unwrap_or_else(PoisonError::into_inner) = Some(writer.clone());
    (StderrGuard(Some(guard)), writer)
}

/// The number of lines that were dropped since the last call.
pub fn newly_dropped() -> u64 {
    let all = DROPPED.get().map_or(0, |counter| counter.dropped_lines() as u64);
    all.saturating_sub(REPORTED.swap(all, Ordering::Relaxed))
}

/// Prints lines to standard error. A failed write is ignored: there is nowhere to report it.
pub fn print_error(text: &str) {
    let line = format!("{text}\n");
    let queue = STDERR_QUEUE.read().unwrap_or_else(PoisonError::into_inner).clone();
    match queue {
        Some(mut queue) => drop(queue.write_all(line.as_bytes())),
        None => drop(io::stderr().write_all(line.as_bytes())),
    }
}

/// Whether standard error is a terminal.
pub fn stderr_is_terminal() -> bool {
    io::stderr().is_terminal()
}

/// Prints one line to standard output.
pub fn print_line(line: &str) {
    print_bytes(format!("{}\n", text::line(line)).as_bytes());
}

/// Prints text of one or more lines to standard output.
pub fn print_text(text: &str) {
    print_bytes(format!("{}\n", text::lines(text)).as_bytes());
}

/// Prints a JSON value on one line to standard output.
pub fn print_json(value: &Json) {
    print_bytes(format!("{}\n", text::json(&value.to_string())).as_bytes());
}

/// Prints an actor's bytes unchanged, or escaped if standard output is a terminal.
pub fn print_raw(bytes: &[u8]) {
    if io::stdout().is_terminal() {
        return print_text(&String::from_utf8_lossy(bytes));
    }
    print_bytes(bytes);
}

/// Prints bytes to standard output.
pub fn print_bytes(bytes: &[u8]) {
    let mut out = io::stdout().lock();
    let Err(error) = out.write_all(bytes).and_then(|()| out.flush()) else { return };
    drop(out);
    let purpose = PURPOSE.load(Ordering::Relaxed);
    let is_closed = error.kind() == io::ErrorKind::BrokenPipe;
    if purpose == Purpose::Service as u8 {
        if STDOUT_REPORTED.swap(1, Ordering::Relaxed) == 0 {
            tracing::warn!("standard output cannot be written ({error}); the program continues");
        }
        return;
    }
    if is_closed && purpose == Purpose::Listing as u8 {
        std::process::exit(0);
    }
    let sentence = format!(
        "error[U0001] standard output cannot be written: {error}\n  help: the output is incomplete; free space, or write it elsewhere\n"
    );
    drop(io::stderr().write_all(sentence.as_bytes()));
    std::process::exit(1);
}
