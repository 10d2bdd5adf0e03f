//! The only module that names async-std: sockets and timeouts.

pub(crate) use async_std::future::timeout;
#[cfg(test)]
pub(crate) use async_std::net::TcpListener;
pub(crate) use async_std::net::TcpStream;
#[cfg(test)]
pub(crate) use async_std::task::{block_on, spawn};

/// A connection to a checked address.
pub type Stream = theater_tls::Stream<TcpStream>;
