//! The core: what all actors share, and how actors start, stop, resume and fork.
//!
//! An actor starts in this order: read the manifest, narrow the permissions, find the plugins, check the component,
//! record `created`, attach the handlers, instantiate the component, call `init`, drop the instance, notify the
//! handlers that the actor is ready. A failure before `created` leaves no chain. A failure after it ends the chain with
//! `failed` and undoes the finished steps in reverse order.
//!
//! This file has [`Core`], its options, and opening and stopping. The steps of a start are in `start`, everything
//! before the first event is in `prepare`, resume and crash recovery are in `resume`, and the task of a running actor
//! is [`task`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use theater_plugin_api::abi::report_core_panics_to;

use theater_chain::data_dir::DataDir;
use theater_chain::journal::{Journal, SEGMENT_SIZE};
use theater_chain::objects::Objects;
use theater_chain::signature::Sealer;

use crate::actor::Registry;
use crate::actor::name_table::NameTable;
use crate::actor::wait_graph::WaitGraph;
use crate::actor::{ActorHandle, Lifecycle, Services, lock};
use crate::manifest::{Ceilings, Limits, Permissions, Under};
use crate::plugin::discovery::Plugins;
use crate::plugin::watchdog::{Watchdog, is_inside};
use crate::support::budget::{Account, available_memory, resident_memory};
use crate::support::error::Error;
use crate::support::executor::{self, Latch};
use crate::support::timer;
use crate::wasm::component::Components;
use crate::wasm::engine::Engines;
use crate::wasm::linker::Links;
use crate::wasm::pool::Pool;
use crate::wasm::turns::Turns;

mod commands;
mod fork;
mod lifecycle;
mod prepare;
mod prepared;
mod recorded_setup;
mod report;
mod resume;
mod services;
mod start;
pub mod supervision;
pub mod task;

pub use fork::Forked;
use prepare::cache::PreparedCache;
pub use prepared::{Prepared, PreparedHandler, prepared_of};
pub use resume::Resumed;

/// Where the events of actors are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sink {
    /// To the journal.
    Disk,
    /// Hashed and dropped: for benches without the disk, and for `theater validate`.
    Hashed,
    /// Dropped: for benches without the chain.
    Dropped,
}

/// Options for opening a [`Core`].
#[derive(Debug, Clone)]
pub struct Options {
    /// The plugin folder.
    pub plugins: PathBuf,
    /// The data folder.
    pub data: PathBuf,
    /// Memory budget for instances, states and mailboxes, in bytes. Default: three quarters of what this process may
    /// use.
    pub memory: Option<u64>,
    /// Names of third-party plugins that may be ambient.
    pub allow_ambient: Vec<String>,
    /// Ceilings and limits of top-level actors. Default: everything is permitted.
    pub permissions: Option<Permissions>,
    /// Size at which a journal segment ends, in bytes.
    pub segment_size: u64,
    /// Where events are written. Only benches and `theater validate` change this.
    pub sink: Sink,
    /// The key that seals chains at snapshots and ends. Default: chains are not sealed.
    pub seal: Option<Arc<Sealer>>,
    /// Log every host call at debug level.
    pub log_calls: bool,
}

impl Options {
    /// Returns default options for a plugin folder and a data folder.
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

/// The part of the runtime that all actors share. Starts, stops, resumes and forks actors.
pub struct Core {
    options: Options,
    /// The ceilings and limits of top-level actors.
    top: Ceilings,
    top_limits: Limits,
    data: DataDir,
    /// Folders below which no actor may name a file.
    closed: Vec<PathBuf>,
    /// The part of the core that actors use directly.
    pub services: Arc<Services>,
    /// The engines.
    pub engines: Arc<Engines>,
    /// The pool of instance slots.
    pub pool: Arc<Pool>,
    /// Fair turns of guests that run for long.
    pub turns: Arc<Turns>,
    /// Fair turns of compilations that actors cause.
    compilations: Arc<Turns>,
    /// The watchdog.
    pub watch: Arc<Watchdog>,
    plugins: Plugins,
    components: Arc<Components>,
    links: Links,
    /// Manifests that were prepared before.
    prepared: PreparedCache,
    objects: Objects,
    /// The names of top-level actors.
    names: NameTable,
    metrics: Mutex<BTreeMap<(String, String), f64>>,
}

impl Core {
    /// Opens the data folder and its journal, creates the engines and reads the plugin folder.
    ///
    /// # Errors
    /// Every error with an `S` code, and `P0001` when the plugin folder cannot be read.
    pub fn open(options: Options) -> Result<Arc<Self>, Error> {
        let plugins = Plugins::find(&options.plugins)?;
        for handler_type in options.permissions.iter().flat_map(|permissions| permissions.handlers.keys()) {
            if matches!(plugins.by_handler(handler_type), Ok(None)) {
                tracing::warn!("the permissions name {handler_type:?}, but no plugin has a handler of that type");
            }
        }
        let data = DataDir::open(&options.data)?;
        plugins.drop_old_copies(&options.data.join("plugins"));
        let folder = options.data.join("journal");
        let journal = match options.sink {
            // A thread inside a plugin call must not wait for the disk: the watchdog would blame the plugin.
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
            prepared: PreparedCache::default(),
            objects: Objects::new(&options.data),
            names: NameTable::default(),
            metrics: Mutex::default(),
            data,
            options,
        });
        core.start_watchdog()?;
        timer::start().map_err(|error| Error::Engine(format!("no thread for timers: {error}")))?;
        Ok(core)
    }

    /// Starts the watchdog thread, which reports plugin calls that do not return, long waits and resident memory.
    /// It holds only weak references, so it does not keep the core alive.
    fn start_watchdog(self: &Arc<Self>) -> Result<(), Error> {
        let weak = Arc::downgrade(self);
        let for_waits = Weak::clone(&weak);
        let report = move |stuck| {
            if let Some(core) = weak.upgrade() {
                core.report_stuck(&stuck);
            }
        };
        let look = move || {
            if let Some(core) = for_waits.upgrade() {
                core.report_waits();
            }
        };
        let budget = Arc::clone(&self.services.budget);
        let measure = move || {
            if let Some(resident) = resident_memory() {
                budget.observe_resident(resident);
            }
        };
        Watchdog::start(&self.watch, report, measure, look)
            .map_err(|error| Error::Engine(format!("no thread for the watchdog: {error}")))
    }

    /// Returns the plugins of the plugin folder.
    #[must_use]
    pub fn plugins(&self) -> &Plugins {
        &self.plugins
    }

    /// Returns the path of the data folder.
    #[must_use]
    pub fn data(&self) -> &Path {
        self.data.path()
    }

    /// Returns whether the data folder is still the one this program opened.
    #[must_use]
    pub fn has_its_folder(&self) -> bool {
        self.data.is_there()
    }

    /// Returns the running actors.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.services.registry
    }

    /// Returns the metrics that plugins reported: the value for each (plugin, metric name).
    #[must_use]
    pub fn metrics(&self) -> BTreeMap<(String, String), f64> {
        lock(&self.metrics).clone()
    }

    /// Returns what the operator permits top-level actors.
    #[must_use]
    pub fn top(&self) -> Under<'_> {
        Under { parent: "", ceilings: &self.top, limits: self.top_limits, files: None }
    }

    /// Returns the folders below which no actor may name a file: the data and the plugin folder, canonicalized.
    pub(crate) fn closed_folders(&self) -> Vec<PathBuf> {
        self.closed.clone()
    }

    /// Returns the names of an actor's children, or of the top-level actors. Names are unique among siblings.
    fn names_of<'a>(&'a self, parent: Option<&'a Arc<ActorHandle>>) -> &'a NameTable {
        parent.map_or(&self.names, |parent| &parent.child_table().names)
    }

    /// Returns the two parts of the core that an [`ActorHandle`] holds.
    fn services_and_lifecycle(self: &Arc<Self>) -> (Arc<Services>, Arc<dyn Lifecycle>) {
        (Arc::clone(&self.services), Arc::clone(self) as Arc<dyn Lifecycle>)
    }

    /// Stops all actors, then waits until the journal is written. A running call has at most `grace` to end.
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
}
