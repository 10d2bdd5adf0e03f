//! The core: what actors share, and how an actor starts.
//!
//! Order of a start: manifest, permissions, plugins found, component checked, `created` recorded, handlers attached,
//! instantiated, `init`, renewal, handlers `started`, ready. A failure after `created` ends the chain with `failed`; before
//! it no chain is left. Each step is undone in reverse.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use serde_json::Value as Json;
use theater_plugin_api::abi::{OK, OwnedHandler, forget, host_object, report_core_panics_to};
use theater_plugin_api::{FailureKind, uuid_text};

use crate::actor::child_table::ChildRefused;
use crate::actor::name_table::NameTable;
use crate::actor::registry::Registry;
use crate::actor::wait_graph::WaitGraph;
use crate::actor::{
    ActorHandle, ActorSpec, BY_PROGRAM, End, Lifecycle, PROGRAM_GRACE, START, Services, Settings, StartMode,
};
use crate::core::task::{ActorTask, detach};
use crate::manifest::{Ceilings, InitState, Limits, Manifest, Permissions, Under};
use crate::plugin::host::{ActorHost, CoreFuture, CoreServices, PluginHost};
use crate::plugin::plugins::{Found, Plugin, Plugins};
use crate::plugin::watchdog::{Stuck, Watchdog, is_inside};
use crate::support::budget::{Account, available_memory, resident_memory};
use crate::support::error::{ActorProblem, Error, HandlerProblem, ManifestProblem, chain_of};
use crate::support::executor::{self, Latch};
use crate::support::files;
use crate::support::timer;
use crate::wasm::component::Components;
use crate::wasm::engine::Engines;
use crate::wasm::linker::{Attached, Links};
use crate::wasm::pool::Pool;
use crate::wasm::turns::Turns;
use theater_chain::data_dir::DataDir;
use theater_chain::event::{Id, NewEvent};
use theater_chain::journal::{Journal, SEGMENT_SIZE};
use theater_chain::objects::Objects;
use theater_chain::record::{Kind, created};
use theater_chain::signature::Sealer;

mod fork;
mod prepare;
mod resume;
pub mod supervision;
pub mod task;

pub use fork::Forked;
use prepare::{Known, handler_error};
pub use prepare::{Prepared, PreparedHandler};
pub use resume::Resumed;

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
    /// Memory for instances, states and mailboxes, bytes; none = three quarters of what this process may use.
    pub memory: Option<u64>,
    /// Plugins that may be ambient beside our own.
    pub allow_ambient: Vec<String>,
    /// What top-level actors may have; none = everything.
    pub permissions: Option<Permissions>,
    /// Size at which a journal segment ends, bytes.
    pub segment_size: u64,
    /// Where events go; only benches say anything but the disk.
    pub sink: Sink,
    /// The key that seals chains at snapshots and ends; none = they are not.
    pub seal: Option<Arc<Sealer>>,
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
            seal: None,
            log_calls: false,
        }
    }
}

/// After how long a host call that is waited for is logged.
const LONG_WAIT: Duration = Duration::from_secs(30);
/// How long a plugin has to remove what an ended actor left, in ms.
const FORGET_MS: u64 = 10_000;

/// Everything actors share.
pub struct Core {
    options: Options,
    top: Ceilings,
    top_limits: Limits,
    data: DataDir,
    closed: Vec<PathBuf>,
    /// What actors use themselves.
    pub services: Arc<Services>,
    /// The engines.
    pub engines: Arc<Engines>,
    /// Slots for instances.
    pub pool: Arc<Pool>,
    /// Turns of guests that run long.
    pub turns: Arc<Turns>,
    /// Turns of compilations for actors.
    compilations: Arc<Turns>,
    /// The watchdog.
    pub watch: Arc<Watchdog>,
    plugins: Plugins,
    components: Arc<Components>,
    links: Links,
    known: Known,
    objects: Objects,
    names: NameTable,
    metrics: Mutex<BTreeMap<(String, String), f64>>,
}

/// What the core prepared for an actor.
#[must_use]
pub fn prepared_of(origin: &ActorSpec) -> Arc<Prepared> {
    match Arc::clone(&origin.prepared).downcast() {
        Ok(prepared) => prepared,
        Err(_) => unreachable!("only the core makes origins, and always with a Prepared"),
    }
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
        for handler_type in options.permissions.iter().flat_map(|permissions| permissions.handlers.keys()) {
            if matches!(plugins.by_handler(handler_type), Ok(None)) {
                tracing::warn!("the permissions name {handler_type:?}, which no plugin has as a handler type");
            }
        }
        let data = DataDir::open(&options.data)?;
        plugins.drop_old_copies(&options.data.join("plugins"));
        let folder = options.data.join("journal");
        let journal = match options.sink {
            // A waiter within a plugin's call would be blamed for the time that the disk takes.
            Sink::Disk => Journal::open_with(&folder, options.segment_size, || !is_inside())
                .map_err(|source| theater_chain::Error::DataDir { path: folder, source })?,
            Sink::Hashed => Journal::discarding(true),
            Sink::Dropped => Journal::discarding(false),
        };
        report_core_panics_to(|sentence| tracing::error!(code = "P0113", "{sentence}"));
        let memory = options.memory.unwrap_or_else(|| available_memory() / 4 * 3);
        let engines = Engines::new(memory)?;
        let watch = Arc::new(Watchdog::default());
        let (top, top_limits) = match &options.permissions {
            None => (Ceilings::Everything, Limits::unbounded()),
            Some(Permissions { handlers, limits }) => (Ceilings::Only(Arc::new(handlers.clone())), *limits),
        };
        let known = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let core = Arc::new(Self {
            closed: vec![known(data.path()), known(plugins.folder())],
            top,
            top_limits,
            pool: Pool::new(engines.pool_size, engines.overflow),
            engines: Arc::new(engines),
            compilations: Turns::one(),
            turns: Turns::new(std::thread::available_parallelism().map_or(2, usize::from)),
            services: Arc::new(Services {
                budget: Account::program(memory),
                data: data.path().to_owned(),
                journal,
                registry: Registry::default(),
                waits: WaitGraph::default(),
                stopped: Latch::default(),
                sealer: options.seal.clone(),
                log_calls: options.log_calls,
            }),
            watch: Arc::clone(&watch),
            plugins,
            components: Arc::default(),
            links: Links::default(),
            known: Known::default(),
            objects: Objects::new(&options.data),
            names: NameTable::default(),
            metrics: Mutex::default(),
            data,
            options,
        });
        let weak = Arc::downgrade(&core);
        let of_look = Weak::clone(&weak);
        let report = move |stuck| {
            if let Some(core) = weak.upgrade() {
                core.report_stuck(&stuck);
            }
        };
        let look = move || {
            if let Some(core) = of_look.upgrade() {
                core.report_waits();
            }
        };
        let budget = Arc::clone(&core.services.budget);
        let measure = move || {
            if let Some(resident) = resident_memory() {
                budget.observe_resident(resident);
            }
        };
        Watchdog::start(&watch, report, measure, look)
            .map_err(|error| Error::Engine(format!("no thread for the watchdog: {error}")))?;
        timer::start().map_err(|error| Error::Engine(format!("no thread for timers: {error}")))?;
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

    /// Whether the data folder is still the one that this program opened.
    #[must_use]
    pub fn has_its_folder(&self) -> bool {
        self.data.is_there()
    }

    /// The living actors.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.services.registry
    }

    fn begin_wait(&self, waiter: Id, other: &str, why: &str) -> Result<u64, String> {
        let actor = self.services.registry.find(other)?;
        self.services.waits.begin(waiter, actor.id(), why).map_err(|cycle| {
            let steps: Vec<_> = cycle.0.iter().map(|(id, why)| format!("{} waits ({why})", self.label(*id))).collect();
            format!("this wait would never end: {} for {}", steps.join(" for "), self.label(waiter))
        })
    }

    fn label(&self, id: Id) -> String {
        let known = self.services.registry.get(id).map(|actor| format!("{:?} ({})", actor.name(), actor.short_id()));
        known.unwrap_or_else(|| uuid_text(&id))
    }

    /// The plugins' metrics: (plugin, name) and value.
    #[must_use]
    pub fn metrics(&self) -> BTreeMap<(String, String), f64> {
        lock(&self.metrics).clone()
    }

    /// A life of an actor is over; a held one is started again or let go later.
    fn actor_ended(&self, actor: &ActorHandle, end: &End, held: bool) {
        self.services.waits.forget(actor.id());
        if !held {
            Lifecycle::let_go(self, actor);
        }
        // A failed start is told by whoever asked for it.
        if let End::Failed { function, reason, .. } = end
            && function != START
        {
            tracing::error!(actor = actor.short_id(), name = actor.name(), "actor failed in {function}: {reason}");
        }
    }

    /// An actor has ended for good.
    fn actor_let_go(&self, actor: &ActorHandle) {
        self.services.registry.remove(actor);
        self.names_of(actor.parent()).give_back(actor.name());
        // What a parent knows of a child it may still ask for.
        if actor.parent().is_none() {
            self.services.journal.forget(actor.id());
        }
    }

    /// Tells the plugins of an actor that nobody will start again; a program that ends may be started again itself.
    pub(crate) async fn forget_actor(&self, actor: &ActorHandle) {
        for plugin in self.plugins.all().filter_map(|found| found.loaded()) {
            let Some(forgetting) = forget(plugin.object, actor.id_text()) else { continue };
            if self.services.stopped.is_set() {
                return;
            }
            let answer = executor::timeout(self.services.grace(FORGET_MS), forgetting).await;
            let sentence = match answer {
                Some(answer) if answer.status == OK => continue,
                Some(answer) => answer.sentence(),
                None => format!("it did not end within {FORGET_MS} ms"),
            };
            let (actor, plugin) = (actor.short_id(), &plugin.descriptor.name);
            tracing::error!(actor, plugin, "what the ended actor left could not be removed: {sentence}");
        }
    }

    /// The names of an actor's children, or of the top-level actors.
    fn names_of<'a>(&'a self, parent: Option<&'a Arc<ActorHandle>>) -> &'a NameTable {
        parent.map_or(&self.names, |parent| &parent.family().names)
    }

    /// Tells once of each host call that an actor has waited for longer than [`LONG_WAIT`].
    fn report_waits(&self) {
        for actor in self.services.registry.all() {
            let Some((record, since)) = actor.long_wait(LONG_WAIT) else { continue };
            let prepared = prepared_of(actor.origin());
            let function = actor.origin().interface.functions.get(record as usize);
            let handler = function
                .and_then(|function| function.handler)
                .and_then(|handler| prepared.handlers.get(handler as usize));
            let plugin = handler.map_or("?", |handler| handler.plugin.descriptor.name.as_str());
            let label = function.map_or_else(String::new, |known| format!("{}/{}", known.interface, known.function));
            let limit = match actor.limits().call_timeout_ms {
                0 => "call_timeout_ms is 0: nothing ends it but a stop".to_owned(),
                limit => format!("it is ended after call_timeout_ms = {limit}"),
            };
            let (id, name, seconds) = (actor.short_id(), actor.name(), since.as_secs());
            tracing::warn!(actor = id, name, "has waited for {seconds} s for {label} of plugin {plugin:?}; {limit}");
        }
    }

    fn report_stuck(&self, stuck: &Stuck) {
        let actor = self.services.registry.get(stuck.actor);
        let (name, limit) = match &actor {
            Some(actor) => (actor.name().to_owned(), actor.limits().run_timeout_ms),
            None => (uuid_text(&stuck.actor), u64::MAX),
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
        let over = |actor: &Arc<ActorHandle>| {
            // What holds the thread may be of a life before.
            stuck.since <= actor.begun().elapsed()
                && (stuck.since >= Duration::from_millis(limit) || actor.is_interrupted())
        };
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
        self.services.stopped.set();
        let mut stops = Vec::new();
        for actor in self.services.registry.all() {
            let reason = reason.to_owned();
            stops.push(executor::spawn(async move { actor.stop(&reason, grace).await }));
        }
        for stop in stops {
            stop.await;
        }
        if let Err(error) = self.services.journal.written().await {
            tracing::error!("{error}");
        }
    }

    /// Starts a top-level actor: it is ready when this returns. Manifests of the same path and text are the same.
    ///
    /// # Errors
    /// Everything that can be wrong with a manifest, its component and its handlers, and a failed `init`.
    pub async fn start(self: &Arc<Self>, manifest: &Manifest) -> Result<Arc<ActorHandle>, Error> {
        let origin = self.origin(manifest, self.top(), None).await?;
        self.begin(None, origin).await
    }

    /// What the operator lets top-level actors have.
    #[must_use]
    pub fn top(&self) -> Under<'_> {
        Under { parent: "", ceilings: &self.top, limits: self.top_limits, files: None }
    }

    /// Folders below which no actor names a file: data and plugins, as the system has them.
    pub(crate) fn closed_folders(&self) -> Vec<PathBuf> {
        self.closed.clone()
    }

    /// Everything an actor is started from; `state` in place of the manifest's.
    pub(crate) async fn origin(
        self: &Arc<Self>,
        manifest: &Manifest,
        under: Under<'_>,
        state: Option<Vec<u8>>,
    ) -> Result<ActorSpec, Error> {
        let (manifest, prepared) = self.ready(manifest, under).await?;
        let state = match state {
            Some(state) => Some(state),
            None => Self::initial_state(&manifest, under).await?,
        };
        Ok(prepared.origin(manifest, state.map(Arc::new)))
    }

    /// The first state that a manifest names; a file is read on a blocking thread.
    ///
    /// # Errors
    /// `M0009` for a file that cannot be read, `A0008` and `A0009` for one that an actor may not name.
    pub async fn initial_state(manifest: &Manifest, under: Under<'_>) -> Result<Option<Vec<u8>>, Error> {
        let path = match &manifest.init_state {
            None => return Ok(None),
            Some(InitState::Json(json)) => return Ok(Some(json.to_string().into_bytes())),
            Some(InitState::Path(path)) => path.clone(),
        };
        let unreadable = |reason: String| Error::Manifest {
            place: manifest.place("init_state"),
            what: ManifestProblem::Value {
                key: "init_state".to_owned(),
                reason,
                help: "a relative path starts at the manifest's folder; inline: init_state = { json = .. }".to_owned(),
            },
        };
        let (grants, folder) = (under.files.cloned(), manifest.folder.clone());
        let read = move || match grants {
            None => {
                let path = folder.join(&path);
                let read = files::read(&path, files::MAX_STATE);
                read.map_err(|error| Ok(format!("{}: {error}", path.display())))
            }
            Some(grants) => {
                let refused = |refused| Err((path.clone(), refused));
                grants.read_state(&folder, Path::new(&path)).map_err(refused)
            }
        };
        match files::off_executor(read).await {
            None => Err(unreadable(files::TOO_SLOW.to_owned())),
            Some(Ok(state)) => Ok(Some(state)),
            Some(Err(Ok(reason))) => Err(unreadable(reason)),
            Some(Err(Err((path, refused)))) => Err(refused.error(&path, "state_paths")),
        }
    }

    /// Starts a new actor.
    pub(crate) async fn begin(
        self: &Arc<Self>,
        parent: Option<&Arc<ActorHandle>>,
        origin: ActorSpec,
    ) -> Result<Arc<ActorHandle>, Error> {
        let id = *uuid::Uuid::new_v4().as_bytes();
        let name = self.names_of(parent).take(&origin.manifest.name);
        let shared = ActorHandle::new(self.as_seen(), Settings::new(id, name, parent, &origin), origin, StartMode::New);
        if let Err(error) = self.adopt(&shared) {
            self.names_of(parent).give_back(shared.name());
            return Err(error);
        }
        self.record_or_end(&shared, Kind::Created, true)?;
        // Nobody waits for what is only being born: the wait closes no cycle.
        let waiting = parent.and_then(|parent| self.services.waits.hold(parent.id(), id, "spawn").ok());
        let ready = self.run(&shared, true).await;
        drop(waiting);
        ready.map(|()| shared)
    }

    /// Starts an actor that has ended again, with the same id and chain.
    pub(crate) async fn begin_again(
        self: &Arc<Self>,
        before: &Arc<ActorHandle>,
        name: String,
        origin: ActorSpec,
        quiet: bool,
    ) -> Result<(), Error> {
        let charges = before.take_charges();
        let settings = Settings::new(before.id(), name, before.parent(), &origin);
        let shared = ActorHandle::new(self.as_seen(), settings, origin, StartMode::Again(before));
        let adopted = self.adopt(&shared);
        if let Err(error) = adopted {
            // It stays ended, for good: nobody else would answer what waits for it.
            before.put_charges(charges);
            {
                let _whole = before.parent().map(|parent| parent.family().nobody_leaves());
                if before.parent().is_none_or(|parent| parent.family().let_go_claimed(before.id())) {
                    before.let_go();
                }
            }
            if shared.name() != before.name() {
                self.names_of(before.parent()).give_back(shared.name());
            }
            return Err(error);
        }
        if shared.parent().is_none() {
            before.settle(Some(&shared));
        }
        self.record_or_end(&shared, Kind::Restarted, quiet)?;
        self.run(&shared, quiet).await
    }

    /// Starts a top-level actor again that has ended, as its restart policy has it: from its last state.
    fn restart_top_level(self: &Arc<Self>, before: &ActorHandle) {
        let (core, id) = (Arc::clone(self), before.id());
        let again = async move {
            let Some(before) = core.services.registry.get(id) else { return };
            if core.services.stopped.is_set() {
                before.let_go();
                return before.settle(None);
            }
            let mut origin = before.origin().clone();
            origin.state = before.state();
            let (actor, name) = (before.short_id(), before.name());
            match core.begin_again(&before, name.to_owned(), origin, false).await {
                Ok(()) => tracing::warn!(actor, name, "restarted the actor from its last state"),
                // A start that failed counts as an end: it is followed by another one, or final.
                Err(error) => tracing::error!(actor, name, "could not restart the actor: {}", chain_of(&error)),
            }
            before.settle_unless_known();
            // Told to end meanwhile, the program may have looked for living actors before this one was.
            if core.services.stopped.is_set()
                && let Some(actor) = core.services.registry.get(id)
            {
                actor.stop(BY_PROGRAM, PROGRAM_GRACE).await;
            }
        };
        drop(executor::spawn(again));
    }

    /// Records a start; an actor whose start cannot be recorded has ended.
    fn record_or_end(&self, shared: &Arc<ActorHandle>, kind: Kind, quiet: bool) -> Result<(), Error> {
        self.record_start(shared, kind).inspect_err(|error| {
            let function = START.to_owned();
            shared.finish(End::Failed { function, kind: FailureKind::Internal, reason: error.to_string() }, quiet);
        })
    }

    /// The parent knows its child from now on, and the child's memory counts.
    fn adopt(&self, shared: &Arc<ActorHandle>) -> Result<(), Error> {
        let refused = |what| Error::Actor { name: shared.name().to_owned(), what };
        shared.charge_start().map_err(|exceeded| refused(ActorProblem::OverBudget(exceeded.to_string())))?;
        let Some(parent) = shared.parent() else { return Ok(()) };
        parent.family().live(shared).map_err(|not_born| {
            refused(match not_born {
                ChildRefused::ParentEnding => ActorProblem::ParentEnding(parent.name().to_owned()),
                ChildRefused::TooMany { key, limit, whose } => ActorProblem::TooMany { key, limit, whose },
            })
        })
    }

    /// Brings a recorded actor up; without `quiet` the parent is told of a failure as of a death.
    async fn run(self: &Arc<Self>, shared: &Arc<ActorHandle>, quiet: bool) -> Result<(), Error> {
        self.services.registry.insert(shared);
        // On a task of its own: the start is finished or undone even when whoever asked for it goes away.
        let (core, actor) = (Arc::clone(self), Arc::clone(shared));
        executor::spawn(async move { core.bring_up_or_undo(&actor, quiet).await }).await
    }

    async fn bring_up_or_undo(self: &Arc<Self>, shared: &Arc<ActorHandle>, quiet: bool) -> Result<(), Error> {
        match self.bring_up(shared).await {
            Ok(()) => Ok(()),
            Err(failed) => self.undo(shared, failed, quiet).await,
        }
    }

    /// Ends what a start has made.
    async fn undo(self: &Arc<Self>, shared: &Arc<ActorHandle>, failed: StartFailure, quiet: bool) -> Result<(), Error> {
        let StartFailure { error, kind, handlers } = failed;
        shared.cancelled().set();
        shared.end_family().await;
        detach(self, shared, handlers).await;
        let reason = chain_of(&error);
        shared.finish(End::Failed { function: START.to_owned(), kind, reason }, quiet);
        Err(error)
    }

    async fn bring_up(self: &Arc<Self>, shared: &Arc<ActorHandle>) -> Result<(), StartFailure> {
        let handlers = Arc::new(self.attach_all(shared).await?);
        let mut actor = ActorTask::new(Arc::clone(self), Arc::clone(shared), Arc::clone(&handlers));
        if let Err((what, kind)) = actor.init().await {
            drop(actor);
            return Err(StartFailure { error: Error::Actor { name: shared.name().to_owned(), what }, kind, handlers });
        }
        if let Err(error) = Self::tell_started(shared, &actor, false).await {
            drop(actor);
            return Err(StartFailure::internal(error, handlers));
        }
        drop(handlers);
        drop(executor::spawn(actor.live()));
        Ok(())
    }

    async fn attach_all(self: &Arc<Self>, shared: &Arc<ActorHandle>) -> Result<Vec<Attached>, StartFailure> {
        let mut attached = Vec::new();
        let prepared = prepared_of(shared.origin());
        for (slot, handler) in prepared.handlers.iter().enumerate() {
            match self.attach(shared, handler, prepared.linked.calls.get(slot)).await {
                Ok(one) => attached.push(one),
                Err(what) => {
                    let error = handler_error(shared.name(), &handler.handler_type, handler.place.clone(), what);
                    return Err(StartFailure::internal(error, Arc::new(attached)));
                }
            }
        }
        Ok(attached)
    }

    async fn tell_started(shared: &ActorHandle, actor: &ActorTask, resumed: bool) -> Result<(), Error> {
        actor.started(resumed).await.map_err(|(handler, sentence)| {
            let prepared = prepared_of(shared.origin());
            let known = prepared.handlers.iter().find(|known| known.handler_type == handler);
            let place = known.and_then(|handler| handler.place.clone());
            handler_error(shared.name(), &handler, place, HandlerProblem::Started(sentence))
        })
    }

    async fn attach(
        self: &Arc<Self>,
        shared: &Arc<ActorHandle>,
        handler: &PreparedHandler,
        calls: Option<&Vec<Option<u32>>>,
    ) -> Result<Attached, HandlerProblem> {
        let plugin = &handler.plugin;
        let host = Arc::new(ActorHost::new(
            (Arc::clone(self) as Arc<dyn CoreServices>, Arc::clone(&self.watch)),
            shared,
            plugin,
            (&handler.handler_type, &handler.config),
            calls.cloned().unwrap_or_default(),
        ));
        let [config, ceiling] = &handler.texts;
        let attach = plugin.object.attach(host_object(Arc::clone(&host)), &handler.handler_type, config, ceiling);
        let attach = self.watch.polls(shared.id(), plugin, Box::pin(attach));
        match ActorTask::bounded(shared, attach, 0).await {
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

    /// The data of `created`, `restarted` and `swapped`.
    fn created_data(&self, shared: &ActorHandle) -> Result<Vec<u8>, Error> {
        let parent = shared.parent().map(|parent| parent.id_text());
        self.start_data(shared.name(), parent, shared.origin())
    }

    /// The data of the start of an actor of that name and parent, with all that it names kept in `objects/`.
    fn start_data(&self, name: &str, parent: Option<&str>, origin: &ActorSpec) -> Result<Vec<u8>, Error> {
        let ActorSpec { manifest, state, .. } = origin;
        let prepared = prepared_of(origin);
        let init_state = state.as_deref().map(|state| self.keep(state)).transpose()?;
        let engine = format!("theater {}, {}", env!("CARGO_PKG_VERSION"), crate::wasm::engine::VERSION);
        let setup = self.setup(manifest, &prepared)?;
        Ok(created(name, parent, setup, init_state.as_deref(), &engine).unwrap_or_default())
    }

    /// Records `created` or `restarted`.
    fn record_start(&self, shared: &ActorHandle, kind: Kind) -> Result<(), Error> {
        let data = self.created_data(shared)?;
        match kind {
            Kind::Restarted => shared.record_restarted(&data)?,
            _ => shared.record(&NewEvent::plain(kind, &data))?,
        };
        Ok(())
    }

    /// Keeps bytes in `objects/`: their digest.
    fn keep(&self, bytes: &[u8]) -> Result<String, Error> {
        self.objects.put(bytes).map_err(|error| self.unkept(error))
    }

    fn unkept(&self, source: std::io::Error) -> Error {
        theater_chain::Error::DataDir { path: self.data().join("objects"), source }.into()
    }

    /// What a URL names, through the plugin that resolves its scheme.
    pub(crate) async fn resolve(
        self: &Arc<Self>,
        scheme: &str,
        url: &str,
        under: Under<'_>,
    ) -> Result<Vec<u8>, String> {
        let found = self.plugins.all().find(|found| found.descriptor.schemes.iter().any(|known| known == scheme));
        let Some(found) = found else {
            return Err(format!("no plugin in {} resolves {scheme}:// URLs", self.plugins.folder().display()));
        };
        let plugin = self.load(found).map_err(|error| chain_of(&error))?;
        let handler_type = found.descriptor.handlers.first().map_or(scheme, String::as_str);
        let ceiling = under.ceilings.of(handler_type).to_string();
        let answer = plugin.object.resolve(url, under.parent, &ceiling).await;
        if answer.status == OK { Ok(answer.bytes.to_vec()) } else { Err(answer.sentence()) }
    }

    /// Runs an operator's command of a plugin; none when no plugin answers it.
    ///
    /// # Errors
    /// The plugin cannot be loaded, or its sentence.
    pub async fn command(self: &Arc<Self>, name: &str, arguments: &Json) -> Option<Result<Json, Error>> {
        let found =
            self.plugins.all().find(|found| found.descriptor.commands.iter().any(|(known, _)| known == name))?;
        let run = async {
            let plugin = self.load(found)?;
            let answer = plugin.object.command(name, &arguments.to_string()).await;
            let refused = |reason| Error::Command { name: name.to_owned(), reason };
            if answer.status != OK {
                return Err(refused(answer.sentence()));
            }
            serde_json::from_slice(&answer.bytes).map_err(|error| refused(error.to_string()))
        };
        Some(run.await)
    }

    fn load(self: &Arc<Self>, found: &Found) -> Result<Arc<Plugin>, Error> {
        let copies = self.data().join("plugins");
        let mut first = false;
        let plugin = found.load(&copies, |descriptor| {
            first = true;
            let core: Weak<dyn CoreServices> = Arc::downgrade(&(Arc::clone(self) as Arc<dyn CoreServices>));
            host_object(Arc::new(PluginHost::new(core, self.services.stopped.clone(), &descriptor.name)))
        })?;
        if first {
            self.watch.know(&plugin);
        }
        Ok(plugin)
    }
}

impl Core {
    /// The core as actors see it.
    fn as_seen(self: &Arc<Self>) -> (Arc<Services>, Arc<dyn Lifecycle>) {
        (Arc::clone(&self.services), Arc::clone(self) as Arc<dyn Lifecycle>)
    }
}

impl Lifecycle for Core {
    fn ended(&self, actor: &ActorHandle, end: &End, held: bool) {
        self.actor_ended(actor, end, held);
    }

    fn restart_top(self: Arc<Self>, before: &ActorHandle) {
        self.restart_top_level(before);
    }

    fn let_go(&self, actor: &ActorHandle) {
        self.actor_let_go(actor);
    }

    fn forget<'a>(&'a self, actor: &'a ActorHandle) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(self.forget_actor(actor))
    }
}

impl CoreServices for Core {
    fn find(&self, wanted: &str) -> Result<String, String> {
        self.services.registry.find(wanted).map(|actor| actor.id_text().to_owned())
    }

    fn wait_for(&self, waiter: Id, other: &str, why: &str) -> Result<u64, String> {
        self.begin_wait(waiter, other, why)
    }

    fn metric(&self, plugin: &str, name: &str, kind: u32, value: f64) {
        let mut metrics = lock(&self.metrics);
        let slot = metrics.entry((plugin.to_owned(), name.to_owned())).or_default();
        *slot = if kind == 0 { *slot + value } else { value };
    }

    fn plugin_folder(&self, plugin: &str) -> PathBuf {
        self.data().join("plugin-data").join(plugin.replace(['/', ':'], "_"))
    }

    fn spawn_child(
        self: Arc<Self>,
        parent: Arc<ActorHandle>,
        config: Json,
        manifest: String,
        state: Option<Vec<u8>>,
    ) -> CoreFuture<Result<String, String>> {
        Box::pin(async move { supervision::spawn(&self, &parent, &config, manifest, state).await })
    }

    fn resume_child(
        self: Arc<Self>,
        parent: Arc<ActorHandle>,
        config: Json,
        manifest: String,
        state: Option<Vec<u8>>,
    ) -> CoreFuture<Result<String, String>> {
        Box::pin(async move { supervision::resume(&self, &parent, &config, manifest, state).await })
    }

    fn restart_child(
        self: Arc<Self>,
        parent: Arc<ActorHandle>,
        child: String,
        only_held: bool,
    ) -> CoreFuture<Result<(), String>> {
        Box::pin(async move { supervision::restart(&self, &parent, &child, only_held).await })
    }
}

/// A start that came to nothing, with what is to be undone.
struct StartFailure {
    error: Error,
    kind: FailureKind,
    handlers: Arc<Vec<Attached>>,
}

impl StartFailure {
    fn internal(error: Error, handlers: Arc<Vec<Attached>>) -> Self {
        Self { error, kind: FailureKind::Internal, handlers }
    }
}
