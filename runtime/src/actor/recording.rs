//! Records events in the chain of an actor.

use std::sync::atomic::Ordering;
use std::time::Instant;

use theater_plugin_api::Bytes;
use theater_plugin_api::encoding::encode;

use crate::actor::chain_state::ChainState;
use crate::actor::handle::ActorHandle;
use crate::manifest::Keep;
use crate::support::lock::lock;
use theater_chain::event::{EventRef, NewEvent};
use theater_chain::journal::JournalError;
use theater_chain::journal::retention::RetainFrom;
use theater_chain::record::{Fault, Kind, Noted, Return};

impl ActorHandle {
    /// Appends an event to the actor's chain.
    ///
    /// # Errors
    /// The journal cannot write, or the chain has ended.
    pub fn record(&self, event: &NewEvent<'_>) -> Result<EventRef, JournalError> {
        let mut record = lock(&self.chain);
        self.check_running()?;
        self.record_in(&mut record, event)
    }

    /// Refuses events of a run that is over. Must be called under the chain's lock.
    ///
    /// # Errors
    /// The run is over.
    pub(crate) fn check_running(&self) -> Result<(), JournalError> {
        if self.over.load(Ordering::Relaxed) { Err(self.chain_ended()) } else { Ok(()) }
    }

    pub(crate) fn record_in(&self, record: &mut ChainState, event: &NewEvent<'_>) -> Result<EventRef, JournalError> {
        if record.closed {
            return Err(self.chain_ended());
        }
        self.services.journal.append(&mut record.chain, event, self.settings.sync)
    }

    fn chain_ended(&self) -> JournalError {
        let path = self.services.journal.folder().map(ToOwned::to_owned).unwrap_or_default();
        JournalError { path, reason: format!("the chain of actor {} has ended", self.id_text) }
    }

    /// Opens the chain for the next run and records its first event.
    ///
    /// # Errors
    /// As [`ActorHandle::record`].
    pub(crate) fn record_restarted(&self, data: &[u8]) -> Result<EventRef, JournalError> {
        let mut record = lock(&self.chain);
        record.closed = false;
        self.record_in(&mut record, &NewEvent::plain(Kind::Restarted, data))
    }

    pub(crate) fn record_encoded(&self, kind: Kind, data: &impl serde::Serialize) -> Result<EventRef, JournalError> {
        self.record(&NewEvent::plain(kind, &encode(data).unwrap_or_default()))
    }

    /// Appends a fault and logs it. The log is throttled, because the chain has all faults.
    ///
    /// # Errors
    /// As [`ActorHandle::record`].
    pub fn record_fault(&self, fault: &Fault) -> Result<EventRef, JournalError> {
        if let Some(held) = self.fault_lines.admit(Instant::now()) {
            self.log_held_faults(held);
            let sentence = format!("{}: {}", fault.plugin, fault.message);
            tracing::warn!(actor = self.short_id(), name = self.name(), code = fault.code, "plugin fault: {sentence}");
        }
        self.record_encoded(Kind::Fault, fault)
    }

    /// Records a snapshot of the state and of the calls that are queued at this moment.
    pub(crate) fn record_snapshot(&self, state: Option<&[u8]>, handlers: &[Bytes]) -> Result<(), JournalError> {
        // A record is encoded as its fields in order; the last field is only known under the lock.
        let mut data = encode(&(state.map(Bytes::from), handlers)).unwrap_or_default();
        let mut record = lock(&self.chain);
        self.check_running()?;
        let mut waiting =
            self.mailbox.each(|call| call.queued.sequence, |wake| wake.call().map(|call| call.queued.sequence));
        waiting.sort_unstable();
        data.extend(encode(&waiting).unwrap_or_default());
        let snapshot = self.record_in(&mut record, &NewEvent::plain(Kind::Snapshot, &data))?;
        if self.settings.keep == Keep::Snapshots {
            self.services.journal.retain_from(self.id(), RetainFrom { below: snapshot.sequence, waiting });
        }
        self.seal(&mut record, &snapshot);
        Ok(())
    }

    /// Signs the chain up to the newest event, if the operator named a key.
    pub(crate) fn seal(&self, record: &mut ChainState, newest: &EventRef) {
        let Some(sealer) = self.services.sealer.as_deref() else { return };
        let data = encode(&sealer.seal(newest)).unwrap_or_default();
        if let Err(error) = self.record_in(record, &NewEvent::plain(Kind::Sealed, &data)) {
            let sequence = newest.sequence;
            tracing::error!(actor = self.short_id(), "the seal over event {sequence} could not be recorded: {error}");
        }
    }

    /// Records data of a plugin that no export receives.
    pub fn record_note(&self, noted: &Noted) -> Result<EventRef, JournalError> {
        self.record_encoded(Kind::Noted, noted)
    }

    /// Logs the `err` of a call that no caller waits for, such as a one-way message.
    pub(crate) fn tell_unheard(&self, function: &str, text: &str) {
        let (actor, name) = (self.short_id(), self.name());
        let Some(held) = self.unheard_lines.admit(Instant::now()) else { return };
        if held > 0 {
            tracing::warn!(actor, name, "{held} more errs were not logged; the actor's chain has them all");
        }
        tracing::warn!(actor, name, "{function} returned err: {text}");
    }

    pub(crate) fn log_held_faults(&self, held: u64) {
        if held > 0 {
            let (actor, name) = (self.short_id(), self.name());
            tracing::warn!(actor, name, "{held} more plugin faults are not logged; the actor's chain has them all");
        }
    }

    /// Records a fault outside of any call.
    pub fn report_fault(&self, plugin: &str, code: &str, message: &str) {
        let fault = Fault { plugin: plugin.to_owned(), code: code.to_owned(), message: message.to_owned() };
        if let Err(error) = self.record_fault(&fault) {
            tracing::error!(actor = self.short_id(), "a fault could not be recorded: {error}");
        }
    }

    pub(crate) fn record_return(&self, export: u32, call: u64, event: &Return) -> Result<EventRef, JournalError> {
        let mut record = lock(&self.chain);
        self.check_running()?;
        self.record_return_in(&mut record, export, call, event)
    }

    pub(crate) fn record_return_in(
        &self,
        record: &mut ChainState,
        export: u32,
        call: u64,
        event: &Return,
    ) -> Result<EventRef, JournalError> {
        let data = encode(event).unwrap_or_default();
        let function = self.interface.exports.get(export as usize).map(|export| export.function);
        self.record_in(record, &NewEvent { function, call: Some(call), ..NewEvent::plain(Kind::Return, &data) })
    }

    pub(crate) fn record_released(&self, record: &mut ChainState) {
        if let Err(error) = self.record_in(record, &NewEvent::plain(Kind::Released, &[])) {
            tracing::error!(actor = self.short_id(), "the release of the actor could not be recorded: {error}");
        }
    }
}
