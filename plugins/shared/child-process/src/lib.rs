//! Runs operating system programs for plugins. Each program gets its own process group, is signalled as a group, and is
//! never left behind.
//!
//! This is not a plugin: it is a plain library that is linked into each plugin that runs programs.
//!
//! A program keeps its PID, as a zombie, until [`Group::reap`], so a signal never reaches another process that got the
//! same PID later. This is why nothing here reaps on its own, as `async-process` does. [`Group::ended`] waits on a
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
//! Where to go next: [`Group`] for how a program ends, [`find`] for how names become files, [`Confinement`] for what a
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
mod syscall_filter;

pub use std::process::Stdio;

pub use confine::{Confinement, missing};
pub use find::find;
pub use group::{Group, Running, Signal, exit_code};
pub use output::{Captured, capture};
