//! The handle of an actor: its settings, chain, mailbox and state, as everyone but its own task sees them.
//!
//! This file has the types that contain each other (the handle, its settings, its lifecycle, a staged send) and plain
//! accessors. What a handle does is in the files that use it: `start.rs`, `intake.rs`, `recording.rs`, `ending.rs`,
//! `children.rs`, `charges.rs` and `events.rs`.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use theater_chain::event::{EventRef, Hash, Id};
use theater_chain::journal::Sync;
use theater_plugin_api::encoding::{EncodingError, Reader};

use crate::actor::chain_state::ChainState;
use crate::actor::child_table::ChildTable;
use crate::actor::dedup::PendingReplies;
use crate::actor::directory::Directory;
use crate::actor::end::{End, StopRequest};
use crate::actor::host_wait::HostWait;
use crate::actor::identity::Identity;
use crate::actor::mailbox::{Mailbox, Permit};
use crate::actor::queued_call::{ActorSignal, CallOutcome, IncomingCall, QueuedCall};
use crate::actor::services::SharedServices;
use crate::actor::spec::{ActorSpec, Interface};
use crate::manifest::{InstanceMode, Keep, Limits, Manifest, OnError};
use crate::support::budget::{Account, Charge};
use crate::support::executor::{self, Latch};
use crate::support::lock::lock;
use crate::support::log_throttle::LogThrottle;

/// The living actors of a program.
pub type Registry = Directory<ActorHandle>;

/// The shared services of all actors of a program.
pub type Services = SharedServices<ActorHandle>;

/// What the core does when an actor ends. The core starts and restarts actors on a higher floor; this is how a handle
/// reaches it.
pub trait Lifecycle: Send + std::marker::Sync {
    /// A run of an actor has ended. A `held` actor is restarted or released later.
    fn ended(&self, actor: &ActorHandle, end: &End, held: bool);

    /// Restarts a top-level actor from its last state, on a task of its own.
    fn restart_top(self: Arc<Self>, before: &ActorHandle);

    /// An actor has ended for good.
    fn let_go(&self, actor: &ActorHandle);

    /// Notifies the plugins that an actor was removed, so that they can delete its data.
    fn forget<'a>(&'a self, actor: &'a ActorHandle) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>;
}

/// The settings of an actor.
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
    /// What happens when a call returns `err`.
    pub on_error: OnError,
    /// How long its instance is kept.
    pub instance: InstanceMode,
    /// Whether its instances come from the pool.
    pub pooled: bool,
    /// The minimum number of events between snapshots.
    pub snapshot_every: u64,
    /// Which data of its chain is retained.
    pub keep: Keep,
    /// Whether a resumed run repeats a host call with an effect whose outcome is unknown.
    pub retry_effects: bool,
}

impl Settings {
    /// The settings of an actor with that origin.
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

/// One run of an actor. A restarted actor is a new handle with the same id, chain and mailbox.
pub struct ActorHandle {
    pub(crate) services: Arc<Services>,
    pub(crate) lifecycle: Arc<dyn Lifecycle>,
    pub(crate) settings: Settings,
    pub(crate) origin: ActorSpec,
    pub(crate) id_text: String,
    pub(crate) interface: Arc<Interface>,
    pub(crate) chain: Arc<Mutex<ChainState>>,
    pub(crate) mailbox: Arc<Mailbox<QueuedCall, ActorSignal>>,
    // Set under the chain's lock at the end of this run: its chain takes no more events of it, not even from a stuck plugin.
    pub(crate) over: AtomicBool,
    // The running call has failed the actor, and its caller may have the answer before the end is recorded.
    pub(crate) failing: AtomicBool,
    // The state after the last finished call.
    pub(crate) committed: Mutex<Option<Arc<Vec<u8>>>>,
    // The `queued` event of the running call.
    pub(crate) calling: Mutex<Option<EventRef>>,
    pub(crate) staged: Mutex<Option<StagedSend>>,
    pub(crate) has_staged: AtomicBool,
    pub(crate) begun: Instant,
    pub(crate) child_table: OnceLock<Box<ChildTable<ActorHandle>>>,
    // Set when a stop is requested; pending host calls end.
    pub(crate) cancelled: Latch,
    // Set when the grace time of a stop is over; the running call is interrupted.
    pub(crate) interrupted: Latch,
    pub(crate) stop: Mutex<Option<StopRequest>>,
    pub(crate) running: Mutex<Option<executor::Sender<CallOutcome>>>,
    pub(crate) chain_read: Mutex<Option<(u64, u64, Hash)>>,
    pub(crate) addresses: OnceLock<Vec<String>>,
    pub(crate) end: OnceLock<End>,
    pub(crate) ended: Latch,
    pub(crate) idle: AtomicU64,
    // The account that its memory is charged to.
    pub(crate) account: Arc<Account>,
    // The charges of this run besides its instance and its mailbox.
    pub(crate) charges: Mutex<Option<Charges>>,
    // The number of its living descendants.
    pub(crate) below: AtomicU64,
    // The host call that the running call waits for.
    pub(crate) host_wait: HostWait,
    // The times of its restarts within the window; only used for top-level actors.
    pub(crate) restarts: Mutex<VecDeque<Instant>>,
    // The next run, if there is one. Valid once `settled` is set.
    pub(crate) next_run: Mutex<Option<Arc<ActorHandle>>>,
    pub(crate) settled: Latch,
    // Whether it will be restarted. Set before its handlers are notified of its end.
    pub(crate) is_restarting: AtomicBool,
    pub(crate) fault_lines: LogThrottle,
    pub(crate) unheard_lines: LogThrottle,
    pub(crate) repeats: Arc<PendingReplies>,
}

/// The charge for the actor itself with its initial state, and the charge for its current state.
pub(crate) type Charges = (Charge, Charge);

/// A message that a running host call sends, with its permit for the mailbox of the receiver. It is queued when the host
/// call is recorded, in one group of the journal: a crash preserves both events or none.
pub struct StagedSend {
    pub(crate) target: Arc<ActorHandle>,
    pub(crate) permit: Permit<QueuedCall, ActorSignal>,
    pub(crate) incoming: IncomingCall,
    /// The encoded result of the host call if the receiver has ended.
    pub otherwise: Vec<u8>,
}

impl StagedSend {
    /// Whether the receiver acknowledges messages only once they are on disk.
    pub(crate) fn is_durable(&self) -> bool {
        self.target.settings.sync == Sync::Always
    }
}

impl ActorHandle {
    /// When this run began.
    pub(crate) fn begun(&self) -> Instant {
        self.begun
    }

    /// The shared services of the program.
    #[must_use]
    pub fn services(&self) -> &Arc<Services> {
        &self.services
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
    pub fn child_table(&self) -> &ChildTable<Self> {
        self.child_table.get_or_init(Box::default)
    }
    /// Its children; unlike [`Self::child_table`] this does not create a child table.
    #[must_use]
    pub fn known_children(&self) -> Vec<Arc<Self>> {
        self.child_table.get().map_or_else(Vec::new, |table| table.all())
    }
    /// The state after the last finished call. Does not wait for a running one.
    #[must_use]
    pub fn state(&self) -> Option<Arc<Vec<u8>>> {
        lock(&self.committed).clone()
    }
    /// The `queued` event of the running call, if one is running.
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
    /// Whether a resumed run repeats a host call with an effect whose outcome is unknown.
    #[must_use]
    pub fn retries_effects(&self) -> bool {
        self.settings.retry_effects
    }
    /// Whether all data of its chain is retained.
    pub(crate) fn keeps_all(&self) -> bool {
        self.settings.keep == Keep::All
    }
    /// Set when a stop is requested.
    #[must_use]
    pub fn cancelled(&self) -> &Latch {
        &self.cancelled
    }
    /// The addresses its handlers listen on, once it is ready.
    #[must_use]
    pub fn addresses(&self) -> &[String] {
        self.addresses.get().map_or(&[], Vec::as_slice)
    }
    /// Whether the grace time of its stop is over.
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
    /// Whether it is about to end: a call has failed it, or a stop was requested.
    pub(crate) fn is_ending(&self) -> bool {
        self.failing.load(Ordering::Relaxed) || lock(&self.stop).is_some()
    }
    /// The head of its chain and the number of events.
    #[must_use]
    pub fn head(&self) -> (Hash, u64) {
        let state = lock(&self.chain);
        (state.chain.head(), state.chain.len())
    }
    /// `interface/function` of an export.
    #[must_use]
    pub fn export_label(&self, export: u32) -> &str {
        self.interface.exports.get(export as usize).map_or("an unknown export", |export| &export.label)
    }
    /// The index of an export, by its label.
    #[must_use]
    pub fn export(&self, label: &str) -> Option<u32> {
        self.interface.exports.iter().position(|export| export.label == label).map(|index| index as u32)
    }

    /// Checks that bytes are the encoded params of an export.
    ///
    /// # Errors
    /// The first mismatch.
    pub fn fits(&self, export: u32, params: &[u8]) -> Result<(), EncodingError> {
        let types = self.interface.exports.get(export as usize).map_or(&[][..], |export| &export.params);
        let mut reader = Reader::new(params);
        types.iter().try_for_each(|value_type| value_type.validate(&mut reader))?;
        reader.finish()
    }

    /// The running call waits for a host call of the function with that index.
    pub(crate) fn waits_in(&self, record: u32) {
        self.host_wait.begin(record);
    }

    /// The host call has ended.
    pub(crate) fn waits_no_more(&self) {
        self.host_wait.end();
    }

    /// The host call that the running call has waited for longer than `patience`: the index of its function, and the time.
    /// Each wait is returned once.
    pub(crate) fn long_wait(&self, patience: Duration) -> Option<(u32, Duration)> {
        self.host_wait.report(patience)
    }

    /// Sets whether a top-level actor will be restarted, before its handlers are notified of its end.
    pub(crate) fn tell_restart(&self, restarts: bool) {
        self.is_restarting.store(restarts && self.parent().is_none(), Ordering::Relaxed);
    }

    /// Whether it has ended and is about to be restarted.
    #[must_use]
    pub fn restarts(&self) -> bool {
        self.is_restarting.load(Ordering::Relaxed)
    }

    /// The account that its memory is charged to.
    #[must_use]
    pub fn account(&self) -> &Arc<Account> {
        &self.account
    }

    /// The number of its living descendants.
    #[must_use]
    pub fn descendants(&self) -> &AtomicU64 {
        &self.below
    }

    /// Requests that the actor gives its pool slot back if it is idle.
    pub(crate) fn passivate(&self) {
        self.mailbox.signal(ActorSignal::Passivate);
    }

    /// A number that changes whenever the actor is used, so that the pool can see whether it is still idle.
    pub(crate) fn idle_mark(&self) -> &AtomicU64 {
        &self.idle
    }

    /// Resets [`Self::take_chain_read`] at the start of a host call.
    pub(crate) fn forget_chain_read(&self) {
        *lock(&self.chain_read) = None;
    }

    /// The range of events and the chain's head of the last chain read within this host call.
    pub(crate) fn take_chain_read(&self) -> Option<(u64, u64, Hash)> {
        lock(&self.chain_read).take()
    }
}

impl fmt::Debug for ActorHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Actor({} {:?})", self.id_text, self.name())
    }
}

impl Identity for ActorHandle {
    fn id(&self) -> Id {
        self.settings.id
    }

    fn id_text(&self) -> &str {
        &self.id_text
    }

    fn name(&self) -> &str {
        &self.settings.name
    }
}
