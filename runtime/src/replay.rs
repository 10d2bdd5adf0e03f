//! Replay: re-executes an actor's calls from its chain alone, and reports the first difference.
//!
//! # Algorithm
//! The events of one chain are read in order. A start or a change of parts loads the recorded component. `queued`
//! events and `host` events are collected. A `return` event re-executes its call: the same state and parameters go in,
//! and each host function checks its name and arguments against the next recorded host call and returns the recorded
//! result, so nothing outside is touched. Then the outcome, the number of host calls and the digest of the new state
//! are compared with the event. Timestamps are not compared. Instances are created and dropped at the same calls as in
//! the recorded run, so state that hides in linear memory is found as a difference.
//!
//! # Incomplete calls
//! A call that was interrupted, or that the chain does not end, is re-executed as far as its recorded host calls go;
//! the host call after them ends it. It must not differ up to that point, and its end is not compared.
//!
//! # Differences
//! With the recorded component, the first difference ends the replay: what follows could not be trusted. With another
//! component in its place the replay continues, with the state that the component computed itself until a snapshot has
//! the recorded one, and counts the calls that differ.
//!
//! # Damage
//! A missing object, dropped data, or data that does not decode is `J0006` with the sequence of the event. Call data
//! that retention dropped is skipped up to the snapshot that covers it, and the replay begins there.
//!
//! # Memory
//! Events are read one by one, so the replay holds one call and the queued calls in memory. A resume holds the chain
//! after the last snapshot.
//!
//! `events` handles each event, `calls` re-executes and compares, `guest` is the instance, `resume` and
//! `tail` begin at a snapshot, and [`plugin`] re-executes the host calls of one plugin instead of the component.

use std::path::Path;
use std::sync::Arc;

use theater_chain::event::Id;
use theater_chain::verify;

use crate::support::error::Error;
use crate::wasm::engine::Engines;

mod calls;
mod error;
mod events;
mod guest;
mod options;
pub(crate) mod parts;
pub(crate) mod past;
pub mod plugin;
mod plugin_host;
mod report;
mod reread;
pub(crate) mod resume;
pub(crate) mod tail;

use error::{DROPPED, cannot};
use events::Replay;
pub use options::Options;
use parts::{MEMORY, Parts};
pub use report::{Difference, Report};
pub use tail::{StateAt, state};

/// Replays the chain of an actor, from a data folder or an exported file. `objects` is the data folder whose `objects/`
/// has the component and the first state.
///
/// # Errors
/// The errors of reading, and `J0006` when data, a component or a first state is missing. A difference is not an error:
/// see [`Report::difference`].
pub fn replay(path: &Path, actor: Id, objects: &Path, options: &Options) -> Result<Report, Error> {
    let parts = Parts::new(Arc::new(Engines::new(MEMORY)?), objects);
    let mut replay = Replay::new(path, &parts, options);
    let mut ended = Ok(());
    verify::read(path, |event| {
        let wanted = event.header.actor == actor && options.until.is_none_or(|until| event.header.sequence <= until);
        if wanted && ended.is_ok() && !replay.is_over() {
            ended = replay.observe(event);
        }
    })?;
    ended?;
    if let Some(sequence) = replay.dropped {
        return Err(cannot(sequence, DROPPED));
    }
    if !replay.is_over() && options.until.is_none() {
        replay.check_unended()?;
    }
    replay.report.unfinished = replay.waiting.len() as u64;
    Ok(replay.report)
}
