//! tide's listener over our own connections.

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
use crate::source::Source;
use crate::watch::{Ended, Place, Watch};

/// How many connections too many are told so at the same time; further ones are closed without a word.
const TOLD: usize = 64;
/// The accept loop's own place.
const OWN: usize = 1;

/// Listens for one tide server.
pub struct Listener<S> {
    host: Host,
    limits: Limits,
    watch: Arc<Watch>,
    bound: Option<Bound>,
    url: String,
    hosts: Hosts,
    address: SocketAddr,
    service: Option<Arc<Service<S>>>,
}

/// Ends a listener.
#[derive(Clone)]
pub struct Control {
    host: Host,
    watch: Arc<Watch>,
}

impl Control {
    /// Ends the listener: idle connections are closed and the port is free at once, running requests get `grace`. Returns
    /// as soon as nothing runs.
    pub async fn stop(&self, grace: Duration) {
        self.watch.stop();
        or(self.watch.emptied(), self.host.sleep(grace)).await;
    }

    /// Ends the listener as [`Control::stop`] does, and returns as soon as its port is free; what still runs after `grace` is
    /// cut off.
    pub async fn retire(&self, grace: Duration) {
        self.watch.stop();
        self.watch.freed().await;
        let (control, host) = (self.clone(), self.host.clone());
        self.host.spawn(async move {
            or(control.watch.emptied(), host.sleep(grace)).await;
            control.watch.cut();
        });
    }

    /// Whether it has ended, with all that ran.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.watch.stopping() && self.watch.is_empty()
    }

    /// Ends the listener without waiting.
    pub fn end(&self) {
        self.watch.stop();
    }
}

impl<S> Listener<S> {
    /// A listener whose tasks belong to `host`.
    #[must_use]
    pub fn new(host: Host, bound: Bound, config: &Config) -> Self {
        let (url, address) = (bound.url(), bound.address());
        let hosts = Hosts::new(address.ip(), &config.allowed_hosts);
        Self {
            host,
            limits: config.limits(),
            watch: Arc::default(),
            bound: Some(bound),
            url,
            hosts,
            address,
            service: None,
        }
    }

    /// What ends it.
    #[must_use]
    pub fn control(&self) -> Control {
        Control { host: self.host.clone(), watch: Arc::clone(&self.watch) }
    }
}

impl<T: Send + Sync + 'static> Listener<Arc<T>> {
    /// Accepts in a task of the host's until it is ended; every request is answered by `answer`.
    ///
    /// # Errors
    /// What tide says.
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

// Written out rather than with async_trait: what that makes of an async fn is this.
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
            // Dropped after the port, also where this future is dropped before its end.
            let freed = Freed(Arc::clone(&self.watch));
            let (Some(mut bound), Some(service)) = (self.bound.take(), self.service.take()) else {
                return Err(io::Error::other("bind comes before accept, and accept once"));
            };
            let Some(place) = self.watch.enter(usize::MAX, None) else { return Ok(()) };
            self.host.spawn(sweep(self.host.clone(), Arc::clone(&self.watch), self.limits.read));
            for (stream, peer) in std::mem::take(&mut bound.connections) {
                self.take(stream, peer, bound.tls.clone(), &service);
            }
            self.run(&bound, &place, &service).await;
            // The port first: whoever waits for the last place to be left may bind it again.
            bound.give_up(&self.host);
            drop(freed);
            drop(place);
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
    async fn run(&self, bound: &Bound, place: &Place, service: &Arc<Service<S>>) {
        let mut accepted = 0_u32;
        while !place.stopping() {
            // A day: no deadline, and no overflow.
            match place.until(&mut None, Duration::from_secs(86_400), bound.socket.accept()).await {
                Ok(Ok((stream, peer))) => self.take(stream, peer, bound.tls.clone(), service),
                Ok(Err(error)) => self.rest(place, &error).await,
                Err(Ended::Late) => {}
                Err(Ended::Stopping) => return,
            }
            accepted = accepted.wrapping_add(1);
            if accepted.is_multiple_of(64) {
                yield_now().await;
            }
        }
    }

    fn take(&self, stream: TcpStream, peer: SocketAddr, tls: Option<TlsAcceptor>, service: &Arc<Service<S>>) {
        // Answers are written in one piece: waiting for more would only delay them. Without it they are late, not wrong.
        drop(stream.set_nodelay(true));
        let of_peer = Some((peer_of(peer), self.limits.of_peer));
        if let Some(place) = self.watch.enter(self.limits.connections, of_peer) {
            let number = place.number();
            let (source, service) = (Source::new(stream, place, self.limits), Arc::clone(service));
            let task = match tls {
                None => self.host.spawn(serve(source, peer, service)),
                Some(tls) => self.host.spawn(async move {
                    // A client that cannot speak TLS is not spoken to.
                    if let Some(source) = source.secure(&tls).await {
                        serve(source, peer, service).await;
                    }
                }),
            };
            self.watch.keep(number, task);
        } else if tls.is_some() {
            // What could be said would have to be said in TLS.
        } else if let Some(place) = self.watch.enter(OWN + TOLD, None) {
            let source = Source::new(stream, place, self.limits);
            self.host.spawn(refuse(source, Refusal::CONNECTIONS));
        }
    }

    /// After an accept that failed. A client that gave up concerns nobody; no descriptors left does, and passes.
    async fn rest(&self, place: &Place, error: &io::Error) {
        use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
        if matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted) {
            return;
        }
        self.host.log(Level::Warn, &format!("{}: no connection could be taken: {error}", self.url));
        let pause = self.host.sleep(Duration::from_millis(100));
        let mut deadline = None;
        // Ends by itself or with a stop, and both are seen by the loop.
        place.until(&mut deadline, Duration::from_secs(1), pause).await.ok();
    }
}

/// By what connections are counted: the address, or for IPv6 the network of 64 bits that one customer has.
fn peer_of(peer: SocketAddr) -> IpAddr {
    match peer.ip().to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        address => address,
    }
}

/// Says when dropped that the port is bound no more.
struct Freed(Arc<Watch>);

impl Drop for Freed {
    fn drop(&mut self) {
        self.0.free();
    }
}

/// Looks for passed deadlines until the server has ended.
async fn sweep(host: Host, watch: Arc<Watch>, timeout: Duration) {
    let tick = (timeout / 10).clamp(Duration::from_millis(10), Duration::from_secs(1));
    while !(watch.stopping() && watch.is_empty()) {
        host.sleep(tick).await;
        watch.sweep();
    }
}
