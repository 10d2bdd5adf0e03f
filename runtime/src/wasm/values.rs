//! Lifts and lowers values between a component's memory and encoded bytes, without `Val` in between.
//!
//! The types here implement wasmtime's `ComponentType`, `Lift` and `Lower` over bytes in the one encoding
//! (`theater_plugin_api::encoding`). The layout of a value in memory comes from the component's own type information at
//! run time, so one Rust type serves every WIT type with the same number of core values:
//!
//! | type | direction | used for |
//! |---|---|---|
//! | [`Args`] | out of the guest | parameters of an import, as a [`CallFrame`] |
//! | [`Ret`] | into the guest | result of an import |
//! | [`call_export`] | both | state and parameters of a handler export, and what it returns ([`Returned`]) |
//!
//! These traits are outside wasmtime's stability promise: the dependency is pinned to one release series. Their
//! `SIZE32` is 0 and `ALIGN32` is 1 here, which switches wasmtime's own checks off, so alignment, bounds,
//! discriminants, chars and UTF-8 are checked here, as the Canonical ABI requires (component-model,
//! `CanonicalABI.md`).
//!
//! Files: `lift` reads values out of a guest, `lower` writes them into one, `export` has the two sides of a handler
//! export, `call_frame` the arguments and the result of one host call, `flat` the lists of core values. `abi` has the
//! implementations of wasmtime's traits and all unsafe code of this crate; everything else is safe.

#[allow(
    unsafe_code,
    reason = "wasmtime's lift and lower traits are unsafe to implement: every block argues its safety"
)]
mod abi;
mod call_frame;
mod export;
mod flat;
mod lift;
mod lower;

pub use abi::Lowered as Ret;
pub use call_frame::{CallFrame, Readable};
pub use export::{Returned, call_export};
pub use flat::MAX_FLAT;

/// Parameters of an import, lifted; `N` is the number of core values, any number above [`MAX_FLAT`] for parameters in
/// memory.
pub type Args<const N: usize> = abi::Lifted<CallFrame, N>;
