//! Messages that expect no answer: `send`, and the delivery to a mailbox.

use std::pin::pin;

use futures_lite::future::{or, poll_once};
use theater_plugin_api::{Bytes, Call, CallError, Invocation};

use crate::directory::Directory;
use crate::endpoint::Endpoint;
use crate::theater::simple::message_server_client::{exports_handle_send, invoke_handle_send};
use crate::wait::{Deadline, within};

const HANDLE_SEND: &str = "handle-send";

/// Implements `send`. Returns once the message is accepted; the core records it with the sender's own event.
pub(crate) async fn send(
    directory: &Directory,
    sender: &Endpoint,
    call: &Call,
    wanted: &str,
    message: &Bytes,
) -> Result<(), String> {
    let deadline = Deadline::of_ms(sender.limits.send_timeout_ms);
    let receiver = directory.receiver(sender, wanted, deadline).await?;
    let invocation = check_send(&receiver, message)?;
    let never = std::future::pending();
    deliver(
        sender,
        &receiver,
        Delivery { invocation, function: HANDLE_SEND, source: &sender.sources.message },
        call,
        deadline,
        never,
    )
    .await?;
    sender.host.count("sent", 1.0);
    receiver.host.count("received", 1.0);
    Ok(())
}

/// Creates the call of `receiver`'s `handle-send`.
///
/// # Errors
/// Returns a sentence if `receiver` does not export it, or the message does not match its schema.
pub(crate) fn check_send(receiver: &Endpoint, message: &Bytes) -> Result<Invocation<()>, String> {
    if !exports_handle_send(&receiver.host) {
        return Err(receiver.missing_export(HANDLE_SEND));
    }
    receiver.check_schema(HANDLE_SEND, &receiver.schemas.send, message)?;
    invoke_handle_send(message).map_err(|error| error.to_string())
}

/// A call to deliver.
pub(crate) struct Delivery<'a> {
    pub(crate) invocation: Invocation<()>,
    pub(crate) function: &'static str,
    pub(crate) source: &'a str,
}

/// Stages a call for `receiver` together with the sender's own event. Waits for room in a full mailbox, until `useless`
/// completes.
///
/// # Errors
/// Returns a sentence if the receiver has ended, the mailbox stays full or the wait would close a cycle; or the output
/// of `useless`.
pub(crate) async fn deliver(
    sender: &Endpoint,
    receiver: &Endpoint,
    delivery: Delivery<'_>,
    call: &Call,
    deadline: Deadline,
    useless: impl Future<Output = String>,
) -> Result<(), String> {
    let Delivery { invocation, function, source } = delivery;
    let mut staged = pin!(receiver.host.stage(invocation, source, call, &receiver.ended));
    let described = |done: Result<(), CallError>| done.map_err(|error| receiver.failed(function, &error));
    if let Some(done) = poll_once(staged.as_mut()).await {
        return described(done);
    }
    let _edge = sender.host.wait_for(&receiver.id, "send to a full mailbox")?;
    let room = or(async { described(staged.await) }, async { Err(useless.await) });
    within(&sender.host, deadline, room).await.unwrap_or_else(|short| {
        Err(sender.describe_wait_error(short, &format!("the mailbox of {receiver} was still full"), deadline))
    })
}
