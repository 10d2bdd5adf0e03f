//! Creates and drops instances of an actor.
//!
//! An instance needs a slot of the pool and memory of the budget. A call waits for a slot. Memory is freed by asking
//! idle actors to drop their instances, a few times with a short wait. Each instance has an event with the reason why
//! it was created, so a replay creates new instances at the same calls.

use std::sync::Arc;
use std::time::Duration;

use theater_plugin_api::abi::{CallContext, HeldContext};
use wasmtime::{PoolConcurrencyLimitError, Store, UpdateDeadline};

use theater_chain::journal::JournalError;
use theater_chain::record::{Kind, RESUMED, Renewed};

use crate::actor::remainder::Remainder;
use crate::core::task::ActorTask;
use crate::core::task::instance::{
    Instance, InstanceError, instance_error, linked_on_demand, own_charge, slot_in_time,
};
use crate::manifest::InstanceMode;
use crate::support::budget::Exceeded;
use crate::support::executor;
use crate::wasm::clock::Clock;
use crate::wasm::fault::OutOfTime;
use crate::wasm::guest::{Calls, Guest};
use crate::wasm::limiter::Limiter;
use crate::wasm::linker::Linked;
use crate::wasm::pool::PoolSlot;

/// How often an idle actor is asked to drop its instance before a call is refused for lack of memory.
const PASSIVATIONS: u32 = 3;
/// The wait after each of these requests.
const PASSIVATION_WAIT: Duration = Duration::from_millis(200);
/// The fraction of `memory_bytes`, 1 / 8, by which an instance may grow before the next call gets a new one.
const GROWTH_PART: u64 = 8;

/// A failed instantiation: the error, and the slot and the remainder, which are tried again.
type Failed = Box<(wasmtime::Error, Option<PoolSlot>, Option<Box<Remainder>>)>;

impl ActorTask {
    /// Records the first instance of a resumed actor: the event that marks the resume in the chain.
    ///
    /// # Errors
    /// The errors of [`ActorHandle::record`](crate::actor::ActorHandle::record).
    pub(in crate::core) fn record_resumption(&mut self) -> Result<(), JournalError> {
        self.renewal = RESUMED;
        self.record_instance()?;
        self.is_next_recorded = true;
        Ok(())
    }

    fn record_instance(&mut self) -> Result<(), JournalError> {
        if std::mem::take(&mut self.is_next_recorded) {
            return Ok(());
        }
        self.instances += 1;
        let renewed = Renewed { number: self.instances, reason: self.renewal.to_owned() };
        self.handle.record_encoded(Kind::Instance, &renewed).map(|_| ())
    }

    /// Returns whether the instance has grown so far that a new one is better: linear memory never shrinks.
    pub(super) fn has_grown(&self) -> bool {
        let most = self.handle.limits().memory_bytes / GROWTH_PART;
        self.instance.as_ref().is_some_and(|one| one.store.data().limits.memory().saturating_sub(one.memory) > most)
    }

    /// Drops the instance, unless it is kept, so that the next call creates a new one.
    pub(super) fn renew(&mut self, reason: &'static str) {
        if self.handle.settings.instance != InstanceMode::Kept {
            self.drop_instance(reason);
        }
    }

    pub(super) fn drop_instance(&mut self, reason: &'static str) {
        self.instance = None;
        self.renewal = reason;
    }

    /// Creates an instance unless there is one. `ended` holds the recorded host calls of a call that is re-executed;
    /// the instance has them from the start, since start functions of the component may have made some of them.
    pub(super) async fn instantiate(
        &mut self,
        call: CallContext,
        ended: Option<Box<Remainder>>,
    ) -> Result<(), InstanceError> {
        if let Some(instance) = &mut self.instance {
            instance.store.data_mut().begun = ended;
            return Ok(());
        }
        let handle = Arc::clone(&self.handle);
        let mut slot = None;
        if handle.settings.pooled {
            slot = match self.core.pool.free_slot(handle.account()) {
                Some(slot) => Some(slot),
                None => Some(Box::pin(slot_in_time(&self.core, &handle)).await?),
            };
        }
        let mut linked = match &slot {
            Some(slot) if !slot.is_pooled() => Box::pin(linked_on_demand(&self.core, &handle)).await?,
            _ => Arc::clone(&self.prepared.linked),
        };
        self.record_instance().map_err(|error| InstanceError::Failed(error.to_string()))?;
        let (mut tries, mut ended) = (0, ended);
        loop {
            let (error, its_slot, its_ended) = match self.try_instantiate(Arc::clone(&linked), slot, call, ended).await
            {
                Ok(()) => return Ok(()),
                Err(failed) => *failed,
            };
            (slot, ended) = (its_slot, its_ended);
            if error.root_cause().is::<Exceeded>() && tries < PASSIVATIONS {
                tries += 1;
                self.core.pool.passivate_one();
                executor::sleep(PASSIVATION_WAIT).await;
            } else if error.is::<PoolConcurrencyLimitError>() && Arc::ptr_eq(&linked, &self.prepared.linked) {
                // The pool has slots left but not enough memories or tables for this component, say one with many
                // memories.
                linked = Box::pin(linked_on_demand(&self.core, &handle)).await?;
            } else {
                return Err(instance_error(&error));
            }
        }
    }

    /// Creates an instance in a slot. A failure returns the slot and `ended`.
    async fn try_instantiate(
        &mut self,
        linked: Arc<Linked>,
        slot: Option<PoolSlot>,
        call: CallContext,
        ended: Option<Box<Remainder>>,
    ) -> Result<(), Failed> {
        let handle = Arc::clone(&self.handle);
        let limits = handle.limits();
        let guest = Guest {
            actor: Arc::clone(&handle),
            handlers: Arc::clone(&self.handlers),
            limits: Limiter::new(limits, Some(own_charge(&handle))),
            context: HeldContext::new(call),
            clock: Clock::default(),
            runner: None,
            watch: Arc::clone(&self.core.watch),
            turns: Arc::clone(&self.core.turns),
            calls: Calls::of(&handle),
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
}
