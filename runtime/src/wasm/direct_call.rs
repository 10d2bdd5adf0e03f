//! Calls of host functions that no guest makes: replay asks a plugin for a recorded call's result again.

use std::sync::Arc;
use std::time::Duration;

use theater_chain::record::HostResult;
use theater_plugin_api::abi::{CallContext, Called, HeldContext, OwnedHandler};

use crate::support::executor;
use crate::wasm::fault::fault_sentence;
use crate::wasm::import::Import;
use crate::wasm::plugin_result::{answered, check, in_buffer};
use crate::wasm::values::CallFrame;

/// A call of a host function without a guest.
pub(crate) struct DirectCall {
    /// The handler that is called.
    pub(crate) handler: Arc<OwnedHandler>,
    /// The name of its plugin.
    pub(crate) plugin: String,
    /// The function.
    pub(crate) import: Arc<Import>,
    /// The actor and the call for which it is made.
    pub(crate) context: CallContext,
    /// The encoded arguments.
    pub(crate) arguments: Vec<u8>,
    /// Largest result, in bytes.
    pub(crate) value_bytes: u64,
}

/// The result of a [`DirectCall`].
pub(crate) struct DirectResult {
    /// The result, as it would be recorded for a guest's call.
    pub(crate) result: HostResult,
    /// Whether the result is a fault of the plugin.
    pub(crate) is_fault: bool,
}

impl DirectCall {
    /// Makes the call. Returns none if the function waits for longer than `patience`.
    pub(crate) async fn tell(self, patience: Duration) -> Option<DirectResult> {
        let Self { handler, plugin, import, context, arguments, value_bytes } = self;
        let (mut frame, context) = (CallFrame::of(arguments), HeldContext::new(context));
        let (arguments, buffer, answer) = frame.ask();
        let checked = match import.is_async {
            false => match handler.get().call_sync(context.get(), import.number, arguments, buffer, answer) {
                Called::OutBuffer(length) => in_buffer(&mut frame, length),
                _ => answered(&mut frame),
            },
            true => match handler.call(&context, import.number, arguments, buffer, answer) {
                Called::OutBuffer(length) => in_buffer(&mut frame, length),
                Called::Elsewhere => answered(&mut frame),
                Called::Waits(future) => {
                    let late = executor::timeout(patience, future).await?;
                    *frame.ask().2 = Some(late);
                    answered(&mut frame)
                }
            },
        };
        let checked = checked.and_then(|()| check(&import, &mut frame, value_bytes));
        let is_fault = checked.is_err();
        let result = match checked {
            Ok(()) => HostResult::Value(frame.result().concat().into()),
            Err(fault) => {
                let sentence = fault_sentence(fault.0, &plugin, &format!("{} {}", import.label, fault.1));
                let err = import.err(&sentence).map(|bytes| HostResult::Value(bytes.into()));
                err.unwrap_or(HostResult::Fault(sentence))
            }
        };
        Some(DirectResult { result, is_fault })
    }
}
