//! Connections for the plugins that make some: the name is resolved once, every address of it is checked, and the
//! connection goes to one that was checked, so that no second answer of a name server can lead it elsewhere.
//!
//! It is no plugin: a plain library, linked into each of them.
//!
//! | file | what |
//! |---|---|
//! | `address` | which addresses are public |
//! | `dial` | names to addresses, addresses to connections |

#![forbid(unsafe_code)]

mod address;
mod dial;
mod net;
#[cfg(test)]
mod tests;

pub use address::is_public;
pub use dial::{Dialler, Error, Name, Resolver};

/// A connection to a checked address.
pub type Stream = theater_tls::Stream<net::TcpStream>;
