//! Core values: the flat form in which parameters and results cross between host and guest (Canonical ABI,
//! "flattening").

use std::mem::MaybeUninit;
use std::slice::{Iter, IterMut};

use wasmtime::component::__internal::CanonicalAbiInfo;
use wasmtime::{Result, ValRaw, bail, format_err};

/// The largest number of core values that are passed directly; longer lists are passed in memory (Canonical ABI,
/// `MAX_FLAT_PARAMS`).
pub const MAX_FLAT: usize = 16;

/// The core values of a value that is lifted, read in order.
pub struct FlatValues<'a>(Iter<'a, ValRaw>);

impl<'a> FlatValues<'a> {
    #[inline]
    pub(super) fn new(values: &'a [ValRaw]) -> Self {
        Self(values.iter())
    }
    #[inline]
    pub(super) fn next(&mut self) -> Result<&'a ValRaw> {
        self.0.next().ok_or_else(|| format_err!("fewer core values than the type has"))
    }
    #[inline]
    pub(super) fn left(&self) -> usize {
        self.0.len()
    }
}

/// The core values of a value that is lowered, written in order.
pub struct FlatSlots<'a>(IterMut<'a, MaybeUninit<ValRaw>>);

impl<'a> FlatSlots<'a> {
    #[inline]
    pub(super) fn new(slots: &'a mut [MaybeUninit<ValRaw>]) -> Self {
        Self(slots.iter_mut())
    }
    #[inline]
    pub(super) fn put(&mut self, value: ValRaw) -> Result<()> {
        self.0.next().ok_or_else(|| format_err!("more core values than the type has"))?.write(value);
        Ok(())
    }
    #[inline]
    pub(super) fn left(&self) -> usize {
        self.0.len()
    }
    /// Fails unless every slot was written: WebAssembly reads all of them.
    #[inline]
    pub(super) fn full(self) -> Result<()> {
        if self.0.len() == 0 { Ok(()) } else { bail!("fewer core values than the type has") }
    }
}

/// The number of core values of a type.
pub(super) fn flat_count(abi: &CanonicalAbiInfo) -> Result<usize> {
    abi.flat_count(usize::MAX).ok_or_else(|| format_err!("the type has too many core values"))
}

/// Checks a discriminant of a type with `count` cases.
pub(super) fn check_case(case: u32, count: usize) -> Result<u32> {
    if (case as usize) < count { Ok(case) } else { bail!("discriminant {case} out of range [0..{count})") }
}
