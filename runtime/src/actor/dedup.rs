//! Deduplicates calls that a resumed host call issues again.
//!
//! When a crash cuts off a host call of actor A that had queued a call at actor B, B may have the call in its chain while A
//! has no result. The resumed A repeats the host call, and B must not run the call twice. B therefore keeps a
//! [`PendingReply`] for each such call: the repeated call is matched by its cause (A's event) and gets the outcome of the
//! recorded one, which may already be known, or still be running.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use theater_chain::event::EventRef;

use crate::actor::queued_call::{CallOutcome, QueuedCall};
use crate::support::executor;
use crate::support::lock::lock;

/// The recorded calls of an actor that their callers may issue again. Shared by all runs of the actor.
#[derive(Default)]
pub(crate) struct PendingReplies {
    all: Mutex<Vec<PendingReply>>,
    // Whether there ever was one. Hardly any actor has one, so this spares every call the lock.
    any: AtomicBool,
}

/// A recorded call whose caller may issue it again.
pub(crate) struct PendingReply {
    /// The caller's event that led to the call.
    pub(crate) cause: EventRef,
    /// The sequence of the `queued` event.
    pub(crate) sequence: u64,
    /// The outcome, once the call has ended.
    pub(crate) outcome: Option<CallOutcome>,
    /// The caller, once it has issued the call again.
    pub(crate) reply: Option<executor::Sender<CallOutcome>>,
}

impl PendingReplies {
    pub(crate) fn is_any(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }

    pub(crate) fn clear(&self) {
        lock(&self.all).clear();
    }

    /// Adds a call that its caller may issue again.
    pub(crate) fn add(&self, pending: PendingReply) {
        lock(&self.all).push(pending);
        self.any.store(true, Ordering::Relaxed);
    }

    /// Gives `reply` back if the call with that cause is new. Otherwise `reply` gets the outcome of the recorded call, now
    /// or when it ends.
    pub(crate) fn attach(
        &self,
        cause: Option<EventRef>,
        reply: executor::Sender<CallOutcome>,
    ) -> Option<executor::Sender<CallOutcome>> {
        let mut all = lock(&self.all);
        let index = all.iter().position(|pending| Some(pending.cause) == cause && pending.reply.is_none());
        let Some(pending) = index.and_then(|index| all.get_mut(index).map(|pending| (index, pending))) else {
            return Some(reply);
        };
        match pending {
            (index, PendingReply { outcome: Some(outcome), .. }) => {
                // The caller still holds the receiver.
                drop(reply.try_send(outcome.clone()));
                all.remove(index);
            }
            (_, pending) => pending.reply = Some(reply),
        }
        None
    }

    /// The call with that `queued` event has ended.
    pub(crate) fn complete(&self, sequence: u64, ended: &CallOutcome) {
        let mut all = lock(&self.all);
        let Some(index) = all.iter().position(|pending| pending.sequence == sequence) else { return };
        let Some(pending) = all.get_mut(index) else { return };
        match pending.reply.take() {
            Some(reply) => {
                // The caller may have given up.
                drop(reply.try_send(ended.clone()));
                all.remove(index);
            }
            None => pending.outcome = Some(ended.clone()),
        }
    }

    /// Whether a caller waits for the outcome of a queued call, be it the first one or one that issued the call again.
    pub(crate) fn has_waiter(&self, call: &QueuedCall) -> bool {
        call.reply.is_some() || self.has_repeated_waiter(call.queued.sequence)
    }

    /// Whether a caller that issued the call again waits for its outcome.
    pub(crate) fn has_repeated_waiter(&self, sequence: u64) -> bool {
        lock(&self.all).iter().any(|pending| pending.sequence == sequence && pending.reply.is_some())
    }
}
