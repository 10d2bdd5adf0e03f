//! What an actor is charged against its memory budget.

use std::sync::Arc;

use crate::actor::handle::{ActorHandle, Charges};
use crate::support::budget::{ACTOR_BYTES, Exceeded};
use crate::support::lock::lock;

impl ActorHandle {
    /// Charges the actor itself and its current state.
    pub(crate) fn charge_start(&self) -> Result<(), Exceeded> {
        let length = |state: &Option<Arc<Vec<u8>>>| state.as_ref().map_or(0, |state| state.len() as u64);
        // The initial state is kept for restarts. The manifest is in memory twice, as text and parsed.
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

    /// Takes the charges of this run before the next one is charged.
    pub(crate) fn take_charges(&self) -> Option<Charges> {
        lock(&self.charges).take()
    }

    /// Gives the charges back when the next run did not start: the handle, and what it holds, stay in memory.
    pub(crate) fn put_charges(&self, charges: Option<Charges>) {
        *lock(&self.charges) = charges;
    }

    /// Adjusts the charge for the state to its new size.
    pub(crate) fn charge_state(&self, bytes: u64) -> Result<(), Exceeded> {
        lock(&self.charges).as_mut().map_or(Ok(()), |(_, state)| state.resize(bytes))
    }
}
