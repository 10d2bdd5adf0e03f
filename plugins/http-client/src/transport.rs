//! Sends one request on one connection and reads the response. [`Transport`] is a surf backend; it keeps idle
//! connections for reuse.

use std::fmt;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use blocking::unblock;
use futures_lite::future::poll_once;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use surf::http;
use theater_connector::{Connector, Name, Stream};
use theater_tls::TlsConnector;

use crate::error::Error;
use crate::response::{self, ReceivedResponse, ResponseReader};
use crate::target::Target;

/// A request as it is sent. `http-types` would lose the order of headers and nonstandard methods.
#[derive(Debug, Clone)]
pub struct OutgoingRequest {
    pub method: String,
    pub headers: Vec<(String, String)>,
    pub body: Option<Vec<u8>>,
}

/// How long an idle connection is kept for reuse. It is closed within twice that time.
pub const IDLE: Duration = Duration::from_secs(30);
/// The maximum number of idle connections.
const KEPT: usize = 16;

/// The surf backend of one client, with its TLS configuration and idle connections. Clones share them.
#[derive(Clone)]
pub struct Transport(Arc<TransportInner>);

struct TransportInner {
    connector: Connector,
    ca_files: Vec<PathBuf>,
    most: u64,
    tls: OnceLock<TlsConnector>,
    idle: Mutex<Vec<IdleConnection>>,
    /// Whether a task prunes the idle connections.
    pruned: AtomicBool,
}

struct IdleConnection {
    server: (bool, Name, u16),
    since: Instant,
    stream: Stream,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").finish_non_exhaustive()
    }
}

// Written out instead of using `async_trait`: this is the type it generates for an async fn.
type Sending<'a> = Pin<Box<dyn Future<Output = Result<http::Response, http::Error>> + Send + 'a>>;

impl surf::HttpClient for Transport {
    fn send<'a, 'b>(&'a self, mut request: http::Request) -> Sending<'b>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async move {
            let outgoing = request.ext_mut().remove::<(Target, OutgoingRequest)>();
            let (target, outgoing) =
                outgoing.ok_or_else(|| http::Error::from_str(500, "the surf request carries no request to send"))?;
            let answer = self.0.round_trip(&target, &outgoing).await.map_err(|error| http::Error::new(500, error))?;
            let mut response = http::Response::new(http::StatusCode::Ok);
            response.ext_mut().insert(answer);
            Ok(response)
        })
    }
}

impl Transport {
    pub fn new(connector: Connector, ca_files: Vec<PathBuf>, most: u64) -> Self {
        let (tls, idle, pruned) = (OnceLock::new(), Mutex::default(), AtomicBool::new(false));
        Self(Arc::new(TransportInner { connector, ca_files, most, tls, idle, pruned }))
    }

    /// Returns true if there are idle connections and no task prunes them yet. The caller that gets true must start one
    /// that calls [`Transport::prune`] until it returns false.
    pub fn claim_pruning(&self) -> bool {
        !self.0.idle().is_empty() && !self.0.pruned.swap(true, Ordering::SeqCst)
    }

    /// Closes connections that have been idle for [`IDLE`]. Returns whether any are left to prune.
    pub fn prune(&self) -> bool {
        let mut idle = self.0.idle();
        idle.retain(|kept| kept.since.elapsed() < IDLE);
        // Set under the lock: a connection that is kept right after this must find the flag cleared.
        self.0.pruned.store(!idle.is_empty(), Ordering::SeqCst);
        !idle.is_empty()
    }
}

impl TransportInner {
    async fn round_trip(&self, target: &Target, outgoing: &OutgoingRequest) -> Result<ReceivedResponse, Error> {
        let bytes = encode_head(target, outgoing);
        if let Some(kept) = self.take_open(target).await {
            match self.send_on(kept, target, outgoing, &bytes).await {
                // The server may have closed the idle connection at the same moment. Only an idempotent request may be
                // sent again (RFC 9110, section 9.2.2).
                Err(Error::Truncated(_) | Error::Broken { .. }) if is_idempotent(&outgoing.method) => {}
                answer => return answer,
            }
        }
        let tls = if target.secure { Some(self.tls().await?) } else { None };
        let stream = self.connector.connect(&target.name, target.port, tls.as_ref()).await.map_err(Error::Connect)?;
        self.send_on(stream, target, outgoing, &bytes).await
    }

    async fn send_on(
        &self,
        stream: Stream,
        target: &Target,
        outgoing: &OutgoingRequest,
        bytes: &[u8],
    ) -> Result<ReceivedResponse, Error> {
        let mut reader = ResponseReader::new(stream, target.authority());
        let sent = reader.stream().write_all(bytes).await;
        let sent = match (sent, &outgoing.body) {
            (Ok(()), Some(body)) => reader.stream().write_all(body).await,
            (sent, _) => sent,
        };
        let sent = match sent {
            Ok(()) => reader.stream().flush().await,
            failed => failed,
        };
        // A server may refuse a request before it has read all of it, so read the response even if sending failed.
        let answer = response::read(&mut reader, outgoing.method == "HEAD", self.most).await;
        match (sent, answer) {
            (_, Ok((answer, keeps))) => {
                if keeps {
                    self.keep(target, reader.into_stream());
                }
                Ok(answer)
            }
            (Err(source), Err(_)) => Err(Error::Broken { host: target.authority(), source }),
            (Ok(()), Err(error)) => Err(error),
        }
    }

    async fn tls(&self) -> Result<TlsConnector, Error> {
        if let Some(tls) = self.tls.get() {
            return Ok(tls.clone());
        }
        let files = self.ca_files.clone();
        let made = unblock(move || theater_tls::connector(&files)).await?;
        Ok(self.tls.get_or_init(|| made).clone())
    }

    /// Returns an idle connection to the server of `target` that is still open.
    async fn take_open(&self, target: &Target) -> Option<Stream> {
        loop {
            let mut stream = self.take(target)?;
            // A server sends nothing without a request, so a read that completes means that it has closed the
            // connection.
            if poll_once(stream.read(&mut [0])).await.is_none() {
                return Some(stream);
            }
        }
    }

    fn take(&self, target: &Target) -> Option<Stream> {
        let mut idle = self.idle();
        idle.retain(|kept| kept.since.elapsed() < IDLE);
        let server = (target.secure, target.name.clone(), target.port);
        let place = idle.iter().position(|kept| kept.server == server)?;
        Some(idle.swap_remove(place).stream)
    }

    fn keep(&self, target: &Target, stream: Stream) {
        let mut idle = self.idle();
        if idle.len() >= KEPT {
            idle.remove(0);
        }
        idle.push(IdleConnection {
            server: (target.secure, target.name.clone(), target.port),
            since: Instant::now(),
            stream,
        });
    }

    fn idle(&self) -> MutexGuard<'_, Vec<IdleConnection>> {
        // Each change under the lock is a single step, so a poisoned lock still guards consistent data.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_idempotent(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE")
}

/// Returns the head of a request as bytes (RFC 9112, section 3).
fn encode_head(target: &Target, outgoing: &OutgoingRequest) -> Vec<u8> {
    let mut head = format!("{} {} HTTP/1.1\r\nhost: {}\r\n", outgoing.method, target.path, target.authority());
    for (name, value) in &outgoing.headers {
        head.push_str(name);
        head.push_str(": ");
        head.push_str(value);
        head.push_str("\r\n");
    }
    let expected = matches!(outgoing.method.as_str(), "POST" | "PUT" | "PATCH");
    if outgoing.body.is_some() || expected {
        let length = outgoing.body.as_ref().map_or(0, Vec::len);
        head.push_str(&format!("content-length: {length}\r\n"));
    }
    head.push_str("\r\n");
    head.into_bytes()
}

#[cfg(test)]
mod tests {
    use theater_plugin_api::testing::block_on;

    use super::*;
    use crate::tests::{Server, ok};

    #[test]
    fn one_looks_after_idle_connections_until_the_last_is_closed() {
        let server = Server::start((0..4).map(|_| ok("x")).collect());
        let target = Target::parse(&server.url("/")).unwrap();
        let outgoing = OutgoingRequest { method: "GET".to_owned(), headers: Vec::new(), body: None };
        let transport = Transport::new(Connector::new(true), Vec::new(), 1 << 20);
        let ask = || block_on(transport.0.round_trip(&target, &outgoing)).unwrap();
        let grow_old = || transport.0.idle().iter_mut().for_each(|kept| kept.since -= IDLE);
        assert!(!transport.claim_pruning(), "nothing is kept");
        ask();
        assert!(transport.claim_pruning());
        assert!(!transport.claim_pruning(), "a task prunes already");
        assert!(transport.prune(), "it has not expired yet");
        assert!(!transport.claim_pruning());
        grow_old();
        assert!(!transport.prune());
        assert!(transport.0.idle().is_empty());
        assert!(!transport.claim_pruning(), "nothing is kept");
        ask();
        assert!(transport.claim_pruning(), "the previous task has ended");
        // An expired connection is not reused, even if it has not been pruned yet.
        grow_old();
        ask();
        assert_eq!((server.connections(), transport.0.idle().len()), (3, 1));
    }
}
