//! The watchdog: reports a plugin's call or poll that does not return, and adds a worker thread in its place.
//!
//! Entering and leaving a plugin costs two stores into a slot of the thread's own; a thread of the watchdog's reads the
//! slots four times a second.

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

/// Time after which a call or poll that has not returned is reported.
pub const PATIENCE: Duration = Duration::from_secs(1);
const PERIOD: Duration = Duration::from_millis(250);
/// How often waits of actors are looked at.
const LOOK: Duration = Duration::from_secs(5);

/// What a thread is doing.
#[derive(Default)]
struct Slot {
    // Entries begun on this thread; odd while inside a plugin.
    turn: AtomicU64,
    actor: [AtomicU64; 2],
    plugin: AtomicUsize,
}

impl Slot {
    /// Only the slot's own thread writes, so reading and storing is one step.
    fn step(&self) {
        self.turn.store(self.turn.load(Ordering::Relaxed) + 1, Ordering::Release);
    }
}

/// A call or poll that has not returned.
#[derive(Debug, Clone)]
pub struct Stuck {
    /// On whose behalf.
    pub actor: Id,
    /// In which plugin, by its place in the list of plugins seen.
    pub plugin: String,
    /// For how long.
    pub since: Duration,
    /// Whether it is reported for the first time.
    pub first: bool,
    /// Whether a worker thread was added in place of the one it holds.
    pub replaced: bool,
}

/// All slots.
#[derive(Default)]
pub struct Watchdog {
    // A slot lives as long as the process, as its thread may: there is one per executor thread.
    slots: Mutex<Vec<&'static Slot>>,
    plugins: Mutex<Vec<(usize, String)>>,
}

thread_local! {
    static SLOT: OnceCell<&'static Slot> = const { OnceCell::new() };
}

/// Whether this thread is in a call or poll of a plugin.
pub fn is_inside() -> bool {
    SLOT.with(|slot| slot.get().is_some_and(|slot| slot.turn.load(Ordering::Relaxed) % 2 == 1))
}

/// PluginScope a plugin, until dropped.
pub struct PluginScope(&'static Slot);

impl Drop for PluginScope {
    fn drop(&mut self) {
        self.0.step();
    }
}

impl Watchdog {
    /// This thread enters a plugin for an actor.
    pub fn enter(&self, actor: Id, plugin: &Arc<Plugin>) -> PluginScope {
        let slot = SLOT.with(|slot| *slot.get_or_init(|| self.register()));
        let (high, low) = halves(actor);
        slot.actor[0].store(high, Ordering::Relaxed);
        slot.actor[1].store(low, Ordering::Relaxed);
        slot.plugin.store(Arc::as_ptr(plugin) as usize, Ordering::Relaxed);
        slot.step();
        PluginScope(slot)
    }

    /// A future of a plugin's, each poll of which is an entry.
    pub async fn polls<F: Future + Unpin>(&self, actor: Id, plugin: &Arc<Plugin>, future: F) -> F::Output {
        Polls { watch: self, actor, plugin, future }.await
    }

    /// A plugin's name, for reports.
    pub fn know(&self, plugin: &Arc<Plugin>) {
        let mut plugins = self.plugins.lock().unwrap_or_else(PoisonError::into_inner);
        plugins.push((Arc::as_ptr(plugin) as usize, plugin.descriptor.name.clone()));
    }

    fn register(&self) -> &'static Slot {
        let slot: &'static Slot = Box::leak(Box::default());
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).push(slot);
        slot
    }

    /// Looks at the slots until the last owner of `watch` is gone; reports through `report`. It runs `measure` each time, and
    /// `look` every `LOOK`.
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

/// Time is counted in periods of this thread: while the whole process is paused, none passes.
fn run(watch: &Weak<Watchdog>, report: &dyn Fn(Stuck), measure: &dyn Fn(), look: &dyn Fn()) {
    // Per slot: the turn last seen, for how many periods, and whether it was reported.
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
            let actor = whole(slot.actor[0].load(Ordering::Relaxed), slot.actor[1].load(Ordering::Relaxed));
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

fn whole(high: u64, low: u64) -> Id {
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
