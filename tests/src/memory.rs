//! Memory use of a process, as the kernel accounts it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Reads a figure of `/proc/<process>/smaps_rollup`, such as `Pss:`, in KiB. `process` is a pid or `self`.
///
/// # Panics
/// If there is no such process or figure.
#[must_use]
pub fn of(process: &str, figure: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/smaps_rollup")).expect("it is readable");
    let line = text.lines().find(|line| line.starts_with(figure)).expect("the figure is there");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
}

/// Samples the PSS of a process over time.
pub struct Memory {
    ended: Arc<AtomicBool>,
    watching: thread::JoinHandle<Vec<(f64, f64)>>,
}

impl Memory {
    /// Takes a sample every half second until [`Memory::end`].
    #[must_use]
    pub fn watch(pid: u32) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&ended);
        let watching = thread::spawn(move || {
            let (begun, mut samples) = (Instant::now(), Vec::new());
            while !end.load(Ordering::Relaxed) {
                samples.push((begun.elapsed().as_secs_f64(), of(&pid.to_string(), "Pss:") as f64));
                thread::sleep(Duration::from_millis(500));
            }
            samples
        });
        Self { ended, watching }
    }

    /// Stops sampling and returns the last PSS in KiB and the [`growth`] of all samples.
    ///
    /// # Panics
    /// If the process exited before.
    #[must_use]
    pub fn end(self) -> (u64, f64) {
        self.ended.store(true, Ordering::Relaxed);
        let samples = self.watching.join().expect("the samples");
        (samples.last().map_or(0, |sample| sample.1 as u64), growth(&samples))
    }
}

/// The relative growth of samples of (time, size): the slope of the least-squares line times the duration, divided by
/// the mean size.
#[must_use]
pub fn growth(samples: &[(f64, f64)]) -> f64 {
    let count = samples.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| samples.iter().map(of).sum::<f64>() / count;
    let (time, size) = (mean(|sample| sample.0), mean(|sample| sample.1));
    let over: f64 = samples.iter().map(|sample| (sample.0 - time) * (sample.1 - size)).sum();
    let under: f64 = samples.iter().map(|sample| (sample.0 - time).powi(2)).sum();
    let length = samples.last().zip(samples.first()).map_or(0.0, |(last, first)| last.0 - first.0);
    if under > 0.0 { over / under * length / size } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::growth;

    #[test]
    fn growth_is_the_line_through_all_samples_not_the_way_from_the_first_to_the_last() {
        let line = [(3.0, 90.0), (4.0, 100.0), (5.0, 110.0)];
        assert!((growth(&line) - 0.2).abs() < 1e-9);
        let peak_at_the_end = [(0.0, 100.0), (1.0, 100.0), (2.0, 100.0), (3.0, 100.0), (4.0, 105.0)];
        assert!((growth(&peak_at_the_end) - 4.0 / 101.0).abs() < 1e-9);
        assert_eq!([growth(&[]), growth(&line[..1])], [0.0; 2]);
    }
}
