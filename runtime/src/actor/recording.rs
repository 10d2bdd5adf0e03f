//! What an actor records in its chain.

use std::sync::atomic::Ordering;
use std::time::Instant;

use theater_plugin_api::Bytes;
use theater_plugin_api::encoding::encode;

use crate::actor::handle::{ActorHandle, ChainState, lock};
use crate::manifest::Keep;
use theater_chain::event::{EventRef, NewEvent};
use theater_chain::journal::JournalError;
use theater_chain::journal::retention::RetainFrom;
use theater_chain::record::{Fault, Kind, Noted, Return};

impl ActorHandle {
    /// Appends an event to the actor's chain.
    ///
    /// # Errors
    /// When the disk does not take events, or the chain has ended.
    pub fn record(&self, event: &NewEvent<'_>) -> Result<EventRef, JournalError> {
        let mut record = lock(&self.chain);
        self.lives()?;
        self.record_in(&mut record, event)
    }

    /// Events of a life that is over are refused; asked under the chain's lock.
    pub(crate) fn lives(&self) -> Result<(), JournalError> {
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

    /// The actor begins another life: its chain takes events again, and this is the first.
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

    /// Appends a fault, and logs it: the first few of a second, since the chain has them all.
    ///
    /// # Errors
    /// As [`ActorHandle::record`].
    pub fn record_fault(&self, fault: &Fault) -> Result<EventRef, JournalError> {
        if let Some(held) = self.fault_lines.admit(Instant::now()) {
            self.tell_held_faults(held);
            let sentence = format!("{}: {}", fault.plugin, fault.message);
            tracing::warn!(actor = self.short_id(), name = self.name(), code = fault.code, "plugin fault: {sentence}");
        }
        self.record_encoded(Kind::Fault, fault)
    }

    /// Records a snapshot: all that waits now, and nothing that comes later, is in it.
    pub(crate) fn record_snapshot(&self, state: Option<&[u8]>, handlers: &[Bytes]) -> Result<(), JournalError> {
        // A record is its fields in a row: the last one is known only under the lock.
        let mut data = encode(&(state.map(Bytes::from), handlers)).unwrap_or_default();
        let mut record = lock(&self.chain);
        self.lives()?;
        let mut waiting =
            self.mailbox.each(|call| call.queued.sequence, |wake| wake.call().map(|call| call.queued.sequence));
        waiting.sort_unstable();
        data.extend(encode(&waiting).unwrap_or_default());
        let snapshot = self.record_in(&mut record, &NewEvent::plain(Kind::Snapshot, &data))?;
        if self.settings.keep == Keep::Snapshots {
            self.services.journal.may_drop(self.id(), RetainFrom { below: snapshot.sequence, waiting });
        }
        self.seal(&mut record, &snapshot);
        Ok(())
    }

    /// Seals what was just recorded, where the operator wants it.
    pub(crate) fn seal(&self, record: &mut ChainState, newest: &EventRef) {
        let Some(sealer) = self.services.sealer.as_deref() else { return };
        let data = encode(&sealer.seal(newest)).unwrap_or_default();
        if let Err(error) = self.record_in(record, &NewEvent::plain(Kind::Sealed, &data)) {
            let sequence = newest.sequence;
            tracing::error!(actor = self.short_id(), "the seal over event {sequence} could not be recorded: {error}");
        }
    }

    /// Records what came from outside and no export takes.
    pub fn record_note(&self, noted: &Noted) -> Result<EventRef, JournalError> {
        self.record_encoded(Kind::Noted, noted)
    }

    /// Logs the `err` of a call whose result goes to nobody, such as a one-way message.
    pub(crate) fn tell_unheard(&self, function: &str, text: &str) {
        let (actor, name) = (self.short_id(), self.name());
        let Some(held) = self.unheard_lines.admit(Instant::now()) else { return };
        if held > 0 {
            tracing::warn!(actor, name, "{held} more errs were not logged; the actor's chain has them all");
        }
        tracing::warn!(actor, name, "{function} returned err: {text}");
    }

    pub(crate) fn tell_held_faults(&self, held: u64) {
        if held > 0 {
            let (actor, name) = (self.short_id(), self.name());
            tracing::warn!(actor, name, "{held} more plugin faults are not logged; the actor's chain has them all");
        }
    }

    /// Records a fault that no call waits for.
    pub fn report_fault(&self, plugin: &str, code: &str, message: &str) {
        let fault = Fault { plugin: plugin.to_owned(), code: code.to_owned(), message: message.to_owned() };
        if let Err(error) = self.record_fault(&fault) {
            tracing::error!(actor = self.short_id(), "a fault could not be recorded: {error}");
        }
    }

    pub(crate) fn record_return(&self, export: u32, call: u64, event: &Return) -> Result<EventRef, JournalError> {
        let mut record = lock(&self.chain);
        self.lives()?;
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
            tracing::error!(actor = self.short_id(), "that the actor is let go could not be recorded: {error}");
        }
    }
}
