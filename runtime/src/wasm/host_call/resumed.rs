//! Host calls of a resumed call: their results come from the chain of the previous run, as far as that has them.
//!
//! A call that a previous run had begun is executed again from its start. Each of its host calls must be the recorded
//! one, function and arguments, and gets the recorded result without reaching the plugin. After the last recorded
//! result, an intent without a result is an effect whose outcome is unknown: it is repeated if the function is
//! idempotent or the manifest allows retries, else the guest gets `err("in doubt after a crash")`. From there on calls
//! are made as usual.
//!
//! Failure cases, all of which trap: the component calls another function or passes other arguments than recorded, it
//! calls more than a call that had ended did, or the recorded result is a fault or does not fit the function's type.

use theater_chain::interface_name::meets;
use theater_chain::record::HostResult;
use theater_plugin_api::descriptor::Effect;
use theater_plugin_api::encoding::Reader;
use wasmtime::format_err;

use crate::actor::remainder::{Intent, RecordedHostCall};
use crate::wasm::guest::Guest;
use crate::wasm::host_call::record::{record_failure, record_value};
use crate::wasm::import::Import;
use crate::wasm::values::CallFrame;

/// The result of an effect that a previous run was about to have, when nothing says whether it happened.
const IN_DOUBT: &str = "in doubt after a crash";

/// Whether the result is known from a previous run. If so, the frame has it.
///
/// # Errors
/// The component calls something else than in the previous run.
#[inline]
pub(in crate::wasm) fn recorded_result(
    guest: &mut Guest,
    import: &Import,
    frame: &mut CallFrame,
) -> wasmtime::Result<bool> {
    if guest.begun.is_none() { Ok(false) } else { take_recorded(guest, import, frame) }
}

#[cold]
fn take_recorded(guest: &mut Guest, import: &Import, frame: &mut CallFrame) -> wasmtime::Result<bool> {
    let Some(remainder) = &mut guest.begun else { return Ok(false) };
    let arguments = frame.arguments().concat();
    let (interface, name) = import.label.rsplit_once('/').unwrap_or_default();
    let is_same =
        |of: &str, function: &str, recorded: &[u8]| function == name && meets(of, interface) && *recorded == *arguments;
    if let Some(host) = remainder.hosts.front()
        && !is_same(&host.interface, &host.function, &host.call.arguments)
    {
        return Err(diverged(&host.interface, &host.function, import));
    }
    if let Some(host) = remainder.hosts.pop_front() {
        return repeat(guest, import, frame, host);
    }
    if remainder.has_ended {
        let called = &import.label;
        return Err(format_err!(
            "replay diverged: the chain has no further host call here, the component called {called}"
        ));
    }
    let intent = remainder.intent.take();
    guest.begun = None;
    let Some(Intent { interface: of, function, arguments: recorded, .. }) = intent else { return Ok(false) };
    if !is_same(&of, &function, &recorded) {
        return Err(diverged(&of, &function, import));
    }
    if import.effect == Effect::Idempotent || guest.actor.retries_effects() {
        return Ok(false);
    }
    in_doubt(guest, import, frame)
}

fn diverged(interface: &str, function: &str, import: &Import) -> wasmtime::Error {
    format_err!(
        "replay diverged: the chain has a call to {interface}/{function} here, the component called {} or passed other \
         arguments",
        import.label
    )
}

/// Gives the guest the recorded result of a host call.
fn repeat(guest: &mut Guest, import: &Import, frame: &mut CallFrame, host: RecordedHostCall) -> wasmtime::Result<bool> {
    guest.context.change().host_call += 1;
    frame.release();
    match host.call.result {
        HostResult::Fault(text) => Err(format_err!("{text}")),
        HostResult::Chain { .. } => Err(format_err!("a part of a chain was not read")),
        HostResult::Value(bytes) => {
            import.check_result(&mut Reader::new(&bytes))?;
            frame.replaced(bytes.into_vec());
            Ok(true)
        }
    }
}

/// Records and gives the guest the result of an effect whose outcome is unknown.
fn in_doubt(guest: &mut Guest, import: &Import, frame: &mut CallFrame) -> wasmtime::Result<bool> {
    guest.context.change().host_call += 1;
    let Some(bytes) = import.err(IN_DOUBT) else {
        let sentence = format!("{}: {IN_DOUBT}", import.label);
        record_failure(guest, import, frame, sentence.clone())?;
        return Err(format_err!("{sentence}"));
    };
    frame.replaced(bytes);
    record_value(guest, import, frame)?;
    frame.release();
    Ok(true)
}
