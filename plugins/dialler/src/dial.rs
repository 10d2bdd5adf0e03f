//! Names to addresses, addresses to connections.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use blocking::unblock;
use theater_tls::{ServerName, TlsConnector, TlsStream};

use crate::Stream;
use crate::address::is_public;
use crate::net::{TcpStream, timeout};

/// How long one of several addresses may not answer before the next is tried.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whom to connect to.
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

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The name server's answer.
    #[error("the name {name} could not be resolved: {source}")]
    Resolve {
        /// The name.
        name: String,
        /// What the system says.
        source: io::Error,
    },
    /// The name has no address.
    #[error("the name {0} has no address")]
    NoAddress(String),
    /// An address that is not public.
    #[error("{0} is no address of the public internet")]
    NotPublic(Name),
    /// A name that leads to an address which is not public.
    #[error("the name {name} leads to {address}, which is no address of the public internet")]
    LeadsInside {
        /// The name.
        name: String,
        /// Where it leads.
        address: IpAddr,
    },
    /// No address took the connection.
    #[error("{name}: {address} took no connection: {source}")]
    Connect {
        /// Whom to connect to.
        name: Name,
        /// The last address that was tried.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// No TLS, or a certificate that is not the name's.
    #[error("{name}: TLS failed: {source}")]
    Tls {
        /// Whom to connect to.
        name: Name,
        /// What rustls says.
        source: io::Error,
    },
    /// A name that no certificate can have.
    #[error("{0} is no name that a certificate can be checked for")]
    CertificateName(Name),
}

/// Answers with the addresses of a domain name.
pub trait Resolver: Send + Sync + 'static {
    /// All addresses of a name.
    ///
    /// # Errors
    /// What the name server says.
    fn resolve(&self, name: &str) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;
}

/// The system's own (`getaddrinfo(3)`).
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

/// Makes connections.
#[derive(Clone)]
pub struct Dialler {
    resolver: Arc<dyn Resolver>,
    private: bool,
}

impl Dialler {
    /// With the system's resolver; `private` lets it connect to addresses that are not public.
    #[must_use]
    pub fn new(private: bool) -> Self {
        Self::with(Arc::new(System), private)
    }

    /// With another resolver.
    #[must_use]
    pub fn with(resolver: Arc<dyn Resolver>, private: bool) -> Self {
        Self { resolver, private }
    }

    /// The checked addresses of a name: all of them are allowed, or none is given.
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

    /// Connects, with TLS when there is a connector for it.
    ///
    /// # Errors
    /// Every case of [`Error`].
    pub async fn connect(&self, name: &Name, port: u16, tls: Option<&TlsConnector>) -> Result<Stream, Error> {
        let server = match tls {
            Some(_) => Some(server_name(name)?),
            None => None,
        };
        let stream = self.first(name, port).await?;
        // A request is written in one piece: waiting for more would only delay it. Without it it is late, not wrong.
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

    /// The first address that takes the connection.
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
