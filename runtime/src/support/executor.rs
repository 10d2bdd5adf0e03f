//! The executor: the one place that names async-std, so that another executor is a change of one file.

use std::future::Future;
use std::time::Duration;

use crate::support::timer::Sleep;

pub use theater_chain::latch::Latch;

pub use async_std::channel::{Receiver, Sender, bounded, unbounded};

/// A running task; dropping it lets the task run.
pub type Task<T> = async_std::task::JoinHandle<T>;

/// Runs a future on the executor.
pub fn spawn<T: Send + 'static, F: Future<Output = T> + Send + 'static>(future: F) -> Task<T> {
    // On its way async-std moves a future several times.
    if size_of::<F>() > LARGE { async_std::task::spawn(Box::pin(future)) } else { async_std::task::spawn(future) }
}

/// Bytes from which on moves of a future cost more than memory of its own.
const LARGE: usize = 512;

/// Ends a task at its next suspension and waits until it has been dropped.
pub async fn cancel<T>(task: Task<T>) {
    drop(task.cancel().await);
}

/// Runs blocking work on a thread of its own pool.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    async_std::task::spawn_blocking(work).await
}

/// Runs a future on this thread.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    async_std::task::block_on(future)
}

/// Ends after `duration`.
pub fn sleep(duration: Duration) -> Sleep {
    Sleep::new(duration)
}

/// Lets other tasks run first.
pub async fn yield_now() {
    async_std::task::yield_now().await;
}

/// What `future` gives, or nothing when it takes longer than `duration`; it is then dropped.
pub async fn timeout<T>(duration: Duration, future: impl Future<Output = T>) -> Option<T> {
    match either(future, sleep(duration)).await {
        Either::First(given) => Some(given),
        Either::Second(()) => None,
    }
}

/// Waits until something is sent or nothing can be any more.
pub async fn turn(receiver: &Receiver<()>) {
    let told = receiver.recv().await;
    debug_assert!(told.is_ok() || receiver.is_closed());
}

/// What ended first.
pub enum Either<A, B> {
    /// The first future.
    First(A),
    /// The second one.
    Second(B),
}

/// Waits for either of two futures; the first one is polled first.
pub async fn either<A, B>(first: impl Future<Output = A>, second: impl Future<Output = B>) -> Either<A, B> {
    futures_lite::future::or(async { Either::First(first.await) }, async { Either::Second(second.await) }).await
}

/// Sets the number of executor threads of this library's own async-std: call it first thing, before any task.
///
/// A replacement for a thread that a plugin holds comes through [`add_thread`].
pub fn init(threads: usize) {
    async_global_executor::init_with_config(
        async_global_executor::GlobalExecutorConfig::default()
            .with_min_threads(threads)
            // As many more for guests that run long.
            .with_max_threads(2 * threads + MAX_REPLACEMENTS)
            .with_thread_name_fn(|| "theater-worker".to_owned()),
    );
}

/// Most threads that replace ones held by plugins.
pub const MAX_REPLACEMENTS: usize = 64;

/// Adds one executor thread, up to [`MAX_REPLACEMENTS`]; whether there is one more.
///
/// Runs on the caller's thread, which is not the executor's: all threads of that may be held.
pub fn add_thread() -> bool {
    block_on(async_global_executor::spawn_more_threads(1)).is_ok_and(|added| added == 1)
}
