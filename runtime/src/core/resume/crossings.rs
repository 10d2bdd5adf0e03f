//! What only the order of events across all chains tells, collected in one forward pass over the journal.

use std::collections::HashMap;

use theater_plugin_api::encoding::decode;

use theater_chain::event::{EventRef, Id};
use theater_chain::record::{Kind, Outcome, Return};
use theater_chain::verify;

/// Deaths, and calls from one actor to another, as far as they matter to a resume.
#[derive(Default)]
pub(super) struct Crossings {
    /// The newest death of each actor that was not started again.
    pub(super) deaths: HashMap<Id, Death>,
    /// For each actor, the calls that its newest host call queued, if that host call has not ended.
    pub(super) calls: HashMap<Id, Vec<CrossingCall>>,
    /// The caller of each of these calls, by the called actor and the sequence of the call.
    callers: HashMap<(Id, u64), Id>,
}

/// The end of an actor.
pub(super) struct Death {
    pub(super) event: EventRef,
    pub(super) kind: Kind,
    pub(super) data: Vec<u8>,
    /// The parent's chain has a call that notifies it.
    pub(super) is_notified: bool,
    /// The parent has released the child.
    pub(super) is_released: bool,
}

/// A call that a host call of one actor queued at another actor.
pub(super) struct CrossingCall {
    /// The call of the caller during which it was queued.
    pub(super) cause: EventRef,
    /// The called actor.
    pub(super) callee: Id,
    /// The sequence of its `queued` event.
    pub(super) sequence: u64,
    /// How it ended, if it has.
    pub(super) outcome: Option<Outcome>,
}

impl Crossings {
    /// Takes the next event in journal order.
    pub(super) fn observe(&mut self, event: &verify::Event<'_>) {
        let header = &event.header;
        match Kind::from_number(header.kind) {
            Some(kind @ (Kind::Stopped | Kind::Failed)) => {
                let ended = EventRef { actor: header.actor, sequence: header.sequence, hash: event.hash };
                let data = event.data.unwrap_or_default().to_vec();
                let death = Death { event: ended, kind, data, is_notified: false, is_released: false };
                self.deaths.insert(header.actor, death);
                self.host_call_ended(header.actor);
            }
            Some(Kind::Restarted | Kind::Swapped | Kind::Instance) => {
                self.deaths.remove(&header.actor);
            }
            Some(Kind::Released) => {
                if let Some(death) = self.deaths.get_mut(&header.actor) {
                    death.is_released = true;
                }
            }
            Some(Kind::Queued) => {
                let Some(cause) = header.cause else { return };
                if let Some(death) = self.deaths.get_mut(&cause.actor) {
                    death.is_notified |= death.event.sequence == cause.sequence;
                }
                let crossing = CrossingCall { cause, callee: header.actor, sequence: header.sequence, outcome: None };
                self.callers.insert((crossing.callee, crossing.sequence), cause.actor);
                self.calls.entry(cause.actor).or_default().push(crossing);
            }
            Some(Kind::Host) => self.host_call_ended(header.actor),
            Some(Kind::Return) => {
                self.host_call_ended(header.actor);
                let key = (header.actor, header.call.unwrap_or_default());
                let crossing = self.callers.get(&key).and_then(|caller| self.calls.get_mut(caller));
                let crossing = crossing
                    .and_then(|all| all.iter_mut().find(|crossing| (crossing.callee, crossing.sequence) == key));
                let dropped = || Outcome::Interrupted("how it ended was dropped from the chain".to_owned());
                if let Some(crossing) = crossing {
                    let returned = event.data.map(|data| decode::<Return>(data).ok().map(|returned| returned.outcome));
                    crossing.outcome = returned.unwrap_or_else(|| Some(dropped()));
                }
            }
            _ => {}
        }
    }

    /// Forgets the calls of a host call that has ended: a resume does not issue them again.
    fn host_call_ended(&mut self, actor: Id) {
        for crossing in self.calls.remove(&actor).unwrap_or_default() {
            self.callers.remove(&(crossing.callee, crossing.sequence));
        }
    }
}
