//! The only module that names async-std: sockets.
//!
//! The reactor thread of this library drives them. They may be polled on any executor, so connection tasks run on the
//! core's.

#[cfg(test)]
pub(crate) use async_std::channel;
pub(crate) use async_std::net::{TcpListener, TcpStream};
