//! What waits to be sent to one websocket's client.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use event_listener::{Event, listener};
use futures_lite::future::or;
use theater_plugin_api::Host;
use theater_websockets::{Code, Message};

/// The queue between the actor and a connection's task.
#[derive(Default)]
pub(crate) struct Outbox {
    inner: Mutex<Inner>,
    /// There is more to do.
    queued: Event,
    /// There is more room, or the end.
    taken: Event,
}

#[derive(Default)]
struct Inner {
    messages: VecDeque<Message>,
    /// Of what is queued and of what is being sent.
    bytes: usize,
    /// Since when the message that is being sent is.
    sending: Option<Instant>,
    /// To be closed behind what is queued.
    last: Option<Code>,
    /// To be closed now.
    end: Option<Code>,
}

/// What the connection's task is to do next.
#[derive(Debug)]
pub(crate) enum Order {
    Send(Message),
    Close(Code),
}

/// Why a message is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PushError {
    /// The connection has ended.
    Gone,
    /// The client does not read; the connection is being closed for it.
    Slow,
}

impl Outbox {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every change under the lock is one step.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a message. Where there are `most` bytes already, waits for room until the client has taken longer than
    /// `patience` for one message; then the connection is closed.
    pub(crate) async fn push(
        &self,
        message: Message,
        most: usize,
        patience: Duration,
        host: &Host,
    ) -> Result<(), PushError> {
        let (length, begun) = (length(&message), Instant::now());
        loop {
            listener!(self.taken => room);
            let deadline = {
                let mut inner = self.lock();
                if inner.last.is_some() || inner.end.is_some() {
                    return Err(PushError::Gone);
                }
                // One message alone may be larger.
                if inner.bytes == 0 || inner.bytes.saturating_add(length) <= most {
                    inner.bytes = inner.bytes.saturating_add(length);
                    inner.messages.push_back(message);
                    drop(inner);
                    self.queued.notify(1);
                    return Ok(());
                }
                inner.sending.unwrap_or(begun) + patience
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                self.end(Code::Again);
                return Err(PushError::Slow);
            }
            or(room, host.sleep(left)).await;
        }
    }

    /// Closes the connection behind what is queued; false when it is being closed already.
    pub(crate) fn close(&self, code: Code) -> bool {
        let mut inner = self.lock();
        let open = inner.last.is_none() && inner.end.is_none();
        if open {
            inner.last = Some(code);
            drop(inner);
            self.queued.notify(1);
            self.taken.notify(usize::MAX);
        }
        open
    }

    /// Closes the connection now; a code that was given before stands.
    pub(crate) fn end(&self, code: Code) {
        self.lock().end.get_or_insert(code);
        self.queued.notify(usize::MAX);
        self.taken.notify(usize::MAX);
    }

    /// What is to be done next; may be dropped while it waits. A message counts until [`Outbox::sent`].
    pub(crate) async fn next(&self) -> Order {
        loop {
            listener!(self.queued => more);
            if let Some(order) = self.next_if_any() {
                return order;
            }
            more.await;
        }
    }

    /// What is to be done next, if there is something.
    pub(crate) fn next_if_any(&self) -> Option<Order> {
        self.lock().next()
    }

    /// How many messages wait.
    pub(crate) fn waiting(&self) -> usize {
        self.lock().messages.len()
    }

    /// A message begins to leave, one of the queue's or another.
    pub(crate) fn sending(&self) {
        self.lock().sending = Some(Instant::now());
    }

    /// It has left, or never will; `length` of it counted.
    pub(crate) fn sent(&self, length: usize) {
        let mut inner = self.lock();
        inner.bytes = inner.bytes.saturating_sub(length);
        inner.sending = None;
        drop(inner);
        self.taken.notify(usize::MAX);
    }

    /// Ends when the connection is to be closed now.
    pub(crate) async fn ended(&self) -> Code {
        loop {
            listener!(self.queued => more);
            if let Some(code) = self.lock().end {
                return code;
            }
            more.await;
        }
    }
}

impl Inner {
    fn next(&mut self) -> Option<Order> {
        if let Some(code) = self.end {
            return Some(Order::Close(code));
        }
        if let Some(message) = self.messages.pop_front() {
            return Some(Order::Send(message));
        }
        self.last.map(Order::Close)
    }
}

/// What a message counts: its payload and what it costs to keep.
pub(crate) fn length(message: &Message) -> usize {
    const COST: usize = 64;
    message.length() + COST
}

#[cfg(test)]
mod tests {
    use theater_plugin_api::testing::{FakeHost, block_on};

    use super::*;

    const PATIENCE: Duration = Duration::from_millis(50);

    fn message() -> Message {
        Message::Text("x".repeat(100))
    }

    fn push(outbox: &Outbox, patience: Duration) -> Result<(), PushError> {
        block_on(outbox.push(message(), 100, patience, &FakeHost::new().host()))
    }

    /// A connect handler sends before there is anybody to send: neither it nor the actor may wait for ever.
    #[test]
    fn a_queue_that_nobody_empties_is_waited_for_only_so_long() {
        let outbox = Outbox::default();
        push(&outbox, PATIENCE).unwrap();
        let begun = Instant::now();
        assert_eq!(push(&outbox, PATIENCE), Err(PushError::Slow));
        assert!(begun.elapsed() >= PATIENCE);
        assert_eq!(push(&outbox, PATIENCE), Err(PushError::Gone));
        assert!(matches!(block_on(outbox.next()), Order::Close(Code::Again)));
    }

    /// Whoever finds a client that has been stuck for long does not wait for it once more.
    #[test]
    fn patience_begins_with_the_message_that_does_not_leave() {
        let outbox = Outbox::default();
        push(&outbox, PATIENCE).unwrap();
        outbox.sending();
        std::thread::sleep(PATIENCE);
        let begun = Instant::now();
        assert_eq!(push(&outbox, PATIENCE), Err(PushError::Slow));
        assert!(begun.elapsed() < PATIENCE);
    }

    #[test]
    fn room_comes_with_what_has_left() {
        let outbox = Outbox::default();
        push(&outbox, PATIENCE).unwrap();
        std::thread::scope(|scope| {
            let pushing = scope.spawn(|| push(&outbox, Duration::from_secs(20)));
            let Order::Send(first) = block_on(outbox.next()) else { panic!("a message waits") };
            outbox.sending();
            outbox.sent(length(&first));
            assert_eq!(pushing.join().unwrap(), Ok(()));
        });
        assert_eq!(outbox.waiting(), 1);
        assert!(outbox.close(Code::Normal) && !outbox.close(Code::Normal));
        assert!(matches!(outbox.next_if_any(), Some(Order::Send(_))));
        assert!(matches!(outbox.next_if_any(), Some(Order::Close(Code::Normal))));
        outbox.end(Code::Away);
        assert!(block_on(outbox.ended()) == Code::Away && push(&outbox, PATIENCE) == Err(PushError::Gone));
    }
}
