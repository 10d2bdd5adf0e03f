//! An actor: its handle, mailbox, chain, children and end. The task that runs its calls is in [`crate::core`], on a higher
//! floor.
//!
//! **The state of an actor is `state` and nothing else; its instance is only a cache.** The runtime drops the instance after
//! `init`, after every failed call and when the actor is idle. The next call gets a new instance, without a call of `init`.

mod chain_state;
mod charges;
pub mod child_table;
pub mod children;
mod dedup;
mod directory;
mod end;
mod ending;
mod events;
mod handle;
mod host_wait;
mod identity;
mod intake;
pub mod mailbox;
pub mod name_table;
mod queued_call;
mod recording;
pub mod remainder;
mod services;
mod spec;
mod start;
pub mod wait_graph;

pub(crate) use crate::support::lock::lock;
pub(crate) use dedup::PendingReply;
pub use end::{BY_ITSELF, BY_PARENT, BY_PROGRAM, End, TO_RESTART};
pub(crate) use end::{NOT_BEGUN, START};
pub(crate) use events::event_type;
pub use handle::{ActorHandle, Lifecycle, Registry, Services, Settings, StagedSend};
pub use queued_call::{ActorSignal, CallOutcome, IncomingCall, QueuedCall};
pub use services::PROGRAM_GRACE;
pub use spec::{ActorSpec, Export, Interface};
pub use start::StartMode;
