//! The plugin's objects as the core holds them: handlers, the futures of their calls and the context of a running call.
//!
//! A future of [`HandlerTable::call`](theater_plugin_abi::HandlerTable::call) borrows the handler and the call's
//! context. [`Waits`] therefore owns a count of both: the handler is released when the last of them is dropped, and
//! [`HeldContext::change`] copies the context while a future may still read the old one. A panic in the handler's
//! `Drop` is the answer of [`OwnedHandler::release`]; if the handler outlives that call, no caller receives it.

use std::cell::UnsafeCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::task::{Context, Poll};

use async_ffi::FfiFuture;
use theater_plugin_abi::{Answer, CallContext, Called, HandlerObject, PluginObject};

use crate::service::{RemovedService, SERVICE_REMOVED};

/// A handler that the core owns. It is released once, after this value and the futures of its calls have been dropped.
pub struct OwnedHandler {
    object: HandlerObject,
    lifetime: Arc<HandlerLifetime>,
}

/// Releases the handler when the last owner drops it.
struct HandlerLifetime(HandlerObject);

impl Drop for HandlerLifetime {
    fn drop(&mut self) {
        // SAFETY: the only call of release: OwnedHandler::release does not drop the HandlerLifetime that it takes.
        drop(unsafe { self.0.table.release()(self.0.data) });
    }
}

impl OwnedHandler {
    /// Takes ownership of a handler that `attach` returned.
    #[must_use]
    pub fn new(handler: HandlerObject) -> Self {
        Self { object: handler, lifetime: Arc::new(HandlerLifetime(handler)) }
    }

    /// The handler, for calls whose futures the core drops before it releases the handler.
    #[must_use]
    #[inline]
    pub fn get(&self) -> HandlerObject {
        self.object
    }

    /// Calls [`HandlerTable::call`](theater_plugin_abi::HandlerTable::call).
    #[inline]
    pub fn call(
        &self,
        context: &HeldContext,
        function: u32,
        arguments: [&[u8]; 2],
        room: &mut [u8],
        answer: &mut Option<Answer>,
    ) -> Called<Waits> {
        // SAFETY: Waits owns a count of the handler and of the context, which is not changed while it is shared.
        let called = unsafe { self.object.call(context.0.0.get(), function, arguments, room, answer) };
        match called {
            Called::OutBuffer(length) => Called::OutBuffer(length),
            Called::Elsewhere => Called::Elsewhere,
            Called::Waits(future) => {
                Called::Waits(Waits { future, _context: Arc::clone(&context.0), _handler: Arc::clone(&self.lifetime) })
            }
        }
    }

    /// Releases the handler. A panic in its `Drop` is the answer.
    ///
    /// If a future of its calls is still alive, the handler is released with that future and a panic is not reported;
    /// the core therefore drops those futures first.
    #[must_use]
    pub fn release(self) -> Answer {
        match Arc::try_unwrap(self.lifetime) {
            Ok(lifetime) => {
                let HandlerLifetime(handler) = *std::mem::ManuallyDrop::new(lifetime);
                // SAFETY: the only call of release, because the HandlerLifetime is not dropped.
                unsafe { handler.table.release()(handler.data) }
            }
            Err(_) => Answer::ok(Vec::new()),
        }
    }
}

/// The future of a call that has not returned yet.
pub struct Waits {
    // First, because fields are dropped in order and the future borrows the other two.
    future: FfiFuture<Answer>,
    _context: Arc<ContextCell>,
    _handler: Arc<HandlerLifetime>,
}

impl Future for Waits {
    type Output = Answer;
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answer> {
        Pin::new(&mut self.future).poll(context)
    }
}

/// The context of a running handler call, shared with the futures of its host calls.
pub struct HeldContext(Arc<ContextCell>);

/// A context at an address that futures of a plugin may read from.
struct ContextCell(UnsafeCell<CallContext>);

// SAFETY: only HeldContext::change writes to it, and only while no one else owns a count.
unsafe impl Sync for ContextCell {}

impl HeldContext {
    /// Stores a context.
    #[must_use]
    pub fn new(context: CallContext) -> Self {
        Self(Arc::new(ContextCell(UnsafeCell::new(context))))
    }

    /// The context.
    #[must_use]
    #[inline]
    pub fn get(&self) -> &CallContext {
        // SAFETY: changes need &mut self, and a shared context is not changed.
        unsafe { &*self.0.0.get() }
    }

    /// The context, for a change. If a future may still read it, the change is made to a copy.
    #[inline]
    pub fn change(&mut self) -> &mut CallContext {
        if Arc::strong_count(&self.0) > 1 {
            *self = Self::new(*self.get());
        }
        // The count was 1: synchronise with the drops of the former owners, so that their reads are over.
        fence(Ordering::Acquire);
        // SAFETY: this is the only owner: there are no weak counts, and only OwnedHandler::call clones, which needs
        // &self.
        unsafe { &mut *self.0.0.get() }
    }
}

/// Notifies a plugin that an actor has ended for good; `None` if the plugin does not offer [`RemovedService`].
#[must_use]
pub fn forget(plugin: PluginObject, actor: &str) -> Option<FfiFuture<Answer>> {
    // SAFETY: data belongs to the table; the slice lives for the call.
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
