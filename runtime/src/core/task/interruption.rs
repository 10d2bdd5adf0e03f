//! Bounds work by the actor's stop and by wall-clock time.

use std::future::Future;
use std::time::Duration;

use crate::actor::ActorHandle;
use crate::support::executor::{self, Either};

/// Runs `call` until it ends, the actor is interrupted, or `timeout_ms` milliseconds are over; 0 is no timeout.
///
/// # Errors
/// Why it did not end.
pub(in crate::core) async fn bounded<T>(
    handle: &ActorHandle,
    call: impl Future<Output = T>,
    timeout_ms: u64,
) -> Result<T, String> {
    let interruption = async {
        if timeout_ms == 0 {
            handle.interrupted.wait().await;
            return "the actor was stopped".to_owned();
        }
        match executor::timeout(Duration::from_millis(timeout_ms), handle.interrupted.wait()).await {
            Some(()) => "the actor was stopped".to_owned(),
            None => format!("the call took longer than call_timeout_ms = {timeout_ms}"),
        }
    };
    match executor::either(call, interruption).await {
        Either::First(value) => Ok(value),
        Either::Second(why) => Err(why),
    }
}
