//! The executor. Only this file names async-std, so that another executor changes only this file.

use std::future::Future;
use std::time::Duration;

use crate::support::timer::Sleep;

pub use theater_chain::latch::Latch;

pub use async_std::channel::{Receiver, Sender, bounded, unbounded};

/// A running task. Dropping it detaches the task.
pub type Task<T> = async_std::task::JoinHandle<T>;

/// Runs a future on the executor.
pub fn spawn<T: Send + 'static, F: Future<Output = T> + Send + 'static>(future: F) -> Task<T> {
    // async-std moves a future several times before it is polled.
    if size_of::<F>() > LARGE { async_std::task::spawn(Box::pin(future)) } else { async_std::task::spawn(future) }
}

/// The size in bytes from which moving a future costs more than boxing it.
const LARGE: usize = 512;

/// Cancels a task at its next suspension point and waits until it has been dropped.
pub async fn cancel<T>(task: Task<T>) {
    drop(task.cancel().await);
}

/// Runs blocking work on the thread pool for such work.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    async_std::task::spawn_blocking(work).await
}

/// Runs a future on this thread.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    async_std::task::block_on(future)
}

/// Completes after `duration`.
pub fn sleep(duration: Duration) -> Sleep {
    Sleep::new(duration)
}

/// Lets other tasks run first.
pub async fn yield_now() {
    async_std::task::yield_now().await;
}

/// The output of `future`, or `None` if it takes longer than `duration`; it is then dropped.
pub async fn timeout<T>(duration: Duration, future: impl Future<Output = T>) -> Option<T> {
    match either(future, sleep(duration)).await {
        Either::First(output) => Some(output),
        Either::Second(()) => None,
    }
}

/// Waits until a message is received or the channel is closed.
pub async fn turn(receiver: &Receiver<()>) {
    let received = receiver.recv().await;
    debug_assert!(received.is_ok() || receiver.is_closed());
}

/// The output of whichever future completed first.
pub enum Either<A, B> {
    /// The first future.
    First(A),
    /// The second future.
    Second(B),
}

/// Waits for either of two futures; the first one is polled first.
pub async fn either<A, B>(first: impl Future<Output = A>, second: impl Future<Output = B>) -> Either<A, B> {
    futures_lite::future::or(async { Either::First(first.await) }, async { Either::Second(second.await) }).await
}

/// Sets the number of executor threads. Must be called before any task is spawned.
///
/// Plugins link their own async-std; this is the one of this crate. [`add_thread`] replaces a thread that a plugin blocks.
pub fn init(threads: usize) {
    async_global_executor::init_with_config(
        async_global_executor::GlobalExecutorConfig::default()
            .with_min_threads(threads)
            // As many again for guests that run long.
            .with_max_threads(2 * threads + MAX_REPLACEMENTS)
            .with_thread_name_fn(|| "theater-worker".to_owned()),
    );
}

/// The maximum number of threads that replace ones blocked by plugins.
pub const MAX_REPLACEMENTS: usize = 64;

/// Adds one executor thread, up to [`MAX_REPLACEMENTS`]. Returns whether one was added.
///
/// This blocks the caller's thread, which must not be one of the executor: plugins may block all of those.
pub fn add_thread() -> bool {
    block_on(async_global_executor::spawn_more_threads(1)).is_ok_and(|added| added == 1)
}
