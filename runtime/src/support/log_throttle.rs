//! Throttles repeated log lines: the first few of each second are logged, the others are counted.
//!
//! It is only used for events that are also recorded in a chain, so that no information is lost.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The number of lines logged per second.
pub const LINES: u32 = 5;
const SECOND: Duration = Duration::from_secs(1);

/// A throttle for one kind of log line.
#[derive(Debug, Default)]
pub struct LogThrottle(Mutex<Second>);

#[derive(Debug, Default)]
struct Second {
    began: Option<Instant>,
    logged: u32,
    held: u64,
}

impl LogThrottle {
    /// Decides whether to log a line now: `Some` with the number of lines suppressed since the last logged one, or `None`.
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

    /// Takes the number of lines suppressed since the last logged one.
    pub fn take_held(&self) -> u64 {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_lines_of_a_second_are_logged_and_the_others_counted() {
        let (throttle, start) = (LogThrottle::default(), Instant::now());
        for _ in 0..LINES {
            assert_eq!(throttle.admit(start), Some(0));
        }
        for _ in 0..7 {
            assert_eq!(throttle.admit(start + SECOND / 2), None);
        }
        assert_eq!(throttle.admit(start + SECOND), Some(7));
        assert_eq!(throttle.take_held(), 0);
    }
}
