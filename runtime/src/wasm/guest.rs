//! The data of an actor's store: what host calls of one instance need of the actor, its handlers and its limits.

use std::future::Future;
use std::sync::Arc;

use theater_chain::journal::Sync;
use theater_plugin_api::abi::{HeldContext, OwnedHandler};

use crate::actor::ActorHandle;
use crate::actor::remainder::Remainder;
use crate::plugin::actor_host::ActorHost;
use crate::plugin::loaded::Plugin;
use crate::plugin::watchdog::Watchdog;
use crate::wasm::clock::Clock;
use crate::wasm::limiter::Limiter;
use crate::wasm::turns::{Runner, Turns};

/// A handler of a running actor.
pub struct Attached {
    /// Its plugin.
    pub plugin: Arc<Plugin>,
    /// The handler object of the plugin.
    pub handler: OwnedHandler,
    /// The host object that the plugin calls.
    pub host: Arc<ActorHost>,
    /// The handler type of the manifest.
    pub handler_type: String,
}

/// The data of the store of an actor's instance.
pub struct Guest {
    /// The actor.
    pub actor: Arc<ActorHandle>,
    /// Its handlers.
    pub handlers: Arc<Vec<Attached>>,
    /// Limits on memory and tables.
    pub limits: Limiter,
    /// The context of the running call, which plugins get.
    pub context: HeldContext,
    /// Guest time of the running call.
    pub clock: Clock,
    /// The instance's turns; none before the first call that runs as long as a tick.
    pub runner: Option<Arc<Runner>>,
    /// The watchdog of calls into plugins.
    pub watch: Arc<Watchdog>,
    /// Turns of guests that run long.
    pub turns: Arc<Turns>,
    /// Settings of its host calls.
    pub calls: Calls,
    /// What a previous run of the program did of the running call, as far as it is not re-executed yet.
    pub(crate) begun: Option<Box<Remainder>>,
    /// Whether events have to be on the disk before the actor continues.
    pub(crate) unwritten: bool,
}

/// Settings that every host call reads and none changes, copied next to the store's other data.
pub struct Calls {
    /// Largest result, in bytes.
    pub(super) value_bytes: u64,
    pub(super) logged: bool,
    pub(super) recorded: bool,
    // The guest gets no result before its event is on the disk.
    durable: bool,
}

impl Calls {
    /// The settings of the program and of the actor's manifest.
    pub fn of(actor: &ActorHandle) -> Self {
        let services = actor.services();
        let value_bytes = actor.limits().value_bytes;
        let durable = actor.sync() == Sync::Always;
        Self { value_bytes, logged: services.log_calls, recorded: !services.journal.is_disabled(), durable }
    }
}

impl Guest {
    /// Waits for this guest's next turn, and lets others run until then.
    pub fn turn(&mut self) -> impl Future<Output = ()> + Send + use<> {
        let actor = &self.actor;
        let runner = self.runner.get_or_insert_with(|| Runner::new(&self.turns, actor.account()));
        self.clock.while_others_run(runner.turn(self.clock.used()))
    }

    /// Pauses the clock and gives the turn back: the guest waits.
    pub fn pause(&mut self) {
        self.clock.pause();
        self.give_back();
    }

    /// Stops the clock and gives the turn back: the call has ended.
    pub fn stop(&mut self) {
        self.clock.stop();
        self.give_back();
    }

    fn give_back(&self) {
        if let Some(runner) = &self.runner {
            runner.give_back();
        }
    }

    /// Whether recorded events have to be on the disk before the guest continues.
    pub(super) fn has_unwritten(&self) -> bool {
        self.calls.durable || self.unwritten
    }
}
