//! The core: what actors share, and how an actor starts.
//!
//! Order of a start: manifest, permissions, plugins found, component checked, `created` recorded, handlers attached,
//! instantiated, `init`, renewal, handlers `started`, ready. A failure after `created` ends the chain with `failed`; before
//! it no chain is left. Each step is undone in reverse.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value as Json;
use theater_plugin_api::abi::{OK, OwnedHandler, host_object};
use theater_plugin_api::encoding::encode;

use crate::actor::{Actor, End, Settings, Shared, detach};
use crate::chain::{Id, NewEvent};
use crate::component::{Component, Components};
use crate::config;
use crate::data::DataFolder;
use crate::engine::{Engines, POOLED_MEMORY, POOLED_TABLE, machine_memory};
use crate::error::{ComponentProblem, Error, HandlerProblem, ManifestProblem, Place, suggest};
use crate::executor::{self, Signal};
use crate::host::{ActorHost, PluginHost};
use crate::journal::{Journal, SEGMENT_SIZE};
use crate::linker::{Attached, Linked, Links};
use crate::manifest::{HandlerEntry, Manifest};
use crate::names::Names;
use crate::objects::Objects;
use crate::plugins::{Found, Plugin, Plugins, Problem, meets};
use crate::pool::Pool;
use crate::record::{Created, HandlerRecord, Kind};
use crate::waits::WaitGraph;
use crate::watch::{Stuck, Watch};

/// Where events go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sink {
    /// To the journal.
    Disk,
    /// Hashed and dropped: a bench that leaves the disk out, and `theater validate`.
    Hashed,
    /// Dropped: a bench that leaves the chain out.
    Dropped,
}

/// What a core is opened with.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where plugins are.
    pub plugins: PathBuf,
    /// The data folder.
    pub data: PathBuf,
    /// Memory to size the instance pool by, bytes; none = what the machine has.
    pub memory: Option<u64>,
    /// Plugins that may be ambient beside our own.
    pub allow_ambient: Vec<String>,
    /// Ceilings of top-level actors by handler type; none = everything.
    pub permissions: Option<BTreeMap<String, Json>>,
    /// Size at which a journal segment ends, bytes.
    pub segment_size: u64,
    /// Where events go; only benches say anything but the disk.
    pub sink: Sink,
    /// Log every host call at debug level.
    pub log_calls: bool,
}

impl Options {
    /// Options with defaults for everything but the folders.
    #[must_use]
    pub fn new(plugins: impl Into<PathBuf>, data: impl Into<PathBuf>) -> Self {
        Self {
            plugins: plugins.into(),
            data: data.into(),
            memory: None,
            allow_ambient: Vec::new(),
            permissions: None,
            segment_size: SEGMENT_SIZE,
            sink: Sink::Disk,
            log_calls: false,
        }
    }
}

/// What a failed start was doing, in place of an export.
const START: &str = "start";

/// Everything actors share.
pub struct Core {
    options: Options,
    data: DataFolder,
    /// The engines.
    pub engines: Engines,
    /// Places for instances.
    pub pool: Arc<Pool>,
    /// The journal.
    pub journal: Journal,
    /// The wait graph.
    pub waits: WaitGraph,
    /// The watchdog.
    pub watch: Arc<Watch>,
    /// Set when the program ends.
    pub stopped: Signal,
    /// Whether host calls are logged.
    pub log_calls: bool,
    plugins: Plugins,
    components: Components,
    links: Links,
    objects: Objects,
    actors: Mutex<HashMap<Id, Arc<Shared>>>,
    names: Names,
    metrics: Mutex<BTreeMap<(String, String), f64>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // The maps behind these locks are whole at every point a panic could happen.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bare words are our handler types, `vendor:name` those of third parties: only ours are ambient unasked.
fn is_ours(handler_type: &str) -> bool {
    !handler_type.contains(':')
}

impl Core {
    /// Opens the data folder and the journal, makes the engines and reads the plugin folder.
    ///
    /// # Errors
    /// Everything with an `S` code, `P0001`.
    pub fn open(options: Options) -> Result<Arc<Self>, Error> {
        let plugins = Plugins::find(&options.plugins)?;
        let data = DataFolder::open(&options.data)?;
        let folder = options.data.join("journal");
        let journal = match options.sink {
            Sink::Disk => Journal::open(&folder, options.segment_size)
                .map_err(|source| Error::DataFolder { path: folder, source })?,
            Sink::Hashed => Journal::discarding(true),
            Sink::Dropped => Journal::discarding(false),
        };
        let engines = Engines::new(options.memory.unwrap_or_else(machine_memory))?;
        let watch = Arc::new(Watch::default());
        let core = Arc::new(Self {
            pool: Pool::new(engines.pool_size),
            engines,
            journal,
            waits: WaitGraph::default(),
            watch: Arc::clone(&watch),
            stopped: Signal::default(),
            log_calls: options.log_calls,
            plugins,
            components: Components::default(),
            links: Links::default(),
            objects: Objects::new(&options.data),
            actors: Mutex::default(),
            names: Names::default(),
            metrics: Mutex::default(),
            data,
            options,
        });
        let weak = Arc::downgrade(&core);
        Watch::start(&watch, move |stuck| {
            if let Some(core) = weak.upgrade() {
                core.report_stuck(&stuck);
            }
        })
        .map_err(|error| Error::Engine(format!("no thread for the watchdog: {error}")))?;
        Ok(core)
    }

    /// The plugins of the plugin folder.
    #[must_use]
    pub fn plugins(&self) -> &Plugins {
        &self.plugins
    }

    /// The data folder.
    #[must_use]
    pub fn data(&self) -> &Path {
        self.data.path()
    }

    /// Where a plugin keeps its own files.
    #[must_use]
    pub fn plugin_folder(&self, plugin: &str) -> PathBuf {
        self.data().join("plugin-data").join(plugin.replace(['/', ':'], "_"))
    }

    /// The living actors.
    #[must_use]
    pub fn actors(&self) -> Vec<Arc<Shared>> {
        lock(&self.actors).values().cloned().collect()
    }

    /// The living actor with that id, unique start of an id, or name.
    #[must_use]
    pub fn actor(&self, wanted: &str) -> Option<Arc<Shared>> {
        let actors = lock(&self.actors);
        let one = |matches: &dyn Fn(&Shared) -> bool| {
            let mut found = actors.values().filter(|actor| matches(actor));
            found.next().filter(|_| found.next().is_none()).cloned()
        };
        one(&|actor| actor.id_text() == wanted)
            .or_else(|| one(&|actor| actor.name() == wanted))
            .or_else(|| (wanted.len() >= 4).then(|| one(&|actor| actor.id_text().starts_with(wanted))).flatten())
    }

    pub(crate) fn wait_for(&self, waiter: Id, other: &str, why: &str) -> Result<u64, String> {
        let actor = self.actor(other).ok_or_else(|| format!("there is no living actor {other:?}"))?;
        self.waits.begin(waiter, actor.id(), why).map_err(|cycle| {
            let steps: Vec<_> = cycle.0.iter().map(|(id, why)| format!("{} waits ({why})", self.label(*id))).collect();
            format!("this wait would never end: {} for {}", steps.join(" for "), self.label(waiter))
        })
    }

    fn label(&self, id: Id) -> String {
        let known = lock(&self.actors).get(&id).map(|actor| format!("{:?} ({})", actor.name(), actor.short_id()));
        known.unwrap_or_else(|| theater_plugin_api::uuid_text(&id))
    }

    pub(crate) fn metric(&self, plugin: &str, name: &str, kind: u32, value: f64) {
        let mut metrics = lock(&self.metrics);
        let slot = metrics.entry((plugin.to_owned(), name.to_owned())).or_default();
        *slot = if kind == 0 { *slot + value } else { value };
    }

    /// The plugins' metrics: (plugin, name) and value.
    #[must_use]
    pub fn metrics(&self) -> BTreeMap<(String, String), f64> {
        lock(&self.metrics).clone()
    }

    pub(crate) fn ended(&self, actor: &Shared, end: &End) {
        self.waits.forget(actor.id());
        lock(&self.actors).remove(&actor.id());
        self.names.give_back(actor.name());
        self.journal.forget(actor.id());
        // A failed start is told by whoever asked for it.
        if let End::Failed { function, reason } = end
            && function != START
        {
            tracing::error!(actor = actor.short_id(), name = actor.name(), "actor failed in {function}: {reason}");
        }
    }

    fn report_stuck(&self, stuck: &Stuck) {
        let actor = lock(&self.actors).get(&stuck.actor).cloned();
        let (name, limit) = match &actor {
            Some(actor) => (actor.name().to_owned(), actor.limits().run_timeout_ms),
            None => (theater_plugin_api::uuid_text(&stuck.actor), u64::MAX),
        };
        if stuck.first {
            let millis = stuck.since.as_millis();
            tracing::warn!(
                code = "P0107",
                "plugin {:?} has not returned from a call for actor {name:?} for {millis} ms; {}",
                stuck.plugin,
                if stuck.replaced {
                    "a worker thread was added in place of the one it holds"
                } else {
                    "it holds a worker thread, and no more can be added"
                }
            );
        }
        let over = |actor: &Arc<Shared>| stuck.since >= Duration::from_millis(limit) || actor.is_interrupted();
        if let Some(actor) = actor.filter(over) {
            let within = if actor.is_interrupted() {
                "in the time the actor had to stop".to_owned()
            } else {
                format!("within run_timeout_ms = {limit}")
            };
            let message = format!(
                "[P0107] plugin {:?} did not return {within}; its thread is lost until the program ends",
                stuck.plugin
            );
            actor.abandon(message);
        }
    }

    /// Stops all actors, each with at most `grace` for its running call, and the journal behind them.
    pub async fn stop(self: &Arc<Self>, reason: &str, grace: Duration) {
        self.stopped.set();
        let mut stops = Vec::new();
        for actor in self.actors() {
            let reason = reason.to_owned();
            stops.push(executor::spawn(async move { actor.stop(&reason, grace).await }));
        }
        for stop in stops {
            stop.await;
        }
        if let Err(error) = self.journal.written().await {
            tracing::error!("{error}");
        }
    }

    /// Starts an actor: it is ready when this returns.
    ///
    /// # Errors
    /// Everything that can be wrong with a manifest, its component and its handlers, and a failed `init`.
    pub async fn start(self: &Arc<Self>, manifest: &Manifest) -> Result<Arc<Shared>, Error> {
        let prepared = self.prepare(manifest)?;
        let state = manifest.initial_state()?;
        let id = *uuid::Uuid::new_v4().as_bytes();
        let settings = Settings {
            id,
            name: self.names.take(&manifest.name),
            parent: None,
            limits: manifest.limits,
            sync: manifest.chain.sync,
            on_error: manifest.on_error,
            instance: manifest.instance,
            pooled: prepared.pooled,
        };
        let shared = Shared::new(Arc::clone(self), settings, Arc::clone(&prepared.linked));
        if let Err(error) = self.record_created(&shared, manifest, &prepared, state.as_deref()) {
            self.names.give_back(shared.name());
            return Err(error);
        }
        lock(&self.actors).insert(id, Arc::clone(&shared));
        // On a task of its own: the start is finished or undone even when whoever asked for it goes away.
        let (core, actor) = (Arc::clone(self), Arc::clone(&shared));
        executor::spawn(async move { core.bring_up_or_undo(&actor, prepared, state).await }).await?;
        Ok(shared)
    }

    async fn bring_up_or_undo(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        prepared: Prepared,
        state: Option<Vec<u8>>,
    ) -> Result<(), Error> {
        let Err((error, handlers)) = self.bring_up(shared, prepared, state).await else { return Ok(()) };
        shared.cancelled().set();
        detach(shared, handlers).await;
        shared.finish(End::Failed { function: START.to_owned(), reason: crate::error::chain_of(&error) });
        Err(error)
    }

    async fn bring_up(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        prepared: Prepared,
        state: Option<Vec<u8>>,
    ) -> Result<(), (Error, Arc<Vec<Attached>>)> {
        let mut attached = Vec::new();
        for (slot, handler) in prepared.handlers.iter().enumerate() {
            match Self::attach(shared, handler, prepared.linked.calls.get(slot)).await {
                Ok(one) => attached.push(one),
                Err(what) => {
                    let error = handler_error(shared.name(), &handler.handler_type, handler.place.clone(), what);
                    return Err((error, Arc::new(attached)));
                }
            }
        }
        let handlers = Arc::new(attached);
        let mut actor = Actor::new(Arc::clone(shared), Arc::clone(&handlers), state);
        if let Err(what) = actor.init().await {
            drop(actor);
            return Err((Error::Actor { name: shared.name().to_owned(), what }, handlers));
        }
        if let Err((handler, sentence)) = actor.started().await {
            drop(actor);
            let place = prepared.handlers.iter().find(|known| known.handler_type == handler);
            let place = place.and_then(|handler| handler.place.clone());
            return Err((handler_error(shared.name(), &handler, place, HandlerProblem::Started(sentence)), handlers));
        }
        drop(handlers);
        drop(executor::spawn(actor.live()));
        Ok(())
    }

    async fn attach(
        shared: &Arc<Shared>,
        handler: &PreparedHandler,
        calls: Option<&Vec<Option<u32>>>,
    ) -> Result<Attached, HandlerProblem> {
        let plugin = &handler.plugin;
        let host = Arc::new(ActorHost::new(shared, plugin, &handler.handler_type, calls.cloned().unwrap_or_default()));
        let (config, ceiling) = (handler.config.to_string(), handler.ceiling.to_string());
        let attach = plugin.object.attach(host_object(Arc::clone(&host)), &handler.handler_type, &config, &ceiling);
        let attach = shared.core().watch.polls(shared.id(), plugin, Box::pin(attach));
        match Actor::bounded(shared, attach, 0).await {
            Ok(Ok(object)) => Ok(Attached {
                plugin: Arc::clone(plugin),
                handler: OwnedHandler::new(object),
                host,
                handler_type: handler.handler_type.clone(),
            }),
            Err(why) => {
                host.end().await;
                Err(HandlerProblem::Attach(why))
            }
            Ok(Err(answer)) => {
                host.end().await;
                let message = answer.sentence();
                Err(if answer.status == theater_plugin_api::abi::PANIC {
                    HandlerProblem::AttachPanicked { plugin: plugin.descriptor.name.clone(), message }
                } else {
                    HandlerProblem::Attach(message)
                })
            }
        }
    }

    fn record_created(
        &self,
        shared: &Shared,
        manifest: &Manifest,
        prepared: &Prepared,
        state: Option<&[u8]>,
    ) -> Result<(), Error> {
        let unkept = |source| Error::DataFolder { path: self.data().join("objects"), source };
        let keep = |bytes: &[u8]| self.objects.put(bytes).map_err(unkept);
        let handlers = prepared
            .handlers
            .iter()
            .map(|handler| {
                Ok(HandlerRecord {
                    handler_type: handler.handler_type.clone(),
                    plugin: handler.plugin.descriptor.name.clone(),
                    version: handler.plugin.descriptor.version.clone(),
                    digest: handler.plugin.digest.clone(),
                    wit: keep(handler.plugin.wit.as_bytes())?,
                    config: handler.config.to_string(),
                })
            })
            .collect::<Result<_, Error>>()?;
        let created = Created {
            name: shared.name().to_owned(),
            parent: shared.parent().map(|parent| parent.id_text().to_owned()),
            manifest: keep(manifest.text.as_bytes())?,
            component: keep(&prepared.linked.component.bytes)?,
            handlers,
            functions: prepared.linked.functions.clone(),
            limits: manifest.limits.list(),
            instance: manifest.instance.name().to_owned(),
            init_state: state.map(keep).transpose()?,
            engine: format!("theater {}, {}", env!("CARGO_PKG_VERSION"), crate::engine::VERSION),
        };
        let data = encode(&created).unwrap_or_default();
        shared.record(&NewEvent::plain(Kind::Created, &data))?;
        Ok(())
    }

    /// Everything of a start that leaves no trace: plugins, permissions, component, types.
    ///
    /// # Errors
    /// As [`Core::start`].
    pub fn prepare(self: &Arc<Self>, manifest: &Manifest) -> Result<Prepared, Error> {
        let mut handlers = Vec::new();
        for entry in &manifest.handlers {
            handlers.push(self.prepare_handler(manifest, entry)?);
        }
        let pooled = manifest.limits.memory_bytes <= POOLED_MEMORY && manifest.limits.table_elements <= POOLED_TABLE;
        let component = self.component(manifest, pooled)?;
        self.add_ambient(&component, &mut handlers)?;
        self.check_offers(manifest, &component, &handlers)?;
        check_interface(manifest, &component, &handlers)?;
        let plugins: Vec<_> = handlers.iter().map(|handler| Arc::clone(&handler.plugin)).collect();
        let engine = if pooled { &self.engines.pooled } else { &self.engines.on_demand };
        let linked = self.links.get(engine, pooled, &component, &plugins)?;
        Ok(Prepared { handlers, linked, pooled })
    }

    fn component(&self, manifest: &Manifest, pooled: bool) -> Result<Arc<Component>, Error> {
        let unreadable = |reason: String| {
            let key = ["component_path", "component"].into_iter().find(|key| manifest.place(key).line.is_some());
            let place = key.map(|key| manifest.place(key));
            Error::ComponentRead { place, url: manifest.component.clone(), reason }
        };
        if let Some((scheme, _)) = manifest.component.split_once("://") {
            return Err(unreadable(format!(
                "no plugin in {} resolves {scheme}:// URLs",
                self.plugins.folder().display()
            )));
        }
        let path = manifest.component_path();
        let bytes = std::fs::read(&path).map_err(|error| unreadable(format!("{}: {error}", path.display())))?;
        let engine = if pooled { &self.engines.pooled } else { &self.engines.on_demand };
        let component = self.components.get(engine, pooled, &path, bytes)?;
        match &manifest.sha256 {
            Some(expected) if *expected != component.digest => Err(Error::Component {
                path,
                what: ComponentProblem::Digest { found: component.digest.clone(), expected: expected.clone() },
            }),
            _ => Ok(component),
        }
    }

    fn prepare_handler(self: &Arc<Self>, manifest: &Manifest, entry: &HandlerEntry) -> Result<PreparedHandler, Error> {
        let handler_type = &entry.handler_type;
        let Some(found) = self.plugins.by_handler(handler_type) else {
            return Err(self.no_plugin(manifest, entry));
        };
        let plugin = self.load(found)?;
        config::check(manifest, entry, &plugin.descriptor.config)?;
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
        let ceiling = match &self.options.permissions {
            None => Json::Null,
            Some(ceilings) => ceilings.get(handler_type).cloned().unwrap_or_else(|| Json::Object(Default::default())),
        };
        let config = narrow(&plugin, handler_type, &ceiling, &entry.config)
            .map_err(|what| handler_error(&manifest.name, handler_type, Some(place(manifest, entry)), what))?;
        let place = Some(place(manifest, entry));
        Ok(PreparedHandler { handler_type: handler_type.clone(), place, plugin, config, ceiling })
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

    fn load(self: &Arc<Self>, found: &Found) -> Result<Arc<Plugin>, Error> {
        let copies = self.data().join("plugins");
        let mut first = false;
        let plugin = found.load(&copies, |descriptor| {
            first = true;
            host_object(Arc::new(PluginHost::new(self, &descriptor.name)))
        })?;
        if first {
            self.watch.know(&plugin);
        }
        Ok(plugin)
    }

    /// Ambient plugins are attached wherever a component imports them, behind the handlers of the manifest.
    fn add_ambient(self: &Arc<Self>, component: &Component, handlers: &mut Vec<PreparedHandler>) -> Result<(), Error> {
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
            if !is_ours(handler_type) && !self.options.allow_ambient.contains(&found.descriptor.name) {
                return Err(found.problem(Problem::Ambient));
            }
            handlers.push(PreparedHandler {
                handler_type: handler_type.clone(),
                place: None,
                plugin: self.load(found)?,
                config: Json::Object(Default::default()),
                ceiling: Json::Null,
            });
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

fn handler_error(actor: &str, handler: &str, place: Option<Place>, what: HandlerProblem) -> Error {
    Error::Handler { place, actor: actor.to_owned(), handler: handler.to_owned(), what }
}

fn place(manifest: &Manifest, entry: &HandlerEntry) -> Place {
    Place { path: manifest.path.clone(), line: Some(entry.line) }
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

/// An actor's parts, before anything of it exists.
pub struct Prepared {
    /// Its handlers, ambient ones last.
    pub handlers: Vec<PreparedHandler>,
    /// The component, linked.
    pub linked: Arc<Linked>,
    /// Whether instances come from the pool.
    pub pooled: bool,
}

/// A handler, before it is attached.
pub struct PreparedHandler {
    /// The handler type.
    pub handler_type: String,
    /// Where the manifest names it; an ambient one stands in no manifest.
    pub place: Option<Place>,
    /// Its plugin.
    pub plugin: Arc<Plugin>,
    /// The effective config.
    pub config: Json,
    /// The ceiling it was narrowed by.
    pub ceiling: Json,
}
