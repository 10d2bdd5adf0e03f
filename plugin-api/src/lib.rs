//! The API for plugins of the Theater actor runtime.
//!
//! A plugin is a shared library that implements WIT interfaces for actors and calls functions that actors export. Its
//! author writes WIT, calls [`bindings!`] and implements three kinds of traits: [`Plugin`] (one value per process),
//! [`Handler`] (one value per actor) and one trait per provided interface. This crate contains the encoding, the ABI
//! and all unsafe code.
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
//! `tests/acme-greeter` is an example that uses the whole API: a third party's plugin with its own workspace.
//!
//! Where to go next: [`bindings!`] for its keys, [`Plugin`] and [`Handler`] for the methods and when they are called,
//! [`host`] for the functions of the core, [`abi`] for versions and threads, [`encoding`] for the bytes.
//!
//! Plugins are native code with the rights of the process: the panic guard contains panics, not malicious code.

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
/// Generates a plugin from WIT.
///
/// Keys, in any order (`plugin`, `handler`, `name` and `wit` are required):
///
/// | key | meaning |
/// |---|---|
/// | `plugin: Type` | the type that implements [`Plugin`] |
/// | `handler: Type` | its [`Handler`] |
/// | `name: "..."` | the plugin's name |
/// | `wit: "folder"` | the folder of the WIT package, relative to the crate's folder; packages that it uses are in `deps/` |
/// | `handlers: ["..."]` | handler types for manifests; `vendor:name` for third parties; default: the name |
/// | `provides: { "pkg:name/iface": { "function": [async] effect, .. }, .. }` | the interfaces that it implements; every function with its effect (see the table below) |
/// | `calls: { "pkg:name/iface": required, .. }` | the exports that it calls (`required` or `optional`) |
/// | `services: { "id": minor, .. }` | services of the core that it requires, with the minimum minor |
/// | `config: "file.json"` | JSON schema of the config; default: no keys are allowed; strings with `"format": "path"` reach the plugin as absolute paths, resolved against the manifest's folder |
/// | `schemes: ["..."]`, `commands: { "name": "help" }` | URL schemes, operator commands |
/// | `ambient: true` | attached to every actor whose component imports one of its interfaces |
/// | `fault: case` | the case that reports faults, for errors that are a variant or an enum; its payload is `string` or nothing; write `"a-case"` if it is not a Rust name; `none`: faults fail the actor |
///
/// A fault is a panic in the plugin, a result that does not match the function's type, or an effect whose outcome is
/// unknown after a crash. The actor receives it as the function's own `err`: as text if the error type is `string`,
/// else as the case that `fault` names. A function with any other error type causes a compile-time warning, and its
/// faults fail the calling actor (a trap).
///
/// | effect | means | recorded | after a crash in the call | resume | replay | `replay --plugin` |
/// |---|---|---|---|---|---|---|
/// | `pure` | a function of arguments and config | with its result | executed | from the chain | from the chain | called; differences are errors |
/// | `read` | depends on the outside | with its result | executed | from the chain | from the chain | called; differences are counted |
/// | `effect` | changes the outside | before, and with its result | an `err`: "in doubt after a crash"; retried if the manifest has `retry_effects = true` | from the chain | from the chain | not called |
/// | `idempotent` | changes the outside, once for each [`Call::key`] | before, and with its result | retried with the same key | from the chain | from the chain | not called |
/// | `chain` | a function of chains | as a reference | executed | from the chain | read from the chain again | not called |
///
/// "From the chain": the call is not executed again; the recorded result is returned.
///
/// The macro generates in the current scope:
///
/// - a module per package and interface (`theater::simple::timing`) with the types. Its name contains the version only
///   if the WIT has several versions of the package (`weather_1_0_0`). A tuple of more than 12 values is a struct
///   (`tuples::Tuple13`).
/// - a trait per provided interface (`timing::Timing`). If a type of the interface has that name, the trait's name ends
///   in `Functions` (`files::FilesFunctions`).
/// - an async function per called export (`http_server::handle_request(&host, "cause", &request)`), and a function that
///   returns the same call as an [`Invocation`] for the service `theater.messages`
///   (`http_server::invoke_handle_request(&request)`).
/// - the two symbols that the library exports.
///
/// A function that is not `async` borrows text and bytes (`&str`, `&[u8]`); an async function owns its parameters.
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
