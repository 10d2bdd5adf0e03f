//! Everything of a start that leaves no trace: plugins, permissions, component, types.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use theater_plugin_api::abi::OK;
use theater_plugin_api::descriptor::Descriptor;
use theater_plugin_api::encoding::encode;

use super::{Core, is_ours, lock, prepared_of};
use crate::actor::ActorHandle;
use crate::actor::ActorSpec;
use crate::manifest::{Ceilings, Under};
use crate::manifest::{HandlerEntry, Limits, Manifest};
use crate::plugin::config;
use crate::plugin::plugins::{Plugin, Problem};
use crate::support::error::{
    ActorProblem, ComponentProblem, Error, HandlerProblem, ManifestProblem, SourceLocation, suggest,
};
use crate::support::files::{self, Grants, MAX_COMPONENT, Regular};
use crate::wasm::component::{CompileFor, Component, digest_of};
use crate::wasm::engine::{POOLED_MEMORY, POOLED_TABLE};
use crate::wasm::linker::Linked;
use crate::wasm::turns::Turn;
use theater_chain::interface_name::meets;
use theater_chain::record::{HandlerRecord, Setup};

/// An actor's parts, before anything of it exists.
pub struct Prepared {
    /// Its handlers, ambient ones last.
    pub handlers: Vec<PreparedHandler>,
    /// The component, linked.
    pub linked: Arc<Linked>,
    /// Whether instances come from the pool.
    pub pooled: bool,
    /// What the actor's children may have.
    pub below: Ceilings,
    // The encoded record of all this, from the first start on.
    setup: OnceLock<Vec<u8>>,
}

/// A handler, before it is attached.
pub struct PreparedHandler {
    /// The handler type.
    pub handler_type: String,
    /// Where the manifest names it; an ambient one stands in no manifest.
    pub place: Option<SourceLocation>,
    /// Its plugin.
    pub plugin: Arc<Plugin>,
    /// The effective config.
    pub config: Json,
    /// The ceiling it was narrowed by.
    pub ceiling: Json,
    /// Both as text.
    pub texts: [String; 2],
}

impl PreparedHandler {
    fn new(
        handler_type: &str,
        place: Option<SourceLocation>,
        plugin: Arc<Plugin>,
        config: Json,
        ceiling: Json,
    ) -> Self {
        let texts = [config.to_string(), ceiling.to_string()];
        Self { handler_type: handler_type.to_owned(), place, plugin, config, ceiling, texts }
    }
}

/// What actors were prepared from before: most start from a manifest that another one started from.
#[derive(Default)]
pub(super) struct Known(Mutex<HashMap<Source, Vec<(Ceilings, Ready)>>>);

/// A manifest and what it came to.
type Ready = (Arc<Manifest>, Arc<Prepared>);

/// Digest of all that a manifest is read from.
type Source = [u8; 32];

/// Most manifests that are kept; a program whose actors make up new ones begins anew.
const KEPT: usize = 1_000;
/// Longest text of a manifest that is kept, bytes.
const TEXT: usize = 16 * 1024;
/// Bytes of memory of components that may be kept, and at most an eighth of the budget; beyond, those that no actor uses are
/// dropped.
const COMPONENTS: u64 = 256 * 1024 * 1024;

/// The key of a prepared manifest: its text and its place, and its limits where the parent's have bounded them.
fn source(manifest: &Manifest, bounded: Option<&Limits>) -> Option<Source> {
    let [path, folder] = [&manifest.path, &manifest.folder].map(|path| path.as_os_str().as_encoded_bytes());
    let mut hasher = Sha256::new();
    let kept = manifest.kept.as_deref().unwrap_or_default().as_bytes();
    for part in [path, folder, manifest.text.as_bytes(), kept] {
        hasher.update(part.len().to_le_bytes());
        hasher.update(part);
    }
    for (_, limit) in bounded.iter().flat_map(|limits| limits.list()) {
        hasher.update(limit.to_le_bytes());
    }
    (manifest.text.len() <= TEXT).then(|| hasher.finalize().into())
}

impl Prepared {
    /// What an actor is started from with this.
    pub(super) fn origin(self: Arc<Self>, manifest: Arc<Manifest>, state: Option<Arc<Vec<u8>>>) -> ActorSpec {
        ActorSpec {
            manifest,
            interface: Arc::clone(&self.linked.interface),
            pooled: self.pooled,
            below: self.below.clone(),
            prepared: self,
            state,
        }
    }
}

impl Known {
    fn get(&self, source: Source, ceilings: &Ceilings) -> Option<Ready> {
        let known = lock(&self.0);
        let (_, ready) = known.get(&source)?.iter().find(|(under, _)| under == ceilings)?;
        Some(ready.clone())
    }

    fn keep(&self, source: Source, ceilings: &Ceilings, ready: &Ready) {
        let mut known = lock(&self.0);
        if known.values().map(Vec::len).sum::<usize>() >= KEPT {
            known.clear();
        }
        let all = known.entry(source).or_default();
        all.retain(|(under, _)| under != ceilings);
        all.push((ceilings.clone(), ready.clone()));
    }

    fn clear(&self) {
        lock(&self.0).clear();
    }
}

impl Core {
    /// As [`Core::prepare`], of what was prepared before when nothing has changed since.
    pub(super) async fn ready(self: &Arc<Self>, manifest: &Manifest, under: Under<'_>) -> Result<Ready, Error> {
        let mut manifest = Cow::Borrowed(manifest);
        let limits = manifest.limits.within(&under.limits);
        if limits != manifest.limits {
            manifest.to_mut().limits = limits;
        }
        let source = source(&manifest, matches!(manifest, Cow::Owned(_)).then_some(&manifest.limits));
        let manifest = &*manifest;
        if let Some((manifest, prepared)) = source.and_then(|source| self.known.get(source, under.ceilings)) {
            let component = self.component(&manifest, prepared.pooled, under).await?;
            if component.digest == prepared.linked.component.digest {
                return Ok((manifest, prepared));
            }
        }
        let prepared = self.prepare(manifest, under).await?;
        let ready = (Arc::new(manifest.clone()), Arc::new(prepared));
        if self.components.bytes() > COMPONENTS.min(self.services.budget.limit() / 8) {
            self.drop_unused();
        }
        if let Some(source) = source {
            self.known.keep(source, under.ceilings, &ready);
        }
        Ok(ready)
    }

    /// The encoded [`Setup`], with everything that it names kept in `objects/`.
    pub(super) fn setup<'a>(&self, manifest: &Manifest, prepared: &'a Prepared) -> Result<&'a [u8], Error> {
        if let Some(setup) = prepared.setup.get() {
            return Ok(setup);
        }
        let known = |digest: &str, bytes: &[u8]| self.objects.put_known(digest, bytes).map_err(|e| self.unkept(e));
        let component = &prepared.linked.component;
        let handlers = prepared.handlers.iter().map(|handler| {
            Ok(HandlerRecord {
                handler_type: handler.handler_type.clone(),
                plugin: handler.plugin.descriptor.name.clone(),
                version: handler.plugin.descriptor.version.clone(),
                digest: handler.plugin.digest.clone(),
                wit: known(&handler.plugin.wit_digest, handler.plugin.wit.as_bytes())?,
                config: handler.texts[0].clone(),
            })
        });
        let setup = Setup {
            manifest: self.keep(manifest.text.as_bytes())?,
            path: manifest.path.display().to_string(),
            folder: manifest.folder.display().to_string(),
            component: known(&component.digest, &component.bytes)?,
            handlers: handlers.collect::<Result<_, Error>>()?,
            functions: prepared.linked.interface.functions.clone(),
            limits: manifest.limits.list(),
            instance: manifest.instance.name().to_owned(),
        };
        let setup = encode(&setup).unwrap_or_default();
        Ok(prepared.setup.get_or_init(|| setup))
    }

    /// Everything of a start that leaves no trace: plugins, permissions, component, types.
    ///
    /// # Errors
    /// As [`Core::start`].
    pub async fn prepare(self: &Arc<Self>, manifest: &Manifest, under: Under<'_>) -> Result<Prepared, Error> {
        let ceilings = under.ceilings;
        let mut handlers = Vec::new();
        for entry in &manifest.handlers {
            handlers.push(self.prepare_handler(manifest, entry, ceilings.of(&entry.handler_type))?);
        }
        let (component, pooled) = self.component_and_engine(manifest, under).await?;
        self.add_ambient(&component, &mut handlers, ceilings)?;
        self.check_offers(manifest, &component, &handlers)?;
        check_interface(manifest, &component, &handlers)?;
        let plugins: Vec<_> = handlers.iter().map(|handler| Arc::clone(&handler.plugin)).collect();
        let engine = if pooled { &self.engines.pooled } else { &self.engines.on_demand };
        let linked = self.links.get(engine, pooled, &component, &plugins)?;
        let below = self.below(manifest, &handlers, ceilings)?;
        self.tell_uncalled(manifest, &component, &handlers);
        Ok(Prepared { handlers, linked, pooled, below, setup: OnceLock::new() })
    }

    /// An interface that a plugin would call, were its handler in the manifest, is most often a handler forgotten.
    fn tell_uncalled(&self, manifest: &Manifest, component: &Component, handlers: &[PreparedHandler]) {
        let calls =
            |plugin: &Descriptor, export: &str| plugin.calls.iter().any(|called| meets(&called.interface, export));
        let mut exports: Vec<_> = component.exports.iter().map(|export| export.interface.as_str()).collect();
        exports.dedup();
        for export in exports {
            if handlers.iter().any(|handler| calls(&handler.plugin.descriptor, export)) {
                continue;
            }
            let caller = self.plugins.all().find(|found| calls(&found.descriptor, export));
            if let Some(handler) = caller.and_then(|found| found.descriptor.handlers.first()) {
                tracing::warn!(
                    "actor {:?} exports {export}, which nothing calls unless {} has [[handlers]] with type = {handler:?}",
                    manifest.name,
                    manifest.path.display()
                );
            }
        }
    }

    /// What an actor's children may have: `[permissions.h]` as far as its own ceiling allows, without that table what it has
    /// of `h` itself.
    fn below(
        self: &Arc<Self>,
        manifest: &Manifest,
        handlers: &[PreparedHandler],
        ceilings: &Ceilings,
    ) -> Result<Ceilings, Error> {
        let mut below = BTreeMap::new();
        for handler in handlers {
            below.entry(handler.handler_type.clone()).or_insert_with(|| handler.config.clone());
        }
        let line = manifest.place("permissions").line.unwrap_or_default();
        for (handler_type, requested) in &manifest.permissions {
            let entry =
                HandlerEntry { handler_type: handler_type.clone(), interface: None, config: requested.clone(), line };
            let allowed = self.prepare_handler(manifest, &entry, ceilings.of(handler_type))?.config;
            below.insert(handler_type.clone(), allowed);
        }
        Ok(Ceilings::Only(Arc::new(below)))
    }

    /// The component, for the pooled engine where that takes it and the limits are within the pool's, else for the one that
    /// instantiates on demand.
    async fn component_and_engine(
        self: &Arc<Self>,
        manifest: &Manifest,
        under: Under<'_>,
    ) -> Result<(Arc<Component>, bool), Error> {
        let limits = &manifest.limits;
        if limits.memory_bytes <= POOLED_MEMORY && limits.table_elements <= POOLED_TABLE {
            match self.component(manifest, true, under).await {
                Ok(component) => return Ok((component, true)),
                // What the pool has no slots for has others on demand.
                Err(Error::Component {
                    what: ComponentProblem::Refused(why) | ComponentProblem::NotWasm(why),
                    path,
                }) => {
                    tracing::debug!("{}: not from the instance pool: {why}", path.display());
                }
                Err(error) => return Err(error),
            }
        }
        self.component(manifest, false, under).await.map(|component| (component, false))
    }

    async fn component(
        self: &Arc<Self>,
        manifest: &Manifest,
        pooled: bool,
        under: Under<'_>,
    ) -> Result<Arc<Component>, Error> {
        let unreadable = |reason: String| {
            let key = ["component_path", "component"].into_iter().find(|key| manifest.place(key).line.is_some());
            let place = key.map(|key| manifest.place(key));
            Error::ComponentRead { place, url: manifest.component.clone(), reason }
        };
        let engine = if pooled { &self.engines.pooled } else { &self.engines.on_demand };
        let (path, component) = match manifest.component.split_once("://") {
            _ if let Some(digest) = &manifest.kept => {
                let path = manifest.component_path();
                let component = match self.components.known(pooled, digest) {
                    Some(known) => known,
                    None => {
                        let bytes = self.objects.get(digest).map_err(|error| unreadable(error.to_string()))?;
                        self.components.compile((engine, pooled), &path, bytes, CompileFor::Operator).await?
                    }
                };
                (path, component)
            }
            Some((scheme, _)) => {
                let path = PathBuf::from(&manifest.component);
                let bytes = self.resolve(scheme, &manifest.component, under).await.map_err(unreadable)?;
                // Before it is compiled: nothing is to be made of bytes that nobody vouches for.
                let found = digest_of(&bytes);
                let refuse = |what| Err(Error::Component { path: path.clone(), what });
                match &manifest.sha256 {
                    None if scheme == "https" => return refuse(ComponentProblem::NoDigest { found }),
                    Some(expected) if *expected != found => {
                        return refuse(ComponentProblem::Digest { found, expected: expected.clone() });
                    }
                    _ => {}
                }
                let whom = self.compile_for(under).await;
                let component = self.components.compile((engine, pooled), &path, bytes, whom).await?;
                self.charge_compiled(manifest, &component, under)?;
                (path, component)
            }
            None => {
                let path = manifest.component_path();
                let not_loaded = |what| match what {
                    NotLoaded::Unreadable(reason) => unreadable(format!("{}: {reason}", path.display())),
                    NotLoaded::Refused(error) => error,
                };
                let known = self.component_file(manifest, pooled, &path, under, false).await.map_err(not_loaded)?;
                if let Loaded::Known(component) = known {
                    return checked(manifest, path, component);
                }
                // Read when it is to be compiled: who waits for a turn holds no memory.
                let whom = self.compile_for(under).await;
                let loaded = self.component_file(manifest, pooled, &path, under, true).await.map_err(not_loaded)?;
                let (stamp, bytes) = match loaded {
                    Loaded::Known(component) => return checked(manifest, path, component),
                    Loaded::Unread => return Err(unreadable(files::TOO_SLOW.to_owned())),
                    Loaded::Read(stamp, bytes) => (stamp, bytes),
                };
                let component = self.components.compile((engine, pooled), &path, bytes, whom).await?;
                self.charge_compiled(manifest, &component, under)?;
                self.components.remember(pooled, &path, stamp, &component);
                (path, component)
            }
        };
        checked(manifest, path, component)
    }

    fn drop_unused(&self) {
        self.known.clear();
        self.links.drop_unused();
        self.components.drop_unused();
    }

    /// Charges what was compiled for an actor to that actor's tree. What nobody uses goes first.
    fn charge_compiled(&self, manifest: &Manifest, component: &Component, under: Under<'_>) -> Result<(), Error> {
        let Some(Grants { account, .. }) = under.files else { return Ok(()) };
        let charged = component.charge_to(account).or_else(|_| {
            self.drop_unused();
            component.charge_to(account)
        });
        charged.map_err(|exceeded| Error::Actor {
            name: manifest.name.clone(),
            what: ActorProblem::OverBudget(format!("its compiled component: {exceeded}")),
        })
    }

    /// For whom a component is compiled; an actor waits for its tree's turn.
    async fn compile_for(&self, under: Under<'_>) -> CompileFor {
        match under.files {
            Some(grants) => CompileFor::Actor(Turn::wait(&self.compilations, grants.account.tree_number()).await),
            None => CompileFor::Operator,
        }
    }

    /// The component's file, if it is to be `read`, or what it was compiled to before. An operator's file that has not changed costs one `stat`; all
    /// else runs on a blocking thread.
    async fn component_file(
        self: &Arc<Self>,
        manifest: &Manifest,
        pooled: bool,
        path: &Path,
        under: Under<'_>,
        read: bool,
    ) -> Result<Loaded, NotLoaded> {
        if under.files.is_none()
            && let Ok(stamp) = files::stamp_of(path)
            && let Some(component) = self.components.of_file(pooled, path, stamp)
        {
            return Ok(Loaded::Known(component));
        }
        let (grants, components, path) = (under.files.cloned(), Arc::clone(&self.components), path.to_owned());
        let (folder, named) = (manifest.folder.clone(), manifest.component.clone());
        let load = move || {
            let refused = |refused: files::Refused| NotLoaded::Refused(refused.error(&named, "paths"));
            let unreadable = |error: std::io::Error| NotLoaded::Unreadable(error.to_string());
            let file = match &grants {
                Some(grants) => grants.open(&folder, Path::new(&named)).map_err(refused)?,
                None => Regular::open(&path).map_err(unreadable)?,
            };
            let stamp = file.stamp;
            if let Some(component) = components.of_file(pooled, &path, stamp) {
                return Ok(Loaded::Known(component));
            }
            if !read {
                return Ok(Loaded::Unread);
            }
            let bytes = match &grants {
                Some(grants) => grants.read_regular(file, grants.max_component).map_err(refused)?,
                None => file.read(MAX_COMPONENT).map_err(unreadable)?,
            };
            Ok(Loaded::Read(stamp, bytes))
        };
        let loaded = files::off_executor(load).await;
        loaded.unwrap_or_else(|| Err(NotLoaded::Unreadable(files::TOO_SLOW.to_owned())))
    }

    /// What an actor is made of for the engine that instantiates on demand: compiled when it is needed first.
    pub(crate) async fn linked_on_demand(self: &Arc<Self>, actor: &ActorHandle) -> Result<Arc<Linked>, Error> {
        let prepared = prepared_of(actor.origin());
        let (engine, own) = (&self.engines.on_demand, &prepared.linked.component);
        let component = match self.components.known(false, &own.digest) {
            Some(known) => known,
            None => {
                let bytes = own.bytes.clone();
                self.components.compile((engine, false), &own.path, bytes, CompileFor::Operator).await?
            }
        };
        let plugins: Vec<_> = prepared.handlers.iter().map(|handler| Arc::clone(&handler.plugin)).collect();
        self.links.get(engine, false, &component, &plugins)
    }

    fn prepare_handler(
        self: &Arc<Self>,
        manifest: &Manifest,
        entry: &HandlerEntry,
        ceiling: Json,
    ) -> Result<PreparedHandler, Error> {
        let handler_type = &entry.handler_type;
        let Some(found) = self.plugins.by_handler(handler_type)? else {
            return Err(self.no_plugin(manifest, entry));
        };
        let plugin = self.load(found)?;
        config::check(manifest, entry, &plugin)?;
        if let Some(interface) = &entry.interface
            && !plugin.exports.iter().any(|export| meets(&export.interface, interface))
        {
            let what = ManifestProblem::Value {
                key: "interface".to_owned(),
                reason: format!("handler {handler_type:?} does not call {interface}"),
                help: format!("it calls {}", called(&plugin)),
            };
            let place = place(manifest, entry);
            return Err(Error::Manifest { place, what });
        }
        let mut requested = entry.config.clone();
        config::resolve_paths(&plugin.descriptor.config, &mut requested, &manifest.folder);
        let config = narrow(&plugin, handler_type, &ceiling, &requested)
            .map_err(|what| handler_error(&manifest.name, handler_type, Some(place(manifest, entry)), what))?;
        let place = Some(place(manifest, entry));
        Ok(PreparedHandler::new(handler_type, place, plugin, config, ceiling))
    }

    /// A file that cannot be used may be the one that is named: then its own problem is the answer.
    fn no_plugin(&self, manifest: &Manifest, entry: &HandlerEntry) -> Error {
        let handler = entry.handler_type.as_str();
        for problem in &self.plugins.problems {
            let name = problem.name.as_ref().map(|(name, _)| name.as_str()).unwrap_or_default();
            let stem =
                problem.path.file_stem().map(|stem| stem.to_string_lossy().replace('_', "-")).unwrap_or_default();
            let wanted = handler.replace(':', "-");
            if name == handler || name == wanted || stem.trim_start_matches("lib") == wanted {
                return Error::Plugin { what: Arc::clone(problem) };
            }
        }
        let known = self.plugins.all().flat_map(|found| found.descriptor.handlers.iter().map(String::as_str));
        let suggestion = suggest(handler, known);
        let what = HandlerProblem::NoPlugin { folder: self.plugins.folder().to_owned(), suggestion };
        handler_error(&manifest.name, handler, Some(place(manifest, entry)), what)
    }

    /// Ambient plugins are attached wherever a component imports them, behind the handlers of the manifest.
    fn add_ambient(
        self: &Arc<Self>,
        component: &Component,
        handlers: &mut Vec<PreparedHandler>,
        ceilings: &Ceilings,
    ) -> Result<(), Error> {
        for found in self.plugins.all().filter(|found| found.descriptor.ambient) {
            let wanted = component.imports.iter().any(|(import, functions)| {
                let offered = |interface: &String| meets(interface, import);
                !functions.is_empty() && found.descriptor.provides.iter().any(|provided| offered(&provided.interface))
            });
            let there = handlers.iter().any(|handler| handler.plugin.descriptor.name == found.descriptor.name);
            if !wanted || there {
                continue;
            }
            let Some(handler_type) = found.descriptor.handlers.first() else { continue };
            self.plugins.by_handler(handler_type)?;
            if !is_ours(handler_type) && !self.options.allow_ambient.contains(&found.descriptor.name) {
                return Err(found.problem(Problem::Ambient));
            }
            let plugin = self.load(found)?;
            let (ceiling, nothing) = (ceilings.of(handler_type), Json::Object(Default::default()));
            let config = narrow(&plugin, handler_type, &ceiling, &nothing)
                .map_err(|what| handler_error(&found.descriptor.name, handler_type, None, what))?;
            handlers.push(PreparedHandler::new(handler_type, None, plugin, config, ceiling));
        }
        Ok(())
    }

    /// Every import has exactly one handler; what is missing is told by what would offer it.
    fn check_offers(
        &self,
        manifest: &Manifest,
        component: &Component,
        handlers: &[PreparedHandler],
    ) -> Result<(), Error> {
        for (number, handler) in handlers.iter().enumerate() {
            for provided in &handler.plugin.descriptor.provides {
                let before = handlers.iter().take(number).find(|other| {
                    other.plugin.descriptor.provides.iter().any(|theirs| theirs.interface == provided.interface)
                });
                if let Some(other) = before {
                    let what = HandlerProblem::Twice {
                        interface: provided.interface.clone(),
                        other: other.handler_type.clone(),
                    };
                    return Err(handler_error(&manifest.name, &handler.handler_type, handler.place.clone(), what));
                }
            }
        }
        let offered = |import: &str| {
            handlers.iter().any(|handler| {
                handler.plugin.descriptor.provides.iter().any(|provided| meets(&provided.interface, import))
            })
        };
        let missing: Vec<_> = component
            .imports
            .iter()
            .filter(|(import, functions)| !functions.is_empty() && !offered(import))
            .map(|(import, _)| import.clone())
            .collect();
        let refuse = |what| Err(Error::Component { path: component.path.clone(), what });
        let wasi: Vec<_> = missing.iter().filter(|import| import.starts_with("wasi:")).cloned().collect();
        if !wasi.is_empty() {
            return refuse(ComponentProblem::Wasi(wasi));
        }
        let Some(import) = missing.first() else { return Ok(()) };
        if let Some(found) = self.plugins.by_interface(import) {
            let handler = found.descriptor.handlers.first().cloned().unwrap_or_default();
            let manifest = manifest.path.clone();
            return refuse(ComponentProblem::MissingHandler { manifest, import: import.clone(), handler });
        }
        let bare = |name: &str| name.split('@').next().unwrap_or(name).to_owned();
        let other = self
            .plugins
            .all()
            .flat_map(|found| &found.descriptor.provides)
            .find(|provided| bare(&provided.interface) == bare(import));
        match other {
            Some(other) => {
                refuse(ComponentProblem::Version { import: import.clone(), offered: other.interface.clone() })
            }
            None => {
                let folder = self.plugins.folder().to_owned();
                refuse(ComponentProblem::UnknownImport { import: import.clone(), folder })
            }
        }
    }
}

/// A component's file, as far as it had to be read.
enum Loaded {
    /// It was compiled before and has not changed.
    Known(Arc<Component>),
    /// It was not, and is not read yet.
    Unread,
    /// Its stamp and its bytes.
    Read(files::Stamp, Vec<u8>),
}

enum NotLoaded {
    /// The system's reason.
    Unreadable(String),
    /// An actor named it.
    Refused(Error),
}

/// The component, if it is the one whose digest the manifest names.
fn checked(manifest: &Manifest, path: PathBuf, component: Arc<Component>) -> Result<Arc<Component>, Error> {
    match &manifest.sha256 {
        Some(expected) if *expected != component.digest => Err(Error::Component {
            path,
            what: ComponentProblem::Digest { found: component.digest.clone(), expected: expected.clone() },
        }),
        _ => Ok(component),
    }
}

pub(super) fn handler_error(actor: &str, handler: &str, place: Option<SourceLocation>, what: HandlerProblem) -> Error {
    Error::Handler { place, actor: actor.to_owned(), handler: handler.to_owned(), what }
}

fn place(manifest: &Manifest, entry: &HandlerEntry) -> SourceLocation {
    SourceLocation { path: manifest.path.clone(), line: Some(entry.line) }
}

fn called(plugin: &Plugin) -> String {
    let mut names: Vec<_> = plugin.exports.iter().map(|export| export.interface.as_str()).collect();
    names.dedup();
    if names.is_empty() { "no interface of the actor's".to_owned() } else { names.join(", ") }
}

/// What a plugin makes of a request under a ceiling.
fn narrow(plugin: &Plugin, handler: &str, ceiling: &Json, requested: &Json) -> Result<Json, HandlerProblem> {
    let answer = plugin.object.narrow(handler, &ceiling.to_string(), &requested.to_string());
    if answer.status != OK {
        return Err(HandlerProblem::Narrow(answer.sentence()));
    }
    serde_json::from_slice(&answer.bytes).map_err(|error| HandlerProblem::Narrow(error.to_string()))
}

/// `[interface]` is checked when present; names without a version stand for any.
fn check_interface(manifest: &Manifest, component: &Component, handlers: &[PreparedHandler]) -> Result<(), Error> {
    let fits = |listed: &str, there: &str| listed == there || there.split('@').next() == Some(listed);
    let exported = |listed: &str| component.exports.iter().any(|export| fits(listed, &export.interface));
    let imported = |listed: &str| component.imports.iter().any(|(import, _)| fits(listed, import));
    let refuse = |verb, interface: &String| {
        let what = ManifestProblem::Interface { verb, interface: interface.clone() };
        Err(Error::Manifest { place: manifest.place("interface"), what })
    };
    if let Some(missing) = manifest.implements.iter().find(|listed| !exported(listed)) {
        return refuse("export", missing);
    }
    // A required interface that the component does not import is still granted when a handler offers it.
    let offered = |listed: &str| {
        let provides = handlers.iter().flat_map(|handler| &handler.plugin.descriptor.provides);
        provides.into_iter().any(|provided| fits(listed, &provided.interface))
    };
    match manifest.requires.iter().find(|listed| !imported(listed) && !offered(listed)) {
        Some(missing) => refuse("import", missing),
        None => Ok(()),
    }
}
