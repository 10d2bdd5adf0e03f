//! The command line: what is asked, in which folders, and how answers are printed.
//!
//! Exit codes: 0, 1 when something failed, 2 for a command line that cannot be read.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde_json::{Value as Json, json};
use theater_chain::text;
use theater_runtime::core::Options;
use theater_runtime::manifest::{Values, read_permissions, setting};
use theater_runtime::plugin::plugins::abi_text;
use theater_runtime::support::error::{Error, chain_of};

mod chain;
mod commands;
mod diff;
mod events;
mod export;
mod filter;
mod fork;
mod inspect;
mod log;
mod orphans;
mod out;
mod plugin;
mod proof;
mod replay;
mod run;
mod seal;
mod state;
mod trace;
mod validate;

use out::{Purpose, complain};
pub use out::{print_json, print_line, print_text};

const EXAMPLES: &str = "Examples:
  theater run manifests/hello-http.toml
  theater validate my-actor.toml
  theater inspect my_actor.wasm
  theater plugin list
  theater chain list
  theater chain verify
  theater replay hello-http
  theater trace counter:12";

/// Hosts WebAssembly component actors and a verifiable chain of everything each of them sees and does.
#[derive(Parser)]
#[command(name = "theater", version, long_version = long_version(), after_help = EXAMPLES, max_term_width = 120)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Args, Clone)]
pub struct Common {
    /// Folder of plugins [default: `plugins` beside the program, else the program's own folder]
    #[arg(long, global = true, value_name = "DIR")]
    plugins: Option<PathBuf>,
    /// Data folder [default: THEATER_HOME, else ./.theater]
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<PathBuf>,
    /// How answers are printed
    #[arg(short, long, global = true, value_enum, default_value_t = Output::Text)]
    output: Output,
    /// Lowest level of log lines on stderr: error, warn, info, debug, trace
    #[arg(long, global = true, default_value = "info", value_name = "LEVEL")]
    log: String,
    /// How log lines are printed
    #[arg(long, global = true, value_enum, default_value_t = log::Format::Text)]
    log_format: log::Format,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people
    Text,
    /// One JSON object per line
    Json,
    /// Events as lines with values in WAVE, for `chain export`; elsewhere as text
    Wave,
}

#[derive(Subcommand)]
enum Command {
    /// Runs actors in the foreground until they end or the program is told to
    Run(run::Run),
    /// Checks a manifest, its component and its handlers without starting anything
    Validate(validate::Validate),
    /// Shows a component: its WIT, the handlers it needs, a manifest to start from
    Inspect(inspect::Inspect),
    /// Lists the interfaces that the plugins offer
    Interfaces,
    /// Lists plugins or shows one
    #[command(subcommand)]
    Plugin(plugin::PluginCommand),
    /// Lists events of all chains or of one, a line each
    Events(events::Events),
    /// Lists, shows, verifies, exports and removes chains
    #[command(subcommand)]
    Chain(chain::ChainCommand),
    /// Follows a message from end to end over all chains
    Trace(trace::Trace),
    /// Runs an actor's calls once more from its chain alone, and finds the first byte that differs
    Replay(replay::Replay),
    /// Prints an actor's state, now or behind any of its events
    State(state::State),
    /// Checks a proof that an event is in a chain
    VerifyProof(proof::VerifyProof),
    /// A command that a plugin answers, as `theater store ls`
    #[command(external_subcommand)]
    Plugins(Vec<OsString>),
}

fn long_version() -> String {
    format!("{} (plugin ABI {}, chain format {})", env!("CARGO_PKG_VERSION"), abi_text(), theater_chain::event::FORMAT)
}

/// Reads the command line, does what it says, and prints what went wrong.
pub fn main() -> ExitCode {
    let (cli, asked) = commands::parse();
    let _talk = match log::start(&cli.common.log, cli.common.log_format) {
        Ok(talk) => talk,
        Err(sentence) => {
            complain(&format!("error: {sentence}"));
            return ExitCode::from(2);
        }
    };
    let common = cli.common;
    out::is_for(cli.command.purpose());
    let done = match cli.command {
        Command::Run(command) => command.run(&common, &asked),
        Command::Validate(command) => command.run(&common),
        Command::Inspect(command) => command.run(&common),
        Command::Interfaces => plugin::interfaces(&common),
        Command::Plugin(command) => command.run(&common),
        Command::Events(command) => command.run(&common),
        Command::Chain(command) => command.run(&common),
        Command::Trace(command) => command.run(&common),
        Command::Replay(command) => command.run(&common),
        Command::State(command) => command.run(&common),
        Command::VerifyProof(command) => command.run(&common),
        Command::Plugins(words) => commands::run(&words, &common),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            common.report(&error);
            ExitCode::FAILURE
        }
    }
}

/// The plugin folder when none is named.
fn default_plugins() -> PathBuf {
    let beside = || {
        let program = std::env::current_exe().ok()?;
        let folder = program.parent()?;
        let plugins = folder.join("plugins");
        Some(if plugins.is_dir() { plugins } else { folder.to_owned() })
    };
    beside().unwrap_or_else(|| PathBuf::from("plugins"))
}

impl Command {
    /// What a write to standard output that fails means for the command.
    fn purpose(&self) -> Purpose {
        match self {
            Self::Run(_) => Purpose::Service,
            Self::Chain(command) if !command.is_listing() => Purpose::Result,
            Self::State(_) | Self::Replay(_) | Self::VerifyProof(_) | Self::Validate(_) => Purpose::Result,
            _ => Purpose::Listing,
        }
    }
}

/// What a command gives: an exit code, or what went wrong.
pub type Done = Result<ExitCode, Error>;

impl Common {
    /// The plugin folder.
    pub fn plugins(&self) -> PathBuf {
        self.plugins.clone().unwrap_or_else(default_plugins)
    }

    /// The data folder.
    pub fn data(&self) -> PathBuf {
        let home = || std::env::var_os("THEATER_HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
        self.data.clone().or_else(home).unwrap_or_else(|| PathBuf::from(".theater"))
    }

    /// Whether answers are JSON.
    pub fn is_json(&self) -> bool {
        self.output == Output::Json
    }

    /// Whether what is exported is lines of WAVE.
    pub fn is_wave(&self) -> bool {
        self.output == Output::Wave
    }

    /// Prints one answer: the object, or the text, on one line.
    pub fn say(&self, object: &Json, text: impl FnOnce() -> String) {
        if self.is_json() { print_json(object) } else { print_line(&text()) }
    }

    /// As [`Common::say`], of text that may have several lines.
    pub fn say_text(&self, object: &Json, text: impl FnOnce() -> String) {
        if self.is_json() { print_json(object) } else { print_text(&text()) }
    }

    /// Prints what went wrong: on stderr for people, and as an object where objects are asked for.
    pub fn report(&self, error: &Error) {
        let (code, message, help) = (error.code(), chain_of(error), error.help());
        if self.is_json() {
            print_json(&json!({"event": "error", "code": code, "message": message, "help": help}));
            return;
        }
        let mut lines = format!("error[{code}] {}", text::line(&message));
        if let Some(help) = help {
            let help = text::lines(help.trim_end()).replace('\n', "\n  ");
            lines.push_str(&format!("\n  help: {help}"));
        }
        complain(&lines);
    }
}

/// Values for `${name}`.
#[derive(Args, Clone)]
pub struct Settings {
    /// Value for ${NAME} in manifests
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting)]
    set: Vec<(String, Json)>,
}

impl Settings {
    /// By name.
    pub fn values(&self) -> Values {
        self.set.iter().cloned().collect()
    }

    /// Tells of values that no manifest has a place for.
    pub fn tell_unused(&self, manifests: &[&Path]) {
        let texts: Vec<_> = manifests.iter().filter_map(|path| std::fs::read_to_string(path).ok()).collect();
        let has = |place: String| texts.iter().any(|text| text.contains(&place));
        for (name, _) in &self.set {
            if !has(format!("${{{name}}}")) && !has(format!("${{{name}:-")) {
                tracing::warn!("--set {name}=..: no manifest has a place ${{{name}}}");
            }
        }
    }
}

/// What actors may have, beside what their manifests say.
#[derive(Args)]
pub struct Grants {
    /// Ceilings by handler type, a TOML file [default: everything a manifest names]
    #[arg(long, value_name = "FILE")]
    permissions: Option<PathBuf>,
    /// Third party's plugin that may attach itself to every actor that imports it
    #[arg(long, value_name = "NAME")]
    allow_ambient: Vec<String>,
}

impl Grants {
    /// Puts them among the options of a core.
    ///
    /// # Errors
    /// Those of the file with the ceilings.
    pub fn put(&self, options: &mut Options) -> Result<(), Error> {
        options.permissions = self.permissions.as_deref().map(read_permissions).transpose()?;
        options.allow_ambient.clone_from(&self.allow_ambient);
        Ok(())
    }
}

/// A size as `512MiB`, `64k` or bytes.
pub fn size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text.get(digits.len()..).unwrap_or_default().to_ascii_lowercase();
    let factor: u64 = match unit.as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        _ => return Err(format!("{text:?} is not a size; write 512MiB, 2GiB or a number of bytes")),
    };
    let number: u64 =
        digits.parse().map_err(|_| format!("{text:?} is not a size; write 512MiB or a number of bytes"))?;
    number.checked_mul(factor).ok_or_else(|| format!("{text:?} is too large"))
}

/// The first digits of a digest.
pub fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

/// A path as it is best shown.
pub fn shown(path: &Path) -> String {
    path.display().to_string()
}
