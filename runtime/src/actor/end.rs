//! How an actor ends, and what becomes of what waits and of what is below it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use theater_plugin_api::encoding::encode;
use theater_plugin_api::{Ending, FailureKind};

use crate::actor::child_table::ChildStatus;
use crate::actor::handle::{ActorHandle, ActorSignal, CallOutcome, ChainState, lock};
use crate::manifest::Restart;
use crate::support::executor;
use theater_chain::event::{EventRef, NewEvent};
use theater_chain::record::{Failed, Kind, Outcome, Return, Stopped};

/// How an actor ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// It was asked to, or asked itself.
    Stopped {
        /// Who asked.
        reason: String,
        /// What `shutdown` was given.
        data: Option<Vec<u8>>,
    },
    /// It failed.
    Failed {
        /// The export that was running.
        function: String,
        /// What kind of failure.
        kind: FailureKind,
        /// Why.
        reason: String,
    },
}

#[derive(Debug, Clone)]
pub(crate) struct StopRequest {
    reason: String,
    data: Option<Vec<u8>>,
    // The actor is to end as failed, with this reason.
    failure: Option<String>,
}

impl From<StopRequest> for End {
    fn from(request: StopRequest) -> Self {
        let StopRequest { reason, data, failure } = request;
        match failure {
            Some(reason) => {
                Self::Failed { function: "its supervision".to_owned(), kind: FailureKind::Internal, reason }
            }
            None => Self::Stopped { reason, data },
        }
    }
}

/// What a failed start was doing, in place of an export.
pub(crate) const START: &str = "start";

/// Why a stop was asked for: by the actor itself.
pub const BY_ITSELF: &str = "shutdown";

/// Why a stop was asked for: the actor is started again.
pub const TO_RESTART: &str = "restart";

/// Why a stop was asked for: the program ends. The actor may be resumed.
pub const BY_PROGRAM: &str = "program";

/// Why a stop was asked for: the parent ends, or stops it.
pub const BY_PARENT: &str = "parent";

/// Why a call was interrupted that waited still: no instance knows of it.
pub(crate) const NOT_BEGUN: &str = "the actor ended before it began";

impl End {
    /// What the parent is told: nothing of a stop that only leads to the next start.
    fn told(&self) -> Option<Ending> {
        match self {
            Self::Stopped { reason, .. } if reason == TO_RESTART => None,
            Self::Stopped { reason, data } if reason == BY_ITSELF => Some(Ending::Exit(data.clone().map(Into::into))),
            Self::Stopped { .. } => Some(Ending::Stopped),
            Self::Failed { kind, reason, .. } => Some(Ending::Failed { kind: *kind, causes: reason.clone() }),
        }
    }

    /// The same without what `shutdown` was given, which was told: ended actors stay known.
    fn without_data(self) -> Self {
        match self {
            Self::Stopped { reason, .. } => Self::Stopped { reason, data: None },
            failed @ Self::Failed { .. } => failed,
        }
    }

    /// Whether another program may resume the actor.
    fn is_resumable(&self) -> bool {
        match self {
            Self::Stopped { reason, .. } => reason == BY_PROGRAM,
            Self::Failed { .. } => true,
        }
    }

    /// Whether the actor ended by itself, by failure or by `shutdown`: nobody stopped it.
    pub(crate) fn is_own(&self) -> bool {
        matches!(self.told(), Some(Ending::Failed { .. } | Ending::Exit(_)))
    }

    /// Whether the parent may start the actor again: not one that somebody stopped.
    fn is_held(&self) -> bool {
        !matches!(self.told(), Some(Ending::Stopped))
    }
}

impl ActorHandle {
    /// The running call finishes, then the actor stops.
    ///
    /// # Errors
    /// A sentence when it is stopping already.
    pub fn shutdown(&self, data: Option<Vec<u8>>) -> Result<(), String> {
        self.request_stop(StopRequest { reason: BY_ITSELF.to_owned(), data, failure: None })
    }

    /// The running call finishes, then the actor ends as failed.
    pub(crate) fn fail(&self, reason: String) {
        let request = StopRequest { reason: BY_ITSELF.to_owned(), data: None, failure: Some(reason) };
        if let Err(already) = self.request_stop(request) {
            tracing::debug!(actor = self.short_id(), "{already}");
        }
    }

    fn request_stop(&self, request: StopRequest) -> Result<(), String> {
        let mut stop = lock(&self.stop);
        if let Some(before) = &*stop {
            return Err(format!("the actor is stopping already ({})", before.reason));
        }
        *stop = Some(request);
        drop(stop);
        self.mailbox.signal(ActorSignal::Stop);
        Ok(())
    }

    /// Stops the actor and waits until it has ended: no new calls, waits are cancelled, the running call is interrupted
    /// after `grace`.
    pub async fn stop(&self, reason: &str, grace: Duration) {
        // One that is stopping already is helped along all the same.
        if let Err(already) = self.request_stop(StopRequest { reason: reason.to_owned(), data: None, failure: None }) {
            tracing::debug!(actor = self.short_id(), "{already}");
        }
        self.cancelled.set();
        let grace = grace.min(Duration::from_millis(self.limits().stop_grace_ms));
        if executor::timeout(grace, self.ended.wait()).await.is_none() {
            self.interrupted.set();
            self.ended.wait().await;
        }
    }

    /// Records the end of this life, and tells the parent unless `quiet`.
    pub(crate) fn finish(&self, end: End, quiet: bool) {
        self.tell_held_faults(self.fault_lines.take_held());
        let (kind, data) = match &end {
            End::Stopped { reason, data } => {
                let data = data.clone().map(Into::into);
                (Kind::Stopped, encode(&Stopped { reason: reason.clone(), data }))
            }
            End::Failed { function, reason, .. } => {
                (Kind::Failed, encode(&Failed { step: function.clone(), message: reason.clone() }))
            }
        };
        let held = {
            // One end, and nothing behind it: all under the chain's lock, as calls are queued under it.
            let mut record = lock(&self.chain);
            if self.over.swap(true, Ordering::Relaxed) {
                return;
            }
            let event = NewEvent::plain(kind, data.as_deref().unwrap_or_default());
            let recorded = self.record_in(&mut record, &event);
            match &recorded {
                Ok(end) => self.seal(&mut record, end),
                Err(error) => tracing::error!(actor = self.short_id(), "the end could not be recorded: {error}"),
            }
            let ending = if quiet { None } else { end.told() };
            let hold = !quiet && end.is_held();
            let held = match self.parent() {
                Some(parent) => parent.family().ended(self, ending, hold, (recorded.ok(), false)),
                None => !quiet && self.begins_again(&end, true),
            };
            if !held {
                // Another program would ask the parent what becomes of it.
                if quiet && !self.services.stopped.is_set() && self.parent().is_some() && end.is_held() {
                    self.record_released(&mut record);
                }
                if self.parent().is_none() {
                    // Where it was to be started again at first: who waits knows by now that nothing comes of it.
                    self.turn_away_in(&mut record, end.is_resumable());
                }
                self.close(&mut record);
            }
            held
        };
        self.lifecycle.ended(self, &end, held);
        self.end.get_or_init(|| end.without_data());
        self.ended.set();
        match self.parent() {
            None if held => Arc::clone(&self.lifecycle).restart_top(self),
            _ => self.settle(None),
        }
    }

    /// Whether a top-level actor that ends so is started again; with `count`, that is one of its restarts.
    fn begins_again(&self, end: &End, count: bool) -> bool {
        let policy = self.manifest().restarts;
        let is_meant = match (policy.restart, end) {
            (Restart::Never, _) => false,
            (Restart::OnFailure | Restart::Always, End::Failed { .. }) => true,
            (Restart::Always, End::Stopped { reason, .. }) => reason == BY_ITSELF,
            (Restart::OnFailure, End::Stopped { .. }) => false,
        };
        if !is_meant || self.services.stopped.is_set() {
            return false;
        }
        let (window, now) = (Duration::from_millis(policy.window_ms), Instant::now());
        let mut restarts = lock(&self.restarts);
        restarts.retain(|at| now.saturating_duration_since(*at) <= window);
        let is_allowed = (restarts.len() as u64) < policy.max_restarts;
        if is_allowed && count {
            restarts.push_back(now);
        }
        is_allowed
    }

    /// It is known what follows this life: the next one, or nothing.
    pub(crate) fn settle(&self, next: Option<&Arc<Self>>) {
        *lock(&self.next_life) = next.cloned();
        self.settled.set();
    }

    /// Where no next life came of a restart, none follows.
    pub(crate) fn settle_unless_known(&self) {
        self.settled.set();
    }

    /// Waits until the actor has ended for good: its last life.
    pub async fn wait_for_good(self: Arc<Self>) -> Arc<Self> {
        let mut life = self;
        loop {
            life.settled.wait().await;
            let next = lock(&life.next_life).clone();
            match next {
                Some(next) => life = next,
                None => return life,
            }
        }
    }

    /// Nothing more is taken in; what waits is answered.
    fn close(&self, record: &mut ChainState) {
        drop(self.mailbox.close());
        self.repeats.clear();
        record.closed = true;
    }

    /// A held actor is not started again, unless by another program.
    pub(crate) fn let_go(&self) {
        let mut record = lock(&self.chain);
        if self.services.stopped.is_set() || self.parent().is_none() {
            self.turn_away_in(&mut record, true);
        } else {
            self.record_released(&mut record);
        }
        self.close(&mut record);
        drop(record);
        self.lifecycle.let_go(self);
    }

    /// It cannot go on in this program: the chain stays as it is, for another one.
    pub(crate) fn give_up(&self, reason: String) {
        let mut record = lock(&self.chain);
        self.over.store(true, Ordering::Relaxed);
        self.close(&mut record);
        drop(record);
        self.cancelled.set();
        if let Some(parent) = self.parent() {
            let held = parent.family().ended(self, None, false, (None, true));
            debug_assert!(!held, "nobody is told, and nobody holds it");
        }
        let end = End::Failed { function: START.to_owned(), kind: FailureKind::Internal, reason };
        self.lifecycle.ended(self, &end, false);
        self.end.get_or_init(|| end);
        self.ended.set();
        self.settle(None);
    }

    /// It had ended when the program before did, and its parent is to say what becomes of it.
    pub(crate) fn hold(&self, end: End, event: EventRef, is_told: bool) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(parent) = self.parent() {
            let held = parent.family().ended(self, end.told(), true, (Some(event), is_told));
            if !held {
                // The parent has ended by now, or does not go on.
                self.close(&mut lock(&self.chain));
                self.lifecycle.let_go(self);
            }
        }
        self.end.get_or_init(|| end);
        self.ended.set();
    }

    /// What waits is answered: nothing more will run. Who waits for an answer knows so, and its call is over; what nobody
    /// waits for runs if another program resumes the actor.
    pub(crate) fn turn_away(&self, end: &End) {
        // Under the chain's lock, as messages are queued under it.
        self.turn_away_in(&mut lock(&self.chain), end.is_resumable());
    }

    fn turn_away_in(&self, record: &mut ChainState, resumable: bool) {
        let waiting = self.mailbox.close();
        for call in waiting.iter().filter(|call| resumable && self.is_awaited(call)) {
            let outcome = Outcome::Interrupted(NOT_BEGUN.to_owned());
            let event = Return { outcome, host_calls: 0, state: None };
            if let Err(error) = self.record_return_in(record, call.export, call.queued.sequence, &event) {
                tracing::error!(actor = self.short_id(), "a call that did not run could not be recorded: {error}");
            }
        }
    }

    /// Whether the running call, which is interrupted, runs again when the actor is resumed: nobody waits for its answer,
    /// and the program ends.
    pub(crate) fn is_left_to_resume(&self, export: u32, sequence: u64) -> bool {
        self.services.stopped.is_set()
            && lock(&self.running).is_none()
            && !self.is_repeat_awaited(sequence)
            && export != self.interface.init as u32
    }

    /// Whether the end of this life leaves calls waiting for the next one.
    pub(crate) fn keeps_mailbox(&self, end: &End) -> bool {
        match self.parent() {
            Some(parent) => !parent.cancelled.is_set() && end.is_held(),
            None => self.begins_again(end, false),
        }
    }

    /// Ends everything below this actor, and tells of no death any more.
    pub(crate) async fn end_family(&self) {
        let Some(family) = self.family.get() else { return };
        let mut stops = Vec::new();
        for (child, standing) in family.close() {
            match standing {
                ChildStatus::Held => child.let_go(),
                ChildStatus::Living => {
                    let grace = self.services.grace(child.limits().stop_grace_ms);
                    let reason = if self.services.stopped.is_set() { BY_PROGRAM } else { BY_PARENT };
                    stops.push(executor::spawn(async move { child.stop(reason, grace).await }));
                }
                ChildStatus::Ended => {}
            }
        }
        for stop in stops {
            stop.await;
        }
        for child in family.all() {
            self.services.journal.forget(child.id());
            self.lifecycle.forget(&child).await;
        }
        family.forget();
    }

    /// Ends an actor whose thread is held by a plugin: its own task cannot.
    pub(crate) fn abandon(self: &Arc<Self>, reason: String) {
        let reply = lock(&self.running).take();
        if self.end.get().is_some() {
            return;
        }
        let function = "a plugin".to_owned();
        if let Some(reply) = reply {
            drop(reply.try_send(CallOutcome::Failed(reason.clone())));
        }
        self.cancelled.set();
        let end = match lock(&self.stop).clone() {
            Some(request) => request.into(),
            None => End::Failed { function, kind: FailureKind::Timeout, reason },
        };
        self.tell_restart(self.begins_again(&end, false));
        self.finish(end, false);
        let this = Arc::clone(self);
        drop(executor::spawn(async move { this.end_family().await }));
        // Its task, if that is not the one that is held, sees the end and lets go of the handlers.
    }
}
