//! The progress of one host call: from the guest's arguments to a result that is checked, recorded and handed over.
//!
//! The steps, in this order:
//! 1. A resumed call takes its result from the chain of the previous run, if that has one ([`resumed`]).
//! 2. A function that changes the outside records its intent, and waits until that is durable
//!    ([`record::record_intent`]).
//! 3. The plugin is called ([`start_call`]). Most functions return at once. An async one may wait ([`PendingCall`]);
//!    the guest's clock and its turn are given up meanwhile.
//! 4. The result is checked against its type and the size limit, and recorded; only then does the guest get it
//!    ([`finish`]). A call that stages a message records and queues that in the same step.
//! 5. The guest continues once the event is on the disk, where the manifest asks for that ([`record::flush`]).
//!
//! Failure cases:
//! - A plugin that panics, fails, or returns a wrong result: the fault is recorded, and the guest gets the function's
//!   own `err`, or a trap if the function has none. A message staged by such a call is dropped.
//! - The call's time ends while the function waits: the future is dropped, and the fault P0111 names the function.
//! - The journal fails: the guest traps. The call does not count, because it is not in the chain.
//! - A crash between steps 2 and 4: the chain has an intent without a result. The next run reports "in doubt", or
//!   repeats the call if that is safe ([`resumed`]).

use std::time::Instant;

use theater_chain::journal::JournalError;
use theater_plugin_api::abi::{Called, HeldContext, Waits};
use theater_plugin_api::descriptor::Effect;
use wasmtime::format_err;

use crate::actor::ActorHandle;
use crate::plugin::loaded::Plugin;
use crate::wasm::guest::Guest;
use crate::wasm::import::Import;
use crate::wasm::plugin_result::{Checked, answered, check, in_buffer};
use crate::wasm::values::CallFrame;
use record::{record_call, record_fault, record_sending};

pub(super) mod record;
pub(super) mod resumed;

/// How far a call got without waiting.
pub(super) enum Progress {
    Ended(wasmtime::Result<CallFrame>),
    Waits(Box<PendingCall>),
}

/// Starts a call of any function.
pub(super) fn start_call(guest: &mut Guest, import: &Import, mut frame: CallFrame) -> Progress {
    if import.effect == Effect::Chain {
        // The event of this call must not refer to a part of the chain that was read outside it.
        guest.actor.forget_chain_read();
    }
    if !import.is_async {
        return Progress::Ended(call_sync(guest, import, frame));
    }
    let Guest { actor, handlers, context, calls, watch, .. } = guest;
    refresh(actor, context);
    let Some(attached) = handlers.get(import.slot) else { return Progress::Ended(Err(no_handler(import))) };
    let timer = CallTimer::new(calls.logged);
    let called = {
        let _watched = watch.enter(actor.id(), &attached.plugin);
        let (arguments, buffer, answer) = frame.ask();
        attached.handler.call(context, import.number, arguments, buffer, answer)
    };
    let checked = match called {
        Called::OutBuffer(length) => in_buffer(&mut frame, length),
        Called::Elsewhere => answered(&mut frame),
        Called::Waits(future) => {
            return Progress::Waits(Box::new(PendingCall { future, arguments: frame.into_arguments(), timer }));
        }
    };
    Progress::Ended(finish(guest, import, frame, checked, timer))
}

/// Calls a function that is not async.
pub(super) fn call_sync(guest: &mut Guest, import: &Import, mut frame: CallFrame) -> wasmtime::Result<CallFrame> {
    refresh(&guest.actor, &mut guest.context);
    let attached = guest.handlers.get(import.slot).ok_or_else(|| no_handler(import))?;
    let timer = CallTimer::new(guest.calls.logged);
    let called = {
        let _watched = guest.watch.enter(guest.actor.id(), &attached.plugin);
        let (arguments, buffer, answer) = frame.ask();
        attached.handler.get().call_sync(guest.context.get(), import.number, arguments, buffer, answer)
    };
    let checked = match called {
        Called::OutBuffer(length) => in_buffer(&mut frame, length),
        _ => answered(&mut frame),
    };
    finish(guest, import, frame, checked, timer)
}

/// Sets in the context of the call whether the actor is being stopped.
fn refresh(actor: &ActorHandle, context: &mut HeldContext) {
    let cancelled = u32::from(actor.cancelled().is_set());
    if context.get().cancelled != cancelled {
        context.change().cancelled = cancelled;
    }
}

fn no_handler(import: &Import) -> wasmtime::Error {
    format_err!("no handler for {}", import.label)
}

/// A call whose function waits for something.
pub(super) struct PendingCall {
    future: Waits,
    // Copied out of the guest: its memory may change while the call waits.
    arguments: Vec<u8>,
    timer: CallTimer,
}

impl PendingCall {
    /// Waits for the function's answer, then finishes the call.
    pub(super) async fn complete(self, guest: &mut Guest, import: &Import) -> wasmtime::Result<CallFrame> {
        // Guest time stops while the call waits.
        guest.pause();
        let Guest { actor, handlers, clock, watch, .. } = guest;
        let attached = handlers.get(import.slot).ok_or_else(|| no_handler(import))?;
        let unfinished = UnfinishedWait { actor, plugin: &attached.plugin, import };
        actor.waits_in(import.record);
        let answer = watch.polls(actor.id(), &attached.plugin, self.future).await;
        actor.waits_no_more();
        std::mem::forget(unfinished);
        clock.resume();
        let mut frame = CallFrame::of(self.arguments);
        *frame.ask().2 = Some(answer);
        let checked = answered(&mut frame);
        finish(guest, import, frame, checked, self.timer)
    }
}

/// A wait that has not ended. When the call's time is over it is dropped with the call, and reports which plugin's
/// function the call was waiting for.
struct UnfinishedWait<'a> {
    actor: &'a ActorHandle,
    plugin: &'a Plugin,
    import: &'a Import,
}

impl Drop for UnfinishedWait<'_> {
    fn drop(&mut self) {
        self.actor.waits_no_more();
        // A stop interrupts waits too; that is no fault.
        if !self.actor.is_interrupted() {
            let what = format!("{} had not ended when the time of the call was over", self.import.label);
            self.actor.report_fault(&self.plugin.descriptor.name, "P0111", &what);
        }
    }
}

/// When a call began; none unless calls are logged.
struct CallTimer(Option<Instant>);

impl CallTimer {
    fn new(log: bool) -> Self {
        Self(log.then(Instant::now))
    }
}

/// Validates the result and records the call, in this order. Returns the frame whose result the guest gets.
fn finish(
    guest: &mut Guest,
    import: &Import,
    mut frame: CallFrame,
    checked: Checked,
    timer: CallTimer,
) -> wasmtime::Result<CallFrame> {
    let checked = checked.and_then(|()| check(import, &mut frame, guest.calls.value_bytes));
    if let Some(started) = timer.0 {
        let outcome = checked.as_ref().map_or_else(|fault| fault.0, |()| "ok");
        let micros = started.elapsed().as_micros();
        tracing::debug!(actor = %guest.actor.short_id(), function = import.label, micros, outcome, "host call");
    }
    let recorded = match checked {
        Ok(()) if !guest.actor.has_staged() => record_call(guest, import, &frame),
        checked => finish_rare(guest, import, &mut frame, checked),
    };
    // A call that is not recorded does not count.
    if !recorded.as_ref().is_err_and(|error| error.is::<JournalError>()) {
        guest.context.change().host_call += 1;
    }
    recorded?;
    frame.release();
    Ok(frame)
}

/// Records a call that staged a message, or that failed.
fn finish_rare(guest: &mut Guest, import: &Import, frame: &mut CallFrame, checked: Checked) -> wasmtime::Result<()> {
    let staged = guest.actor.take_staged();
    match (checked, staged) {
        // A message is sent unless the result is an `err`.
        (Ok(()), Some(staged)) if !import.is_err(frame.result()[0]) => {
            if let Some(otherwise) = record_sending(guest, import, frame, staged)? {
                frame.replaced(otherwise);
            }
            Ok(())
        }
        (Ok(()), _) => record_call(guest, import, frame),
        (Err(fault), _) => {
            let (code, message) = *fault;
            record_fault(guest, import, frame, code, format!("{} {message}", import.label))
        }
    }
}
