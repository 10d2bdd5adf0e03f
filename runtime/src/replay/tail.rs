//! The state of an actor after an event, from the nearest snapshot before it.
//!
//! One forward pass keeps only what follows the last snapshot or start, then replays it. This is the forward
//! counterpart of the backward reader of a resume: it also works on an exported file, which has no index.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use theater_plugin_api::encoding::decode;

use theater_chain::event::Id;
use theater_chain::record::{Created, FunctionRecord, Kind, Snapshot, Stopped};
use theater_chain::verify::{self, Event};

use crate::actor::{BY_ITSELF, BY_PROGRAM, TO_RESTART};
use crate::replay::error::{DROPPED, cannot, data_of};
use crate::replay::parts::{MEMORY, Parts};
use crate::replay::past::{QueuedEvent, RecordedEvent};
use crate::replay::report::Difference;
use crate::replay::resume::resume;
use crate::support::error::Error;
use crate::wasm::engine::Engines;

/// The state of an actor after an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateAt {
    /// The sequence of that event.
    pub sequence: u64,
    /// The state.
    pub state: Option<Vec<u8>>,
}

/// Returns the state of an actor after event `at`, or at the end of its chain: re-executes the calls after the last
/// snapshot before it.
///
/// # Errors
/// The errors of [`replay`](super::replay()), and `J0005` when there is no such event. The inner error is the first
/// difference.
pub fn state(
    path: &Path,
    actor: Id,
    objects: &Path,
    at: Option<u64>,
) -> Result<Result<StateAt, Box<Difference>>, Error> {
    let parts = Parts::new(Arc::new(Engines::new(MEMORY)?), objects);
    let mut tail = Tail::default();
    let mut failed = None;
    verify::read(path, |event| {
        let is_wanted = event.header.actor == actor && at.is_none_or(|at| event.header.sequence <= at);
        if is_wanted && failed.is_none() {
            failed = tail.observe(event).err();
        }
    })?;
    if let Some(failed) = failed {
        return Err(failed);
    }
    let missing = || theater_chain::Error::NoSuchEvent {
        id: at.map_or_else(|| "0".to_owned(), |at| at.to_string()),
        path: path.to_owned(),
    };
    let newest = tail.newest.filter(|newest| at.is_none_or(|at| at == *newest)).ok_or_else(missing)?;
    let setup = tail.setup.ok_or_else(|| cannot(0, "the chain does not begin with a start"))?;
    if let Some(sequence) = tail.dropped {
        return Err(cannot(sequence, DROPPED));
    }
    let left = resume(path, &parts, &setup, tail.base.as_ref(), &tail.queued, &tail.past, false)?;
    Ok(left.map(|left| StateAt { sequence: newest, state: left.state.get().map(<[u8]>::to_vec) }))
}

/// The tail of a chain while it is read: the last start or snapshot, the calls that waited then, and the events after
/// it.
#[derive(Default)]
struct Tail {
    newest: Option<u64>,
    setup: Option<RecordedEvent>,
    /// A change of parts after the base. It becomes the setup at the next snapshot.
    swapped: Option<RecordedEvent>,
    functions: Vec<FunctionRecord>,
    base: Option<Snapshot>,
    queued: Vec<QueuedEvent>,
    past: Vec<RecordedEvent>,
    /// Calls that have not ended, and the sequences of those that have begun.
    waiting: BTreeMap<u64, QueuedEvent>,
    begun: HashSet<u64>,
    /// An event after the base whose data was dropped.
    dropped: Option<u64>,
}

impl Tail {
    /// Takes the next event of the chain.
    fn observe(&mut self, event: &Event<'_>) -> Result<(), Error> {
        let header = &event.header;
        let (sequence, call) = (header.sequence, header.call.unwrap_or(u64::MAX));
        self.newest = Some(sequence);
        let Some(data) = event.data else {
            // No error yet: only events after the base are needed.
            self.dropped = Some(sequence);
            return Ok(());
        };
        let past = RecordedEvent { header: header.clone(), hash: event.hash, data: data.to_vec() };
        match Kind::from_number(header.kind) {
            Some(Kind::Created | Kind::Restarted) => {
                self.functions = data_of::<Created>(event)?.setup.functions;
                // Calls that had begun ended with the run of the actor, and so did `init`.
                let begun = std::mem::take(&mut self.begun);
                self.waiting.retain(|queued, queue| !begun.contains(queued) && !queue.function.is_init());
                (self.setup, self.swapped) = (Some(past), None);
                self.begin(None);
                return Ok(());
            }
            Some(Kind::Snapshot) => {
                let snapshot: Snapshot = data_of(event)?;
                self.waiting.retain(|queued, _| snapshot.waiting.contains(queued));
                self.setup = self.swapped.take().or(self.setup.take());
                // A waiting call that is unknown is one whose data was dropped.
                let is_whole = snapshot.waiting.len() == self.waiting.len();
                self.begin(Some(snapshot));
                self.dropped = (!is_whole).then_some(sequence);
                return Ok(());
            }
            Some(Kind::Swapped) => {
                self.functions = data_of::<Created>(event)?.setup.functions;
                self.swapped = Some(past.clone());
            }
            Some(Kind::Queued) => {
                let function = self.functions.get(header.function.unwrap_or(u32::MAX) as usize).cloned();
                let function =
                    function.ok_or_else(|| cannot(sequence, "it names a function that the chain does not list"))?;
                self.waiting.insert(sequence, QueuedEvent { event: past.clone(), function });
            }
            Some(Kind::Host | Kind::Intent) => {
                self.begun.insert(call);
            }
            Some(Kind::Return) => {
                self.begun.remove(&call);
                self.waiting.remove(&call);
            }
            Some(Kind::Released | Kind::Stopped) if ends_for_good(&past) => self.waiting.clear(),
            _ => {}
        }
        self.past.push(past);
        Ok(())
    }

    /// Starts over from a new base.
    fn begin(&mut self, base: Option<Snapshot>) {
        self.base = base;
        self.queued = self.waiting.values().cloned().collect();
        self.past.clear();
        self.dropped = None;
    }
}

/// Returns whether an event ends the actor in a way that leaves no call waiting for a later run.
pub(crate) fn ends_for_good(event: &RecordedEvent) -> bool {
    match decode::<Stopped>(&event.data) {
        Ok(stopped) if event.header.kind == Kind::Stopped as u8 => {
            ![BY_ITSELF, TO_RESTART, BY_PROGRAM].contains(&stopped.reason.as_str())
        }
        _ => event.header.kind == Kind::Released as u8,
    }
}
