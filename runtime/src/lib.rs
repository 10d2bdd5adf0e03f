//! A runtime for WebAssembly component actors.
//!
//! The core runs actors and keeps a hash chain of everything that each of them receives and does. It knows no host
//! interface: every interface is a plugin, a shared library that is found in a folder and bound through
//! `theater-plugin-api`.
//!
//! The modules are floors. A module uses only modules below it: [`mod@core`] (start, stop, resume, fork), [`replay`]
//! (re-execution of recorded calls), [`wasm`] (engine, values, host calls), [`plugin`] (discovery, hosts, watchdog),
//! [`actor`] (handle, mailbox, recording, end), [`manifest`], [`support`]. The format of the chain is the crate
//! `theater-chain`.
//!
//! Start reading at [`mod@core`], then [`actor`], then [`wasm::linker`] (every call of a host function).
//!
//! Architecture invariants:
//! - This crate contains no name of a plugin, handler type or interface, except `actor` and `init`.
//! - Everything that an actor receives is validated, then recorded, then passed to it.
//! - Only [`wasm::values`] contains unsafe code.
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
