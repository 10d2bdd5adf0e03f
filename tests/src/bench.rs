//! Benchmark rows. Each row is a ratio against a baseline, the floor, measured in the same run in alternation.

use std::process::ExitCode;
use std::time::Instant;

/// One measurement and its limits.
pub struct Row {
    /// The name of the measurement.
    pub name: String,
    /// One pair per round: the time per operation of the floor and of our code, in nanoseconds.
    pub rounds: Vec<(f64, f64)>,
    /// The largest ratio ours/floor that is allowed.
    pub must: f64,
    /// The ratio that we aim for.
    pub goal: f64,
}

/// Selects what to run, from the command line.
pub struct Only {
    /// Run a single round after the warm-up and never report a failure.
    pub quick: bool,
    words: Vec<String>,
}

impl Only {
    /// Reads the command line.
    #[must_use]
    pub fn asked() -> Self {
        let (options, words): (Vec<_>, Vec<_>) = std::env::args().skip(1).partition(|word| word.starts_with("--"));
        Self { quick: options.iter().any(|option| option == "--quick" || option == "--test"), words }
    }
    /// Whether a row with this name is selected.
    #[must_use]
    pub fn has(&self, row: &str) -> bool {
        self.words.is_empty() || self.words.iter().any(|word| row.contains(word.as_str()))
    }
}

/// The median of some values.
///
/// # Panics
/// If there are no values.
#[must_use]
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

impl Row {
    /// The median of ours/floor.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        median(self.rounds.iter().map(|(floor, ours)| ours / floor).collect())
    }
    /// Prints the row as a line of the table.
    pub fn print(&self) {
        let ratios: Vec<f64> = self.rounds.iter().map(|(floor, ours)| ours / floor).collect();
        let (min, max) = (ratios.iter().copied().fold(f64::MAX, f64::min), ratios.iter().copied().fold(0.0, f64::max));
        let floor = median(self.rounds.iter().map(|pair| pair.0).collect());
        let ours = median(self.rounds.iter().map(|pair| pair.1).collect());
        let verdict = if self.ratio() <= self.goal {
            "goal"
        } else if self.ratio() <= self.must {
            "must"
        } else {
            "MISSED"
        };
        println!(
            "{:<44} {:>8.2} x  ({min:.2} to {max:.2}; must {:.2}, goal {:.2})  floor {floor:>10.1} ns, ours {ours:>10.1} ns  {verdict}",
            self.name,
            self.ratio(),
            self.must,
            self.goal
        );
    }
    /// The row as a JSON object.
    #[must_use]
    pub fn json(&self) -> String {
        serde_json::json!({"bench": self.name, "ratio": self.ratio(), "must": self.must, "goal": self.goal}).to_string()
    }
}

/// Runs `body`, which does `count` operations, and returns the nanoseconds per operation.
pub fn time(count: u32, body: impl FnOnce()) -> f64 {
    let start = Instant::now();
    body();
    start.elapsed().as_nanos() as f64 / f64::from(count)
}

/// Runs `count` rounds of (floor, ours), or one if `quick`.
pub fn rounds(quick: bool, count: u32, mut round: impl FnMut() -> (f64, f64)) -> Vec<(f64, f64)> {
    // The first round warms up.
    round();
    (0..if quick { 1 } else { count }).map(|_| round()).collect()
}

/// Prints the rows as a table and then as JSON objects. Fails if a ratio is above its `must`, unless `quick`.
#[must_use]
pub fn report(only: &Only, rows: &[Row]) -> ExitCode {
    for row in rows {
        row.print();
    }
    for row in rows {
        println!("{}", row.json());
    }
    let missed = rows.iter().any(|row| row.ratio() > row.must);
    if missed && !only.quick { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
