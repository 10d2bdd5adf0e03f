//! Messages that expect an answer: `request`, and how requests are answered.
//!
//! An answer is set once, by whoever is first: the result of `handle-request`, `respond-to-request`, `cancel-request`,
//! or the end of the receiver. The requester takes it. When the requester stops waiting, the entry is removed, and an
//! answer comes too late.

use std::sync::Arc;

use futures_lite::future::or;
use theater_plugin_api::{Bytes, Call, CallError, Host};

use crate::counters::Gauges;
use crate::directory::Directory;
use crate::endpoint::Endpoint;
use crate::outstanding::{Answer, Unanswered, request_number};
use crate::theater::simple::message_server_client::{exports_handle_request, invoke_handle_request};
use crate::wait::{CutShort, Limit, within};

const HANDLE_REQUEST: &str = "handle-request";

/// A request with a waiting requester; removed from the table on drop.
struct Asked<'a> {
    receiver: &'a Endpoint,
    number: u64,
    answer: Arc<Answer>,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        drop(self.receiver.taken(self.number));
    }
}

impl Endpoint {
    fn asked(&self) -> Result<Asked<'_>, Unanswered> {
        let (number, answer) = self.requests.insert(&self.numbers.request).ok_or_else(|| self.gone())?;
        Gauges::up(&self.host, "outstanding", &self.gauges.outstanding);
        Ok(Asked { receiver: self, number, answer })
    }

    fn gone(&self) -> Unanswered {
        Unanswered::Gone(format!("{self} has ended"))
    }

    /// Takes a request out of the table: only the caller that gets it may answer it.
    fn taken(&self, number: u64) -> Option<Arc<Answer>> {
        let answer = self.requests.take(number)?;
        Gauges::down(&self.host, "outstanding", &self.gauges.outstanding);
        Some(answer)
    }

    fn settle(&self, id: &str, answer: Result<Bytes, Unanswered>) -> Result<(), String> {
        let outstanding = request_number(id).and_then(|number| self.taken(number));
        let settled = outstanding.is_some_and(|outstanding| outstanding.set(answer));
        if settled {
            return Ok(());
        }
        Err(format!(
            "{self} has no outstanding request {id:?}: it was answered or cancelled, its requester waits no longer, or it is \
             another actor's; list-outstanding-requests has those that are left"
        ))
    }

    /// Implements `respond-to-request`.
    pub(crate) fn respond(&self, id: &str, response: Bytes) -> Result<(), String> {
        self.settle(id, Ok(response))
    }

    /// Implements `cancel-request`.
    pub(crate) fn cancel(&self, id: &str) -> Result<(), String> {
        self.settle(id, Err(Unanswered::Failed(format!("cancelled by {}", self.id))))
    }

    /// Answers all waiting requesters of this actor, which has ended, and prevents new requests.
    pub(crate) fn end_requests(&self) {
        for answer in self.requests.end().into_iter().filter_map(|number| self.taken(number)) {
            answer.set(Err(self.gone()));
        }
    }

    fn unanswered(&self, error: &CallError) -> Unanswered {
        let sentence = self.failed(HANDLE_REQUEST, error);
        match error {
            CallError::Gone(_) => Unanswered::Gone(sentence),
            CallError::Absent(_) => Unanswered::Absent(sentence),
            _ => Unanswered::Failed(sentence),
        }
    }
}

/// Implements `request`. The edge in the wait graph exists as long as the requester waits.
pub(crate) async fn request(
    directory: &Directory,
    sender: &Endpoint,
    call: &Call,
    wanted: &str,
    message: &Bytes,
) -> Result<Bytes, String> {
    let limit = Limit::of_ms(sender.limits.request_timeout_ms);
    let receiver = directory.receiver(sender, wanted, limit).await?;
    let _edge = sender.host.wait_for(&receiver.id, "request")?;
    sender.host.count("requests", 1.0);
    let asking = Asking { source: &sender.sources.request, from: Some(call), waiting: &sender.host, limit };
    ask(&receiver, message, asking).await.map_err(|error| error.to_string())
}

/// The requester, and how long it waits.
#[derive(Clone, Copy)]
pub(crate) struct Asking<'a> {
    pub(crate) source: &'a str,
    pub(crate) from: Option<&'a Call>,
    /// The wait ends when this host's actor is stopped.
    pub(crate) waiting: &'a Host,
    pub(crate) limit: Limit,
}

/// Sends a request to `receiver` and waits for its answer, in whichever way it is given.
///
/// # Errors
/// Every variant of [`Unanswered`].
pub(crate) async fn ask(receiver: &Endpoint, message: &Bytes, asking: Asking<'_>) -> Result<Bytes, Unanswered> {
    if !exports_handle_request(&receiver.host) {
        return Err(Unanswered::Absent(receiver.lacks(HANDLE_REQUEST)));
    }
    receiver.fits(HANDLE_REQUEST, &receiver.schemas.request, message).map_err(Unanswered::Unfit)?;
    let asked = receiver.asked()?;
    receiver.host.count("received", 1.0);
    let answer = or(asked.answer.take(), asked.called(message, asking));
    within(asking.waiting, asking.limit, answer).await.unwrap_or_else(|short| {
        let late = format!("{receiver} had not answered");
        Err(match short {
            CutShort::TimedOut => Unanswered::TimedOut(format!("{late} after {} ms", asking.limit.ms)),
            CutShort::Stopping => Unanswered::Stopping(format!("{late} when the requester was stopped")),
        })
    })
}

impl Asked<'_> {
    /// Calls `handle-request`. Completes only if its result is the first answer; otherwise stays pending.
    async fn called(&self, message: &Bytes, asking: Asking<'_>) -> Result<Bytes, Unanswered> {
        let receiver = self.receiver;
        let called = match invoke_handle_request(&self.number.to_string(), message) {
            Ok(invocation) => receiver.host.invoke(invocation, asking.source, asking.from).await,
            Err(error) => Err(error),
        };
        let answer = match called {
            Ok(None) => None,
            Ok(Some(response)) => Some(Ok(response)),
            Err(error) => Some(Err(receiver.unanswered(&error))),
        };
        // If it is no longer in the table, it was answered already, and that answer counts.
        match answer.filter(|_| receiver.taken(self.number).is_some()) {
            Some(answer) => answer,
            None => std::future::pending().await,
        }
    }
}
