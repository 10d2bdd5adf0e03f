//! Locks of this crate's mutexes.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a mutex whose value is consistent at every point where a panic can happen, so that poisoning means nothing.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
