//! Calls to an actor: they are recorded, then put into its mailbox.
//!
//! The order of `queued` events in the chain is the order of calls in the mailbox, because both happen under the lock of the
//! chain. A message that a host call sends is recorded together with the host call: in the chains of both actors, in one
//! group of the journal, so that a crash preserves both events or none.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use theater_plugin_api::encoding::encode;

use crate::actor::chain_state::ChainState;
use crate::actor::dedup::PendingReply;
use crate::actor::handle::{ActorHandle, StagedSend};
use crate::actor::mailbox::{Permit, Refused};
use crate::actor::queued_call::{ActorSignal, CallOutcome, IncomingCall, QueuedCall};
use crate::actor::remainder::UnfinishedCall;
use crate::support::executor;
use crate::support::lock::lock;
use theater_chain::event::{EventRef, Id, NewEvent};
use theater_chain::interface_name::meets;
use theater_chain::journal::{JournalError, Sync};
use theater_chain::record::{Kind, Queued};

/// Time between two attempts to see a queued call on disk.
const DISK: Duration = Duration::from_millis(100);

impl ActorHandle {
    /// Queues a call of an export and waits for its outcome. `params` must match the export, see [`Self::fits`].
    pub async fn call(&self, incoming: IncomingCall) -> CallOutcome {
        let permit = match self.reserve(&incoming).await {
            Ok(permit) => permit,
            Err(refused) => return refused,
        };
        let (reply, answer) = executor::bounded(1);
        let reply = match self.repeats.is_any() {
            true => self.repeats.attach(incoming.cause, reply),
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

    /// Queues a call of an export whose outcome no caller waits for. With `first` it runs before all others, and does not
    /// wait for space in the mailbox.
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
            let permit = self.reserve(&incoming).await?;
            self.queue(incoming, permit, None)?;
        }
        // The call is in the mailbox already, so a write error is retried, not returned.
        while let Err(error) = self.durable().await {
            tracing::debug!(actor = self.short_id(), "a call that was queued is not on the disk yet: {error}");
            if executor::timeout(DISK, self.ended.wait()).await.is_some() {
                break;
            }
        }
        Ok(())
    }

    /// With `sync = "always"`, waits until everything recorded is on disk.
    ///
    /// # Errors
    /// The write failed.
    pub(crate) async fn durable(&self) -> Result<(), JournalError> {
        if self.settings.sync == Sync::Always { self.services.journal.written().await } else { Ok(()) }
    }

    /// Waits for space in the mailbox, then attaches the call to the running host call of `sender`.
    ///
    /// # Errors
    /// [`CallOutcome::Gone`], also if the host call sends a message already.
    pub async fn stage(
        self: &Arc<Self>,
        sender: &Self,
        incoming: IncomingCall,
        otherwise: Vec<u8>,
    ) -> Result<(), CallOutcome> {
        // Journal backpressure applies between calls, not inside one.
        let reserved = self.mailbox.reserve(incoming.params.len() as u64).await;
        let permit = reserved.map_err(|refused| self.refused(refused))?;
        let mut staged = lock(&sender.staged);
        if staged.is_some() {
            return Err(CallOutcome::Gone("a host call sends one message".to_owned()));
        }
        *staged = Some(StagedSend { target: Arc::clone(self), permit, incoming, otherwise });
        sender.has_staged.store(true, Ordering::Release);
        Ok(())
    }

    /// The call that the host call which ended just now sends.
    pub(crate) fn take_staged(&self) -> Option<StagedSend> {
        self.has_staged.store(false, Ordering::Relaxed);
        lock(&self.staged).take()
    }

    /// Whether the host call that ended just now sends a call. Hardly any does, so this avoids the lock.
    pub(crate) fn has_staged(&self) -> bool {
        self.has_staged.load(Ordering::Acquire)
    }

    /// Records a host call and queues the call that it sends, in one group of the journal. If the receiver has ended, nothing
    /// is sent and the staged call's `otherwise` is returned. `data` encodes the host call's event; it gets `otherwise` if
    /// that is the result.
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
        self.check_running()?;
        let journal = &self.services.journal;
        journal.check_writable()?;
        if target.mailbox.is_closed() {
            let data = data(Some(&otherwise));
            let event = NewEvent { data: &data, ..*host };
            journal.append_encoded([journal.encode(&mut own.chain, &event, self.settings.sync).1]);
            return Ok(Some(otherwise));
        }
        let data = data(None);
        let (sent, frame) = journal.encode(&mut own.chain, &NewEvent { data: &data, ..*host }, self.settings.sync);
        let IncomingCall { export, params, source, .. } = incoming;
        let (function, data) = target.queued_event(export, &params, source);
        let event = NewEvent { function, cause: Some(sent), ..NewEvent::plain(Kind::Queued, &data) };
        let record = theirs.as_deref_mut().unwrap_or(&mut own);
        let (queued, other) = journal.encode(&mut record.chain, &event, target.settings.sync);
        journal.append_encoded([frame, other]);
        // A mailbox is closed under the chain's lock, so it is still open.
        drop(permit.send(QueuedCall { export, params, queued, cause: Some(sent), reply: None, begun: None }));
        Ok(None)
    }

    /// Waits for capacity in the journal, then for a permit of the mailbox.
    async fn reserve(&self, incoming: &IncomingCall) -> Result<Permit<QueuedCall, ActorSignal>, CallOutcome> {
        self.services.journal.wait_for_capacity().await;
        let reserved = self.mailbox.reserve(incoming.params.len() as u64).await;
        reserved.map_err(|refused| self.refused(refused))
    }

    fn refused(&self, refused: Refused) -> CallOutcome {
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

    /// Records a call and puts it into the mailbox.
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

    /// Queues the unfinished calls of the previous run again, in their order. The call that was running goes first.
    ///
    /// # Errors
    /// The actor no longer has the export.
    pub(crate) fn take_over(&self, unfinished: Vec<UnfinishedCall>) -> Result<(), String> {
        for call in unfinished {
            let call = self.left_call(call)?;
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

    /// A call of another actor was recorded before the previous run ended, and may be issued again.
    pub(crate) fn expect(&self, pending: PendingReply) {
        self.repeats.add(pending);
    }

    /// A call has ended that may be issued again.
    pub(crate) fn repeat_ended(&self, sequence: u64, ended: &CallOutcome) {
        self.repeats.complete(sequence, ended);
    }

    /// An unfinished call of the previous run as a call of this one.
    ///
    /// # Errors
    /// The actor no longer has the export.
    pub(crate) fn left_call(&self, call: UnfinishedCall) -> Result<QueuedCall, String> {
        let UnfinishedCall { queued, cause, interface, function, params, begun } = call;
        let is_it =
            |label: &str| label.rsplit_once('/').is_some_and(|(of, name)| name == function && meets(of, &interface));
        let export = self.interface.exports.iter().position(|export| is_it(&export.label));
        let export = export.ok_or_else(|| {
            format!("its chain has a call of {interface}/{function}, which no handler calls any more")
        })?;
        let begun = begun.map(Box::new);
        Ok(QueuedCall { export: export as u32, params: params.into_vec(), queued, cause, reply: None, begun })
    }
}

/// Locks two chains in the order of their ids, so that two actors that send to each other do not deadlock. The second guard
/// is `None` if both are the same chain.
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
