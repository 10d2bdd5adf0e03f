//! An actor's table of outstanding requests: those it has received and not answered.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use theater_plugin_api::Bytes;

use crate::wait::{OnceValue, lock};

/// Why a request has no answer; each variant has a sentence for the requester.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RequestError {
    /// The requester's timeout has expired.
    TimedOut(String),
    /// The requester is being stopped.
    Stopping(String),
    /// The receiver has ended.
    Gone(String),
    /// The receiver does not export `handle-request`.
    Absent(String),
    /// The message does not match the receiver's schema.
    Unfit(String),
    /// The receiver returned `err`, trapped, or cancelled the request.
    Failed(String),
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::TimedOut(sentence)
        | Self::Stopping(sentence)
        | Self::Gone(sentence)
        | Self::Absent(sentence)
        | Self::Unfit(sentence)
        | Self::Failed(sentence)) = self;
        f.write_str(sentence)
    }
}

pub(crate) type Answer = OnceValue<Result<Bytes, RequestError>>;

/// The requests that an actor has received and not answered, by number, oldest first.
#[derive(Default)]
pub(crate) struct OutstandingRequests(Mutex<Outstanding>);

#[derive(Default)]
struct Outstanding {
    by_number: BTreeMap<u64, Arc<Answer>>,
    ended: bool,
}

impl OutstandingRequests {
    pub(crate) fn list(&self) -> Vec<String> {
        lock(&self.0).by_number.keys().map(u64::to_string).collect()
    }

    /// Adds a request with the next number of `next`, unless the actor has ended.
    pub(crate) fn insert(&self, next: &AtomicU64) -> Option<(u64, Arc<Answer>)> {
        let answer = Arc::new(Answer::default());
        let mut outstanding = lock(&self.0);
        if outstanding.ended {
            return None;
        }
        // Under the lock, so that a later entry always has a higher number.
        let number = next.fetch_add(1, Ordering::Relaxed);
        outstanding.by_number.insert(number, Arc::clone(&answer));
        Some((number, answer))
    }

    /// Takes a request out of the table: only the caller that gets it may answer it.
    pub(crate) fn take(&self, number: u64) -> Option<Arc<Answer>> {
        lock(&self.0).by_number.remove(&number)
    }

    /// Prevents new requests, and returns the numbers of those that are outstanding.
    pub(crate) fn end(&self) -> Vec<u64> {
        let mut outstanding = lock(&self.0);
        outstanding.ended = true;
        outstanding.by_number.keys().copied().collect()
    }

    pub(crate) fn count(&self) -> usize {
        lock(&self.0).by_number.len()
    }
}

/// Parses a request id, which has only one spelling.
pub(crate) fn request_number(id: &str) -> Option<u64> {
    id.parse().ok().filter(|number: &u64| number.to_string() == id)
}
