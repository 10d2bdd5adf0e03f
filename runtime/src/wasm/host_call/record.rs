//! Records host calls in the actor's chain: intents, results, faults, and messages that a call sends.

use theater_chain::event::{NewEvent, sha3};
use theater_chain::journal::Sync;
use theater_chain::record::{Fault, HostCall, HostResult, Kind};
use theater_plugin_api::descriptor::Effect;
use theater_plugin_api::encoding::{Reader, encode, memcpy, write_varint};

use crate::actor::StagedSend;
use crate::wasm::fault::{PluginFault, fault_sentence};
use crate::wasm::guest::Guest;
use crate::wasm::import::Import;
use crate::wasm::values::CallFrame;

/// Waits until the events of the host call are on the disk, if the manifest asks for that.
pub(in crate::wasm) async fn flush(guest: &mut Guest) -> wasmtime::Result<()> {
    if guest.has_unwritten() {
        guest.unwritten = false;
        guest.pause();
        guest.actor.services().journal.written().await?;
        guest.clock.resume();
    }
    Ok(())
}

/// Records that a function is about to change the outside, and waits until that is durable.
pub(in crate::wasm) async fn record_intent(
    guest: &mut Guest,
    import: &Import,
    frame: &mut CallFrame,
) -> wasmtime::Result<()> {
    frame.keep();
    let [args, _] = frame.arguments();
    let event = NewEvent {
        function: Some(import.record),
        call: Some(guest.context.get().call),
        ..NewEvent::plain(Kind::Intent, args)
    };
    guest.actor.record(&event)?;
    if guest.actor.sync() != Sync::None {
        guest.pause();
        guest.actor.services().journal.written().await?;
        guest.clock.resume();
    }
    Ok(())
}

/// Records a host call with its result. The result of a function of effect `chain` is in the chain already, so the
/// event refers to that part of the chain and has no copy.
pub(super) fn record_call(guest: &Guest, import: &Import, frame: &CallFrame) -> wasmtime::Result<()> {
    // A part of a chain that may lose its data is copied: it could not be read again.
    let refers = import.effect == Effect::Chain && guest.actor.keeps_all();
    let read = if refers { guest.actor.take_chain_read() } else { None };
    if !guest.calls.recorded {
        return Ok(());
    }
    let data = match read {
        None => value_data(frame.arguments(), frame.result()),
        Some((from, to, head)) => {
            let (head, digest) = (head.to_vec().into(), sha3(frame.result()).to_vec().into());
            owned_data(frame, HostResult::Chain { from, to, head, digest })?
        }
    };
    record_data(guest, import, &data)
}

/// Records a host call and queues the message that it staged, in one step. Returns the result that replaces the
/// plugin's if the receiver has ended.
pub(super) fn record_sending(
    guest: &mut Guest,
    import: &Import,
    frame: &CallFrame,
    staged: StagedSend,
) -> wasmtime::Result<Option<Vec<u8>>> {
    import.check_result(&mut Reader::new(&staged.otherwise))?;
    let data = |otherwise: Option<&[u8]>| match guest.calls.recorded {
        true => value_data(frame.arguments(), otherwise.map_or_else(|| frame.result(), |bytes| [bytes, &[]])),
        false => Vec::new(),
    };
    let event = NewEvent {
        function: Some(import.record),
        call: Some(guest.context.get().call),
        ..NewEvent::plain(Kind::Host, &[])
    };
    guest.unwritten |= staged.is_durable();
    Ok(guest.actor.record_sending(staged, &event, data)?)
}

/// Records a fault of the plugin and the host call that it ends. The frame's result becomes the function's own `err`
/// if it has one for that.
///
/// # Errors
/// [`PluginFault`] if the function has no `err`: the guest traps. Else the journal's error.
pub(super) fn record_fault(
    guest: &Guest,
    import: &Import,
    frame: &mut CallFrame,
    code: &str,
    message: String,
) -> wasmtime::Result<()> {
    let plugin = guest.handlers.get(import.slot).map(|attached| attached.plugin.descriptor.name.clone());
    let plugin = plugin.unwrap_or_default();
    guest.actor.record_fault(&Fault { plugin: plugin.clone(), code: code.to_owned(), message: message.clone() })?;
    let sentence = fault_sentence(code, &plugin, &message);
    if let Some(bytes) = import.err(&sentence) {
        frame.replaced(bytes);
        return record_value(guest, import, frame);
    }
    record_failure(guest, import, frame, sentence.clone())?;
    Err(PluginFault { code: code.to_owned(), sentence }.into())
}

/// Records a host call with the frame's result.
pub(super) fn record_value(guest: &Guest, import: &Import, frame: &CallFrame) -> wasmtime::Result<()> {
    record_data(guest, import, &value_data(frame.arguments(), frame.result()))
}

/// Records a host call that ended with a trap.
pub(super) fn record_failure(
    guest: &Guest,
    import: &Import,
    frame: &CallFrame,
    sentence: String,
) -> wasmtime::Result<()> {
    record_data(guest, import, &owned_data(frame, HostResult::Fault(sentence))?)
}

fn record_data(guest: &Guest, import: &Import, data: &[u8]) -> wasmtime::Result<()> {
    let event = NewEvent {
        function: Some(import.record),
        call: Some(guest.context.get().call),
        ..NewEvent::plain(Kind::Host, data)
    };
    guest.actor.record(&event)?;
    Ok(())
}

/// The data of a `host` event: the encoding of [`HostCall`].
fn owned_data(frame: &CallFrame, result: HostResult) -> wasmtime::Result<Vec<u8>> {
    Ok(encode(&HostCall { arguments: frame.arguments().concat().into(), result })?)
}

/// The encoding of a [`HostCall`] with a plain value, written without copying arguments and result first; both are in
/// two parts.
fn value_data(arguments: [&[u8]; 2], result: [&[u8]; 2]) -> Vec<u8> {
    let [of_arguments, of_result] = [arguments, result].map(|parts| parts.map(<[u8]>::len).iter().sum::<usize>());
    let mut data = Vec::with_capacity(of_arguments + of_result + 12);
    write_varint(&mut data, of_arguments as u64);
    arguments.iter().for_each(|part| memcpy::append(&mut data, part));
    data.push(0);
    write_varint(&mut data, of_result as u64);
    result.iter().for_each(|part| memcpy::append(&mut data, part));
    data
}
