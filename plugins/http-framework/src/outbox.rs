//! The queue of messages to the client of one websocket.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use event_listener::{Event, listener};
use futures_lite::future::or;
use theater_plugin_api::Host;
use theater_websocket_protocol::{Code, Message};

/// The queue between the actor and a connection's task.
#[derive(Default)]
pub(crate) struct Outbox {
    inner: Mutex<Inner>,
    /// Notified when there is a new order.
    queued: Event,
    /// Notified when there is more room, or when the connection is being closed.
    taken: Event,
}

#[derive(Default)]
struct Inner {
    messages: VecDeque<Message>,
    /// The size of the queued messages and of the one being sent, by [`length`].
    bytes: usize,
    /// When sending of the current message began.
    sending: Option<Instant>,
    /// Close with this code after the queued messages.
    last: Option<Code>,
    /// Close with this code now.
    end: Option<Code>,
}

/// An instruction to the connection's task.
#[derive(Debug)]
pub(crate) enum ConnectionCommand {
    Send(Message),
    Close(Code),
}

/// The reason a message was not queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PushError {
    /// The connection has ended or is being closed.
    Gone,
    /// The client does not read, and the connection is being closed for it.
    Slow,
}

impl Outbox {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Each change under the lock is a single step, so a poisoned lock still guards consistent data.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a message. If the queue would exceed `most` bytes, waits for room. If the client takes longer than
    /// `patience` to read one message, closes the connection with [`Code::Again`].
    ///
    /// # Errors
    /// [`PushError::Slow`] if this call closes the connection, [`PushError::Gone`] if it was closed before.
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
                // An empty queue takes a message of any size.
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

    /// Closes the connection after the queued messages. Returns false if it is being closed already.
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

    /// Closes the connection now. The code of an earlier call takes precedence.
    pub(crate) fn end(&self, code: Code) {
        self.lock().end.get_or_insert(code);
        self.queued.notify(usize::MAX);
        self.taken.notify(usize::MAX);
    }

    /// Waits for the next order. Cancel safe. A message counts towards the size of the queue until [`Outbox::sent`].
    pub(crate) async fn next(&self) -> ConnectionCommand {
        loop {
            listener!(self.queued => more);
            if let Some(command) = self.next_if_any() {
                return command;
            }
            more.await;
        }
    }

    /// Returns the next order, if there is one.
    pub(crate) fn next_if_any(&self) -> Option<ConnectionCommand> {
        self.lock().next()
    }

    /// Returns the number of queued messages.
    pub(crate) fn waiting(&self) -> usize {
        self.lock().messages.len()
    }

    /// Marks the start of sending a message, from the queue or not.
    pub(crate) fn sending(&self) {
        self.lock().sending = Some(Instant::now());
    }

    /// Marks the end of sending, successful or not, and frees `length` bytes of the queue.
    pub(crate) fn sent(&self, length: usize) {
        let mut inner = self.lock();
        inner.bytes = inner.bytes.saturating_sub(length);
        inner.sending = None;
        drop(inner);
        self.taken.notify(usize::MAX);
    }

    /// Waits until the connection is to be closed now, and returns the code.
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
    fn next(&mut self) -> Option<ConnectionCommand> {
        if let Some(code) = self.end {
            return Some(ConnectionCommand::Close(code));
        }
        if let Some(message) = self.messages.pop_front() {
            return Some(ConnectionCommand::Send(message));
        }
        self.last.map(ConnectionCommand::Close)
    }
}

/// Returns the size that a message counts with: its payload and a fixed overhead, in bytes.
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

    /// A connect handler may send before the connection's task reads the queue: neither it nor the actor may wait
    /// forever.
    #[test]
    fn a_queue_that_nobody_empties_is_waited_for_only_so_long() {
        let outbox = Outbox::default();
        push(&outbox, PATIENCE).unwrap();
        let begun = Instant::now();
        assert_eq!(push(&outbox, PATIENCE), Err(PushError::Slow));
        assert!(begun.elapsed() >= PATIENCE);
        assert_eq!(push(&outbox, PATIENCE), Err(PushError::Gone));
        assert!(matches!(block_on(outbox.next()), ConnectionCommand::Close(Code::Again)));
    }

    /// A caller does not wait for a client that has been stuck for that long already.
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
            let ConnectionCommand::Send(first) = block_on(outbox.next()) else { panic!("a message waits") };
            outbox.sending();
            outbox.sent(length(&first));
            assert_eq!(pushing.join().unwrap(), Ok(()));
        });
        assert_eq!(outbox.waiting(), 1);
        assert!(outbox.close(Code::Normal) && !outbox.close(Code::Normal));
        assert!(matches!(outbox.next_if_any(), Some(ConnectionCommand::Send(_))));
        assert!(matches!(outbox.next_if_any(), Some(ConnectionCommand::Close(Code::Normal))));
        outbox.end(Code::Away);
        assert!(block_on(outbox.ended()) == Code::Away && push(&outbox, PATIENCE) == Err(PushError::Gone));
    }
}
