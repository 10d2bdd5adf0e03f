//! The plugin's objects as the core holds them: handlers, the futures of their calls and the context of a running call.
//!
//! A future of [`HandlerTable::call`](theater_plugin_abi::HandlerTable::call) borrows the handler and the call's context.
//! [`Waits`] therefore owns a count of both: the handler is released when the last of them is dropped, and
//! [`HeldContext::change`] copies the context while a future may still read the old one. A panic in the handler's `Drop`
//! is the answer of [`OwnedHandler::release`]; if the handler outlives that call, no caller receives it.

use std::cell::UnsafeCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{Ordering, fence};
use std::sync::Arc;
use std::task::{Context, Poll};

use async_ffi::FfiFuture;
use theater_plugin_abi::{Answer, CallContext, Called, HandlerObject, PluginObject};

use crate::service::{RemovedService, SERVICE_REMOVED};

/// A handler the core holds: released once, when it and the futures of its calls are gone.
pub struct OwnedHandler {
    object: HandlerObject,
    life: Arc<HandlerLifetime>,
}

struct HandlerLifetime(HandlerObject);

impl Drop for HandlerLifetime {
    fn drop(&mut self) {
        // SAFETY: the one call of release; OwnedHandler::release forgets the HandlerLifetime that it takes.
        drop(unsafe { self.0.table.release()(self.0.data) });
    }
}

impl OwnedHandler {
    /// Takes over a handler that `attach` gave.
    #[must_use]
    pub fn new(handler: HandlerObject) -> Self {
        Self { object: handler, life: Arc::new(HandlerLifetime(handler)) }
    }

    /// The handler, to call.
    #[must_use]
    #[inline]
    pub fn get(&self) -> HandlerObject {
        self.object
    }

    /// Calls [`HandlerTable::call`].
    #[inline]
    pub fn call(
        &self,
        context: &HeldContext,
        function: u32,
        arguments: [&[u8]; 2],
        room: &mut [u8],
        answer: &mut Option<Answer>,
    ) -> Called<Waits> {
        // SAFETY: what waits holds the handler, and the context, which does not change while it is held.
        let called = unsafe { self.object.call(context.0.0.get(), function, arguments, room, answer) };
        match called {
            Called::OutBuffer(length) => Called::OutBuffer(length),
            Called::Elsewhere => Called::Elsewhere,
            Called::Waits(future) => {
                Called::Waits(Waits { future, _context: Arc::clone(&context.0), _life: Arc::clone(&self.life) })
            }
        }
    }

    /// Ends the handler; the answer tells of a panic in its `Drop`. While a future of its calls lives, it ends with that
    /// one, and nobody is told: the core drops those first.
    #[must_use]
    pub fn release(self) -> Answer {
        match Arc::try_unwrap(self.life) {
            Ok(life) => {
                let HandlerLifetime(handler) = *std::mem::ManuallyDrop::new(life);
                // SAFETY: the one call of release; HandlerLifetime is not dropped.
                unsafe { handler.table.release()(handler.data) }
            }
            Err(_) => Answer::ok(Vec::new()),
        }
    }
}

/// A call that waits.
pub struct Waits {
    // Dropped before what it looks at.
    future: FfiFuture<Answer>,
    _context: Arc<Fixed>,
    _life: Arc<HandlerLifetime>,
}

impl Future for Waits {
    type Output = Answer;
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answer> {
        Pin::new(&mut self.future).poll(context)
    }
}

/// The context of a running call, which calls that wait look at as long as they do.
pub struct HeldContext(Arc<Fixed>);

/// A context that stays where it is while somebody looks at it.
struct Fixed(UnsafeCell<CallContext>);

// SAFETY: changed by HeldContext::change only, while nobody else holds it.
unsafe impl Sync for Fixed {}

impl HeldContext {
    /// Holds a context.
    #[must_use]
    pub fn new(context: CallContext) -> Self {
        Self(Arc::new(Fixed(UnsafeCell::new(context))))
    }

    /// The context.
    #[must_use]
    #[inline]
    pub fn get(&self) -> &CallContext {
        // SAFETY: changes need &mut self.
        unsafe { &*self.0.0.get() }
    }

    /// The context, to change: a copy, if a call that waits looks at it.
    #[inline]
    pub fn change(&mut self) -> &mut CallContext {
        if Arc::strong_count(&self.0) > 1 {
            *self = Self::new(*self.get());
        }
        // Whoever let go of it did so before.
        fence(Ordering::Acquire);
        // SAFETY: nobody else holds it: weak counts are never made, and clones only in OwnedHandler::call.
        unsafe { &mut *self.0.0.get() }
    }
}

/// Tells a plugin that offers [`RemovedService`] of an actor that has ended for good.
#[must_use]
pub fn forget(plugin: PluginObject, actor: &str) -> Option<FfiFuture<Answer>> {
    // SAFETY: data is the table's own; the slice lives for the call.
    let table = unsafe { plugin.table.service()(plugin.data, SERVICE_REMOVED.into(), 0) };
    if table.is_null() {
        return None;
    }
    // SAFETY: a plugin answers this id with a pointer to a RemovedService that lives as long as the process.
    let forget = unsafe { (*table.cast::<RemovedService>()).forget };
    // SAFETY: as above.
    Some(unsafe { forget(plugin.data, actor.into()) })
}

#[cfg(test)]
mod tests;
