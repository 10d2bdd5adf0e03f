//! WebAssembly: engines, components, the linker, host calls, and moving values in and out of an instance.
//!
//! Start at [`linker`] (what a component is linked with), then `host_function` and `host_call` (what a call of an import
//! does) and [`values`] (lifting and lowering). [`engine`], [`pool`], [`turns`] and [`clock`] share the machine between guests.

pub mod clock;
pub mod component;
pub(crate) mod define;
pub(crate) mod direct_call;
pub mod engine;
pub mod fault;
pub mod guest;
mod host_call;
mod host_function;
pub(crate) mod import;
pub mod limiter;
pub mod linker;
mod plugin_result;
pub mod pool;
pub mod ticker;
pub mod trap;
pub mod turns;
pub mod types;
pub mod values;
