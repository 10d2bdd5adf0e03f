//! Calls that a program before had queued for a host call that is made again: they are not made twice.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::actor::handle::{ActorHandle, CallOutcome, QueuedCall, lock};
use crate::support::executor;
use theater_chain::event::EventRef;

/// Calls that other actors may ask for again, in whichever life of this one.
#[derive(Default)]
pub(crate) struct PendingReplies {
    all: Mutex<Vec<PendingReply>>,
    // Whether there ever was one: nearly no actor has any.
    any: AtomicBool,
}

/// A call that a program before had queued for another actor's host call, which was cut off: that host call is made again,
/// and what it asks for is this call, not another one.
pub(crate) struct PendingReply {
    /// The call of the other actor.
    pub(crate) cause: EventRef,
    /// The sequence of the `queued` event.
    pub(crate) sequence: u64,
    /// How it ended, once it has.
    pub(crate) outcome: Option<CallOutcome>,
    /// Who waits for that, once it is asked for again.
    pub(crate) reply: Option<executor::Sender<CallOutcome>>,
}

impl PendingReplies {
    pub(crate) fn is_any(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }

    pub(crate) fn clear(&self) {
        lock(&self.all).clear();
    }
}

impl ActorHandle {
    /// A call that other actors may ask for again.
    pub(crate) fn expect(&self, repeat: PendingReply) {
        lock(&self.repeats.all).push(repeat);
        self.repeats.any.store(true, Ordering::Relaxed);
    }

    /// `reply` again, unless the call is one that is there already: then that one's end is what it gets.
    pub(crate) fn not_repeated(
        &self,
        cause: Option<EventRef>,
        reply: executor::Sender<CallOutcome>,
    ) -> Option<executor::Sender<CallOutcome>> {
        let mut repeats = lock(&self.repeats.all);
        let place = repeats.iter().position(|repeat| Some(repeat.cause) == cause && repeat.reply.is_none());
        let Some(repeat) = place.and_then(|place| repeats.get_mut(place).map(|repeat| (place, repeat))) else {
            return Some(reply);
        };
        match repeat {
            (place, PendingReply { outcome: Some(outcome), .. }) => {
                // Whoever asks waits still.
                drop(reply.try_send(outcome.clone()));
                repeats.remove(place);
            }
            (_, repeat) => repeat.reply = Some(reply),
        }
        None
    }

    /// A call has ended that may be asked for again.
    pub(crate) fn repeat_ended(&self, sequence: u64, ended: &CallOutcome) {
        let mut repeats = lock(&self.repeats.all);
        let Some(place) = repeats.iter().position(|repeat| repeat.sequence == sequence) else { return };
        let Some(repeat) = repeats.get_mut(place) else { return };
        match repeat.reply.take() {
            Some(reply) => {
                // Who waited may be gone.
                drop(reply.try_send(ended.clone()));
                repeats.remove(place);
            }
            None => repeat.outcome = Some(ended.clone()),
        }
    }

    /// Whether somebody waits for the end of a call.
    pub(crate) fn is_awaited(&self, call: &QueuedCall) -> bool {
        call.reply.is_some() || self.is_repeat_awaited(call.queued.sequence)
    }

    pub(crate) fn is_repeat_awaited(&self, sequence: u64) -> bool {
        lock(&self.repeats.all).iter().any(|repeat| repeat.sequence == sequence && repeat.reply.is_some())
    }
}
