//! Programs of the system, for the plugins that run some: started in a process group of their own, signalled as a group,
//! and never left behind.
//!
//! It is no plugin: a plain library, linked into each of them.
//!
//! A program's number stays its own, as a zombie, until [`Group::reap`]: so a signal never reaches a stranger who was given
//! the number since, which is why nothing in here reaps by itself, as `async-process` does. The end is waited for through a
//! pidfd (`pidfd_open(2)`), without a thread or a signal handler.
//!
//! ```no_run
//! # async fn run() -> std::io::Result<()> {
//! use theater_child_process::{Running, Stdio};
//!
//! let mut command = std::process::Command::new("/usr/bin/env");
//! command.env_clear();
//! let mut running = Running::start(command, Stdio::null(), None, None).await?;
//! running.group.ended().await?;
//! let status = running.group.reap().await?;
//! # drop(status); Ok(()) }
//! ```
//!
//! Where to go next: [`Group`] for the end of a program, [`find`] for how names become files, [`Confinement`] for what a
//! program may reach.

#![deny(unsafe_code)]

#[allow(unsafe_code, reason = "what runs between fork and exec: the block argues its safety")]
mod before_exec;
mod confine;
mod find;
mod group;
mod guardian;
mod limits;
mod output;

pub use std::process::Stdio;

pub use confine::{Confinement, missing};
pub use find::find;
pub use group::{Group, Running, Signal, exit_code};
pub use output::{Captured, capture};
