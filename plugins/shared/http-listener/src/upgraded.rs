//! A connection that has switched to another protocol.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures_lite::{AsyncRead, AsyncWrite};

use crate::source::Source;

/// The callback that speaks the other protocol.
pub(crate) type UpgradeHandler = Box<dyn FnOnce(Upgraded) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// The callback inside a reply; the connection takes it once.
#[derive(Clone)]
pub(crate) struct PendingUpgrade(Arc<Mutex<Option<UpgradeHandler>>>);

impl PendingUpgrade {
    pub(crate) fn new<F>(then: impl FnOnce(Upgraded) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self(Arc::new(Mutex::new(Some(Box::new(|upgraded| Box::pin(then(upgraded)))))))
    }

    pub(crate) fn take(&self) -> Option<UpgradeHandler> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl fmt::Debug for PendingUpgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PendingUpgrade")
    }
}

impl PartialEq for PendingUpgrade {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for PendingUpgrade {}

/// A connection after its 101 reply, including the bytes that the client sent after its request. It counts towards
/// `max_connections` until it is dropped. The server applies no timeout to it and cuts it off only at the end of the
/// grace period: the owner has to handle timeouts and stopping.
pub struct Upgraded {
    source: Source,
}

impl Upgraded {
    pub(crate) fn new(source: Source) -> Self {
        Self { source }
    }

    /// Closes the connection so that the client can still read what was written. Discards what the client still sends,
    /// for at most 2 s.
    pub async fn close(self) {
        self.source.close().await;
    }
}

impl AsyncRead for Upgraded {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let source = &mut self.get_mut().source;
        let waiting = source.waiting();
        if waiting.is_empty() {
            return Pin::new(source.stream()).poll_read(context, buffer);
        }
        let length = waiting.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..length), waiting.get(..length)) {
            to.copy_from_slice(from);
        }
        source.consume(length);
        Poll::Ready(Ok(length))
    }
}

impl AsyncWrite for Upgraded {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(self.get_mut().source.stream()).poll_write(context, bytes)
    }
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.get_mut().source.stream()).poll_flush(context)
    }
    fn poll_close(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.get_mut().source.stream()).poll_close(context)
    }
}
