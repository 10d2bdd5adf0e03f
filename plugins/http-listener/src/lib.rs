//! What the plugins that listen for HTTP share: which addresses they may bind, how strictly a request is read, the limits,
//! and a [`tide::listener::Listener`] over all of it.
//!
//! It is no plugin: a plain library, linked into each of them.
//!
//! A request is read and checked here, byte by byte ([RFC 9112], of several readings always the one that refuses), before
//! anything else sees it; so `async-h1`'s parser, which is laxer, is not in the way of one. `tide` gets it with what its own
//! types cannot hold (order of headers, the target as sent, methods of anyone's) as an extension: [`Received`]. The
//! endpoint's answer goes the same way: [`Reply`].
//!
//! ```no_run
//! # async fn attach(host: theater_plugin_api::Host) -> Result<(), String> {
//! use std::sync::Arc;
//! use theater_http_listener::{Bound, Config, Listener, Received, Reply};
//!
//! async fn answer(greeting: Arc<String>, received: Received) -> Reply {
//!     Reply::text(200, &format!("{greeting}, {}", received.uri))
//! }
//!
//! let config = Config::default();
//! let bound = Bound::new(&config).await?;
//! let listener = Listener::new(host.clone(), bound, &config);
//! let control = listener.control();
//! listener.serve(Arc::new("hello".to_owned()), answer).await?;
//! control.stop(std::time::Duration::from_secs(5)).await;
//! # Ok(()) }
//! ```
//!
//! Every target is routed to `/`: path matching is the plugin's, since the target has to arrive as it was sent.
//!
//! Where to go next: [`Config`] for keys and defaults, `head` for the rules a request has to keep, `connection` for the
//! life of a connection, `watch` for how timeouts and stopping reach it.
//!
//! [RFC 9112]: https://www.rfc-editor.org/rfc/rfc9112

#![forbid(unsafe_code)]

mod bind;
mod body;
mod config;
mod connection;
mod date;
mod head;
mod hosts;
mod listener;
mod net;
mod parked;
mod powers;
mod received;
mod refusal;
mod reply;
mod source;
#[cfg(test)]
mod tests;
mod upgraded;
mod watch;

pub use bind::Bound;
pub use config::{Config, Tls};
pub use listener::{Control, Listener};
pub use powers::narrow;
pub use received::Received;
pub use reply::Reply;
pub use upgraded::Upgraded;
