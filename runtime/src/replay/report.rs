//! What a replay found.

use theater_chain::event_text::EventText;
use theater_chain::record::Return;

/// The result of a replay.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Calls that ended as recorded.
    pub calls: u64,
    /// Calls that differ. More than one only with a component in place of the recorded one.
    pub differing: u64,
    /// Host calls of the calls that ended as recorded.
    pub host_calls: u64,
    /// Interrupted calls that do not differ as far as they were recorded.
    pub interrupted: u64,
    /// Calls that wait or had not ended.
    pub unfinished: u64,
    /// The sequence of the snapshot the replay began at, when data before it was dropped.
    pub begun_at: Option<u64>,
    /// The first difference.
    pub difference: Option<Difference>,
}

/// The first difference between the chain and the replay.
#[derive(Debug, Clone)]
pub struct Difference {
    /// Sequence of the recorded event.
    pub sequence: u64,
    /// The difference in words.
    pub what: String,
    /// The number of calls before it that ended as recorded.
    pub before: u64,
    /// The call it belongs to, and its sequence.
    pub call: (u64, EventText),
    /// The recorded event; none where the chain has none.
    pub recorded: Option<EventText>,
    /// The event of the replay; none where it has none.
    pub replayed: Option<EventText>,
}

/// Returns what differs between a recorded and a re-executed call.
pub(super) fn what_differs(recorded: &Return, now: &Return) -> Option<&'static str> {
    if recorded.outcome != now.outcome {
        Some("the call ends otherwise")
    } else if recorded.host_calls != now.host_calls {
        Some("the call makes another number of host calls")
    } else if recorded.state != now.state {
        Some("the call leaves another state")
    } else {
        None
    }
}
