//! Write Theater actors in Rust.
//!
//! **An actor's state is what its functions return as `state`, and nothing else.** Memory, globals and statics
//! may be lost between any two calls, and are lost right after `init`: use them only as a cache. In the value
//! that a function returns, `Some` replaces the state and `None` keeps the old one; an `Err` or a trap keeps it
//! too. To clear the state, return `Some` of an empty list.
//!
//! An actor is a type with an attribute on the `impl` of each trait:
//!
//! ```
//! #![allow(unused)]
//! fn main() {
//! use theater_sdk::{actor, message_server};
//!
//! struct CounterActor;
//!
//! #[actor::export]
//! impl actor::Actor for CounterActor {
//!     fn init(state: Option<Vec<u8>>, params: (String,)) -> Result<(Option<Vec<u8>>,), String> {
//!         // Initialize with either existing state or new state
//!         let state = state.unwrap_or_else(|| {
//!             let initial_state = serde_json::json!({ "count": 0 });
//!             serde_json::to_vec(&initial_state).unwrap()
//!         });
//!         Ok((Some(state),))
//!     }
//! }
//!
//! #[message_server::export]
//! impl message_server::MessageServerClient for CounterActor {
//!     fn handle_send(
//!         state: Option<Vec<u8>>,
//!         params: (Vec<u8>,)
//!     ) -> Result<(Option<Vec<u8>>,), String> {
//!         // Process one-way message
//!         // ...
//! #       let new_state = state;
//!         Ok((new_state,))
//!     }
//!
//!     fn handle_request(
//!         state: Option<Vec<u8>>,
//!         params: (Vec<u8>,)
//!     ) -> Result<(Option<Vec<u8>>, (Vec<u8>,)), String> {
//!         // Process request/response message
//!         // ...
//! #       let (new_state, response) = (state, params.0);
//!         Ok((new_state, (response,)))
//!     }
//! }
//! }
//! ```
//!
//! | attribute | trait | handler in the manifest |
//! |---|---|---|
//! | [`actor::export`] | [`actor::Actor`], which every actor has | |
//! | [`message_server::export`] | [`message_server::MessageServerClient`] | `message-server` |
//! | [`supervisor_handlers::export`] | [`supervisor_handlers::SupervisorHandlers`] | `supervisor` |
//! | [`http_server::export`] | [`http_server::HttpServer`] | `http-server` |
//! | [`http_handlers::export`] | [`http_handlers::HttpHandlers`] | `http-framework` |
//! | [`websocket_server::export`] | [`websocket_server::WebsocketServer`] | `websocket-server` |
//! | [`process_handlers::export`] | [`process_handlers::ProcessHandlers`] | `process` |
//!
//! The functions that an actor may call are in the other modules: [`message_server_host`], [`runtime`], [`store`],
//! [`supervisor`], [`timing`] and so on. The component imports only the functions that it uses.
//!
//! A panic traps, which fails the actor. Before the trap, its message and location are logged through
//! [`runtime::log`], so every actor imports `runtime`.
//!
//! Build with crate type `cdylib` for the target `wasm32-unknown-unknown`, and the linker `wasm-component-ld`
//! that comes with that target. The linker's output is the component.

pub mod actor;
#[doc(hidden)]
pub mod adapt;
#[doc(hidden)]
pub mod bindings;
pub mod http_handlers;
pub mod http_server;
pub mod message_server;
pub mod process_handlers;
pub mod supervisor_handlers;
pub mod websocket_server;

pub use bindings::imports::theater::simple::{
    environment, filesystem, http_client, http_framework, http_types, message_server_host, process, random, runtime,
    store, supervisor, timing, types, websocket_types,
};

/// The state that the host keeps for the actor between calls; `None` if there is none.
pub type State = Option<Vec<u8>>;
