//! Everything that can go wrong, each with a stable code, a sentence and what to do.
//!
//! Codes never change their meaning. `M` manifests, `C` components, `H` handlers, `P` plugins, `A` actors, `J` chains and
//! the journal, `S` the start of the program, `U` its use.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// What went wrong: the step, the thing, and what lay beneath.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A manifest's file could not be read.
    #[error("manifest {} cannot be read: {source}", path.display())]
    ManifestRead {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// A file of ceilings could not be read.
    #[error("permissions {} cannot be read: {source}", path.display())]
    PermissionsRead {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// A manifest says something that cannot be.
    #[error("{place}: {what}")]
    Manifest {
        /// File and line.
        place: SourceLocation,
        /// What is wrong.
        what: ManifestProblem,
    },
    /// A component's file could not be read.
    #[error("{}component {url} cannot be read: {reason}", at(place))]
    ComponentRead {
        /// Where a manifest names it.
        place: Option<SourceLocation>,
        /// As the manifest names it.
        url: String,
        /// Why.
        reason: String,
    },
    /// An actor named a file that it was not granted. What the file is, and whether it is there, is not said.
    #[error("{path:?} is no file that this actor may name: it has to be a regular file below a folder of {key}")]
    NotGranted {
        /// As the actor named it.
        path: String,
        /// The list of folders in its handler's config.
        key: &'static str,
    },
    /// An actor named a file that is longer than allowed.
    #[error("{path:?} is longer than the {most} bytes that are allowed")]
    TooLong {
        /// As the actor named it.
        path: String,
        /// Bytes allowed.
        most: u64,
    },
    /// A component's file is no component.
    #[error("{} {what}", path.display())]
    Component {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: ComponentProblem,
    },
    /// A handler of an actor.
    #[error("{}handler {handler:?} of actor {actor:?}: {what}", at(place))]
    Handler {
        /// Where the manifest names it; an ambient one stands in no manifest.
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
        /// The system's words.
        source: io::Error,
    },
    /// A plugin's file.
    #[error("{what}")]
    Plugin {
        /// The plugin and what is wrong with it.
        what: std::sync::Arc<crate::plugin::plugins::PluginProblem>,
    },
    /// A plugin named on the command line.
    #[error("there is no plugin {name:?} in {}", folder.display())]
    NoSuchPlugin {
        /// The name.
        name: String,
        /// The plugin folder.
        folder: PathBuf,
        /// The name that was probably meant, or all there are.
        suggestion: String,
    },
    /// A plugin offers nothing that a chain calls.
    #[error("plugin {plugin:?} ({}) offers nothing that the chain calls: {}", path.display(), listed(called))]
    NothingToAsk {
        /// The plugin's name.
        plugin: String,
        /// Its file.
        path: PathBuf,
        /// The host functions that the chain calls.
        called: Vec<String>,
    },
    /// An actor's start or life.
    #[error("actor {name:?} {what}")]
    Actor {
        /// The actor's name.
        name: String,
        /// What happened.
        what: ActorProblem,
    },
    /// An actor named on the command line or by a plugin.
    #[error("there is no actor {0:?}")]
    NoSuchActor(String),
    /// An operator's command failed.
    #[error("{name}: {reason}")]
    Command {
        /// The command.
        name: String,
        /// The plugin's words.
        reason: String,
    },
    /// Too few open files are allowed.
    #[error("only {have} open files are allowed, {need} are needed")]
    OpenFiles {
        /// The limit in force.
        have: u64,
        /// What is needed.
        need: u64,
    },
    /// The engine could not be made.
    #[error("the WebAssembly engine could not be made: {0}")]
    Engine(String),
    /// A chain, the journal or the data folder.
    #[error(transparent)]
    Chain(#[from] theater_chain::Error),
    /// A chain cannot be replayed as far as is wanted.
    #[error("event {sequence} cannot be replayed: {what}")]
    Replay {
        /// The event.
        sequence: u64,
        /// Why.
        what: String,
        /// Whether something is missing that may be elsewhere.
        is_missing: bool,
    },
}

/// Where in a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceLocation {
    /// The file.
    pub path: PathBuf,
    /// The line, from 1.
    pub line: Option<usize>,
}

impl SourceLocation {
    /// Somewhere in a file.
    #[must_use]
    pub fn file(path: &Path) -> Self {
        Self { path: path.to_owned(), line: None }
    }
}

impl fmt::Display for SourceLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        self.line.map_or(Ok(()), |line| write!(f, ":{line}"))
    }
}

fn at(place: &Option<SourceLocation>) -> String {
    place.as_ref().map_or_else(String::new, |place| format!("{place}: "))
}

/// What is wrong with a manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestProblem {
    /// Not TOML.
    #[error("not TOML: {0}")]
    Syntax(String),
    /// A key that means nothing.
    #[error("unknown key {key:?}{}", within.as_ref().map_or(String::new(), |table| format!(" in {table}")))]
    UnknownKey {
        /// The key.
        key: String,
        /// The table it stands in.
        within: Option<String>,
        /// The key that was probably meant, or all there are.
        suggestion: String,
    },
    /// A value of the wrong type.
    #[error("{key} is {found}, it takes {expected}")]
    WrongType {
        /// The key.
        key: String,
        /// What it takes.
        expected: &'static str,
        /// What stands there.
        found: &'static str,
    },
    /// A key that has to be there.
    #[error("{key} is missing")]
    Missing {
        /// The key.
        key: String,
        /// A line to add.
        example: &'static str,
    },
    /// A value that is not allowed.
    #[error("{key}: {reason}")]
    Value {
        /// The key.
        key: String,
        /// Why.
        reason: String,
        /// What to write.
        help: String,
    },
    /// `config` and flat keys in one handler.
    #[error("handler {handler:?} has both a config table and keys beside it: {}", keys.join(", "))]
    ConfigTwice {
        /// The handler type.
        handler: String,
        /// The keys beside the table.
        keys: Vec<String>,
    },
    /// A `${}` that cannot be filled in.
    #[error("{0}")]
    Substitution(String),
    /// A handler's config does not fit the plugin's schema.
    #[error("config of handler {handler:?}: {problem}")]
    Config {
        /// The handler type.
        handler: String,
        /// What does not fit.
        problem: String,
        /// What the plugin takes.
        help: String,
    },
    /// `[interface]` says what is not so.
    #[error("the component does not {verb} {interface}, which [interface] lists")]
    Interface {
        /// `export` or `import`.
        verb: &'static str,
        /// The interface.
        interface: String,
    },
}

/// What is wrong with a component.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ComponentProblem {
    /// Not WebAssembly at all, or damaged.
    #[error("is not WebAssembly: {0}")]
    NotWasm(String),
    /// A component that the engine refuses, with its words.
    #[error("is a component that this engine refuses: {0}")]
    Refused(String),
    /// A core module.
    #[error("is a core WebAssembly module, not a component")]
    CoreModule,
    /// Its contents are not the ones the manifest names.
    #[error("has the SHA-256 {found}, the manifest says {expected}")]
    Digest {
        /// What it has.
        found: String,
        /// What the manifest says.
        expected: String,
    },
    /// It comes from elsewhere, and the manifest does not say which one it is.
    #[error("comes over the network, and the manifest does not name its sha256")]
    NoDigest {
        /// What it has.
        found: String,
    },
    /// It imports what no plugin has.
    #[error("imports {import}, which no plugin in {} offers", folder.display())]
    UnknownImport {
        /// What it imports.
        import: String,
        /// The plugin folder.
        folder: PathBuf,
    },
    /// It imports a function that belongs to no interface.
    #[error("imports the function {0} outside an interface, and plugins offer interfaces")]
    BareImport(String),
    /// It imports WASI.
    #[error("imports {}", .0.join(", "))]
    Wasi(Vec<String>),
    /// It imports what a plugin has that the manifest does not name.
    #[error("imports {import}, and {} names no handler for it", manifest.display())]
    MissingHandler {
        /// The manifest.
        manifest: PathBuf,
        /// The interface.
        import: String,
        /// The handler type that would do.
        handler: String,
    },
    /// It imports an interface in another version.
    #[error("imports {import}; offered is {offered}")]
    Version {
        /// What it imports.
        import: String,
        /// What is offered.
        offered: String,
    },
    /// A function or type is another one.
    #[error("has {function} of {interface} as {found}, the plugin has it as {offered}")]
    Type {
        /// The interface.
        interface: String,
        /// The function.
        function: String,
        /// What the component has.
        found: String,
        /// What the plugin has.
        offered: String,
    },
    /// An interface has no such function.
    #[error("imports the function {function} of {interface}, which the plugin {plugin:?} does not have")]
    NoFunction {
        /// The interface.
        interface: String,
        /// The function.
        function: String,
        /// The plugin.
        plugin: String,
    },
    /// It does not export what every actor or one of its handlers needs.
    #[error("does not export {export}, which {who} needs")]
    MissingExport {
        /// The function.
        export: String,
        /// Who calls it.
        who: String,
    },
    /// An export does not follow the calling convention.
    #[error(
        "exports {export} as {found}, which is not f(state: option<list<u8>>, params: tuple<..>) -> result<tuple<option<list<u8>>, tuple<..>>, string>"
    )]
    Convention {
        /// The function.
        export: String,
        /// Its signature.
        found: String,
    },
    /// A type that cannot cross.
    #[error("has {function} with a type that is not supported: {reason}")]
    Unsupported {
        /// The function.
        function: String,
        /// Why.
        reason: String,
    },
    /// The engine refused it.
    #[error("cannot be linked: {0}")]
    Link(String),
}

/// What is wrong with a handler.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandlerProblem {
    /// No plugin has that handler type.
    #[error("no plugin in {} has this handler type", folder.display())]
    NoPlugin {
        /// The plugin folder.
        folder: PathBuf,
        /// The type that was probably meant, or all there are.
        suggestion: String,
    },
    /// Two handlers of one actor offer one interface.
    #[error("it offers {interface}, and so does handler {other:?}")]
    Twice {
        /// The interface.
        interface: String,
        /// The other handler.
        other: String,
    },
    /// The plugin refused to attach.
    #[error("{0}")]
    Attach(String),
    /// The plugin panicked in `attach`.
    #[error("plugin {plugin:?} panicked in attach: {message}")]
    AttachPanicked {
        /// The plugin.
        plugin: String,
        /// The panic's message.
        message: String,
    },
    /// The plugin refused `started`.
    #[error("it did not start: {0}")]
    Started(String),
    /// The plugin refused the config as a part of what the parent has.
    #[error("its powers cannot be told: {0}")]
    Narrow(String),
    /// The plugin cannot go on from what the chain has of it.
    #[error("it does not go on: {0}")]
    NotResumed(String),
}

/// What happened to an actor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ActorProblem {
    /// `init` returned `err`.
    #[error("did not start: init returned err: {0}")]
    InitErr(String),
    /// `init` trapped or took too long.
    #[error("did not start: init {0}")]
    InitFailed(String),
    /// It asked to end, or was asked to, while it started.
    #[error("did not start: it was asked to stop before it was ready")]
    InitShutdown,
    /// Its parent ends: no child is born any more.
    #[error("did not start: its parent {0:?} is ending")]
    ParentEnding(String),
    /// It cannot go on from its chain.
    #[error("cannot be resumed: {0}")]
    NotResumed(String),
    /// An actor above it has as many actors below it as its limits allow.
    #[error("did not start: actor {whose:?} has as many as {key} = {limit} allows")]
    TooMany {
        /// The key of `[limits]`.
        key: &'static str,
        /// Its value.
        limit: u64,
        /// The actor whose limit it is.
        whose: String,
    },
    /// There is no memory left for it.
    #[error("did not start: {0}")]
    OverBudget(String),
    /// A call failed the actor.
    #[error("failed in {function}: {reason}")]
    Failed {
        /// `interface/function`.
        function: String,
        /// Why.
        reason: String,
    },
}

fn listed(called: &[String]) -> String {
    if called.is_empty() { "it calls no host function".to_owned() } else { format!("it calls {}", called.join(", ")) }
}

fn list_help(list: &str) -> String {
    format!("known are {list}")
}

impl Error {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::ManifestRead { .. } => "M0001",
            Self::PermissionsRead { .. } => "M0011",
            Self::Manifest { what, .. } => match what {
                ManifestProblem::Syntax(_) => "M0002",
                ManifestProblem::UnknownKey { .. } => "M0003",
                ManifestProblem::WrongType { .. } => "M0004",
                ManifestProblem::Missing { .. } => "M0005",
                ManifestProblem::ConfigTwice { .. } => "M0006",
                ManifestProblem::Substitution(_) => "M0007",
                ManifestProblem::Config { .. } => "M0008",
                ManifestProblem::Value { .. } => "M0009",
                ManifestProblem::Interface { .. } => "M0010",
            },
            Self::ComponentRead { .. } => "C0001",
            Self::NotGranted { .. } => "A0008",
            Self::TooLong { .. } => "A0009",
            Self::Component { what, .. } => match what {
                ComponentProblem::NotWasm(_) => "C0002",
                ComponentProblem::Refused(_) => "C0016",
                ComponentProblem::CoreModule => "C0003",
                ComponentProblem::UnknownImport { .. } | ComponentProblem::BareImport(_) => "C0004",
                ComponentProblem::Wasi(_) => "C0005",
                ComponentProblem::MissingHandler { .. } => "C0006",
                ComponentProblem::MissingExport { .. } => "C0007",
                ComponentProblem::Type { .. } => "C0008",
                ComponentProblem::NoFunction { .. } => "C0009",
                ComponentProblem::Convention { .. } => "C0010",
                ComponentProblem::Unsupported { .. } => "C0011",
                ComponentProblem::Version { .. } => "C0012",
                ComponentProblem::Digest { .. } => "C0013",
                ComponentProblem::Link(_) => "C0014",
                ComponentProblem::NoDigest { .. } => "C0015",
            },
            Self::Handler { what, .. } => match what {
                HandlerProblem::NoPlugin { .. } => "H0001",
                HandlerProblem::Twice { .. } => "H0002",
                HandlerProblem::Attach(_) => "H0003",
                HandlerProblem::AttachPanicked { .. } => "H0004",
                HandlerProblem::Started(_) => "H0005",
                HandlerProblem::Narrow(_) => "H0006",
                HandlerProblem::NotResumed(_) => "H0007",
            },
            Self::PluginFolder { .. } => "P0001",
            Self::NoSuchPlugin { .. } => "P0022",
            Self::NothingToAsk { .. } => "P0024",
            Self::Plugin { what } => what.code(),
            Self::Actor { what, .. } => match what {
                ActorProblem::InitErr(_) => "A0001",
                ActorProblem::InitFailed(_) => "A0002",
                ActorProblem::InitShutdown => "A0003",
                ActorProblem::ParentEnding(_) => "A0004",
                ActorProblem::Failed { .. } => "A0005",
                ActorProblem::NotResumed(_) => "A0007",
                ActorProblem::TooMany { .. } => "A0010",
                ActorProblem::OverBudget(_) => "A0011",
            },
            Self::NoSuchActor(_) => "A0006",
            Self::Command { .. } => "O0001",
            Self::OpenFiles { .. } => "S0004",
            Self::Engine(_) => "S0005",
            Self::Chain(error) => error.code(),
            Self::Replay { .. } => "J0006",
        }
    }

    /// What to do.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        Some(match self {
            Self::ManifestRead { .. } => {
                "check the path; `theater inspect FILE.wasm` prints a manifest to start from".to_owned()
            }
            Self::PermissionsRead { .. } => "check the path given with --permissions".to_owned(),
            Self::Manifest { what, .. } => return what.help(),
            Self::ComponentRead { url, reason, .. } if url.contains("://") && !reason.starts_with("no plugin in ") => {
                return None;
            }
            Self::ComponentRead { url, .. } if url.contains("://") => {
                "put a plugin that resolves such URLs into that folder, or name a file with component_path".to_owned()
            }
            Self::ComponentRead { .. } => {
                "check component_path: a relative path starts at the manifest's folder".to_owned()
            }
            Self::NotGranted { key: "state_paths", .. } => {
                "pass the state to the call, write it as init_state = { json = .. }, or list its folder in state_paths of the \
                 config of the actor's handler"
                    .to_owned()
            }
            Self::NotGranted { key, .. } => format!(
                "list its folder in {key} of the config of the actor's handler; without that key it is the folder of the \
                 actor's own manifest; the data and plugin folders are never granted"
            ),
            Self::TooLong { .. } => return None,
            Self::Component { path, what } => return what.help(path),
            Self::Handler { what, .. } => return what.help(),
            Self::PluginFolder { .. } => {
                "name the folder with --plugins DIR; without it the folder `plugins` beside the program is used, else the program's own".to_owned()
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

impl ManifestProblem {
    fn help(&self) -> Option<String> {
        Some(match self {
            Self::Syntax(_) | Self::Substitution(_) => return None,
            Self::UnknownKey { suggestion, .. } => suggestion.clone(),
            Self::WrongType { key, expected, .. } => match *expected {
                "a string" => format!("write {key} = \"..\""),
                "a number" => format!("write {key} = 1000, without quotes"),
                "a list of strings" => format!("write {key} = [\"..\", \"..\"]"),
                "a table" => format!("write {key} = {{ .. }}, or a table [{key}]"),
                _ => return None,
            },
            Self::Missing { example, .. } => format!("add a line like {example}"),
            Self::Value { help, .. } | Self::Config { help, .. } => help.clone(),
            Self::ConfigTwice { .. } => "put all of them into config = { .. }, or all beside type".to_owned(),
            Self::Interface { verb, .. } => {
                format!("take it out of the list, or build the component so that it {verb}s it")
            }
        })
    }
}

impl ComponentProblem {
    fn help(&self, path: &Path) -> Option<String> {
        Some(match self {
            Self::NotWasm(_) | Self::Link(_) => "build it again; tests/actors/build shows how".to_owned(),
            Self::Refused(_) => "build it with the features of WebAssembly 2.0, multi-memory and relaxed SIMD only: threads, \
                 garbage collection, exceptions, memory64 and component-model async are off; if it is damaged, build it again"
                .to_owned(),
            Self::CoreModule => {
                "link it with wasm-component-ld, or run `wasm-tools component new` on it".to_owned()
            }
            Self::UnknownImport { .. } => {
                "put a plugin that offers it into that folder, or name another folder with --plugins DIR; `theater interfaces` lists what is offered".to_owned()
            }
            Self::BareImport(_) => "put the function into an interface of a WIT package, and offer that by a plugin".to_owned(),
            Self::Wasi(_) => "actors have no WASI: build for wasm32-unknown-unknown (Rust), -target wasm32-freestanding (C, Zig), or with --disable all / --stub-wasi (JavaScript, Python); `theater inspect FILE.wasm` says more".to_owned(),
            Self::MissingHandler { handler, manifest, .. } => {
                format!("add to {}:\n\n  [[handlers]]\n  type = \"{handler}\"\n", manifest.display())
            }
            Self::Version { .. } => "build the component against that version, or put a plugin that offers the other one into the folder".to_owned(),
            Self::Type { .. } | Self::NoFunction { .. } => "build the component against the WIT of the plugin: `theater plugin inspect NAME` prints it".to_owned(),
            Self::MissingExport { .. } | Self::Convention { .. } => format!(
                "export it with the signature its WIT gives; `theater inspect {}` prints what is there",
                path.display()
            ),
            Self::Unsupported { .. } => return None,
            Self::Digest { found, .. } | Self::NoDigest { found } => format!("if this is the file you mean: sha256 = \"{found}\""),
        })
    }
}

impl HandlerProblem {
    fn help(&self) -> Option<String> {
        Some(match self {
            Self::NoPlugin { suggestion, .. } => {
                format!(
                    "{suggestion}\nfor another type put its plugin into that folder, or name another folder with --plugins DIR"
                )
            }
            Self::Twice { .. } => "remove one of the two entries: an interface has one handler".to_owned(),
            Self::NotResumed(_) => {
                "the plugin that it had may be able to: `theater chain show` names its version and digest".to_owned()
            }
            _ => return None,
        })
    }
}

impl ActorProblem {
    fn help(&self, name: &str) -> Option<String> {
        Some(match self {
            Self::InitErr(_) | Self::InitFailed(_) | Self::Failed { .. } => {
                format!("`theater chain show {name}` shows what it saw and did")
            }
            Self::NotResumed(_) => format!(
                "`theater chain show {name}` shows what it saw and did, `theater replay {name}` whether its calls give the same \
                 again; `theater chain rm {name}` drops it"
            ),
            Self::TooMany { key, .. } => {
                format!("stop some of them, or raise {key} in [limits] of that actor's manifest, and of those above it")
            }
            Self::OverBudget(_) => "end what is not needed, or start the program with a larger --memory".to_owned(),
            _ => return None,
        })
    }
}

/// "did you mean" for a word, or the list of all words.
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
        None => list_help(&known.join(", ")),
    }
}

/// An error with all that lies beneath it, on one line.
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
