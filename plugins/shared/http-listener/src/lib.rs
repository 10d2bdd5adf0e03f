//! HTTP listening for plugins: which addresses a plugin may bind, a strict request parser, limits, and a
//! [`tide::listener::Listener`] on top of them.
//!
//! This is not a plugin: it is a plain library that is linked into each plugin that listens for HTTP.
//!
//! The crate reads and checks each request byte by byte before anything else sees it ([RFC 9112]; where the RFC allows
//! several readings, the one that refuses). The laxer parser of `async-h1` is not used. `tide` gets the request as an
//! extension, [`Received`], because its own types lose the order of headers, the target as sent and unknown methods.
//! The endpoint's answer travels the same way, as a [`Reply`].
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
//! Every target is routed to `/`: the plugin matches paths itself, because it must get the target as it was sent.
//!
//! Where to go next: [`Config`] for keys and defaults, `head` for the rules that requests must follow, `connection` for
//! how a connection is served, `slots` for how timeouts and stopping reach it.
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
mod slots;
mod source;
#[cfg(test)]
mod tests;
mod upgraded;

pub use bind::Bound;
pub use config::{Config, Tls};
pub use listener::{Listener, ListenerControl};
pub use powers::narrow;
pub use received::Received;
pub use reply::Reply;
pub use upgraded::Upgraded;
