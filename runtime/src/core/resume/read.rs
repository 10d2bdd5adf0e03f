//! Reads the tail of a chain: backwards, only as far as a resume needs.
//!
//! The *base* is the last snapshot or start. The events after it are re-executed. Calls that were queued before the
//! base and had not ended there are needed too, and finding them is the second half of the walk:
//!
//! - A snapshot names the calls that waited. The walk continues until it has found each of them, usually a few events.
//! - A start after an earlier end (`restarted`) names none. The walk collects the queued calls that had not begun, down
//!   to an end that left nothing waiting, or to a snapshot, which names the rest.
//!
//! Each event is checked against the sequence that its successor demands. Dropped data, a position that holds another
//! event, or a chain without a start is an error of kind `InvalidData`, and the actor is not resumed.

use std::collections::{BTreeSet, HashSet};
use std::ops::RangeInclusive;
use std::path::Path;

use theater_plugin_api::encoding::decode;

use theater_chain::event::Id;
use theater_chain::journal::lookup::{StoredEvent, read_event};
use theater_chain::journal::segment::FramePosition;
use theater_chain::record::{Created, FunctionRecord, Kind, Snapshot};

use crate::replay::past::{QueuedEvent, RecordedEvent};
use crate::replay::tail::ends_for_good;

/// The part of a chain that an actor is resumed from.
pub(super) struct ChainTail {
    /// The newest start or change of parts at or before the base.
    pub(super) setup: RecordedEvent,
    /// The snapshot to begin at; none when the base is a start.
    pub(super) base: Option<Snapshot>,
    /// Calls that waited at the base, in order.
    pub(super) queued: Vec<QueuedEvent>,
    /// The events after the base, in order.
    pub(super) events: Vec<RecordedEvent>,
    /// The position of the last `host` event after the base; without one, of the base.
    pub(super) last_host: FramePosition,
}

/// A chain that is read backwards.
struct Backwards<'a> {
    folder: &'a Path,
    actor: Id,
    setups: &'a [FramePosition],
    /// The position of the next event to read, towards the start.
    at: Option<FramePosition>,
    /// The sequence which that event must have.
    sequences: RangeInclusive<u64>,
}

/// Reads a chain backwards from `newest`. `setups` are the positions of its starts and changes of parts, oldest first.
pub(super) fn read_tail(
    (folder, actor): (&Path, Id),
    newest: FramePosition,
    setups: &[FramePosition],
) -> std::io::Result<ChainTail> {
    let mut chain = Backwards { folder, actor, setups, at: Some(newest), sequences: 0..=u64::MAX };
    let (mut events, mut last_host) = (Vec::new(), None);
    let (position, base) = loop {
        let (position, event) = chain.next()?.ok_or_else(no_start)?;
        let event = recorded(event)?;
        match Kind::from_number(event.header.kind) {
            Some(Kind::Host) => last_host = last_host.or(Some(position)),
            Some(Kind::Snapshot) => break (position, Some(snapshot(&event)?)),
            Some(Kind::Created | Kind::Restarted) => break (position, None),
            _ => {}
        }
        events.push(event);
    };
    events.reverse();
    let queued = chain.waiting_calls(base.as_ref())?;
    let setup = chain.setup_at(position)?.ok_or_else(no_start)?;
    Ok(ChainTail { setup, base, queued, events, last_host: last_host.unwrap_or(position) })
}

impl Backwards<'_> {
    /// Reads the next event towards the start, with its position; nothing before the first event.
    fn next(&mut self) -> std::io::Result<Option<(FramePosition, StoredEvent)>> {
        let Some(position) = self.at else { return Ok(None) };
        let event = read_event(self.folder, self.actor, position, self.sequences.clone())?;
        let previous = event.header.sequence.saturating_sub(1);
        (self.sequences, self.at) = (previous..=previous, event.previous);
        Ok(Some((FramePosition { offset: event.offset, ..position }, event)))
    }

    /// Collects the calls that waited at the base, in the order in which they were queued.
    fn waiting_calls(&mut self, base: Option<&Snapshot>) -> std::io::Result<Vec<QueuedEvent>> {
        // The waiting calls still to be found; none while no snapshot has named them.
        let mut named: Option<BTreeSet<u64>> = base.map(|base| base.waiting.iter().copied().collect());
        let (mut over, mut queued) = (HashSet::new(), Vec::new());
        while named.as_ref().is_none_or(|named| !named.is_empty()) {
            let Some((position, event)) = self.next()? else { break };
            let (sequence, call) = (event.header.sequence, event.header.call.unwrap_or(u64::MAX));
            match Kind::from_number(event.header.kind) {
                Some(Kind::Queued) => {
                    let is_named = named.as_mut().is_none_or(|named| named.remove(&sequence));
                    if is_named && !over.contains(&sequence) {
                        let function = self.function_at(position, event.header.function)?;
                        if !function.is_init() {
                            queued.push(QueuedEvent { event: recorded(event)?, function });
                        }
                    }
                }
                // A call that had begun ended together with its run of the actor.
                Some(Kind::Host | Kind::Intent | Kind::Return) if named.is_none() => {
                    over.insert(call);
                }
                // This end left nothing waiting.
                Some(Kind::Released | Kind::Stopped) if named.is_none() => {
                    let end = recorded(event)?;
                    if ends_for_good(&end) {
                        break;
                    }
                }
                Some(Kind::Snapshot) if named.is_none() => {
                    let waiting = snapshot(&recorded(event)?)?.waiting;
                    named = Some(waiting.into_iter().filter(|waiting| !over.contains(waiting)).collect());
                }
                _ => {}
            }
        }
        queued.reverse();
        Ok(queued)
    }

    /// Returns the start or change of parts that is in force at a position.
    fn setup_at(&self, position: FramePosition) -> std::io::Result<Option<RecordedEvent>> {
        let setup = self.setups.iter().rev().find(|setup| **setup <= position);
        setup.map(|setup| read_recorded(self.folder, self.actor, *setup)).transpose()
    }

    /// Returns the function that an event at a position names.
    fn function_at(&self, position: FramePosition, function: Option<u32>) -> std::io::Result<FunctionRecord> {
        let setup = self.setup_at(position)?.ok_or_else(|| wrong("it is before the start".to_owned()))?;
        let created: Created = decode(&setup.data).map_err(|error| wrong(error.to_string()))?;
        let function = created.setup.functions.get(function.unwrap_or(u32::MAX) as usize).cloned();
        function.ok_or_else(|| wrong("it names a function that the chain does not list".to_owned()))
    }
}

/// Reads the event of an actor at a position.
pub(super) fn read_recorded(folder: &Path, actor: Id, position: FramePosition) -> std::io::Result<RecordedEvent> {
    recorded(read_event(folder, actor, position, ..)?)
}

/// Returns the event with its data.
///
/// # Errors
/// Its data was dropped.
fn recorded(event: StoredEvent) -> std::io::Result<RecordedEvent> {
    let StoredEvent { header, hash, data, .. } = event;
    let dropped = || {
        let what = format!("the data of event {} was dropped", header.sequence);
        std::io::Error::new(std::io::ErrorKind::InvalidData, what)
    };
    Ok(RecordedEvent { data: data.ok_or_else(dropped)?, header, hash })
}

fn snapshot(event: &RecordedEvent) -> std::io::Result<Snapshot> {
    decode(&event.data).map_err(|error| wrong(error.to_string()))
}

fn wrong(what: String) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, what)
}

fn no_start() -> std::io::Error {
    wrong("the chain does not begin with a start".to_owned())
}
