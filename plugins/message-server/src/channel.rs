//! Channels: two actors send each other messages in order, until one of them closes the channel or ends.
//!
//! A channel has one verdict (accepted or not) and one close, each set once by whoever is first. It is listed in the
//! tables of its two actors, so no other actor can use its id: in the acceptor's from the moment the acceptor is asked,
//! in the initiator's once it is accepted.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_lite::future::poll_once;
use theater_plugin_api::{Bytes, Call, CallError, uuid_text};

use crate::channel_table::{Channel, Member};
use crate::counters::Gauges;
use crate::directory::Directory;
use crate::endpoint::Endpoint;
use crate::message::{Delivery, deliver};
use crate::theater::simple::message_server_client::{
    exports_handle_channel_message, exports_handle_channel_open, invoke_handle_channel_close,
    invoke_handle_channel_message, invoke_handle_channel_open,
};
use crate::theater::simple::types::ChannelAccept;
use crate::wait::{Deadline, OnceValue, within};

const OPEN: &str = "handle-channel-open";
const MESSAGE: &str = "handle-channel-message";
/// How long, in milliseconds, an acceptor's first message waits until the acceptance is processed. Normally that only
/// takes until the executor runs the task.
const SETTLING_MS: u64 = 1_000;

impl Channel {
    fn peer(&self, of: &Endpoint) -> &Member {
        if self.initiator.id == of.id { &self.acceptor } else { &self.initiator }
    }

    /// Sets the verdict from the acceptor's answer, unless the initiator no longer waits.
    async fn decide(self: &Arc<Self>, answer: Result<ChannelAccept, CallError>) {
        let acceptor = &self.acceptor;
        let refusal = match answer {
            Ok(ChannelAccept { accepted: true, message }) => match self.accept(message) {
                Ok(()) => return,
                // The acceptor believes that the channel is open, so it has to be notified.
                Err(why) => {
                    self.refuse(why);
                    return notify_closed(acceptor, &self.id).await;
                }
            },
            Ok(ChannelAccept { message: Some(message), .. }) => String::from_utf8_lossy(&message).into_owned(),
            Ok(ChannelAccept { message: None, .. }) => format!("{acceptor} refused the channel"),
            Err(error) => acceptor.failed(OPEN, &error),
        };
        self.refuse(refusal);
    }

    fn accept(self: &Arc<Self>, message: Option<Bytes>) -> Result<(), String> {
        let initiator = &self.initiator;
        if let Some(message) = &message {
            check_message(initiator, message)?;
        }
        initiator.channels.insert(self, initiator)?;
        if !self.verdict.set(Ok(message)) {
            initiator.channels.remove(&self.id);
            return Err(format!("{initiator} waits no longer"));
        }
        Gauges::up(&initiator.host, "channels", &initiator.gauges.channels);
        Ok(())
    }

    /// Refuses the channel, unless the verdict is set already.
    fn refuse(&self, why: String) {
        if self.verdict.set(Err(why)) {
            self.closed.set(());
            self.acceptor.channels.remove(&self.id);
        }
    }

    /// Closes the channel; returns true for the first caller only.
    fn set_closed(&self) -> bool {
        if !self.closed.set(()) {
            return false;
        }
        let ends = [&self.initiator, &self.acceptor];
        ends.into_iter().for_each(|end| end.channels.remove(&self.id));
        Gauges::down(&self.initiator.host, "channels", &self.initiator.gauges.channels);
        true
    }
}

/// Refuses the channel on drop, if the initiator's wait ends before the verdict.
struct RefuseOnDrop<'a>(&'a Channel);

impl Drop for RefuseOnDrop<'_> {
    fn drop(&mut self) {
        self.0.refuse(format!("{} waits no longer", self.0.initiator));
    }
}

/// Implements `open-channel`.
pub(crate) async fn open(
    directory: &Directory,
    initiator: &Member,
    call: &Call,
    wanted: &str,
    message: &Bytes,
) -> Result<String, String> {
    let deadline = Deadline::of_ms(initiator.limits.request_timeout_ms);
    let acceptor = directory.member(initiator, wanted, deadline).await?;
    if acceptor.id == initiator.id {
        return Err(format!("{initiator} cannot open a channel to itself: the other end has to be another actor's"));
    }
    if !exports_handle_channel_open(&acceptor.host) {
        return Err(acceptor.missing_export(OPEN));
    }
    acceptor.check_schema(OPEN, &acceptor.schemas.channel_open, message)?;
    let _edge = initiator.host.wait_for(&acceptor.id, "open-channel")?;
    let channel = Arc::new(Channel {
        id: format!("{}/{}", initiator.id, initiator.numbers.channel.fetch_add(1, Ordering::Relaxed)),
        initiator: initiator.clone(),
        acceptor,
        verdict: OnceValue::default(),
        closed: OnceValue::default(),
    });
    let first = negotiate(&channel, call, message, deadline).await?;
    if let Some(first) = first {
        deliver_first(&channel, &first).await?;
    }
    Ok(channel.id.clone())
}

/// Calls the acceptor and waits for the verdict.
async fn negotiate(
    channel: &Arc<Channel>,
    call: &Call,
    message: &Bytes,
    deadline: Deadline,
) -> Result<Option<Bytes>, String> {
    let (initiator, acceptor) = (&channel.initiator, &channel.acceptor);
    acceptor.channels.insert(channel, acceptor)?;
    let opening = RefuseOnDrop(channel);
    let mut opening_call = Box::pin(ask(Arc::clone(channel), *call, message)?);
    // The first poll happens now, while the call it uses is running. The rest runs in a task of the acceptor, since an
    // acceptance that comes too late has to be taken back even if the initiator no longer waits.
    if poll_once(opening_call.as_mut()).await.is_none() {
        acceptor.host.spawn(opening_call);
    }
    let verdict = within(&initiator.host, deadline, channel.verdict.take()).await.unwrap_or_else(|short| {
        Err(initiator.describe_wait_error(short, &format!("{acceptor} had not decided about the channel"), deadline))
    });
    drop(opening);
    verdict
}

fn ask(
    channel: Arc<Channel>,
    call: Call,
    message: &Bytes,
) -> Result<impl Future<Output = ()> + Send + 'static, String> {
    let invocation = invoke_handle_channel_open(&channel.id, message).map_err(|error| error.to_string())?;
    Ok(async move {
        let source = &channel.initiator.sources.channel;
        let answer = channel.acceptor.host.invoke(invocation, source, Some(&call)).await;
        channel.decide(answer).await;
    })
}

/// Delivers the message of the acceptance ahead of everything in the initiator's mailbox: it is the first on the
/// channel.
async fn deliver_first(channel: &Channel, message: &Bytes) -> Result<(), String> {
    let initiator = &channel.initiator;
    let invocation = invoke_handle_channel_message(&channel.id, message).map_err(|error| error.to_string())?;
    let brought = initiator.host.post(invocation, &channel.acceptor.sources.channel, None, true).await;
    brought.map_err(|error| initiator.failed(MESSAGE, &error))
}

/// Implements `send-on-channel`.
pub(crate) async fn send(sender: &Member, call: &Call, id: &str, message: &Bytes) -> Result<(), String> {
    let deadline = Deadline::of_ms(sender.limits.send_timeout_ms);
    let channel = find_open(sender, call, id).await?;
    let receiver = channel.peer(sender);
    check_message(receiver, message)?;
    let invocation = invoke_handle_channel_message(&channel.id, message).map_err(|error| error.to_string())?;
    let delivery = Delivery { invocation, function: MESSAGE, source: &sender.sources.channel };
    let closed = async {
        channel.closed.wait().await;
        format!("channel {id:?} was closed while the mailbox of {receiver} was full")
    };
    deliver(sender, receiver, delivery, call, deadline, closed).await?;
    sender.host.count("sent", 1.0);
    receiver.host.count("received", 1.0);
    Ok(())
}

fn check_message(receiver: &Endpoint, message: &[u8]) -> Result<(), String> {
    if !exports_handle_channel_message(&receiver.host) {
        return Err(receiver.missing_export(MESSAGE));
    }
    receiver.check_schema(MESSAGE, &receiver.schemas.channel_message, message)
}

/// Returns the open channel `id` of this actor.
async fn find_open(member: &Member, call: &Call, id: &str) -> Result<Arc<Channel>, String> {
    let unknown = || {
        Err(format!(
            "{member} has no open channel {id:?}: it was closed, its other end has ended, or it is not this actor's"
        ))
    };
    let Some(channel) = member.channels.get(id) else { return unknown() };
    if !channel.verdict.is_set() {
        wait_for_verdict(member, call, &channel).await?;
    }
    if channel.closed.is_set() { unknown() } else { Ok(channel) }
}

/// Waits until the verdict on a channel is known.
///
/// While a channel is undecided, its initiator waits and does nothing else. So a call that the initiator caused was
/// made before the acceptance and fails at once. Any other call from an actor that knows the id comes after the
/// acceptance.
async fn wait_for_verdict(endpoint: &Endpoint, call: &Call, channel: &Channel) -> Result<(), String> {
    let early =
        || Err(format!("channel {:?} is not open yet: it opens once handle-channel-open has returned", channel.id));
    if uuid_text(&call.context().cause_actor) == channel.initiator.id {
        return early();
    }
    let deadline = Deadline::of_ms(SETTLING_MS);
    within(&endpoint.host, deadline, channel.verdict.wait()).await.or_else(|_| early())
}

/// Implements `close-channel`: no further message passes, and both ends are notified once.
pub(crate) async fn close(closer: &Member, call: &Call, id: &str) -> Result<(), String> {
    let channel = find_open(closer, call, id).await?;
    let peer = channel.peer(closer);
    let invocation = invoke_handle_channel_close(&channel.id).map_err(|error| error.to_string())?;
    if !channel.set_closed() {
        return Err(format!("channel {id:?} is closed already"));
    }
    // A full mailbox does not keep the channel open: the peer is notified as soon as there is room.
    let mut staged = Box::pin(peer.host.stage(invocation, &closer.sources.channel, call, CLOSED));
    if poll_once(staged.as_mut()).await.is_none() {
        spawn_close_notice(peer, &channel.id);
    }
    spawn_close_notice(closer, &channel.id);
    Ok(())
}

/// `ok` of `result<_, string>`, encoded: the result of `close-channel` if the peer has ended.
const CLOSED: &[u8] = &[0];

/// Notifies an actor in a separate task that a channel is closed.
pub(crate) fn spawn_close_notice(member: &Member, id: &str) {
    member.channels.start_close_notice(id);
    let (notified, id) = (member.clone(), id.to_owned());
    member.host.spawn(async move { notify_closed(&notified, &id).await });
}

/// Notifies an actor that a channel is closed, unless it has ended or does not export `handle-channel-close`.
async fn notify_closed(member: &Member, id: &str) {
    if let Ok(invocation) = invoke_handle_channel_close(&id.to_owned()) {
        drop(member.host.post(invocation, "the end of a channel", None, false).await);
    }
    member.channels.close_notified(id);
}

/// Closes all channels of an actor that has ended, and prevents new ones.
pub(crate) fn end_channels(member: &Member) {
    for channel in member.channels.end() {
        channel.refuse(format!("{member} has ended"));
        if channel.set_closed() {
            spawn_close_notice(channel.peer(member), &channel.id);
        }
    }
}
