//! Websockets ([RFC 6455]) for the plugins that serve some: the handshake, and a socket whose messages are whole, whose
//! faults close it with their code, and whose client is waited for only so long.
//!
//! It is no plugin: a plain library, linked into each of them. Frames are `tungstenite`'s.
//!
//! [RFC 6455]: https://www.rfc-editor.org/rfc/rfc6455

#![forbid(unsafe_code)]

mod handshake;
mod socket;
#[cfg(test)]
mod tests;

pub use handshake::{PROTOCOL, Terms, accept, asks_upgrade, check};
pub use socket::{Code, End, Kind, Message, Socket};
