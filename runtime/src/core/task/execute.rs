//! Executes one call: state and parameters in, new state and results out, all recorded.
//!
//! The order keeps the chain and the state together: `queued` is recorded before the call runs, `return` with the
//! digest of the new state before the state is committed, and a snapshot only after that. When `return` cannot be
//! recorded, the call has no effect, and its end is recorded as interrupted before the next call.

use std::sync::Arc;
use std::time::Duration;

use theater_plugin_api::FailureKind;
use theater_plugin_api::abi::CallContext;

use theater_chain::event::EventRef;
use theater_chain::journal::{JournalError, now_ms};
use theater_chain::record::{Outcome, Return};
use theater_chain::state_digest::Change;

use crate::actor::remainder::Remainder;
use crate::actor::{ActorHandle, QueuedCall, lock};
use crate::core::task::ActorTask;
use crate::core::task::instance::{Instance, InstanceError, NO_INSTANCE, NO_MEMORY};
use crate::core::task::interruption::bounded;
use crate::manifest::InstanceMode;
use crate::support::budget::Exceeded;
use crate::wasm::fault::{OutOfTime, PluginFault};
use crate::wasm::trap::trap_text;
use crate::wasm::values::{Returned, call_export};

/// The factor for the time limits of a re-executed call: the previous run may have been on a faster machine.
const REEXECUTION_FACTOR: u64 = 4;

/// How a call ended, for the actor itself.
pub(super) struct CallResult {
    pub(super) outcome: Outcome,
    pub(super) state: Option<Vec<u8>>,
    pub(super) host_calls: u64,
    /// What kind of failure a trap or an interruption is.
    kind: FailureKind,
    /// An event of the call could not be recorded.
    unrecorded: Option<JournalError>,
}

impl CallResult {
    /// The result of a call that did not run.
    fn not_run(outcome: Outcome, kind: FailureKind) -> Self {
        Self { outcome, state: None, host_calls: 0, kind, unrecorded: None }
    }
}

impl ActorTask {
    /// Runs an export and records its end. The new state is committed only after the end is recorded.
    ///
    /// # Errors
    /// The end of the call cannot be recorded. The state is then the old one, and the instance is dropped.
    pub(super) async fn execute(&mut self, call: QueuedCall) -> Result<(Outcome, FailureKind), JournalError> {
        let (export, queued) = (call.export, call.queued);
        if let Some((export, sequence, host_calls)) = self.unrecorded_return {
            let outcome = Outcome::Interrupted("its end could not be recorded".to_owned());
            self.handle.record_return(export, sequence, &Return { outcome, host_calls, state: None })?;
            self.unrecorded_return = None;
        }
        *lock(&self.handle.calling) = Some(queued);
        let ran = self.call(call, self.state.share()).await;
        *lock(&self.handle.calling) = None;
        // A message that an unfinished host call staged is never sent.
        drop(self.handle.take_staged());
        if let Some(error) = ran.unrecorded {
            self.drop_instance("failed call");
            self.unrecorded_return = Some((export, queued.sequence, ran.host_calls));
            return Err(error);
        }
        let mut ran = ran;
        let mut change = match (&ran.outcome, ran.state.take()) {
            (Outcome::Ok(_), Some(state)) => self.state.change(state),
            _ => None,
        };
        if let Some(new) = &change
            && let Err(exceeded) = self.handle.charge_state(new.bytes())
        {
            change = None;
            ran.outcome = Outcome::Interrupted(format!("its new state: {exceeded}"));
        }
        match ran.outcome {
            Outcome::Trap(_) | Outcome::Interrupted(_) => self.drop_instance("failed call"),
            Outcome::Err(_) => self.renew("failed call"),
            Outcome::Ok(_) if self.handle.settings.instance == InstanceMode::Fresh => self.renew("fresh"),
            Outcome::Ok(_) if self.has_grown() => self.renew("memory"),
            Outcome::Ok(_) => {}
        }
        if let Outcome::Interrupted(_) = ran.outcome
            && self.handle.is_left_to_resume(export, queued.sequence)
        {
            return Ok((ran.outcome, ran.kind));
        }
        let digest = change.as_ref().map(Change::digest);
        let event = Return { outcome: ran.outcome, host_calls: ran.host_calls, state: digest };
        let returned = match self.handle.record_return(export, queued.sequence, &event) {
            Ok(returned) => returned,
            Err(error) => {
                self.drop_instance("failed call");
                self.unrecorded_return = Some((export, queued.sequence, event.host_calls));
                return Err(error);
            }
        };
        if let Some(change) = change {
            self.state.commit(change);
            *lock(&self.handle.committed) = self.state.share();
        }
        if export != self.handle.interface.init as u32 {
            self.snapshot_if_due(returned.sequence);
        }
        Ok((event.outcome, ran.kind))
    }

    /// Runs an export. Creates an instance when there is none. Records nothing but the new instance and the host calls.
    pub(super) async fn call(&mut self, call: QueuedCall, state: Option<Arc<Vec<u8>>>) -> CallResult {
        let QueuedCall { export, params, queued, cause, mut begun, .. } = call;
        let known = begun.as_ref().map_or(0, |begun| begun.hosts.len() as u64);
        let not = |outcome, kind| CallResult { host_calls: known, ..CallResult::not_run(outcome, kind) };
        let trapped = |text: String| not(Outcome::Trap(text), FailureKind::Internal);
        let handle = Arc::clone(&self.handle);
        // A re-executed call ended in time before, maybe on a faster machine.
        let ended = begun.take_if(|begun| begun.has_ended);
        let times = if ended.is_some() { REEXECUTION_FACTOR } else { 1 };
        let (run_ms, timeout_ms) = (handle.limits().run_timeout_ms * times, handle.limits().call_timeout_ms * times);
        let context = context(&handle, queued, cause, timeout_ms);
        match bounded(&handle, self.instantiate(context, ended), timeout_ms).await {
            Ok(Ok(())) => {}
            Ok(Err(InstanceError::Failed(problem))) => return trapped(problem),
            Ok(Err(InstanceError::OverBudget(why))) => {
                return not(Outcome::Interrupted(format!("{NO_MEMORY}: {why}")), FailureKind::Internal);
            }
            Ok(Err(InstanceError::NoSlot)) => {
                return not(Outcome::Interrupted(NO_INSTANCE.to_owned()), FailureKind::Timeout);
            }
            Err(why) => return not(Outcome::Interrupted(why), FailureKind::Timeout),
        }
        let called = self.call_instance((export, params), state, begun, context, (run_ms, timeout_ms)).await;
        called.unwrap_or_else(trapped)
    }

    /// Calls the export on the instance. `begun` is what the previous run recorded of the call.
    ///
    /// # Errors
    /// There is no instance, or no such export.
    async fn call_instance(
        &mut self,
        (export, params): (u32, Vec<u8>),
        state: Option<Arc<Vec<u8>>>,
        begun: Option<Box<Remainder>>,
        context: CallContext,
        (run_ms, timeout_ms): (u64, u64),
    ) -> Result<CallResult, String> {
        let Some(Instance { store, instance, linked, .. }) = &mut self.instance else {
            return Err("there is no instance".to_owned());
        };
        let Some(target) = linked.exports.get(export as usize) else {
            return Err("there is no such export".to_owned());
        };
        let data = store.data_mut();
        *data.context.change() = context;
        data.begun = data.begun.take().or(begun);
        data.clock.start(Duration::from_millis(run_ms));
        store.set_epoch_deadline(1);
        let Some(function) = instance.get_func(&mut *store, target.index) else {
            return Err(format!("the instance has no export {}", self.handle.export_label(export)));
        };
        let state = state.as_deref().map(Vec::as_slice);
        let running = self.core.engines.ticker().running();
        let call = call_export(&mut *store, function, target.flat, state, &params);
        let ended = bounded(&self.handle, call, timeout_ms).await;
        drop(running);
        store.data_mut().stop();
        // Recorded host calls of the previous run count for the call, also when this time it did not use all of them.
        let left = store.data_mut().begun.take().map_or(0, |begun| begun.hosts.len() as u64);
        let host_calls = store.data().context.get().host_call + left;
        if left > 0 && matches!(ended, Ok(Ok(_))) {
            let text = format!("replay diverged: the call ended without {left} host calls that the chain has of it");
            return Ok(CallResult { host_calls, ..CallResult::not_run(Outcome::Trap(text), FailureKind::Internal) });
        }
        Ok(call_result(ended, host_calls))
    }
}

/// Returns how a call ended from what the instance returned; the outer error is an interruption.
fn call_result(ended: Result<wasmtime::Result<Returned>, String>, host_calls: u64) -> CallResult {
    let internal = FailureKind::Internal;
    let unrecorded = match &ended {
        Ok(Err(error)) => error.downcast_ref::<JournalError>().cloned(),
        _ => None,
    };
    let (outcome, state, kind) = match ended {
        Ok(Ok(Returned::Ok(state, values))) => (Outcome::Ok(values.into()), state, internal),
        Ok(Ok(Returned::Err(text))) => (Outcome::Err(text), None, internal),
        // A budget that is exceeded depends on the machine and on other actors, so a replay does not reproduce it.
        Ok(Err(error)) if error.root_cause().is::<Exceeded>() => {
            (Outcome::Interrupted(trap_text(&error)), None, internal)
        }
        Ok(Err(error)) => (Outcome::Trap(trap_text(&error)), None, failure_kind(&error)),
        Err(interruption) => (Outcome::Interrupted(interruption), None, FailureKind::Timeout),
    };
    CallResult { outcome, state, host_calls, kind, unrecorded }
}

/// Returns the context of a call that handlers receive.
fn context(handle: &ActorHandle, queued: EventRef, cause: Option<EventRef>, timeout_ms: u64) -> CallContext {
    let deadline_ms = if timeout_ms == 0 { 0 } else { now_ms().saturating_add(timeout_ms) };
    let mut trace = [0; 16];
    trace.copy_from_slice(queued.hash.first_chunk::<16>().unwrap_or(&[0; 16]));
    CallContext {
        actor: handle.id(),
        call: queued.sequence,
        host_call: 0,
        cause_actor: cause.map_or([0; 16], |cause| cause.actor),
        cause_sequence: cause.map_or(0, |cause| cause.sequence),
        deadline_ms,
        trace,
        cancelled: u32::from(handle.cancelled.is_set()),
        reserved: 0,
    }
}

/// Returns what kind of failure a trap is.
fn failure_kind(error: &wasmtime::Error) -> FailureKind {
    if error.is::<OutOfTime>() {
        FailureKind::Timeout
    } else if error.downcast_ref::<PluginFault>().is_some_and(|fault| fault.code == "P0102") {
        FailureKind::Serialization
    } else {
        FailureKind::Internal
    }
}
