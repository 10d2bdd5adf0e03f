//! Calls that come to an actor: recorded, then put into its mailbox.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use theater_plugin_api::encoding::encode;

use crate::actor::handle::{
    ActorHandle, ActorSignal, CallOutcome, ChainState, IncomingCall, QueuedCall, StagedSend, lock,
};
use crate::actor::mailbox::{Permit, Refused};
use crate::actor::remainder::UnfinishedCall;
use crate::support::executor;
use theater_chain::event::{EventRef, Id, NewEvent};
use theater_chain::interface_name::meets;
use theater_chain::journal::{JournalError, Sync};
use theater_chain::record::{Kind, Queued};

/// Before the disk is asked again whether it has what was queued.
const DISK: Duration = Duration::from_millis(100);

impl ActorHandle {
    /// Queues a call of an export and waits for its end. `params` must fit the export.
    pub async fn call(&self, incoming: IncomingCall) -> CallOutcome {
        let permit = match self.place(&incoming).await {
            Ok(permit) => permit,
            Err(refused) => return refused,
        };
        let (reply, answer) = executor::bounded(1);
        let reply = match self.repeats.is_any() {
            true => self.not_repeated(incoming.cause, reply),
            false => Some(reply),
        };
        match reply {
            None => drop(permit),
            Some(reply) => {
                if let Err(outcome) = self.queue(incoming, permit, Some(reply)) {
                    return outcome;
                }
            }
        }
        answer.recv().await.unwrap_or_else(|_| self.gone())
    }

    /// Queues a call of an export whose result goes to nobody; with `first` before all others, without waiting for a
    /// place.
    ///
    /// # Errors
    /// [`CallOutcome::Gone`].
    pub async fn post(&self, incoming: IncomingCall, first: bool) -> Result<(), CallOutcome> {
        if first {
            let mut record = lock(&self.chain);
            if self.mailbox.is_closed() {
                return Err(self.gone());
            }
            let call = self.queued(&mut record, incoming, None)?;
            self.mailbox.signal(ActorSignal::First(call));
        } else {
            let permit = self.place(&incoming).await?;
            self.queue(incoming, permit, None)?;
        }
        // It is in the mailbox, whatever the disk says now.
        while let Err(error) = self.durable().await {
            tracing::debug!(actor = self.short_id(), "a call that was queued is not on the disk yet: {error}");
            if executor::timeout(DISK, self.ended.wait()).await.is_some() {
                break;
            }
        }
        Ok(())
    }

    /// Waits until what was recorded is on the disk, where the manifest asks for it before anything leaves.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub(crate) async fn durable(&self) -> Result<(), JournalError> {
        if self.settings.sync == Sync::Always { self.services.journal.written().await } else { Ok(()) }
    }

    /// Waits for a place, then leaves the call with `sender`'s host call that is running.
    ///
    /// # Errors
    /// [`CallOutcome::Gone`], also when the sender's host call carries a call already.
    pub async fn stage(
        self: &Arc<Self>,
        sender: &Self,
        incoming: IncomingCall,
        otherwise: Vec<u8>,
    ) -> Result<(), CallOutcome> {
        // The journal is waited for before calls, not inside one.
        let reserved = self.mailbox.reserve(incoming.params.len() as u64).await;
        let permit = reserved.map_err(|refused| self.no_place(refused))?;
        let mut staged = lock(&sender.staged);
        if staged.is_some() {
            return Err(CallOutcome::Gone("a host call sends one message".to_owned()));
        }
        *staged = Some(StagedSend { target: Arc::clone(self), permit, incoming, otherwise });
        sender.has_staged.store(true, Ordering::Release);
        Ok(())
    }

    /// What was left with the host call that has ended now.
    pub(crate) fn take_staged(&self) -> Option<StagedSend> {
        self.has_staged.store(false, Ordering::Relaxed);
        lock(&self.staged).take()
    }

    /// Whether the host call that has ended now left something to send. Nearly none does: the lock is left alone.
    pub(crate) fn has_staged(&self) -> bool {
        self.has_staged.load(Ordering::Acquire)
    }

    /// Records a host call and queues what it sends, in one group. When the receiver has ended nothing is sent, and the
    /// staged call's `otherwise` comes back. `data` makes the data of the host call's event, given `otherwise` when that is
    /// the result.
    ///
    /// # Errors
    /// As [`ActorHandle::record`]; then nothing is sent.
    pub(crate) fn record_sending(
        &self,
        staged: StagedSend,
        host: &NewEvent<'_>,
        data: impl FnOnce(Option<&[u8]>) -> Vec<u8>,
    ) -> Result<Option<Vec<u8>>, JournalError> {
        let StagedSend { target, permit, incoming, otherwise } = staged;
        let (mut own, mut theirs) = lock_both(&self.chain, self.id(), &target.chain, target.id());
        self.lives()?;
        let journal = &self.services.journal;
        journal.takes_events()?;
        if target.mailbox.is_closed() {
            let data = data(Some(&otherwise));
            let event = NewEvent { data: &data, ..*host };
            journal.append_made([journal.make(&mut own.chain, &event, self.settings.sync).1]);
            return Ok(Some(otherwise));
        }
        let data = data(None);
        let (sent, frame) = journal.make(&mut own.chain, &NewEvent { data: &data, ..*host }, self.settings.sync);
        let IncomingCall { export, params, source, .. } = incoming;
        let (function, data) = target.queued_event(export, &params, source);
        let event = NewEvent { function, cause: Some(sent), ..NewEvent::plain(Kind::Queued, &data) };
        let record = theirs.as_deref_mut().unwrap_or(&mut own);
        let (queued, other) = journal.make(&mut record.chain, &event, target.settings.sync);
        journal.append_made([frame, other]);
        // A mailbox closes under the chain's lock: it is open still.
        drop(permit.send(QueuedCall { export, params, queued, cause: Some(sent), reply: None, begun: None }));
        Ok(None)
    }

    /// A place in the mailbox, once the journal has room.
    async fn place(&self, incoming: &IncomingCall) -> Result<Permit<QueuedCall, ActorSignal>, CallOutcome> {
        self.services.journal.room().await;
        let reserved = self.mailbox.reserve(incoming.params.len() as u64).await;
        reserved.map_err(|refused| self.no_place(refused))
    }

    fn no_place(&self, refused: Refused) -> CallOutcome {
        match refused {
            Refused::Closed => self.gone(),
            Refused::OverBudget(why) => {
                CallOutcome::Gone(format!("actor {:?} ({}) takes no more calls: {why}", self.name(), self.short_id()))
            }
        }
    }

    fn gone(&self) -> CallOutcome {
        CallOutcome::Gone(format!("actor {:?} ({}) is stopping or has ended", self.name(), self.short_id()))
    }

    /// Records a call and puts it into its place.
    fn queue(
        &self,
        incoming: IncomingCall,
        permit: Permit<QueuedCall, ActorSignal>,
        reply: Option<executor::Sender<CallOutcome>>,
    ) -> Result<(), CallOutcome> {
        // The order of `queued` events is the order in the mailbox: both under the chain's lock.
        let mut record = lock(&self.chain);
        if self.mailbox.is_closed() {
            return Err(self.gone());
        }
        let call = self.queued(&mut record, incoming, reply)?;
        permit.send(call).map_err(|_| self.gone())
    }

    fn queued(
        &self,
        record: &mut ChainState,
        incoming: IncomingCall,
        reply: Option<executor::Sender<CallOutcome>>,
    ) -> Result<QueuedCall, CallOutcome> {
        let IncomingCall { export, params, source, cause } = incoming;
        let queued = self
            .record_queued(record, export, &params, source, cause)
            .map_err(|error| CallOutcome::Gone(error.to_string()))?;
        Ok(QueuedCall { export, params, queued, cause, reply, begun: None })
    }

    pub(crate) fn record_queued(
        &self,
        record: &mut ChainState,
        export: u32,
        params: &[u8],
        source: String,
        cause: Option<EventRef>,
    ) -> Result<EventRef, JournalError> {
        let (function, data) = self.queued_event(export, params, source);
        self.record_in(record, &NewEvent { function, cause, ..NewEvent::plain(Kind::Queued, &data) })
    }

    /// Function and data of a `queued` event.
    fn queued_event(&self, export: u32, params: &[u8], source: String) -> (Option<u32>, Vec<u8>) {
        let function = self.interface.exports.get(export as usize).map(|export| export.function);
        (function, encode(&Queued { source, params: params.into() }).unwrap_or_default())
    }

    /// Calls that a program before left wait again, in their order; the one that had begun goes first.
    ///
    /// # Errors
    /// The actor has no such export any more.
    pub(crate) fn take_over(&self, left: Vec<UnfinishedCall>) -> Result<(), String> {
        for left in left {
            let call = self.left_call(left)?;
            match call.begun {
                Some(_) => self.mailbox.signal(ActorSignal::First(call)),
                None => {
                    let bytes = call.params.len() as u64;
                    self.mailbox.put(call, bytes);
                }
            }
        }
        Ok(())
    }

    /// A call that a program before left, of this one.
    ///
    /// # Errors
    /// The actor has no such export any more.
    pub(crate) fn left_call(&self, left: UnfinishedCall) -> Result<QueuedCall, String> {
        let UnfinishedCall { queued, cause, interface, function, params, begun } = left;
        let is_it =
            |label: &str| label.rsplit_once('/').is_some_and(|(of, name)| name == function && meets(of, &interface));
        let export = self.interface.exports.iter().position(|export| is_it(&export.label));
        let export = export
            .ok_or_else(|| format!("its chain has a call of {interface}/{function}, which nothing calls any more"))?;
        let begun = begun.map(Box::new);
        Ok(QueuedCall { export: export as u32, params: params.into_vec(), queued, cause, reply: None, begun })
    }
}

/// Locks two chains in the order of their ids, so that two actors that send to each other do not wait for each other; the
/// second is none when the two are one.
fn lock_both<'a>(
    own: &'a Mutex<ChainState>,
    own_id: Id,
    other: &'a Mutex<ChainState>,
    other_id: Id,
) -> (MutexGuard<'a, ChainState>, Option<MutexGuard<'a, ChainState>>) {
    match own_id.cmp(&other_id) {
        std::cmp::Ordering::Equal => (lock(own), None),
        std::cmp::Ordering::Less => {
            let own = lock(own);
            (own, Some(lock(other)))
        }
        std::cmp::Ordering::Greater => {
            let other = lock(other);
            (lock(own), Some(other))
        }
    }
}
