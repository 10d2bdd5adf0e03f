//! Decides which lines of an actor's log are shown: escaping, the level, and a token bucket of bytes.
//!
//! The bucket holds at most the bytes of one second and fills at a constant rate. A line costs its escaped length in
//! bytes. A line that does not fit is left out and counted, and the next line that fits is preceded by the count. This
//! module only decides; the caller writes the lines.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use serde::Deserialize;

/// The lowest level that is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    Error,
    Warn,
    /// The level at which actors log.
    Info,
    Debug,
    Trace,
}

/// The log stream of one actor.
pub struct Stream {
    shown: bool,
    bytes_per_second: u64,
    bucket: Mutex<Bucket>,
}

struct Bucket {
    tokens: f64,
    filled: Instant,
    lines: u64,
    bytes: u64,
}

impl Stream {
    /// Creates a stream with a full bucket.
    pub fn new(lowest: LogLevel, bytes_per_second: u64, now: Instant) -> Self {
        let bucket = Bucket { tokens: bytes_per_second as f64, filled: now, lines: 0, bytes: 0 };
        Self { shown: lowest >= LogLevel::Info, bytes_per_second, bucket: Mutex::new(bucket) }
    }

    /// Returns what to write for a line of the actor: nothing, the line, or a count of lines left out and then the
    /// line.
    pub fn line(&self, text: &str, now: Instant) -> Vec<String> {
        if !self.shown {
            return Vec::new();
        }
        let line = escape(text);
        let mut bucket = self.bucket();
        bucket.fill(self.bytes_per_second as f64, now);
        if !bucket.take(line.len()) {
            return Vec::new();
        }
        bucket.count_of_left_out(self.bytes_per_second).into_iter().chain([line]).collect()
    }

    /// Returns the count of lines left out since the last line shown, if there are any.
    pub fn left_out(&self) -> Option<String> {
        self.bucket().count_of_left_out(self.bytes_per_second)
    }

    fn bucket(&self) -> std::sync::MutexGuard<'_, Bucket> {
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bucket {
    fn fill(&mut self, rate: f64, now: Instant) {
        let seconds = now.saturating_duration_since(self.filled).as_secs_f64();
        self.tokens = (self.tokens + seconds * rate).min(rate);
        self.filled = now;
    }

    fn take(&mut self, length: usize) -> bool {
        let fits = length as f64 <= self.tokens;
        if fits {
            self.tokens -= length as f64;
        } else {
            self.lines += 1;
            self.bytes += length as u64;
        }
        fits
    }

    fn count_of_left_out(&mut self, rate: u64) -> Option<String> {
        let (lines, bytes) = (std::mem::take(&mut self.lines), std::mem::take(&mut self.bytes));
        let plural = if lines == 1 { "" } else { "s" };
        (lines > 0)
            .then(|| format!("{lines} line{plural} ({bytes} bytes) left out: max_log_bytes_per_second is {rate}"))
    }
}

/// Escapes every character that could move the cursor, end the line or reorder text: Unicode categories Cc, Zl, Zp, and
/// the bidirectional controls of UAX #9.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}') {
            escaped.extend(c.escape_default());
        } else {
            escaped.push(c);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// [runtime-5]
    #[test]
    fn only_what_could_damage_the_log_is_escaped() {
        assert_eq!(escape("C:\\x \"ü\" 🎭"), "C:\\x \"ü\" 🎭");
        assert_eq!(escape("\t\r\n\0\u{7f}\u{9b}"), "\\t\\r\\n\\u{0}\\u{7f}\\u{9b}");
        assert_eq!(escape("\u{202e}\u{2028}"), "\\u{202e}\\u{2028}");
    }

    /// [runtime-7]
    #[test]
    fn the_bucket_leaves_out_what_does_not_fit_and_says_so_when_it_resumes() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let stream = Stream::new(LogLevel::Info, 10, start);
        assert_eq!(stream.line("12345678", at(0)), ["12345678"]);
        assert!(stream.line("abc", at(0)).is_empty());
        assert!(stream.line("abcd", at(50)).is_empty());
        let resumed = ["2 lines (7 bytes) left out: max_log_bytes_per_second is 10", "xyz"];
        assert_eq!(stream.line("xyz", at(100)), resumed);
        assert_eq!(stream.left_out(), None);
    }

    /// [runtime-7]
    #[test]
    fn the_bucket_never_holds_more_than_a_second() {
        let start = Instant::now();
        let stream = Stream::new(LogLevel::Info, 10, start);
        let later = start + Duration::from_secs(60);
        assert_eq!(stream.line("1234567890", later), ["1234567890"]);
        assert!(stream.line("1", later).is_empty());
    }

    /// [runtime-6]
    #[test]
    fn a_silenced_stream_counts_nothing_as_left_out() {
        let now = Instant::now();
        let stream = Stream::new(LogLevel::Warn, 0, now);
        assert!(stream.line("x", now).is_empty());
        assert_eq!(stream.left_out(), None);
    }
}
