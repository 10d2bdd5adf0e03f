//! The opaque `this` of an object as a reference or a share of the value behind it.
//!
//! Each side creates its objects with `Arc::into_raw`; the object holds one count until its `release`.

use std::sync::Arc;

/// The value behind `this`.
///
/// # Safety
/// `this` must come from `Arc::<T>::into_raw` and not have been released.
pub(crate) unsafe fn borrow<'a, T>(this: *const ()) -> &'a T {
    // SAFETY: by the contract of this function.
    unsafe { &*this.cast::<T>() }
}

/// A new owner of the value behind `this`.
///
/// # Safety
/// As [`borrow`].
pub(crate) unsafe fn share<T>(this: *const ()) -> Arc<T> {
    // SAFETY: by the contract of this function the object holds one count; the returned Arc gets another.
    unsafe {
        Arc::increment_strong_count(this.cast::<T>());
        Arc::from_raw(this.cast::<T>())
    }
}
