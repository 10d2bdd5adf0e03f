//! The only place that names async-std: sockets.
//!
//! They are driven by this library's own reactor thread and may be polled on any executor, so connection tasks run on the
//! core's.

#[cfg(test)]
pub(crate) use async_std::channel;
pub(crate) use async_std::net::{TcpListener, TcpStream};
