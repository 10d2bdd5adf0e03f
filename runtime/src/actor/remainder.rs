//! The unfinished calls of a previous run: plain data that the mailbox, the linker and replay share.

use std::collections::VecDeque;

use theater_plugin_api::Bytes;

use theater_chain::event::{EventRef, Header};
use theater_chain::interface_name::is_init;
use theater_chain::record::HostCall;

/// A call of an export that has not ended.
pub(crate) struct UnfinishedCall {
    /// Its `queued` event.
    pub(crate) queued: EventRef,
    /// The event that caused it.
    pub(crate) cause: Option<EventRef>,
    pub(crate) interface: String,
    pub(crate) function: String,
    pub(crate) params: Bytes,
    /// What it had done, if it was running.
    pub(crate) begun: Option<Remainder>,
}

impl UnfinishedCall {
    pub(crate) fn is_init(&self) -> bool {
        is_init(&self.interface, &self.function)
    }
}

/// What a running call had done before the program ended. A resume re-executes the call against these records.
#[derive(Default)]
pub(crate) struct Remainder {
    /// Its recorded host calls, oldest first.
    pub(crate) hosts: VecDeque<RecordedHostCall>,
    /// The host call with an effect whose outcome was not recorded.
    pub(crate) intent: Option<Intent>,
    /// Whether the call had ended, so that it makes no other host calls.
    pub(crate) has_ended: bool,
}

/// A host call with an effect, recorded before it was made.
#[derive(Clone)]
pub(crate) struct Intent {
    pub(crate) header: Header,
    pub(crate) interface: String,
    pub(crate) function: String,
    pub(crate) arguments: Vec<u8>,
}

/// A recorded host call.
#[derive(Clone)]
pub(crate) struct RecordedHostCall {
    pub(crate) header: Header,
    pub(crate) interface: String,
    pub(crate) function: String,
    pub(crate) call: HostCall,
}
