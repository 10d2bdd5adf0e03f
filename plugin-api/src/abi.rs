//! The plugin ABI: the tables that the core and a plugin's shared library call each other through.
//!
//! A plugin exports two symbols: the descriptor section ([`crate::descriptor`]), which the core reads without running
//! any code, and the root module header of `abi_stable`, whose module is [`Entry`]. `Entry::init` returns a
//! [`PluginObject`], and `attach` on it a [`HandlerObject`] for each actor; the core passes a [`HostObject`] to both.
//! Each object is an opaque pointer and a table of `extern "C"` functions, so a program in C can fill the same tables.
//! The tables are defined in `theater-plugin-abi` and re-exported here.
//!
//! # Ownership
//! Bytes go in as [`Slice`], borrowed for the duration of the call, and come out as [`Buffer`], which the receiver owns
//! and releases through a function of the library that allocated it; the two sides may use different allocators. A
//! handler's function writes a short result to an [`OutBuffer`] that the core provides. A plugin object is never
//! released, since libraries are never unloaded. A handler is released once, after the futures of its calls have been
//! dropped ([`OwnedHandler`]). A host object is reference-counted through `retain` and `release`.
//!
//! # Threads
//! Any function may be called on any thread of the core's executor, and functions of one handler may run concurrently
//! unless the table says otherwise. No function may block: a call or poll that does not return occupies a worker
//! thread, and the core's watchdog reports it after 1 s.
//!
//! # Panics
//! No panic unwinds across the ABI. Every entry, poll and drop of a plugin runs under [`crate::panic_guard`], and a
//! panic becomes an [`Answer`] with the status [`PANIC`]. A panic in the core below a call from a plugin becomes an
//! [`ERROR`] answer and is logged ([`report_core_panics_to`]). Aborts cannot be contained within the process.
//!
//! # Versions
//! `abi_stable` compares layouts when a library is opened, and refuses a plugin if a table of the core has one field
//! more than the plugin's. The tables are therefore **frozen for a major version**: no field is ever added. Later
//! additions are requested by name, in both directions, through `service(id, minimum minor)`; each service is a frozen
//! table of its own.
//!
//! | change | crate version | ABI minor | ABI major |
//! |---|---|---|---|
//! | docs, Rust-side conveniences of this crate | patch or minor | same | same |
//! | a new service, a new minor of a service | minor | +1 | same |
//! | a new key of the descriptor that old cores may ignore | minor | +1 | same |
//! | any change to a table, to [`CallContext`], to the encoding, to what a function's docs promise | major | 0 | +1 |
//!
//! A core of ABI `M.n` loads plugins of any ABI `M.x`. A plugin that needs more than minor `n` declares it as a service
//! with a minimum minor, and the core refuses the plugin by the name of the service that it does not have.
//!
//! # Failure cases
//! - The library does not load, has no root module, has another layout, or `init` fails: a [`loading::LoadError`], and
//!   no actor with this plugin starts.
//! - A function refuses or fails in an ordinary way: an answer with the status [`ERROR`] and a sentence.
//! - A function panics: [`PANIC`]. The actor's call fails; the handler and the plugin remain in use.
//! - A call into an actor does not return normally: [`TRAP`], [`GONE`] or [`ABSENT`].
//! - A handler's function returns a length that the ABI does not allow: an [`ERROR`] answer, and none of the memory
//!   that the function should have filled is read.

#[cfg(feature = "loading")]
#[allow(unsafe_code, reason = "opens a library and calls its entry: every block argues its safety")]
pub mod loading;

mod core_guard;
#[allow(unsafe_code, reason = "calls the plugin's tables: every block argues its safety")]
mod handles;
#[allow(unsafe_code, reason = "calls the core's tables: every block argues its safety")]
pub(crate) mod host_handle;
pub(crate) mod host_side;
#[allow(unsafe_code, reason = "the core's tables: every block argues its safety")]
pub(crate) mod host_tables;
mod plugin_guard;
#[allow(unsafe_code, reason = "the plugin's tables: every block argues its safety")]
mod plugin_side;
#[allow(unsafe_code, reason = "turns opaque pointers into references: every block argues its safety")]
mod pointers;

pub use theater_plugin_abi::*;

pub use self::core_guard::report_core_panics_to;
pub use self::handles::{HeldContext, OwnedHandler, Waits, forget};
pub use self::host_handle::Host;
pub use self::host_side::{HostSide, Message};
pub use self::host_tables::host_object;
pub use self::plugin_side::entry;
pub use crate::result_buffer::encoded;

#[doc(hidden)]
pub mod __root {
    //! What `bindings!` needs to export the root module.
    pub use abi_stable::library::LibHeader;

    pub use crate::abi::plugin_side::header;
}
