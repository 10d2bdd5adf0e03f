//! The core's side of the plugin ABI: what a plugin may ask, for itself and for the actor it is attached to.

use std::collections::HashMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use async_ffi::FfiFuture;
use theater_plugin_api::abi::{ABSENT, Answer, ERROR, GONE, HostSide, OK, PANIC, TRAP, encoded};
use theater_plugin_api::service::{SERVICE_CHAIN, SERVICE_LIFECYCLE};

use crate::actor::{CallOutcome, Shared};
use crate::core::Core;
use crate::executor::{self, Signal, Task};
use crate::plugins::Plugin;
use crate::record::Fault;

/// The services this core offers, with their minor versions.
pub const SERVICES: [(&str, u32); 2] = [(SERVICE_CHAIN, 0), (SERVICE_LIFECYCLE, 0)];

/// Whether a service is offered with at least that minor.
#[must_use]
pub fn offers(id: &str, minimum_minor: u32) -> bool {
    SERVICES.iter().any(|(known, minor)| *known == id && *minor >= minimum_minor)
}

/// Tasks that a plugin spawned, until they end.
struct Tasks {
    next: AtomicU64,
    // None once the owner has ended: nothing is spawned any more.
    running: Mutex<Option<HashMap<u64, Task<()>>>>,
}

impl Default for Tasks {
    fn default() -> Self {
        Self { next: AtomicU64::new(0), running: Mutex::new(Some(HashMap::new())) }
    }
}

impl Tasks {
    fn lock(&self) -> MutexGuard<'_, Option<HashMap<u64, Task<()>>>> {
        // Inserting and removing leave the map whole at every point a panic could happen.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spawn(self: &Arc<Self>, future: impl Future<Output = ()> + Send + 'static) -> u64 {
        let number = 1 + self.next.fetch_add(1, Ordering::Relaxed);
        let tasks = Arc::clone(self);
        // Under the lock, so that a task that ends at once removes its entry after it was made.
        if let Some(running) = &mut *self.lock() {
            let task = executor::spawn(async move {
                future.await;
                drop(tasks.take(number));
            });
            running.insert(number, task);
        }
        number
    }

    fn take(&self, number: u64) -> Option<Task<()>> {
        self.lock().as_mut()?.remove(&number)
    }

    async fn end(&self) {
        let all = self.lock().take().unwrap_or_default();
        for task in all.into_values() {
            executor::cancel(task).await;
        }
    }
}

/// What one handler of one actor may ask.
pub struct ActorHost {
    actor: Arc<Shared>,
    plugin: Arc<Plugin>,
    handler_type: String,
    // For each export the plugin calls: index among the linked exports.
    calls: Vec<Option<u32>>,
    tasks: Arc<Tasks>,
}

impl ActorHost {
    /// The host for one handler.
    #[must_use]
    pub fn new(actor: &Arc<Shared>, plugin: &Arc<Plugin>, handler_type: &str, calls: Vec<Option<u32>>) -> Self {
        Self {
            actor: Arc::clone(actor),
            plugin: Arc::clone(plugin),
            handler_type: handler_type.to_owned(),
            calls,
            tasks: Arc::default(),
        }
    }

    /// Drops everything the handler spawned.
    pub async fn end(&self) {
        self.tasks.end().await;
    }

    fn answer(outcome: CallOutcome) -> Answer {
        match outcome {
            CallOutcome::Ok(values) => Answer::ok(values),
            CallOutcome::Err(text) => Answer::with(ERROR, text),
            CallOutcome::Failed(text) => Answer::with(TRAP, text),
            CallOutcome::Gone(text) => Answer::with(GONE, text),
        }
    }
}

fn level_of(level: u32) -> tracing::Level {
    match level {
        1 => tracing::Level::ERROR,
        2 => tracing::Level::WARN,
        3 => tracing::Level::INFO,
        4 => tracing::Level::DEBUG,
        _ => tracing::Level::TRACE,
    }
}

macro_rules! log_at {
    ($level:expr, $($rest:tt)*) => {
        match level_of($level) {
            tracing::Level::ERROR => tracing::error!($($rest)*),
            tracing::Level::WARN => tracing::warn!($($rest)*),
            tracing::Level::INFO => tracing::info!($($rest)*),
            tracing::Level::DEBUG => tracing::debug!($($rest)*),
            tracing::Level::TRACE => tracing::trace!($($rest)*),
        }
    };
}

impl HostSide for ActorHost {
    fn about(&self) -> String {
        serde_json::json!({
            "plugin": self.plugin.descriptor.name,
            "actor": self.actor.id_text(),
            "name": self.actor.name(),
            "handler": self.handler_type,
        })
        .to_string()
    }

    fn call(&self, export: u32, params: &[u8], cause: String) -> impl Future<Output = Answer> + Send + 'static {
        let (actor, plugin, params) = (Arc::clone(&self.actor), Arc::clone(&self.plugin), params.to_vec());
        let target = self.calls.get(export as usize).copied();
        async move {
            match target {
                None => Answer::error(format!("the plugin's descriptor names no export number {export}")),
                Some(None) => Answer::with(ABSENT, format!("actor {:?} does not export it", actor.name())),
                Some(Some(export)) => match actor.fits(export, &params) {
                    Ok(()) => Self::answer(actor.call(export, params, cause, None).await),
                    Err(error) => {
                        let message = format!(
                            "the plugin called {} with bytes that are no params of it: {error}",
                            actor.export_label(export)
                        );
                        let fault = Fault {
                            plugin: plugin.descriptor.name.clone(),
                            code: "P0102".to_owned(),
                            message: message.clone(),
                        };
                        match actor.record_fault(&fault) {
                            Ok(_) => Answer::error(message),
                            Err(error) => Answer::error(error.to_string()),
                        }
                    }
                },
            }
        }
    }

    fn has_export(&self, export: u32) -> bool {
        matches!(self.calls.get(export as usize), Some(Some(_)))
    }

    fn spawn(&self, future: FfiFuture<Answer>) -> u64 {
        let (actor, plugin) = (Arc::clone(&self.actor), Arc::clone(&self.plugin));
        self.tasks.spawn(async move {
            let answer = actor.core().watch.polls(actor.id(), &plugin, future).await;
            if answer.status == PANIC {
                actor.report_fault(&plugin, "P0105", &format!("a task it spawned panicked: {}", answer.sentence()));
            }
        })
    }

    fn abort(&self, task: u64) {
        if let Some(task) = self.tasks.take(task) {
            executor::spawn(executor::cancel(task));
        }
    }

    fn sleep(&self, microseconds: u64) -> impl Future<Output = ()> + Send + 'static {
        executor::sleep(Duration::from_micros(microseconds))
    }

    fn cancelled(&self) -> impl Future<Output = ()> + Send + 'static {
        let cancelled = self.actor.cancelled().clone();
        async move { cancelled.wait().await }
    }

    fn wait_for(&self, other: &str, why: &str) -> Result<u64, String> {
        self.actor.core().wait_for(self.actor.id(), other, why)
    }

    fn wait_end(&self, edge: u64) {
        self.actor.core().waits.end(edge);
    }

    fn log(&self, level: u32, target: &str, message: &str) {
        let (actor, name) = (self.actor.short_id(), self.actor.name());
        if target == "actor" {
            log_at!(level, target: "actor", actor, name, "{message}");
        } else {
            let plugin = &self.plugin.descriptor.name;
            log_at!(level, target: "plugin", actor, name, plugin, "{message}");
        }
    }

    fn metric(&self, name: &str, kind: u32, value: f64) {
        self.actor.core().metric(&self.plugin.descriptor.name, name, kind, value);
    }

    fn data_folder(&self) -> Result<String, String> {
        let folder = self.actor.core().plugin_folder(&self.plugin.descriptor.name).join(self.actor.id_text());
        make_folder(folder)
    }

    fn chain_newest(&self, most: u64) -> impl Future<Output = Answer> + Send + 'static {
        let actor = Arc::clone(&self.actor);
        async move {
            match actor.newest_events(most).await {
                Ok(events) => encoded(&events),
                Err(error) => Answer::error(error.to_string()),
            }
        }
    }

    fn shutdown(&self, data: Option<Vec<u8>>) -> Result<(), String> {
        self.actor.shutdown(data)
    }

    fn offers(&self, id: &str, minimum_minor: u32) -> bool {
        offers(id, minimum_minor)
    }
}

fn make_folder(folder: PathBuf) -> Result<String, String> {
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(folder.display().to_string())
}

/// What a plugin may ask for itself, from `init` on.
pub struct PluginHost {
    core: Weak<Core>,
    name: String,
    tasks: Arc<Tasks>,
    stopped: OnceLock<Signal>,
}

impl PluginHost {
    /// The host for a plugin.
    #[must_use]
    pub fn new(core: &Arc<Core>, name: &str) -> Self {
        let stopped = OnceLock::new();
        stopped.get_or_init(|| core.stopped.clone());
        Self { core: Arc::downgrade(core), name: name.to_owned(), tasks: Arc::default(), stopped }
    }
}

impl HostSide for PluginHost {
    fn about(&self) -> String {
        serde_json::json!({ "plugin": self.name, "actor": "", "name": "", "handler": "" }).to_string()
    }
    fn call(&self, _: u32, _: &[u8], _: String) -> impl Future<Output = Answer> + Send + 'static {
        std::future::ready(Answer::with(ABSENT, "a plugin's own host has no actor to call"))
    }
    fn has_export(&self, _: u32) -> bool {
        false
    }
    fn spawn(&self, future: FfiFuture<Answer>) -> u64 {
        let name = self.name.clone();
        self.tasks.spawn(async move {
            let answer = future.await;
            if answer.status != OK {
                tracing::error!(plugin = name, "a task it spawned panicked: {}", answer.sentence());
            }
        })
    }
    fn abort(&self, task: u64) {
        if let Some(task) = self.tasks.take(task) {
            executor::spawn(executor::cancel(task));
        }
    }
    fn sleep(&self, microseconds: u64) -> impl Future<Output = ()> + Send + 'static {
        executor::sleep(Duration::from_micros(microseconds))
    }
    fn cancelled(&self) -> impl Future<Output = ()> + Send + 'static {
        let stopped = self.stopped.get().cloned().unwrap_or_default();
        async move { stopped.wait().await }
    }
    fn wait_for(&self, _: &str, _: &str) -> Result<u64, String> {
        Err("a plugin's own host waits for no actor".to_owned())
    }
    fn wait_end(&self, _: u64) {}
    fn log(&self, level: u32, _: &str, message: &str) {
        let plugin = &self.name;
        log_at!(level, target: "plugin", plugin, "{message}");
    }
    fn metric(&self, name: &str, kind: u32, value: f64) {
        if let Some(core) = self.core.upgrade() {
            core.metric(&self.name, name, kind, value);
        }
    }
    fn data_folder(&self) -> Result<String, String> {
        let core = self.core.upgrade().ok_or("the program is ending")?;
        make_folder(core.plugin_folder(&self.name))
    }
    fn chain_newest(&self, _: u64) -> impl Future<Output = Answer> + Send + 'static {
        std::future::ready(Answer::error("a plugin's own host has no chain"))
    }
    fn shutdown(&self, _: Option<Vec<u8>>) -> Result<(), String> {
        Err("a plugin's own host has no actor to stop".to_owned())
    }
    fn offers(&self, _: &str, _: u32) -> bool {
        false
    }
}
