//! Sends a request and follows its redirects. Each redirect is checked as if the actor had requested it itself.

use theater_connector::Connector;

use crate::config::Config;
use crate::error::Error;
use crate::hosts::HostPattern;
use crate::response::ReceivedResponse;
use crate::target::Target;
use crate::transport::{OutgoingRequest, Transport};

/// A request as the actor passed it.
#[derive(Debug, Clone)]
pub struct ActorRequest {
    pub method: String,
    pub uri: String,
    pub headers: Vec<(String, String)>,
    pub body: Option<Vec<u8>>,
}

impl ActorRequest {
    pub fn get(uri: &str) -> Self {
        Self { method: "GET".to_owned(), uri: uri.to_owned(), headers: Vec::new(), body: None }
    }
}

/// Sends the requests of one actor.
pub struct Client {
    config: Config,
    hosts: Vec<HostPattern>,
    transport: Transport,
    surf: surf::Client,
}

/// Headers that an actor cannot set: those of the connection (RFC 9110, section 7.6.1), the host, and those that are
/// computed. They are removed from its requests.
const OURS: [&str; 11] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl Client {
    pub fn new(config: Config, connector: Connector) -> Result<Self, String> {
        let hosts = config.hosts()?;
        let transport = Transport::new(connector, config.ca_files.clone(), config.max_response_bytes);
        Ok(Self { config, hosts, surf: surf::Client::with_http_client(transport.clone()), transport })
    }

    /// Returns the surf backend, which owns the connections.
    pub fn transport(&self) -> &Transport {
        &self.transport
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    pub async fn send(&self, request: ActorRequest) -> Result<ReceivedResponse, Error> {
        let mut target = Target::parse(&request.uri)?;
        let mut outgoing = checked(request)?;
        self.allow(&target, &outgoing.method)?;
        let most = self.config.max_redirects;
        for redirects in 0.. {
            let answer = self.send_once(&target, outgoing.clone()).await.map_err(|error| match error {
                // `Private` names the config key that would allow the address. Never suggest it for a redirect target.
                Error::Private(name) if redirects > 0 => Error::Connect(theater_connector::Error::NotPublic(name)),
                error => error,
            })?;
            let Some(location) = answer.location().filter(|_| most > 0) else {
                return Ok(answer);
            };
            if redirects == most {
                break;
            }
            let next = target.join(location)?;
            outgoing.follow(answer.status, &target, &next);
            self.allow_redirect(&target, &next, &outgoing.method)?;
            target = next;
        }
        Err(Error::Redirects { last: target.to_string(), most })
    }

    async fn send_once(&self, target: &Target, outgoing: OutgoingRequest) -> Result<ReceivedResponse, Error> {
        let mut request = surf::Request::new(surf::http::Method::Get, target.url());
        let inner: &mut surf::http::Request = request.as_mut();
        inner.ext_mut().insert((target.clone(), outgoing));
        let mut answer = self.surf.send(request).await.map_err(|error| match error.downcast::<Error>() {
            Ok(Error::Connect(denied)) => self.denied(target, denied),
            Ok(error) => error,
            Err(error) => Error::Request(error.to_string()),
        })?;
        let inner: &mut surf::http::Response = answer.as_mut();
        inner.ext_mut().remove().ok_or_else(|| Error::Request("surf lost its response".to_owned()))
    }

    /// Converts a refusal by the connector. It becomes [`Error::Private`], which names the config key that would allow
    /// the address, only if `allowed_hosts` lists this very host and the host is an address or `localhost`: any other
    /// name that resolves to a private address may be an attack.
    fn denied(&self, target: &Target, denied: theater_connector::Error) -> Error {
        let plain = match &denied {
            theater_connector::Error::NotPublic(_) => true,
            theater_connector::Error::LeadsInside { name, .. } => name == "localhost",
            _ => false,
        };
        let named = self.hosts.iter().any(|host| host.names(&target.name));
        if plain && named { Error::Private(target.name.clone()) } else { Error::Connect(denied) }
    }

    fn is_allowed(&self, target: &Target) -> bool {
        self.config.everywhere || self.hosts.iter().any(|host| host.covers(&target.name, target.port))
    }

    fn allow(&self, target: &Target, method: &str) -> Result<(), Error> {
        if !self.is_allowed(target) {
            // The error for a private address must not name a config line that would allow it.
            if let theater_connector::Name::Address(address) = target.name
                && !self.config.allow_private_addresses
                && !theater_connector::is_public(address)
            {
                return Err(Error::Connect(theater_connector::Error::NotPublic(target.name.clone())));
            }
            return Err(Error::Host(target.authority()));
        }
        match &self.config.allowed_methods {
            Some(methods) if !methods.iter().any(|allowed| allowed == method) => Err(Error::Method(method.to_owned())),
            _ => Ok(()),
        }
    }

    fn allow_redirect(&self, from: &Target, to: &Target, method: &str) -> Result<(), Error> {
        let (from_text, to_text) = (from.to_string(), to.to_string());
        if from.secure && !to.secure {
            return Err(Error::Downgrade { from: from_text, to: to_text });
        }
        self.allow(to, method).map_err(|_| Error::Redirect { from: from_text, to: to_text })
    }
}

/// Returns the request to send, without the headers in [`OURS`].
///
/// # Errors
/// [`Error::Request`] if HTTP cannot carry the request.
fn checked(request: ActorRequest) -> Result<OutgoingRequest, Error> {
    let ActorRequest { method, mut headers, body, .. } = request;
    let is_token = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
    };
    if !is_token(&method) {
        return Err(Error::Request(format!("{method:?} is not a valid method")));
    }
    if method.eq_ignore_ascii_case("CONNECT") {
        return Err(Error::Request("CONNECT opens a tunnel and is not supported".to_owned()));
    }
    for (name, value) in &headers {
        if !is_token(name) {
            return Err(Error::Request(format!("{name:?} is not the name of a header")));
        }
        if !value.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t')) {
            return Err(Error::Request(format!("the header {name} has a value that is not visible ASCII")));
        }
    }
    headers.retain(|(name, _)| !OURS.iter().any(|ours| ours.eq_ignore_ascii_case(name)));
    Ok(OutgoingRequest { method, headers, body })
}

impl OutgoingRequest {
    /// Changes the request for a redirect (RFC 9110, section 15.4): some statuses turn it into a GET, and credentials
    /// are not sent to another server.
    fn follow(&mut self, status: u16, from: &Target, to: &Target) {
        let becomes_get = match status {
            303 => self.method != "HEAD" && self.method != "GET",
            301 | 302 => self.method == "POST",
            _ => false,
        };
        let drop = |headers: &mut Vec<(String, String)>, names: &[&str]| {
            headers.retain(|(name, _)| !names.iter().any(|dropped| dropped.eq_ignore_ascii_case(name)));
        };
        if becomes_get {
            self.method = "GET".to_owned();
            self.body = None;
            drop(&mut self.headers, &["content-type", "content-encoding", "content-language", "content-location"]);
        }
        if !from.is_at(to) {
            drop(&mut self.headers, &["authorization", "cookie"]);
        }
    }
}
