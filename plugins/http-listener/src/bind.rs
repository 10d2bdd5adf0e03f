//! Takes the port.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};

use crate::net::TcpListener;
use crate::{Config, powers};

/// A port that is taken; connections to it wait in the system's queue until a [`Listener`](crate::Listener) takes them.
#[derive(Debug)]
pub struct Bound {
    pub(crate) socket: TcpListener,
    address: SocketAddr,
}

impl Bound {
    /// Binds what the config asks for, if its powers allow it.
    ///
    /// # Errors
    /// A sentence that names the key, or the address and why the system refuses it.
    pub async fn new(config: &Config) -> Result<Self, String> {
        if config.tls.is_some() {
            return Err(
                "tls: this version serves no HTTPS, and never plain HTTP in its place; remove `tls` and put a \
                        proxy that ends TLS in front"
                    .to_owned(),
            );
        }
        let (host, port) = powers::allowed(config)?;
        let socket =
            TcpListener::bind(SocketAddr::new(host, port)).await.map_err(|error| refused(host, port, &error))?;
        let address = socket.local_addr().map_err(|error| refused(host, port, &error))?;
        Ok(Self { socket, address })
    }

    /// Where it listens, with the chosen port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address as a URL, such as `http://127.0.0.1:8080`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
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
    fn tls_is_refused_by_name() {
        assert!(bind(json!({"tls": {"cert_path": "c", "key_path": "k"}})).unwrap_err().starts_with("tls:"));
    }
}
