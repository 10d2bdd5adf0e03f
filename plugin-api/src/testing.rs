//! A fake host for unit tests of a plugin without the core (feature `testing`).
//!
//! [`FakeHost`] replaces the core and one actor. It records the plugin's log lines, metrics and calls, and answers as
//! the test configures. [`attach`] creates a handler, and [`FakeHost::call`] calls one of its functions with the same
//! encoding and dispatch as the core; a panic is an `Err`, as it would be there. Unlike the core, it does not check the
//! config against the schema, permissions or the types of exports, and it has no chain.
//!
//! ```toml
//! [dev-dependencies]
//! theater-plugin-api = { version = "0.1", features = ["testing"] }
//! ```
//!
//! ```standalone_crate
//! use theater_plugin_api::testing::{FakeHost, attach, block_on};
//! use theater_plugin_api::{Attachment, Call, Handler, Host, Plugin};
//!
//! theater_plugin_api::bindings! {
//!     plugin: Variables,
//!     handler: Nothing,
//!     name: "nothing",
//!     wit: "../wit",
//!     provides: { "theater:simple/environment": { "get-var": pure, "list-vars": pure, "exists": pure } },
//! }
//!
//! struct Variables;
//! struct Nothing(Host);
//!
//! impl Plugin for Variables {
//!     type Handler = Nothing;
//!     fn init(_: Host) -> Result<Self, String> {
//!         Ok(Self)
//!     }
//!     async fn attach(&self, host: Host, _: Attachment) -> Result<Nothing, String> {
//!         Ok(Nothing(host))
//!     }
//! }
//! impl Handler for Nothing {}
//! impl theater::simple::environment::Environment for Nothing {
//!     fn get_var(&self, _: &Call, _name: &str) -> Option<String> {
//!         self.0.count("asked", 1.0);
//!         None
//!     }
//!     fn list_vars(&self, _: &Call) -> Vec<(String, String)> {
//!         Vec::new()
//!     }
//!     fn exists(&self, _: &Call, _name: &str) -> bool {
//!         panic!("not today")
//!     }
//! }
//!
//! fn main() {
//!     block_on(async {
//!         let host = FakeHost::new();
//!         let handler = attach::<Variables>(&host, "nothing", serde_json::json!({})).await.unwrap();
//!         assert_eq!(host.call(&handler, "get-var", &("HOME",)).await, Ok(None::<String>));
//!         assert_eq!(host.metric("asked"), Some(1.0));
//!         let fault = host.call::<_, bool>(&handler, "exists", &("HOME",)).await.unwrap_err();
//!         assert!(fault.contains("not today"), "{fault}");
//!     });
//! }
//! ```

mod calls;
mod executor;
mod fake_host;
mod fake_side;
mod host_side;
mod narrowing;
mod observed;
mod seeded;
#[cfg(test)]
mod tests;

pub use self::calls::{attach, attach_to};
pub use self::executor::block_on;
pub use self::fake_host::{FakeHost, PATIENCE};
pub use self::narrowing::{Pair, pairs};
pub use self::observed::{Called, Done, Line, Way};
pub use self::seeded::Seeded;
pub use crate::abi::Answer;
