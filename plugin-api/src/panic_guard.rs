//! The panic guard: keeps panics from unwinding across the ABI.
//!
//! Every entry and every poll, and the drop of futures, handlers and panic payloads, run under [`catch`]. The panic
//! hook stores the location of a guarded panic per thread; [`catch`] adds it to the message. Aborts cannot be contained
//! within the process: `panic = "abort"`, a panic during unwinding, a stack overflow, a signal.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Once, OnceLock};
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

/// Logs a panic that no answer can carry.
type Report = Box<dyn Fn(&str) + Send + Sync>;

static REPORT: OnceLock<Report> = OnceLock::new();

thread_local! {
    // How many guards are on the stack.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    // The location of the last guarded panic.
    static LOCATION: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Installs the hook that stores the location of a guarded panic instead of printing it. Other panics go to the
/// previous hook.
pub(crate) fn install_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if DEPTH.get() == 0 {
                previous(info);
            } else {
                let location = info.location().map(ToString::to_string);
                LOCATION.with_borrow_mut(|slot| *slot = location);
            }
        }));
    });
}

/// Sets the function that logs a panic in the drop of a future; later calls have no effect.
pub(crate) fn report_drop_panics_to(report: impl Fn(&str) + Send + Sync + 'static) {
    REPORT.get_or_init(|| Box::new(report));
}

/// Runs `body` and returns the payload of its panic.
fn run_guarded<T>(body: impl FnOnce() -> T) -> std::thread::Result<T> {
    DEPTH.with(|depth| {
        depth.set(depth.get() + 1);
        let ended = catch_unwind(AssertUnwindSafe(body));
        depth.set(depth.get() - 1);
        ended
    })
}

/// Runs `body` and catches a panic.
///
/// # Errors
/// The message and location of the panic.
pub fn catch<T>(body: impl FnOnce() -> T) -> Result<T, String> {
    run_guarded(body).map_err(message_of)
}

#[cold]
fn message_of(payload: Box<dyn Any + Send>) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned());
    drop_quietly(payload);
    match LOCATION.with_borrow_mut(Option::take) {
        Some(location) => format!("{text} ({location})"),
        None => text,
    }
}

/// Drops a value whose `Drop` may panic. The payload of such a panic is leaked, because its drop may panic as well.
fn drop_quietly<T>(value: T) {
    if let Err(payload) = run_guarded(|| drop(value)) {
        std::mem::forget(payload);
    }
}

/// Drops a future in place, if it has not been dropped. A panic in its drop is logged, because no caller can receive
/// it.
fn drop_future<F>(mut future: Pin<&mut Option<F>>) {
    if let (Err(message), Some(report)) = (catch(|| future.set(None)), REPORT.get()) {
        report(&format!("[P0110] the drop of a future panicked: {message}"));
    }
}

pin_project! {
    /// A future whose polls and drop are guarded. A panic in a poll is its output, through `on_panic`.
    pub(crate) struct Guarded<F, M> {
        // None once the future has ended.
        #[pin]
        future: Option<F>,
        on_panic: M,
    }

    impl<F, M> PinnedDrop for Guarded<F, M> {
        fn drop(this: Pin<&mut Self>) {
            let future = this.project().future;
            if future.is_some() {
                drop_future(future);
            }
        }
    }
}

impl<F: Future, M: Fn(String) -> F::Output> Guarded<F, M> {
    pub(crate) fn new(future: F, on_panic: M) -> Self {
        Self { future: Some(future), on_panic }
    }
}

impl<F: Future, M: Fn(String) -> F::Output> Future for Guarded<F, M> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        let Some(future) = this.future.as_mut().as_pin_mut() else {
            return Poll::Ready((this.on_panic)("polled after its end".to_owned()));
        };
        match catch(|| future.poll(context)) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => {
                drop_future(this.future);
                Poll::Ready(output)
            }
            Err(message) => {
                // A second panic, in the drop, is discarded: the first one is the cause.
                if let Err(payload) = run_guarded(|| this.future.set(None)) {
                    std::mem::forget(payload);
                }
                Poll::Ready((this.on_panic)(message))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Loud;
    impl Drop for Loud {
        fn drop(&mut self) {
            panic!("in drop");
        }
    }

    #[test]
    fn a_panic_becomes_its_message_and_location() {
        install_hook();
        let message = catch(|| panic!("boom {}", 7)).unwrap_err();
        assert!(message.starts_with("boom 7 (") && message.contains("guard.rs"), "{message}");
    }

    #[test]
    fn a_payload_that_panics_in_its_drop_is_leaked() {
        assert!(catch(|| std::panic::panic_any(Loud)).is_err());
    }

    #[test]
    fn a_cancelled_future_whose_drop_panics_ends_quietly() {
        let future = async {
            let _loud = Loud;
            std::future::pending::<()>().await;
        };
        let mut guarded = Guarded::new(Box::pin(future), |_| ());
        let waker = std::task::Waker::noop();
        assert!(Pin::new(&mut guarded).poll(&mut Context::from_waker(waker)).is_pending());
        drop(guarded);
    }
}
