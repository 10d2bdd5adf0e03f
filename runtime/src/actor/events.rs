//! Reads the newest events of an actor, for plugins.

use theater_plugin_api::host::ChainEvent;

use crate::actor::handle::ActorHandle;
use crate::support::error::Error;
use crate::support::executor;
use crate::support::lock::lock;
use theater_chain::event::Id;
use theater_chain::journal::segment;
use theater_chain::record::Kind;

impl ActorHandle {
    /// The newest events, oldest first: at most `most`, and no more than fit into one value (`value_bytes`).
    ///
    /// # Errors
    /// The journal cannot be written or read.
    pub async fn newest_events(&self, most: u64) -> Result<Vec<ChainEvent>, Error> {
        let (head, length) = self.head();
        let events = self.events_until(length, most, self.limits().value_bytes).await?;
        *lock(&self.chain_read) = Some((length - events.len() as u64, length, head));
        Ok(events)
    }

    /// The newest events, oldest first: at most `most`, of at most `most_bytes` together.
    ///
    /// # Errors
    /// As [`ActorHandle::newest_events`].
    pub async fn events(&self, most: u64, most_bytes: u64) -> Result<Vec<ChainEvent>, Error> {
        self.events_until(self.head().1, most, most_bytes).await
    }

    async fn events_until(&self, length: u64, most: u64, most_bytes: u64) -> Result<Vec<ChainEvent>, Error> {
        self.services.journal.written().await?;
        let Some(folder) = self.services.journal.folder().map(ToOwned::to_owned) else { return Ok(Vec::new()) };
        let names: Vec<String> =
            self.interface.functions.iter().map(|f| format!("{}/{}", f.interface, f.function)).collect();
        let newest = self.services.journal.newest_position(self.id());
        let id = self.id();
        let read = move || read_back((&folder, id), newest, length, (most, most_bytes), &names);
        executor::blocking(read)
            .await
            .map_err(|source| theater_chain::Error::Read { path: self.services.data.join("journal"), source }.into())
    }
}

/// The event type that an actor sees: `<interface>/<function>` for a host call, `wasm` for a call of an export, `runtime/..`
/// for events of the core.
pub(crate) fn event_type(kind: u8, function: Option<u32>, names: &[String]) -> String {
    match Kind::from_number(kind) {
        Some(Kind::Host) => function.and_then(|index| names.get(index as usize)).cloned().unwrap_or_default(),
        Some(Kind::Queued | Kind::Return) => "wasm".to_owned(),
        Some(kind) => format!("runtime/{kind}"),
        None => format!("runtime/{kind}"),
    }
}

/// Reads events backwards, from an actor's newest written event. Events from `length` on are skipped.
fn read_back(
    (folder, actor): (&std::path::Path, Id),
    mut position: Option<segment::FramePosition>,
    length: u64,
    (most, most_bytes): (u64, u64),
    names: &[String],
) -> std::io::Result<Vec<ChainEvent>> {
    // The size of an event without its data, at most: hashes, type, lengths.
    const OVERHEAD: u64 = 256;
    let mut events = Vec::new();
    let mut bytes = 0;
    let mut sequences = length.saturating_sub(1)..=u64::MAX;
    while let Some(at) = position {
        if events.len() as u64 >= most {
            break;
        }
        let theater_chain::journal::lookup::StoredEvent { header, hash, data, previous, .. } =
            theater_chain::journal::lookup::read_event(folder, actor, at, sequences)?;
        position = previous;
        let next = header.sequence.saturating_sub(1);
        sequences = next..=next;
        if header.sequence >= length {
            continue;
        }
        let data = data.unwrap_or_default();
        bytes += data.len() as u64 + OVERHEAD;
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
