//! Guards the plugin's side of the ABI: a panic in an author's code becomes an answer with the status `PANIC`.

use std::future::Future;

use async_ffi::{FfiFuture, FutureExt};
use theater_plugin_abi::{Answer, PANIC};

use crate::panic_guard::{self, Guarded};

pub(crate) fn panicked(message: String) -> Answer {
    Answer::with(PANIC, message)
}

/// A future whose polls and drop are guarded, as it crosses the ABI.
pub(crate) fn guarded<F: Future<Output = Answer> + Send + 'static>(future: F) -> FfiFuture<Answer> {
    Guarded::new(future, panicked).into_ffi()
}

/// The answer of `body`, or that of its panic.
pub(crate) fn caught(body: impl FnOnce() -> Answer) -> Answer {
    panic_guard::catch(body).unwrap_or_else(panicked)
}
