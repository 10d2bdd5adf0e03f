//! The watchdog reports a call or poll of a plugin that does not return, and adds a worker thread to replace the blocked one.
//!
//! Each executor thread has a slot with a counter that is odd while the thread is inside a plugin. Entering and leaving a
//! plugin is only a few stores to that slot. The thread of the watchdog reads the slots four times a second; a slot that is
//! inside a plugin and has not changed for [`PATIENCE`] is stuck.

use std::cell::OnceCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use crate::plugin::loaded::Plugin;
use crate::support::executor;
use theater_chain::event::Id;

/// The time after which a call or poll that has not returned is reported.
pub const PATIENCE: Duration = Duration::from_secs(1);
const PERIOD: Duration = Duration::from_millis(250);
/// The interval between checks of the waits of actors.
const LOOK: Duration = Duration::from_secs(5);

/// What a thread is doing at the moment.
#[derive(Default)]
struct Slot {
    // Incremented on entry and on exit, so it is odd while the thread is inside a plugin.
    turn: AtomicU64,
    actor: [AtomicU64; 2],
    plugin: AtomicUsize,
}

impl Slot {
    /// Increments the counter. Only the thread of the slot writes it, so a load and a store suffice.
    fn step(&self) {
        self.turn.store(self.turn.load(Ordering::Relaxed) + 1, Ordering::Release);
    }
}

/// A call or poll that has not returned.
#[derive(Debug, Clone)]
pub struct Stuck {
    /// The actor that it was made for.
    pub actor: Id,
    /// The name of the plugin.
    pub plugin: String,
    /// How long it has not returned.
    pub since: Duration,
    /// Whether this is the first report of it.
    pub first: bool,
    /// Whether a worker thread was added to replace the one it blocks.
    pub replaced: bool,
}

/// The slots of all threads, and the plugins by their addresses.
#[derive(Default)]
pub struct Watchdog {
    // Slots are leaked: there is one per executor thread, and those run as long as the process.
    slots: Mutex<Vec<&'static Slot>>,
    plugins: Mutex<Vec<(usize, String)>>,
}

thread_local! {
    static SLOT: OnceCell<&'static Slot> = const { OnceCell::new() };
}

/// Whether this thread is inside a call or poll of a plugin.
pub fn is_inside() -> bool {
    SLOT.with(|slot| slot.get().is_some_and(|slot| slot.turn.load(Ordering::Relaxed) % 2 == 1))
}

/// Marks this thread as inside a plugin until it is dropped.
pub struct PluginScope(&'static Slot);

impl Drop for PluginScope {
    fn drop(&mut self) {
        self.0.step();
    }
}

impl Watchdog {
    /// Marks this thread as inside a plugin on behalf of an actor.
    pub fn enter(&self, actor: Id, plugin: &Arc<Plugin>) -> PluginScope {
        let slot = SLOT.with(|slot| *slot.get_or_init(|| self.register()));
        let (high, low) = halves(actor);
        slot.actor[0].store(high, Ordering::Relaxed);
        slot.actor[1].store(low, Ordering::Relaxed);
        slot.plugin.store(Arc::as_ptr(plugin) as usize, Ordering::Relaxed);
        slot.step();
        PluginScope(slot)
    }

    /// Polls a future of a plugin; each poll is watched.
    pub async fn polls<F: Future + Unpin>(&self, actor: Id, plugin: &Arc<Plugin>, future: F) -> F::Output {
        Polls { watch: self, actor, plugin, future }.await
    }

    /// Registers the name of a plugin, for reports.
    pub fn know(&self, plugin: &Arc<Plugin>) {
        let mut plugins = self.plugins.lock().unwrap_or_else(PoisonError::into_inner);
        plugins.push((Arc::as_ptr(plugin) as usize, plugin.descriptor.name.clone()));
    }

    fn register(&self) -> &'static Slot {
        let slot: &'static Slot = Box::leak(Box::default());
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).push(slot);
        slot
    }

    /// Starts the thread of the watchdog, which runs until the last owner of `watch` is gone. It passes stuck calls to
    /// `report`, runs `measure` four times a second, and `look` every five seconds.
    ///
    /// # Errors
    /// The system could not start a thread.
    pub fn start(
        watch: &Arc<Self>,
        report: impl Fn(Stuck) + Send + 'static,
        measure: impl Fn() + Send + 'static,
        look: impl Fn() + Send + 'static,
    ) -> std::io::Result<()> {
        let weak = Arc::downgrade(watch);
        thread::Builder::new().name("theater-watch".to_owned()).spawn(move || run(&weak, &report, &measure, &look))?;
        Ok(())
    }
}

/// Runs the watchdog. Time is counted in periods of this thread, so that a pause of the whole process does not count.
fn run(watch: &Weak<Watchdog>, report: &dyn Fn(Stuck), measure: &dyn Fn(), look: &dyn Fn()) {
    // Per slot: the last counter, for how many periods it has not changed, and whether that was reported.
    let mut seen: Vec<(u64, u32, bool)> = Vec::new();
    for period in 1_u64.. {
        thread::sleep(PERIOD);
        let Some(watch) = watch.upgrade() else { return };
        measure();
        if period % (LOOK.as_millis() / PERIOD.as_millis()) as u64 == 0 {
            look();
        }
        let slots = watch.slots.lock().unwrap_or_else(PoisonError::into_inner).clone();
        seen.resize_with(slots.len(), || (0, 0, false));
        for (slot, state) in slots.iter().zip(&mut seen) {
            let turn = slot.turn.load(Ordering::Acquire);
            if turn != state.0 {
                *state = (turn, 0, false);
                continue;
            }
            state.1 = state.1.saturating_add(1);
            let since = PERIOD * state.1;
            if turn % 2 == 0 || since < PATIENCE {
                continue;
            }
            let first = !std::mem::replace(&mut state.2, true);
            let replaced = first && executor::add_thread();
            let actor = id_of(slot.actor[0].load(Ordering::Relaxed), slot.actor[1].load(Ordering::Relaxed));
            let address = slot.plugin.load(Ordering::Relaxed);
            let plugins = watch.plugins.lock().unwrap_or_else(PoisonError::into_inner);
            let plugin = plugins.iter().find(|(known, _)| *known == address).map(|(_, name)| name.clone());
            drop(plugins);
            report(Stuck { actor, plugin: plugin.unwrap_or_default(), since, first, replaced });
        }
    }
}

fn halves(id: Id) -> (u64, u64) {
    let (high, low) = id.split_at(8);
    let number = |half: &[u8]| half.try_into().map_or(0, u64::from_le_bytes);
    (number(high), number(low))
}

fn id_of(high: u64, low: u64) -> Id {
    let mut id = [0; 16];
    let (first, second) = id.split_at_mut(8);
    first.copy_from_slice(&high.to_le_bytes());
    second.copy_from_slice(&low.to_le_bytes());
    id
}

struct Polls<'a, F> {
    watch: &'a Watchdog,
    actor: Id,
    plugin: &'a Arc<Plugin>,
    future: F,
}

impl<F: Future + Unpin> Future for Polls<'_, F> {
    type Output = F::Output;
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        let _inside = this.watch.enter(this.actor, this.plugin);
        Pin::new(&mut this.future).poll(context)
    }
}
