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
use crate::outstanding::{Answer, RequestError, request_number};
use crate::theater::simple::message_server_client::{exports_handle_request, invoke_handle_request};
use crate::wait::{Deadline, WaitError, within};

const HANDLE_REQUEST: &str = "handle-request";

/// A request with a waiting requester; removed from the table on drop.
struct PendingRequest<'a> {
    receiver: &'a Endpoint,
    number: u64,
    answer: Arc<Answer>,
}

impl Drop for PendingRequest<'_> {
    fn drop(&mut self) {
        drop(self.receiver.take_request(self.number));
    }
}

impl Endpoint {
    fn register_request(&self) -> Result<PendingRequest<'_>, RequestError> {
        let (number, answer) = self.requests.insert(&self.numbers.request).ok_or_else(|| self.gone())?;
        Gauges::up(&self.host, "outstanding", &self.gauges.outstanding);
        Ok(PendingRequest { receiver: self, number, answer })
    }

    fn gone(&self) -> RequestError {
        RequestError::Gone(format!("{self} has ended"))
    }

    /// Takes a request out of the table: only the caller that gets it may answer it.
    fn take_request(&self, number: u64) -> Option<Arc<Answer>> {
        let answer = self.requests.take(number)?;
        Gauges::down(&self.host, "outstanding", &self.gauges.outstanding);
        Some(answer)
    }

    fn answer_request(&self, id: &str, answer: Result<Bytes, RequestError>) -> Result<(), String> {
        let outstanding = request_number(id).and_then(|number| self.take_request(number));
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
        self.answer_request(id, Ok(response))
    }

    /// Implements `cancel-request`.
    pub(crate) fn cancel(&self, id: &str) -> Result<(), String> {
        self.answer_request(id, Err(RequestError::Failed(format!("cancelled by {}", self.id))))
    }

    /// Answers all waiting requesters of this actor, which has ended, and prevents new requests.
    pub(crate) fn end_requests(&self) {
        for answer in self.requests.end().into_iter().filter_map(|number| self.take_request(number)) {
            answer.set(Err(self.gone()));
        }
    }

    fn unanswered(&self, error: &CallError) -> RequestError {
        let sentence = self.failed(HANDLE_REQUEST, error);
        match error {
            CallError::Gone(_) => RequestError::Gone(sentence),
            CallError::Absent(_) => RequestError::Absent(sentence),
            _ => RequestError::Failed(sentence),
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
    let deadline = Deadline::of_ms(sender.limits.request_timeout_ms);
    let receiver = directory.receiver(sender, wanted, deadline).await?;
    let _edge = sender.host.wait_for(&receiver.id, "request")?;
    sender.host.count("requests", 1.0);
    let requester = Requester { source: &sender.sources.request, from: Some(call), waiting: &sender.host, deadline };
    ask(&receiver, message, requester).await.map_err(|error| error.to_string())
}

/// The requester, and how long it waits.
#[derive(Clone, Copy)]
pub(crate) struct Requester<'a> {
    pub(crate) source: &'a str,
    pub(crate) from: Option<&'a Call>,
    /// The wait ends when this host's actor is stopped.
    pub(crate) waiting: &'a Host,
    pub(crate) deadline: Deadline,
}

/// Sends a request to `receiver` and waits for its answer, in whichever way it is given.
///
/// # Errors
/// Every variant of [`RequestError`].
pub(crate) async fn ask(receiver: &Endpoint, message: &Bytes, requester: Requester<'_>) -> Result<Bytes, RequestError> {
    if !exports_handle_request(&receiver.host) {
        return Err(RequestError::Absent(receiver.missing_export(HANDLE_REQUEST)));
    }
    receiver.check_schema(HANDLE_REQUEST, &receiver.schemas.request, message).map_err(RequestError::Unfit)?;
    let asked = receiver.register_request()?;
    receiver.host.count("received", 1.0);
    let answer = or(asked.answer.take(), asked.call_handler(message, requester));
    within(requester.waiting, requester.deadline, answer).await.unwrap_or_else(|short| {
        let late = format!("{receiver} had not answered");
        Err(match short {
            WaitError::TimedOut => RequestError::TimedOut(format!("{late} after {} ms", requester.deadline.ms)),
            WaitError::Stopping => RequestError::Stopping(format!("{late} when the requester was stopped")),
        })
    })
}

impl PendingRequest<'_> {
    /// Calls `handle-request`. Completes only if its result is the first answer; otherwise stays pending.
    async fn call_handler(&self, message: &Bytes, requester: Requester<'_>) -> Result<Bytes, RequestError> {
        let receiver = self.receiver;
        let called = match invoke_handle_request(&self.number.to_string(), message) {
            Ok(invocation) => receiver.host.invoke(invocation, requester.source, requester.from).await,
            Err(error) => Err(error),
        };
        let answer = match called {
            Ok(None) => None,
            Ok(Some(response)) => Some(Ok(response)),
            Err(error) => Some(Err(receiver.unanswered(&error))),
        };
        // If it is no longer in the table, it was answered already, and that answer counts.
        match answer.filter(|_| receiver.take_request(self.number).is_some()) {
            Some(answer) => answer,
            None => std::future::pending().await,
        }
    }
}
