//! WebAssembly: engines, components, the linker, host calls, and moving values in and out of an instance.

pub mod component;
pub mod engine;
pub mod limiter;
pub mod linker;
pub mod pool;
pub mod trap;
pub mod turns;
pub mod types;
#[allow(unsafe_code, reason = "the value codec: every block argues its safety")]
pub mod values;
