//! The errors of this crate, each with a stable code, a message and a help text.
//!
//! The first letter of a code is its area: `M` manifests, `C` components, `H` handlers, `P` plugins, `A` actors, `J` chains
//! and the journal, `S` the start of the program, `U` its use, `O` operator commands. [`Error::code`] has the table.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

mod actor;
mod codes;
mod component;
mod handler;
mod manifest;
mod plugin;
mod source_location;

pub use actor::ActorProblem;
pub use component::ComponentProblem;
pub use handler::HandlerProblem;
pub use manifest::ManifestProblem;
pub use plugin::{PluginProblem, Problem};
pub use source_location::SourceLocation;
use source_location::at;

/// An error: the step that failed, the thing it failed on, and the underlying cause.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file of a manifest could not be read.
    #[error("manifest {} cannot be read: {source}", path.display())]
    ManifestRead {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The file given with `--permissions` could not be read.
    #[error("permissions {} cannot be read: {source}", path.display())]
    PermissionsRead {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The content of a manifest is wrong.
    #[error("{place}: {what}")]
    Manifest {
        /// File and line.
        place: SourceLocation,
        /// What is wrong.
        what: ManifestProblem,
    },
    /// The file of a component could not be read.
    #[error("{}component {url} cannot be read: {reason}", at(place))]
    ComponentRead {
        /// Where the manifest names it.
        place: Option<SourceLocation>,
        /// The path or URL in the manifest.
        url: String,
        /// Why.
        reason: String,
    },
    /// An actor named a file that it was not granted. The message does not reveal whether the file exists, or what it is.
    #[error("{path:?} is no file that this actor may name: it has to be a regular file below a folder of {key}")]
    NotGranted {
        /// The path that the actor named.
        path: String,
        /// The config key of its handler that lists the granted folders.
        key: &'static str,
    },
    /// An actor named a file that exceeds the size limit.
    #[error("{path:?} is longer than the {most} bytes that are allowed")]
    TooLong {
        /// The path that the actor named.
        path: String,
        /// The limit, bytes.
        most: u64,
    },
    /// The file of a component cannot be used.
    #[error("{} {what}", path.display())]
    Component {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: ComponentProblem,
    },
    /// A handler of an actor cannot be used.
    #[error("{}handler {handler:?} of actor {actor:?}: {what}", at(place))]
    Handler {
        /// Where the manifest names it; `None` for an ambient handler, which no manifest names.
        place: Option<SourceLocation>,
        /// The actor's name.
        actor: String,
        /// The handler type.
        handler: String,
        /// What is wrong.
        what: HandlerProblem,
    },
    /// The plugin folder could not be read.
    #[error("the plugin folder {} cannot be read: {source}", path.display())]
    PluginFolder {
        /// The folder.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A plugin cannot be used.
    #[error("{what}")]
    Plugin {
        /// The plugin and what is wrong with it.
        what: Arc<PluginProblem>,
    },
    /// The command line names a plugin that does not exist.
    #[error("there is no plugin {name:?} in {}", folder.display())]
    NoSuchPlugin {
        /// The name.
        name: String,
        /// The plugin folder.
        folder: PathBuf,
        /// The most similar name, or all known names.
        suggestion: String,
    },
    /// A plugin offers no host function that the chain calls.
    #[error("plugin {plugin:?} ({}) offers nothing that the chain calls: {}", path.display(), listed(called))]
    NothingToAsk {
        /// The plugin's name.
        plugin: String,
        /// Its file.
        path: PathBuf,
        /// The host functions that the chain calls.
        called: Vec<String>,
    },
    /// An actor failed, or did not start.
    #[error("actor {name:?} {what}")]
    Actor {
        /// The actor's name.
        name: String,
        /// What happened.
        what: ActorProblem,
    },
    /// The command line or a plugin names an actor that does not exist.
    #[error("there is no actor {0:?}")]
    NoSuchActor(String),
    /// An operator command of a plugin failed.
    #[error("{name}: {reason}")]
    Command {
        /// The command.
        name: String,
        /// The message of the plugin.
        reason: String,
    },
    /// The limit of open files is too low.
    #[error("only {have} open files are allowed, {need} are needed")]
    OpenFiles {
        /// The current limit.
        have: u64,
        /// The number the program needs.
        need: u64,
    },
    /// The WebAssembly engine could not be created.
    #[error("the WebAssembly engine could not be created: {0}")]
    Engine(String),
    /// An error of a chain, the journal or the data folder.
    #[error(transparent)]
    Chain(#[from] theater_chain::Error),
    /// A chain cannot be replayed up to the requested event.
    #[error("event {sequence} cannot be replayed: {what}")]
    Replay {
        /// The event.
        sequence: u64,
        /// Why.
        what: String,
        /// Whether replay needs a file that may be in another data folder.
        is_missing: bool,
    },
}

fn listed(called: &[String]) -> String {
    if called.is_empty() { "it calls no host function".to_owned() } else { format!("it calls {}", called.join(", ")) }
}

fn unread_component_help(url: &str, reason: &str) -> Option<String> {
    let help = match url.contains("://") {
        false => "check component_path: a relative path starts at the manifest's folder",
        true if reason.starts_with("no plugin in ") => {
            "put a plugin that resolves such URLs into that folder, or name a file with component_path"
        }
        true => return None,
    };
    Some(help.to_owned())
}

fn not_granted_help(key: &str) -> String {
    if key == "state_paths" {
        return "pass the state to the call, write it as init_state = { json = .. }, or list its folder in state_paths of \
                the config of the actor's handler"
            .to_owned();
    }
    format!(
        "list its folder in {key} of the config of the actor's handler; without that key it is the folder of the actor's \
         own manifest; the data and plugin folders are never granted"
    )
}

impl Error {
    /// What the user can do about it, if there is anything.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        Some(match self {
            Self::ManifestRead { .. } => {
                "check the path; `theater inspect FILE.wasm` prints a manifest to start from".to_owned()
            }
            Self::PermissionsRead { .. } => "check the path given with --permissions".to_owned(),
            Self::Manifest { what, .. } => return what.help(),
            Self::ComponentRead { url, reason, .. } => return unread_component_help(url, reason),
            Self::NotGranted { key, .. } => not_granted_help(key),
            Self::TooLong { .. } => return None,
            Self::Component { path, what } => return what.help(path),
            Self::Handler { what, .. } => return what.help(),
            Self::PluginFolder { .. } => {
                "name the folder with --plugins DIR; without it the folder `plugins` next to the program is used, else the program's own".to_owned()
            }
            Self::NoSuchPlugin { suggestion, .. } => suggestion.clone(),
            Self::NothingToAsk { called, .. } if called.is_empty() => return None,
            Self::NothingToAsk { .. } => {
                "name the file of a plugin that offers one of them; `theater plugin inspect FILE` shows what a plugin offers"
                    .to_owned()
            }
            Self::Plugin { what } => return what.help(),
            Self::Actor { name, what } => return what.help(name),
            Self::NoSuchActor(_) => "name an actor by its id, a unique start of the id, or its name".to_owned(),
            Self::OpenFiles { need, .. } => format!("raise the limit before the start: ulimit -n {need}"),
            Self::Engine(_) => "it needs threads, memory and address space: see ulimit -u, ulimit -v and --memory".to_owned(),
            Self::Command { .. } => return None,
            Self::Chain(error) => return error.help(),
            Self::Replay { is_missing: false, .. } => return None,
            Self::Replay { .. } => {
                "components, manifests and first states are read from the data folder's `objects/`: name it with --data DIR, \
                 or a component with --component FILE"
                    .to_owned()
            }
        })
    }
}

/// A help text for an unknown word: the most similar known word, or the list of all known words.
#[must_use]
pub fn suggest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let mut known: Vec<_> = known.into_iter().collect();
    known.sort_unstable();
    known.dedup();
    let near = known
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), *candidate))
        .min()
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 4);
    match near {
        Some((_, candidate)) => format!("did you mean {candidate:?}?"),
        None if known.is_empty() => "none are known".to_owned(),
        None => format!("known are {}", known.join(", ")),
    }
}

/// The message of an error and of all its sources, on one line.
pub fn chain_of(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}

impl From<theater_chain::journal::JournalError> for Error {
    fn from(error: theater_chain::journal::JournalError) -> Self {
        Self::Chain(error.into())
    }
}
