//! Replay: an actor's calls once more, from its chain alone.
//!
//! The component runs as it did; what its host calls gave comes from the chain, and nothing outside is touched. Each host
//! call's arguments, each call's result and each new state is compared with what was recorded, and the first that differs is
//! told. Timestamps are not compared. A call that was interrupted is replayed as far as its recorded host calls go.
//!
//! There it ends, since the recorded component does the same or something is wrong. Another component in its place goes on
//! behind a difference, with the state that it came to itself until the chain has the recorded one, and its calls are counted.
//!
//! Events are read one by one, so memory is that of one call and of the calls that wait.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;
use theater_plugin_api::Bytes;
use theater_plugin_api::encoding::{decode, encode};
use wasmtime::component::{Instance, InstancePre, Linker, LinkerInstance};
use wasmtime::{Store, StoreContextMut, UpdateDeadline, format_err};

use crate::actor::{BY_ITSELF, BY_PROGRAM, TO_RESTART, event_type, trap_text};
use crate::chain::{EventRef, Hash, Header, Id, sha3};
use crate::component::{Component, Components};
use crate::describe::{Described, Describer};
use crate::engine::Engines;
use crate::error::Error;
use crate::executor::block_on;
use crate::index::is_of_calls;
use crate::limiter::Limiter;
use crate::linker::{Define, Defined, OutOfTime, define};
use crate::manifest::{InstanceMode, Limits, is_init};
use crate::objects::Objects;
use crate::plugins::meets;
use crate::record::{
    Created, FunctionRecord, HandlerRecord, HostCall, HostResult, Kind, Outcome, Queued, RESUMED, Renewed, Return,
    Snapshot, Stopped,
};
use crate::shape::Signature;
use crate::state::{Change, State};
use crate::values::{Args, Exchange, Ret, Returned, call_export};
use crate::verify::{self, Event};

/// Memory that the engine is sized by: one instance runs at a time.
const MEMORY: u64 = 64 << 20;
/// For how long a call that was interrupted may run once more.
const INTERRUPTED: Duration = Duration::from_secs(1);

/// What is wanted of a replay.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Another component in place of the recorded one.
    pub component: Option<PathBuf>,
    /// The last event that counts.
    pub until: Option<u64>,
    /// A new instance for each call, whatever was recorded: finds state that is kept in memory.
    pub fresh: bool,
}

/// What a replay found.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Calls that ended as recorded.
    pub calls: u64,
    /// Calls that did not; more than one of a component in place of the recorded one only.
    pub differing: u64,
    /// Their host calls.
    pub host_calls: u64,
    /// Calls that were interrupted, and are the same as far as they were recorded.
    pub interrupted: u64,
    /// Calls that wait or had not ended.
    pub unfinished: u64,
    /// The snapshot that it began at, where data before that was dropped.
    pub begun_at: Option<u64>,
    /// The first thing that differs.
    pub difference: Option<Difference>,
}

/// The first thing that differs.
#[derive(Debug, Clone)]
pub struct Difference {
    /// Sequence of the recorded event.
    pub sequence: u64,
    /// In words.
    pub what: String,
    /// Calls before it that ended as recorded.
    pub before: u64,
    /// Sequence of the call that it belongs to, and the call.
    pub call: (u64, Described),
    /// What the chain has; none where it has nothing.
    pub recorded: Option<Described>,
    /// What came now; none where nothing did.
    pub replayed: Option<Described>,
}

/// Replays the chain of an actor, from a data folder or an exported file.
///
/// # Errors
/// Those of reading, and `J0006` when data, a component or a first state is not there any more.
pub fn replay(path: &Path, actor: Id, objects: &Path, options: &Options) -> Result<Report, Error> {
    let parts = Parts::new(Arc::new(Engines::new(MEMORY)?), objects);
    let mut replay = Replay::new(path, &parts, options);
    let mut ended = Ok(());
    verify::read(path, |event| {
        let wanted = event.header.actor == actor && options.until.is_none_or(|until| event.header.sequence <= until);
        if wanted && ended.is_ok() && !replay.is_over() {
            ended = replay.see(event);
        }
    })?;
    ended?;
    if let Some(sequence) = replay.dropped {
        return Err(cannot(sequence, DROPPED));
    }
    if !replay.is_over() && options.until.is_none() {
        replay.unended()?;
    }
    replay.report.unfinished = replay.waiting.len() as u64;
    Ok(replay.report)
}

/// What replays of chains of one data folder have in common.
pub(crate) struct Parts {
    engines: Arc<Engines>,
    objects: Objects,
    components: Components,
    // By digest.
    linked: Mutex<HashMap<String, InstancePre<Guest>>>,
}

impl Parts {
    /// Those of a data folder.
    pub(crate) fn new(engines: Arc<Engines>, data: &Path) -> Self {
        let (components, linked) = (Components::default(), Mutex::default());
        Self { engines, objects: Objects::new(data), components, linked }
    }

    /// The component with host functions that answer from the chain.
    fn linked(&self, component: &Component) -> wasmtime::Result<InstancePre<Guest>> {
        let mut linked = self.linked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = linked.get(&component.digest) {
            return Ok(known.clone());
        }
        let pre = link(&self.engines, component)?;
        linked.insert(component.digest.clone(), pre.clone());
        Ok(pre)
    }
}

/// An event of a chain that is resumed.
#[derive(Clone)]
pub(crate) struct Past {
    pub(crate) header: Header,
    pub(crate) hash: Hash,
    pub(crate) data: Vec<u8>,
}

impl Past {
    fn event(&self) -> Event<'_> {
        Event { header: self.header.clone(), hash: self.hash, data: Some(&self.data) }
    }
}

/// What a chain that breaks off leaves.
pub(crate) struct Left {
    /// The state after the last call that ended.
    pub(crate) state: State,
    /// Calls that wait or had not ended, in order.
    pub(crate) waiting: Vec<LeftCall>,
    /// Every call, of host functions and of exports, in order.
    pub(crate) calls: Vec<PastCall>,
    /// The calls that a kept instance has in its memory.
    pub(crate) made: Vec<MadeCall>,
}

/// A call that has ended and is made once more, for what it leaves in the memory of the instance.
pub(crate) struct MadeCall {
    pub(crate) call: LeftCall,
    /// The state that it was given.
    pub(crate) state: Option<Arc<Vec<u8>>>,
    /// How it ended.
    pub(crate) returned: Return,
}

/// A call of an export that has not ended.
pub(crate) struct LeftCall {
    /// Its `queued` event.
    pub(crate) queued: EventRef,
    /// What led to it.
    pub(crate) cause: Option<EventRef>,
    pub(crate) interface: String,
    pub(crate) function: String,
    pub(crate) params: Bytes,
    /// What it did, if it had begun.
    pub(crate) begun: Option<Unfinished>,
}

impl LeftCall {
    pub(crate) fn is_init(&self) -> bool {
        is_init(&self.interface, &self.function)
    }
}

impl PastCall {
    pub(crate) fn is_init(&self) -> bool {
        self.handler.is_none() && is_init(&self.interface, &self.function)
    }
}

/// As far as a call had come.
#[derive(Default)]
pub(crate) struct Unfinished {
    /// Its host calls, oldest first.
    pub(crate) hosts: VecDeque<Recorded>,
    /// The effect that it was about to have.
    pub(crate) intent: Option<Intent>,
    /// It made no other ones.
    pub(crate) has_ended: bool,
}

/// One of an actor's handlers.
pub(crate) struct Slot {
    pub(crate) handler_type: String,
    /// Counts those of its type.
    pub(crate) number: usize,
}

impl Slot {
    /// The one at `index` of all.
    pub(crate) fn of(handlers: &[HandlerRecord], index: usize) -> Option<Self> {
        let handler_type = handlers.get(index)?.handler_type.clone();
        let number = handlers.iter().take(index).filter(|handler| handler.handler_type == handler_type).count();
        Some(Self { handler_type, number })
    }
}

/// A call that was made.
pub(crate) struct PastCall {
    /// The handler whose host function it is; none for an export.
    pub(crate) handler: Option<Slot>,
    pub(crate) interface: String,
    pub(crate) function: String,
    pub(crate) arguments: Bytes,
    /// The encoded result, of an export as plugins are told of it.
    pub(crate) result: Bytes,
}

/// The state of an actor at some time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateAt {
    /// The event behind which it is.
    pub sequence: u64,
    /// The state.
    pub state: Option<Vec<u8>>,
}

/// The state of an actor behind event `at`, or at the end of its chain: that of the last snapshot before, and the calls behind
/// it once more.
///
/// # Errors
/// As [`replay`], and `J0005` when there is no such event; inside, the first thing that differs.
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
            failed = tail.see(event).err();
        }
    })?;
    if let Some(failed) = failed {
        return Err(failed);
    }
    let missing =
        || Error::NoSuchEvent { id: at.map_or_else(|| "0".to_owned(), |at| at.to_string()), path: path.to_owned() };
    let newest = tail.newest.filter(|newest| at.is_none_or(|at| at == *newest)).ok_or_else(missing)?;
    let setup = tail.setup.ok_or_else(|| cannot(0, "the chain does not begin with a start"))?;
    if let Some(sequence) = tail.dropped {
        return Err(cannot(sequence, DROPPED));
    }
    let left = resume(path, &parts, &setup, tail.base.as_ref(), &tail.queued, &tail.past)?;
    Ok(left.map(|left| StateAt { sequence: newest, state: left.state.get().map(<[u8]>::to_vec) }))
}

/// What an actor goes on from, as its chain is read: the last start or snapshot, what waited then, and all behind it.
#[derive(Default)]
struct Tail {
    newest: Option<u64>,
    setup: Option<Past>,
    /// Of the events behind the base.
    swapped: Option<Past>,
    functions: Vec<FunctionRecord>,
    base: Option<Snapshot>,
    queued: Vec<Queue>,
    past: Vec<Past>,
    /// Calls that have not ended, and those of them that have begun.
    waiting: BTreeMap<u64, Queue>,
    begun: HashSet<u64>,
    /// An event behind the base whose data is not there.
    dropped: Option<u64>,
}

impl Tail {
    fn see(&mut self, event: &Event<'_>) -> Result<(), Error> {
        let header = &event.header;
        let (sequence, call) = (header.sequence, header.call.unwrap_or(u64::MAX));
        self.newest = Some(sequence);
        let Some(data) = event.data else {
            // Only what is behind the base is needed.
            self.dropped = Some(sequence);
            return Ok(());
        };
        let past = Past { header: header.clone(), hash: event.hash, data: data.to_vec() };
        match Kind::from_number(header.kind) {
            Some(Kind::Created | Kind::Restarted) => {
                self.functions = data_of::<Created>(event)?.setup.functions;
                // A call that had begun ended with its life, and so did its start.
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
                // A call that waited and is not known is one whose data was dropped.
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
                self.waiting.insert(sequence, Queue { event: past.clone(), function });
            }
            Some(Kind::Host | Kind::Intent) => {
                self.begun.insert(call);
            }
            Some(Kind::Return) => {
                self.begun.remove(&call);
                self.waiting.remove(&call);
            }
            Some(Kind::Released | Kind::Stopped) if is_for_good(&past) => self.waiting.clear(),
            _ => {}
        }
        self.past.push(past);
        Ok(())
    }

    fn begin(&mut self, base: Option<Snapshot>) {
        self.base = base;
        self.queued = self.waiting.values().cloned().collect();
        self.past.clear();
        self.dropped = None;
    }
}

/// Whether an end, or what follows it, is one that leaves nothing waiting: the actor begins anew if it is started again.
pub(crate) fn is_for_good(event: &Past) -> bool {
    match decode::<Stopped>(&event.data) {
        Ok(stopped) if event.header.kind == Kind::Stopped as u8 => {
            ![BY_ITSELF, TO_RESTART, BY_PROGRAM].contains(&stopped.reason.as_str())
        }
        _ => event.header.kind == Kind::Released as u8,
    }
}

/// A call that was queued before the events that are replayed, and the export it is of.
#[derive(Clone)]
pub(crate) struct Queue {
    pub(crate) event: Past,
    pub(crate) function: FunctionRecord,
}

/// Replays `past`: what a chain has behind `base`, or behind the start that `setup` is, where `queued` waited.
///
/// # Errors
/// As [`replay`]; inside, the first thing that differs.
pub(crate) fn resume(
    path: &Path,
    parts: &Parts,
    setup: &Past,
    base: Option<&Snapshot>,
    queued: &[Queue],
    past: &[Past],
) -> Result<Result<Left, Box<Difference>>, Error> {
    let options = Options::default();
    let mut replay = Replay::new(path, parts, &options);
    replay.describer = Describer::mute();
    replay.begin(&setup.event())?;
    if let (Some(life), Some(snapshot)) = (&mut replay.life, base) {
        life.state = State::new(snapshot.state.as_ref().map(|state| Arc::new(state.to_vec())));
    }
    replay.calls = Some(Vec::new());
    replay.made = Some(Vec::new());
    for Queue { event, function } in queued {
        replay.queue(&event.event(), function.clone())?;
    }
    for event in past {
        replay.see(&event.event())?;
        if let Some(difference) = replay.report.difference.take() {
            return Ok(Err(Box::new(difference)));
        }
    }
    replay.left().map(Ok)
}

struct Replay<'a> {
    path: &'a Path,
    parts: &'a Parts,
    options: &'a Options,
    describer: Describer,
    life: Option<Life>,
    /// Calls that were queued and have not ended, by their sequence.
    waiting: HashMap<u64, Waiting>,
    /// Host calls of the call that runs.
    hosts: VecDeque<Recorded>,
    /// What it was about to do, if it did not come to that.
    intent: Option<Intent>,
    report: Report,
    /// Every call, when they are wanted.
    calls: Option<Vec<PastCall>>,
    /// Those that a kept instance has in its memory, when they are wanted.
    made: Option<Vec<MadeCall>>,
    /// An event whose data was dropped, until a snapshot stands for it.
    dropped: Option<u64>,
}

/// A host call that was about to be made.
#[derive(Clone)]
pub(crate) struct Intent {
    header: Header,
    pub(crate) interface: String,
    pub(crate) function: String,
    pub(crate) arguments: Vec<u8>,
}

/// Of a call: what its host calls gave, and what it was about to do at its end.
struct Answers {
    hosts: VecDeque<Recorded>,
    intent: Option<Intent>,
    /// The call was interrupted behind them.
    interrupted: bool,
}

/// What is the same from one `created` or `restarted` event to the next.
struct Life {
    component: Arc<Component>,
    pre: InstancePre<Guest>,
    functions: Vec<FunctionRecord>,
    handlers: Vec<HandlerRecord>,
    limits: Limits,
    state: State,
    /// Its instance lasts, also where another program goes on.
    is_kept: bool,
    instance: Option<(Store<Guest>, Instance)>,
}

#[derive(Clone)]
struct Waiting {
    queued: EventRef,
    cause: Option<EventRef>,
    interface: String,
    function: String,
    params: Bytes,
    event: Past,
    /// Where it stands among the calls, when they are wanted.
    place: usize,
}

/// A host call as it was recorded.
#[derive(Clone)]
pub(crate) struct Recorded {
    header: Header,
    pub(crate) interface: String,
    pub(crate) function: String,
    pub(crate) call: HostCall,
}

/// What the store of an instance holds.
struct Guest {
    limiter: Limiter,
    limit_ms: u64,
    deadline: Instant,
    /// What the running call's host calls give, in order.
    answers: Answers,
    made: u64,
    differs: Option<HostDifference>,
}

/// A host call that is not the recorded one.
struct HostDifference {
    what: &'static str,
    recorded: Option<Recorded>,
    /// Interface and function, and the arguments.
    made: Option<(String, String, Vec<u8>)>,
}

/// How a call ended now.
struct Ran {
    outcome: Outcome,
    state: Option<Vec<u8>>,
    made: u64,
    left: VecDeque<Recorded>,
    differs: Option<HostDifference>,
    /// It was interrupted, and had no time to come as far as it was recorded.
    is_cut: bool,
}

impl<'a> Replay<'a> {
    fn new(path: &'a Path, parts: &'a Parts, options: &'a Options) -> Self {
        Self {
            path,
            parts,
            options,
            describer: Describer::new(Some(parts.objects.again())),
            life: None,
            waiting: HashMap::new(),
            hosts: VecDeque::new(),
            intent: None,
            report: Report::default(),
            calls: None,
            made: None,
            dropped: None,
        }
    }

    /// Whether what differs ends it.
    fn is_over(&self) -> bool {
        self.report.difference.is_some() && self.options.component.is_none()
    }

    /// Something differs: the first of all is told.
    fn differs(&mut self, tell: impl FnOnce(&mut Self) -> Difference) {
        if self.report.difference.is_none() {
            let difference = tell(self);
            self.report.difference = Some(difference);
        }
    }

    fn drop_instance(&mut self) {
        if let Some(life) = &mut self.life {
            life.instance = None;
        }
        if let Some(made) = &mut self.made {
            made.clear();
        }
    }

    /// A call differs. What its instance keeps in memory is that of no call that was recorded.
    fn call_differs(&mut self, tell: impl FnOnce(&mut Self) -> Difference) {
        self.differs(tell);
        self.report.differing += 1;
        self.drop_instance();
    }

    fn see(&mut self, event: &Event<'_>) -> Result<(), Error> {
        let header = &event.header;
        if event.data.is_none() && is_of_calls(header.kind) {
            self.dropped = Some(header.sequence);
        }
        if self.dropped.is_some() {
            return self.pass_over(event);
        }
        match Kind::from_number(header.kind) {
            Some(Kind::Created | Kind::Restarted) => self.begin(event)?,
            Some(Kind::Swapped) => self.swap(event)?,
            Some(Kind::Snapshot) => self.snapshot(event)?,
            Some(Kind::Instance) => {
                let is_kept = self.life.as_ref().is_some_and(|life| life.is_kept);
                if !is_kept || data_of::<Renewed>(event)?.reason != RESUMED {
                    self.drop_instance();
                }
            }
            Some(Kind::Queued) => {
                let function = self.function(event)?;
                self.queue(event, function)?;
            }
            Some(Kind::Intent) => {
                let arguments = event.data.ok_or_else(|| cannot(header.sequence, DROPPED))?.to_vec();
                let FunctionRecord { interface, function, .. } = self.function(event)?;
                self.intent = Some(Intent { header: header.clone(), interface, function, arguments });
            }
            Some(Kind::Host) => {
                let call: HostCall = data_of(event)?;
                let FunctionRecord { interface, function, handler } = self.function(event)?;
                let handlers = self.life.as_ref().map(|life| life.handlers.as_slice()).unwrap_or_default();
                let handler = handler.and_then(|index| Slot::of(handlers, index as usize));
                if let (Some(calls), HostResult::Value(result)) = (&mut self.calls, &call.result) {
                    let (interface, function) = (interface.clone(), function.clone());
                    let (arguments, result) = (call.arguments.clone(), result.clone());
                    calls.push(PastCall { handler, interface, function, arguments, result });
                }
                if let Some(intent) = self.intent.take_if(|intent| intent.header.call == header.call)
                    && (intent.function != function
                        || !meets(&intent.interface, &interface)
                        || call.arguments.as_ref() != intent.arguments.as_slice())
                {
                    self.intended_otherwise(event, &intent)?;
                }
                self.hosts.push_back(Recorded { header: header.clone(), interface, function, call });
            }
            Some(Kind::Return) => self.call(event)?,
            _ => {}
        }
        Ok(())
    }

    /// Calls whose data was dropped cannot be made again: it goes on at the snapshot that stands for them, with the calls that
    /// waited then.
    fn pass_over(&mut self, event: &Event<'_>) -> Result<(), Error> {
        self.hosts.clear();
        self.intent = None;
        match Kind::from_number(event.header.kind) {
            Some(Kind::Created | Kind::Restarted) => {
                self.dropped = None;
                self.begin(event)?;
            }
            Some(Kind::Swapped) => self.swap(event)?,
            Some(Kind::Return) => {
                self.waiting.remove(&event.header.call.unwrap_or(u64::MAX));
            }
            Some(Kind::Queued) if event.data.is_some() => {
                let function = self.function(event)?;
                self.queue(event, function)?;
            }
            Some(Kind::Snapshot) if event.data.is_some() => {
                let snapshot: Snapshot = data_of(event)?;
                if !snapshot.waiting.iter().all(|queued| self.waiting.contains_key(queued)) {
                    // A later one stands for this one too.
                    return Ok(());
                }
                self.waiting.retain(|queued, _| snapshot.waiting.contains(queued));
                if let Some(life) = &mut self.life {
                    life.state = State::new(snapshot.state.map(|state| Arc::new(state.into_vec())));
                    life.instance = None;
                }
                self.dropped = None;
                self.report.begun_at = Some(event.header.sequence);
            }
            _ => {}
        }
        Ok(())
    }

    fn queue(&mut self, event: &Event<'_>, function: FunctionRecord) -> Result<(), Error> {
        let header = &event.header;
        let queued: Queued = data_of(event)?;
        let FunctionRecord { interface, function, .. } = function;
        let place = self.calls.as_ref().map_or(0, Vec::len);
        if let Some(calls) = &mut self.calls {
            let (interface, function) = (interface.clone(), function.clone());
            let (arguments, result) = (queued.params.clone(), Bytes::from(NOT_ENDED));
            calls.push(PastCall { handler: None, interface, function, arguments, result });
        }
        let (cause, params) = (header.cause, queued.params);
        let queued = EventRef { actor: header.actor, sequence: header.sequence, hash: event.hash };
        let data = event.data.unwrap_or_default().to_vec();
        let event = Past { header: header.clone(), hash: event.hash, data };
        self.waiting.insert(header.sequence, Waiting { queued, cause, interface, function, params, event, place });
        Ok(())
    }

    fn function(&self, event: &Event<'_>) -> Result<FunctionRecord, Error> {
        let index = event.header.function.unwrap_or(u32::MAX) as usize;
        let found = self.life.as_ref().and_then(|life| life.functions.get(index)).cloned();
        found.ok_or_else(|| cannot(event.header.sequence, "it names a function that the chain does not list"))
    }

    /// The actor starts, or starts again.
    fn begin(&mut self, event: &Event<'_>) -> Result<(), Error> {
        let sequence = event.header.sequence;
        self.unended()?;
        self.hosts.clear();
        self.intent = None;
        self.drop_instance();
        if self.is_over() {
            return Ok(());
        }
        let created: Created = data_of(event)?;
        let state = created.init_state.as_deref().map(|digest| self.object(sequence, digest)).transpose()?;
        self.live(event, created, State::new(state.map(Arc::new)))
    }

    /// The actor goes on with other parts.
    fn swap(&mut self, event: &Event<'_>) -> Result<(), Error> {
        let life = self.life.take();
        let before = life.ok_or_else(|| cannot(event.header.sequence, "the chain does not begin with a start"))?;
        self.live(event, data_of(event)?, before.state)?;
        if let Some(life) = self.life.as_mut().filter(|life| life.is_kept && before.is_kept) {
            life.instance = before.instance;
        }
        Ok(())
    }

    fn live(&mut self, event: &Event<'_>, created: Created, state: State) -> Result<(), Error> {
        let sequence = event.header.sequence;
        self.describer.describe(event);
        let component = self.component(sequence, &created.setup.component)?;
        let pre = self.parts.linked(&component).map_err(|error| cannot(sequence, &format!("{error:#}")))?;
        self.life = Some(Life {
            component,
            pre,
            functions: created.setup.functions,
            handlers: created.setup.handlers,
            limits: Limits::of_list(&created.setup.limits),
            state,
            is_kept: created.setup.instance == InstanceMode::Kept.name(),
            instance: None,
        });
        Ok(())
    }

    fn component(&self, sequence: u64, digest: &str) -> Result<Arc<Component>, Error> {
        let Parts { engines, components, .. } = self.parts;
        let get = |path: &Path, bytes| components.get(&engines.on_demand, false, path, bytes);
        match &self.options.component {
            Some(path) => {
                let unreadable = |error| missing(sequence, format!("the component {}: {error}", path.display()));
                get(path, std::fs::read(path).map_err(unreadable)?)
            }
            None => match components.known(false, digest) {
                Some(known) => Ok(known),
                None => get(Path::new(digest), self.object(sequence, digest)?),
            },
        }
    }

    fn object(&self, sequence: u64, digest: &str) -> Result<Vec<u8>, Error> {
        self.parts.objects.get(digest).map_err(|error| missing(sequence, format!("the object {digest}: {error}")))
    }

    /// The state that was kept is the one that the calls before led to, and the instance is a new one behind it.
    fn snapshot(&mut self, event: &Event<'_>) -> Result<(), Error> {
        let snapshot: Snapshot = data_of(event)?;
        let life = self.life.as_mut();
        let life = life.ok_or_else(|| cannot(event.header.sequence, "the chain does not begin with a start"))?;
        life.instance = None;
        if snapshot.state.as_ref().map(|state| state.as_ref()) == life.state.get() {
            return Ok(());
        }
        let recorded = State::new(snapshot.state.as_ref().map(|state| Arc::new(state.to_vec())));
        let replayed = std::mem::replace(&mut life.state, recorded);
        self.differs(|replay| {
            let replayed = Snapshot { state: replayed.get().map(Bytes::from), ..snapshot };
            let [recorded, replayed] = replay.both(event, &replayed);
            Difference {
                sequence: event.header.sequence,
                what: "the snapshot has another state".to_owned(),
                before: replay.report.calls,
                call: (event.header.sequence, recorded.clone()),
                recorded: Some(recorded),
                replayed: Some(replayed),
            }
        });
        Ok(())
    }

    /// What is left to do where the chain breaks off.
    fn left(mut self) -> Result<Left, Error> {
        let mut hosts = std::mem::take(&mut self.hosts);
        for host in &mut hosts {
            self.read_again(host)?;
        }
        let mut begun: HashMap<u64, Unfinished> = HashMap::new();
        for host in hosts {
            let call = host.header.call.unwrap_or(u64::MAX);
            begun.entry(call).or_default().hosts.push_back(host);
        }
        if let Some(intent) = self.intent.take() {
            let call = intent.header.call.unwrap_or(u64::MAX);
            begun.entry(call).or_default().intent = Some(intent);
        }
        let mut waiting: Vec<_> = self.waiting.into_values().collect();
        waiting.sort_by_key(|waiting| waiting.queued.sequence);
        let waiting = waiting.into_iter().map(|waiting| {
            let Waiting { queued, cause, interface, function, params, .. } = waiting;
            let begun = begun.remove(&queued.sequence);
            LeftCall { queued, cause, interface, function, params, begun }
        });
        let waiting = waiting.collect();
        let state = self.life.map(|life| life.state).unwrap_or_default();
        Ok(Left { state, waiting, calls: self.calls.unwrap_or_default(), made: self.made.unwrap_or_default() })
    }

    /// A call has ended: once more, and the same?
    fn call(&mut self, event: &Event<'_>) -> Result<(), Error> {
        let returned: Return = data_of(event)?;
        let sequence = event.header.sequence;
        let call = event.header.call.unwrap_or(u64::MAX);
        let waiting = self.waiting.remove(&call);
        let waiting = waiting.ok_or_else(|| cannot(sequence, "the call that it ends was not queued"))?;
        if let Some(past) = self.calls.as_mut().and_then(|calls| calls.get_mut(waiting.place)) {
            past.result = match &returned.outcome {
                Outcome::Ok(values) => [ENDED_OK, values.as_ref()].concat().into(),
                _ => Bytes::from(ENDED_OTHERWISE),
            };
        }
        let never_ran = matches!(returned.outcome, Outcome::Interrupted(_)) && returned.host_calls == 0;
        let is_of_it = |header: &Header| header.call == Some(call);
        let did_nothing = !self.hosts.iter().any(|host| is_of_it(&host.header))
            && !self.intent.as_ref().is_some_and(|intent| is_of_it(&intent.header));
        if never_ran && did_nothing {
            // It waited when the program was ended, or did nothing yet that could be compared.
            self.report.interrupted += 1;
            return Ok(());
        }
        let interrupted = match &returned.outcome {
            Outcome::Interrupted(_) => true,
            Outcome::Trap(text) => text.contains(OutOfTime::BEGINNING),
            _ => false,
        };
        let made = self.to_be_made(&waiting, &returned)?;
        let ran = self.run(sequence, call, &waiting, interrupted)?;
        if let Some(differs) = ran.differs {
            self.call_differs(|replay| replay.host_difference(&event.header, (call, &waiting), differs));
            return Ok(());
        }
        match (made, &mut self.made) {
            (Some(made), Some(all)) => all.push(made),
            _ if matches!(returned.outcome, Outcome::Trap(_) | Outcome::Interrupted(_)) => self.drop_instance(),
            _ => {}
        }
        let change = match (&ran.outcome, ran.state, &self.life) {
            (Outcome::Ok(_), Some(state), Some(life)) => life.state.change(state),
            _ => None,
        };
        let digest = change.as_ref().map(Change::digest);
        // How a call that was interrupted would have gone on is no difference.
        let now = match interrupted {
            true => Return {
                host_calls: if ran.is_cut { returned.host_calls } else { ran.made },
                state: None,
                ..returned.clone()
            },
            false => Return { outcome: ran.outcome, host_calls: ran.made, state: digest },
        };
        if let Some(what) = what_differs(&returned, &now) {
            self.call_differs(|replay| {
                let [recorded, replayed] = replay.both(event, &now);
                Difference {
                    sequence,
                    what: what.to_owned(),
                    before: replay.report.calls,
                    call: (call, replay.describer.describe(&waiting.event.event())),
                    recorded: Some(recorded),
                    replayed: Some(replayed),
                }
            });
        } else if interrupted {
            self.report.interrupted += 1;
        } else {
            self.report.calls += 1;
            self.report.host_calls += now.host_calls;
        }
        if let (false, Some(change), Some(life)) = (interrupted, change, &mut self.life) {
            life.state.commit(change);
        }
        Ok(())
    }

    /// A call that a kept instance will have in its memory, if those are wanted.
    fn to_be_made(&self, waiting: &Waiting, returned: &Return) -> Result<Option<MadeCall>, Error> {
        let is_lost = matches!(returned.outcome, Outcome::Trap(_) | Outcome::Interrupted(_));
        let life = self.life.as_ref().filter(|life| life.is_kept && self.made.is_some() && !is_lost);
        let Some(life) = life else { return Ok(None) };
        let Waiting { queued, cause, interface, function, params, .. } = waiting.clone();
        let is_of_it = |host: &&Recorded| host.header.call == Some(queued.sequence);
        let mut hosts: VecDeque<_> = self.hosts.iter().filter(is_of_it).cloned().collect();
        for host in &mut hosts {
            self.read_again(host)?;
        }
        let begun = Some(Unfinished { hosts, intent: None, has_ended: true });
        let call = LeftCall { queued, cause, interface, function, params, begun };
        Ok(Some(MadeCall { call, state: life.state.share(), returned: returned.clone() }))
    }

    /// An event as text, and the same one with the data that it has now.
    fn both(&mut self, event: &Event<'_>, now: &impl Serialize) -> [Described; 2] {
        let data = encode(now).unwrap_or_default();
        let now = Event { data: Some(&data), header: event.header.clone(), ..*event };
        [self.describer.describe(event), self.describer.describe(&now)]
    }

    /// A call that never ended, since the program did: the same as far as it went?
    fn unended(&mut self) -> Result<(), Error> {
        let newest = self.hosts.back().map(|host| &host.header).or(self.intent.as_ref().map(|intent| &intent.header));
        let Some(header) = newest.cloned() else { return Ok(()) };
        let call = header.call.unwrap_or(u64::MAX);
        let Some(waiting) = self.waiting.remove(&call) else {
            self.hosts.clear();
            self.intent = None;
            return Ok(());
        };
        let ran = self.run(header.sequence, call, &waiting, true)?;
        if let Some(differs) = ran.differs {
            self.call_differs(|replay| replay.host_difference(&header, (call, &waiting), differs));
        }
        self.waiting.insert(call, waiting);
        Ok(())
    }

    /// Runs a call with what was recorded of it.
    fn run(&mut self, sequence: u64, call: u64, waiting: &Waiting, interrupted: bool) -> Result<Ran, Error> {
        // Those of a call that waits to be resumed stay.
        let (mut hosts, others): (VecDeque<_>, _) =
            std::mem::take(&mut self.hosts).into_iter().partition(|host| host.header.call == Some(call));
        self.hosts = others;
        for host in &mut hosts {
            self.read_again(host)?;
        }
        let intent = self.intent.take_if(|intent| intent.header.call == Some(call));
        let ticker = Arc::clone(self.parts.engines.ticker());
        let life = self.life.as_mut().ok_or_else(|| cannot(sequence, "the chain does not begin with a start"))?;
        let _running = ticker.running();
        let answers = Answers { hosts, intent, interrupted };
        let mut ran = block_on(life.run(&self.parts.engines, waiting, answers, self.options.fresh));
        if let Some(left) = ran.left.pop_front()
            && ran.differs.is_none()
            && !ran.is_cut
        {
            let what = "a host call was recorded that is not made";
            ran.differs = Some(HostDifference { what, recorded: Some(left), made: None });
        }
        Ok(ran)
    }

    /// What was about to be done is not what was done.
    fn intended_otherwise(&mut self, event: &Event<'_>, intent: &Intent) -> Result<(), Error> {
        let call = event.header.call.unwrap_or(u64::MAX);
        let waiting = self.waiting.get(&call).map(|waiting| waiting.event.clone());
        let waiting =
            waiting.ok_or_else(|| cannot(event.header.sequence, "the call that it belongs to was not queued"))?;
        self.differs(|replay| {
            let data = Some(intent.arguments.as_slice());
            let recorded = replay.describer.describe(&Event { header: intent.header.clone(), hash: event.hash, data });
            let replayed = replay.describer.describe(event);
            Difference {
                sequence: intent.header.sequence,
                what: "the host call behind an intent is not the one that was intended".to_owned(),
                before: replay.report.calls,
                call: (call, replay.describer.describe(&waiting.event())),
                recorded: Some(recorded),
                replayed: Some(replayed),
            }
        });
        Ok(())
    }

    fn host_difference(
        &mut self,
        at: &Header,
        (call, waiting): (u64, &Waiting),
        differs: HostDifference,
    ) -> Difference {
        let HostDifference { what, recorded, made } = differs;
        let call = (call, self.describer.describe(&waiting.event.event()));
        let sequence = recorded.as_ref().map_or(at.sequence, |recorded| recorded.header.sequence);
        let mut described = |header: &Header, function: Option<u32>, kind: Kind, data: &[u8]| {
            let header = Header { kind: kind as u8, function, ..header.clone() };
            self.describer.describe(&Event { header, hash: Hash::default(), data: Some(data) })
        };
        let replayed = made.map(|(interface, function, arguments)| {
            let functions = self.life.as_ref().map(|life| life.functions.as_slice()).unwrap_or_default();
            let index =
                functions.iter().position(|known| known.function == function && meets(&known.interface, &interface));
            let made = described(at, index.map(|index| index as u32), Kind::Intent, &arguments);
            Described { kind: Kind::Host.to_string(), function: Some(format!("{interface}/{function}")), ..made }
        });
        let recorded = recorded.map(|recorded| {
            let data = encode(&recorded.call).unwrap_or_default();
            described(&recorded.header, recorded.header.function, Kind::Host, &data)
        });
        Difference { sequence, what: what.to_owned(), before: self.report.calls, call, recorded, replayed }
    }

    /// What a host call read of a chain is not recorded twice: here it is read once more.
    fn read_again(&self, host: &mut Recorded) -> Result<(), Error> {
        let HostResult::Chain { from, to, head, digest } = &host.call.result else { return Ok(()) };
        let (from, to) = (*from, *to);
        let newest: Hash = head.as_ref().try_into().unwrap_or_default();
        let part = part_of(self.path, &newest, from, to)?;
        let told = tellings(&part);
        let found = told.into_iter().find(|bytes| sha3([bytes.as_slice()])[..] == digest[..]);
        let what = "it read a part of a chain that is not there as it was";
        host.call.result = HostResult::Value(found.ok_or_else(|| cannot(host.header.sequence, what))?.into());
        Ok(())
    }
}

// As plugins are told of the end of an export: `option<result<values, ()>>`.
const NOT_ENDED: &[u8] = &[0];
pub(crate) const ENDED_OK: &[u8] = &[1, 0];
pub(crate) const ENDED_OTHERWISE: &[u8] = &[1, 1];

const DROPPED: &str = "its data was dropped";

fn missing(sequence: u64, what: String) -> Error {
    Error::Replay { sequence, what, is_missing: true }
}

pub(crate) fn cannot(sequence: u64, what: &str) -> Error {
    Error::Replay { sequence, what: what.to_owned(), is_missing: false }
}

pub(crate) fn data_of<T: DeserializeOwned>(event: &Event<'_>) -> Result<T, Error> {
    let data = event.data.ok_or_else(|| cannot(event.header.sequence, DROPPED))?;
    decode(data).map_err(|error| cannot(event.header.sequence, &format!("its data does not decode: {error}")))
}

fn what_differs(recorded: &Return, now: &Return) -> Option<&'static str> {
    if recorded.outcome != now.outcome {
        Some("the call ends otherwise")
    } else if recorded.host_calls != now.host_calls {
        Some("the call makes another number of host calls")
    } else if recorded.state != now.state {
        Some("the call leaves another state")
    } else {
        None
    }
}

/// An event of a chain, as a reader of it is told.
struct Told {
    header: Header,
    hash: Hash,
    kind: String,
    data: Vec<u8>,
}

/// The events from `from` until before `to` of the chain that has an event of this hash.
fn part_of(path: &Path, newest: &Hash, from: u64, to: u64) -> Result<Vec<Told>, Error> {
    let mut owner = None;
    verify::read(path, |event| {
        if event.hash == *newest {
            owner = Some(event.header.actor);
        }
    })?;
    let (mut names, mut part) = (Vec::new(), Vec::new());
    verify::read(path, |event| {
        if Some(event.header.actor) != owner || event.header.sequence >= to {
            return;
        }
        if let Some(created) = verify::created(event) {
            let label = |function: &FunctionRecord| format!("{}/{}", function.interface, function.function);
            names = created.setup.functions.iter().map(label).collect();
        }
        if event.header.sequence >= from {
            let data = event.data.unwrap_or_default().to_vec();
            part.push(Told { header: event.header.clone(), hash: event.hash, kind: String::new(), data });
        }
    })?;
    // Named as the life that reads them names functions, whichever life they are of.
    for told in &mut part {
        told.kind = event_type(told.header.kind, told.header.function, &names);
    }
    Ok(part)
}

/// The encodings in which actors are told of a chain: with labels (`chain` of the package's types) and with whole hashes
/// (a list of its `chain-event`), that one as a `result` too.
fn tellings(part: &[Told]) -> Vec<Vec<u8>> {
    let label = |hash: &[u8]| u64::from_be_bytes(*hash.first_chunk().unwrap_or(&[0; 8]));
    let parent = |told: &Told| (told.header.sequence > 0).then_some(told.header.parent);
    let labelled: Vec<_> = part
        .iter()
        .map(|told| {
            let data = Bytes::from(told.data.as_slice());
            (label(&told.hash), (told.kind.as_str(), parent(told).map(|hash| label(&hash)), data))
        })
        .collect();
    let whole: Vec<_> = part
        .iter()
        .map(|told| {
            let bytes = |bytes: &[u8]| Bytes::from(bytes);
            let parent = parent(told).map(|hash| bytes(&hash));
            (bytes(&told.hash), parent, told.kind.as_str(), bytes(&told.data), told.header.timestamp)
        })
        .collect();
    [encode(&labelled), encode(&whole), encode(&Ok::<_, String>(&whole))].into_iter().flatten().collect()
}

impl Life {
    async fn run(&mut self, engines: &Engines, waiting: &Waiting, answers: Answers, fresh: bool) -> Ran {
        if fresh {
            self.instance = None;
        }
        let interrupted = answers.interrupted;
        let limit = Duration::from_millis(self.limits.run_timeout_ms);
        // Four times: this machine may be slower than the one that recorded.
        let time = if interrupted { INTERRUPTED.min(limit) } else { limit * 4 };
        let (mut store, instance) = match self.instance.take() {
            Some((mut store, instance)) => {
                store.data_mut().answers = answers;
                (store, instance)
            }
            None => {
                let mut store = self.store(engines, answers, time);
                match self.pre.instantiate_async(&mut store).await {
                    Ok(instance) => (store, instance),
                    Err(error) => {
                        let text = format!("could not be instantiated: {}", trap_text(&error));
                        return store.data_mut().ran(Outcome::Trap(text), None);
                    }
                }
            }
        };
        let guest = store.data_mut();
        // As a live call counts: what start functions call is none of the export's.
        (guest.made, guest.deadline) = (0, Instant::now() + time);
        store.set_epoch_deadline(1);
        let export = self.component.export(&waiting.interface, &waiting.function);
        let target = export.and_then(|export| {
            instance.get_func(&mut store, export.index).map(|function| (function, export.signature.flat_params()))
        });
        let Some((function, flat)) = target else {
            return store.data_mut().ran(Outcome::Trap("the component has no such export".to_owned()), None);
        };
        let (outcome, state) = match call_export(&mut store, function, flat, self.state.get(), &waiting.params).await {
            Ok(Returned::Ok(state, values)) => (Outcome::Ok(values.into()), state),
            Ok(Returned::Err(text)) => (Outcome::Err(text), None),
            Err(error) => (Outcome::Trap(trap_text(&error)), None),
        };
        let ran = store.data_mut().ran(outcome, state);
        self.instance = Some((store, instance));
        ran
    }

    fn store(&self, engines: &Engines, answers: Answers, time: Duration) -> Store<Guest> {
        let guest = Guest {
            limiter: Limiter::new(&self.limits),
            limit_ms: self.limits.run_timeout_ms,
            deadline: Instant::now() + time,
            answers,
            made: 0,
            differs: None,
        };
        let mut store = Store::new(&engines.on_demand, guest);
        store.limiter(|guest| &mut guest.limiter);
        store.set_hostcall_fuel(usize::try_from(self.limits.value_bytes).unwrap_or(usize::MAX));
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|context| {
            let guest = context.data();
            if guest.deadline <= Instant::now() {
                return Err(OutOfTime { limit_ms: guest.limit_ms }.into());
            }
            Ok(UpdateDeadline::Continue(1))
        });
        store
    }
}

fn link(engines: &Engines, component: &Component) -> wasmtime::Result<InstancePre<Guest>> {
    let mut linker = Linker::<Guest>::new(&engines.on_demand);
    for (interface, functions) in component.imports.iter().filter(|(_, functions)| !functions.is_empty()) {
        let mut instance = linker.instance(interface)?;
        for (name, signature) in functions {
            define(signature, FromChain { instance: &mut instance, interface, name, signature })?;
        }
    }
    linker.instantiate_pre(&component.compiled)
}

/// A host function that answers from the chain, to be defined.
struct FromChain<'a, 'b> {
    instance: &'a mut LinkerInstance<'b, Guest>,
    interface: &'a str,
    name: &'a str,
    signature: &'a Signature,
}

impl Define for FromChain<'_, '_> {
    fn define<const N: usize, const R: usize>(self) -> Defined {
        let (interface, name) = (self.interface.to_owned(), self.name.to_owned());
        let result = self.signature.result.clone();
        self.instance.func_wrap(self.name, move |mut store: StoreContextMut<'_, Guest>, args: Args<N>| {
            let mut exchange = args.0;
            let arguments = exchange.arguments().concat();
            exchange.release();
            let answer = store.data_mut().answer(&interface, &name, arguments)?;
            // A component of another version may take results otherwise.
            let mut reader = theater_plugin_api::encoding::Reader::new(&answer);
            if let Some(result) = &result {
                result.validate(&mut reader)?;
            }
            reader.finish()?;
            exchange.replaced(answer);
            Ok(Ret::<Exchange, R>(exchange))
        })
    }
}

impl Guest {
    /// How the running call ended.
    fn ran(&mut self, outcome: Outcome, state: Option<Vec<u8>>) -> Ran {
        let left = std::mem::take(&mut self.answers.hosts);
        let out_of_time = matches!(&outcome, Outcome::Trap(text) if text.contains(OutOfTime::BEGINNING));
        let is_cut = self.answers.interrupted && out_of_time;
        Ran { outcome, state, made: self.made, left, differs: self.differs.take(), is_cut }
    }

    /// What the recorded call gave, if this is that call.
    fn answer(&mut self, interface: &str, function: &str, arguments: Vec<u8>) -> wasmtime::Result<Vec<u8>> {
        let is_it = |of: &str, name: &str| name == function && meets(of, interface);
        let Some(recorded) = self.answers.hosts.pop_front() else {
            let what = match self.answers.intent.take() {
                Some(intent) if !is_it(&intent.interface, &intent.function) || intent.arguments != arguments => {
                    "a host call is made that is not the one that was intended"
                }
                _ if self.answers.interrupted => return Err(format_err!("the call was interrupted here")),
                _ => "a host call is made that was not recorded",
            };
            return self.differs(what, None, (interface, function, arguments));
        };
        if !is_it(&recorded.interface, &recorded.function) {
            return self.differs("another host call is made", Some(recorded), (interface, function, arguments));
        }
        if recorded.call.arguments.as_ref() != arguments.as_slice() {
            let what = "a host call is made with other arguments";
            return self.differs(what, Some(recorded), (interface, function, arguments));
        }
        self.made += 1;
        match recorded.call.result {
            HostResult::Value(bytes) => Ok(bytes.into_vec()),
            HostResult::Fault(text) => Err(format_err!("{text}")),
            HostResult::Chain { .. } => Err(format_err!("a part of a chain was not read")),
        }
    }

    /// Ends the call: it does not do what was recorded.
    fn differs<T>(
        &mut self,
        what: &'static str,
        recorded: Option<Recorded>,
        (interface, function, arguments): (&str, &str, Vec<u8>),
    ) -> wasmtime::Result<T> {
        let made = Some((interface.to_owned(), function.to_owned(), arguments));
        self.differs = Some(HostDifference { what, recorded, made });
        Err(format_err!("the replay ends here"))
    }
}
