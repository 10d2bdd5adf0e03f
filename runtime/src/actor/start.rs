//! Begins a run of an actor: of a new one, or of one that is restarted or resumed.

use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

use theater_chain::event::Chain;
use theater_plugin_api::uuid_text;

use crate::actor::chain_state::ChainState;
use crate::actor::handle::{ActorHandle, Lifecycle, Services, Settings};
use crate::actor::host_wait::HostWait;
use crate::actor::mailbox::Mailbox;
use crate::actor::spec::ActorSpec;
use crate::manifest::Limits;
use crate::support::executor::Latch;
use crate::support::lock::lock;
use crate::support::log_throttle::LogThrottle;

/// How a run of an actor begins.
pub enum StartMode<'a> {
    /// The actor is new.
    New,
    /// The actor is restarted after that run, in the same program. The chain, the account and, unless it was closed, the
    /// mailbox are kept.
    Again(&'a ActorHandle),
    /// The actor is resumed by another program: the end of its chain, and the state after its last call.
    Resumed(Chain, Option<Arc<Vec<u8>>>),
}

impl ActorHandle {
    /// A handle of an actor whose task is not started yet.
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
            host_wait: HostWait::default(),
            restarts,
            next_run: Mutex::default(),
            settled: Latch::default(),
            is_restarting: AtomicBool::new(false),
            fault_lines: LogThrottle::default(),
            unheard_lines: LogThrottle::default(),
            repeats,
            begun: Instant::now(),
        })
    }
}
