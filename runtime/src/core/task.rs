//! The task of an actor: runs one call at a time, owns the instance and the state, and ends the actor.
//!
//! `execute` executes and records a call, `instantiate` creates instances, `snapshot` records snapshots, `rebuild`
//! gives a resumed actor its kept instance back, and `detach` ends the handlers.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use theater_plugin_api::FailureKind;
use theater_plugin_api::abi::OK;
use theater_plugin_api::encoding::{decode, encode};

use theater_chain::journal::JournalError;
use theater_chain::record::Outcome;
use theater_chain::state_digest::State;

use crate::actor::mailbox::Message;
use crate::actor::{ActorHandle, ActorSignal, CallOutcome, End, QueuedCall, lock};
use crate::core::Core;
use crate::core::prepared::{Prepared, prepared_of};
use crate::manifest::{InstanceMode, OnError};
use crate::support::error::ActorProblem;
use crate::support::executor::{self, Either};
use crate::wasm::guest::Attached;

pub(super) mod detach;
mod execute;
mod instance;
mod instantiate;
pub(super) mod interruption;
mod rebuild;
mod snapshot;

use detach::detach;
use instance::{Instance, NO_INSTANCE, NO_MEMORY};
use interruption::bounded;

/// The running side of an actor: one task, one call at a time.
pub struct ActorTask {
    core: Arc<Core>,
    handle: Arc<ActorHandle>,
    prepared: Arc<Prepared>,
    handlers: Arc<Vec<Attached>>,
    state: State,
    instance: Option<Instance>,
    /// The number of instances that this task has recorded.
    instances: u64,
    /// Why the next instance is needed, for its event.
    renewal: &'static str,
    /// The event of the next instance is recorded already.
    is_next_recorded: bool,
    /// The sequence from which on a snapshot is due.
    snapshot_due: u64,
    /// A call whose end could not be recorded: export, sequence and number of host calls. It is recorded before the
    /// next call runs.
    unrecorded_return: Option<(u32, u64, u64)>,
}

impl ActorTask {
    /// Creates the task of an actor whose handlers are attached.
    #[must_use]
    pub fn new(core: Arc<Core>, handle: Arc<ActorHandle>, handlers: Arc<Vec<Attached>>) -> Self {
        let prepared = prepared_of(handle.origin());
        let state = State::new(handle.state());
        let snapshot_due = handle.head().1.saturating_add(handle.settings.snapshot_every);
        Self {
            core,
            handle,
            prepared,
            handlers,
            state,
            instance: None,
            instances: 0,
            renewal: "start",
            is_next_recorded: false,
            snapshot_due,
            unrecorded_return: None,
        }
    }

    /// Calls `init`, then drops the instance unless it is kept.
    ///
    /// # Errors
    /// `A0001` to `A0004`.
    pub async fn init(&mut self) -> Result<(), (ActorProblem, FailureKind)> {
        let failed = |error: JournalError| (ActorProblem::InitFailed(error.to_string()), FailureKind::Internal);
        let export = self.handle.interface.init as u32;
        let params = encode(&self.handle.id_text).unwrap_or_default();
        let queued = {
            let mut record = lock(&self.handle.chain);
            self.handle.record_queued(&mut record, export, &params, "start".to_owned(), None).map_err(failed)?
        };
        self.run_init(QueuedCall { export, params, queued, cause: None, reply: None, begun: None }).await
    }

    /// Runs a queued call of `init`.
    ///
    /// # Errors
    /// The errors of [`ActorTask::init`].
    pub(crate) async fn run_init(&mut self, call: QueuedCall) -> Result<(), (ActorProblem, FailureKind)> {
        let failed = |error: JournalError| (ActorProblem::InitFailed(error.to_string()), FailureKind::Internal);
        let (outcome, kind) = self.execute(call).await.map_err(failed)?;
        self.renew("init");
        if lock(&self.handle.stop).is_some() {
            return Err((ActorProblem::InitShutdown, FailureKind::ShuttingDown));
        }
        match outcome {
            Outcome::Ok(_) => Ok(()),
            Outcome::Err(text) => Err((ActorProblem::InitErr(text), FailureKind::Internal)),
            Outcome::Trap(text) => Err((ActorProblem::InitFailed(format!("trapped: {text}")), kind)),
            Outcome::Interrupted(text) => Err((ActorProblem::InitFailed(format!("was interrupted: {text}")), kind)),
        }
    }

    /// Notifies each handler that the actor is ready, and collects the addresses they listen on.
    ///
    /// # Errors
    /// The type of the first handler that refused, and its message.
    pub async fn notify_started(&self, resumed: bool) -> Result<(), (String, String)> {
        let mut addresses = Vec::new();
        for attached in self.handlers.iter() {
            let refused = |sentence: String| (attached.handler_type.clone(), sentence);
            let handle = &self.handle;
            let started = self.core.watch.polls(handle.id(), &attached.plugin, attached.handler.get().started(resumed));
            let answer = bounded(handle, started, 0).await.map_err(refused)?;
            match answer.status {
                OK => {
                    let more: Vec<String> = decode(&answer.bytes)
                        .map_err(|error| refused(format!("its addresses do not decode: {error}")))?;
                    addresses.extend(more);
                }
                _ => return Err(refused(answer.sentence())),
            }
        }
        self.handle.addresses.get_or_init(|| addresses);
        Ok(())
    }

    /// Runs calls until the actor ends, then ends its handlers and its chain.
    pub async fn run(mut self) {
        match self.serve().await {
            Some(end) => self.finish(end).await,
            // The actor was abandoned: its end is recorded, and its next run may already use the mailbox.
            None => {
                self.instance = None;
                detach(&self.core, &self.handle, self.handlers).await;
            }
        }
    }

    /// Runs calls until one of them, or a signal, ends the actor. Returns nothing when the end is recorded already.
    async fn serve(&mut self) -> Option<End> {
        let handle = Arc::clone(&self.handle);
        loop {
            let next = match executor::either(self.next(), handle.ended.wait()).await {
                Either::First(next) => next,
                Either::Second(()) => return None,
            };
            if handle.end.get().is_some() {
                // The message is for the next run of the actor.
                if let Some(Message::Call(call) | Message::Signal(ActorSignal::First(call))) = next {
                    handle.mailbox.signal(ActorSignal::First(call));
                }
                return None;
            }
            match next {
                Some(Message::Signal(ActorSignal::Stop)) => {
                    // None: the signal was for an earlier run of the actor.
                    if let Some(request) = lock(&self.handle.stop).clone() {
                        return Some(request.into());
                    }
                }
                Some(Message::Signal(ActorSignal::Passivate)) | None => self.renew("idle"),
                Some(Message::Call(call) | Message::Signal(ActorSignal::First(call))) => {
                    if let Some(end) = self.handle_call(call).await {
                        return Some(end);
                    }
                }
            }
        }
    }

    /// Returns the next message, or nothing when the actor was idle long enough to lose its instance.
    async fn next(&mut self) -> Option<Message<QueuedCall, ActorSignal>> {
        let mailbox = Arc::clone(&self.handle.mailbox);
        if self.instance.is_none() || self.handle.settings.instance == InstanceMode::Kept {
            return Some(mailbox.next().await);
        }
        self.core.pool.mark_idle(&self.handle);
        let idle = Duration::from_millis(self.handle.limits().idle_ms);
        let message = executor::timeout(idle, mailbox.next()).await;
        self.handle.idle.fetch_add(1, Ordering::SeqCst);
        message
    }

    /// Runs one call and answers its caller. Returns the actor's end when the call ends it.
    async fn handle_call(&mut self, mut call: QueuedCall) -> Option<End> {
        *lock(&self.handle.running) = call.reply.take();
        let room = self.handle.services.journal.wait_for_capacity();
        // Backpressure of the journal; an interrupted actor does not wait for the disk.
        let (Either::First(()) | Either::Second(())) = executor::either(room, self.handle.interrupted.wait()).await;
        let (export, sequence) = (call.export, call.queued.sequence);
        let mut outcome = self.execute(call).await;
        if let Err(error) = self.handle.durable().await {
            outcome = outcome.and(Err(error));
        }
        let reply = lock(&self.handle.running).take();
        let function = self.handle.export_label(export).to_owned();
        let (answer, kind, reason) = match outcome {
            // The end is not recorded, so the call had no effect: the old state stays, and the actor continues.
            Err(error) => (CallOutcome::Gone(error.to_string()), FailureKind::Internal, None),
            Ok((outcome, kind)) => {
                let (answer, reason) = self.classify(outcome);
                (answer, kind, reason)
            }
        };
        // Set before the caller gets the answer: a caller that asks for a restart then waits for the end of this run.
        self.handle.failing.store(reason.is_some(), Ordering::Relaxed);
        if self.handle.repeats.is_any() {
            self.handle.repeat_ended(sequence, &answer);
        }
        if let (None, CallOutcome::Err(text), None) = (&reply, &answer, &reason) {
            self.handle.tell_unheard(&function, text);
        }
        if let Some(reply) = reply {
            // The caller may be gone.
            drop(reply.try_send(answer));
        }
        reason.map(|reason| End::Failed { function, kind, reason })
    }

    /// Returns what the caller receives for an outcome, and why the outcome ends the actor, if it does.
    fn classify(&self, outcome: Outcome) -> (CallOutcome, Option<String>) {
        let reason = match &outcome {
            Outcome::Ok(_) => None,
            Outcome::Err(text) => {
                let fails = self.handle.settings.on_error == OnError::Fail;
                fails.then(|| format!("it returned err: {text}"))
            }
            // The call never ran, and the actor is unchanged.
            Outcome::Interrupted(text) if text == NO_INSTANCE || text.starts_with(NO_MEMORY) => None,
            // A trap or an interruption while the actor is being stopped is not a failure of the actor.
            Outcome::Trap(text) | Outcome::Interrupted(text) => lock(&self.handle.stop).is_none().then(|| text.clone()),
        };
        (CallOutcome::of(outcome), reason)
    }

    /// Ends the actor: its children, its handlers in reverse order, then its chain.
    pub async fn finish(mut self, end: End) {
        let keeps_mailbox = self.handle.keeps_mailbox(&end);
        self.handle.tell_restart(keeps_mailbox);
        self.handle.cancelled.set();
        if !keeps_mailbox {
            self.handle.turn_away(&end);
        }
        self.instance = None;
        self.handle.end_children().await;
        detach(&self.core, &self.handle, self.handlers).await;
        // A failed actor may be resumed, and a parent may use a child again while it runs: neither is removed from
        // plugins.
        if self.handle.parent().is_none() && matches!(end, End::Stopped { .. }) && !keeps_mailbox {
            self.core.remove_from_plugins(&self.handle).await;
        }
        self.handle.finish(end, false);
    }
}
