//! Manifests: what an actor is made of, read from TOML with the line of everything that is wrong.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::support::error::{Error, ManifestProblem, SourceLocation, suggest};
use crate::support::files::{MAX_MANIFEST, read_text};
use theater_chain::journal::Sync;

mod ceilings;
mod substitute;

pub use ceilings::{Ceilings, Under};
pub use substitute::setting;

/// The package whose interfaces the seed texts call `ntwk:theater/`.
pub const PACKAGE: &str = "theater:simple/";
const OLD_PACKAGE: &str = "ntwk:theater/";
/// A manifest, read.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// The file, or a name in angle brackets for text from elsewhere.
    pub path: PathBuf,
    /// The text, after substitution: what the chain keeps.
    pub text: String,
    /// Where relative paths start.
    pub folder: PathBuf,
    /// The actor's name.
    pub name: String,
    /// The actor's version.
    pub version: Option<String>,
    /// Path or URL of the component.
    pub component: String,
    /// SHA-256 the component has to have.
    pub sha256: Option<String>,
    /// SHA-256 of the component in `objects/` that stands for `component`: that of an actor that is resumed.
    pub kept: Option<String>,
    /// The first state.
    pub init_state: Option<InitState>,
    /// What an `err` of a call means for the actor.
    pub on_error: OnError,
    /// How the instance is kept.
    pub instance: InstanceMode,
    /// Interfaces the component must export, and where the list stands.
    pub implements: Vec<String>,
    /// Interfaces the component must import.
    pub requires: Vec<String>,
    /// The handlers, in order.
    pub handlers: Vec<HandlerEntry>,
    /// Limits: as the manifest has them, until the core bounds them by those of the actor's parent.
    pub limits: Limits,
    /// When a top-level actor that ended is started again.
    pub restarts: RestartPolicy,
    /// How the chain is kept.
    pub chain: ChainConfig,
    /// Ceilings for the actor's children, by handler type.
    pub permissions: BTreeMap<String, Json>,
    lines: BTreeMap<&'static str, usize>,
}

/// Where the first state comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum InitState {
    /// A file's bytes.
    Path(String),
    /// JSON that stands in the manifest, as compact text.
    Json(Json),
}

/// What an `err` of a call means for the actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnError {
    /// The actor goes on with its old state.
    #[default]
    Continue,
    /// The actor fails, as it does on a trap.
    Fail,
}

/// How the instance is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum InstanceMode {
    /// Renewed between calls whenever the core sees fit, right after `init` at the latest.
    #[default]
    Cached,
    /// A new one per call.
    Fresh,
    /// Never renewed while running.
    Kept,
}

impl InstanceMode {
    /// The word in the manifest.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cached => "cached",
            Self::Fresh => "fresh",
            Self::Kept => "kept",
        }
    }
}

/// A `[[handlers]]` entry.
#[derive(Debug, Clone, PartialEq)]
pub struct HandlerEntry {
    /// The handler type.
    pub handler_type: String,
    /// The export it calls, when the manifest says so.
    pub interface: Option<String>,
    /// Its config.
    pub config: Json,
    /// Where it stands.
    pub line: usize,
}

/// Limits of an actor; recorded, never taken from the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory, bytes.
    pub memory_bytes: u64,
    /// Elements of all tables.
    pub table_elements: u64,
    /// Guest time of a call, ms.
    pub run_timeout_ms: u64,
    /// Wall clock time of a call, ms; 0 = none.
    pub call_timeout_ms: u64,
    /// Bytes that one value may be.
    pub value_bytes: u64,
    /// Calls that may wait.
    pub mailbox_size: u64,
    /// Idle time after which the instance is dropped, ms.
    pub idle_ms: u64,
    /// Time a running call has when the actor is stopped, ms.
    pub stop_grace_ms: u64,
    /// Bytes of the arguments of all calls that wait together. The call that reaches the limit is still accepted.
    pub mailbox_bytes: u64,
    /// Memory, states and mailboxes of the actor and everything below it, bytes; 0 = none.
    pub tree_bytes: u64,
    /// Living children.
    pub children: u64,
    /// Living actors below this one, at any depth.
    pub descendants: u64,
    /// Generations below this actor: 1 allows children that have none of their own.
    pub depth: u64,
}

/// Default of `call_timeout_ms`: longer than the longest wait that a shipped handler offers by default (`sleep`, one hour).
const CALL_TIMEOUT_MS: u64 = 65 * 60 * 1_000;

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: 256 * 1024 * 1024,
            table_elements: 100_000,
            run_timeout_ms: 5_000,
            call_timeout_ms: CALL_TIMEOUT_MS,
            value_bytes: 64 * 1024 * 1024,
            mailbox_size: 1_000,
            idle_ms: 60_000,
            stop_grace_ms: 5_000,
            mailbox_bytes: 64 * 1024 * 1024,
            tree_bytes: 0,
            children: 1_000,
            descendants: 10_000,
            depth: 64,
        }
    }
}

/// Limits that 0 switches off.
const ZERO_IS_NONE: [&str; 2] = ["call_timeout_ms", "tree_bytes"];
/// Limits that may be 0 and then allow nothing.
const ZERO_IS_NOTHING: [&str; 4] = ["stop_grace_ms", "children", "descendants", "depth"];

impl Limits {
    /// NameTable and values, as the chain records them.
    #[must_use]
    pub fn list(&self) -> Vec<(String, u64)> {
        let mut copy = *self;
        copy.slots().map(|(key, slot)| (key.to_owned(), *slot)).into()
    }

    /// Limits that bound nothing: those of an operator without a `[limits]` table in `--permissions`.
    #[must_use]
    pub fn unbounded() -> Self {
        let mut limits = Self::default();
        for (key, slot) in limits.slots() {
            *slot = if ZERO_IS_NONE.contains(&key) { 0 } else { u64::MAX };
        }
        limits
    }

    /// These limits, each at most that of `bound`.
    #[must_use]
    pub fn within(&self, bound: &Self) -> Self {
        let (mut limits, mut bound) = (*self, *bound);
        for ((key, slot), (_, most)) in limits.slots().into_iter().zip(bound.slots()) {
            if *slot <= *most && *slot > 0 {
                continue;
            }
            *slot = match (ZERO_IS_NONE.contains(&key), *slot, *most) {
                (true, own, 0) => own,
                (true, 0, most) => most,
                (_, own, most) => own.min(most),
            };
        }
        limits
    }

    /// What bounds the limits of this actor's children: as its own, one generation less.
    #[must_use]
    pub fn for_children(&self) -> Self {
        Self { depth: self.depth.saturating_sub(1), ..*self }
    }

    /// Those that [`Limits::list`] gave; what is missing has its default.
    #[must_use]
    pub fn of_list(list: &[(String, u64)]) -> Self {
        let mut limits = Self::default();
        for (key, value) in list {
            if let Some(slot) = limits.slot(key) {
                *slot = *value;
            }
        }
        limits
    }

    fn slot(&mut self, key: &str) -> Option<&mut u64> {
        self.slots().into_iter().find(|(known, _)| *known == key).map(|(_, slot)| slot)
    }

    fn slots(&mut self) -> [(&'static str, &mut u64); 13] {
        [
            ("memory_bytes", &mut self.memory_bytes),
            ("table_elements", &mut self.table_elements),
            ("run_timeout_ms", &mut self.run_timeout_ms),
            ("call_timeout_ms", &mut self.call_timeout_ms),
            ("value_bytes", &mut self.value_bytes),
            ("mailbox_size", &mut self.mailbox_size),
            ("idle_ms", &mut self.idle_ms),
            ("stop_grace_ms", &mut self.stop_grace_ms),
            ("mailbox_bytes", &mut self.mailbox_bytes),
            ("tree_bytes", &mut self.tree_bytes),
            ("children", &mut self.children),
            ("descendants", &mut self.descendants),
            ("depth", &mut self.depth),
        ]
    }
}

const KEYS: [&str; 20] = [
    "name",
    "version",
    "description",
    "long_description",
    "save_chain",
    "restart",
    "max_restarts",
    "restart_window_ms",
    "component_path",
    "component",
    "sha256",
    "init_state",
    "on_error",
    "instance",
    "interface",
    "handlers",
    "handler",
    "limits",
    "chain",
    "permissions",
];

/// Which ends of a top-level actor are followed by a start from its last state. Children have the policy of their
/// parent's handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestartPolicy {
    /// Which ends.
    pub restart: Restart,
    /// Most restarts within the window; the end that would need one more is final.
    pub max_restarts: u64,
    /// How long a restart counts, ms.
    pub window_ms: u64,
}

/// `restart` of a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// No end.
    Never,
    /// Failures.
    OnFailure,
    /// Failures and the actor's own shutdown.
    Always,
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self { restart: Restart::OnFailure, max_restarts: 3, window_ms: 5_000 }
    }
}

/// `[chain]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainConfig {
    /// How durable events are.
    pub sync: Sync,
    /// Events from one snapshot to the next, at least: one is made between two calls.
    pub snapshot_every: u64,
    /// What of the chain is kept for good.
    pub keep: Keep,
    /// Whether a call of an effect that a crash cut off is made again by the actor's next life; else it is an `err`.
    pub retry_effects: bool,
}

/// What of a chain is kept for good: headers always are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// All of it.
    All,
    /// The data of calls goes once a later snapshot stands for it.
    Snapshots,
}

impl Default for ChainConfig {
    fn default() -> Self {
        Self { sync: Sync::default(), snapshot_every: 1_000, keep: Keep::All, retry_effects: false }
    }
}

/// Values for `${name}`, by name.
pub type Values = BTreeMap<String, Json>;

impl Manifest {
    /// Reads a manifest from a file.
    ///
    /// # Errors
    /// `M0001` to `M0009`.
    pub fn read(path: &Path, values: &Values) -> Result<Self, Error> {
        let text =
            read_text(path, MAX_MANIFEST).map_err(|source| Error::ManifestRead { path: path.to_owned(), source })?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        Self::parse(path, folder.unwrap_or(Path::new(".")), &text, values)
    }

    /// Reads a manifest from text; `path` is for messages, `folder` where relative paths start.
    ///
    /// # Errors
    /// As [`Manifest::read`].
    pub fn parse(path: &Path, folder: &Path, text: &str, values: &Values) -> Result<Self, Error> {
        let text = substitute::substitute(text, values).map_err(|(line, what)| Error::Manifest {
            place: SourceLocation { path: path.to_owned(), line: Some(line) },
            what: ManifestProblem::Substitution(what),
        })?;
        Self::substituted(path, folder, &text)
    }

    /// As [`Manifest::parse`], of text in which values stand already: [`Manifest::text`].
    ///
    /// # Errors
    /// As [`Manifest::read`].
    pub fn substituted(path: &Path, folder: &Path, text: &str) -> Result<Self, Error> {
        let reader = Text { path, text };
        let root = reader.parse()?;
        reader.manifest(root.get_ref(), folder)
    }

    /// The place of one of the manifest's keys.
    #[must_use]
    pub fn place(&self, key: &str) -> SourceLocation {
        SourceLocation { path: self.path.clone(), line: self.lines.get(key).copied() }
    }

    /// The component's path on disk, when it is one.
    #[must_use]
    pub fn component_path(&self) -> PathBuf {
        self.folder.join(&self.component)
    }
}

/// What an operator lets top-level actors have.
#[derive(Debug, Clone, PartialEq)]
pub struct Permissions {
    /// Ceilings by handler type.
    pub handlers: BTreeMap<String, Json>,
    /// Bounds of every actor's `[limits]`.
    pub limits: Limits,
}

/// Reads what top-level actors may have: a TOML table per handler type, and `[limits]`, whose missing keys bound nothing.
///
/// # Errors
/// `M0002` to `M0004`, `M0009`, `M0011`.
pub fn read_permissions(path: &Path) -> Result<Permissions, Error> {
    let text =
        read_text(path, MAX_MANIFEST).map_err(|source| Error::PermissionsRead { path: path.to_owned(), source })?;
    let reader = Text { path, text: &text };
    let root = reader.parse()?;
    let mut handlers = reader.permission_tables(root.get_ref())?;
    handlers.remove("limits");
    let limits =
        root.get_ref().get("limits").map(|value| reader.limits_from(value, Limits::unbounded())).transpose()?;
    Ok(Permissions { handlers, limits: limits.unwrap_or_else(Limits::unbounded) })
}

/// The name of an interface as this program has it.
fn interface_name(name: &str) -> String {
    name.strip_prefix(OLD_PACKAGE).map_or_else(|| name.to_owned(), |rest| format!("{PACKAGE}{rest}"))
}

struct Text<'a> {
    path: &'a Path,
    text: &'a str,
}

type Value<'a> = Spanned<DeValue<'a>>;

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

impl<'t> Text<'t> {
    fn parse(&self) -> Result<Spanned<DeTable<'t>>, Error> {
        DeTable::parse(self.text).map_err(|error| {
            let what = ManifestProblem::Syntax(error.message().replace('\n', "; "));
            self.error(error.span().map(|span| span.start), what)
        })
    }

    fn line(&self, offset: usize) -> usize {
        1 + self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
    }

    fn error(&self, offset: Option<usize>, what: ManifestProblem) -> Error {
        let line = offset.map(|offset| self.line(offset));
        Error::Manifest { place: SourceLocation { path: self.path.to_owned(), line }, what }
    }

    fn wrong(&self, key: &str, value: &Value<'_>, expected: &'static str) -> Error {
        let found = kind(value.get_ref());
        self.error(Some(value.span().start), ManifestProblem::WrongType { key: key.to_owned(), expected, found })
    }

    fn bad(&self, key: &str, value: &Value<'_>, reason: impl Into<String>, help: impl Into<String>) -> Error {
        let what = ManifestProblem::Value { key: key.to_owned(), reason: reason.into(), help: help.into() };
        self.error(Some(value.span().start), what)
    }

    fn known(&self, table: &DeTable<'_>, keys: &[&str], within: Option<&str>) -> Result<(), Error> {
        for (key, _) in table.iter() {
            if !keys.contains(&key.get_ref().as_ref()) {
                let what = ManifestProblem::UnknownKey {
                    key: key.get_ref().to_string(),
                    within: within.map(ToOwned::to_owned),
                    suggestion: suggest(key.get_ref(), keys.iter().copied()),
                };
                return Err(self.error(Some(key.span().start), what));
            }
        }
        Ok(())
    }

    fn string(&self, key: &str, value: &Value<'_>) -> Result<String, Error> {
        match value.get_ref() {
            DeValue::String(text) => Ok(text.to_string()),
            _ => Err(self.wrong(key, value, "a string")),
        }
    }

    fn number(&self, key: &str, value: &Value<'_>) -> Result<u64, Error> {
        let DeValue::Integer(number) = value.get_ref() else { return Err(self.wrong(key, value, "a number")) };
        let digits = number.as_str().replace('_', "");
        let parsed = u64::from_str_radix(&digits, number.radix());
        parsed
            .map_err(|_| self.bad(key, value, format!("{digits} is not a number of 0 or more"), "write a whole number"))
    }

    fn strings(&self, key: &str, value: &Value<'_>) -> Result<Vec<String>, Error> {
        let DeValue::Array(items) = value.get_ref() else { return Err(self.wrong(key, value, "a list of strings")) };
        items.iter().map(|item| self.string(key, item)).collect()
    }

    fn table<'v, 'a>(&self, key: &str, value: &'v Value<'a>) -> Result<&'v DeTable<'a>, Error> {
        match value.get_ref() {
            DeValue::Table(table) => Ok(table),
            _ => Err(self.wrong(key, value, "a table")),
        }
    }

    fn choice<T: Copy>(&self, key: &str, value: &Value<'_>, choices: &[(&str, T)]) -> Result<T, Error> {
        let word = self.string(key, value)?;
        choices.iter().find(|(name, _)| *name == word).map(|(_, choice)| *choice).ok_or_else(|| {
            let names: Vec<_> = choices.iter().map(|(name, _)| format!("{name:?}")).collect();
            self.bad(key, value, format!("{word:?} is not known"), format!("write one of {}", names.join(", ")))
        })
    }

    fn manifest(&self, root: &DeTable<'_>, folder: &Path) -> Result<Manifest, Error> {
        self.known(root, &KEYS, None)?;
        let mut lines = BTreeMap::new();
        for key in KEYS {
            if let Some(value) = root.get(key) {
                lines.insert(key, self.line(value.span().start));
            }
        }
        let text = |key: &str| root.get(key).map(|value| self.string(key, value)).transpose();
        let missing = |key: &str, example| self.error(None, ManifestProblem::Missing { key: key.to_owned(), example });
        let name = text("name")?.ok_or_else(|| missing("name", "name = \"my-actor\""))?;
        if let (Some(value), false) = (root.get("name"), is_name(&name)) {
            let reason = format!("{name:?} is not a name");
            return Err(self.bad(
                "name",
                value,
                reason,
                "use letters, digits, '-', '_' and '.', at most 64 of them, the first one no '-' or '.'",
            ));
        }
        self.descriptions(root)?;
        let component = self.component(root)?;
        let interface = root.get("interface").map(|value| self.interfaces(value)).transpose()?.unwrap_or_default();
        let choices_of = |key: &str| root.get(key);
        let on_error = choices_of("on_error")
            .map(|value| self.choice("on_error", value, &[("continue", OnError::Continue), ("fail", OnError::Fail)]))
            .transpose()?
            .unwrap_or_default();
        let modes = [("cached", InstanceMode::Cached), ("fresh", InstanceMode::Fresh), ("kept", InstanceMode::Kept)];
        let instance =
            choices_of("instance").map(|value| self.choice("instance", value, &modes)).transpose()?.unwrap_or_default();
        Ok(Manifest {
            path: self.path.to_owned(),
            text: self.text.to_owned(),
            folder: folder.to_owned(),
            name,
            version: text("version")?,
            component,
            sha256: text("sha256")?,
            kept: None,
            init_state: root.get("init_state").map(|value| self.init_state(value)).transpose()?,
            on_error,
            instance,
            implements: interface.0,
            requires: interface.1,
            handlers: self.handlers(root)?,
            limits: root.get("limits").map(|value| self.limits(value)).transpose()?.unwrap_or_default(),
            restarts: self.restarts(root)?,
            chain: root.get("chain").map(|value| self.chain(value, instance)).transpose()?.unwrap_or_default(),
            permissions: root.get("permissions").map(|value| self.permissions(value)).transpose()?.unwrap_or_default(),
            lines,
        })
    }

    fn restarts(&self, root: &DeTable<'_>) -> Result<RestartPolicy, Error> {
        let mut policy = RestartPolicy::default();
        if let Some(value) = root.get("restart") {
            let choices = [("never", Restart::Never), ("on-failure", Restart::OnFailure), ("always", Restart::Always)];
            policy.restart = self.choice("restart", value, &choices)?;
        }
        if let Some(value) = root.get("max_restarts") {
            policy.max_restarts = self.number("max_restarts", value)?;
        }
        if let Some(value) = root.get("restart_window_ms") {
            policy.window_ms = self.number("restart_window_ms", value)?;
        }
        Ok(policy)
    }

    /// Keys of the earlier system that describe an actor and change nothing: the chain keeps them with the manifest's text.
    fn descriptions(&self, root: &DeTable<'_>) -> Result<(), Error> {
        for key in ["description", "long_description"] {
            root.get(key).map(|value| self.string(key, value)).transpose()?;
        }
        match root.get("save_chain") {
            Some(value) if !matches!(value.get_ref(), DeValue::Boolean(_)) => {
                Err(self.wrong("save_chain", value, "true or false"))
            }
            _ => Ok(()),
        }
    }

    fn component(&self, root: &DeTable<'_>) -> Result<String, Error> {
        match (root.get("component_path"), root.get("component")) {
            (Some(value), None) => self.string("component_path", value),
            (None, Some(value)) => self.string("component", value),
            (Some(_), Some(value)) => {
                Err(self.bad("component", value, "component_path says it already", "keep one of the two"))
            }
            (None, None) => Err(self.error(
                None,
                ManifestProblem::Missing {
                    key: "component_path".to_owned(),
                    example: "component_path = \"my_actor.wasm\"",
                },
            )),
        }
    }

    fn interfaces(&self, value: &Value<'_>) -> Result<(Vec<String>, Vec<String>), Error> {
        let table = self.table("interface", value)?;
        self.known(table, &["implements", "requires"], Some("[interface]"))?;
        let list = |key: &str| {
            let names = table.get(key).map(|value| match value.get_ref() {
                DeValue::String(one) => Ok(vec![one.to_string()]),
                _ => self.strings(key, value),
            });
            Ok::<_, Error>(names.transpose()?.unwrap_or_default().iter().map(|name| interface_name(name)).collect())
        };
        Ok((list("implements")?, list("requires")?))
    }

    fn init_state(&self, value: &Value<'_>) -> Result<InitState, Error> {
        match value.get_ref() {
            DeValue::String(path) => Ok(InitState::Path(path.to_string())),
            DeValue::Table(table) => {
                self.known(table, &["json"], Some("init_state"))?;
                let json =
                    table.get("json").ok_or_else(|| self.wrong("init_state", value, "a path or { json = .. }"))?;
                self.json("init_state", json).map(InitState::Json)
            }
            _ => Err(self.wrong("init_state", value, "a path or { json = .. }")),
        }
    }

    fn handlers(&self, root: &DeTable<'_>) -> Result<Vec<HandlerEntry>, Error> {
        let mut all = Vec::new();
        for key in ["handlers", "handler"] {
            let Some(value) = root.get(key) else { continue };
            let DeValue::Array(entries) = value.get_ref() else {
                return Err(self.wrong(key, value, "[[handlers]] tables"));
            };
            for entry in entries.iter() {
                all.push(self.handler(entry)?);
            }
        }
        Ok(all)
    }

    fn handler(&self, value: &Value<'_>) -> Result<HandlerEntry, Error> {
        let table = self.table("handlers", value)?;
        let handler_type = table.get("type").ok_or_else(|| {
            let what = ManifestProblem::Missing { key: "type".to_owned(), example: "type = \"name-of-a-handler\"" };
            self.error(Some(value.span().start), what)
        })?;
        let handler_type = self.string("type", handler_type)?;
        let mut flat = serde_json::Map::new();
        for (key, value) in table.iter() {
            if !matches!(key.get_ref().as_ref(), "type" | "interface" | "config") {
                flat.insert(key.get_ref().to_string(), self.json(key.get_ref(), value)?);
            }
        }
        let config = match table.get("config") {
            None => Json::Object(flat),
            Some(config) if flat.is_empty() => {
                self.table("config", config)?;
                self.json("config", config)?
            }
            Some(_) => {
                let keys = flat.keys().cloned().collect();
                let what = ManifestProblem::ConfigTwice { handler: handler_type, keys };
                return Err(self.error(Some(value.span().start), what));
            }
        };
        let interface = table.get("interface").map(|value| self.string("interface", value)).transpose()?;
        Ok(HandlerEntry {
            handler_type,
            interface: interface.map(|name| interface_name(&name)),
            config,
            line: self.line(value.span().start),
        })
    }

    fn limits(&self, value: &Value<'_>) -> Result<Limits, Error> {
        self.limits_from(value, Limits::default())
    }

    fn limits_from(&self, value: &Value<'_>, mut limits: Limits) -> Result<Limits, Error> {
        let table = self.table("limits", value)?;
        let keys = Limits::default().slots().map(|(key, _)| key);
        self.known(table, &keys, Some("[limits]"))?;
        for (key, value) in table.iter() {
            let number = self.number(key.get_ref(), value)?;
            if let Some(slot) = limits.slot(key.get_ref()) {
                *slot = number;
            }
            let key_text: &str = key.get_ref();
            if number == 0 && !ZERO_IS_NONE.contains(&key_text) && !ZERO_IS_NOTHING.contains(&key_text) {
                return Err(self.bad(key.get_ref(), value, "0 would allow nothing", "write a number above 0"));
            }
        }
        Ok(limits)
    }

    fn chain(&self, value: &Value<'_>, instance: InstanceMode) -> Result<ChainConfig, Error> {
        let table = self.table("chain", value)?;
        self.known(table, &["sync", "snapshot_every", "keep", "retry_effects"], Some("[chain]"))?;
        let mut chain = ChainConfig::default();
        if let Some(value) = table.get("sync") {
            let choices = [("none", Sync::None), ("batch", Sync::Batch), ("always", Sync::Always)];
            chain.sync = self.choice("sync", value, &choices)?;
        }
        if let Some(value) = table.get("snapshot_every") {
            chain.snapshot_every = self.number("snapshot_every", value)?;
            if chain.snapshot_every == 0 {
                return Err(self.bad("snapshot_every", value, "0 events are no distance", "write a number above 0"));
            }
        }
        if let Some(value) = table.get("keep") {
            chain.keep = self.choice("keep", value, &[("all", Keep::All), ("snapshots", Keep::Snapshots)])?;
            if chain.keep == Keep::Snapshots && instance == InstanceMode::Kept {
                let help = "write keep = \"all\", or leave instance = \"kept\" out";
                return Err(self.bad("keep", value, "an instance that is kept has no snapshots", help));
            }
        }
        if let Some(value) = table.get("retry_effects") {
            let DeValue::Boolean(flag) = value.get_ref() else {
                return Err(self.wrong("retry_effects", value, "true or false"));
            };
            chain.retry_effects = *flag;
        }
        Ok(chain)
    }

    fn permissions(&self, value: &Value<'_>) -> Result<BTreeMap<String, Json>, Error> {
        self.permission_tables(self.table("permissions", value)?)
    }

    fn permission_tables(&self, table: &DeTable<'_>) -> Result<BTreeMap<String, Json>, Error> {
        table
            .iter()
            .map(|(key, value)| {
                self.table(key.get_ref(), value)?;
                Ok((key.get_ref().to_string(), self.json(key.get_ref(), value)?))
            })
            .collect()
    }

    fn json(&self, key: &str, value: &Value<'_>) -> Result<Json, Error> {
        Ok(match value.get_ref() {
            DeValue::String(text) => Json::from(text.as_ref()),
            DeValue::Integer(number) => {
                let digits = number.as_str().replace('_', "");
                let signed = i64::from_str_radix(&digits, number.radix()).map(Json::from);
                let unsigned = || u64::from_str_radix(&digits, number.radix()).map(Json::from);
                signed.or_else(|_| unsigned()).map_err(|_| {
                    self.bad(key, value, format!("{digits} is too large"), "write a number of at most 64 bits")
                })?
            }
            DeValue::Float(number) => {
                let parsed = number.as_str().replace('_', "").parse::<f64>().unwrap_or(f64::NAN);
                serde_json::Number::from_f64(parsed)
                    .map(Json::Number)
                    .ok_or_else(|| self.bad(key, value, "a number that JSON does not have", "write a finite number"))?
            }
            DeValue::Boolean(flag) => Json::from(*flag),
            DeValue::Datetime(date) => Json::from(date.to_string()),
            DeValue::Array(items) => {
                Json::Array(items.iter().map(|item| self.json(key, item)).collect::<Result<_, _>>()?)
            }
            DeValue::Table(table) => {
                let mut map = serde_json::Map::new();
                for (key, value) in table.iter() {
                    map.insert(key.get_ref().to_string(), self.json(key.get_ref(), value)?);
                }
                Json::Object(map)
            }
        })
    }
}

/// NameTable appear in files, logs and commands.
fn is_name(name: &str) -> bool {
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    // A name is written where options and paths are: it begins neither with '-' nor with '.'.
    name.starts_with(|c: char| c.is_alphanumeric() || c == '_')
        && (1..=64).contains(&name.chars().count())
        && name.chars().all(allowed)
}

#[cfg(test)]
mod tests;
