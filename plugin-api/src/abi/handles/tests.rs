use std::sync::atomic::AtomicBool;
use std::task::Waker;

use theater_encoding::Reader;
use theater_plugin_abi::OK;

use super::*;
use crate::abi::host_handle::Host;
use crate::abi::plugin_side::Tables;
use crate::plugin::{Attachment, Call, Dispatch, Handler, Plugin};
use crate::result_buffer::{Pending, ResultBuffer, begin};

struct Never;

impl Plugin for Never {
    type Handler = Once;
    fn init(_: Host) -> Result<Self, String> {
        Err("no test initialises this plugin".to_owned())
    }
    async fn attach(&self, _: Host, _: Attachment) -> Result<Once, String> {
        Err("no test attaches it".to_owned())
    }
}

/// Clears its flag when it is dropped.
struct Once(Arc<AtomicBool>);

impl Drop for Once {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

impl Handler for Once {}

impl Dispatch for Once {
    fn dispatch_sync(&self, call: &Call, _: u32, _: Reader<'_>, buffer: &mut ResultBuffer<'_>) {
        buffer.give(&call.context().host_call);
    }
    /// Pending at the first poll, then returns a field of the context.
    fn dispatch<'a>(
        &'a self,
        call: &'a Call,
        _: u32,
        _: Reader<'_>,
        buffer: &mut ResultBuffer<'_>,
    ) -> Option<Pending<'a>> {
        let mut waited = false;
        let later = std::future::poll_fn(move |_| {
            if std::mem::replace(&mut waited, true) {
                assert!(self.0.load(Ordering::Relaxed));
                Poll::Ready(call.context().host_call)
            } else {
                Poll::Pending
            }
        });
        begin(later, buffer, |value, buffer| buffer.give(&value))
    }
    fn function_name(_: u32) -> &'static str {
        "a:b/c/later"
    }
}

fn handler(lives: &Arc<AtomicBool>) -> OwnedHandler {
    let data = Arc::into_raw(Arc::new(Once(Arc::clone(lives)))).cast();
    OwnedHandler::new(HandlerObject { data, table: Tables::<Never>::handler() })
}

fn context(host_call: u64) -> HeldContext {
    HeldContext::new(CallContext { host_call, ..CallContext::default() })
}

fn waiting(handler: &OwnedHandler, context: &HeldContext) -> Waits {
    match handler.call(context, 0, [&[], &[]], &mut [], &mut None) {
        Called::Waits(waits) => waits,
        _ => panic!("it returned"),
    }
}

fn ended(mut waits: Waits) -> u64 {
    match Pin::new(&mut waits).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => theater_encoding::decode(&answer.bytes).unwrap(),
        Poll::Pending => panic!("it is pending at the first poll only"),
    }
}

#[test]
fn a_call_that_waits_keeps_its_context_and_its_handler() {
    let lives = Arc::new(AtomicBool::new(true));
    let (handler, mut context) = (handler(&lives), context(7));
    let waits = waiting(&handler, &context);
    context.change().host_call = 8;
    let second = waiting(&handler, &context);
    drop(context);
    assert_eq!(handler.release().status, OK);
    assert!(lives.load(Ordering::Relaxed), "two futures borrow it");
    assert_eq!(ended(waits), 7);
    assert_eq!(std::thread::spawn(move || ended(second)).join().unwrap(), 8);
    assert!(!lives.load(Ordering::Relaxed), "no future is left");
}

#[test]
fn a_context_that_nobody_looks_at_changes_where_it_is() {
    let lives = Arc::new(AtomicBool::new(true));
    let (handler, mut context) = (handler(&lives), context(1));
    let address = std::ptr::from_ref(context.get());
    drop(waiting(&handler, &context));
    context.change().host_call += 1;
    assert!(std::ptr::eq(address, context.get()));
    let waits = waiting(&handler, &context);
    context.change().host_call += 1;
    assert!(!std::ptr::eq(address, context.get()));
    assert_eq!((ended(waits), context.get().host_call), (2, 3));
}

#[test]
fn a_handler_without_calls_ends_when_it_is_released_or_dropped() {
    for release in [true, false] {
        let lives = Arc::new(AtomicBool::new(true));
        let handler = handler(&lives);
        if release {
            assert_eq!(handler.release().status, OK);
        } else {
            drop(handler);
        }
        assert!(!lives.load(Ordering::Relaxed));
    }
}
