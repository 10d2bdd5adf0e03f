//! Server-side websockets ([RFC 6455]) for plugins: the handshake, and a socket that delivers whole messages, closes
//! with the matching code after a protocol error, and limits how long it waits for a client to read.
//!
//! This is not a plugin: it is a plain library that is linked into each plugin that serves websockets. `tungstenite`
//! reads and writes the frames.
//!
//! [RFC 6455]: https://www.rfc-editor.org/rfc/rfc6455

#![forbid(unsafe_code)]

mod handshake;
mod socket;
#[cfg(test)]
mod tests;

pub use handshake::{PROTOCOL, UpgradePolicy, accept, asks_upgrade, check};
pub use socket::{Code, End, Kind, Message, Socket};
