//! Replays the tail of a chain to find the point at which its actor continues.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use theater_chain::event_text::EventFormatter;
use theater_chain::record::Snapshot;
use theater_chain::state_digest::State;

use crate::actor::remainder::{Remainder, UnfinishedCall};
use crate::replay::events::Replay;
use crate::replay::options::Options;
use crate::replay::parts::Parts;
use crate::replay::past::{QueuedEvent, RecordedEvent, Reexecuted, ResumePoint, WaitingCall};
use crate::replay::report::Difference;
use crate::support::error::Error;

/// Replays `events`: the events of a chain after `base`, or after the start `setup` when there is no snapshot. `queued`
/// are the calls that waited at that point.
///
/// Finished calls are re-executed for the state they lead to. Unfinished calls are returned with their recorded host
/// calls, not executed.
///
/// # Errors
/// The errors of [`replay`](crate::replay::replay()). The inner error is the first difference.
pub(crate) fn resume(
    path: &Path,
    parts: &Parts,
    setup: &RecordedEvent,
    base: Option<&Snapshot>,
    queued: &[QueuedEvent],
    events: &[RecordedEvent],
    wants_kept_calls: bool,
) -> Result<Result<ResumePoint, Box<Difference>>, Error> {
    let options = Options::default();
    let mut replay = Replay::new(path, parts, &options);
    replay.formatter = EventFormatter::mute();
    replay.begin(&setup.event())?;
    if let (Some(run), Some(snapshot)) = (&mut replay.run, base) {
        run.state = State::new(snapshot.state.as_ref().map(|state| Arc::new(state.to_vec())));
    }
    replay.calls = Some(Vec::new());
    replay.kept_calls = wants_kept_calls.then(Reexecuted::default);
    for QueuedEvent { event, function } in queued {
        replay.add_queued(&event.event(), function.clone())?;
    }
    for event in events {
        replay.observe(&event.event())?;
        if let Some(difference) = replay.report.difference.take() {
            return Ok(Err(Box::new(difference)));
        }
    }
    replay.into_resume_point().map(Ok)
}

impl Replay<'_> {
    /// Returns the state and the unfinished calls at the end of the chain.
    fn into_resume_point(mut self) -> Result<ResumePoint, Error> {
        let mut hosts = std::mem::take(&mut self.hosts);
        for host in &mut hosts {
            self.reread(host)?;
        }
        let mut begun: HashMap<u64, Remainder> = HashMap::new();
        for host in hosts {
            let call = host.header.call.unwrap_or(u64::MAX);
            begun.entry(call).or_default().hosts.push_back(host);
        }
        if let Some(intent) = self.intent.take() {
            let call = intent.header.call.unwrap_or(u64::MAX);
            begun.entry(call).or_default().intent = Some(intent);
        }
        let mut waiting: Vec<_> = self.waiting.into_values().collect();
        waiting.sort_by_key(|waiting| waiting.queued.sequence);
        let waiting = waiting.into_iter().map(|waiting| {
            let WaitingCall { queued, cause, interface, function, params, .. } = waiting;
            let begun = begun.remove(&queued.sequence);
            UnfinishedCall { queued, cause, interface, function, params, begun }
        });
        let waiting = waiting.collect();
        let state = self.run.map(|run| run.state).unwrap_or_default();
        Ok(ResumePoint {
            state,
            waiting,
            calls: self.calls.unwrap_or_default(),
            kept_calls: self.kept_calls.unwrap_or_default(),
        })
    }
}
