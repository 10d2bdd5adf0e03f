//! The executor of the fake host. This is the only file of the crate that names it.

use std::future::Future;

pub(super) use async_std::channel::{Receiver, Sender, bounded, unbounded};
pub(super) use async_std::future::timeout;
pub(super) use async_std::task::{JoinHandle, sleep, spawn};

/// Runs a future to completion.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    async_std::task::block_on(future)
}
