//! The task of an actor: runs one call at a time, keeps the instance, and ends the actor.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use theater_plugin_api::abi::{Answer, CallContext, HeldContext, OK, PANIC};
use theater_plugin_api::encoding::encode;
use theater_plugin_api::{Bytes, FailureKind};
use wasmtime::{PoolConcurrencyLimitError, Store, UpdateDeadline};

use crate::actor::mailbox::Message;
use crate::actor::remainder::Remainder;
use crate::actor::{ActorHandle, ActorSignal, CallOutcome, End, QueuedCall, lock};
use crate::core::{Core, Prepared, prepared_of};
use crate::manifest::{InstanceMode, OnError};
use crate::replay::ReexecutedCall;
use crate::support::budget::Exceeded;
use crate::support::executor::{self, Either};
use crate::wasm::limiter::Limiter;
use crate::wasm::linker::{Attached, Calls, Clock, Guest, Linked, OutOfTime, PluginFault};
use crate::wasm::pool::PoolSlot;
use crate::wasm::trap::trap_text;
use crate::wasm::values::{Returned, call_export};
use theater_chain::event::EventRef;
use theater_chain::journal::JournalError;
use theater_chain::record::{Kind, Outcome, RESUMED, Renewed, Return};
use theater_chain::state_digest::{Change, State};

/// How much longer a call may take that is made again.
const AGAIN: u64 = 4;

/// The side of an actor that runs: one task, one call at a time.
pub struct ActorTask {
    core: Arc<Core>,
    shared: Arc<ActorHandle>,
    prepared: Arc<Prepared>,
    handlers: Arc<Vec<Attached>>,
    state: State,
    instance: Option<Instance>,
    instances: u64,
    // Why the next instance is needed.
    renewal: &'static str,
    // It stands in the chain already.
    is_announced: bool,
    // From this sequence on a snapshot is due.
    snapshot_due: u64,
    // Of a call whose end could not be recorded: export, sequence and host calls.
    owed: Option<(u32, u64, u64)>,
}

struct Instance {
    store: Store<Guest>,
    instance: wasmtime::component::Instance,
    // What it was made of: the actor's own, or the same for the engine that instantiates on demand.
    linked: Arc<Linked>,
    // Bytes of its memories after it was made.
    memory: u64,
    // Given back when the instance goes.
    _slot: Option<PoolSlot>,
}

/// Why there is no instance.
enum InstanceError {
    /// None was free.
    NoSlot,
    /// Another reason.
    Failed(String),
    /// A memory limit of the tree or the program does not allow it.
    OverBudget(String),
}

/// How long a call waits for an instance while others have all there are.
const INSTANCE_WAIT: Duration = Duration::from_secs(10);
/// How a call ends that got no instance: the actor goes on.
const NO_INSTANCE: &str = "no instance was free within 10 s: other actors hold all that --memory allows";
/// How the sentence of a call begins that got no instance for lack of memory: the actor goes on.
const NO_MEMORY: &str = "no instance could be made";
/// How often idle actors are asked for the memory of theirs before a call is refused.
const TRIES: u32 = 3;
/// How long they have.
const GIVEN: Duration = Duration::from_millis(200);
/// Part of `memory_bytes` by which an instance may have grown before the next call gets a new one.
const GROWN: u64 = 8;

/// How a call ended, for the actor itself.
struct CallResult {
    outcome: Outcome,
    state: Option<Vec<u8>>,
    host_calls: u64,
    // What kind of failure a trap or an interruption is.
    kind: FailureKind,
    // Something of it could not be recorded.
    unrecorded: Option<JournalError>,
}

impl CallResult {
    /// A call that did not come to run.
    fn not(outcome: Outcome, kind: FailureKind) -> Self {
        Self { outcome, state: None, host_calls: 0, kind, unrecorded: None }
    }
}

impl ActorTask {
    /// An actor whose handlers are attached.
    #[must_use]
    pub fn new(core: Arc<Core>, shared: Arc<ActorHandle>, handlers: Arc<Vec<Attached>>) -> Self {
        let prepared = prepared_of(shared.origin());
        let state = State::new(shared.state());
        let snapshot_due = shared.head().1.saturating_add(shared.settings.snapshot_every);
        Self {
            core,
            shared,
            prepared,
            handlers,
            state,
            instance: None,
            instances: 0,
            renewal: "start",
            is_announced: false,
            snapshot_due,
            owed: None,
        }
    }

    /// The actor goes on in this program: its next instance, which the chain tells of now.
    ///
    /// # Errors
    /// As [`ActorHandle::record`].
    pub(crate) fn announce(&mut self) -> Result<(), JournalError> {
        self.renewal = RESUMED;
        self.record_instance()?;
        self.is_announced = true;
        Ok(())
    }

    /// Gives a kept instance the memory that it had: makes the calls once more that were made on it, the first one with
    /// `state`.
    ///
    /// # Errors
    /// What one of them does that it did not do before; there is no place for an instance, or no time any more.
    pub(crate) async fn remember(
        &mut self,
        state: Option<Arc<Vec<u8>>>,
        made: Vec<ReexecutedCall>,
    ) -> Result<(), String> {
        // Others that are kept give none back.
        if !made.is_empty() && self.shared.settings.pooled && self.core.pool.is_full() {
            return Err("no place is left in the pool for its kept instance; a larger --memory has more".to_owned());
        }
        let mut state = State::new(state);
        for ReexecutedCall { call, returned } in made {
            if self.shared.services.stopped.is_set() {
                return Err("the program was told to end".to_owned());
            }
            let sequence = call.queued.sequence;
            let call = self.shared.left_call(call)?;
            let CallResult { outcome, state: new, host_calls, .. } = self.attempt(call, state.share()).await;
            let change = new.filter(|_| matches!(outcome, Outcome::Ok(_))).and_then(|new| state.change(new));
            let now = Return { outcome, host_calls, state: change.as_ref().map(Change::digest) };
            if now != returned {
                let how = match now.outcome {
                    Outcome::Trap(text) | Outcome::Interrupted(text) => format!("ends so: {text}"),
                    Outcome::Ok(_) | Outcome::Err(_) => "does not end as it did".to_owned(),
                };
                return Err(format!("the call of event {sequence}, once more, {how}"));
            }
            if let Some(change) = change {
                state.commit(change);
            }
        }
        Ok(())
    }

    fn record_instance(&mut self) -> Result<(), JournalError> {
        if std::mem::take(&mut self.is_announced) {
            return Ok(());
        }
        self.instances += 1;
        let renewed = Renewed { number: self.instances, reason: self.renewal.to_owned() };
        self.shared.record_encoded(Kind::Instance, &renewed).map(|_| ())
    }

    /// Keeps all that another life can begin with, once enough events are behind the last time.
    fn keep_snapshot(&mut self, newest: u64) {
        let settings = &self.shared.settings;
        let is_stopping = || lock(&self.shared.stop).is_some();
        if newest < self.snapshot_due || settings.instance == InstanceMode::Kept || is_stopping() {
            return;
        }
        self.snapshot_due = newest.saturating_add(settings.snapshot_every);
        self.renew("snapshot");
        let mut exported = Vec::with_capacity(self.handlers.len());
        for attached in self.handlers.iter() {
            let answer = {
                let _watched = self.core.watch.enter(self.shared.id(), &attached.plugin);
                attached.handler.get().export_state()
            };
            if answer.status != OK {
                let sentence = format!("no snapshot: its state could not be exported: {}", answer.sentence());
                self.shared.report_fault(&attached.plugin.descriptor.name, "P0112", &sentence);
                return;
            }
            exported.push(Bytes::from(answer.bytes.to_vec()));
        }
        if let Err(error) = self.shared.record_snapshot(self.state.get(), &exported) {
            tracing::error!(actor = self.shared.short_id(), "a snapshot could not be recorded: {error}");
        }
    }

    /// Calls `init`, then drops the instance unless it is kept.
    ///
    /// # Errors
    /// `A0001` to `A0004`.
    pub async fn init(&mut self) -> Result<(), (crate::support::error::ActorProblem, FailureKind)> {
        use crate::support::error::ActorProblem as Problem;
        let failed = |error: JournalError| (Problem::InitFailed(error.to_string()), FailureKind::Internal);
        let export = self.shared.interface.init as u32;
        let params = encode(&self.shared.id_text).unwrap_or_default();
        let queued = {
            let mut record = lock(&self.shared.chain);
            self.shared.record_queued(&mut record, export, &params, "start".to_owned(), None).map_err(failed)?
        };
        self.run_init(QueuedCall { export, params, queued, cause: None, reply: None, begun: None }).await
    }

    /// Runs a call of `init`, as [`ActorTask::init`].
    pub(crate) async fn run_init(
        &mut self,
        call: QueuedCall,
    ) -> Result<(), (crate::support::error::ActorProblem, FailureKind)> {
        use crate::support::error::ActorProblem as Problem;
        let failed = |error: JournalError| (Problem::InitFailed(error.to_string()), FailureKind::Internal);
        let (outcome, kind) = self.run(call).await.map_err(failed)?;
        self.renew("init");
        if lock(&self.shared.stop).is_some() {
            return Err((Problem::InitShutdown, FailureKind::ShuttingDown));
        }
        match outcome {
            Outcome::Ok(_) => Ok(()),
            Outcome::Err(text) => Err((Problem::InitErr(text), FailureKind::Internal)),
            Outcome::Trap(text) => Err((Problem::InitFailed(format!("trapped: {text}")), kind)),
            Outcome::Interrupted(text) => Err((Problem::InitFailed(format!("was interrupted: {text}")), kind)),
        }
    }

    /// Tells each handler that the actor is ready, and collects the addresses.
    ///
    /// # Errors
    /// The handler that refused, with its sentence.
    pub async fn started(&self, resumed: bool) -> Result<(), (String, String)> {
        let mut addresses = Vec::new();
        for attached in self.handlers.iter() {
            let refused = |sentence: String| (attached.handler_type.clone(), sentence);
            let shared = &self.shared;
            let started = self.core.watch.polls(shared.id(), &attached.plugin, attached.handler.get().started(resumed));
            let answer = Self::bounded(shared, started, 0).await.map_err(refused)?;
            match answer.status {
                OK => {
                    let more: Vec<String> = theater_plugin_api::encoding::decode(&answer.bytes)
                        .map_err(|error| refused(format!("its addresses do not decode: {error}")))?;
                    addresses.extend(more);
                }
                _ => return Err(refused(answer.sentence())),
            }
        }
        self.shared.addresses.get_or_init(|| addresses);
        Ok(())
    }

    /// Runs calls until the actor ends.
    pub async fn live(mut self) {
        match self.serve().await {
            Some(end) => self.finish(end).await,
            // It was abandoned: its end is recorded, and its mailbox may be that of its next life.
            None => {
                self.instance = None;
                detach(&self.core, &self.shared, self.handlers).await;
            }
        }
    }

    /// The actor's end; none when it has ended already.
    async fn serve(&mut self) -> Option<End> {
        let shared = Arc::clone(&self.shared);
        loop {
            let next = match executor::either(self.next(), shared.ended.wait()).await {
                Either::First(next) => next,
                Either::Second(()) => return None,
            };
            if shared.end.get().is_some() {
                // What came is for the life that follows.
                if let Some(Message::Call(call) | Message::Signal(ActorSignal::First(call))) = next {
                    shared.mailbox.signal(ActorSignal::First(call));
                }
                return None;
            }
            match next {
                Some(Message::Signal(ActorSignal::Stop)) => {
                    // None: the signal was for a life before this one.
                    if let Some(request) = lock(&self.shared.stop).clone() {
                        return Some(request.into());
                    }
                }
                Some(Message::Signal(ActorSignal::Passivate)) | None => self.renew("idle"),
                Some(Message::Call(call) | Message::Signal(ActorSignal::First(call))) => {
                    if let Some(end) = self.answer(call).await {
                        return Some(end);
                    }
                }
            }
        }
    }

    /// The next message; nothing when the actor has been idle long enough to lose its instance.
    async fn next(&mut self) -> Option<Message<QueuedCall, ActorSignal>> {
        let mailbox = Arc::clone(&self.shared.mailbox);
        if self.instance.is_none() || self.shared.settings.instance == InstanceMode::Kept {
            return Some(mailbox.next().await);
        }
        self.core.pool.mark_idle(&self.shared);
        let idle = Duration::from_millis(self.shared.limits().idle_ms);
        let message = executor::timeout(idle, mailbox.next()).await;
        self.shared.idle.fetch_add(1, Ordering::SeqCst);
        message
    }

    /// Runs one call and answers it; the actor's end, when the call ends it.
    async fn answer(&mut self, mut call: QueuedCall) -> Option<End> {
        *lock(&self.shared.running) = call.reply.take();
        let room = self.shared.services.journal.room();
        // One that is to end does not wait for the disk.
        let (Either::First(()) | Either::Second(())) = executor::either(room, self.shared.interrupted.wait()).await;
        let (export, sequence) = (call.export, call.queued.sequence);
        let mut outcome = self.run(call).await;
        if let Err(error) = self.shared.durable().await {
            outcome = outcome.and(Err(error));
        }
        let reply = lock(&self.shared.running).take();
        let function = self.shared.export_label(export).to_owned();
        let (answer, kind, reason) = match outcome {
            // Nothing happened that is not recorded: the state is the old one, the actor goes on.
            Err(error) => (CallOutcome::Gone(error.to_string()), FailureKind::Internal, None),
            Ok((outcome, kind)) => {
                let (answer, reason) = self.meaning(outcome);
                (answer, kind, reason)
            }
        };
        // Before anybody knows of it: who asks for the next life then waits for the end of this one.
        self.shared.failing.store(reason.is_some(), Ordering::Relaxed);
        if self.shared.repeats.is_any() {
            self.shared.repeat_ended(sequence, &answer);
        }
        if let (None, CallOutcome::Err(text), None) = (&reply, &answer, &reason) {
            self.shared.tell_unheard(&function, text);
        }
        if let Some(reply) = reply {
            // Whoever asked may have gone.
            drop(reply.try_send(answer));
        }
        reason.map(|reason| End::Failed { function, kind, reason })
    }

    /// What an outcome is for whoever called, and why it ends the actor, if it does.
    fn meaning(&self, outcome: Outcome) -> (CallOutcome, Option<String>) {
        let reason = match &outcome {
            Outcome::Ok(_) => None,
            Outcome::Err(text) => {
                let fails = self.shared.settings.on_error == OnError::Fail;
                fails.then(|| format!("it returned err: {text}"))
            }
            // The actor did nothing wrong, and nothing of it has changed.
            Outcome::Interrupted(text) if text == NO_INSTANCE || text.starts_with(NO_MEMORY) => None,
            // What goes wrong because the actor is being stopped is no failure of its own.
            Outcome::Trap(text) | Outcome::Interrupted(text) => lock(&self.shared.stop).is_none().then(|| text.clone()),
        };
        (CallOutcome::of(outcome), reason)
    }

    /// Whether the instance has grown so far that a new one is better: linear memory never shrinks.
    fn has_grown(&self) -> bool {
        let most = self.shared.limits().memory_bytes / GROWN;
        self.instance.as_ref().is_some_and(|one| one.store.data().limits.memory().saturating_sub(one.memory) > most)
    }

    /// Drops the instance, unless it is kept, so that the next call makes a new one.
    fn renew(&mut self, reason: &'static str) {
        if self.shared.settings.instance != InstanceMode::Kept {
            self.drop_instance(reason);
        }
    }

    fn drop_instance(&mut self, reason: &'static str) {
        self.instance = None;
        self.renewal = reason;
    }

    /// Runs an export: state and params in, new state and values out, recorded.
    ///
    /// # Errors
    /// When the end of the call cannot be recorded: then the state is still the old one, and the instance is gone.
    async fn run(&mut self, call: QueuedCall) -> Result<(Outcome, FailureKind), JournalError> {
        let (export, queued) = (call.export, call.queued);
        if let Some((export, sequence, host_calls)) = self.owed {
            let outcome = Outcome::Interrupted("its end could not be recorded".to_owned());
            self.shared.record_return(export, sequence, &Return { outcome, host_calls, state: None })?;
            self.owed = None;
        }
        *lock(&self.shared.calling) = Some(queued);
        let ran = self.attempt(call, self.state.share()).await;
        *lock(&self.shared.calling) = None;
        // What a host call left that did not come to its end.
        drop(self.shared.take_staged());
        if let Some(error) = ran.unrecorded {
            self.drop_instance("failed call");
            self.owed = Some((export, queued.sequence, ran.host_calls));
            return Err(error);
        }
        let mut ran = ran;
        let mut change = match (&ran.outcome, ran.state.take()) {
            (Outcome::Ok(_), Some(state)) => self.state.change(state),
            _ => None,
        };
        if let Some(new) = &change
            && let Err(exceeded) = self.shared.charge_state(new.bytes())
        {
            change = None;
            ran.outcome = Outcome::Interrupted(format!("its new state: {exceeded}"));
        }
        match ran.outcome {
            Outcome::Trap(_) | Outcome::Interrupted(_) => self.drop_instance("failed call"),
            Outcome::Err(_) => self.renew("failed call"),
            Outcome::Ok(_) if self.shared.settings.instance == InstanceMode::Fresh => self.renew("fresh"),
            Outcome::Ok(_) if self.has_grown() => self.renew("memory"),
            Outcome::Ok(_) => {}
        }
        if let Outcome::Interrupted(_) = ran.outcome
            && self.shared.is_left_to_resume(export, queued.sequence)
        {
            return Ok((ran.outcome, ran.kind));
        }
        let digest = change.as_ref().map(Change::digest);
        let event = Return { outcome: ran.outcome, host_calls: ran.host_calls, state: digest };
        let returned = match self.shared.record_return(export, queued.sequence, &event) {
            Ok(returned) => returned,
            Err(error) => {
                self.drop_instance("failed call");
                self.owed = Some((export, queued.sequence, event.host_calls));
                return Err(error);
            }
        };
        if let Some(change) = change {
            self.state.commit(change);
            *lock(&self.shared.committed) = self.state.share();
        }
        if export != self.shared.interface.init as u32 {
            self.keep_snapshot(returned.sequence);
        }
        Ok((event.outcome, ran.kind))
    }

    async fn attempt(&mut self, call: QueuedCall, state: Option<Arc<Vec<u8>>>) -> CallResult {
        let QueuedCall { export, params, queued, cause, mut begun, .. } = call;
        let known = begun.as_ref().map_or(0, |begun| begun.hosts.len() as u64);
        let not = |outcome, kind| CallResult { host_calls: known, ..CallResult::not(outcome, kind) };
        let trapped = |text: String| not(Outcome::Trap(text), FailureKind::Internal);
        let shared = Arc::clone(&self.shared);
        // One that is made again had the time it needed, maybe on a faster machine.
        let ended = begun.take_if(|begun| begun.has_ended);
        let times = if ended.is_some() { AGAIN } else { 1 };
        let (run_ms, timeout_ms) = (shared.limits().run_timeout_ms * times, shared.limits().call_timeout_ms * times);
        let context = context(&shared, queued, cause, timeout_ms);
        match Self::bounded(&shared, self.instantiate(context, ended), timeout_ms).await {
            Ok(Ok(())) => {}
            Ok(Err(InstanceError::Failed(problem))) => return trapped(problem),
            Ok(Err(InstanceError::OverBudget(why))) => {
                return not(Outcome::Interrupted(format!("{NO_MEMORY}: {why}")), FailureKind::Internal);
            }
            Ok(Err(InstanceError::NoSlot)) => {
                return not(Outcome::Interrupted(NO_INSTANCE.to_owned()), FailureKind::Timeout);
            }
            Err(why) => return not(Outcome::Interrupted(why), FailureKind::Timeout),
        }
        let Some(Instance { store, instance, linked, .. }) = &mut self.instance else {
            return trapped("there is no instance".to_owned());
        };
        let Some(target) = linked.exports.get(export as usize) else {
            return trapped("there is no such export".to_owned());
        };
        let data = store.data_mut();
        *data.context.change() = context;
        data.begun = data.begun.take().or(begun);
        data.clock.start(Duration::from_millis(run_ms));
        store.set_epoch_deadline(1);
        let Some(function) = instance.get_func(&mut *store, target.index) else {
            return trapped(format!("{} is not there any more", self.shared.export_label(export)));
        };
        let state = state.as_deref().map(Vec::as_slice);
        let running = self.core.engines.ticker().running();
        let call = call_export(&mut *store, function, target.flat, state, &params);
        let ended = Self::bounded(&self.shared, call, timeout_ms).await;
        drop(running);
        store.data_mut().stop();
        // What a program before had recorded of it stands in the chain, also where this time did not do for all of it.
        let left = store.data_mut().begun.take().map_or(0, |begun| begun.hosts.len() as u64);
        let host_calls = store.data().context.get().host_call + left;
        let internal = FailureKind::Internal;
        if left > 0 && matches!(ended, Ok(Ok(_))) {
            let text = format!("{left} host calls that a program before had made for it were not made again");
            return CallResult { host_calls, ..trapped(text) };
        }
        let unrecorded = match &ended {
            Ok(Err(error)) => error.downcast_ref::<JournalError>().cloned(),
            _ => None,
        };
        let (outcome, state, kind) = match ended {
            Ok(Ok(Returned::Ok(state, values))) => (Outcome::Ok(values.into()), state, internal),
            Ok(Ok(Returned::Err(text))) => (Outcome::Err(text), None, internal),
            // Of the machine and of what other actors use, not of the calls: no replay gives it again.
            Ok(Err(error)) if error.root_cause().is::<Exceeded>() => {
                (Outcome::Interrupted(trap_text(&error)), None, internal)
            }
            Ok(Err(error)) => (Outcome::Trap(trap_text(&error)), None, failure_kind(&error)),
            Err(interruption) => (Outcome::Interrupted(interruption), None, FailureKind::Timeout),
        };
        CallResult { outcome, state, host_calls, kind, unrecorded }
    }

    /// The call, unless it is interrupted or takes longer than the wall clock allows.
    pub(crate) async fn bounded<T>(
        shared: &ActorHandle,
        call: impl Future<Output = T>,
        timeout_ms: u64,
    ) -> Result<T, String> {
        let interruption = async {
            if timeout_ms == 0 {
                shared.interrupted.wait().await;
                return "the actor was stopped".to_owned();
            }
            match executor::timeout(Duration::from_millis(timeout_ms), shared.interrupted.wait()).await {
                Some(()) => "the actor was stopped".to_owned(),
                None => format!("the call took longer than call_timeout_ms = {timeout_ms}"),
            }
        };
        match executor::either(call, interruption).await {
            Either::First(value) => Ok(value),
            Either::Second(why) => Err(why),
        }
    }

    /// Makes an instance unless there is one. A guest that makes its first call once more has what its host calls gave from the
    /// start: start functions may have made some of them.
    async fn instantiate(&mut self, call: CallContext, ended: Option<Box<Remainder>>) -> Result<(), InstanceError> {
        if let Some(instance) = &mut self.instance {
            instance.store.data_mut().begun = ended;
            return Ok(());
        }
        let shared = Arc::clone(&self.shared);
        let mut slot = None;
        if shared.settings.pooled {
            slot = match self.core.pool.free_slot(shared.account()) {
                Some(slot) => Some(slot),
                None => Some(Box::pin(slot_in_time(&self.core, &shared)).await?),
            };
        }
        let mut linked = match &slot {
            Some(slot) if !slot.is_pooled() => Box::pin(linked_on_demand(&self.core, &shared)).await?,
            _ => Arc::clone(&self.prepared.linked),
        };
        self.record_instance().map_err(|error| InstanceError::Failed(error.to_string()))?;
        let (mut tries, mut ended) = (0, ended);
        loop {
            let (error, its_slot, its_ended) = match self.instance_of(Arc::clone(&linked), slot, call, ended).await {
                Ok(()) => return Ok(()),
                Err(failed) => *failed,
            };
            (slot, ended) = (its_slot, its_ended);
            if error.root_cause().is::<Exceeded>() && tries < TRIES {
                tries += 1;
                self.core.pool.passivate_one();
                executor::sleep(GIVEN).await;
            } else if error.is::<PoolConcurrencyLimitError>() && Arc::ptr_eq(&linked, &self.prepared.linked) {
                // A component of many memories, say: the pool has slots, and not that many memories.
                linked = Box::pin(linked_on_demand(&self.core, &shared)).await?;
            } else {
                return Err(not_made(&error));
            }
        }
    }

    /// Makes an instance in a slot; both come back where it fails.
    async fn instance_of(
        &mut self,
        linked: Arc<Linked>,
        slot: Option<PoolSlot>,
        call: CallContext,
        ended: Option<Box<Remainder>>,
    ) -> Result<(), Box<(wasmtime::Error, Option<PoolSlot>, Option<Box<Remainder>>)>> {
        let shared = Arc::clone(&self.shared);
        let limits = shared.limits();
        let guest = Guest {
            actor: Arc::clone(&shared),
            handlers: Arc::clone(&self.handlers),
            limits: Limiter::new(limits, Some(shared.account().nothing())),
            context: HeldContext::new(call),
            clock: Clock::default(),
            runner: None,
            watch: Arc::clone(&self.core.watch),
            turns: Arc::clone(&self.core.turns),
            calls: Calls::of(&shared),
            begun: ended,
            unwritten: false,
        };
        let mut store = Store::new(linked.component.compiled.engine(), guest);
        store.limiter(|guest| &mut guest.limits);
        store.set_hostcall_fuel(usize::try_from(limits.value_bytes).unwrap_or(usize::MAX));
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|mut context| {
            let guest = context.data_mut();
            if guest.clock.tick() {
                return Err(OutOfTime { limit_ms: guest.actor.limits().run_timeout_ms }.into());
            }
            Ok(UpdateDeadline::YieldCustom(1, Box::pin(guest.turn())))
        });
        store.data_mut().clock.start(Duration::from_millis(limits.run_timeout_ms));
        let engines = Arc::clone(&self.core.engines);
        let _running = engines.ticker().running();
        match linked.pre.instantiate_async(&mut store).await {
            Ok(instance) => {
                let memory = store.data().limits.memory();
                self.instance = Some(Instance { store, instance, linked, memory, _slot: slot });
                Ok(())
            }
            Err(error) => Err(Box::new((error, slot, store.into_data().begun))),
        }
    }

    /// Ends the actor: its handlers in reverse, then its chain.
    pub async fn finish(mut self, end: End) {
        let keeps_mailbox = self.shared.keeps_mailbox(&end);
        self.shared.tell_restart(keeps_mailbox);
        self.shared.cancelled.set();
        if !keeps_mailbox {
            self.shared.turn_away(&end);
        }
        self.instance = None;
        self.shared.end_family().await;
        detach(&self.core, &self.shared, self.handlers).await;
        // One that failed may still be resumed; what a parent knows of a child it may ask for as long as it lives.
        if self.shared.parent().is_none() && matches!(end, End::Stopped { .. }) && !keeps_mailbox {
            self.core.forget_actor(&self.shared).await;
        }
        self.shared.finish(end, false);
    }
}

/// A slot, where none is free at once.
async fn slot_in_time(core: &Core, shared: &ActorHandle) -> Result<PoolSlot, InstanceError> {
    let slot = executor::timeout(INSTANCE_WAIT, core.pool.slot(shared.account())).await;
    slot.ok_or(InstanceError::NoSlot)
}

async fn linked_on_demand(core: &Arc<Core>, shared: &Arc<ActorHandle>) -> Result<Arc<Linked>, InstanceError> {
    let linked = core.linked_on_demand(shared).await;
    linked.map_err(|error| InstanceError::Failed(crate::support::error::chain_of(&error)))
}

/// Stops and releases handlers, the last one first.
pub async fn detach(core: &Core, shared: &Arc<ActorHandle>, handlers: Arc<Vec<Attached>>) {
    // A program that was told to end is gone within a second; else what runs may finish.
    let patience = shared.services.grace(10_000);
    // A call that was interrupted has dropped its store, so this is the last owner; if not, handlers end with it.
    let Ok(mut handlers) = Arc::try_unwrap(handlers) else {
        tracing::error!(actor = shared.short_id(), "handlers are still in use at the actor's end");
        return;
    };
    while let Some(attached) = handlers.pop() {
        let Attached { plugin, handler, host, .. } = attached;
        let stopped = core.watch.polls(shared.id(), &plugin, handler.get().stopped());
        match executor::timeout(patience, stopped).await {
            Some(answer) if answer.status == OK => {}
            Some(answer) => shared.report_fault(
                &plugin.descriptor.name,
                "P0108",
                &format!("stopped panicked: {}", answer.sentence()),
            ),
            None => shared.report_fault(
                &plugin.descriptor.name,
                "P0109",
                &format!("stopped did not end within {patience:?}"),
            ),
        }
        if executor::timeout(patience, host.end()).await.is_none() {
            shared.report_fault(
                &plugin.descriptor.name,
                "P0109",
                &format!("a task it spawned did not end within {patience:?}"),
            );
        }
        let answer: Answer = {
            let _watched = core.watch.enter(shared.id(), &plugin);
            handler.release()
        };
        if answer.status == PANIC {
            shared.report_fault(
                &plugin.descriptor.name,
                "P0106",
                &format!("the handler's drop panicked: {}", answer.sentence()),
            );
        }
    }
}

fn context(shared: &ActorHandle, queued: EventRef, cause: Option<EventRef>, timeout_ms: u64) -> CallContext {
    let deadline_ms = if timeout_ms == 0 { 0 } else { theater_chain::journal::now_ms().saturating_add(timeout_ms) };
    let mut trace = [0; 16];
    trace.copy_from_slice(queued.hash.first_chunk::<16>().unwrap_or(&[0; 16]));
    CallContext {
        actor: shared.id(),
        call: queued.sequence,
        host_call: 0,
        cause_actor: cause.map_or([0; 16], |cause| cause.actor),
        cause_sequence: cause.map_or(0, |cause| cause.sequence),
        deadline_ms,
        trace,
        cancelled: u32::from(shared.cancelled.is_set()),
        reserved: 0,
    }
}

fn not_made(error: &wasmtime::Error) -> InstanceError {
    let text = format!("could not be instantiated: {}", trap_text(error));
    if error.root_cause().is::<Exceeded>() { InstanceError::OverBudget(text) } else { InstanceError::Failed(text) }
}

/// What kind of failure a trap is.
fn failure_kind(error: &wasmtime::Error) -> FailureKind {
    if error.is::<OutOfTime>() {
        FailureKind::Timeout
    } else if error.downcast_ref::<PluginFault>().is_some_and(|fault| fault.code == "P0102") {
        FailureKind::Serialization
    } else {
        FailureKind::Internal
    }
}
