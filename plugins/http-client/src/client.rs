//! A request with its redirects: each step is checked as if the actor had asked for it.

use theater_dialler::Dialler;

use crate::config::Config;
use crate::error::Error;
use crate::exchange::{Answer, Exchange, Wanted};
use crate::hosts::Pattern;
use crate::target::Target;

/// What an actor asks for.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    pub uri: String,
    pub headers: Vec<(String, String)>,
    pub body: Option<Vec<u8>>,
}

impl Asked {
    pub fn get(uri: &str) -> Self {
        Self { method: "GET".to_owned(), uri: uri.to_owned(), headers: Vec::new(), body: None }
    }
}

/// Sends the requests of one actor.
pub struct Client {
    config: Config,
    hosts: Vec<Pattern>,
    exchange: Exchange,
    surf: surf::Client,
}

/// Headers that belong to the connection (RFC 9110, section 7.6.1), that say whom the request is for, or that are computed:
/// what an actor says of them is left out.
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
    pub fn new(config: Config, dialler: Dialler) -> Result<Self, String> {
        let hosts = config.hosts()?;
        let exchange = Exchange::new(dialler, config.ca_files.clone(), config.max_response_bytes);
        Ok(Self { config, hosts, surf: surf::Client::with_http_client(exchange.clone()), exchange })
    }

    /// Its connections.
    pub fn exchange(&self) -> &Exchange {
        &self.exchange
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    pub async fn send(&self, asked: Asked) -> Result<Answer, Error> {
        let mut target = Target::parse(&asked.uri)?;
        let mut wanted = checked(asked)?;
        self.allow(&target, &wanted.method)?;
        let most = self.config.max_redirects;
        for redirects in 0.. {
            let answer = self.once(&target, wanted.clone()).await.map_err(|error| match error {
                // Only what the actor asked for itself is a matter of its manifest.
                Error::Private(name) if redirects > 0 => Error::Dial(theater_dialler::Error::NotPublic(name)),
                error => error,
            })?;
            let Some(location) = answer.location().filter(|_| most > 0) else {
                return Ok(answer);
            };
            if redirects == most {
                break;
            }
            let next = target.join(location)?;
            wanted.follow(answer.status, &target, &next);
            self.allow_redirect(&target, &next, &wanted.method)?;
            target = next;
        }
        Err(Error::Redirects { last: target.to_string(), most })
    }

    async fn once(&self, target: &Target, wanted: Wanted) -> Result<Answer, Error> {
        let mut request = surf::Request::new(surf::http::Method::Get, target.url());
        let inner: &mut surf::http::Request = request.as_mut();
        inner.ext_mut().insert((target.clone(), wanted));
        let mut answer = self.surf.send(request).await.map_err(|error| match error.downcast::<Error>() {
            Ok(Error::Dial(denied)) => self.denied(target, denied),
            Ok(error) => error,
            Err(error) => Error::Request(error.to_string()),
        })?;
        let inner: &mut surf::http::Response = answer.as_mut();
        inner.ext_mut().remove().ok_or_else(|| Error::Request("surf lost its response".to_owned()))
    }

    /// The manifest is in the way of an actor only where it names the address itself. A name that leads inside may be
    /// another's trick.
    fn denied(&self, target: &Target, denied: theater_dialler::Error) -> Error {
        let plain = match &denied {
            theater_dialler::Error::NotPublic(_) => true,
            theater_dialler::Error::LeadsInside { name, .. } => name == "localhost",
            _ => false,
        };
        let named = self.hosts.iter().any(|host| host.names(&target.name));
        if plain && named { Error::Private(target.name.clone()) } else { Error::Dial(denied) }
    }

    fn is_allowed(&self, target: &Target) -> bool {
        self.config.everywhere || self.hosts.iter().any(|host| host.covers(&target.name, target.port))
    }

    fn allow(&self, target: &Target, method: &str) -> Result<(), Error> {
        if !self.is_allowed(target) {
            // An address of the inside is told no line that would let it in.
            if let theater_dialler::Name::Address(address) = target.name
                && !self.config.allow_private_addresses
                && !theater_dialler::is_public(address)
            {
                return Err(Error::Dial(theater_dialler::Error::NotPublic(target.name.clone())));
            }
            return Err(Error::Host(target.clone()));
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

/// The request as it is sent, if HTTP can carry it.
fn checked(asked: Asked) -> Result<Wanted, Error> {
    let Asked { method, mut headers, body, .. } = asked;
    let is_token = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
    };
    if !is_token(&method) {
        return Err(Error::Request(format!("{method:?} is no method")));
    }
    if method.eq_ignore_ascii_case("CONNECT") {
        return Err(Error::Request("CONNECT makes a tunnel, not a request".to_owned()));
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
    Ok(Wanted { method, headers, body })
}

impl Wanted {
    /// What is sent after a redirect (RFC 9110, section 15.4).
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
