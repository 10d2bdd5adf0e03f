//! What the journal's files share: durability levels, encoded events, errors and sizes.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::event::Id;

/// Longest time between a group's first event and the start of its write.
pub const GROUP_WINDOW: Duration = Duration::from_millis(5);
/// Default size in bytes at which a new segment begins.
pub const SEGMENT_SIZE: u64 = 64 * 1024 * 1024;
/// Bytes in the buffer from which on appending callers wait.
pub(super) const HIGH_WATER: usize = 32 * 1024 * 1024;

/// How durable an actor's events are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sync {
    /// Written to the operating system within the group window. Events are lost only if the machine stops.
    None,
    /// Also flushed to the disk, with the group.
    #[default]
    Batch,
    /// Flushed before any effect of the events leaves the actor: the result of a host call that waits for something, the
    /// reply to a call, and the acknowledgement of a message.
    Always,
}

/// Why an event could not be appended.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the journal {} cannot be written: {reason}", path.display())]
pub struct JournalError {
    /// The segment.
    pub path: PathBuf,
    /// The system's error message.
    pub reason: String,
}

/// An event that is in its chain and not yet in the journal.
pub struct EncodedEvent {
    pub(super) actor: Id,
    pub(super) frame: Vec<u8>,
    pub(super) sync: Sync,
}

/// The current time in milliseconds since the epoch.
#[must_use]
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
