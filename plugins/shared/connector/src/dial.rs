//! Resolves names to addresses and connects to them.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use blocking::unblock;
use theater_tls::{ServerName, TlsConnector, TlsStream};

use crate::address::is_public;
use crate::net::{Stream, TcpStream, timeout};

/// How long to wait for one of several addresses before the next one is tried. The last one has no timeout here.
const PATIENCE: Duration = Duration::from_secs(5);

/// The host to connect to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Name {
    /// An address.
    Address(IpAddr),
    /// A domain name.
    Domain(String),
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Address(address) => address.fmt(f),
            Self::Domain(name) => f.write_str(name),
        }
    }
}

/// Errors of [`Connector::connect`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The name could not be resolved.
    #[error("the name {name} could not be resolved: {source}")]
    Resolve {
        /// The name.
        name: String,
        /// The resolver's error.
        source: io::Error,
    },
    /// The name has no address.
    #[error("the name {0} has no address")]
    NoAddress(String),
    /// The address is not public.
    #[error("{0} is not an address of the public internet")]
    NotPublic(Name),
    /// The name resolves to an address that is not public.
    #[error("the name {name} resolves to {address}, which is not an address of the public internet")]
    LeadsInside {
        /// The name.
        name: String,
        /// The address that is not public.
        address: IpAddr,
    },
    /// No address accepted the connection.
    #[error("{name}: could not connect to {address}: {source}")]
    Connect {
        /// The host.
        name: Name,
        /// The last address that was tried.
        address: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
    /// The TLS handshake failed, for example because the certificate is for another name.
    #[error("{name}: TLS failed: {source}")]
    Tls {
        /// The host.
        name: Name,
        /// The error of rustls.
        source: io::Error,
    },
    /// The name cannot be in a certificate.
    #[error("{0} is not a name that a certificate can be checked against")]
    CertificateName(Name),
}

/// Resolves domain names to addresses.
pub trait Resolver: Send + Sync + 'static {
    /// Returns all addresses of a name.
    ///
    /// # Errors
    /// Returns the resolver's error.
    fn resolve(&self, name: &str) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;
}

/// The system's resolver (`getaddrinfo(3)`).
struct System;

impl Resolver for System {
    fn resolve(&self, name: &str) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>> {
        let name = name.to_owned();
        Box::pin(unblock(move || {
            let found = (name.as_str(), 0).to_socket_addrs()?;
            Ok(found.map(|address| address.ip()).collect())
        }))
    }
}

/// Connects to hosts whose addresses it has checked.
#[derive(Clone)]
pub struct Connector {
    resolver: Arc<dyn Resolver>,
    private: bool,
}

impl Connector {
    /// Creates a connector with the system's resolver; `private` allows addresses that are not public.
    #[must_use]
    pub fn new(private: bool) -> Self {
        Self::with(Arc::new(System), private)
    }

    /// Creates a connector with another resolver; `private` allows addresses that are not public.
    #[must_use]
    pub fn with(resolver: Arc<dyn Resolver>, private: bool) -> Self {
        Self { resolver, private }
    }

    /// Resolves a name and checks its addresses. One address that is not allowed rejects the whole name.
    async fn addresses(&self, name: &Name) -> Result<Vec<IpAddr>, Error> {
        let allowed = |address: &IpAddr| self.private || is_public(*address);
        match name {
            Name::Address(address) if allowed(address) => Ok(vec![*address]),
            Name::Address(_) => Err(Error::NotPublic(name.clone())),
            Name::Domain(name) => {
                let found = self.resolver.resolve(name).await;
                let mut found = found.map_err(|source| Error::Resolve { name: name.clone(), source })?;
                found.dedup();
                if let Some(address) = found.iter().find(|address| !allowed(address)) {
                    return Err(Error::LeadsInside { name: name.clone(), address: *address });
                }
                if found.is_empty() { Err(Error::NoAddress(name.clone())) } else { Ok(found) }
            }
        }
    }

    /// Connects to a host, with TLS if `tls` is given.
    ///
    /// # Errors
    /// Every variant of [`Error`].
    pub async fn connect(&self, name: &Name, port: u16, tls: Option<&TlsConnector>) -> Result<Stream, Error> {
        let server = match tls {
            Some(_) => Some(server_name(name)?),
            None => None,
        };
        let stream = self.first(name, port).await?;
        // A request is written in one piece, so Nagle's algorithm would only delay it. If this fails, it is only
        // slower.
        drop(stream.set_nodelay(true));
        match (tls, server) {
            (Some(tls), Some(server)) => {
                let secured = tls.connect(server, stream).await;
                let secured = secured.map_err(|source| Error::Tls { name: name.clone(), source })?;
                Ok(Stream::Tls(Box::new(TlsStream::Client(secured))))
            }
            _ => Ok(Stream::Plain(stream)),
        }
    }

    /// Connects to the first address that accepts.
    async fn first(&self, name: &Name, port: u16) -> Result<TcpStream, Error> {
        let addresses = self.addresses(name).await?;
        let mut failure = Error::NoAddress(name.to_string());
        let last = addresses.len() - 1;
        for (number, address) in addresses.into_iter().enumerate() {
            let address = SocketAddr::new(address, port);
            let connecting = TcpStream::connect(address);
            let connected = if number == last {
                connecting.await
            } else {
                let late = |_| Err(io::Error::from(io::ErrorKind::TimedOut));
                timeout(PATIENCE, connecting).await.unwrap_or_else(late)
            };
            match connected {
                Ok(stream) => return Ok(stream),
                Err(source) => failure = Error::Connect { name: name.clone(), address, source },
            }
        }
        Err(failure)
    }
}

fn server_name(name: &Name) -> Result<ServerName<'static>, Error> {
    match name {
        Name::Address(address) => Ok(ServerName::from(*address)),
        Name::Domain(domain) => ServerName::try_from(domain.clone()).map_err(|_| Error::CertificateName(name.clone())),
    }
}
