//! What a chain that breaks off leaves for the actor to go on from.

use std::sync::Arc;

use theater_plugin_api::Bytes;

use theater_chain::event::{Hash, Header};
use theater_chain::interface_name::is_init;
use theater_chain::record::{FunctionRecord, HandlerRecord, Return};

use crate::actor::remainder::UnfinishedCall;
use theater_chain::state_digest::State;
use theater_chain::verify::Event;

/// An event of a chain that is resumed.
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

/// What a chain that breaks off leaves.
pub(crate) struct ResumePoint {
    /// The state after the last call that ended.
    pub(crate) state: State,
    /// Calls that wait or had not ended, in order.
    pub(crate) waiting: Vec<UnfinishedCall>,
    /// Every call, of host functions and of exports, in order.
    pub(crate) calls: Vec<RecordedCall>,
    /// What a kept instance has in its memory.
    pub(crate) made: Reexecuted,
}

/// The calls that a kept instance has in its memory.
#[derive(Default)]
pub(crate) struct Reexecuted {
    /// The state that the first of them was given.
    pub(crate) state: Option<Arc<Vec<u8>>>,
    /// All of them, in order.
    pub(crate) calls: Vec<ReexecutedCall>,
}

/// A call that has ended and is made once more, for what it leaves in the memory of the instance.
pub(crate) struct ReexecutedCall {
    pub(crate) call: UnfinishedCall,
    /// How it ended.
    pub(crate) returned: Return,
}

/// One of an actor's handlers.
pub(crate) struct HandlerSlot {
    pub(crate) handler_type: String,
    /// Counts those of its type.
    pub(crate) number: usize,
}

impl HandlerSlot {
    /// The one at `index` of all.
    pub(crate) fn of(handlers: &[HandlerRecord], index: usize) -> Option<Self> {
        let handler_type = handlers.get(index)?.handler_type.clone();
        let number = handlers.iter().take(index).filter(|handler| handler.handler_type == handler_type).count();
        Some(Self { handler_type, number })
    }
}

/// A call that was made.
pub(crate) struct RecordedCall {
    /// The handler whose host function it is; none for an export.
    pub(crate) handler: Option<HandlerSlot>,
    pub(crate) interface: String,
    pub(crate) function: String,
    pub(crate) arguments: Bytes,
    /// The encoded result, of an export as plugins are told of it.
    pub(crate) result: Bytes,
}

impl RecordedCall {
    pub(crate) fn is_init(&self) -> bool {
        self.handler.is_none() && is_init(&self.interface, &self.function)
    }
}

/// A call that was queued before the events that are replayed, and the export it is of.
#[derive(Clone)]
pub(crate) struct QueuedEvent {
    pub(crate) event: RecordedEvent,
    pub(crate) function: FunctionRecord,
}
