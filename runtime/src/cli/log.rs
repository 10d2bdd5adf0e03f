//! Log lines on standard error, through the queue of [`super::out`].

use std::fmt::{self, Debug};
use std::io::{self, Write};

use clap::ValueEnum;
use theater_chain::text;
use tracing::field::Field;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::{Writer, debug_fn};

use super::out::{StderrGuard, start_stderr, stderr_is_terminal};

/// Writes a field of a log line. The value is escaped: it may come from an actor or a client.
fn field(to: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> fmt::Result {
    let value = format!("{value:?}");
    match field.name() {
        "message" => write!(to, "{}", text::line(&value)),
        name => write!(to, "{name}={}", text::line(&value)),
    }
}

/// Escapes the control characters that the JSON formatter leaves as they are.
struct EscapedJson<W>(W);

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for EscapedJson<W> {
    type Writer = EscapedLine<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        EscapedLine(self.0.make_writer())
    }
}

/// Escapes one line. The formatter passes each line in a single write.
struct EscapedLine<W>(W);

impl<W: Write> Write for EscapedLine<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let (text, end) = text.strip_suffix('\n').map_or((&*text, ""), |text| (text, "\n"));
        self.0.write_all(format!("{}{end}", text::json(text)).as_bytes()).map(|()| line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// The format of log lines.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Text for people
    Text,
    /// One JSON object per line
    Json,
}

/// Starts logging. Lines are written until the guard is dropped.
///
/// # Errors
/// A message, if the level does not exist.
pub fn start(level: &str, format: Format) -> Result<StderrGuard, String> {
    const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];
    if !LEVELS.contains(&level) {
        return Err(format!("--log {level}: {}", theater_runtime::support::error::suggest(level, LEVELS)));
    }
    // Dependencies only log warnings. `theater` also matches the target `theater_chain`.
    let filter = format!("warn,theater={level},theater_runtime={level},actor={level},plugin={level}");
    let filter = EnvFilter::try_new(filter).map_err(|error| error.to_string())?;
    let (guard, writer) = start_stderr();
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    match format {
        Format::Text => subscriber.fmt_fields(debug_fn(field).delimited(" ")).with_ansi(stderr_is_terminal()).init(),
        Format::Json => subscriber.map_writer(EscapedJson).json().init(),
    }
    Ok(guard)
}
