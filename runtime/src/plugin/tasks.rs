//! The tasks that a plugin spawned.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::support::executor::{self, Task};

/// The running tasks of one host of a plugin. They end with their owner.
pub(crate) struct Tasks {
    next: AtomicU64,
    // `None` once the owner has ended; no task is spawned any more.
    running: Mutex<Option<HashMap<u64, Task<()>>>>,
}

impl Default for Tasks {
    fn default() -> Self {
        Self { next: AtomicU64::new(0), running: Mutex::new(Some(HashMap::new())) }
    }
}

impl Tasks {
    fn lock(&self) -> MutexGuard<'_, Option<HashMap<u64, Task<()>>>> {
        // The map is consistent at every point where a panic can happen.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Spawns a task and returns its number.
    pub(crate) fn spawn(self: &Arc<Self>, future: impl Future<Output = ()> + Send + 'static) -> u64 {
        let number = 1 + self.next.fetch_add(1, Ordering::Relaxed);
        let tasks = Arc::clone(self);
        // Under the lock, so that a task that ends at once removes its entry after it was inserted.
        if let Some(running) = &mut *self.lock() {
            let task = executor::spawn(async move {
                future.await;
                drop(tasks.take(number));
            });
            running.insert(number, task);
        }
        number
    }

    fn take(&self, number: u64) -> Option<Task<()>> {
        self.lock().as_mut()?.remove(&number)
    }

    /// Cancels a task, if it has not ended.
    pub(crate) fn abort(&self, number: u64) {
        if let Some(task) = self.take(number) {
            executor::spawn(executor::cancel(task));
        }
    }

    /// Cancels all tasks and waits until they have been dropped.
    pub(crate) async fn end(&self) {
        let all = self.lock().take().unwrap_or_default();
        for task in all.into_values() {
            executor::cancel(task).await;
        }
    }
}
