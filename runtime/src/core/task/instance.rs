//! The instance of an actor, and how a call ends that gets none.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::Store;

use crate::actor::ActorHandle;
use crate::core::Core;
use crate::support::budget::{Charge, Exceeded};
use crate::support::error::chain_of;
use crate::support::executor;
use crate::wasm::guest::Guest;
use crate::wasm::linker::Linked;
use crate::wasm::pool::PoolSlot;
use crate::wasm::trap::trap_text;

/// How long a call waits for an instance while other actors hold all slots.
const INSTANCE_WAIT: Duration = Duration::from_secs(10);
/// The outcome of a call that got no instance. The actor continues.
pub(super) const NO_INSTANCE: &str = "no instance was free within 10 s: other actors hold all that --memory allows";
/// How the outcome of a call begins that got no instance for lack of memory. The actor continues.
pub(super) const NO_MEMORY: &str = "no instance could be made";

/// An instance of the actor's component.
pub(super) struct Instance {
    pub(super) store: Store<Guest>,
    pub(super) instance: wasmtime::component::Instance,
    /// What it was instantiated from: the actor's own component, or the same compiled for the on-demand engine.
    pub(super) linked: Arc<Linked>,
    /// The size of its memories after instantiation, in bytes.
    pub(super) memory: u64,
    /// Returned to the pool when the instance is dropped.
    pub(super) _slot: Option<PoolSlot>,
}

/// Why there is no instance.
pub(super) enum InstanceError {
    /// No slot became free in time.
    NoSlot,
    /// The component could not be instantiated.
    Failed(String),
    /// A memory limit of the tree or the program does not allow it.
    OverBudget(String),
}

/// Returns an empty charge for the memory of an actor's instance.
pub(super) fn own_charge(handle: &ActorHandle) -> Charge {
    let account = handle.account();
    if handle.parent().is_none() { account.nothing_of_top_level() } else { account.nothing() }
}

/// Returns why an instantiation failed.
pub(super) fn instance_error(error: &wasmtime::Error) -> InstanceError {
    let text = format!("could not be instantiated: {}", trap_text(error));
    if error.root_cause().is::<Exceeded>() { InstanceError::OverBudget(text) } else { InstanceError::Failed(text) }
}

/// Waits for a slot of the pool.
///
/// # Errors
/// None became free within [`INSTANCE_WAIT`].
pub(super) async fn slot_in_time(core: &Core, handle: &ActorHandle) -> Result<PoolSlot, InstanceError> {
    let slot = executor::timeout(INSTANCE_WAIT, core.pool.slot(handle.account())).await;
    slot.ok_or(InstanceError::NoSlot)
}

/// Returns the component linked for the engine that instantiates on demand.
pub(super) async fn linked_on_demand(
    core: &Arc<Core>,
    handle: &Arc<ActorHandle>,
) -> Result<Arc<Linked>, InstanceError> {
    let linked = core.linked_on_demand(handle).await;
    linked.map_err(|error| InstanceError::Failed(chain_of(&error)))
}
