//! A one-shot flag that tasks and threads can wait for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};

use event_listener::Event;

/// A flag that is set once and wakes every waiter. Clones share the flag.
#[derive(Debug, Clone, Default)]
pub struct Latch(Arc<Flag>);

#[derive(Debug, Default)]
struct Flag {
    is_set: AtomicBool,
    event: Event,
}

impl Latch {
    /// Sets the flag and wakes all waiters. Setting it again has no effect.
    pub fn set(&self) {
        if !self.0.is_set.swap(true, Ordering::SeqCst) {
            fence(Ordering::SeqCst);
            // Most latches are set while nothing waits, and `notify` would allocate. A waiter that registers at the same
            // time checks the flag again after its own fence.
            if self.0.event.total_listeners() > 0 {
                self.0.event.notify(usize::MAX);
            }
        }
    }

    /// Whether the flag is set.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.is_set.load(Ordering::SeqCst)
    }

    /// Waits until the flag is set.
    pub async fn wait(&self) {
        while !self.is_set() {
            let set = self.0.event.listen();
            fence(Ordering::SeqCst);
            // Set between the two checks: no notification follows.
            if !self.is_set() {
                set.await;
            }
        }
    }
}

/// Sets its latch when dropped.
#[derive(Debug, Default)]
pub(crate) struct SetOnDrop(pub Latch);

impl Drop for SetOnDrop {
    fn drop(&mut self) {
        self.0.set();
    }
}
