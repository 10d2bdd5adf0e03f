//! Holds back log lines that repeat: the first few of a second are logged, the others are counted.
//!
//! For what is recorded anyway: the chain has every fault, the log is there to be read.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lines of a second that are logged.
pub const LINES: u32 = 5;
const SECOND: Duration = Duration::from_secs(1);

/// One stream of log lines.
#[derive(Debug, Default)]
pub struct LogThrottle(Mutex<Second>);

#[derive(Debug, Default)]
struct Second {
    began: Option<Instant>,
    logged: u32,
    held: u64,
}

impl LogThrottle {
    /// Whether to log a line now; if so, how many were held back since the last one that was logged.
    pub fn admit(&self, now: Instant) -> Option<u64> {
        let mut second = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if second.began.is_none_or(|began| now.saturating_duration_since(began) >= SECOND) {
            second.began = Some(now);
            second.logged = 0;
        }
        if second.logged == LINES {
            second.held += 1;
            return None;
        }
        second.logged += 1;
        Some(std::mem::take(&mut second.held))
    }

    /// How many were held back since the last line that was logged; they count as told from now on.
    pub fn take_held(&self) -> u64 {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_lines_of_a_second_are_logged_and_the_others_counted() {
        let (flood, start) = (LogThrottle::default(), Instant::now());
        for _ in 0..LINES {
            assert_eq!(flood.admit(start), Some(0));
        }
        for _ in 0..7 {
            assert_eq!(flood.admit(start + SECOND / 2), None);
        }
        assert_eq!(flood.admit(start + SECOND), Some(7));
        assert_eq!(flood.take_held(), 0);
    }
}
