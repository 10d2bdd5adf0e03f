//! Ends of actors: stopping, failing, releasing, and what becomes of queued calls and of children.
//!
//! A run of an actor ends exactly once: `finish` records the end under the lock of the chain and refuses every later event
//! of that run. Calls are queued under the same lock, so a call is either recorded before the end, or refused.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use theater_chain::event::{EventRef, NewEvent};
use theater_chain::record::{Failed, Kind, Outcome, Return, Stopped};
use theater_plugin_api::FailureKind;
use theater_plugin_api::encoding::encode;

use crate::actor::chain_state::ChainState;
use crate::actor::child_table::ChildStatus;
use crate::actor::end::{BY_ITSELF, BY_PARENT, BY_PROGRAM, End, NOT_BEGUN, START, StopRequest};
use crate::actor::handle::ActorHandle;
use crate::actor::queued_call::{ActorSignal, CallOutcome};
use crate::manifest::Restart;
use crate::support::executor;
use crate::support::lock::lock;

impl ActorHandle {
    /// Requests a stop by the actor itself. The running call finishes first.
    ///
    /// # Errors
    /// A sentence, if it is stopping already.
    pub fn shutdown(&self, data: Option<Vec<u8>>) -> Result<(), String> {
        self.request_stop(StopRequest { reason: BY_ITSELF.to_owned(), data, failure: None })
    }

    /// Requests that the actor ends as failed. The running call finishes first.
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

    /// Stops the actor and waits until it has ended. Pending host calls are cancelled; the running call is interrupted after
    /// `grace`, or after the `stop_grace_ms` of the actor if that is less.
    pub async fn stop(&self, reason: &str, grace: Duration) {
        // If it is stopping already, its waits are cancelled and its grace time is bounded all the same.
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

    /// Records the end of this run, and notifies the parent unless `quiet`.
    pub(crate) fn finish(&self, end: End, quiet: bool) {
        self.log_held_faults(self.fault_lines.take_held());
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
            // One end, and no event after it: calls are queued under the same lock.
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
            let ending = if quiet { None } else { end.for_parent() };
            let hold = !quiet && end.is_held();
            let held = match self.parent() {
                Some(parent) => parent.child_table().ended(self, ending, hold, (recorded.ok(), false)),
                None => !quiet && self.begins_again(&end, true),
            };
            if !held {
                // A resume would otherwise hold it and notify the parent.
                if quiet && !self.services.stopped.is_set() && self.parent().is_some() && end.is_held() {
                    self.record_released(&mut record);
                }
                if self.parent().is_none() {
                    // If a restart was intended at first, its queued calls were kept until now.
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

    /// Whether a top-level actor with that end is restarted; with `count` the restart is counted.
    fn begins_again(&self, end: &End, count: bool) -> bool {
        let policy = self.manifest().restarts;
        let matches_policy = match (policy.restart, end) {
            (Restart::Never, _) => false,
            (Restart::OnFailure | Restart::Always, End::Failed { .. }) => true,
            (Restart::Always, End::Stopped { reason, .. }) => reason == BY_ITSELF,
            (Restart::OnFailure, End::Stopped { .. }) => false,
        };
        if !matches_policy || self.services.stopped.is_set() {
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

    /// Sets the next run of the actor, or that there is none.
    pub(crate) fn settle(&self, next: Option<&Arc<Self>>) {
        *lock(&self.next_run) = next.cloned();
        self.settled.set();
    }

    /// Marks this run as the last one, unless the next run is already set.
    pub(crate) fn settle_unless_known(&self) {
        self.settled.set();
    }

    /// Waits until the actor has ended for good. Returns its last run.
    pub async fn wait_for_good(self: Arc<Self>) -> Arc<Self> {
        let mut run = self;
        loop {
            run.settled.wait().await;
            let next = lock(&run.next_run).clone();
            match next {
                Some(next) => run = next,
                None => return run,
            }
        }
    }

    /// Closes the mailbox and the chain. Callers of queued calls get an answer, because their reply channels are dropped.
    fn close(&self, record: &mut ChainState) {
        drop(self.mailbox.close());
        self.repeats.clear();
        record.closed = true;
    }

    /// Releases a held actor: this program does not restart it.
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

    /// Ends an actor that could not be resumed. Its chain stays unchanged, so that another program can try again.
    pub(crate) fn give_up(&self, reason: String) {
        let mut record = lock(&self.chain);
        self.over.store(true, Ordering::Relaxed);
        self.close(&mut record);
        drop(record);
        self.cancelled.set();
        if let Some(parent) = self.parent() {
            let held = parent.child_table().ended(self, None, false, (None, true));
            debug_assert!(!held, "no parent is notified, so none holds it");
        }
        let end = End::Failed { function: START.to_owned(), kind: FailureKind::Internal, reason };
        self.lifecycle.ended(self, &end, false);
        self.end.get_or_init(|| end);
        self.ended.set();
        self.settle(None);
    }

    /// Holds a resumed actor that had ended before the previous program did, until its parent decides about it.
    pub(crate) fn hold(&self, end: End, event: EventRef, is_notified: bool) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(parent) = self.parent() {
            let held = parent.child_table().ended(self, end.for_parent(), true, (Some(event), is_notified));
            if !held {
                // The parent has ended by now, or could not be resumed.
                self.close(&mut lock(&self.chain));
                self.lifecycle.let_go(self);
            }
        }
        self.end.get_or_init(|| end);
        self.ended.set();
    }

    /// Rejects the queued calls, because nothing more will run. If the actor can be resumed, calls with a waiting caller are
    /// recorded as interrupted; calls without one stay queued in the chain, and a resume runs them.
    pub(crate) fn turn_away(&self, end: &End) {
        // Under the chain's lock, because calls are queued under it.
        self.turn_away_in(&mut lock(&self.chain), end.is_resumable());
    }

    fn turn_away_in(&self, record: &mut ChainState, resumable: bool) {
        let queued = self.mailbox.close();
        for call in queued.iter().filter(|call| resumable && self.repeats.has_waiter(call)) {
            let outcome = Outcome::Interrupted(NOT_BEGUN.to_owned());
            let event = Return { outcome, host_calls: 0, state: None };
            if let Err(error) = self.record_return_in(record, call.export, call.queued.sequence, &event) {
                tracing::error!(actor = self.short_id(), "a call that did not run could not be recorded: {error}");
            }
        }
    }

    /// Whether the running call, which is being interrupted, runs again when the actor is resumed: the program ends, and no
    /// caller waits for the outcome.
    pub(crate) fn is_left_to_resume(&self, export: u32, sequence: u64) -> bool {
        self.services.stopped.is_set()
            && lock(&self.running).is_none()
            && !self.repeats.has_repeated_waiter(sequence)
            && export != self.interface.init as u32
    }

    /// Whether the queued calls stay for the next run.
    pub(crate) fn keeps_mailbox(&self, end: &End) -> bool {
        match self.parent() {
            Some(parent) => !parent.cancelled.is_set() && end.is_held(),
            None => self.begins_again(end, false),
        }
    }

    /// Ends all descendants. From now on no end of a child is reported.
    pub(crate) async fn end_children(&self) {
        let Some(table) = self.child_table.get() else { return };
        let mut stops = Vec::new();
        for (child, standing) in table.close() {
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
        for child in table.all() {
            self.services.journal.end_chain(child.id());
            self.lifecycle.forget(&child).await;
        }
        table.forget();
    }

    /// Ends an actor whose task cannot do so, because a plugin does not return.
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
        drop(executor::spawn(async move { this.end_children().await }));
        // If its task is not the blocked one, it sees the end and drops the handlers.
    }
}
