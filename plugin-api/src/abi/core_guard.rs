//! Guards the core's functions that a plugin calls: a panic in the core is logged and answered.
//!
//! The functions of the host tables are `extern "C"`, so a panic that unwound out of them would abort the process.

use std::future::Future;
use std::sync::OnceLock;

use async_ffi::{FfiFuture, FutureExt};
use theater_plugin_abi::Answer;

use crate::panic_guard::{self, Guarded};

/// The value that a function of the core returns after a panic.
pub(crate) trait OfPanic {
    fn of_panic(sentence: String) -> Self;
}

impl OfPanic for Answer {
    fn of_panic(sentence: String) -> Self {
        Answer::error(sentence)
    }
}
impl OfPanic for FfiFuture<Answer> {
    fn of_panic(sentence: String) -> Self {
        std::future::ready(Answer::error(sentence)).into_ffi()
    }
}
impl OfPanic for () {
    fn of_panic(_: String) {}
}
impl OfPanic for bool {
    fn of_panic(_: String) -> Self {
        false
    }
}
impl OfPanic for u64 {
    fn of_panic(_: String) -> Self {
        0
    }
}
impl OfPanic for *const () {
    fn of_panic(_: String) -> Self {
        std::ptr::null()
    }
}

fn core_panicked(message: &str) -> String {
    format!("[P0113] the core panicked: {message}; this is a fault of theater, please report it")
}

/// Runs the core's part of a call from a plugin. A panic is logged, and its message is the answer.
pub(crate) fn core_guarded<T: OfPanic>(body: impl FnOnce() -> T) -> T {
    panic_guard::catch(body).unwrap_or_else(|message| {
        let sentence = core_panicked(&message);
        report_core_panic(&sentence);
        T::of_panic(sentence)
    })
}

/// As [`core_guarded`], for each poll and the drop of a future of the core.
pub(crate) fn core_future(future: impl Future<Output = Answer> + Send + 'static) -> FfiFuture<Answer> {
    let on_panic = |message: String| {
        let sentence = core_panicked(&message);
        report_core_panic(&sentence);
        Answer::error(sentence)
    };
    Guarded::new(future, on_panic).into_ffi()
}

static REPORT: OnceLock<fn(&str)> = OnceLock::new();

/// Sets the function that logs panics of the core during a call from a plugin; later calls have no effect.
pub fn report_core_panics_to(report: fn(&str)) {
    panic_guard::install_hook();
    REPORT.get_or_init(|| report);
}

fn report_core_panic(sentence: &str) {
    if let Some(report) = REPORT.get() {
        report(sentence);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    use theater_plugin_abi::ERROR;

    use super::*;

    #[test]
    fn a_panic_of_the_core_below_a_plugins_call_is_an_answer() {
        static LOGGED: std::sync::Mutex<Vec<String>> = std::sync::Mutex::new(Vec::new());
        report_core_panics_to(|sentence| LOGGED.lock().unwrap().push(sentence.to_owned()));
        let answer = core_guarded(|| -> Answer { panic!("a fault of the core") });
        assert!(
            answer.status == ERROR && answer.sentence().starts_with("[P0113] the core panicked: a fault of the core")
        );
        let future = core_guarded(|| -> FfiFuture<Answer> { panic!("before it returns") });
        let polled = core_future(async {
            if std::hint::black_box(true) {
                panic!("in a poll");
            }
            Answer::ok(Vec::new())
        });
        for future in [future, polled] {
            let mut future = future;
            let polled = Pin::new(&mut future).poll(&mut Context::from_waker(Waker::noop()));
            let Poll::Ready(answer) = polled else { panic!("it is pending") };
            assert!(answer.status == ERROR && answer.sentence().contains("the core panicked"));
        }
        core_guarded(|| -> () { panic!("nothing to answer") });
        assert!(core_guarded(|| -> *const () { panic!("no pointer") }).is_null());
        assert_eq!(LOGGED.lock().unwrap().len(), 5);
    }
}
