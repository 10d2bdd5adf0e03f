//! Replay: an actor's calls once more, from its chain alone.
//!
//! The component runs as it did; what its host calls gave comes from the chain, and nothing outside is touched. Each host
//! call's arguments, each call's result and each new state is compared with what was recorded, and the first that differs is
//! told. Timestamps are not compared. A call that was interrupted is replayed as far as its recorded host calls go.
//!
//! There it ends, since the recorded component does the same or something is wrong. Another component in its place goes on
//! behind a difference, with the state that it came to itself until the chain has the recorded one, and its calls are counted.
//!
//! Events are read one by one, so memory is that of one call and of the calls that wait. Where an actor goes on it is that of
//! the chain behind the last snapshot.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;
use theater_plugin_api::Bytes;
use theater_plugin_api::encoding::{decode, encode};
use wasmtime::component::InstancePre;

use crate::actor::NOT_BEGUN;
use crate::manifest::{InstanceMode, Limits};
use crate::support::error::Error;
use crate::support::executor::block_on;
use crate::wasm::component::{Component, Components};
use crate::wasm::engine::Engines;
use crate::wasm::linker::OutOfTime;
use theater_chain::event::{EventRef, Hash, Header, Id, sha3};
use theater_chain::event_text::{EventFormatter, EventText};
use theater_chain::interface_name::meets;
use theater_chain::journal::index::is_of_calls;
use theater_chain::objects::Objects;
use theater_chain::record::{
    Created, FunctionRecord, HostCall, HostResult, Kind, Outcome, Queued, RESUMED, Renewed, Return, Snapshot,
};
use theater_chain::state_digest::{Change, State};
use theater_chain::verify::{self, Event};

mod guest;
mod past;
pub mod plugin;
mod plugin_host;
mod reread;
mod tail;

use crate::actor::remainder::{Intent, RecordedHostCall, Remainder, UnfinishedCall};
use guest::{Answers, Guest, HostDifference, Life, Ran, link};
pub(crate) use past::{HandlerSlot, QueuedEvent, RecordedCall, RecordedEvent, Reexecuted, ReexecutedCall, ResumePoint};
use reread::{part_of, tellings};
pub(crate) use tail::is_for_good;
pub use tail::{StateAt, state};

/// Memory that the engine is sized by: one instance runs at a time.
const MEMORY: u64 = 64 << 20;

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
    pub call: (u64, EventText),
    /// What the chain has; none where it has nothing.
    pub recorded: Option<EventText>,
    /// What came now; none where nothing did.
    pub replayed: Option<EventText>,
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

/// Replays `past`: what a chain has behind `base`, or behind the start that `setup` is, where `queued` waited.
///
/// # Errors
/// As [`replay`]; inside, the first thing that differs.
pub(crate) fn resume(
    path: &Path,
    parts: &Parts,
    setup: &RecordedEvent,
    base: Option<&Snapshot>,
    queued: &[QueuedEvent],
    past: &[RecordedEvent],
    wants_made: bool,
) -> Result<Result<ResumePoint, Box<Difference>>, Error> {
    let options = Options::default();
    let mut replay = Replay::new(path, parts, &options);
    replay.describer = EventFormatter::mute();
    replay.begin(&setup.event())?;
    if let (Some(life), Some(snapshot)) = (&mut replay.life, base) {
        life.state = State::new(snapshot.state.as_ref().map(|state| Arc::new(state.to_vec())));
    }
    replay.calls = Some(Vec::new());
    replay.made = wants_made.then(Reexecuted::default);
    for QueuedEvent { event, function } in queued {
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
    describer: EventFormatter,
    life: Option<Life>,
    /// Calls that were queued and have not ended, by their sequence.
    waiting: HashMap<u64, WaitingCall>,
    /// Host calls of the call that runs.
    hosts: VecDeque<RecordedHostCall>,
    /// What it was about to do, if it did not come to that.
    intent: Option<Intent>,
    report: Report,
    /// Every call, when they are wanted.
    calls: Option<Vec<RecordedCall>>,
    /// Those that a kept instance has in its memory, when they are wanted.
    made: Option<Reexecuted>,
    /// An event whose data was dropped, until a snapshot stands for it.
    dropped: Option<u64>,
}

struct WaitingCall {
    queued: EventRef,
    cause: Option<EventRef>,
    interface: String,
    function: String,
    params: Bytes,
    event: RecordedEvent,
    /// Where it stands among the calls, when they are wanted.
    place: usize,
}

impl<'a> Replay<'a> {
    fn new(path: &'a Path, parts: &'a Parts, options: &'a Options) -> Self {
        Self {
            path,
            parts,
            options,
            describer: EventFormatter::new(Some(parts.objects.again())),
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
            *made = Reexecuted::default();
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
                let handler = handler.and_then(|index| HandlerSlot::of(handlers, index as usize));
                if let (Some(calls), HostResult::Value(result)) = (&mut self.calls, &call.result) {
                    let (interface, function) = (interface.clone(), function.clone());
                    let (arguments, result) = (call.arguments.clone(), result.clone());
                    calls.push(RecordedCall { handler, interface, function, arguments, result });
                }
                if let Some(intent) = self.intent.take_if(|intent| intent.header.call == header.call)
                    && (intent.function != function
                        || !meets(&intent.interface, &interface)
                        || call.arguments.as_ref() != intent.arguments.as_slice())
                {
                    self.intended_otherwise(event, &intent)?;
                }
                self.hosts.push_back(RecordedHostCall { header: header.clone(), interface, function, call });
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
                self.drop_instance();
                if let Some(life) = &mut self.life {
                    life.state = State::new(snapshot.state.map(|state| Arc::new(state.into_vec())));
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
            calls.push(RecordedCall { handler: None, interface, function, arguments, result });
        }
        let (cause, params) = (header.cause, queued.params);
        let queued = EventRef { actor: header.actor, sequence: header.sequence, hash: event.hash };
        let data = event.data.unwrap_or_default().to_vec();
        let event = RecordedEvent { header: header.clone(), hash: event.hash, data };
        self.waiting.insert(header.sequence, WaitingCall { queued, cause, interface, function, params, event, place });
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
        self.drop_instance();
        let life = self.life.as_mut();
        let life = life.ok_or_else(|| cannot(event.header.sequence, "the chain does not begin with a start"))?;
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
    fn left(mut self) -> Result<ResumePoint, Error> {
        let mut hosts = std::mem::take(&mut self.hosts);
        for host in &mut hosts {
            self.read_again(host)?;
        }
        let mut begun: HashMap<u64, Remainder> = HashMap::new();
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
            let WaitingCall { queued, cause, interface, function, params, .. } = waiting;
            let begun = begun.remove(&queued.sequence);
            UnfinishedCall { queued, cause, interface, function, params, begun }
        });
        let waiting = waiting.collect();
        let state = self.life.map(|life| life.state).unwrap_or_default();
        Ok(ResumePoint { state, waiting, calls: self.calls.unwrap_or_default(), made: self.made.unwrap_or_default() })
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
            if !matches!(&returned.outcome, Outcome::Interrupted(text) if text == NOT_BEGUN) {
                self.drop_instance();
            }
            self.report.interrupted += 1;
            return Ok(());
        }
        let interrupted = match &returned.outcome {
            Outcome::Interrupted(_) => true,
            Outcome::Trap(text) => text.contains(OutOfTime::BEGINNING),
            _ => false,
        };
        let made = self.remembered(&waiting, &returned)?;
        let before = self.life.as_ref().and_then(|life| life.state.share());
        let ran = self.run(sequence, call, &waiting, interrupted)?;
        if let Some(differs) = ran.differs {
            self.call_differs(|replay| replay.host_difference(&event.header, (call, &waiting), differs));
            return Ok(());
        }
        if matches!(returned.outcome, Outcome::Trap(_) | Outcome::Interrupted(_)) {
            self.drop_instance();
        } else if let (Some(made), Some(all)) = (made, &mut self.made) {
            if all.calls.is_empty() {
                all.state = before;
            }
            all.calls.push(made);
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
    fn remembered(&mut self, waiting: &WaitingCall, returned: &Return) -> Result<Option<ReexecutedCall>, Error> {
        if self.made.is_none() || !self.life.as_ref().is_some_and(|life| life.is_kept) {
            return Ok(None);
        }
        let WaitingCall { queued, cause, interface, function, params, .. } = waiting;
        let mut hosts = std::mem::take(&mut self.hosts);
        for host in &mut hosts {
            self.read_again(host)?;
        }
        self.hosts = hosts;
        let of_it = self.hosts.iter().filter(|host| host.header.call == Some(queued.sequence));
        let begun = Remainder { hosts: of_it.cloned().collect(), intent: None, has_ended: true };
        let call = UnfinishedCall {
            queued: *queued,
            cause: *cause,
            interface: interface.clone(),
            function: function.clone(),
            params: params.clone(),
            begun: Some(begun),
        };
        Ok(Some(ReexecutedCall { call, returned: returned.clone() }))
    }

    /// An event as text, and the same one with the data that it has now.
    fn both(&mut self, event: &Event<'_>, now: &impl Serialize) -> [EventText; 2] {
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
    fn run(&mut self, sequence: u64, call: u64, waiting: &WaitingCall, interrupted: bool) -> Result<Ran, Error> {
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
        (call, waiting): (u64, &WaitingCall),
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
            EventText { kind: Kind::Host.to_string(), function: Some(format!("{interface}/{function}")), ..made }
        });
        let recorded = recorded.map(|recorded| {
            let data = encode(&recorded.call).unwrap_or_default();
            described(&recorded.header, recorded.header.function, Kind::Host, &data)
        });
        Difference { sequence, what: what.to_owned(), before: self.report.calls, call, recorded, replayed }
    }

    /// What a host call read of a chain is not recorded twice: here it is read once more.
    fn read_again(&self, host: &mut RecordedHostCall) -> Result<(), Error> {
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
