//! Rebuilds the state of the handlers of a resumed actor.
//!
//! Each handler imports what it exported at the last snapshot, and is then given every recorded call after it, in
//! order: the host functions it provides and the exports it calls. A handler is identified by its type and its number
//! among the handlers of that type, so the order of handler types in the manifest may change between runs.

use theater_plugin_api::abi::{Answer, EXPORT, OK};
use theater_plugin_api::encoding::decode;

use theater_chain::interface_name::meets;
use theater_chain::record::Created;

use crate::actor::ActorHandle;
use crate::core::prepared::{handler_error, prepared_of};
use crate::core::resume::read::ChainTail;
use crate::plugin::watchdog::Watchdog;
use crate::replay::past::{HandlerSlot, RecordedCall};
use crate::support::error::{ActorProblem, Error, HandlerProblem};
use crate::wasm::guest::Attached;

/// Recovers all handlers of an actor: imports what the snapshot has of them, and passes them the calls after it.
///
/// # Errors
/// A handler refuses, or a handler with an exported state is not in the manifest any more.
pub(super) fn recover(
    watch: &Watchdog,
    handle: &ActorHandle,
    handlers: &[Attached],
    tail: &ChainTail,
    calls: &[RecordedCall],
) -> Result<(), Error> {
    let recovery = Recovery { watch, handle, handlers };
    recovery.import_states(tail)?;
    calls.iter().try_for_each(|call| recovery.recover_call(call))
}

struct Recovery<'a> {
    watch: &'a Watchdog,
    handle: &'a ActorHandle,
    handlers: &'a [Attached],
}

impl Recovery<'_> {
    fn import_states(&self, tail: &ChainTail) -> Result<(), Error> {
        let refused =
            |what: String| Error::Actor { name: self.handle.name().to_owned(), what: ActorProblem::NotResumed(what) };
        let undecodable = |error| refused(format!("its start does not decode: {error}"));
        let created: Created = decode(&tail.setup.data).map_err(undecodable)?;
        let exported = tail.base.iter().flat_map(|base| &base.handlers);
        for (number, state) in exported.enumerate() {
            let slot = HandlerSlot::of(&created.setup.handlers, number);
            match slot.as_ref().and_then(|slot| self.handler(slot)) {
                Some(attached) => self.call(attached, || attached.handler.get().import_state(state))?,
                None if state.is_empty() => {}
                None => {
                    let kept = created.setup.handlers.get(number).map_or("?", |handler| handler.handler_type.as_str());
                    return Err(refused(format!(
                        "it no longer has the handler {kept:?}, whose state is in its snapshot"
                    )));
                }
            }
        }
        Ok(())
    }

    fn recover_call(&self, call: &RecordedCall) -> Result<(), Error> {
        match &call.handler {
            Some(slot) => {
                let Some(attached) = self.handler(slot) else { return Ok(()) };
                let functions = attached.plugin.functions.iter();
                let number = functions
                    .enumerate()
                    .find(|(_, known)| known.name == call.function && meets(&known.interface, &call.interface));
                let Some((number, _)) = number else { return Ok(()) };
                self.call(attached, || attached.handler.get().recover(number as u32, &call.arguments, &call.result))
            }
            // Every handler that calls this export is given the call.
            None => self.handlers.iter().try_for_each(|attached| {
                let exports = attached.plugin.exports.iter();
                let number = exports
                    .enumerate()
                    .find(|(_, known)| known.name == call.function && meets(&known.interface, &call.interface));
                let Some((number, _)) = number else { return Ok(()) };
                let number = number as u32 | EXPORT;
                self.call(attached, || attached.handler.get().recover(number, &call.arguments, &call.result))
            }),
        }
    }

    /// Calls a handler under the watchdog.
    fn call(&self, attached: &Attached, call: impl FnOnce() -> Answer) -> Result<(), Error> {
        let answer = {
            let _watched = self.watch.enter(self.handle.id(), &attached.plugin);
            call()
        };
        if answer.status == OK {
            return Ok(());
        }
        let prepared = prepared_of(self.handle.origin());
        let known = prepared.handlers.iter().find(|known| known.handler_type == attached.handler_type);
        let place = known.and_then(|known| known.place.clone());
        let problem = HandlerProblem::NotResumed(answer.sentence());
        Err(handler_error(self.handle.name(), &attached.handler_type, place, problem))
    }

    /// Returns the handler of that type and number.
    fn handler(&self, slot: &HandlerSlot) -> Option<&Attached> {
        let mut of_type = self.handlers.iter().filter(|attached| attached.handler_type == slot.handler_type);
        of_type.nth(slot.number)
    }
}
