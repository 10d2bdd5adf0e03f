//! What a plugin of the Theater actor runtime is written against.
//!
//! A plugin is a shared library that implements WIT interfaces for actors and calls functions that actors export. Its
//! author writes WIT, calls [`bindings!`] and implements three kinds of traits: [`Plugin`] (one value per process),
//! [`Handler`] (one value per actor) and one trait per provided interface. Bytes, the ABI and unsafe code stay in here.
//!
//! ```ignore
//! theater_plugin_api::bindings! {
//!     plugin: Dice,
//!     handler: Cup,
//!     name: "dice",
//!     wit: "wit",
//!     handlers: ["acme:dice"],
//!     provides: { "acme:dice/cup": { "roll": read } },
//!     config: "config.schema.json",
//! }
//!
//! struct Dice;
//! struct Cup { sides: u8 }
//!
//! impl Plugin for Dice {
//!     type Handler = Cup;
//!     fn init(_: Host) -> Result<Self, String> { Ok(Dice) }
//!     async fn attach(&self, _: Host, at: Attachment) -> Result<Cup, String> { at.config() }
//! }
//! impl Handler for Cup {}
//! impl acme::dice::cup::Cup for Cup {
//!     fn roll(&self, _: &Call) -> u8 { self.sides }
//! }
//! ```
//!
//! The whole surface in one example: `tests/acme-greeter`, a third party's plugin with a workspace of its own.
//!
//! Where to go next: [`bindings!`] for its keys, [`Plugin`] and [`Handler`] for what is called when, [`host`] for what
//! the core offers, [`abi`] for versions and threads, [`encoding`] for the bytes.
//!
//! Plugins are native code with the rights of the process: the guard holds panics, not malice.

#![deny(unsafe_code)]

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
compile_error!("Theater runs on Linux on x86-64 and arm64");

pub mod abi;
mod call_error;
mod children;
pub mod descriptor;
pub mod host;
mod host_types;
mod messages;
pub mod narrow;
pub mod panic_guard;
mod plugin;
mod result_buffer;
pub mod service;
#[cfg(feature = "testing")]
pub mod testing;

pub use call_error::CallError;
pub use host::Host;
pub use host_types::{ChildEnd, Ending, FailureKind, Level};
pub use messages::Invocation;
pub use plugin::{Attachment, Call, Dispatch, Handler, Plugin, Recovered};
pub use result_buffer::{Pending, ResultBuffer};
pub use theater_encoding as encoding;
pub use theater_encoding::{Bytes, uuid_text};
/// Reads WIT and makes a plugin of it.
///
/// Keys, in any order (`plugin`, `handler`, `name` and `wit` are required):
///
/// | key | what |
/// |---|---|
/// | `plugin: Type` | the type that implements [`Plugin`] |
/// | `handler: Type` | its [`Handler`] |
/// | `name: "..."` | the plugin's name |
/// | `wit: "folder"` | the WIT package, packages it uses in `deps/`; relative to the crate's folder |
/// | `handlers: ["..."]` | handler types for manifests; `vendor:name` for third parties; none = the name |
/// | `provides: { "pkg:name/iface": { "function": [async] effect, .. }, .. }` | interfaces implemented; every function, with its effect (the table below) |
/// | `calls: { "pkg:name/iface": required, .. }` | exports called (`required` or `optional`) |
/// | `services: { "id": minor, .. }` | services of the core it cannot do without |
/// | `config: "file.json"` | JSON schema of the config; none = no keys allowed; texts with `"format": "path"` reach the plugin as whole paths, relative ones from the manifest's folder |
/// | `schemes: ["..."]`, `commands: { "name": "help" }` | URL schemes, operator commands |
/// | `ambient: true` | attached wherever a component imports it |
/// | `fault: case` | the case that carries faults, for errors that are a variant or an enum; its payload is `string` or nothing; write `"a-case"` if it is not a Rust name; `none`: faults fail the actor |
///
/// A fault is a panic in the plugin, a result that does not match the function's type, or an effect whose outcome is unknown
/// after a crash. The actor receives it as the function's own `err`: as text if the error type is `string`, else as the case
/// that `fault` names. A function with any other error type gets a compile-time warning, and its faults fail the calling actor
/// (a trap).
///
/// | effect | means | recorded | after a crash in the call | resume | replay | `replay --plugin` |
/// |---|---|---|---|---|---|---|
/// | `pure` | a function of arguments and config | with its result | executed | from the chain | from the chain | called; differences are errors |
/// | `read` | looks outside | with its result | executed | from the chain | from the chain | called; differences are counted |
/// | `effect` | changes the outside | before, and with its result | an `err`: "in doubt after a crash"; retried if the manifest has `retry_effects = true` | from the chain | from the chain | not called |
/// | `idempotent` | changes the outside, once for each [`Call::key`] | before, and with its result | retried with the same key | from the chain | from the chain | not called |
/// | `chain` | a function of chains | as a reference | executed | from the chain | read from the chain again | not called |
///
/// "From the chain": the call is not executed again; the recorded result is returned.
///
/// It makes, in the scope it stands in, a module per package and interface (`theater::simple::timing`) with the types,
/// a trait per provided interface (`timing::Timing`), an async function per called export
/// (`http_server::handle_request(&host, "cause", &request)`), the same call as a value for the service
/// `theater.messages` (`http_server::invoke_handle_request(&request)`, an [`Invocation`]), and the two symbols the library
/// exports. Versions show in module names only where the WIT has a package in several (`weather_1_0_0`). The trait of an
/// interface that has a type of its own name ends in `Functions` (`files::FilesFunctions`). A tuple of more than 12 is a
/// struct (`tuples::Tuple13`).
///
/// A function that is not `async` takes text and bytes borrowed (`&str`, `&[u8]`); an async one owns its parameters.
pub use theater_plugin_macros::bindings;

#[doc(hidden)]
pub mod __private {
    pub use crate::abi::__root;
    pub use crate::descriptor::{HEADER, section};
    pub use crate::encoding::{Reader, deserialize_flags, encode_into, serialize_flags};
    pub use crate::messages::{invocation, values};
    pub use crate::plugin::{bad_arguments, no_such_function};
    pub use crate::result_buffer::{Pending, ResultBuffer, begin};
    pub use serde;
}
