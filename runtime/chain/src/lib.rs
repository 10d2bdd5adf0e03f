//! Hash chains of actors: the events, the journal that stores them, and everything that reads or verifies them.
//!
//! A chain is a hash-linked list of everything one actor sees and does. This crate defines its format, writes it to disk,
//! and verifies it; it contains no WebAssembly engine, no plugin loader and no executor. The program `theater-verify` checks
//! data folders, exports and proofs.
//!
//! | module | content |
//! |---|---|
//! | [`event`] | the format: headers, hashes, the journal's frames |
//! | [`record`] | the data of each event type |
//! | [`journal`] | segments on disk: writing, crash recovery, retention, export |
//! | [`verify`], [`finding`] | reads and verifies journals and exported chains |
//! | [`proof`], [`signature`] | inclusion proofs, and signatures over the head of a chain |
//! | [`event_text`], [`wave`], [`value_type`] | events as text |
//! | [`data_dir`], [`objects`], [`bundle`] | the data folder and what it stores besides the journal |

#![forbid(unsafe_code)]

pub mod bundle;
pub mod data_dir;
pub mod diff;
mod error;
pub mod event;
pub mod event_text;
pub mod finding;
pub mod interface_name;
pub mod journal;
pub mod latch;
pub mod objects;
pub mod proof;
pub mod record;
pub mod signature;
pub mod state_digest;
pub mod text;
pub mod value_type;
pub mod verify;
pub mod wave;

pub use error::Error;
