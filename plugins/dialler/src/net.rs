//! The only place that names async-std: sockets and their time.

pub(crate) use async_std::future::timeout;
#[cfg(test)]
pub(crate) use async_std::net::TcpListener;
pub(crate) use async_std::net::TcpStream;
#[cfg(test)]
pub(crate) use async_std::task::{block_on, spawn};
