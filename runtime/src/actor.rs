//! An actor as others see it: its mailbox, its chain, its state. The task that runs its calls is in [`run`].
//!
//! **An actor's state is `state` and nothing else; its instance is a cache.** The instance is dropped right after `init`,
//! after every failed call and when the actor is idle; the next call makes a new one, without calling `init` again.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use theater_plugin_api::encoding::{EncodingError, Reader, encode};
use theater_plugin_api::host::ChainEvent;
use theater_plugin_api::{Bytes, Ending, FailureKind, uuid_text};

use crate::chain::{Chain, EventRef, Hash, Id, NewEvent};
use crate::core::{Core, Prepared, START};
use crate::executor::{self, Signal};
use crate::family::{Family, Standing};
use crate::flood::Flood;
use crate::journal::{JournalError, Sync};
use crate::keep::Base;
use crate::linker::Linked;
use crate::mailbox::{Mailbox, Permit};
use crate::manifest::{InstanceMode, Keep, Limits, Manifest, OnError};
use crate::plugins::meets;
use crate::record::{Failed, Fault, Kind, Noted, Outcome, Queued, Return, Stopped};
use crate::replay::{LeftCall, Unfinished};
use crate::segment;

pub mod run;

pub(crate) use run::trap_text;
pub use run::{Actor, detach};

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
    fault_lines: Flood,
    repeats: Arc<Repeats>,
}

/// Calls that other actors may ask for again, in whichever life of this one.
#[derive(Default)]
struct Repeats {
    all: Mutex<Vec<Repeat>>,
    // Whether there ever was one: nearly no actor has any.
    any: AtomicBool,
}

/// A call that a program before had queued for another actor's host call, which was cut off: that host call is made again,
/// and what it asks for is this call, not another one.
pub(crate) struct Repeat {
    /// The call of the other actor.
    pub(crate) cause: EventRef,
    /// The sequence of the `queued` event.
    pub(crate) sequence: u64,
    /// How it ended, once it has.
    pub(crate) outcome: Option<CallOutcome>,
    /// Who waits for that, once it is asked for again.
    pub(crate) reply: Option<executor::Sender<CallOutcome>>,
}

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

impl From<StopRequest> for End {
    fn from(request: StopRequest) -> Self {
        let StopRequest { reason, data, failure } = request;
        match failure {
            Some(reason) => {
                Self::Failed { function: "its supervision".to_owned(), kind: FailureKind::Internal, reason }
            }
            None => Self::Stopped { reason, data },
        }
    }
}

#[derive(Debug, Clone)]
struct StopRequest {
    reason: String,
    data: Option<Vec<u8>>,
    // The actor is to end as failed, with this reason.
    failure: Option<String>,
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

/// How an actor ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// It was asked to, or asked itself.
    Stopped {
        /// Who asked.
        reason: String,
        /// What `shutdown` was given.
        data: Option<Vec<u8>>,
    },
    /// It failed.
    Failed {
        /// The export that was running.
        function: String,
        /// What kind of failure.
        kind: FailureKind,
        /// Why.
        reason: String,
    },
}

/// Before the disk is asked again whether it has what was queued.
const DISK: Duration = Duration::from_millis(100);

/// Why a stop was asked for: by the actor itself.
pub const BY_ITSELF: &str = "shutdown";
/// Why a stop was asked for: the actor is started again.
pub const TO_RESTART: &str = "restart";
/// Why a stop was asked for: the program ends. The actor may be resumed.
pub const BY_PROGRAM: &str = "program";
/// Why a stop was asked for: the parent ends, or stops it.
pub const BY_PARENT: &str = "parent";

impl End {
    /// What the parent is told: nothing of a stop that only leads to the next start.
    fn told(&self) -> Option<Ending> {
        match self {
            Self::Stopped { reason, .. } if reason == TO_RESTART => None,
            Self::Stopped { reason, data } if reason == BY_ITSELF => Some(Ending::Exit(data.clone().map(Into::into))),
            Self::Stopped { .. } => Some(Ending::Stopped),
            Self::Failed { kind, reason, .. } => Some(Ending::Failed { kind: *kind, causes: reason.clone() }),
        }
    }

    /// Whether the parent may start the actor again: not one that somebody stopped.
    fn is_held(&self) -> bool {
        !matches!(self.told(), Some(Ending::Stopped))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Values behind these locks are whole at every point a panic could happen.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Locks two chains in the order of their ids, so that two actors that send to each other do not wait for each other; the
/// second is none when the two are one.
fn lock_both<'a>(
    own: &'a Mutex<Record>,
    own_id: Id,
    other: &'a Mutex<Record>,
    other_id: Id,
) -> (MutexGuard<'a, Record>, Option<MutexGuard<'a, Record>>) {
    match own_id.cmp(&other_id) {
        std::cmp::Ordering::Equal => (lock(own), None),
        std::cmp::Ordering::Less => {
            let own = lock(own);
            (own, Some(lock(other)))
        }
        std::cmp::Ordering::Greater => {
            let other = lock(other);
            (lock(own), Some(other))
        }
    }
}

impl Shared {
    /// An actor without a task yet.
    #[must_use]
    pub fn new(core: Arc<Core>, settings: Settings, origin: Origin, beginning: Beginning<'_>) -> Arc<Self> {
        let new_mailbox =
            || Arc::new(Mailbox::new(usize::try_from(settings.limits.mailbox_size).unwrap_or(usize::MAX)));
        let new_chain = |chain| Arc::new(Mutex::new(Record { chain, closed: false }));
        let repeats = match &beginning {
            Beginning::Again(before) => Arc::clone(&before.repeats),
            Beginning::New | Beginning::Resumed(..) => Arc::default(),
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
            fault_lines: Flood::default(),
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

    /// Appends an event to the actor's chain.
    ///
    /// # Errors
    /// When the disk does not take events, or the chain has ended.
    pub fn record(&self, event: &NewEvent<'_>) -> Result<EventRef, JournalError> {
        let mut record = lock(&self.chain);
        self.lives()?;
        self.record_in(&mut record, event)
    }

    /// Events of a life that is over are refused; asked under the chain's lock.
    fn lives(&self) -> Result<(), JournalError> {
        if self.over.load(Ordering::Relaxed) { Err(self.chain_ended()) } else { Ok(()) }
    }

    fn record_in(&self, record: &mut Record, event: &NewEvent<'_>) -> Result<EventRef, JournalError> {
        if record.closed {
            return Err(self.chain_ended());
        }
        self.core.journal.append(&mut record.chain, event, self.settings.sync)
    }

    fn chain_ended(&self) -> JournalError {
        let path = self.core.journal.folder().map(ToOwned::to_owned).unwrap_or_default();
        JournalError { path, reason: format!("the chain of actor {} has ended", self.id_text) }
    }

    /// The actor begins another life: its chain takes events again, and this is the first.
    ///
    /// # Errors
    /// As [`Shared::record`].
    pub(crate) fn record_restarted(&self, data: &[u8]) -> Result<EventRef, JournalError> {
        let mut record = lock(&self.chain);
        record.closed = false;
        self.record_in(&mut record, &NewEvent::plain(Kind::Restarted, data))
    }

    fn record_encoded(&self, kind: Kind, data: &impl serde::Serialize) -> Result<EventRef, JournalError> {
        self.record(&NewEvent::plain(kind, &encode(data).unwrap_or_default()))
    }

    /// Appends a fault, and logs it: the first few of a second, since the chain has them all.
    ///
    /// # Errors
    /// As [`Shared::record`].
    pub fn record_fault(&self, fault: &Fault) -> Result<EventRef, JournalError> {
        if let Some(held) = self.fault_lines.admit(Instant::now()) {
            self.tell_held_faults(held);
            let sentence = format!("{}: {}", fault.plugin, fault.message);
            tracing::warn!(actor = self.short_id(), name = self.name(), code = fault.code, "plugin fault: {sentence}");
        }
        self.record_encoded(Kind::Fault, fault)
    }

    /// Records a snapshot: all that waits now, and nothing that comes later, is in it.
    fn record_snapshot(&self, state: Option<&[u8]>, handlers: &[Bytes]) -> Result<(), JournalError> {
        // A record is its fields in a row: the last one is known only under the lock.
        let mut data = encode(&(state.map(Bytes::from), handlers)).unwrap_or_default();
        let mut record = lock(&self.chain);
        self.lives()?;
        let mut waiting =
            self.mailbox.each(|call| call.queued.sequence, |wake| wake.call().map(|call| call.queued.sequence));
        waiting.sort_unstable();
        data.extend(encode(&waiting).unwrap_or_default());
        let snapshot = self.record_in(&mut record, &NewEvent::plain(Kind::Snapshot, &data))?;
        if self.settings.keep == Keep::Snapshots {
            self.core.journal.may_drop(self.id(), Base { below: snapshot.sequence, waiting });
        }
        self.seal(&mut record, &snapshot);
        Ok(())
    }

    /// Seals what was just recorded, where the operator wants it.
    fn seal(&self, record: &mut Record, newest: &EventRef) {
        let Some(sealer) = self.core.sealer() else { return };
        let data = encode(&sealer.seal(newest)).unwrap_or_default();
        if let Err(error) = self.record_in(record, &NewEvent::plain(Kind::Sealed, &data)) {
            let sequence = newest.sequence;
            tracing::error!(actor = self.short_id(), "the seal over event {sequence} could not be recorded: {error}");
        }
    }

    /// Records what came from outside and no export takes.
    pub fn record_note(&self, noted: &Noted) -> Result<EventRef, JournalError> {
        self.record_encoded(Kind::Noted, noted)
    }

    fn tell_held_faults(&self, held: u64) {
        if held > 0 {
            let (actor, name) = (self.short_id(), self.name());
            tracing::warn!(actor, name, "{held} more plugin faults are not logged; the actor's chain has them all");
        }
    }

    /// Records a fault that no call waits for.
    pub fn report_fault(&self, plugin: &crate::plugins::Plugin, code: &str, message: &str) {
        let fault =
            Fault { plugin: plugin.descriptor.name.clone(), code: code.to_owned(), message: message.to_owned() };
        if let Err(error) = self.record_fault(&fault) {
            tracing::error!(actor = self.short_id(), "a fault could not be recorded: {error}");
        }
    }

    /// Queues a call of an export and waits for its end. `params` must fit the export.
    pub async fn call(&self, incoming: Incoming) -> CallOutcome {
        let Some(permit) = self.place().await else { return self.gone() };
        let (reply, answer) = executor::bounded(1);
        let reply = match self.repeats.any.load(Ordering::Relaxed) {
            true => self.not_repeated(incoming.cause, reply),
            false => Some(reply),
        };
        match reply {
            None => drop(permit),
            Some(reply) => {
                if let Err(outcome) = self.queue(incoming, permit, Some(reply)) {
                    return outcome;
                }
            }
        }
        answer.recv().await.unwrap_or_else(|_| self.gone())
    }

    /// Queues a call of an export whose result goes to nobody; with `first` before all others, without waiting for a
    /// place.
    ///
    /// # Errors
    /// [`CallOutcome::Gone`].
    pub async fn post(&self, incoming: Incoming, first: bool) -> Result<(), CallOutcome> {
        if first {
            let mut record = lock(&self.chain);
            if self.mailbox.is_closed() {
                return Err(self.gone());
            }
            let call = self.queued(&mut record, incoming, None)?;
            self.mailbox.signal(Wake::First(call));
        } else {
            let permit = self.place().await.ok_or_else(|| self.gone())?;
            self.queue(incoming, permit, None)?;
        }
        // It is in the mailbox, whatever the disk says now.
        while let Err(error) = self.durable().await {
            tracing::debug!(actor = self.short_id(), "a call that was queued is not on the disk yet: {error}");
            if executor::timeout(DISK, self.ended.wait()).await.is_some() {
                break;
            }
        }
        Ok(())
    }

    /// Waits until what was recorded is on the disk, where the manifest asks for it before anything leaves.
    ///
    /// # Errors
    /// When the disk does not take it.
    async fn durable(&self) -> Result<(), JournalError> {
        if self.settings.sync == Sync::Always { self.core.journal.written().await } else { Ok(()) }
    }

    /// Waits for a place, then leaves the call with `sender`'s host call that is running.
    ///
    /// # Errors
    /// [`CallOutcome::Gone`], also when the sender's host call carries a call already.
    pub async fn stage(
        self: &Arc<Self>,
        sender: &Self,
        incoming: Incoming,
        otherwise: Vec<u8>,
    ) -> Result<(), CallOutcome> {
        // The journal is waited for before calls, not inside one.
        let permit = self.mailbox.reserve().await.ok_or_else(|| self.gone())?;
        let mut staged = lock(&sender.staged);
        if staged.is_some() {
            return Err(CallOutcome::Gone("a host call sends one message".to_owned()));
        }
        *staged = Some(Staged { target: Arc::clone(self), permit, incoming, otherwise });
        sender.has_staged.store(true, Ordering::Release);
        Ok(())
    }

    /// What was left with the host call that has ended now.
    pub(crate) fn take_staged(&self) -> Option<Staged> {
        self.has_staged.store(false, Ordering::Relaxed);
        lock(&self.staged).take()
    }

    /// Whether the host call that has ended now left something to send. Nearly none does: the lock is left alone.
    pub(crate) fn has_staged(&self) -> bool {
        self.has_staged.load(Ordering::Acquire)
    }

    /// Records a host call and queues what it sends, in one group. When the receiver has ended nothing is sent, and the
    /// staged call's `otherwise` comes back. `data` makes the data of the host call's event, given `otherwise` when that is
    /// the result.
    ///
    /// # Errors
    /// As [`Shared::record`]; then nothing is sent.
    pub(crate) fn record_sending(
        &self,
        staged: Staged,
        host: &NewEvent<'_>,
        data: impl FnOnce(Option<&[u8]>) -> Vec<u8>,
    ) -> Result<Option<Vec<u8>>, JournalError> {
        let Staged { target, permit, incoming, otherwise } = staged;
        let (mut own, mut theirs) = lock_both(&self.chain, self.id(), &target.chain, target.id());
        self.lives()?;
        let journal = &self.core.journal;
        journal.takes_events()?;
        if target.mailbox.is_closed() {
            let data = data(Some(&otherwise));
            let event = NewEvent { data: &data, ..*host };
            journal.append_made([journal.make(&mut own.chain, &event, self.settings.sync).1]);
            return Ok(Some(otherwise));
        }
        let data = data(None);
        let (sent, frame) = journal.make(&mut own.chain, &NewEvent { data: &data, ..*host }, self.settings.sync);
        let Incoming { export, params, source, .. } = incoming;
        let (function, data) = target.queued_event(export, &params, source);
        let event = NewEvent { function, cause: Some(sent), ..NewEvent::plain(Kind::Queued, &data) };
        let record = theirs.as_deref_mut().unwrap_or(&mut own);
        let (queued, other) = journal.make(&mut record.chain, &event, target.settings.sync);
        journal.append_made([frame, other]);
        // A mailbox closes under the chain's lock: it is open still.
        drop(permit.send(Call { export, params, queued, cause: Some(sent), reply: None, begun: None }));
        Ok(None)
    }

    /// A place in the mailbox, once the journal has room; none when the mailbox is closed.
    async fn place(&self) -> Option<Permit<Call, Wake>> {
        self.core.journal.room().await;
        self.mailbox.reserve().await
    }

    fn gone(&self) -> CallOutcome {
        CallOutcome::Gone(format!("actor {:?} ({}) is stopping or has ended", self.name(), self.short_id()))
    }

    /// Records a call and puts it into its place.
    fn queue(
        &self,
        incoming: Incoming,
        permit: Permit<Call, Wake>,
        reply: Option<executor::Sender<CallOutcome>>,
    ) -> Result<(), CallOutcome> {
        // The order of `queued` events is the order in the mailbox: both under the chain's lock.
        let mut record = lock(&self.chain);
        if self.mailbox.is_closed() {
            return Err(self.gone());
        }
        let call = self.queued(&mut record, incoming, reply)?;
        permit.send(call).map_err(|_| self.gone())
    }

    fn queued(
        &self,
        record: &mut Record,
        incoming: Incoming,
        reply: Option<executor::Sender<CallOutcome>>,
    ) -> Result<Call, CallOutcome> {
        let Incoming { export, params, source, cause } = incoming;
        let queued = self
            .record_queued(record, export, &params, source, cause)
            .map_err(|error| CallOutcome::Gone(error.to_string()))?;
        Ok(Call { export, params, queued, cause, reply, begun: None })
    }

    fn record_queued(
        &self,
        record: &mut Record,
        export: u32,
        params: &[u8],
        source: String,
        cause: Option<EventRef>,
    ) -> Result<EventRef, JournalError> {
        let (function, data) = self.queued_event(export, params, source);
        self.record_in(record, &NewEvent { function, cause, ..NewEvent::plain(Kind::Queued, &data) })
    }

    /// Function and data of a `queued` event.
    fn queued_event(&self, export: u32, params: &[u8], source: String) -> (Option<u32>, Vec<u8>) {
        let function = self.linked.exports.get(export as usize).map(|export| export.function);
        (function, encode(&Queued { source, params: params.into() }).unwrap_or_default())
    }

    /// The running call finishes, then the actor stops.
    ///
    /// # Errors
    /// A sentence when it is stopping already.
    pub fn shutdown(&self, data: Option<Vec<u8>>) -> Result<(), String> {
        self.request_stop(StopRequest { reason: BY_ITSELF.to_owned(), data, failure: None })
    }

    /// The running call finishes, then the actor ends as failed.
    pub(crate) fn fail(&self, reason: String) {
        let request = StopRequest { reason: BY_ITSELF.to_owned(), data: None, failure: Some(reason) };
        if let Err(already) = self.request_stop(request) {
            tracing::debug!(actor = self.short_id(), "{already}");
        }
    }

    fn request_stop(&self, request: StopRequest) -> Result<(), String> {
        let mut stop = lock(&self.stop);
        if let Some(before) = &*stop {
            return Err(format!("the actor is stopping already ({})", before.reason));
        }
        *stop = Some(request);
        drop(stop);
        self.mailbox.signal(Wake::Stop);
        Ok(())
    }

    /// Stops the actor and waits until it has ended: no new calls, waits are cancelled, the running call is interrupted
    /// after `grace`.
    pub async fn stop(&self, reason: &str, grace: Duration) {
        // One that is stopping already is helped along all the same.
        if let Err(already) = self.request_stop(StopRequest { reason: reason.to_owned(), data: None, failure: None }) {
            tracing::debug!(actor = self.short_id(), "{already}");
        }
        self.cancelled.set();
        let grace = grace.min(Duration::from_millis(self.limits().stop_grace_ms));
        if executor::timeout(grace, self.ended.wait()).await.is_none() {
            self.interrupted.set();
            self.ended.wait().await;
        }
    }

    /// Gives the instance's place back when the actor is idle.
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

    /// The newest events, oldest first: at most `most`, and no more than fit into one value (`value_bytes`).
    ///
    /// # Errors
    /// When the journal cannot be written or read.
    pub async fn newest_events(&self, most: u64) -> Result<Vec<ChainEvent>, crate::error::Error> {
        let (head, length) = self.head();
        let events = self.events_until(length, most, self.limits().value_bytes).await?;
        *lock(&self.chain_read) = Some((length - events.len() as u64, length, head));
        Ok(events)
    }

    /// The newest events, oldest first: at most `most`, of at most `most_bytes`.
    ///
    /// # Errors
    /// As [`Shared::newest_events`].
    pub async fn events(&self, most: u64, most_bytes: u64) -> Result<Vec<ChainEvent>, crate::error::Error> {
        self.events_until(self.head().1, most, most_bytes).await
    }

    async fn events_until(
        &self,
        length: u64,
        most: u64,
        most_bytes: u64,
    ) -> Result<Vec<ChainEvent>, crate::error::Error> {
        self.core.journal.written().await?;
        let Some(folder) = self.core.journal.folder().map(ToOwned::to_owned) else { return Ok(Vec::new()) };
        let names: Vec<String> =
            self.linked.functions.iter().map(|f| format!("{}/{}", f.interface, f.function)).collect();
        let place = self.core.journal.place(self.id());
        let id = self.id();
        let read = move || read_back((&folder, id), place, length, (most, most_bytes), &names);
        executor::blocking(read)
            .await
            .map_err(|source| crate::error::Error::ChainRead { path: self.core.data().join("journal"), source })
    }

    /// Records the end of this life, and tells the parent unless `quiet`.
    pub(crate) fn finish(&self, end: End, quiet: bool) {
        self.tell_held_faults(self.fault_lines.take_held());
        let (kind, data) = match &end {
            End::Stopped { reason, data } => {
                let data = data.clone().map(Into::into);
                (Kind::Stopped, encode(&Stopped { reason: reason.clone(), data }))
            }
            End::Failed { function, reason, .. } => {
                (Kind::Failed, encode(&Failed { step: function.clone(), message: reason.clone() }))
            }
        };
        let held = {
            // One end, and nothing behind it: all under the chain's lock, as calls are queued under it.
            let mut record = lock(&self.chain);
            if self.over.swap(true, Ordering::Relaxed) {
                return;
            }
            let event = NewEvent::plain(kind, data.as_deref().unwrap_or_default());
            let recorded = self.record_in(&mut record, &event);
            match &recorded {
                Ok(end) => self.seal(&mut record, end),
                Err(error) => tracing::error!(actor = self.short_id(), "the end could not be recorded: {error}"),
            }
            let ending = if quiet { None } else { end.told() };
            let hold = !quiet && end.is_held();
            let held =
                self.parent().is_some_and(|parent| parent.family().ended(self, ending, hold, (recorded.ok(), false)));
            if !held {
                // Another program would ask the parent what becomes of it.
                if quiet && !self.core.stopped.is_set() && self.parent().is_some() && end.is_held() {
                    self.record_released(&mut record);
                }
                self.close(&mut record);
            }
            held
        };
        self.core.ended(self, &end, held);
        self.end.get_or_init(|| end);
        self.ended.set();
    }

    /// Nothing more is taken in; what waits is answered.
    fn close(&self, record: &mut Record) {
        drop(self.mailbox.close());
        lock(&self.repeats.all).clear();
        record.closed = true;
    }

    /// A held actor is not started again, unless by another program.
    pub(crate) fn let_go(&self) {
        let mut record = lock(&self.chain);
        if self.core.stopped.is_set() {
            self.turn_away_in(&mut record, true);
        } else {
            self.record_released(&mut record);
        }
        self.close(&mut record);
        drop(record);
        self.core.let_go(self);
    }

    /// It cannot go on in this program: the chain stays as it is, for another one.
    pub(crate) fn give_up(&self, reason: String) {
        let mut record = lock(&self.chain);
        self.over.store(true, Ordering::Relaxed);
        self.close(&mut record);
        drop(record);
        self.cancelled.set();
        if let Some(parent) = self.parent() {
            let held = parent.family().ended(self, None, false, (None, true));
            debug_assert!(!held, "nobody is told, and nobody holds it");
        }
        let end = End::Failed { function: START.to_owned(), kind: FailureKind::Internal, reason };
        self.core.ended(self, &end, false);
        self.end.get_or_init(|| end);
        self.ended.set();
    }

    /// It had ended when the program before did, and its parent is to say what becomes of it.
    pub(crate) fn hold(&self, end: End, event: EventRef, is_told: bool) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(parent) = self.parent() {
            let held = parent.family().ended(self, end.told(), true, (Some(event), is_told));
            if !held {
                // The parent has ended by now, or does not go on.
                self.close(&mut lock(&self.chain));
                self.core.let_go(self);
            }
        }
        self.end.get_or_init(|| end);
        self.ended.set();
    }

    fn record_return(&self, export: u32, call: u64, event: &Return) -> Result<EventRef, JournalError> {
        let mut record = lock(&self.chain);
        self.lives()?;
        self.record_return_in(&mut record, export, call, event)
    }

    fn record_return_in(
        &self,
        record: &mut Record,
        export: u32,
        call: u64,
        event: &Return,
    ) -> Result<EventRef, JournalError> {
        let data = encode(event).unwrap_or_default();
        let function = self.linked.exports.get(export as usize).map(|export| export.function);
        self.record_in(record, &NewEvent { function, call: Some(call), ..NewEvent::plain(Kind::Return, &data) })
    }

    fn record_released(&self, record: &mut Record) {
        if let Err(error) = self.record_in(record, &NewEvent::plain(Kind::Released, &[])) {
            tracing::error!(actor = self.short_id(), "that the actor is let go could not be recorded: {error}");
        }
    }

    /// A call that other actors may ask for again.
    pub(crate) fn expect(&self, repeat: Repeat) {
        lock(&self.repeats.all).push(repeat);
        self.repeats.any.store(true, Ordering::Relaxed);
    }

    /// `reply` again, unless the call is one that is there already: then that one's end is what it gets.
    fn not_repeated(
        &self,
        cause: Option<EventRef>,
        reply: executor::Sender<CallOutcome>,
    ) -> Option<executor::Sender<CallOutcome>> {
        let mut repeats = lock(&self.repeats.all);
        let place = repeats.iter().position(|repeat| Some(repeat.cause) == cause && repeat.reply.is_none());
        let Some(repeat) = place.and_then(|place| repeats.get_mut(place).map(|repeat| (place, repeat))) else {
            return Some(reply);
        };
        match repeat {
            (place, Repeat { outcome: Some(outcome), .. }) => {
                // Whoever asks waits still.
                drop(reply.try_send(outcome.clone()));
                repeats.remove(place);
            }
            (_, repeat) => repeat.reply = Some(reply),
        }
        None
    }

    /// A call has ended that may be asked for again.
    fn repeat_ended(&self, sequence: u64, ended: &CallOutcome) {
        let mut repeats = lock(&self.repeats.all);
        let Some(place) = repeats.iter().position(|repeat| repeat.sequence == sequence) else { return };
        let Some(repeat) = repeats.get_mut(place) else { return };
        match repeat.reply.take() {
            Some(reply) => {
                // Who waited may be gone.
                drop(reply.try_send(ended.clone()));
                repeats.remove(place);
            }
            None => repeat.outcome = Some(ended.clone()),
        }
    }

    /// Calls that a program before left wait again, in their order; the one that had begun goes first.
    ///
    /// # Errors
    /// The actor has no such export any more.
    pub(crate) fn take_over(&self, left: Vec<LeftCall>) -> Result<(), String> {
        for left in left {
            let call = self.left_call(left)?;
            match call.begun {
                Some(_) => self.mailbox.signal(Wake::First(call)),
                None => self.mailbox.put(call),
            }
        }
        Ok(())
    }

    /// A call that a program before left, of this one.
    ///
    /// # Errors
    /// The actor has no such export any more.
    pub(crate) fn left_call(&self, left: LeftCall) -> Result<Call, String> {
        let LeftCall { queued, cause, interface, function, params, begun } = left;
        let is_it =
            |label: &str| label.rsplit_once('/').is_some_and(|(of, name)| name == function && meets(of, &interface));
        let export = self.linked.exports.iter().position(|export| is_it(&export.label));
        let export =
            export.ok_or_else(|| format!("a call of {interface}/{function} waits, which nothing calls any more"))?;
        let begun = begun.map(Box::new);
        Ok(Call { export: export as u32, params: params.into_vec(), queued, cause, reply: None, begun })
    }

    /// What waits is answered: nothing more will run. Who waits for an answer knows so, and its call is over; what nobody
    /// waits for runs if another program resumes the actor.
    fn turn_away(&self, end: &End) {
        let resumable = match end {
            End::Stopped { reason, .. } => reason == BY_PROGRAM,
            End::Failed { .. } => true,
        };
        // Under the chain's lock, as messages are queued under it.
        self.turn_away_in(&mut lock(&self.chain), resumable);
    }

    fn turn_away_in(&self, record: &mut Record, resumable: bool) {
        let waiting = self.mailbox.close();
        for call in waiting.iter().filter(|call| resumable && self.is_awaited(call)) {
            let outcome = Outcome::Interrupted("the actor ended before it began".to_owned());
            let event = Return { outcome, host_calls: 0, state: None };
            if let Err(error) = self.record_return_in(record, call.export, call.queued.sequence, &event) {
                tracing::error!(actor = self.short_id(), "a call that did not run could not be recorded: {error}");
            }
        }
    }

    /// Whether somebody waits for the end of a call.
    fn is_awaited(&self, call: &Call) -> bool {
        call.reply.is_some() || self.is_repeat_awaited(call.queued.sequence)
    }

    fn is_repeat_awaited(&self, sequence: u64) -> bool {
        lock(&self.repeats.all).iter().any(|repeat| repeat.sequence == sequence && repeat.reply.is_some())
    }

    /// Whether the running call, which is interrupted, runs again when the actor is resumed: nobody waits for its answer,
    /// and the program ends.
    fn is_left_to_resume(&self, export: u32, sequence: u64) -> bool {
        self.core.stopped.is_set()
            && lock(&self.running).is_none()
            && !self.is_repeat_awaited(sequence)
            && export != self.linked.init as u32
    }

    /// Whether the end of this life leaves calls waiting for the next one.
    fn keeps_mailbox(&self, end: &End) -> bool {
        self.parent().is_some_and(|parent| !parent.cancelled.is_set()) && end.is_held()
    }

    /// Ends everything below this actor, and tells of no death any more.
    pub(crate) async fn end_family(&self) {
        let Some(family) = self.family.get() else { return };
        let mut stops = Vec::new();
        for (child, standing) in family.close() {
            match standing {
                Standing::Held => child.let_go(),
                Standing::Living => {
                    let grace = self.core.grace(child.limits().stop_grace_ms);
                    let reason = if self.core.stopped.is_set() { BY_PROGRAM } else { BY_PARENT };
                    stops.push(executor::spawn(async move { child.stop(reason, grace).await }));
                }
                Standing::Ended => {}
            }
        }
        for stop in stops {
            stop.await;
        }
        for child in family.all() {
            self.core.journal.forget(child.id());
            self.core.forget(&child).await;
        }
        family.forget();
    }

    /// Ends an actor whose thread is held by a plugin: its own task cannot.
    pub(crate) fn abandon(self: &Arc<Self>, reason: String) {
        let reply = lock(&self.running).take();
        if self.end.get().is_some() {
            return;
        }
        let function = "a plugin".to_owned();
        if let Some(reply) = reply {
            drop(reply.try_send(CallOutcome::Failed(reason.clone())));
        }
        self.cancelled.set();
        let end = match lock(&self.stop).clone() {
            Some(request) => request.into(),
            None => End::Failed { function, kind: FailureKind::Timeout, reason },
        };
        self.finish(end, false);
        let this = Arc::clone(self);
        drop(executor::spawn(async move { this.end_family().await }));
        // Its task, if that is not the one that is held, sees the end and lets go of the handlers.
    }
}

/// The event type an actor sees: `<interface>/<function>` of a host call, `wasm` for calls of it, else the core's own.
pub(crate) fn event_type(kind: u8, function: Option<u32>, names: &[String]) -> String {
    match Kind::from_number(kind) {
        Some(Kind::Host) => function.and_then(|index| names.get(index as usize)).cloned().unwrap_or_default(),
        Some(Kind::Queued | Kind::Return) => "wasm".to_owned(),
        Some(kind) => format!("runtime/{kind}"),
        None => format!("runtime/{kind}"),
    }
}

/// Follows the places back from an actor's newest written event to the one it had `length` events at.
fn read_back(
    (folder, actor): (&std::path::Path, Id),
    mut place: Option<segment::Place>,
    length: u64,
    (most, most_bytes): (u64, u64),
    names: &[String],
) -> std::io::Result<Vec<ChainEvent>> {
    // What an event is beside its data, at the most: hashes, type, lengths.
    const BESIDE: u64 = 256;
    let mut events = Vec::new();
    let mut bytes = 0;
    let mut sequences = length.saturating_sub(1)..=u64::MAX;
    while let Some(at) = place {
        if events.len() as u64 >= most {
            break;
        }
        let segment::Placed { header, hash, data, before, .. } = segment::read_event(folder, actor, at, sequences)?;
        place = before;
        let next = header.sequence.saturating_sub(1);
        sequences = next..=next;
        if header.sequence >= length {
            continue;
        }
        let data = data.unwrap_or_default();
        bytes += data.len() as u64 + BESIDE;
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

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Actor({} {:?})", self.id_text, self.name())
    }
}
