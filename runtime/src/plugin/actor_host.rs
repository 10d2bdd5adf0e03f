//! The host of one handler of one actor: what a plugin may request of the core while it is attached to an actor.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_ffi::FfiFuture;
use serde_json::Value as Json;
use theater_chain::event::EventRef;
use theater_chain::record::{Fault, Noted};
use theater_plugin_api::abi::{ABSENT, Answer, CallContext, ERROR, GONE, HostSide, Message, PANIC, TRAP, encoded};
use theater_plugin_api::host::{About, ChainEvent};
use theater_plugin_api::{Bytes, ChildEnd};

use crate::actor::child_table::Death;
use crate::actor::{ActorHandle, CallOutcome, IncomingCall, children};
use crate::plugin::core_services::CoreServices;
use crate::plugin::data_folder::make_folder;
use crate::plugin::loaded::Plugin;
use crate::plugin::log::log_at;
use crate::plugin::services::offers;
use crate::plugin::tasks::Tasks;
use crate::plugin::watchdog::Watchdog;
use crate::support::executor;
use crate::support::lock::lock;

/// The host of one handler of one actor.
pub struct ActorHost {
    actor: Arc<ActorHandle>,
    core: Arc<dyn CoreServices>,
    watch: Arc<Watchdog>,
    plugin: Arc<Plugin>,
    handler_type: String,
    config: Json,
    // For each export the plugin calls: its index among the exports of the actor, if the actor has it.
    calls: Vec<Option<u32>>,
    tasks: Arc<Tasks>,
    // The end of a child that the plugin received last, until it has notified the actor.
    last_end: Arc<Mutex<Option<Death>>>,
}

impl ActorHost {
    /// A host for one handler.
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
            last_end: Arc::default(),
        }
    }

    /// Cancels all tasks of the handler.
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

    /// The call that a message of the plugin asks for, or the answer if it cannot be made.
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
            return Err(self.params_mismatch(target, &error.to_string()));
        }
        let cause = from.and_then(|context| self.calling(context));
        Ok(IncomingCall { export: target, params: params.to_vec(), source: source.to_owned(), cause })
    }

    /// Records a fault of the plugin, which passed params of the wrong type.
    fn params_mismatch(&self, export: u32, error: &str) -> Answer {
        let label = self.actor.export_label(export);
        let message = format!("the plugin called {label} with bytes that are no params of it: {error}");
        let plugin = self.plugin.descriptor.name.clone();
        let fault = Fault { plugin, code: "P0102".to_owned(), message: message.clone() };
        match self.actor.record_fault(&fault) {
            Ok(_) => Answer::error(message),
            Err(error) => Answer::error(error.to_string()),
        }
    }

    /// The running call of another actor that a context refers to.
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
        // A plugin posts a `first` message to notify the actor of the end of a child.
        let last_end = first.then(|| Arc::clone(&self.last_end));
        let death = last_end.as_ref().and_then(|last_end| lock(last_end).clone());
        if let (Ok(incoming), Some(death)) = (&mut incoming, &death) {
            incoming.cause = incoming.cause.or(death.event);
        }
        async move {
            let posted = match incoming {
                Ok(_) if death.is_some_and(|death| death.is_notified) => Ok(()),
                Ok(incoming) => actor.post(incoming, first).await,
                Err(answer) => return answer,
            };
            if let (Some(last_end), Ok(())) = (last_end, &posted) {
                *lock(&last_end) = None;
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
        async move { children::stop(&parent, &child).await }
    }

    fn release_child(&self, child: &str) -> Result<(), String> {
        children::release(&self.actor, child)
    }

    fn children(&self) -> Vec<String> {
        self.actor.child_table().living().iter().map(|child| child.id_text().to_owned()).collect()
    }

    fn child_state(&self, actor: &str) -> Result<Option<Bytes>, String> {
        let state = children::descendant(&self.actor, actor)?.state();
        Ok(state.map(|state| state.as_slice().into()))
    }

    fn child_events(&self, actor: String) -> impl Future<Output = Result<Vec<ChainEvent>, String>> + Send + 'static {
        let parent = Arc::clone(&self.actor);
        async move { children::events(&parent, &actor).await }
    }

    fn next_end(&self) -> impl Future<Output = Result<ChildEnd, String>> + Send + 'static {
        let (next, last_end) = (self.actor.child_table().next_end(), Arc::clone(&self.last_end));
        async move {
            let death = next.await.ok_or("the actor is ending")?;
            *lock(&last_end) = Some(death.clone());
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
