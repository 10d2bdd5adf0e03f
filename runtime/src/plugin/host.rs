//! The core's side of the plugin ABI: what a plugin may ask, for itself and for the actor it is attached to.

use std::collections::HashMap;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use async_ffi::FfiFuture;
use serde_json::Value as Json;
use theater_plugin_api::abi::{ABSENT, Answer, CallContext, ERROR, GONE, HostSide, Message, OK, PANIC, TRAP, encoded};
use theater_plugin_api::host::{About, ChainEvent};
use theater_plugin_api::service::{
    SERVICE_CHAIN, SERVICE_CHILDREN, SERVICE_LIFECYCLE, SERVICE_MESSAGES, SERVICE_RECORD,
};
use theater_plugin_api::{Bytes, ChildEnd};

use crate::actor::child_table::Death;
use crate::actor::{ActorHandle, CallOutcome, IncomingCall};
use crate::plugin::plugins::Plugin;
use crate::plugin::watchdog::Watchdog;
use crate::support::executor::{self, Latch, Task};
use theater_chain::event::{EventRef, Id};
use theater_chain::record::{Fault, Noted};

/// The services this core offers, with their minor versions.
pub const SERVICES: [(&str, u32); 5] =
    [(SERVICE_CHAIN, 0), (SERVICE_LIFECYCLE, 0), (SERVICE_MESSAGES, 0), (SERVICE_CHILDREN, 0), (SERVICE_RECORD, 0)];

/// Whether a service is offered with at least that minor.
#[must_use]
pub fn offers(id: &str, minimum_minor: u32) -> bool {
    SERVICES.iter().any(|(known, minor)| *known == id && *minor >= minimum_minor)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is behind these locks is whole at every point a panic could happen.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tasks that a plugin spawned, until they end.
pub(crate) struct Tasks {
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

    pub(crate) fn spawn(self: &Arc<Self>, future: impl Future<Output = ()> + Send + 'static) -> u64 {
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

    pub(crate) fn abort(&self, number: u64) {
        if let Some(task) = self.take(number) {
            executor::spawn(executor::cancel(task));
        }
    }

    pub(crate) async fn end(&self) {
        let all = self.lock().take().unwrap_or_default();
        for task in all.into_values() {
            executor::cancel(task).await;
        }
    }
}

/// A future of the core's.
pub type CoreFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What hosts need of the core, which is on a higher floor.
pub trait CoreServices: Send + Sync {
    /// The id of the living actor that an id, a unique start of an id, or a name stands for.
    ///
    /// # Errors
    /// A sentence when there is none, or more than one.
    fn find(&self, wanted: &str) -> Result<String, String>;

    /// Records that an actor waits for another one. Returns the number of the wait.
    ///
    /// # Errors
    /// The other actor does not exist, or the wait would close a cycle.
    fn wait_for(&self, waiter: Id, other: &str, why: &str) -> Result<u64, String>;

    /// Adds to a metric of a plugin (`kind` 0), or sets it.
    fn metric(&self, plugin: &str, name: &str, kind: u32, value: f64);

    /// The folder for a plugin's own files.
    fn plugin_folder(&self, plugin: &str) -> PathBuf;

    /// Starts a child. `config` is that of the handler through which it is started. Returns its id once it is ready.
    fn spawn_child(
        self: Arc<Self>,
        parent: Arc<ActorHandle>,
        config: Json,
        manifest: String,
        state: Option<Vec<u8>>,
    ) -> CoreFuture<Result<String, String>>;

    /// Starts the ended child of that manifest's name again. Returns its id once it is ready.
    fn resume_child(
        self: Arc<Self>,
        parent: Arc<ActorHandle>,
        config: Json,
        manifest: String,
        state: Option<Vec<u8>>,
    ) -> CoreFuture<Result<String, String>>;

    /// Restarts a child, with `only_held` only one that has ended and waits for its parent's decision.
    fn restart_child(
        self: Arc<Self>,
        parent: Arc<ActorHandle>,
        child: String,
        only_held: bool,
    ) -> CoreFuture<Result<(), String>>;
}

/// What one handler of one actor may ask.
pub struct ActorHost {
    actor: Arc<ActorHandle>,
    core: Arc<dyn CoreServices>,
    watch: Arc<Watchdog>,
    plugin: Arc<Plugin>,
    handler_type: String,
    config: Json,
    // For each export the plugin calls: index among the linked exports.
    calls: Vec<Option<u32>>,
    tasks: Arc<Tasks>,
    // The death that the plugin was told of last, until it has told the actor.
    news: Arc<Mutex<Option<Death>>>,
}

impl ActorHost {
    /// The host for one handler.
    #[must_use]
    pub fn new(
        (core, watch): (Arc<dyn CoreServices>, Arc<Watchdog>),
        actor: &Arc<ActorHandle>,
        plugin: &Arc<Plugin>,
        (handler_type, config): (&str, &Json),
        calls: Vec<Option<u32>>,
    ) -> Self {
        Self {
            actor: Arc::clone(actor),
            core,
            watch,
            plugin: Arc::clone(plugin),
            handler_type: handler_type.to_owned(),
            config: config.clone(),
            calls,
            tasks: Arc::default(),
            news: Arc::default(),
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

    fn done(done: Result<(), CallOutcome>) -> Answer {
        done.map_or_else(Self::answer, |()| Answer::ok(Vec::new()))
    }

    /// A call that a plugin has for the actor, or the answer to one that cannot be made.
    fn incoming(&self, message: Message<'_>) -> Result<IncomingCall, Answer> {
        let Message { export, params, source, from } = message;
        let target = match self.calls.get(export as usize) {
            None => return Err(Answer::error(format!("the plugin's descriptor names no export number {export}"))),
            Some(None) => {
                return Err(Answer::with(ABSENT, format!("actor {:?} does not export it", self.actor.name())));
            }
            Some(Some(target)) => *target,
        };
        if let Err(error) = self.actor.fits(target, params) {
            return Err(self.misfit(target, &error.to_string()));
        }
        let cause = from.and_then(|context| self.calling(context));
        Ok(IncomingCall { export: target, params: params.to_vec(), source: source.to_owned(), cause })
    }

    /// Params that do not fit are the plugin's fault.
    fn misfit(&self, export: u32, error: &str) -> Answer {
        let label = self.actor.export_label(export);
        let message = format!("the plugin called {label} with bytes that are no params of it: {error}");
        let plugin = self.plugin.descriptor.name.clone();
        let fault = Fault { plugin, code: "P0102".to_owned(), message: message.clone() };
        match self.actor.record_fault(&fault) {
            Ok(_) => Answer::error(message),
            Err(error) => Answer::error(error.to_string()),
        }
    }

    /// The running call of another actor that a context names.
    fn calling(&self, context: &CallContext) -> Option<EventRef> {
        let calling = self.actor.services().registry.get(context.actor)?.calling()?;
        (calling.sequence == context.call).then_some(calling)
    }
}

async fn called(actor: Arc<ActorHandle>, incoming: Result<IncomingCall, Answer>) -> Answer {
    match incoming {
        Ok(incoming) => ActorHost::answer(actor.call(incoming).await),
        Err(answer) => answer,
    }
}

pub(crate) fn level_of(level: u32) -> tracing::Level {
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
        match $crate::plugin::host::level_of($level) {
            tracing::Level::ERROR => tracing::error!($($rest)*),
            tracing::Level::WARN => tracing::warn!($($rest)*),
            tracing::Level::INFO => tracing::info!($($rest)*),
            tracing::Level::DEBUG => tracing::debug!($($rest)*),
            tracing::Level::TRACE => tracing::trace!($($rest)*),
        }
    };
}
pub(crate) use log_at;

/// What a host that has no actor answers to what only an actor can do, with that sentence.
macro_rules! without_actor {
    ($sentence:expr) => {
        fn call(&self, _: u32, _: &[u8], _: String) -> impl Future<Output = Answer> + Send + 'static {
            std::future::ready(Answer::with(ABSENT, $sentence))
        }
        fn call_from(&self, _: Message<'_>) -> impl Future<Output = Answer> + Send + 'static {
            std::future::ready(Answer::with(ABSENT, $sentence))
        }
        fn post(&self, _: Message<'_>, _: bool) -> impl Future<Output = Answer> + Send + 'static {
            std::future::ready(Answer::with(ABSENT, $sentence))
        }
        fn stage(&self, _: Message<'_>, _: &[u8]) -> impl Future<Output = Answer> + Send + 'static {
            std::future::ready(Answer::with(ABSENT, $sentence))
        }
        fn spawn_child(
            &self,
            _: String,
            _: Option<Vec<u8>>,
        ) -> impl Future<Output = Result<String, String>> + Send + 'static {
            std::future::ready(Err($sentence.to_owned()))
        }
        fn resume_child(
            &self,
            _: String,
            _: Option<Vec<u8>>,
        ) -> impl Future<Output = Result<String, String>> + Send + 'static {
            std::future::ready(Err($sentence.to_owned()))
        }
        fn restart_child(&self, _: String, _: bool) -> impl Future<Output = Result<(), String>> + Send + 'static {
            std::future::ready(Err($sentence.to_owned()))
        }
        fn stop_child(&self, _: String) -> impl Future<Output = Result<(), String>> + Send + 'static {
            std::future::ready(Err($sentence.to_owned()))
        }
        fn release_child(&self, _: &str) -> Result<(), String> {
            Err($sentence.to_owned())
        }
        fn children(&self) -> Vec<String> {
            Vec::new()
        }
        fn child_state(&self, _: &str) -> Result<Option<Bytes>, String> {
            Err($sentence.to_owned())
        }
        fn child_events(&self, _: String) -> impl Future<Output = Result<Vec<ChainEvent>, String>> + Send + 'static {
            std::future::ready(Err($sentence.to_owned()))
        }
        fn next_end(&self) -> impl Future<Output = Result<ChildEnd, String>> + Send + 'static {
            std::future::ready(Err($sentence.to_owned()))
        }
        fn fail(&self, _: String) {}
        fn note(&self, _: &str, _: &[u8]) -> Result<(), String> {
            Err($sentence.to_owned())
        }
    };
}
pub(crate) use without_actor;

impl HostSide for ActorHost {
    fn about(&self) -> About {
        let mut about =
            About::actor(&self.plugin.descriptor.name, self.actor.id_text(), self.actor.name(), &self.handler_type);
        about.restarts = self.actor.restarts();
        about
    }

    fn call(&self, export: u32, params: &[u8], cause: String) -> impl Future<Output = Answer> + Send + 'static {
        called(Arc::clone(&self.actor), self.incoming(Message { export, params, source: &cause, from: None }))
    }

    fn has_export(&self, export: u32) -> bool {
        matches!(self.calls.get(export as usize), Some(Some(_)))
    }

    fn spawn(&self, future: FfiFuture<Answer>) -> u64 {
        let (actor, plugin, watch) = (Arc::clone(&self.actor), Arc::clone(&self.plugin), Arc::clone(&self.watch));
        self.tasks.spawn(async move {
            let answer = watch.polls(actor.id(), &plugin, future).await;
            if answer.status == PANIC {
                actor.report_fault(
                    &plugin.descriptor.name,
                    "P0105",
                    &format!("a task it spawned panicked: {}", answer.sentence()),
                );
            }
        })
    }

    fn abort(&self, task: u64) {
        self.tasks.abort(task);
    }

    fn sleep(&self, microseconds: u64) -> impl Future<Output = ()> + Send + 'static {
        executor::sleep(Duration::from_micros(microseconds))
    }

    fn cancelled(&self) -> impl Future<Output = ()> + Send + 'static {
        let cancelled = self.actor.cancelled().clone();
        async move { cancelled.wait().await }
    }

    fn wait_for(&self, other: &str, why: &str) -> Result<u64, String> {
        self.core.wait_for(self.actor.id(), other, why)
    }

    fn wait_end(&self, edge: u64) {
        self.actor.services().waits.end(edge);
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
        self.core.metric(&self.plugin.descriptor.name, name, kind, value);
    }

    fn data_folder(&self) -> Result<String, String> {
        let folder = self.core.plugin_folder(&self.plugin.descriptor.name).join(self.actor.id_text());
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

    fn find(&self, wanted: &str) -> Result<String, String> {
        self.actor.services().registry.find(wanted).map(|actor| actor.id_text().to_owned())
    }

    fn call_from(&self, message: Message<'_>) -> impl Future<Output = Answer> + Send + 'static {
        called(Arc::clone(&self.actor), self.incoming(message))
    }

    fn post(&self, message: Message<'_>, first: bool) -> impl Future<Output = Answer> + Send + 'static {
        let (actor, mut incoming) = (Arc::clone(&self.actor), self.incoming(message));
        // What a plugin posts when it was told of a death is about that.
        let news = first.then(|| Arc::clone(&self.news));
        let death = news.as_ref().and_then(|news| lock(news).clone());
        if let (Ok(incoming), Some(death)) = (&mut incoming, &death) {
            incoming.cause = incoming.cause.or(death.event);
        }
        async move {
            let posted = match incoming {
                Ok(_) if death.is_some_and(|death| death.is_told) => Ok(()),
                Ok(incoming) => actor.post(incoming, first).await,
                Err(answer) => return answer,
            };
            if let (Some(news), Ok(())) = (news, &posted) {
                *lock(&news) = None;
            }
            Self::done(posted)
        }
    }

    fn stage(&self, message: Message<'_>, otherwise: &[u8]) -> impl Future<Output = Answer> + Send + 'static {
        let sender = message.from.and_then(|context| self.actor.services().registry.get(context.actor));
        let (actor, incoming, otherwise) = (Arc::clone(&self.actor), self.incoming(message), otherwise.to_vec());
        async move {
            match (incoming, sender) {
                (Ok(incoming), Some(sender)) => Self::done(actor.stage(&sender, incoming, otherwise).await),
                (Ok(_), None) => Answer::error("a call is left with a host call of a living actor"),
                (Err(answer), _) => answer,
            }
        }
    }

    fn spawn_child(
        &self,
        manifest: String,
        state: Option<Vec<u8>>,
    ) -> impl Future<Output = Result<String, String>> + Send + 'static {
        Arc::clone(&self.core).spawn_child(Arc::clone(&self.actor), self.config.clone(), manifest, state)
    }

    fn resume_child(
        &self,
        manifest: String,
        state: Option<Vec<u8>>,
    ) -> impl Future<Output = Result<String, String>> + Send + 'static {
        Arc::clone(&self.core).resume_child(Arc::clone(&self.actor), self.config.clone(), manifest, state)
    }

    fn restart_child(
        &self,
        child: String,
        only_held: bool,
    ) -> impl Future<Output = Result<(), String>> + Send + 'static {
        Arc::clone(&self.core).restart_child(Arc::clone(&self.actor), child, only_held)
    }

    fn stop_child(&self, child: String) -> impl Future<Output = Result<(), String>> + Send + 'static {
        let parent = Arc::clone(&self.actor);
        async move { crate::actor::children::stop(&parent, &child).await }
    }

    fn release_child(&self, child: &str) -> Result<(), String> {
        crate::actor::children::release(&self.actor, child)
    }

    fn children(&self) -> Vec<String> {
        self.actor.family().living().iter().map(|child| child.id_text().to_owned()).collect()
    }

    fn child_state(&self, actor: &str) -> Result<Option<Bytes>, String> {
        let state = crate::actor::children::descendant(&self.actor, actor)?.state();
        Ok(state.map(|state| state.as_slice().into()))
    }

    fn child_events(&self, actor: String) -> impl Future<Output = Result<Vec<ChainEvent>, String>> + Send + 'static {
        let parent = Arc::clone(&self.actor);
        async move { crate::actor::children::events(&parent, &actor).await }
    }

    fn next_end(&self) -> impl Future<Output = Result<ChildEnd, String>> + Send + 'static {
        let (next, news) = (self.actor.family().next_end(), Arc::clone(&self.news));
        async move {
            let death = next.await.ok_or("the actor is ending")?;
            *lock(&news) = Some(death.clone());
            Ok(death.end)
        }
    }

    fn fail(&self, reason: String) {
        self.actor.fail(reason);
    }

    fn note(&self, what: &str, data: &[u8]) -> Result<(), String> {
        let (plugin, what) = (self.plugin.descriptor.name.clone(), what.to_owned());
        let noted = Noted { plugin, what, data: data.into() };
        self.actor.record_note(&noted).map(|_| ()).map_err(|error| error.to_string())
    }

    fn offers(&self, id: &str, minimum_minor: u32) -> bool {
        offers(id, minimum_minor)
    }
}

pub(crate) fn make_folder(folder: PathBuf) -> Result<String, String> {
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(folder.display().to_string())
}

/// What a plugin may ask for itself, from `init` on.
pub struct PluginHost {
    core: Weak<dyn CoreServices>,
    name: String,
    tasks: Arc<Tasks>,
    stopped: OnceLock<Latch>,
}

impl PluginHost {
    /// The host for a plugin.
    #[must_use]
    pub fn new(core: Weak<dyn CoreServices>, stopped: Latch, name: &str) -> Self {
        let stopped = OnceLock::from(stopped);
        Self { core, name: name.to_owned(), tasks: Arc::default(), stopped }
    }
}

impl HostSide for PluginHost {
    without_actor!(NO_ACTOR);
    fn about(&self) -> About {
        About::plugin(&self.name)
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
        self.tasks.abort(task);
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
    fn find(&self, wanted: &str) -> Result<String, String> {
        let core = self.core.upgrade().ok_or("the program is ending")?;
        core.find(wanted)
    }
    fn offers(&self, id: &str, minimum_minor: u32) -> bool {
        id == SERVICE_MESSAGES && minimum_minor == 0
    }
}

const NO_ACTOR: &str = "a plugin's own host has no actor";
