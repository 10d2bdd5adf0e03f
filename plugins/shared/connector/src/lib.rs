//! Outgoing connections for plugins. A [`Connector`] resolves a name once, checks every address, and connects to one of
//! the checked addresses, so a second answer of the name server cannot redirect the connection (DNS rebinding).
//!
//! This is not a plugin: it is a plain library that is linked into each plugin that connects.
//!
//! | file | what |
//! |---|---|
//! | `address` | which addresses are public |
//! | `dial` | resolves names and connects to addresses |

#![forbid(unsafe_code)]

mod address;
mod dial;
mod net;
#[cfg(test)]
mod tests;

pub use address::is_public;
pub use dial::{Connector, Error, Name, Resolver};
pub use net::Stream;
