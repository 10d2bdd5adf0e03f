//! The command line: parses arguments, runs a command, and prints its result.
//!
//! Exit codes: 0 on success, 1 if something failed, 2 for a usage error.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde_json::{Value as Json, json};
use theater_chain::text;
use theater_runtime::core::Options;
use theater_runtime::manifest::{Values, read_permissions, setting};
use theater_runtime::plugin::descriptor::abi_text;
use theater_runtime::support::error::{Error, chain_of};

mod chain;
mod chain_argument;
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

use out::{Purpose, print_error};
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

/// A runtime for WebAssembly component actors that records everything each of them sees and does in a verifiable chain.
#[derive(Parser)]
#[command(name = "theater", version, long_version = long_version(), after_help = EXAMPLES, max_term_width = 120)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// Options of every command.
#[derive(Args, Clone)]
pub struct Common {
    /// Plugin folder [default: `plugins` next to the program, else the program's own folder]
    #[arg(long, global = true, value_name = "DIR")]
    plugins: Option<PathBuf>,
    /// Data folder [default: THEATER_HOME, else ./.theater]
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Format of the output
    #[arg(short, long, global = true, value_enum, default_value_t = Output::Text)]
    output: Output,
    /// Lowest level of log lines on stderr: error, warn, info, debug, trace
    #[arg(long, global = true, default_value = "info", value_name = "LEVEL")]
    log: String,
    /// Format of log lines
    #[arg(long, global = true, value_enum, default_value_t = log::Format::Text)]
    log_format: log::Format,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// Text for people
    Text,
    /// One JSON object per line
    Json,
    /// One event per line with values in WAVE, for `chain export`; text for all other commands
    Wave,
}

#[derive(Subcommand)]
enum Command {
    /// Run actors in the foreground until they end or the program receives a signal
    Run(run::Run),
    /// Check a manifest, its component and its handlers without starting anything
    Validate(validate::Validate),
    /// Show a component: its WIT, the handlers it needs, a manifest to start from
    Inspect(inspect::Inspect),
    /// List the interfaces that the plugins offer
    Interfaces,
    /// List plugins or show one
    #[command(subcommand)]
    Plugin(plugin::PluginCommand),
    /// List the events of all chains or of one, one per line
    Events(events::Events),
    /// List, show, verify, compare, fork, export and remove chains
    #[command(subcommand)]
    Chain(chain::ChainCommand),
    /// Follow a message from end to end through all chains
    Trace(trace::Trace),
    /// Re-execute an actor's calls from its chain and report the first difference
    Replay(replay::Replay),
    /// Print an actor's state, now or after any of its events
    State(state::State),
    /// Check a proof that an event is in a chain
    VerifyProof(proof::VerifyProof),
    /// A command of a plugin, for example `theater store ls`
    #[command(external_subcommand)]
    Plugins(Vec<OsString>),
}

fn long_version() -> String {
    format!("{} (plugin ABI {}, chain format {})", env!("CARGO_PKG_VERSION"), abi_text(), theater_chain::event::FORMAT)
}

/// Parses the command line, runs the command, and prints its error.
pub fn main() -> ExitCode {
    let (cli, actor_commands) = commands::parse();
    let _stderr = match log::start(&cli.common.log, cli.common.log_format) {
        Ok(stderr) => stderr,
        Err(sentence) => {
            print_error(&format!("error: {sentence}"));
            return ExitCode::from(2);
        }
    };
    let common = cli.common;
    out::set_purpose(cli.command.purpose());
    let result = match cli.command {
        Command::Run(command) => command.run(&common, &actor_commands),
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
    match result {
        Ok(code) => code,
        Err(error) => {
            common.report(&error);
            ExitCode::FAILURE
        }
    }
}

/// The plugin folder without `--plugins`.
fn default_plugins() -> PathBuf {
    let next_to_program = || {
        let program = std::env::current_exe().ok()?;
        let folder = program.parent()?;
        let plugins = folder.join("plugins");
        Some(if plugins.is_dir() { plugins } else { folder.to_owned() })
    };
    next_to_program().unwrap_or_else(|| PathBuf::from("plugins"))
}

impl Command {
    /// What the command writes to standard output, which determines what a failed write means.
    fn purpose(&self) -> Purpose {
        match self {
            Self::Run(_) => Purpose::Service,
            Self::Chain(command) if !command.is_listing() => Purpose::Result,
            Self::State(_) | Self::Replay(_) | Self::VerifyProof(_) | Self::Validate(_) => Purpose::Result,
            _ => Purpose::Listing,
        }
    }
}

/// The result of a command.
pub type CommandResult = Result<ExitCode, Error>;

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

    /// Whether the output is JSON.
    pub fn is_json(&self) -> bool {
        self.output == Output::Json
    }

    /// Whether events are exported as lines of WAVE.
    pub fn is_wave(&self) -> bool {
        self.output == Output::Wave
    }

    /// Prints a result on one line, as the object or as the text.
    pub fn print(&self, object: &Json, text: impl FnOnce() -> String) {
        if self.is_json() { print_json(object) } else { print_line(&text()) }
    }

    /// Like [`Common::print`], for text of several lines.
    pub fn print_lines(&self, object: &Json, text: impl FnOnce() -> String) {
        if self.is_json() { print_json(object) } else { print_text(&text()) }
    }

    /// Prints an error: as text on stderr, or as an object on stdout if the output is JSON.
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
        print_error(&lines);
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
    /// The values by name.
    pub fn values(&self) -> Values {
        self.set.iter().cloned().collect()
    }

    /// Warns of values that no manifest uses.
    pub fn warn_unused(&self, manifests: &[&Path]) {
        let texts: Vec<_> = manifests.iter().filter_map(|path| std::fs::read_to_string(path).ok()).collect();
        let is_used = |variable: String| texts.iter().any(|text| text.contains(&variable));
        for (name, _) in &self.set {
            if !is_used(format!("${{{name}}}")) && !is_used(format!("${{{name}:-")) {
                tracing::warn!("--set {name}=..: no manifest uses ${{{name}}}");
            }
        }
    }
}

/// Limits on what manifests can grant to actors.
#[derive(Args)]
pub struct Grants {
    /// TOML file with permission ceilings per handler type [default: everything a manifest names]
    #[arg(long, value_name = "FILE")]
    permissions: Option<PathBuf>,
    /// Third-party plugin that may attach itself to every actor that imports its interfaces
    #[arg(long, value_name = "NAME")]
    allow_ambient: Vec<String>,
}

impl Grants {
    /// Sets the options of a core.
    ///
    /// # Errors
    /// The file with the ceilings is missing or invalid.
    pub fn apply(&self, options: &mut Options) -> Result<(), Error> {
        options.permissions = self.permissions.as_deref().map(read_permissions).transpose()?;
        options.allow_ambient.clone_from(&self.allow_ambient);
        Ok(())
    }
}

/// Parses a size: `512MiB`, `64k`, or a number of bytes.
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

/// A path for display.
pub fn shown(path: &Path) -> String {
    path.display().to_string()
}
