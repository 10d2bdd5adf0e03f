//! Standard output and standard error: what is written there, and what a failed write means.
//!
//! Standard output is data. A reader that goes away ends a listing quietly, as with `head`; it is an error for a result,
//! which would look complete; and it is nothing to a running program, which goes on without. Any other failed write, such as
//! to a full disk, is an error everywhere but there.
//!
//! Standard error is talk: log lines and error messages go through a bounded queue to a thread of their own, so that nobody
//! waits for a reader that has stopped, and lines that do not fit are counted and dropped.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{OnceLock, PoisonError, RwLock};

use serde_json::Value as Json;
use theater_chain::text;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};

/// Most lines that wait for standard error to take them.
const QUEUED_LINES: usize = 8_192;

/// What a write to standard output that fails means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Purpose {
    /// The end of a listing, where the reader has gone.
    Listing,
    /// An error: what was written is not all.
    Result,
    /// Nothing: the program goes on.
    Service,
}

static PURPOSE: AtomicU8 = AtomicU8::new(Purpose::Listing as u8);
static TALK: RwLock<Option<NonBlocking>> = RwLock::new(None);
static DROPPED: OnceLock<ErrorCounter> = OnceLock::new();
static TOLD: AtomicU64 = AtomicU64::new(0);

/// Says what standard output is for from now on.
pub fn is_for(purpose: Purpose) {
    PURPOSE.store(purpose as u8, Ordering::Relaxed);
}

/// Writes lines to standard error until dropped: waits then, for a second at most, until those that are queued are written.
#[must_use]
pub struct Talk(Option<WorkerGuard>);

impl Drop for Talk {
    fn drop(&mut self) {
        *TALK.write().unwrap_or_else(PoisonError::into_inner) = None;
        drop(self.0.take());
    }
}

/// Starts the thread that writes to standard error, and gives what is to be written through.
pub fn start_talk() -> (Talk, NonBlocking) {
    let builder = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(QUEUED_LINES);
    let (writer, guard) = builder.thread_name("theater-log").finish(io::stderr());
    DROPPED.get_or_init(|| writer.error_counter());
    *TALK.write().unwrap_or_else(PoisonError::into_inner) = Some(writer.clone());
    (Talk(Some(guard)), writer)
}

/// How many lines were dropped since this was asked last.
pub fn newly_dropped() -> u64 {
    let all = DROPPED.get().map_or(0, |counter| counter.dropped_lines() as u64);
    all.saturating_sub(TOLD.swap(all, Ordering::Relaxed))
}

/// Prints lines on standard error. Where that does not take them, nothing more can be said.
pub fn complain(text: &str) {
    let line = format!("{text}\n");
    let queue = TALK.read().unwrap_or_else(PoisonError::into_inner).clone();
    match queue {
        Some(mut queue) => drop(queue.write_all(line.as_bytes())),
        None => drop(io::stderr().write_all(line.as_bytes())),
    }
}

/// Whether standard error is a terminal.
pub fn talks_to_terminal() -> bool {
    io::stderr().is_terminal()
}

/// Prints text on one line of standard output.
pub fn print_line(line: &str) {
    print_bytes(format!("{}\n", text::line(line)).as_bytes());
}

/// Prints text of one or more lines on standard output.
pub fn print_text(text: &str) {
    print_bytes(format!("{}\n", text::lines(text)).as_bytes());
}

/// Prints a JSON value on one line of standard output.
pub fn print_json(value: &Json) {
    print_bytes(format!("{}\n", text::json(&value.to_string())).as_bytes());
}

/// Prints bytes that an actor chose as they are, unless a terminal would obey them.
pub fn print_raw(bytes: &[u8]) {
    if io::stdout().is_terminal() {
        return print_text(&String::from_utf8_lossy(bytes));
    }
    print_bytes(bytes);
}

/// Prints bytes on standard output.
pub fn print_bytes(bytes: &[u8]) {
    let mut out = io::stdout().lock();
    let Err(error) = out.write_all(bytes).and_then(|()| out.flush()) else { return };
    drop(out);
    let purpose = PURPOSE.load(Ordering::Relaxed);
    let has_gone = error.kind() == io::ErrorKind::BrokenPipe;
    if purpose == Purpose::Service as u8 {
        if TOLD_OUT.swap(1, Ordering::Relaxed) == 0 {
            tracing::warn!("standard output takes nothing more ({error}); the program goes on");
        }
        return;
    }
    if has_gone && purpose == Purpose::Listing as u8 {
        std::process::exit(0);
    }
    let sentence = format!(
        "error[U0001] standard output cannot be written: {error}\n  help: the output is not complete; free space, or write it elsewhere\n"
    );
    drop(io::stderr().write_all(sentence.as_bytes()));
    std::process::exit(1);
}

static TOLD_OUT: AtomicU8 = AtomicU8::new(0);
