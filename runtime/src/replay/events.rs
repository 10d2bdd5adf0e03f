//! Reads the events of one chain in order, and keeps what a re-executed call needs: the parts and the state of the
//! actor, the calls that wait, and the recorded host calls.
//!
//! The invariants: a call is re-executed when its `return` event is read, so all of its host calls are known then. The
//! instance is dropped wherever the recorded run dropped it. After dropped data nothing is re-executed before a
//! snapshot whose waiting calls are all known.

use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::sync::Arc;

use theater_plugin_api::Bytes;

use theater_chain::event::EventRef;
use theater_chain::event_text::EventFormatter;
use theater_chain::interface_name::meets;
use theater_chain::journal::index::is_call_data;
use theater_chain::record::{Created, FunctionRecord, HostCall, HostResult, Kind, Queued, RESUMED, Renewed, Snapshot};
use theater_chain::state_digest::State;
use theater_chain::verify::Event;

use crate::actor::remainder::{Intent, RecordedHostCall};
use crate::manifest::{InstanceMode, Limits};
use crate::replay::error::{DROPPED, cannot, data_of, missing};
use crate::replay::guest::ReplayedRun;
use crate::replay::options::Options;
use crate::replay::parts::Parts;
use crate::replay::past::{HandlerSlot, NOT_ENDED, RecordedCall, RecordedEvent, Reexecuted, WaitingCall};
use crate::replay::report::{Difference, Report};
use crate::support::error::Error;
use crate::wasm::component::Component;

/// The replay of one chain.
pub(super) struct Replay<'a> {
    /// The data folder or file that the chain is read from.
    pub(super) path: &'a Path,
    pub(super) parts: &'a Parts,
    pub(super) options: &'a Options,
    pub(super) formatter: EventFormatter,
    pub(super) run: Option<ReplayedRun>,
    /// Queued calls that have not ended, by sequence.
    pub(super) waiting: HashMap<u64, WaitingCall>,
    /// Recorded host calls of calls that have not ended.
    pub(super) hosts: VecDeque<RecordedHostCall>,
    /// A recorded intent whose host call is not recorded yet.
    pub(super) intent: Option<Intent>,
    pub(super) report: Report,
    /// All calls of exports and host functions, for the handlers of a resumed actor; none in a plain replay.
    pub(super) calls: Option<Vec<RecordedCall>>,
    /// The calls that ran on the current kept instance, when a resume is to rebuild it.
    pub(super) kept_calls: Option<Reexecuted>,
    /// An event whose data was dropped, until a snapshot covers it.
    pub(super) dropped: Option<u64>,
}

impl<'a> Replay<'a> {
    pub(super) fn new(path: &'a Path, parts: &'a Parts, options: &'a Options) -> Self {
        Self {
            path,
            parts,
            options,
            formatter: EventFormatter::new(Some(parts.objects.reopen())),
            run: None,
            waiting: HashMap::new(),
            hosts: VecDeque::new(),
            intent: None,
            report: Report::default(),
            calls: None,
            kept_calls: None,
            dropped: None,
        }
    }
}

impl Replay<'_> {
    /// Returns whether a difference ends the replay.
    pub(super) fn is_over(&self) -> bool {
        self.report.difference.is_some() && self.options.component.is_none()
    }

    /// Reports a difference, unless there is an earlier one.
    pub(super) fn report_difference(&mut self, describe: impl FnOnce(&mut Self) -> Difference) {
        if self.report.difference.is_none() {
            let difference = describe(self);
            self.report.difference = Some(difference);
        }
    }

    pub(super) fn drop_instance(&mut self) {
        if let Some(run) = &mut self.run {
            run.instance = None;
        }
        if let Some(kept) = &mut self.kept_calls {
            *kept = Reexecuted::default();
        }
    }

    /// Reports that a call differs. The instance is dropped: no recorded call left its memory.
    pub(super) fn report_call_difference(&mut self, describe: impl FnOnce(&mut Self) -> Difference) {
        self.report_difference(describe);
        self.report.differing += 1;
        self.drop_instance();
    }

    /// Takes the next event of the chain.
    pub(super) fn observe(&mut self, event: &Event<'_>) -> Result<(), Error> {
        let header = &event.header;
        if event.data.is_none() && is_call_data(header.kind) {
            self.dropped = Some(header.sequence);
        }
        if self.dropped.is_some() {
            return self.skip_dropped(event);
        }
        match Kind::from_number(header.kind) {
            Some(Kind::Created | Kind::Restarted) => self.begin(event)?,
            Some(Kind::Swapped) => self.swap(event)?,
            Some(Kind::Snapshot) => self.snapshot(event)?,
            Some(Kind::Instance) => {
                let is_kept = self.run.as_ref().is_some_and(|run| run.is_kept);
                if !is_kept || data_of::<Renewed>(event)?.reason != RESUMED {
                    self.drop_instance();
                }
            }
            Some(Kind::Queued) => {
                let function = self.function(event)?;
                self.add_queued(event, function)?;
            }
            Some(Kind::Intent) => {
                let arguments = event.data.ok_or_else(|| cannot(header.sequence, DROPPED))?.to_vec();
                let FunctionRecord { interface, function, .. } = self.function(event)?;
                self.intent = Some(Intent { header: header.clone(), interface, function, arguments });
            }
            Some(Kind::Host) => self.host(event)?,
            Some(Kind::Return) => self.check_return(event)?,
            _ => {}
        }
        Ok(())
    }

    /// Collects a host call until its call ends, and checks it against the intent before it.
    fn host(&mut self, event: &Event<'_>) -> Result<(), Error> {
        let header = &event.header;
        let call: HostCall = data_of(event)?;
        let FunctionRecord { interface, function, handler } = self.function(event)?;
        let handlers = self.run.as_ref().map(|run| run.handlers.as_slice()).unwrap_or_default();
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
            self.report_intent_difference(event, &intent)?;
        }
        self.hosts.push_back(RecordedHostCall { header: header.clone(), interface, function, call });
        Ok(())
    }

    /// Takes an event after dropped data. Calls without data cannot be re-executed: the replay begins again at the next
    /// start, or at the snapshot that covers the dropped data, with the calls that waited then.
    fn skip_dropped(&mut self, event: &Event<'_>) -> Result<(), Error> {
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
                self.add_queued(event, function)?;
            }
            Some(Kind::Snapshot) if event.data.is_some() => {
                let snapshot: Snapshot = data_of(event)?;
                if !snapshot.waiting.iter().all(|queued| self.waiting.contains_key(queued)) {
                    // Data of a waiting call was dropped too: a later snapshot covers this one.
                    return Ok(());
                }
                self.waiting.retain(|queued, _| snapshot.waiting.contains(queued));
                self.drop_instance();
                if let Some(run) = &mut self.run {
                    run.state = State::new(snapshot.state.map(|state| Arc::new(state.into_vec())));
                }
                self.dropped = None;
                self.report.begun_at = Some(event.header.sequence);
            }
            _ => {}
        }
        Ok(())
    }

    /// Adds a queued call.
    pub(super) fn add_queued(&mut self, event: &Event<'_>, function: FunctionRecord) -> Result<(), Error> {
        let header = &event.header;
        let queued: Queued = data_of(event)?;
        let FunctionRecord { interface, function, .. } = function;
        let index = self.calls.as_ref().map_or(0, Vec::len);
        if let Some(calls) = &mut self.calls {
            let (interface, function) = (interface.clone(), function.clone());
            let (arguments, result) = (queued.params.clone(), Bytes::from(NOT_ENDED));
            calls.push(RecordedCall { handler: None, interface, function, arguments, result });
        }
        let (cause, params) = (header.cause, queued.params);
        let queued = EventRef { actor: header.actor, sequence: header.sequence, hash: event.hash };
        let data = event.data.unwrap_or_default().to_vec();
        let event = RecordedEvent { header: header.clone(), hash: event.hash, data };
        self.waiting.insert(header.sequence, WaitingCall { queued, cause, interface, function, params, event, index });
        Ok(())
    }

    /// Returns the function that an event names.
    fn function(&self, event: &Event<'_>) -> Result<FunctionRecord, Error> {
        let index = event.header.function.unwrap_or(u32::MAX) as usize;
        let found = self.run.as_ref().and_then(|run| run.functions.get(index)).cloned();
        found.ok_or_else(|| cannot(event.header.sequence, "it names a function that the chain does not list"))
    }

    /// Handles a start: the state is the first one again.
    pub(super) fn begin(&mut self, event: &Event<'_>) -> Result<(), Error> {
        let sequence = event.header.sequence;
        self.check_unended()?;
        self.hosts.clear();
        self.intent = None;
        self.drop_instance();
        if self.is_over() {
            return Ok(());
        }
        let created: Created = data_of(event)?;
        let state = created.init_state.as_deref().map(|digest| self.object(sequence, digest)).transpose()?;
        self.load(event, created, State::new(state.map(Arc::new)))
    }

    /// Handles a change of parts: the state stays, and so does a kept instance.
    fn swap(&mut self, event: &Event<'_>) -> Result<(), Error> {
        let run = self.run.take();
        let before = run.ok_or_else(|| cannot(event.header.sequence, "the chain does not begin with a start"))?;
        self.load(event, data_of(event)?, before.state)?;
        if let Some(run) = self.run.as_mut().filter(|run| run.is_kept && before.is_kept) {
            run.instance = before.instance;
        }
        Ok(())
    }

    /// Loads the recorded parts of the actor.
    fn load(&mut self, event: &Event<'_>, created: Created, state: State) -> Result<(), Error> {
        let sequence = event.header.sequence;
        self.formatter.describe(event);
        let component = self.component(sequence, &created.setup.component)?;
        let pre = self.parts.linked(&component).map_err(|error| cannot(sequence, &format!("{error:#}")))?;
        self.run = Some(ReplayedRun {
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

    /// Returns the component to run: the one of the options, or the recorded one.
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

    /// Compares the state with the snapshot, and continues with the recorded one. The instance is dropped: the recorded
    /// run had a new one after the snapshot.
    fn snapshot(&mut self, event: &Event<'_>) -> Result<(), Error> {
        let snapshot: Snapshot = data_of(event)?;
        self.drop_instance();
        let run = self.run.as_mut();
        let run = run.ok_or_else(|| cannot(event.header.sequence, "the chain does not begin with a start"))?;
        if snapshot.state.as_ref().map(|state| state.as_ref()) == run.state.get() {
            return Ok(());
        }
        let recorded = State::new(snapshot.state.as_ref().map(|state| Arc::new(state.to_vec())));
        let replayed = std::mem::replace(&mut run.state, recorded);
        self.report_difference(|replay| {
            let replayed = Snapshot { state: replayed.get().map(Bytes::from), ..snapshot };
            let [recorded, replayed] = replay.describe_both(event, &replayed);
            Difference {
                sequence: event.header.sequence,
                what: "the snapshot has a different state".to_owned(),
                before: replay.report.calls,
                call: (event.header.sequence, recorded.clone()),
                recorded: Some(recorded),
                replayed: Some(replayed),
            }
        });
        Ok(())
    }
}
