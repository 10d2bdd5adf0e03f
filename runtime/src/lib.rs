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
pub mod core;
pub mod manifest;
pub mod plugin;
pub mod replay;
pub mod support;
pub mod wasm;
