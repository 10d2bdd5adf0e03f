//! A runtime for WebAssembly component actors.
//!
//! The core hosts actors and a hash chain of everything each of them sees and does. It knows no host interface: every one
//! is a plugin, a shared library found in a folder and bound through `theater-plugin-api`.
//!
//! Start at [`mod@core`] (what actors share, how one starts), then [`actor`] (one actor's life), [`linker`] (every
//! call of a host function) and [`chain`] (the format of what is recorded).
//!
//! Architecture invariants:
//! - No plugin's, handler type's or interface's name stands in this crate, but `actor` and `init`.
//! - Nothing crosses into an actor unrecorded: validate, record, then hand over.
//! - Unsafe code stands in [`values`] only.
//! - No central loop does I/O, compiles, or awaits a bounded queue.

#![deny(unsafe_code)]

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
compile_error!("Theater runs on Linux on x86-64 and arm64");

pub mod actor;
pub mod ask;
pub mod budget;
pub mod children;
pub mod component;
pub mod config;
pub mod core;
pub mod engine;
pub mod error;
pub mod executor;
pub mod family;
pub mod files;
pub mod flood;
pub mod host;
pub mod limiter;
pub mod linker;
pub mod mailbox;
pub mod manifest;
pub mod names;
pub mod open_files;
pub mod plugins;
pub mod pool;
pub mod registry;
pub mod replay;
pub mod timer;
pub mod turns;
#[allow(unsafe_code, reason = "the value codec: every block argues its safety")]
pub mod values;
pub mod waits;
pub mod watch;
pub mod wasm {
    //! The floor of the engine.
    pub mod types;
}
