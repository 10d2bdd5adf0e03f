//! An actor as others see it: its mailbox, its chain, its state. What comes to it is in `queue`, what it records in
//! `record`, its end in `end`; the task that runs its calls is [`run`].
//!
//! **An actor's state is `state` and nothing else; its instance is a cache.** The instance is dropped right after `init`,
//! after every failed call and when the actor is idle; the next call makes a new one, without calling `init` again.

use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use theater_plugin_api::encoding::{EncodingError, Reader};
use theater_plugin_api::uuid_text;

use crate::actor::child_table::ChildTable;
use crate::actor::dedup::PendingReplies;
use crate::actor::end::StopRequest;
use crate::actor::mailbox::{Mailbox, Permit};
use crate::actor::remainder::Remainder;
use crate::actor::{End, Lifecycle, Services};
use crate::manifest::Ceilings;
use crate::manifest::{InstanceMode, Keep, Limits, Manifest, OnError};
use crate::support::budget::{ACTOR_BYTES, Account, Charge, Exceeded};
use crate::support::executor::{self, Latch};
use crate::support::log_throttle::LogThrottle;
use theater_chain::event::{Chain, EventRef, Hash, Id};
use theater_chain::journal::Sync;
use theater_chain::record::{FunctionRecord, Outcome};
use theater_chain::value_type::ValueType;

/// Of a wait for a host call: that it was told of, and the bits of its second.
const TOLD: u64 = 1 << 31;
const LAST_SECOND: u64 = TOLD - 1;

/// Seconds of the system's clock that never goes back: read at each host call that waits, so the cheapest one.
fn second() -> u64 {
    u64::try_from(clock_gettime(ClockId::MonotonicCoarse).tv_sec).unwrap_or_default() & LAST_SECOND
}

/// What an actor is made with.
pub struct Settings {
    /// Its id.
    pub id: Id,
    /// Its name, unique among its siblings.
    pub name: String,
    /// The actor that spawned it.
    pub parent: Option<Arc<ActorHandle>>,
    /// Its limits.
    pub limits: Limits,
    /// How durable its chain is.
    pub sync: Sync,
    /// What an `err` means.
    pub on_error: OnError,
    /// How its instance is kept.
    pub instance: InstanceMode,
    /// Whether its instances come from the pool.
    pub pooled: bool,
    /// Events from one snapshot to the next, at least.
    pub snapshot_every: u64,
    /// What of its chain is kept for good.
    pub keep: Keep,
    /// Whether an effect that a crash cut off is tried again.
    pub retry_effects: bool,
}

impl Settings {
    /// The settings that an actor's origin asks for.
    #[must_use]
    pub fn new(id: Id, name: String, parent: Option<&Arc<ActorHandle>>, origin: &ActorSpec) -> Self {
        let ActorSpec { manifest, pooled, .. } = origin;
        Self {
            id,
            name,
            parent: parent.cloned(),
            limits: manifest.limits,
            sync: manifest.chain.sync,
            on_error: manifest.on_error,
            instance: manifest.instance,
            pooled: *pooled,
            snapshot_every: manifest.chain.snapshot_every,
            keep: manifest.chain.keep,
            retry_effects: manifest.chain.retry_effects,
        }
    }
}

/// What a life of an actor begins with.
pub enum StartMode<'a> {
    /// Nothing: it is new.
    New,
    /// The life before in this program.
    Again(&'a ActorHandle),
    /// What a program before left: the end of its chain, and the state after its last call.
    Resumed(Chain, Option<Arc<Vec<u8>>>),
}

/// What an actor was started from: what it is started from again.
#[derive(Clone)]
pub struct ActorSpec {
    /// Its manifest.
    pub manifest: Arc<Manifest>,
    /// What the core prepared of its component and its handlers: a type of a higher floor.
    pub prepared: Arc<dyn Any + Send + std::marker::Sync>,
    /// Its exports and the functions that its events name.
    pub interface: Arc<Interface>,
    /// Whether its instances come from the pool.
    pub pooled: bool,
    /// What its children may have.
    pub below: Ceilings,
    /// The state its `init` gets.
    pub state: Option<Arc<Vec<u8>>>,
}

/// The exports of an actor's component and the functions that its events name.
#[derive(Debug, Default)]
pub struct Interface {
    /// The exports that are called.
    pub exports: Vec<Export>,
    /// The functions that events name by index.
    pub functions: Vec<FunctionRecord>,
    /// Index of `init` among the exports.
    pub init: usize,
}

/// An export that is called.
#[derive(Debug)]
pub struct Export {
    /// `interface/function`.
    pub label: String,
    /// The types of its params, without the state.
    pub params: Vec<ValueType>,
    /// Index into [`Interface::functions`].
    pub function: u32,
}

/// What others see of an actor: of one life of it. An actor that is started again is a new value with the same id, chain
/// and mailbox.
pub struct ActorHandle {
    pub(crate) services: Arc<Services>,
    pub(crate) lifecycle: Arc<dyn Lifecycle>,
    pub(crate) settings: Settings,
    pub(crate) origin: ActorSpec,
    pub(crate) id_text: String,
    pub(crate) interface: Arc<Interface>,
    pub(crate) chain: Arc<Mutex<ChainState>>,
    pub(crate) mailbox: Arc<Mailbox<QueuedCall, ActorSignal>>,
    // No event of this life follows, whatever a stuck plugin still does.
    pub(crate) over: AtomicBool,
    // The running call ends this life, and whoever asked may know.
    pub(crate) failing: AtomicBool,
    // The state after the last call.
    pub(crate) committed: Mutex<Option<Arc<Vec<u8>>>>,
    // The `queued` event of the running call.
    pub(crate) calling: Mutex<Option<EventRef>>,
    pub(crate) staged: Mutex<Option<StagedSend>>,
    pub(crate) has_staged: AtomicBool,
    pub(crate) begun: Instant,
    pub(crate) family: OnceLock<Box<ChildTable>>,
    // Set when the actor is asked to stop; host waits end.
    pub(crate) cancelled: Latch,
    // Set when the grace of a stop is over; the running call is interrupted.
    pub(crate) interrupted: Latch,
    pub(crate) stop: Mutex<Option<StopRequest>>,
    pub(crate) running: Mutex<Option<executor::Sender<CallOutcome>>>,
    pub(crate) chain_read: Mutex<Option<(u64, u64, Hash)>>,
    pub(crate) addresses: OnceLock<Vec<String>>,
    pub(crate) end: OnceLock<End>,
    pub(crate) ended: Latch,
    pub(crate) idle: AtomicU64,
    // Where its memory counts.
    pub(crate) account: Arc<Account>,
    // What this life of it takes beside its instance and its mailbox: itself, and its state.
    pub(crate) charges: Mutex<Option<Charges>>,
    // Living actors below it.
    pub(crate) below: AtomicU64,
    // The host call that the running call waits for: its function's index and one, and the second of the system's clock in
    // which it began; 0 = none.
    pub(crate) host_wait: AtomicU64,
    // When it was started again, where it is a top-level actor.
    pub(crate) restarts: Mutex<VecDeque<Instant>>,
    // The life after this one, and whether that is known.
    pub(crate) next_life: Mutex<Option<Arc<ActorHandle>>>,
    pub(crate) settled: Latch,
    // Set before its handlers hear of its end, where it is started again.
    pub(crate) is_restarting: AtomicBool,
    pub(crate) fault_lines: LogThrottle,
    pub(crate) unheard_lines: LogThrottle,
    pub(crate) repeats: Arc<PendingReplies>,
}

/// What an actor itself takes, with the state it was started with, and what its state does.
type Charges = (Charge, Charge);

pub(crate) struct ChainState {
    pub(crate) chain: Chain,
    // No event follows the last one, unless the actor is started again.
    pub(crate) closed: bool,
}

/// A call of an export that another actor, or the outside, has for an actor.
pub struct IncomingCall {
    /// Index among the exports.
    pub export: u32,
    /// The encoded params.
    pub params: Vec<u8>,
    /// Where it comes from.
    pub source: String,
    /// The event that led to it.
    pub cause: Option<EventRef>,
}

/// A call that is left with a sender's host call, with its place in the receiver's mailbox.
pub struct StagedSend {
    pub(crate) target: Arc<ActorHandle>,
    pub(crate) permit: Permit<QueuedCall, ActorSignal>,
    pub(crate) incoming: IncomingCall,
    /// The host call's encoded result when the receiver has ended.
    pub otherwise: Vec<u8>,
}

impl StagedSend {
    /// Whether its receiver wants it on the disk before the sender is told that it was taken in.
    pub(crate) fn is_durable(&self) -> bool {
        self.target.settings.sync == Sync::Always
    }
}

/// A call that waits in the mailbox.
pub struct QueuedCall {
    pub(crate) export: u32,
    pub(crate) params: Vec<u8>,
    pub(crate) queued: EventRef,
    pub(crate) cause: Option<EventRef>,
    // None: nobody waits for its end.
    pub(crate) reply: Option<executor::Sender<CallOutcome>>,
    // What a program before had done of it.
    pub(crate) begun: Option<Box<Remainder>>,
}

/// A signal: there is something to look at.
pub enum ActorSignal {
    /// The actor was asked to stop.
    Stop,
    /// The pool needs the instance's place.
    Passivate,
    /// A call that goes before all others.
    First(QueuedCall),
}

impl ActorSignal {
    pub(crate) fn call(&self) -> Option<&QueuedCall> {
        match self {
            Self::First(call) => Some(call),
            Self::Stop | Self::Passivate => None,
        }
    }
}

/// How a call ended, for whoever brought it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallOutcome {
    /// `ok`, with the encoded values behind the state.
    Ok(Vec<u8>),
    /// `err`, with its text.
    Err(String),
    /// It trapped, was interrupted or timed out.
    Failed(String),
    /// The actor is stopping or has ended, or the call could not be recorded.
    Gone(String),
}

impl CallOutcome {
    /// What a recorded outcome is for whoever called.
    pub(crate) fn of(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Ok(values) => Self::Ok(values.into_vec()),
            Outcome::Err(text) => Self::Err(text),
            Outcome::Trap(text) | Outcome::Interrupted(text) => Self::Failed(text),
        }
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Values behind these locks are whole at every point a panic could happen.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ActorHandle {
    /// An actor without a task yet.
    #[must_use]
    pub fn new(
        (services, lifecycle): (Arc<Services>, Arc<dyn Lifecycle>),
        settings: Settings,
        origin: ActorSpec,
        beginning: StartMode<'_>,
    ) -> Arc<Self> {
        let new_chain = |chain| Arc::new(Mutex::new(ChainState { chain, closed: false }));
        let restarts = match &beginning {
            StartMode::Again(before) => Mutex::new(lock(&before.restarts).clone()),
            StartMode::New | StartMode::Resumed(..) => Mutex::default(),
        };
        let account = match (&beginning, &settings.parent, settings.limits.tree_bytes) {
            (StartMode::Again(before), ..) => Arc::clone(&before.account),
            (_, None, tree_bytes) => services.budget.below(&settings.name, tree_bytes),
            (_, Some(parent), 0) => Arc::clone(&parent.account),
            (_, Some(parent), tree_bytes) => parent.account.below(&settings.name, tree_bytes),
        };
        let repeats = match &beginning {
            StartMode::Again(before) => Arc::clone(&before.repeats),
            StartMode::New | StartMode::Resumed(..) => Arc::default(),
        };
        let new_mailbox = || {
            let Limits { mailbox_size, mailbox_bytes, .. } = settings.limits;
            let calls = usize::try_from(mailbox_size).unwrap_or(usize::MAX);
            Arc::new(Mailbox::new(calls, mailbox_bytes, &account))
        };
        let (chain, mailbox, state) = match beginning {
            StartMode::New => (new_chain(Chain::new(settings.id)), new_mailbox(), origin.state.clone()),
            StartMode::Again(before) if before.mailbox.is_closed() => {
                (Arc::clone(&before.chain), new_mailbox(), origin.state.clone())
            }
            StartMode::Again(before) => (Arc::clone(&before.chain), Arc::clone(&before.mailbox), origin.state.clone()),
            StartMode::Resumed(chain, state) => (new_chain(chain), new_mailbox(), state),
        };
        Arc::new(Self {
            services,
            lifecycle,
            id_text: uuid_text(&settings.id),
            chain,
            mailbox,
            settings,
            interface: Arc::clone(&origin.interface),
            committed: Mutex::new(state),
            origin,
            over: AtomicBool::new(false),
            failing: AtomicBool::new(false),
            calling: Mutex::default(),
            staged: Mutex::default(),
            has_staged: AtomicBool::new(false),
            family: OnceLock::new(),
            cancelled: Latch::default(),
            interrupted: Latch::default(),
            stop: Mutex::default(),
            running: Mutex::default(),
            chain_read: Mutex::default(),
            addresses: OnceLock::new(),
            end: OnceLock::new(),
            ended: Latch::default(),
            idle: AtomicU64::new(0),
            account,
            charges: Mutex::default(),
            below: AtomicU64::new(0),
            host_wait: AtomicU64::new(0),
            restarts,
            next_life: Mutex::default(),
            settled: Latch::default(),
            is_restarting: AtomicBool::new(false),
            fault_lines: LogThrottle::default(),
            unheard_lines: LogThrottle::default(),
            repeats,
            begun: Instant::now(),
        })
    }

    /// Since when this life of it goes on.
    pub(crate) fn begun(&self) -> Instant {
        self.begun
    }

    /// The services of the program it runs in.
    #[must_use]
    pub fn services(&self) -> &Arc<Services> {
        &self.services
    }
    /// What the core does when it ends.
    pub(crate) fn lifecycle(&self) -> &Arc<dyn Lifecycle> {
        &self.lifecycle
    }
    /// Its id.
    #[must_use]
    pub fn id(&self) -> Id {
        self.settings.id
    }
    /// Its id as text.
    #[must_use]
    pub fn id_text(&self) -> &str {
        &self.id_text
    }
    /// The first eight digits of its id.
    #[must_use]
    pub fn short_id(&self) -> &str {
        self.id_text.get(..8).unwrap_or(&self.id_text)
    }
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.settings.name
    }
    /// Its parent.
    #[must_use]
    pub fn parent(&self) -> Option<&Arc<Self>> {
        self.settings.parent.as_ref()
    }
    /// What it was started from.
    #[must_use]
    pub fn origin(&self) -> &ActorSpec {
        &self.origin
    }
    /// Its manifest.
    #[must_use]
    pub fn manifest(&self) -> &Arc<Manifest> {
        &self.origin.manifest
    }
    /// Its children.
    #[must_use]
    pub fn family(&self) -> &ChildTable {
        self.family.get_or_init(Box::default)
    }
    /// The children it knows of, without making a family of its own.
    #[must_use]
    pub fn known_children(&self) -> Vec<Arc<Self>> {
        self.family.get().map_or_else(Vec::new, |family| family.all())
    }
    /// The state after the last call; never waits for a running one.
    #[must_use]
    pub fn state(&self) -> Option<Arc<Vec<u8>>> {
        lock(&self.committed).clone()
    }
    /// The `queued` event of the running call, while one runs.
    #[must_use]
    pub fn calling(&self) -> Option<EventRef> {
        *lock(&self.calling)
    }
    /// Its limits.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.settings.limits
    }
    /// How durable its chain is.
    #[must_use]
    pub fn sync(&self) -> Sync {
        self.settings.sync
    }
    /// Whether an effect that a crash cut off is tried again.
    #[must_use]
    pub fn retries_effects(&self) -> bool {
        self.settings.retry_effects
    }
    /// Whether nothing of its chain is dropped.
    pub(crate) fn keeps_all(&self) -> bool {
        self.settings.keep == Keep::All
    }
    /// Set when it is asked to stop.
    #[must_use]
    pub fn cancelled(&self) -> &Latch {
        &self.cancelled
    }
    /// Where its handlers listen, once it is ready.
    #[must_use]
    pub fn addresses(&self) -> &[String] {
        self.addresses.get().map_or(&[], Vec::as_slice)
    }
    /// Whether the time it had to stop is over.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        self.interrupted.is_set()
    }
    /// Whether a call is running.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        lock(&self.running).is_some()
    }
    /// How it ended, if it has.
    #[must_use]
    pub fn end(&self) -> Option<&End> {
        self.end.get()
    }
    /// Waits until it has ended.
    pub async fn wait(&self) {
        self.ended.wait().await;
    }
    /// Whether it is about to end: a call has failed it, or it was told to.
    pub(crate) fn is_ending(&self) -> bool {
        self.failing.load(Ordering::Relaxed) || lock(&self.stop).is_some()
    }
    /// Head of its chain and how many events it has.
    #[must_use]
    pub fn head(&self) -> (Hash, u64) {
        let record = lock(&self.chain);
        (record.chain.head(), record.chain.len())
    }
    /// `interface/function` of an export.
    #[must_use]
    pub fn export_label(&self, export: u32) -> &str {
        self.interface.exports.get(export as usize).map_or("an unknown export", |export| &export.label)
    }
    /// Index of an export by its label.
    #[must_use]
    pub fn export(&self, label: &str) -> Option<u32> {
        self.interface.exports.iter().position(|export| export.label == label).map(|index| index as u32)
    }

    /// Whether bytes are the encoded params of an export.
    ///
    /// # Errors
    /// Where they are not.
    pub fn fits(&self, export: u32, params: &[u8]) -> Result<(), EncodingError> {
        let shapes = self.interface.exports.get(export as usize).map_or(&[][..], |export| &export.params);
        let mut reader = Reader::new(params);
        shapes.iter().try_for_each(|shape| shape.validate(&mut reader))?;
        reader.finish()
    }

    /// The running call waits for a host call of that function.
    pub(crate) fn waits_in(&self, record: u32) {
        self.host_wait.store((u64::from(record) + 1) << 32 | second(), Ordering::Relaxed);
    }

    /// That wait is over.
    pub(crate) fn waits_no_more(&self) {
        self.host_wait.store(0, Ordering::Relaxed);
    }

    /// The host call that it has waited for longer than `patience`, once each: its function's index, and for how long.
    pub(crate) fn long_wait(&self, patience: Duration) -> Option<(u32, Duration)> {
        let wait = self.host_wait.load(Ordering::Relaxed);
        let (record, since) = ((wait >> 32).checked_sub(1)?, wait & LAST_SECOND);
        let waited = Duration::from_secs(second().saturating_sub(since));
        if waited < patience || wait & TOLD != 0 {
            return None;
        }
        let told = self.host_wait.compare_exchange(wait, wait | TOLD, Ordering::Relaxed, Ordering::Relaxed);
        told.ok().map(|_| (record as u32, waited))
    }

    /// Before its handlers hear of its end: whether it is started again, where it is a top-level actor.
    pub(crate) fn tell_restart(&self, restarts: bool) {
        self.is_restarting.store(restarts && self.parent().is_none(), Ordering::Relaxed);
    }

    /// Whether it has ended and is about to be started again.
    #[must_use]
    pub fn restarts(&self) -> bool {
        self.is_restarting.load(Ordering::Relaxed)
    }

    /// Where its memory counts.
    #[must_use]
    pub fn account(&self) -> &Arc<Account> {
        &self.account
    }

    /// Living actors below it.
    #[must_use]
    pub fn descendants(&self) -> &AtomicU64 {
        &self.below
    }

    /// Charges the actor and the state it starts with.
    pub(crate) fn charge_start(&self) -> Result<(), Exceeded> {
        let length = |state: &Option<Arc<Vec<u8>>>| state.as_ref().map_or(0, |state| state.len() as u64);
        // What it was started with is kept as long as it can be started with it again.
        // Its manifest is there as text and as what that says.
        let manifest = 2 * self.manifest().text.len() as u64;
        let own = self.account.charge(ACTOR_BYTES + manifest + length(&self.origin.state))?;
        let state = self.state();
        let is_the_first = match (&state, &self.origin.state) {
            (Some(state), Some(first)) => Arc::ptr_eq(state, first),
            _ => false,
        };
        let state = self.account.charge(if is_the_first { 0 } else { length(&state) })?;
        *lock(&self.charges) = Some((own, state));
        Ok(())
    }

    /// The life after this one is charged for both.
    pub(crate) fn take_charges(&self) -> Option<Charges> {
        lock(&self.charges).take()
    }

    /// No life follows: it is still known, and still takes what it took.
    pub(crate) fn put_charges(&self, charges: Option<Charges>) {
        *lock(&self.charges) = charges;
    }

    /// Charges a new state in place of the old one.
    pub(crate) fn charge_state(&self, bytes: u64) -> Result<(), Exceeded> {
        lock(&self.charges).as_mut().map_or(Ok(()), |(_, state)| state.resize(bytes))
    }

    /// Gives the instance's slot back when the actor is idle.
    pub(crate) fn passivate(&self) {
        self.mailbox.signal(ActorSignal::Passivate);
    }

    /// A number that changes whenever the actor is used: tells the pool whether it is still idle.
    pub(crate) fn idle_mark(&self) -> &AtomicU64 {
        &self.idle
    }

    /// A call begins whose own reads of the chain count.
    pub(crate) fn forget_chain_read(&self) {
        *lock(&self.chain_read) = None;
    }

    /// What the last read of the chain within this call covered.
    pub(crate) fn take_chain_read(&self) -> Option<(u64, u64, Hash)> {
        lock(&self.chain_read).take()
    }
}

impl fmt::Debug for ActorHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Actor({} {:?})", self.id_text, self.name())
    }
}
