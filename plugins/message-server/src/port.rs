//! Messages from outside over HTTP: `POST /send` and `POST /request`; the body is the message.
//!
//! The operator opened the port, so allow lists do not apply here; schemas do. Web pages in a browser are kept out: a
//! request must name the bound address and must not come from another site.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_lite::future::or;
use theater_http_listener::{Bound, Config, Listener, ListenerControl, Received, Reply};
use theater_plugin_api::{Bytes, CallError};

use crate::endpoint::Endpoint;
use crate::message::check_send;
use crate::outstanding::RequestError;
use crate::request::{Requester, ask};
use crate::theater::simple::message_server_client::exports_handle_send;
use crate::wait::{Deadline, lock};

/// How long a message waits for room in the mailbox, and for the disk if the actor's chain requires that.
const ROOM: Duration = Duration::from_secs(1);

/// The port of one actor.
pub(crate) struct Port {
    url: String,
    control: ListenerControl,
    grace: Duration,
    service: Arc<PortService>,
    /// `None` once opened.
    listener: Mutex<Option<Listener<Arc<PortService>>>>,
}

/// Handles the requests of the port for the actor.
struct PortService {
    endpoint: Arc<Endpoint>,
    address: SocketAddr,
}

impl Port {
    pub(crate) async fn bind(endpoint: &Arc<Endpoint>, config: &Config) -> Result<Self, String> {
        let bound = Bound::of(&endpoint.host, config).await?;
        let (url, address) = (bound.url(), bound.address());
        let listener = Listener::new(endpoint.host.clone(), bound, config);
        Ok(Self {
            url,
            control: listener.control(),
            grace: config.shutdown_grace(),
            service: Arc::new(PortService { endpoint: Arc::clone(endpoint), address }),
            listener: Mutex::new(Some(listener)),
        })
    }

    /// Starts to accept requests and returns the URL of the port.
    pub(crate) async fn open(&self) -> Result<String, String> {
        let listener = lock(&self.listener).take();
        let listener = listener.ok_or("the port was opened already")?;
        listener.serve(Arc::clone(&self.service), answer).await?;
        Ok(self.url.clone())
    }

    pub(crate) async fn close(&self) {
        self.control.stop(self.grace).await;
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.control.end();
    }
}

async fn answer(service: Arc<PortService>, received: Received) -> Reply {
    service.answer(received).await
}

impl PortService {
    async fn answer(&self, received: Received) -> Reply {
        if let Some(refusal) = refuse_foreign(&received, self.address) {
            return refusal;
        }
        let path = received.path();
        if !matches!(path, "/send" | "/request") {
            return Reply::text(404, "there are only /send and /request");
        }
        if received.method != "POST" {
            return Reply::text(405, "a message is sent with POST").header("allow", "POST");
        }
        let (cause, send) = (received.cause(), path == "/send");
        let message = Bytes::from(received.body.unwrap_or_default());
        if send { self.send(&message, &cause).await } else { self.request(&message, &cause).await }
    }

    async fn send(&self, message: &Bytes, cause: &str) -> Reply {
        let receiver = &self.endpoint;
        let invocation = match check_send(receiver, message) {
            Ok(invocation) => invocation,
            Err(sentence) if exports_handle_send(&receiver.host) => return Reply::text(400, &sentence),
            Err(sentence) => return Reply::text(501, &sentence),
        };
        let posted = async { Some(receiver.host.post(invocation, cause, None, false).await) };
        let late = async {
            receiver.host.sleep(ROOM).await;
            None
        };
        match or(posted, late).await {
            None => busy("the actor's mailbox is full; or its disk is slow, and then the message was still accepted"),
            Some(Ok(())) => {
                receiver.host.count("received", 1.0);
                Reply::new(202, Vec::new(), None)
                    .unwrap_or_else(|what| Reply::failed(&self.endpoint.host, cause, &what))
            }
            Some(Err(CallError::Gone(_))) => Reply::unavailable(&receiver.host),
            Some(Err(error)) => Reply::failed(&self.endpoint.host, cause, &error.to_string()),
        }
    }

    async fn request(&self, message: &Bytes, cause: &str) -> Reply {
        let receiver = &self.endpoint;
        if receiver.requests.count() >= receiver.limits.max_outstanding {
            return busy("too many requests are outstanding");
        }
        let deadline = Deadline::of_ms(receiver.limits.request_timeout_ms);
        let requester = Requester { source: cause, from: None, waiting: &receiver.host, deadline };
        match ask(receiver, message, requester).await {
            Ok(answer) => {
                let kind = ("content-type".to_owned(), "application/octet-stream".to_owned());
                Reply::new(200, vec![kind], Some(answer.into_vec()))
                    .unwrap_or_else(|what| Reply::failed(&self.endpoint.host, cause, &what))
            }
            Err(RequestError::TimedOut(sentence)) => Reply::text(504, &sentence),
            Err(RequestError::Gone(_) | RequestError::Stopping(_)) => Reply::unavailable(&receiver.host),
            Err(RequestError::Absent(sentence)) => Reply::text(501, &sentence),
            Err(RequestError::Unfit(sentence)) => Reply::text(400, &sentence),
            Err(RequestError::Failed(sentence)) => Reply::failed(&self.endpoint.host, cause, &sentence),
        }
    }
}

fn busy(sentence: &str) -> Reply {
    Reply::text(503, sentence).header("retry-after", "1")
}

/// Returns a 403 for a request that names another host than this port's, or comes from a page of another site.
fn refuse_foreign(received: &Received, bound: SocketAddr) -> Option<Reply> {
    let values = |wanted: &str| {
        let named = received.headers.iter().filter(move |(name, _)| name == wanted);
        named.map(|(_, value)| value.as_str()).collect::<Vec<_>>()
    };
    let hosts = values("host");
    if hosts.is_empty() || !hosts.iter().all(|host| is_own(host, bound)) {
        return Some(Reply::text(403, "the host header must name the address and port of this server"));
    }
    let own = |origin: &&str| origin.strip_prefix("http://").is_some_and(|authority| is_own(authority, bound));
    if !values("origin").iter().all(own) {
        return Some(Reply::text(403, "pages of other sites may not send messages"));
    }
    None
}

/// Returns whether an authority names `bound`. If the bound address is unspecified, any address is accepted: unlike a
/// name, an address cannot be made to point here by someone else.
pub(crate) fn is_own(authority: &str, bound: SocketAddr) -> bool {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()),
        _ => (authority, Some(80)),
    };
    let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host).parse::<IpAddr>();
    let named = match address {
        Ok(address) => address == bound.ip() || bound.ip().is_unspecified(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    };
    named && port == Some(bound.port())
}
