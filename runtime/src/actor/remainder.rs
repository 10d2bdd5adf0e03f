//! What a previous run of the program left of an actor's calls: plain data that the mailbox, the linker and replay share.

use std::collections::VecDeque;

use theater_plugin_api::Bytes;

use theater_chain::event::{EventRef, Header};
use theater_chain::interface_name::is_init;
use theater_chain::record::HostCall;

/// A call of an export that has not ended.
pub(crate) struct UnfinishedCall {
    /// Its `queued` event.
    pub(crate) queued: EventRef,
    /// What led to it.
    pub(crate) cause: Option<EventRef>,
    pub(crate) interface: String,
    pub(crate) function: String,
    pub(crate) params: Bytes,
    /// What it did, if it had begun.
    pub(crate) begun: Option<Remainder>,
}

impl UnfinishedCall {
    pub(crate) fn is_init(&self) -> bool {
        is_init(&self.interface, &self.function)
    }
}

/// As far as a call had come.
#[derive(Default)]
pub(crate) struct Remainder {
    /// Its host calls, oldest first.
    pub(crate) hosts: VecDeque<RecordedHostCall>,
    /// The effect that it was about to have.
    pub(crate) intent: Option<Intent>,
    /// It made no other ones.
    pub(crate) has_ended: bool,
}

/// A host call that was about to be made.
#[derive(Clone)]
pub(crate) struct Intent {
    pub(crate) header: Header,
    pub(crate) interface: String,
    pub(crate) function: String,
    pub(crate) arguments: Vec<u8>,
}

/// A host call as it was recorded.
#[derive(Clone)]
pub(crate) struct RecordedHostCall {
    pub(crate) header: Header,
    pub(crate) interface: String,
    pub(crate) function: String,
    pub(crate) call: HostCall,
}
