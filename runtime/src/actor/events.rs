//! The events of an actor as it reads them itself.

use theater_plugin_api::host::ChainEvent;

use crate::actor::handle::{ActorHandle, lock};
use crate::support::executor;
use theater_chain::event::Id;
use theater_chain::journal::segment;
use theater_chain::record::Kind;

impl ActorHandle {
    /// The newest events, oldest first: at most `most`, and no more than fit into one value (`value_bytes`).
    ///
    /// # Errors
    /// When the journal cannot be written or read.
    pub async fn newest_events(&self, most: u64) -> Result<Vec<ChainEvent>, crate::support::error::Error> {
        let (head, length) = self.head();
        let events = self.events_until(length, most, self.limits().value_bytes).await?;
        *lock(&self.chain_read) = Some((length - events.len() as u64, length, head));
        Ok(events)
    }

    /// The newest events, oldest first: at most `most`, of at most `most_bytes`.
    ///
    /// # Errors
    /// As [`ActorHandle::newest_events`].
    pub async fn events(&self, most: u64, most_bytes: u64) -> Result<Vec<ChainEvent>, crate::support::error::Error> {
        self.events_until(self.head().1, most, most_bytes).await
    }

    async fn events_until(
        &self,
        length: u64,
        most: u64,
        most_bytes: u64,
    ) -> Result<Vec<ChainEvent>, crate::support::error::Error> {
        self.services.journal.written().await?;
        let Some(folder) = self.services.journal.folder().map(ToOwned::to_owned) else { return Ok(Vec::new()) };
        let names: Vec<String> =
            self.interface.functions.iter().map(|f| format!("{}/{}", f.interface, f.function)).collect();
        let place = self.services.journal.place(self.id());
        let id = self.id();
        let read = move || read_back((&folder, id), place, length, (most, most_bytes), &names);
        executor::blocking(read)
            .await
            .map_err(|source| theater_chain::Error::Read { path: self.services.data.join("journal"), source }.into())
    }
}

/// The event type an actor sees: `<interface>/<function>` of a host call, `wasm` for calls of it, else the core's own.
pub(crate) fn event_type(kind: u8, function: Option<u32>, names: &[String]) -> String {
    match Kind::from_number(kind) {
        Some(Kind::Host) => function.and_then(|index| names.get(index as usize)).cloned().unwrap_or_default(),
        Some(Kind::Queued | Kind::Return) => "wasm".to_owned(),
        Some(kind) => format!("runtime/{kind}"),
        None => format!("runtime/{kind}"),
    }
}

/// Follows the places back from an actor's newest written event to the one it had `length` events at.
fn read_back(
    (folder, actor): (&std::path::Path, Id),
    mut place: Option<segment::FramePosition>,
    length: u64,
    (most, most_bytes): (u64, u64),
    names: &[String],
) -> std::io::Result<Vec<ChainEvent>> {
    // What an event is beside its data, at the most: hashes, type, lengths.
    const BESIDE: u64 = 256;
    let mut events = Vec::new();
    let mut bytes = 0;
    let mut sequences = length.saturating_sub(1)..=u64::MAX;
    while let Some(at) = place {
        if events.len() as u64 >= most {
            break;
        }
        let theater_chain::journal::lookup::StoredEvent { header, hash, data, before, .. } =
            theater_chain::journal::lookup::read_event(folder, actor, at, sequences)?;
        place = before;
        let next = header.sequence.saturating_sub(1);
        sequences = next..=next;
        if header.sequence >= length {
            continue;
        }
        let data = data.unwrap_or_default();
        bytes += data.len() as u64 + BESIDE;
        if bytes > most_bytes {
            break;
        }
        events.push(ChainEvent {
            hash: hash.to_vec().into(),
            parent_hash: (header.sequence > 0).then(|| header.parent.to_vec().into()),
            event_type: event_type(header.kind, header.function, names),
            data: data.into(),
            timestamp: header.timestamp,
        });
    }
    events.reverse();
    Ok(events)
}
