//! A tide listener on top of this crate's own connections.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_lite::future::{or, yield_now};
use theater_plugin_api::{Host, Level};
use theater_tls::TlsAcceptor;
use tide::http::Url;
use tide::listener::ListenInfo;

use crate::bind::Bound;
use crate::config::{Config, Limits};
use crate::connection::{Service, refuse, serve};
use crate::hosts::Hosts;
use crate::net::TcpStream;
use crate::received::Received;
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::slots::{Slot, SlotTable, WaitError};
use crate::source::Source;

/// How many surplus connections get a 503 at the same time; further ones are closed without an answer.
const TOLD: usize = 64;
/// The slot of the accept loop itself.
const OWN: usize = 1;

/// Accepts connections for one tide server.
pub struct Listener<S> {
    host: Host,
    limits: Limits,
    slots: Arc<SlotTable>,
    bound: Option<Bound>,
    url: String,
    hosts: Hosts,
    address: SocketAddr,
    service: Option<Arc<Service<S>>>,
}

/// Stops a listener.
#[derive(Clone)]
pub struct ListenerControl {
    host: Host,
    slots: Arc<SlotTable>,
}

impl ListenerControl {
    /// Stops the listener: closes idle connections and frees the port at once; running requests have `grace` to finish.
    /// Returns when nothing runs any more, or when `grace` is over.
    pub async fn stop(&self, grace: Duration) {
        self.slots.stop();
        or(self.slots.emptied(), self.host.sleep(grace)).await;
    }

    /// Stops the listener like [`ListenerControl::stop`], but returns as soon as its port is free. Requests that still run
    /// after `grace` are aborted.
    pub async fn retire(&self, grace: Duration) {
        self.slots.stop();
        self.slots.port_released().await;
        let (control, host) = (self.clone(), self.host.clone());
        self.host.spawn(async move {
            or(control.slots.emptied(), host.sleep(grace)).await;
            control.slots.abort_all();
        });
    }

    /// Returns whether the listener has stopped and nothing runs any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.slots.stopping() && self.slots.is_empty()
    }

    /// Stops the listener without waiting.
    pub fn end(&self) {
        self.slots.stop();
    }
}

impl<S> Listener<S> {
    /// Creates a listener whose tasks belong to `host`.
    #[must_use]
    pub fn new(host: Host, bound: Bound, config: &Config) -> Self {
        let (url, address) = (bound.url(), bound.address());
        let hosts = Hosts::new(address.ip(), &config.allowed_hosts);
        Self {
            host,
            limits: config.limits(),
            slots: Arc::default(),
            bound: Some(bound),
            url,
            hosts,
            address,
            service: None,
        }
    }

    /// Returns the handle that stops the listener.
    #[must_use]
    pub fn control(&self) -> ListenerControl {
        ListenerControl { host: self.host.clone(), slots: Arc::clone(&self.slots) }
    }
}

impl<T: Send + Sync + 'static> Listener<Arc<T>> {
    /// Spawns a task of the host that accepts connections until the listener is stopped; `answer` answers every
    /// request.
    ///
    /// # Errors
    /// Returns tide's error message if the server cannot be set up.
    pub async fn serve<F>(mut self, state: Arc<T>, answer: fn(Arc<T>, Received) -> F) -> Result<(), String>
    where
        F: Future<Output = Reply> + Send + 'static,
    {
        let mut app = tide::with_state(state);
        app.at("/").all(move |mut request: tide::Request<Arc<T>>| async move {
            let reply = match Received::of(&mut request) {
                Some(received) => answer(Arc::clone(request.state()), received).await,
                None => Reply::text(500, "the request did not come through the listener"),
            };
            Ok(reply.into_tide())
        });
        tide::listener::Listener::bind(&mut self, app).await.map_err(|error| error.to_string())?;
        let host = self.host.clone();
        self.host.clone().spawn(async move {
            if let Err(error) = tide::listener::Listener::accept(&mut self).await {
                host.log(Level::Error, &format!("{self}: {error}"));
            }
        });
        Ok(())
    }
}

impl<S> fmt::Display for Listener<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

impl<S> fmt::Debug for Listener<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").field("url", &self.url).finish_non_exhaustive()
    }
}

// Written out instead of using async_trait, which expands an async fn to this type.
type Accepting<'a> = std::pin::Pin<Box<dyn Future<Output = io::Result<()>> + Send + 'a>>;

impl<S> tide::listener::Listener<S> for Listener<S>
where
    S: Clone + Send + Sync + 'static,
{
    fn bind<'a, 'b>(&'a mut self, app: tide::Server<S>) -> Accepting<'b>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async move {
            let url = Url::parse("http://localhost/").map_err(io::Error::other)?;
            self.service = Some(Arc::new(Service {
                app,
                hosts: self.hosts.clone(),
                url,
                host: self.host.clone(),
                address: self.address,
            }));
            Ok(())
        })
    }

    fn accept<'a, 'b>(&'a mut self) -> Accepting<'b>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async move {
            // Declared first, so it is dropped after the port, even if this future is dropped early.
            let freed = ReleasePortOnDrop(Arc::clone(&self.slots));
            let (Some(mut bound), Some(service)) = (self.bound.take(), self.service.take()) else {
                return Err(io::Error::other("bind must be called before accept, and accept only once"));
            };
            let Some(slot) = self.slots.enter(usize::MAX, None) else { return Ok(()) };
            self.host.spawn(sweep(self.host.clone(), Arc::clone(&self.slots), self.limits.read));
            for (stream, peer) in std::mem::take(&mut bound.connections) {
                self.take(stream, peer, bound.tls.clone(), &service);
            }
            self.run(&bound, &slot, &service).await;
            // Release the port before the slot: a caller that waits for the last slot may bind the port again.
            bound.give_up(&self.host);
            drop(freed);
            drop(slot);
            Ok(())
        })
    }

    fn info(&self) -> Vec<ListenInfo> {
        vec![ListenInfo::new(self.url.clone(), "tcp".to_owned(), self.url.starts_with("https:"))]
    }
}

impl<S> Listener<S>
where
    S: Clone + Send + Sync + 'static,
{
    async fn run(&self, bound: &Bound, slot: &Slot, service: &Arc<Service<S>>) {
        let mut accepted = 0_u32;
        while !slot.stopping() {
            // A day: in effect no deadline, and the addition cannot overflow.
            match slot.until(&mut None, Duration::from_secs(86_400), bound.socket.accept()).await {
                Ok(Ok((stream, peer))) => self.take(stream, peer, bound.tls.clone(), service),
                Ok(Err(error)) => self.rest(slot, &error).await,
                Err(WaitError::TimedOut) => {}
                Err(WaitError::Stopping) => return,
            }
            accepted = accepted.wrapping_add(1);
            if accepted.is_multiple_of(64) {
                yield_now().await;
            }
        }
    }

    fn take(&self, stream: TcpStream, peer: SocketAddr, tls: Option<TlsAcceptor>, service: &Arc<Service<S>>) {
        // Answers are written in one piece, so Nagle's algorithm would only delay them. If this fails, it is only
        // slower.
        drop(stream.set_nodelay(true));
        let of_peer = Some((peer_of(peer), self.limits.of_peer));
        if let Some(slot) = self.slots.enter(self.limits.connections, of_peer) {
            let number = slot.number();
            let (source, service) = (Source::new(stream, slot, self.limits), Arc::clone(service));
            let task = match tls {
                None => self.host.spawn(serve(source, peer, service)),
                Some(tls) => self.host.spawn(async move {
                    // A client that fails the TLS handshake gets no answer.
                    if let Some(source) = source.secure(&tls).await {
                        serve(source, peer, service).await;
                    }
                }),
            };
            self.slots.set_task(number, task);
        } else if tls.is_some() {
            // A 503 would need a TLS handshake first: close without an answer.
        } else if let Some(slot) = self.slots.enter(OWN + TOLD, None) {
            let source = Source::new(stream, slot, self.limits);
            self.host.spawn(refuse(source, Refusal::CONNECTIONS));
        }
    }

    /// Handles a failed accept. A client that gave up is ignored. Other errors, such as too many open files, are
    /// logged, and accepting resumes after a pause.
    async fn rest(&self, slot: &Slot, error: &io::Error) {
        use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
        if matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted) {
            return;
        }
        self.host.log(Level::Warn, &format!("{}: a connection could not be accepted: {error}", self.url));
        let pause = self.host.sleep(Duration::from_millis(100));
        let mut deadline = None;
        // The pause ends by itself or with a stop; the loop checks for the stop.
        slot.until(&mut deadline, Duration::from_secs(1), pause).await.ok();
    }
}

/// Returns the key by which connections are counted: the address, or for IPv6 the /64 network, which one customer has.
fn peer_of(peer: SocketAddr) -> IpAddr {
    match peer.ip().to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        address => address,
    }
}

/// Signals on drop that the port is free.
struct ReleasePortOnDrop(Arc<SlotTable>);

impl Drop for ReleasePortOnDrop {
    fn drop(&mut self) {
        self.0.release_port();
    }
}

/// Wakes tasks whose deadline has passed, until the server has stopped.
async fn sweep(host: Host, slots: Arc<SlotTable>, timeout: Duration) {
    let tick = (timeout / 10).clamp(Duration::from_millis(10), Duration::from_secs(1));
    while !(slots.stopping() && slots.is_empty()) {
        host.sleep(tick).await;
        slots.sweep();
    }
}
