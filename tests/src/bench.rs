//! Rows of benches: a ratio against a floor measured in the same run, interleaved.

use std::process::ExitCode;
use std::time::Instant;

/// A measured row.
pub struct Row {
    /// What is measured.
    pub name: String,
    /// Times of the floor and of ours per operation, ns: one pair a round.
    pub rounds: Vec<(f64, f64)>,
    /// Largest ours/floor allowed.
    pub must: f64,
    /// What we want it to be.
    pub goal: f64,
}

/// What is run.
pub struct Only {
    /// One round after the one that warms up, nothing asserted.
    pub quick: bool,
    words: Vec<String>,
}

impl Only {
    /// What the command line says.
    #[must_use]
    pub fn asked() -> Self {
        let (options, words): (Vec<_>, Vec<_>) = std::env::args().skip(1).partition(|word| word.starts_with("--"));
        Self { quick: options.iter().any(|option| option == "--quick" || option == "--test"), words }
    }
    /// Whether a row of this name is wanted.
    #[must_use]
    pub fn has(&self, row: &str) -> bool {
        self.words.is_empty() || self.words.iter().any(|word| row.contains(word.as_str()))
    }
}

/// The middle one.
///
/// # Panics
/// Without a value.
#[must_use]
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

impl Row {
    /// Median of ours/floor.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        median(self.rounds.iter().map(|(floor, ours)| ours / floor).collect())
    }
    /// A line of the table.
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
    /// For programs.
    #[must_use]
    pub fn json(&self) -> String {
        serde_json::json!({"bench": self.name, "ratio": self.ratio(), "must": self.must, "goal": self.goal}).to_string()
    }
}

/// Nanoseconds per operation of `body`, which does `count` of them.
pub fn time(count: u32, body: impl FnOnce()) -> f64 {
    let start = Instant::now();
    body();
    start.elapsed().as_nanos() as f64 / f64::from(count)
}

/// Runs `count` rounds of (floor, ours), or one.
pub fn rounds(quick: bool, count: u32, mut round: impl FnMut() -> (f64, f64)) -> Vec<(f64, f64)> {
    // The first round warms up.
    round();
    (0..if quick { 1 } else { count }).map(|_| round()).collect()
}

/// Prints the rows as a table and as one JSON object each; a failure when one is above its `must`.
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
