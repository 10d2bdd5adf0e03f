//! Begins a run of an actor: of a new one, or of one that is restarted or resumed.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

use theater_chain::event::Chain;
use theater_plugin_api::uuid_text;

use crate::actor::chain_state::ChainState;
use crate::actor::dedup::PendingReplies;
use crate::actor::handle::{ActorHandle, Lifecycle, Services, Settings};
use crate::actor::host_wait::HostWait;
use crate::actor::mailbox::Mailbox;
use crate::actor::queued_call::{ActorSignal, QueuedCall};
use crate::actor::spec::ActorSpec;
use crate::manifest::Limits;
use crate::support::budget::Account;
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
        let account = account_of(&services, &settings, &beginning);
        let Carried { chain, mailbox, state, restarts, repeats } = carried(beginning, &settings, &origin, &account);
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
            child_table: OnceLock::new(),
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
            restarts: Mutex::new(restarts),
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

/// The account of a run: that of the previous run, or a new one for a top-level actor or an actor with `tree_bytes`, or the
/// account of the parent.
fn account_of(services: &Services, settings: &Settings, beginning: &StartMode<'_>) -> Arc<Account> {
    match (beginning, &settings.parent, settings.limits.tree_bytes) {
        (StartMode::Again(before), ..) => Arc::clone(&before.account),
        (_, None, tree_bytes) => services.budget.below(&settings.name, tree_bytes),
        (_, Some(parent), 0) => Arc::clone(&parent.account),
        (_, Some(parent), tree_bytes) => parent.account.below(&settings.name, tree_bytes),
    }
}

/// What a restarted run shares with the previous one; new values for another run.
struct Carried {
    chain: Arc<Mutex<ChainState>>,
    mailbox: Arc<Mailbox<QueuedCall, ActorSignal>>,
    state: Option<Arc<Vec<u8>>>,
    restarts: VecDeque<Instant>,
    repeats: Arc<PendingReplies>,
}

fn carried(beginning: StartMode<'_>, settings: &Settings, origin: &ActorSpec, account: &Arc<Account>) -> Carried {
    let new_mailbox = || {
        let Limits { mailbox_size, mailbox_bytes, .. } = settings.limits;
        let calls = usize::try_from(mailbox_size).unwrap_or(usize::MAX);
        Arc::new(Mailbox::new(calls, mailbox_bytes, account))
    };
    let fresh = |chain, state| Carried {
        chain: Arc::new(Mutex::new(ChainState { chain, closed: false })),
        mailbox: new_mailbox(),
        state,
        restarts: VecDeque::new(),
        repeats: Arc::default(),
    };
    match beginning {
        StartMode::New => fresh(Chain::new(settings.id), origin.state.clone()),
        StartMode::Resumed(chain, state) => fresh(chain, state),
        StartMode::Again(before) => Carried {
            chain: Arc::clone(&before.chain),
            mailbox: match before.mailbox.is_closed() {
                true => new_mailbox(),
                false => Arc::clone(&before.mailbox),
            },
            state: origin.state.clone(),
            restarts: lock(&before.restarts).clone(),
            repeats: Arc::clone(&before.repeats),
        },
    }
}
