//! An actor as others see it: its mailbox, its chain, its state. What comes to it is in `queue`, what it records in
//! `record`, its end in `end`; the task that runs its calls is [`run`].
//!
//! **An actor's state is `state` and nothing else; its instance is a cache.** The instance is dropped right after `init`,
//! after every failed call and when the actor is idle; the next call makes a new one, without calling `init` again.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use theater_plugin_api::encoding::{EncodingError, Reader};
use theater_plugin_api::uuid_text;

use crate::budget::{ACTOR_BYTES, Account, Charge, Exceeded};
use crate::core::{Core, Prepared};
use crate::executor::{self, Signal};
use crate::family::Family;
use crate::flood::Flood;
use crate::linker::Linked;
use crate::mailbox::{Mailbox, Permit};
use crate::manifest::{InstanceMode, Keep, Limits, Manifest, OnError};
use crate::replay::Unfinished;
use theater_chain::event::{Chain, EventRef, Hash, Id};
use theater_chain::journal::Sync;
use theater_chain::record::Outcome;

mod end;
mod events;
mod queue;
mod record;
mod repeats;
pub mod run;

pub(crate) use end::NOT_BEGUN;
use end::StopRequest;
pub use end::{BY_ITSELF, BY_PARENT, BY_PROGRAM, End, TO_RESTART};
pub(crate) use events::event_type;
pub(crate) use repeats::Repeat;
use repeats::Repeats;
pub(crate) use run::trap_text;
pub use run::{Actor, detach};

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
    pub parent: Option<Arc<Shared>>,
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
    pub fn new(id: Id, name: String, parent: Option<&Arc<Shared>>, origin: &Origin) -> Self {
        let Origin { manifest, prepared, .. } = origin;
        Self {
            id,
            name,
            parent: parent.cloned(),
            limits: manifest.limits,
            sync: manifest.chain.sync,
            on_error: manifest.on_error,
            instance: manifest.instance,
            pooled: prepared.pooled,
            snapshot_every: manifest.chain.snapshot_every,
            keep: manifest.chain.keep,
            retry_effects: manifest.chain.retry_effects,
        }
    }
}

/// What a life of an actor begins with.
pub enum Beginning<'a> {
    /// Nothing: it is new.
    New,
    /// The life before in this program.
    Again(&'a Shared),
    /// What a program before left: the end of its chain, and the state after its last call.
    Resumed(Chain, Option<Arc<Vec<u8>>>),
}

/// What an actor was started from: what it is started from again.
#[derive(Clone)]
pub struct Origin {
    /// Its manifest.
    pub manifest: Arc<Manifest>,
    /// Its handlers and its component.
    pub prepared: Arc<Prepared>,
    /// The state its `init` gets.
    pub state: Option<Arc<Vec<u8>>>,
}

/// What others see of an actor: of one life of it. An actor that is started again is a new value with the same id, chain
/// and mailbox.
pub struct Shared {
    core: Arc<Core>,
    settings: Settings,
    origin: Origin,
    id_text: String,
    linked: Arc<Linked>,
    chain: Arc<Mutex<Record>>,
    mailbox: Arc<Mailbox<Call, Wake>>,
    // No event of this life follows, whatever a stuck plugin still does.
    over: AtomicBool,
    // The running call ends this life, and whoever asked may know.
    failing: AtomicBool,
    // The state after the last call.
    committed: Mutex<Option<Arc<Vec<u8>>>>,
    // The `queued` event of the running call.
    calling: Mutex<Option<EventRef>>,
    staged: Mutex<Option<Staged>>,
    has_staged: AtomicBool,
    begun: Instant,
    family: OnceLock<Box<Family>>,
    // Set when the actor is asked to stop; host waits end.
    cancelled: Signal,
    // Set when the grace of a stop is over; the running call is interrupted.
    interrupted: Signal,
    stop: Mutex<Option<StopRequest>>,
    running: Mutex<Option<executor::Sender<CallOutcome>>>,
    chain_read: Mutex<Option<(u64, u64, Hash)>>,
    addresses: OnceLock<Vec<String>>,
    end: OnceLock<End>,
    ended: Signal,
    idle: AtomicU64,
    // Where its memory counts.
    account: Arc<Account>,
    // What this life of it takes beside its instance and its mailbox: itself, and its state.
    charges: Mutex<Option<Charges>>,
    // Living actors below it.
    below: AtomicU64,
    // The host call that the running call waits for: its function's index and one, and the second of the system's clock in
    // which it began; 0 = none.
    host_wait: AtomicU64,
    // When it was started again, where it is a top-level actor.
    restarts: Mutex<VecDeque<Instant>>,
    // The life after this one, and whether that is known.
    next_life: Mutex<Option<Arc<Shared>>>,
    settled: Signal,
    // Set before its handlers hear of its end, where it is started again.
    is_restarting: AtomicBool,
    fault_lines: Flood,
    unheard_lines: Flood,
    repeats: Arc<Repeats>,
}

/// What an actor itself takes, with the state it was started with, and what its state does.
type Charges = (Charge, Charge);

struct Record {
    chain: Chain,
    // No event follows the last one, unless the actor is started again.
    closed: bool,
}

/// A call of an export that another actor, or the outside, has for an actor.
pub struct Incoming {
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
pub struct Staged {
    target: Arc<Shared>,
    permit: Permit<Call, Wake>,
    incoming: Incoming,
    /// The host call's encoded result when the receiver has ended.
    pub otherwise: Vec<u8>,
}

impl Staged {
    /// Whether its receiver wants it on the disk before the sender is told that it was taken in.
    pub(crate) fn is_durable(&self) -> bool {
        self.target.settings.sync == Sync::Always
    }
}

/// A call that waits in the mailbox.
pub struct Call {
    export: u32,
    params: Vec<u8>,
    queued: EventRef,
    cause: Option<EventRef>,
    // None: nobody waits for its end.
    reply: Option<executor::Sender<CallOutcome>>,
    // What a program before had done of it.
    begun: Option<Box<Unfinished>>,
}

/// A signal: there is something to look at.
pub enum Wake {
    /// The actor was asked to stop.
    Stop,
    /// The pool needs the instance's place.
    Passivate,
    /// A call that goes before all others.
    First(Call),
}

impl Wake {
    fn call(&self) -> Option<&Call> {
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Values behind these locks are whole at every point a panic could happen.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// An actor without a task yet.
    #[must_use]
    pub fn new(core: Arc<Core>, settings: Settings, origin: Origin, beginning: Beginning<'_>) -> Arc<Self> {
        let new_chain = |chain| Arc::new(Mutex::new(Record { chain, closed: false }));
        let restarts = match &beginning {
            Beginning::Again(before) => Mutex::new(lock(&before.restarts).clone()),
            Beginning::New | Beginning::Resumed(..) => Mutex::default(),
        };
        let account = match (&beginning, &settings.parent, settings.limits.tree_bytes) {
            (Beginning::Again(before), ..) => Arc::clone(&before.account),
            (_, None, tree_bytes) => core.budget.below(&settings.name, tree_bytes),
            (_, Some(parent), 0) => Arc::clone(&parent.account),
            (_, Some(parent), tree_bytes) => parent.account.below(&settings.name, tree_bytes),
        };
        let repeats = match &beginning {
            Beginning::Again(before) => Arc::clone(&before.repeats),
            Beginning::New | Beginning::Resumed(..) => Arc::default(),
        };
        let new_mailbox = || {
            let Limits { mailbox_size, mailbox_bytes, .. } = settings.limits;
            let calls = usize::try_from(mailbox_size).unwrap_or(usize::MAX);
            Arc::new(Mailbox::new(calls, mailbox_bytes, &account))
        };
        let (chain, mailbox, state) = match beginning {
            Beginning::New => (new_chain(Chain::new(settings.id)), new_mailbox(), origin.state.clone()),
            Beginning::Again(before) if before.mailbox.is_closed() => {
                (Arc::clone(&before.chain), new_mailbox(), origin.state.clone())
            }
            Beginning::Again(before) => (Arc::clone(&before.chain), Arc::clone(&before.mailbox), origin.state.clone()),
            Beginning::Resumed(chain, state) => (new_chain(chain), new_mailbox(), state),
        };
        Arc::new(Self {
            core,
            id_text: uuid_text(&settings.id),
            chain,
            mailbox,
            settings,
            linked: Arc::clone(&origin.prepared.linked),
            committed: Mutex::new(state),
            origin,
            over: AtomicBool::new(false),
            failing: AtomicBool::new(false),
            calling: Mutex::default(),
            staged: Mutex::default(),
            has_staged: AtomicBool::new(false),
            family: OnceLock::new(),
            cancelled: Signal::default(),
            interrupted: Signal::default(),
            stop: Mutex::default(),
            running: Mutex::default(),
            chain_read: Mutex::default(),
            addresses: OnceLock::new(),
            end: OnceLock::new(),
            ended: Signal::default(),
            idle: AtomicU64::new(0),
            account,
            charges: Mutex::default(),
            below: AtomicU64::new(0),
            host_wait: AtomicU64::new(0),
            restarts,
            next_life: Mutex::default(),
            settled: Signal::default(),
            is_restarting: AtomicBool::new(false),
            fault_lines: Flood::default(),
            unheard_lines: Flood::default(),
            repeats,
            begun: Instant::now(),
        })
    }

    /// Since when this life of it goes on.
    pub(crate) fn begun(&self) -> Instant {
        self.begun
    }

    /// The core it runs in.
    #[must_use]
    pub fn core(&self) -> &Arc<Core> {
        &self.core
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
    pub fn origin(&self) -> &Origin {
        &self.origin
    }
    /// Its manifest.
    #[must_use]
    pub fn manifest(&self) -> &Arc<Manifest> {
        &self.origin.manifest
    }
    /// Its children.
    #[must_use]
    pub fn family(&self) -> &Family {
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
    pub fn cancelled(&self) -> &Signal {
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
        self.linked.exports.get(export as usize).map_or("an unknown export", |export| &export.label)
    }
    /// Index of an export by its label.
    #[must_use]
    pub fn export(&self, label: &str) -> Option<u32> {
        self.linked.exports.iter().position(|export| export.label == label).map(|index| index as u32)
    }

    /// Whether bytes are the encoded params of an export.
    ///
    /// # Errors
    /// Where they are not.
    pub fn fits(&self, export: u32, params: &[u8]) -> Result<(), EncodingError> {
        let shapes = self.linked.exports.get(export as usize).map_or(&[][..], |export| &export.params);
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
    fn tell_restart(&self, restarts: bool) {
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
    fn charge_state(&self, bytes: u64) -> Result<(), Exceeded> {
        lock(&self.charges).as_mut().map_or(Ok(()), |(_, state)| state.resize(bytes))
    }

    /// Gives the instance's slot back when the actor is idle.
    pub(crate) fn passivate(&self) {
        self.mailbox.signal(Wake::Passivate);
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

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Actor({} {:?})", self.id_text, self.name())
    }
}
