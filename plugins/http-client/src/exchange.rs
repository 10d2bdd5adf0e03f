//! Sends one request on one connection and reads the response. [`Exchange`] is a surf backend; it keeps idle
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
use crate::response::{self, Answer, Reading};
use crate::target::Target;

/// A request as it is sent. `http-types` would lose the order of headers and nonstandard methods.
#[derive(Debug, Clone)]
pub struct Wanted {
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
pub struct Exchange(Arc<Inner>);

struct Inner {
    connector: Connector,
    ca_files: Vec<PathBuf>,
    most: u64,
    tls: OnceLock<TlsConnector>,
    idle: Mutex<Vec<Idle>>,
    /// Whether a task prunes the idle connections.
    pruned: AtomicBool,
}

struct Idle {
    server: (bool, Name, u16),
    since: Instant,
    stream: Stream,
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").finish_non_exhaustive()
    }
}

// Written out instead of using `async_trait`: this is the type it generates for an async fn.
type Sending<'a> = Pin<Box<dyn Future<Output = Result<http::Response, http::Error>> + Send + 'a>>;

impl surf::HttpClient for Exchange {
    fn send<'a, 'b>(&'a self, mut request: http::Request) -> Sending<'b>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async move {
            let wanted = request.ext_mut().remove::<(Target, Wanted)>();
            let (target, wanted) =
                wanted.ok_or_else(|| http::Error::from_str(500, "the surf request carries no request to send"))?;
            let answer = self.0.exchange(&target, &wanted).await.map_err(|error| http::Error::new(500, error))?;
            let mut response = http::Response::new(http::StatusCode::Ok);
            response.ext_mut().insert(answer);
            Ok(response)
        })
    }
}

impl Exchange {
    pub fn new(connector: Connector, ca_files: Vec<PathBuf>, most: u64) -> Self {
        let (tls, idle, pruned) = (OnceLock::new(), Mutex::default(), AtomicBool::new(false));
        Self(Arc::new(Inner { connector, ca_files, most, tls, idle, pruned }))
    }

    /// Returns true if there are idle connections and no task prunes them yet. The caller that gets true must start one
    /// that calls [`Exchange::prune`] until it returns false.
    pub fn begins_to_keep(&self) -> bool {
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

impl Inner {
    async fn exchange(&self, target: &Target, wanted: &Wanted) -> Result<Answer, Error> {
        let bytes = written(target, wanted);
        if let Some(kept) = self.kept(target).await {
            match self.on(kept, target, wanted, &bytes).await {
                // The server may have closed the idle connection at the same moment. Only an idempotent request may be
                // sent again (RFC 9110, section 9.2.2).
                Err(Error::Early(_) | Error::Broken { .. }) if is_idempotent(&wanted.method) => {}
                answer => return answer,
            }
        }
        let tls = if target.secure { Some(self.tls().await?) } else { None };
        let stream = self.connector.connect(&target.name, target.port, tls.as_ref()).await.map_err(Error::Dial)?;
        self.on(stream, target, wanted, &bytes).await
    }

    async fn on(&self, stream: Stream, target: &Target, wanted: &Wanted, bytes: &[u8]) -> Result<Answer, Error> {
        let mut reading = Reading::new(stream, target.authority());
        let sent = reading.stream().write_all(bytes).await;
        let sent = match (sent, &wanted.body) {
            (Ok(()), Some(body)) => reading.stream().write_all(body).await,
            (sent, _) => sent,
        };
        let sent = match sent {
            Ok(()) => reading.stream().flush().await,
            failed => failed,
        };
        // A server may refuse a request before it has read all of it, so read the response even if sending failed.
        let answer = response::read(&mut reading, wanted.method == "HEAD", self.most).await;
        match (sent, answer) {
            (_, Ok((answer, keeps))) => {
                if keeps {
                    self.keep(target, reading.into_stream());
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
    async fn kept(&self, target: &Target) -> Option<Stream> {
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
        idle.push(Idle { server: (target.secure, target.name.clone(), target.port), since: Instant::now(), stream });
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        // Each change under the lock is a single step, so a poisoned lock still guards consistent data.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_idempotent(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE")
}

/// Returns the head of a request as bytes (RFC 9112, section 3).
fn written(target: &Target, wanted: &Wanted) -> Vec<u8> {
    let mut head = format!("{} {} HTTP/1.1\r\nhost: {}\r\n", wanted.method, target.path, target.authority());
    for (name, value) in &wanted.headers {
        head.push_str(name);
        head.push_str(": ");
        head.push_str(value);
        head.push_str("\r\n");
    }
    let expected = matches!(wanted.method.as_str(), "POST" | "PUT" | "PATCH");
    if wanted.body.is_some() || expected {
        let length = wanted.body.as_ref().map_or(0, Vec::len);
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
        let wanted = Wanted { method: "GET".to_owned(), headers: Vec::new(), body: None };
        let exchange = Exchange::new(Connector::new(true), Vec::new(), 1 << 20);
        let ask = || block_on(exchange.0.exchange(&target, &wanted)).unwrap();
        let grow_old = || exchange.0.idle().iter_mut().for_each(|kept| kept.since -= IDLE);
        assert!(!exchange.begins_to_keep(), "nothing is kept");
        ask();
        assert!(exchange.begins_to_keep());
        assert!(!exchange.begins_to_keep(), "a task prunes already");
        assert!(exchange.prune(), "it has not expired yet");
        assert!(!exchange.begins_to_keep());
        grow_old();
        assert!(!exchange.prune());
        assert!(exchange.0.idle().is_empty());
        assert!(!exchange.begins_to_keep(), "nothing is kept");
        ask();
        assert!(exchange.begins_to_keep(), "the previous task has ended");
        // An expired connection is not reused, even if it has not been pruned yet.
        grow_old();
        ask();
        assert_eq!((server.connections(), exchange.0.idle().len()), (3, 1));
    }
}
