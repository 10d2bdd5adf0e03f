//! An actor: its handle, its mailbox, its chain, its children and its end. The task that runs its calls is in
//! [`crate::core`], on a higher floor.
//!
//! **An actor's state is `state` and nothing else; its instance is a cache.** The instance is dropped right after `init`,
//! after every failed call and when the actor is idle; the next call makes a new one, without calling `init` again.

pub mod child_table;
pub mod children;
mod dedup;
mod end;
mod events;
mod handle;
mod intake;
pub mod mailbox;
pub mod name_table;
mod recording;
pub mod registry;
pub mod remainder;
mod services;
pub mod wait_graph;

pub(crate) use dedup::PendingReply;
pub use end::{BY_ITSELF, BY_PARENT, BY_PROGRAM, End, TO_RESTART};
pub(crate) use end::{NOT_BEGUN, START};
pub(crate) use events::event_type;
pub(crate) use handle::lock;
pub use handle::{
    ActorHandle, ActorSignal, ActorSpec, CallOutcome, Export, IncomingCall, Interface, QueuedCall, Settings,
    StagedSend, StartMode,
};
pub use services::{Lifecycle, PROGRAM_GRACE, Services};
