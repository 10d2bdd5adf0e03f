//! The bytes of a connection: a buffer of what has arrived and is not consumed yet, reading more, and writing.

use std::net::Shutdown;
use std::time::{Duration, Instant};

use futures_lite::future::yield_now;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use theater_tls::{Stream, TlsAcceptor, TlsStream};

use crate::config::Limits;
use crate::head::{Head, Scan};
use crate::net::TcpStream;
use crate::refusal::Refusal;
use crate::slots::{Slot, WaitError};

/// Why there is no request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadError {
    /// Send this answer, then close.
    Refused(Refusal),
    /// Close without an answer: no one waits for one.
    Closed,
}

impl From<Refusal> for ReadError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// A connection with its buffer and slot.
pub(crate) struct Source {
    stream: Stream<TcpStream>,
    slot: Slot,
    limits: Limits,
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    fills: u32,
}

const SMALL: usize = 2 << 10;
/// The buffer size for reading a body, whose bytes are copied out at once.
const LARGE: usize = 64 << 10;
/// How long a closing connection discards what the client still sends, so that the client reads the answer, not a
/// reset.
const LINGER: Duration = Duration::from_secs(2);

impl Source {
    pub(crate) fn new(stream: TcpStream, slot: Slot, limits: Limits) -> Self {
        Self { stream: Stream::Plain(stream), slot, limits, bytes: Vec::new(), start: 0, end: 0, fills: 0 }
    }

    /// Performs the TLS handshake; `None` if it fails or times out.
    pub(crate) async fn secure(mut self, tls: &TlsAcceptor) -> Option<Self> {
        let Stream::Plain(stream) = self.stream else { return None };
        let agreed = self.slot.until(&mut None, self.limits.read, tls.accept(stream)).await;
        self.stream = Stream::Tls(Box::new(TlsStream::Server(agreed.ok()?.ok()?)));
        Some(self)
    }

    /// Returns the stream for direct use by an upgraded connection, which reads the buffered bytes first.
    pub(crate) fn stream(&mut self) -> &mut Stream<TcpStream> {
        // A caller that reads the stream directly does not need the empty buffer.
        if self.start == self.end {
            self.bytes = Vec::new();
        }
        &mut self.stream
    }

    /// Returns the socket, if the connection does not use TLS.
    pub(crate) fn into_plain(self) -> Option<TcpStream> {
        match self.stream {
            Stream::Plain(stream) => Some(stream),
            _ => None,
        }
    }

    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    pub(crate) fn stopping(&self) -> bool {
        self.slot.stopping()
    }

    /// Returns the bytes that have arrived and are not consumed.
    pub(crate) fn waiting(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    pub(crate) fn consume(&mut self, length: usize) {
        self.start = (self.start + length).min(self.end);
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Reads the next head; `None` if the client sends no more requests, was idle for too long, or the server stops.
    pub(crate) async fn head(&mut self) -> Result<Option<Head>, ReadError> {
        let (mut scan, mut deadline) = (Scan::default(), None);
        loop {
            if let Some(length) = scan.advance(self.waiting(), &self.limits)? {
                let head = Head::parse(self.waiting().get(scan.start..length).unwrap_or_default())?;
                self.consume(length);
                return Ok(Some(head));
            }
            let idle = self.waiting().is_empty();
            if idle && self.bytes.len() > LARGE / 2 {
                self.bytes = Vec::new();
            }
            if idle {
                self.slot.set_idle(true);
            }
            let filled = self.fill(&mut deadline, SMALL).await;
            if idle && !self.slot.set_idle(false) {
                // Another connection has taken this one's slot. A request that arrived meanwhile is dropped; the client
                // may retry it.
                return Ok(None);
            }
            match filled {
                Ok(()) => {}
                Err(_) if idle || self.stopping() => return Ok(None),
                Err(cut) => return Err(cut),
            }
            if idle {
                deadline = None;
            }
        }
    }

    /// Waits for more bytes. If `deadline` is `None`, it is set when the wait begins.
    pub(crate) async fn fill(&mut self, deadline: &mut Option<Instant>, room: usize) -> Result<(), ReadError> {
        self.make_room(room);
        self.fills = self.fills.wrapping_add(1);
        if self.fills.is_multiple_of(16) {
            // A client that sends without pause must neither occupy a thread nor escape its deadline.
            yield_now().await;
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Err(Refusal::TIMEOUT.into());
            }
        }
        let free = self.bytes.get_mut(self.end..).unwrap_or_default();
        match self.slot.until(deadline, self.limits.read, self.stream.read(free)).await {
            Ok(Ok(0)) => Err(Refusal::bad("the request ends early").into()),
            Ok(Ok(read)) => {
                self.end += read;
                Ok(())
            }
            Ok(Err(_)) => Err(ReadError::Closed),
            Err(WaitError::TimedOut) => Err(Refusal::TIMEOUT.into()),
            Err(WaitError::Stopping) => Err(Refusal::STOPPING.into()),
        }
    }

    /// Waits for more bytes of a body, with a large buffer.
    pub(crate) async fn fill_body(&mut self, deadline: &mut Option<Instant>) -> Result<(), ReadError> {
        self.fill(deadline, LARGE).await
    }

    fn make_room(&mut self, room: usize) {
        if self.end < self.bytes.len() && self.bytes.len() >= room {
            return;
        }
        self.bytes.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        let full = self.end == self.bytes.len();
        let wanted = if full { self.bytes.len() * 2 } else { self.bytes.len() };
        self.bytes.resize(wanted.max(room), 0);
    }

    /// Writes an answer, with a single system call if the socket accepts all of it.
    pub(crate) async fn write(&mut self, head: &[u8], body: &[u8]) -> Result<(), ReadError> {
        let (mut head, mut body) = (head, body);
        while !head.is_empty() || !body.is_empty() {
            let slices = [std::io::IoSlice::new(head), std::io::IoSlice::new(body)];
            let write = self.stream.write_vectored(&slices);
            let written = match self.slot.until_late(self.limits.read, write).await {
                Ok(Ok(written)) if written > 0 => written,
                _ => return Err(ReadError::Closed),
            };
            let of_head = written.min(head.len());
            head = head.get(of_head..).unwrap_or_default();
            body = body.get(written - of_head..).unwrap_or_default();
        }
        // TLS may still buffer some of it; without TLS this does nothing.
        match self.slot.until_late(self.limits.read, self.stream.flush()).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(ReadError::Closed),
        }
    }

    /// Closes the connection so that the client can still read the answer: closing with unread bytes would reset it.
    pub(crate) async fn close(mut self) {
        let end = Instant::now() + LINGER;
        let mut deadline = Some(end);
        if let Stream::Tls(stream) = &mut self.stream
            && !matches!(self.slot.until(&mut deadline, LINGER, stream.close()).await, Ok(Ok(())))
        {
            return;
        }
        let socket = match &self.stream {
            Stream::Tls(stream) => stream.get_ref().0,
            Stream::Plain(stream) => stream,
            _ => return,
        };
        // Nothing more is written: tell the client now, not when the socket is dropped.
        if socket.shutdown(Shutdown::Write).is_err() {
            return;
        }
        while end > Instant::now() {
            self.consume(self.waiting().len());
            if self.fill(&mut deadline, SMALL).await.is_err() {
                return;
            }
        }
    }
}
