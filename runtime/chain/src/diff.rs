//! `chain diff`: compares two chains event by event, up to the first difference.
//!
//! Two runs of the same manifest with the same inputs are identical, although their ids, times and hashes differ. Each pair of
//! events is compared by:
//! - type, function name, call, and whether the event has a cause;
//! - of a start (`created`, `restarted`, `swapped`): manifest, component, handlers with their plugins and configs, functions,
//!   limits, instance policy, initial state and engine; not name, parent and path of the manifest;
//! - of `queued`: the params; not the description of the caller;
//! - of `host`: arguments and result; of a result that is a range of the chain, the range;
//! - of `return`: how the call ended, how many host calls it made, and the new state;
//! - of `snapshot`: the state and the waiting calls; not the states of handlers;
//! - of `sealed`: the key;
//! - of all others: the data.
//!
//! The id of the first actor in its data equals the id of the second actor in its, as text or as 16 bytes. Returns have only a
//! digest of the new state. If two digests differ, both states are computed by replay. If these are equal except for the ids,
//! later states are compared by length only, and the result says so.
//!
//! A separate thread reads the first chain, a few events ahead; the caller's thread reads the second one.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use theater_encoding::{Bytes, uuid_text};
use theater_encoding::{decode, encode};

use crate::error::Error;
use crate::event::{Hash, Header, Id};
use crate::event_text::{EventFormatter, EventText};
use crate::objects::Objects;
use crate::record::{Created, FunctionRecord, HostCall, HostResult, Kind, Queued, Return, Sealed, Snapshot};
use crate::verify::{self, Event, created};

/// Number of events by which the first chain is read ahead.
const AHEAD: usize = 16;
/// The difference of two returns whose new states have different digests.
const STATE: &str = "its new state differs";

/// A chain and its location.
#[derive(Debug, Clone)]
pub struct Source {
    /// A data folder, or the file of an exported chain.
    pub path: PathBuf,
    /// The chain's actor.
    pub actor: Id,
    /// The data folder with the objects that the chain refers to.
    pub objects: PathBuf,
}

/// The result of a comparison.
#[derive(Debug, Clone, Default)]
pub struct Comparison {
    /// The number of equal events, from the first one on.
    pub same: u64,
    /// The number of further events of each chain, if one is a prefix of the other.
    pub more: [u64; 2],
    /// The first event that differs.
    pub difference: Option<Difference>,
    /// The event from which on states were compared by length only.
    pub by_length: Option<u64>,
}

/// The first event that differs.
#[derive(Debug, Clone)]
pub struct Difference {
    /// A description of the difference.
    pub what: &'static str,
    /// The two events.
    pub sides: [DiffEvent; 2],
}

/// An event for display.
#[derive(Debug, Clone)]
pub struct DiffEvent {
    /// The event as text.
    pub described: EventText,
    header: Header,
    hash: Hash,
}

impl DiffEvent {
    /// The event, without its data.
    #[must_use]
    pub fn event(&self) -> Event<'_> {
        Event { header: self.header.clone(), hash: self.hash, data: None }
    }
}

/// Computes the state after an event by replay; none if that is not possible. The inner option is the state.
pub type StateAt<'a> = dyn Fn(&Source, u64) -> Option<Option<Vec<u8>>> + 'a;

/// Compares two chains. `state_at` is called for two states of equal length whose digests differ.
///
/// # Errors
/// Either chain cannot be read or does not verify.
pub fn diff(first: &Source, second: &Source, state_at: &StateAt<'_>) -> Result<Comparison, Error> {
    let (sender, receiver) = sync_channel(AHEAD);
    let no_thread = |source| Error::Read { path: first.path.clone(), source };
    thread::scope(|scope| {
        let ahead = thread::Builder::new().name("theater-diff".to_owned());
        let ahead = ahead.spawn_scoped(scope, move || read_ahead(first, &sender)).map_err(no_thread)?;
        let compared = compare([first, second], receiver, state_at);
        ahead.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        compared
    })
}

/// An event that was read, with its data.
struct OwnedEvent {
    header: Header,
    hash: Hash,
    data: Option<Vec<u8>>,
}

/// Sends the events of a chain until the receiver is dropped.
fn read_ahead(source: &Source, sender: &SyncSender<OwnedEvent>) -> Result<(), Error> {
    let mut is_wanted = true;
    verify::read(&source.path, |event| {
        if is_wanted && event.header.actor == source.actor {
            let (header, data) = (event.header.clone(), event.data.map(<[u8]>::to_vec));
            is_wanted = sender.send(OwnedEvent { header, hash: event.hash, data }).is_ok();
        }
    })?;
    Ok(())
}

/// Compares the events of the second chain with those received from the first. Both are read to the end, so that damage is
/// found.
fn compare(
    [first, second]: [&Source; 2],
    receiver: Receiver<OwnedEvent>,
    state_at: &StateAt<'_>,
) -> Result<Comparison, Error> {
    let mut walk = Walk { sides: [Side::new(first), Side::new(second)], comparison: Comparison::default(), state_at };
    let mut receiver = Some(receiver);
    verify::read(&second.path, |event| {
        if event.header.actor != second.actor || walk.comparison.difference.is_some() {
            return;
        }
        match receiver.as_ref().and_then(|receiver| receiver.recv().ok()) {
            Some(taken) => walk.pair(&taken, event),
            None => walk.comparison.more[1] += 1,
        }
        // No further events of the first chain are needed.
        receiver.take_if(|_| walk.comparison.difference.is_some());
    })?;
    walk.comparison.more[0] = receiver.iter().flatten().count() as u64;
    Ok(walk.comparison)
}

struct Walk<'a> {
    sides: [Side<'a>; 2],
    comparison: Comparison,
    state_at: &'a StateAt<'a>,
}

/// One of the two chains, as far as it was read.
struct Side<'a> {
    source: &'a Source,
    functions: Vec<FunctionRecord>,
    describer: EventFormatter,
}

impl Walk<'_> {
    /// Compares the next events of both chains.
    fn pair(&mut self, taken: &OwnedEvent, event: &Event<'_>) {
        let taken = Event { header: taken.header.clone(), hash: taken.hash, data: taken.data.as_deref() };
        let [first, second] = &mut self.sides;
        first.learn(&taken);
        second.learn(event);
        let what = first.header_differs(second, &taken.header, &event.header).or_else(|| {
            let own = [first.source.actor, second.source.actor];
            data_differs(own, &taken, event)
        });
        let is_same = what.is_none_or(|what| what == STATE && self.states_are_same(event.header.sequence));
        match what.filter(|_| !is_same) {
            None => self.comparison.same += 1,
            Some(what) => {
                let [first, second] = &mut self.sides;
                let sides = [first.shown(&taken), second.shown(event)];
                self.comparison.difference = Some(Difference { what, sides });
            }
        }
    }

    /// Whether the states after an event, whose digests differ, are equal except for the actors' ids.
    fn states_are_same(&mut self, sequence: u64) -> bool {
        if self.comparison.by_length.is_none() {
            let [first, second] = self.sides.each_ref().map(|side| side.state(sequence, self.state_at));
            if first.is_some() && first == second {
                self.comparison.by_length = Some(sequence);
            }
        }
        self.comparison.by_length.is_some()
    }
}

impl<'a> Side<'a> {
    fn new(source: &'a Source) -> Self {
        Self { source, functions: Vec::new(), describer: EventFormatter::new(Some(Objects::new(&source.objects))) }
    }

    /// Takes over the functions and types that later events refer to, if the event is a start.
    fn learn(&mut self, event: &Event<'_>) {
        if let Some(created) = created(event) {
            self.functions = created.setup.functions;
            self.describer.describe(event);
        }
    }

    fn function(&self, header: &Header) -> Option<(&str, &str)> {
        let record = self.functions.get(header.function? as usize)?;
        Some((&record.interface, &record.function))
    }

    fn header_differs(&self, other: &Self, one: &Header, two: &Header) -> Option<&'static str> {
        if one.kind != two.kind {
            Some("its type differs")
        } else if self.function(one) != other.function(two) {
            Some("its function differs")
        } else if one.call != two.call {
            Some("its call differs")
        } else if one.cause.is_some() != two.cause.is_some() {
            Some("only one of the two has a cause")
        } else {
            None
        }
    }

    /// The state after an event, without the actor's id; none if it cannot be computed.
    fn state(&self, sequence: u64, state_at: &StateAt<'_>) -> Option<Option<Vec<u8>>> {
        let state = state_at(self.source, sequence)?;
        Some(state.map(|state| without_id(state, &self.source.actor)))
    }

    fn shown(&mut self, event: &Event<'_>) -> DiffEvent {
        DiffEvent { described: self.describer.describe(event), header: event.header.clone(), hash: event.hash }
    }
}

/// Compares the data of two events of one type. Returns a description of the difference.
fn data_differs(own: [Id; 2], one: &Event<'_>, two: &Event<'_>) -> Option<&'static str> {
    let whole = "its data differs";
    let (Some(first), Some(second)) = (one.data, two.data) else {
        // Of deleted data, length and digest remain.
        let is_same = (one.header.length, &one.header.tail) == (two.header.length, &two.header.tail);
        return (!is_same).then_some(whole);
    };
    if first == second {
        return None;
    }
    let kind = Kind::from_number(one.header.kind);
    let [first, second] = [first, second].map(|data| kind.and_then(|kind| parts(kind, data)).unwrap_or_default());
    if first.len() != second.len() || first.is_empty() {
        return Some(whole);
    }
    let mut pairs = first.into_iter().zip(second);
    let differs = |first: Vec<u8>, second: Vec<u8>| {
        let [of_first, of_second] = own;
        first != second && without_id(first, &of_first) != without_id(second, &of_second)
    };
    pairs.find_map(|((what, first), (_, second))| differs(first, second).then_some(what))
}

/// The parts of an event's data that are compared, each with the description of a difference; none if the data does not decode.
fn parts(kind: Kind, data: &[u8]) -> Option<Vec<(&'static str, Vec<u8>)>> {
    Some(match kind {
        Kind::Created | Kind::Restarted | Kind::Swapped => {
            let Created { setup, init_state, engine, .. } = decode(data).ok()?;
            let mut functions = setup.functions;
            functions.sort_by(|a, b| (&a.interface, &a.function).cmp(&(&b.interface, &b.function)));
            vec![
                ("its manifest differs", setup.manifest.into_bytes()),
                ("its component differs", setup.component.into_bytes()),
                ("its handlers differ", encode(&setup.handlers).ok()?),
                ("its functions differ", encode(&functions).ok()?),
                ("its limits differ", encode(&setup.limits).ok()?),
                ("its instance policy differs", setup.instance.into_bytes()),
                ("its initial state differs", encode(&init_state).ok()?),
                ("its engine differs", engine.into_bytes()),
            ]
        }
        Kind::Queued => {
            let Queued { params, .. } = decode(data).ok()?;
            vec![("its params differ", params.into_vec())]
        }
        Kind::Host => {
            let HostCall { arguments, mut result } = decode(data).ok()?;
            if let HostResult::Chain { head, digest, .. } = &mut result {
                (*head, *digest) = (Bytes::default(), Bytes::default());
            }
            let result = encode(&result).ok()?;
            vec![("its arguments differ", arguments.into_vec()), ("its result differs", result)]
        }
        Kind::Return => {
            let Return { outcome, host_calls, state } = decode(data).ok()?;
            let is_changed = state.is_some();
            let (length, digest) = state.map(|state| (state.length, state.digest)).unzip();
            vec![
                ("the call ends differently", encode(&outcome).ok()?),
                ("the number of host calls differs", encode(&host_calls).ok()?),
                ("only one of the two changes the state", encode(&is_changed).ok()?),
                ("the length of its new state differs", encode(&length).ok()?),
                (STATE, encode(&digest).ok()?),
            ]
        }
        Kind::Snapshot => {
            let Snapshot { state, waiting, .. } = decode(data).ok()?;
            vec![("its state differs", encode(&state).ok()?), ("its waiting calls differ", encode(&waiting).ok()?)]
        }
        Kind::Sealed => {
            let Sealed { key, .. } = decode(data).ok()?;
            vec![("its key differs", key.into_vec())]
        }
        _ => vec![("its data differs", data.to_vec())],
    })
}

/// Replaces each occurrence of the id by zeros of the same length.
fn without_id(mut bytes: Vec<u8>, id: &Id) -> Vec<u8> {
    for form in [uuid_text(id).as_bytes(), id] {
        let mut at = 0;
        while let Some(found) = bytes.get(at..).and_then(|rest| rest.windows(form.len()).position(|part| part == form))
        {
            let start = at + found;
            at = start + form.len();
            if let Some(part) = bytes.get_mut(start..at) {
                part.fill(0);
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Outcome, StateDigest};

    const IDS: [Id; 2] = [[0xab; 16], [0xcd; 16]];

    fn event(kind: Kind, data: &[u8]) -> Event<'_> {
        let header = Header {
            actor: [0; 16],
            sequence: 0,
            parent: [0; 32],
            skip: [0; 32],
            kind: kind as u8,
            function: None,
            timestamp: 0,
            cause: None,
            call: None,
            length: data.len() as u64,
            tail: data.to_vec(),
        };
        Event { header, hash: [0; 32], data: Some(data) }
    }

    fn differs(kind: Kind, first: &impl serde::Serialize, second: &impl serde::Serialize) -> Option<&'static str> {
        let [first, second] = [encode(first).unwrap(), encode(second).unwrap()];
        data_differs(IDS, &event(kind, &first), &event(kind, &second))
    }

    #[test]
    fn the_actors_ids_and_descriptions_of_callers_are_not_compared() {
        let queued =
            |source: &str, params: String| Queued { source: source.to_owned(), params: params.into_bytes().into() };
        let [first, second] = IDS.map(|id| uuid_text(&id));
        let own = |id: &str| format!("I am {id}, {id}!");
        assert_eq!(differs(Kind::Queued, &queued("a", own(&first)), &queued("b", own(&second))), None);
        let others = differs(Kind::Queued, &queued("a", own(&first)), &queued("a", own(&first.replace('a', "e"))));
        assert_eq!(others, Some("its params differ"));
        // An actor's data may contain the id of the other one: this is a difference.
        let swapped = differs(Kind::Queued, &queued("a", own(&second)), &queued("a", own(&first)));
        assert_eq!(swapped, Some("its params differ"));
        let raw =
            IDS.map(|id| Snapshot { state: Some(id.as_slice().into()), handlers: Vec::new(), waiting: Vec::new() });
        assert_eq!(differs(Kind::Snapshot, &raw[0], &raw[1]), None);
    }

    #[test]
    fn each_difference_has_a_description() {
        let call = |arguments: &[u8], head: &[u8], to| HostCall {
            arguments: arguments.into(),
            result: HostResult::Chain { from: 0, to, head: head.into(), digest: head.into() },
        };
        assert_eq!(differs(Kind::Host, &call(b"a", b"b", 1), &call(b"a", b"c", 1)), None);
        assert_eq!(differs(Kind::Host, &call(b"a", b"b", 1), &call(b"b", b"b", 1)), Some("its arguments differ"));
        assert_eq!(differs(Kind::Host, &call(b"a", b"b", 1), &call(b"a", b"b", 2)), Some("its result differs"));
        let returned = |text: &str, host_calls, digest: &[u8]| Return {
            outcome: Outcome::Err(text.to_owned()),
            host_calls,
            state: Some(StateDigest { length: 1, digest: digest.into() }),
        };
        let whole = returned("a", 1, b"d");
        let cases = [
            (returned("b", 2, b"e"), "the call ends differently"),
            (returned("a", 2, b"e"), "the number of host calls differs"),
            (Return { state: None, ..whole.clone() }, "only one of the two changes the state"),
            (returned("a", 1, b"e"), STATE),
        ];
        for (other, what) in cases {
            assert_eq!(differs(Kind::Return, &whole, &other), Some(what));
        }
        assert_eq!(differs(Kind::Failed, &"a", &"b"), Some("its data differs"));
    }

    #[test]
    fn deleted_data_is_compared_by_its_digest() {
        let data = encode(&"some").unwrap();
        let kept = event(Kind::Fault, &data);
        let dropped = Event { data: None, ..event(Kind::Fault, &data) };
        assert_eq!(data_differs(IDS, &kept, &dropped), None);
        let other = encode(&"thing").unwrap();
        assert_eq!(data_differs(IDS, &event(Kind::Fault, &other), &dropped), Some("its data differs"));
    }
}
