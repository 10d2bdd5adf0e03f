//! Binds the port.

use std::fmt;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};

use blocking::unblock;
use theater_plugin_api::Host;
use theater_tls::TlsAcceptor;

use crate::config::Config;
use crate::config::Tls;
use crate::net::{TcpListener, TcpStream};
use crate::{parked, powers};

/// A bound port. New connections wait in the system's queue until a [`Listener`](crate::Listener) accepts them.
pub struct Bound {
    pub(crate) socket: TcpListener,
    /// Idle connections from the actor's previous run.
    pub(crate) connections: Vec<(TcpStream, SocketAddr)>,
    pub(crate) tls: Option<TlsAcceptor>,
    address: SocketAddr,
}

impl Bound {
    /// Checks everything that [`Bound::new`] needs, except that the port is free.
    ///
    /// # Errors
    /// Returns a sentence that names the key, or what is wrong with the certificate.
    pub async fn check(config: &Config) -> Result<(), String> {
        prepared(config).await.map(drop)
    }

    /// Binds the address and port of the config, if `bind_hosts` and `bind_ports` allow them.
    ///
    /// # Errors
    /// Returns a sentence that names the key, or the address and why the system refuses it.
    pub async fn new(config: &Config) -> Result<Self, String> {
        Self::bind(None, config, config.port).await
    }

    /// Like [`Bound::new`], for an actor that may just have been restarted: then it gets the socket of its previous
    /// run.
    ///
    /// # Errors
    /// The same as [`Bound::new`].
    pub async fn of(host: &Host, config: &Config) -> Result<Self, String> {
        Self::bind(Some(host), config, config.port).await
    }

    /// Like [`Bound::of`], but where the config has port 0, binds `port`, which was chosen earlier: a handler that may
    /// have any free port may have that one.
    ///
    /// # Errors
    /// The same as [`Bound::new`].
    pub async fn again(actor: &Host, config: &Config, port: u16) -> Result<Self, String> {
        Self::bind(Some(actor), config, port).await
    }

    async fn bind(actor: Option<&Host>, config: &Config, port: u16) -> Result<Self, String> {
        let (host, asked, tls) = prepared(config).await?;
        let port = if asked == 0 { port } else { asked };
        let (socket, connections) = match actor.and_then(|actor| parked::take(actor, SocketAddr::new(host, port))) {
            Some(kept) => kept,
            None => {
                let bound = TcpListener::bind(SocketAddr::new(host, port)).await;
                (bound.map_err(|error| refused(host, port, &error))?, Vec::new())
            }
        };
        let address = socket.local_addr().map_err(|error| refused(host, port, &error))?;
        Ok(Self { socket, connections, address, tls })
    }

    /// Frees the port, or keeps it open if its actor is about to be restarted.
    pub(crate) fn give_up(self, host: &Host) {
        if let Some(owner) = parked::owner(host) {
            parked::park(owner, self.address, self.socket);
        }
    }

    /// Returns the bound address, with the port that the system chose.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the address as a URL, such as `http://127.0.0.1:8080`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://{}", if self.tls.is_some() { "https" } else { "http" }, self.address)
    }
}

impl fmt::Debug for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bound").field("url", &self.url()).finish_non_exhaustive()
    }
}

/// Checks the permissions and returns the address, the port and, for HTTPS, the TLS acceptor.
async fn prepared(config: &Config) -> Result<(IpAddr, u16, Option<TlsAcceptor>), String> {
    let (host, port) = powers::allowed(config)?;
    let tls = match &config.tls {
        Some(tls) => Some(acceptor(config, tls).await?),
        None => None,
    };
    Ok((host, port, tls))
}

/// Creates the TLS acceptor, if both files are in `tls_files`. An error never falls back to plain HTTP.
async fn acceptor(config: &Config, tls: &Tls) -> Result<TlsAcceptor, String> {
    for file in [&tls.cert_path, &tls.key_path] {
        if !config.tls_files.contains(file) {
            return Err(format!(
                "tls: the file {file:?} is not allowed: add tls_files = [{file:?}] to the handler's config, and to the \
                 permissions of its parent if it has one"
            ));
        }
    }
    let tls = tls.clone();
    let read = unblock(move || theater_tls::acceptor(tls.cert_path.as_ref(), tls.key_path.as_ref()));
    read.await.map_err(|error| format!("tls: {error}"))
}

fn refused(host: IpAddr, port: u16, error: &std::io::Error) -> String {
    let address = SocketAddr::new(host, port);
    match error.kind() {
        ErrorKind::AddrInUse => {
            format!("{address} is in use by another program or handler: choose another port, or 0 to have one chosen")
        }
        ErrorKind::PermissionDenied => format!(
            "{address}: the system does not let this user bind port {port}: choose a port of 1024 or more, or 0 to have one \
             chosen"
        ),
        ErrorKind::AddrNotAvailable => {
            format!("{address}: this machine does not have the address {host}: choose one it has, such as 127.0.0.1")
        }
        _ => format!("{address} could not be bound: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use futures_lite::future::block_on;
    use serde_json::json;

    use super::*;

    fn bind(config: serde_json::Value) -> Result<Bound, String> {
        block_on(Bound::new(&serde_json::from_value(config).unwrap()))
    }

    #[test]
    fn port_0_is_chosen_and_told() {
        let bound = bind(json!({})).unwrap();
        assert_ne!(bound.address().port(), 0);
        assert_eq!(bound.url(), format!("http://127.0.0.1:{}", bound.address().port()));
    }

    #[test]
    fn a_taken_port_is_said_to_be_taken() {
        let first = bind(json!({})).unwrap();
        let port = first.address().port();
        let error = bind(json!({ "port": port })).unwrap_err();
        assert!(error.starts_with(&format!("127.0.0.1:{port} is in use")), "{error}");
        drop(first);
        bind(json!({ "port": port })).unwrap();
    }

    #[test]
    fn ipv6_works() {
        assert!(bind(json!({"host": "::1"})).unwrap().url().starts_with("http://[::1]:"));
    }

    #[test]
    fn an_address_of_another_machine_is_said_to_be_so() {
        let error = bind(json!({"host": "192.0.2.1", "bind_hosts": ["192.0.2.1"]})).unwrap_err();
        assert!(error.contains("does not have the address 192.0.2.1"), "{error}");
    }

    #[test]
    fn only_files_that_are_allowed_are_read() {
        let tls = json!({"cert_path": "/nowhere/c", "key_path": "/nowhere/k"});
        let error = bind(json!({"tls": tls})).unwrap_err();
        assert!(error.contains("add tls_files = [\"/nowhere/c\"]"), "{error}");
        let error = bind(json!({"tls": tls, "tls_files": ["/nowhere/c"]})).unwrap_err();
        assert!(error.contains("add tls_files = [\"/nowhere/k\"]"), "{error}");
        let error = bind(json!({"tls": tls, "tls_files": ["/nowhere/c", "/nowhere/k"]})).unwrap_err();
        assert!(error.starts_with("tls: /nowhere/c has no certificate"), "{error}");
    }
}
