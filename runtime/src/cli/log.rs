//! Log lines on stderr.

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

/// How log lines are printed.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Text,
    /// One JSON object per line
    Json,
}

/// Starts logging at a level.
///
/// # Errors
/// A sentence, when the level is none.
pub fn start(level: &str, format: Format) -> Result<(), String> {
    const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];
    if !LEVELS.contains(&level) {
        return Err(format!("--log {level}: {}", theater_runtime::error::suggest(level, LEVELS)));
    }
    // What lies beneath is only of interest when looking for a fault there.
    let filter = format!("warn,theater={level},theater_runtime={level},actor={level},plugin={level}");
    let filter = EnvFilter::try_new(filter).map_err(|error| error.to_string())?;
    let ansi = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        Format::Text => subscriber.with_ansi(ansi).init(),
        Format::Json => subscriber.json().init(),
    }
    Ok(())
}
