//! Plain data of a chain that is replayed or resumed.

use std::sync::Arc;

use theater_plugin_api::Bytes;

use theater_chain::event::{EventRef, Hash, Header};
use theater_chain::interface_name::is_init;
use theater_chain::record::{FunctionRecord, HandlerRecord, Return};
use theater_chain::state_digest::State;
use theater_chain::verify::Event;

use crate::actor::remainder::UnfinishedCall;

// The end of an export as plugins receive it: `option<result<values, ()>>`.
pub(super) const NOT_ENDED: &[u8] = &[0];
pub(crate) const ENDED_OK: &[u8] = &[1, 0];
pub(crate) const ENDED_OTHERWISE: &[u8] = &[1, 1];

/// An event of a chain, with its data.
#[derive(Clone)]
pub(crate) struct RecordedEvent {
    pub(crate) header: Header,
    pub(crate) hash: Hash,
    pub(crate) data: Vec<u8>,
}

impl RecordedEvent {
    pub(super) fn event(&self) -> Event<'_> {
        Event { header: self.header.clone(), hash: self.hash, data: Some(&self.data) }
    }
}

/// The point at which a resumed actor continues.
pub(crate) struct ResumePoint {
    /// The state after the last finished call.
    pub(crate) state: State,
    /// Queued and unfinished calls, in order.
    pub(crate) waiting: Vec<UnfinishedCall>,
    /// All calls of host functions and exports, in order.
    pub(crate) calls: Vec<RecordedCall>,
    /// The calls that rebuild the memory of a kept instance.
    pub(crate) kept_calls: Reexecuted,
}

/// The calls that ran on the current kept instance.
#[derive(Default)]
pub(crate) struct Reexecuted {
    /// The state before the first of them.
    pub(crate) state: Option<Arc<Vec<u8>>>,
    /// The calls, in order.
    pub(crate) calls: Vec<ReexecutedCall>,
}

/// A finished call that is re-executed for its effect on the memory of the instance.
pub(crate) struct ReexecutedCall {
    pub(crate) call: UnfinishedCall,
    /// Its recorded end.
    pub(crate) returned: Return,
}

/// A handler of an actor, by its type and its number among the handlers of that type. It stays the same when the order
/// of types in the manifest changes.
pub(crate) struct HandlerSlot {
    pub(crate) handler_type: String,
    pub(crate) number: usize,
}

impl HandlerSlot {
    /// Returns the slot of the handler at `index` of all handlers.
    pub(crate) fn of(handlers: &[HandlerRecord], index: usize) -> Option<Self> {
        let handler_type = handlers.get(index)?.handler_type.clone();
        let number = handlers.iter().take(index).filter(|handler| handler.handler_type == handler_type).count();
        Some(Self { handler_type, number })
    }
}

/// A recorded call of an export or a host function.
pub(crate) struct RecordedCall {
    /// The handler that provides the host function; none for an export.
    pub(crate) handler: Option<HandlerSlot>,
    pub(crate) interface: String,
    pub(crate) function: String,
    pub(crate) arguments: Bytes,
    /// The encoded result. The result of an export is an `option<result<values, ()>>`.
    pub(crate) result: Bytes,
}

impl RecordedCall {
    pub(crate) fn is_init(&self) -> bool {
        self.handler.is_none() && is_init(&self.interface, &self.function)
    }
}

/// A call that was queued before the events that are replayed, and the export it calls.
#[derive(Clone)]
pub(crate) struct QueuedEvent {
    pub(crate) event: RecordedEvent,
    pub(crate) function: FunctionRecord,
}

/// A queued call that has not ended.
pub(super) struct WaitingCall {
    pub(super) queued: EventRef,
    pub(super) cause: Option<EventRef>,
    pub(super) interface: String,
    pub(super) function: String,
    pub(super) params: Bytes,
    pub(super) event: RecordedEvent,
    /// Its index among the recorded calls, when these are collected.
    pub(super) index: usize,
}
