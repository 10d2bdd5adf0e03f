//! All unsafe code of this crate: implementations of wasmtime's lift and lower traits, and memory that outlives a
//! borrow.
//!
//! Safe code implements [`LiftBytes`] or [`LowerBytes`]; [`Lifted`] and [`Lowered`] turn that into wasmtime's `Lift`
//! and `Lower`. What an implementation of the safe traits can get wrong is a wrong value or an error, never memory
//! safety:
//! - A lowering writes core values through [`FlatSlots`] only, and [`Lowered`] fails unless it filled all of them.
//! - Guest memory is reached through the context's checked slices only.
//!
//! Two contracts remain with callers in this crate, because no type expresses them: [`call`] needs the true number of
//! core values of a function, and bytes borrowed as [`GuestBytes`] must be dropped or copied before the guest runs
//! again.

use std::mem::{ManuallyDrop, MaybeUninit};
use std::ops::{Deref, DerefMut};

use wasmtime::component::__internal::{CanonicalAbiInfo, InstanceType, InterfaceType, LiftContext, LowerContext};
use wasmtime::component::{ComponentNamedList, ComponentType, Func, Lift, Lower, TypedFunc};
use wasmtime::{Result, Store, ValRaw, bail};

use crate::wasm::values::flat::{FlatSlots, FlatValues};

/// The ABI of a type with so many core values, as wasmtime is given it: no size and no alignment in memory.
const fn abi_of(flat: usize) -> CanonicalAbiInfo {
    CanonicalAbiInfo { size32: 0, align32: 1, size64: 0, align64: 1, flat_count: Some(flat as u8) }
}

// --- lifting
// ------------------------------------------------------------------------------------------------------------

/// A value that is lifted out of a guest, by safe code.
pub trait LiftBytes: Sized {
    /// Lifts the value from its core values.
    ///
    /// # Errors
    /// Core values or memory that do not hold a value of the type.
    fn from_flat(cx: &mut LiftContext<'_>, ty: InterfaceType, src: &mut FlatValues<'_>) -> Result<Self>;

    /// Lifts the value from guest memory at the offset `at`.
    ///
    /// # Errors
    /// Memory that does not hold a value of the type.
    fn from_memory(cx: &mut LiftContext<'_>, ty: InterfaceType, at: usize) -> Result<Self>;
}

/// A value as wasmtime lifts it, from `N` core values or from memory.
pub struct Lifted<V, const N: usize>(pub V);

// SAFETY: Lower is an array of N ValRaw, which is how a list of N core values is passed; the linker and `call` choose N
// from the function's own type. SIZE32 = 0 claims no memory: lifting reaches memory through the context only.
unsafe impl<V: Send + Sync, const N: usize> ComponentType for Lifted<V, N> {
    type Lower = [ValRaw; N];
    const ABI: CanonicalAbiInfo = abi_of(N);
    fn typecheck(_: &InterfaceType, _: &InstanceType<'_>) -> Result<()> {
        Ok(())
    }
}

// SAFETY: the value is a whole parameter or result list, whose type the lift is given as one tuple.
unsafe impl<V: Send + Sync, const N: usize> ComponentNamedList for Lifted<V, N> {}

// SAFETY: both functions only read what the context and the slices give them.
unsafe impl<V: LiftBytes + Send + Sync, const N: usize> Lift for Lifted<V, N> {
    #[inline]
    fn linear_lift_from_flat(cx: &mut LiftContext<'_>, ty: InterfaceType, src: &[ValRaw; N]) -> Result<Self> {
        V::from_flat(cx, ty, &mut FlatValues::new(src)).map(Self)
    }
    #[inline]
    fn linear_lift_from_memory(cx: &mut LiftContext<'_>, ty: InterfaceType, bytes: &[u8]) -> Result<Self> {
        // SIZE32 is 0: `bytes` is empty and only says where the value is.
        let at = offset_of(cx.memory(), bytes);
        V::from_memory(cx, ty, at).map(Self)
    }
}

/// The offset of `part` (of length 0) within `whole`.
fn offset_of(whole: &[u8], part: &[u8]) -> usize {
    (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize)
}

// --- lowering
// -----------------------------------------------------------------------------------------------------------

/// A value that is lowered into a guest, by safe code.
pub trait LowerBytes {
    /// Lowers the value to core values.
    ///
    /// # Errors
    /// A value that is not of the type, or a guest that could not allocate memory for it.
    fn to_flat<T>(&self, cx: &mut LowerContext<'_, T>, ty: InterfaceType, dst: &mut FlatSlots<'_>) -> Result<()>;

    /// Lowers the value to guest memory at the offset `at`.
    ///
    /// # Errors
    /// As [`LowerBytes::to_flat`].
    fn to_memory<T>(&self, cx: &mut LowerContext<'_, T>, ty: InterfaceType, at: usize) -> Result<()>;
}

/// A value as wasmtime lowers it. As the result of an import: encoded bytes ([`Readable`](super::Readable)); `N` is 0
/// or 1 core values, 2 for a result in memory.
pub struct Lowered<V, const N: usize>(pub V);

// SAFETY: as for Lifted.
unsafe impl<V: Send + Sync, const N: usize> ComponentType for Lowered<V, N> {
    type Lower = [ValRaw; N];
    const ABI: CanonicalAbiInfo = abi_of(N);
    fn typecheck(_: &InterfaceType, _: &InstanceType<'_>) -> Result<()> {
        Ok(())
    }
}

// SAFETY: the value is a whole parameter or result list.
unsafe impl<V: Send + Sync, const N: usize> ComponentNamedList for Lowered<V, N> {}

// SAFETY: fills every slot or fails; memory is written through checked slices only.
unsafe impl<V: LowerBytes + Send + Sync, const N: usize> Lower for Lowered<V, N> {
    #[inline]
    fn linear_lower_to_flat<T>(
        &self,
        cx: &mut LowerContext<'_, T>,
        ty: InterfaceType,
        dst: &mut MaybeUninit<[ValRaw; N]>,
    ) -> Result<()> {
        // SAFETY: an array of N uninitialised values is N uninitialised values (what `transpose` of std does).
        let slots = unsafe { &mut *std::ptr::from_mut(dst).cast::<[MaybeUninit<ValRaw>; N]>() };
        let mut slots = FlatSlots::new(slots);
        self.0.to_flat(cx, ty, &mut slots)?;
        slots.full()
    }
    #[inline]
    fn linear_lower_to_memory<T>(&self, cx: &mut LowerContext<'_, T>, ty: InterfaceType, at: usize) -> Result<()> {
        self.0.to_memory(cx, ty, at)
    }
}

/// Lowers a string for a guest whose strings are not UTF-8: its pointer and length.
pub(super) fn transcode<T>(cx: &mut LowerContext<'_, T>, text: &str) -> Result<(u32, u32)> {
    let mut raw = MaybeUninit::<[ValRaw; 2]>::new([ValRaw::u64(0), ValRaw::u64(0)]);
    text.linear_lower_to_flat(cx, InterfaceType::String, &mut raw)?;
    // SAFETY: initialised above, and overwritten by the lowering with a pointer and a length.
    let [pointer, length] = unsafe { raw.assume_init() };
    Ok((pointer.get_u32(), length.get_u32()))
}

// --- calling an export
// --------------------------------------------------------------------------------------------------

/// A parameter list of more than 16 core values: one core value, the pointer to a block that this lowering allocates in
/// the guest (Canonical ABI, `lower_heap_values`).
struct Block<P>(P);

impl<P: LowerBytes> LowerBytes for Block<P> {
    fn to_flat<T>(&self, cx: &mut LowerContext<'_, T>, ty: InterfaceType, dst: &mut FlatSlots<'_>) -> Result<()> {
        let block = cx.types.canonical_abi(&ty);
        let at = cx.realloc(0, 0, block.align32, block.size32 as usize)?;
        self.0.to_memory(cx, ty, at)?;
        dst.put(ValRaw::u64(at as u64))
    }
    fn to_memory<T>(&self, _: &mut LowerContext<'_, T>, _: InterfaceType, _: usize) -> Result<()> {
        bail!("the block is one core value")
    }
}

/// Calls an export whose parameters have `flat` core values and whose result is returned through memory. The caller
/// must have checked both: wasmtime passes the parameters as that number of core values without looking at the
/// function's type.
///
/// # Errors
/// A trap, or values that do not fit the function's types.
pub(super) async fn call<T, P, R>(store: &mut Store<T>, function: Func, flat: usize, params: P) -> Result<R>
where
    T: Send + 'static,
    P: LowerBytes + Send + Sync,
    R: LiftBytes + Send + Sync + 'static,
{
    // Two core values are more than the one that may be returned directly, so wasmtime passes the result through
    // memory.
    macro_rules! call {
        ($($count:literal)*) => {
            match flat {
                $($count => {
                    // SAFETY: the function takes `flat` core values and returns through memory (contract of this
                    // function); everything else about the types is checked while lowering and lifting.
                    let typed = unsafe { TypedFunc::<Lowered<P, $count>, Lifted<R, 2>>::new_unchecked(function) };
                    typed.call_async(store, Lowered(params)).await.map(|lifted| lifted.0)
                })*
                _ => {
                    // SAFETY: above 16 core values the function takes one, the pointer to the block.
                    let typed = unsafe { TypedFunc::<Lowered<Block<P>, 1>, Lifted<R, 2>>::new_unchecked(function) };
                    typed.call_async(store, Lowered(Block(params))).await.map(|lifted| lifted.0)
                }
            }
        };
    }
    call!(3 4 5 6 7 8 9 10 11 12 13 14 15 16)
}

// --- memory of a call frame
// ---------------------------------------------------------------------------------------------

/// Bytes in a guest's memory, without a borrow of the store. The holder must drop them or copy them before the guest
/// runs again: it may move or change its memory then.
pub(super) struct GuestBytes {
    pointer: *const u8,
    length: usize,
}

// SAFETY: only read, and only between the lift of a call's arguments and the next time that the guest runs.
unsafe impl Send for GuestBytes {}
// SAFETY: as above.
unsafe impl Sync for GuestBytes {}

impl GuestBytes {
    pub(super) const NONE: Self = Self { pointer: std::ptr::null(), length: 0 };

    #[inline]
    pub(super) fn new(bytes: &[u8]) -> Self {
        Self { pointer: bytes.as_ptr(), length: bytes.len() }
    }

    #[inline]
    pub(super) fn get(&self) -> &[u8] {
        match self.length {
            0 => &[],
            // SAFETY: made from a slice of the guest's memory, which neither moves nor changes until the guest runs
            // again; the holder has dropped it by then (contract of this type and of CallFrame).
            length => unsafe { std::slice::from_raw_parts(self.pointer, length) },
        }
    }
}

/// A value whose memory is used again after it is dropped.
pub(super) trait Recycle {
    /// Takes the memory back.
    fn recycle(self: Box<Self>);
}

/// A box that goes to [`Recycle::recycle`] when it is dropped.
pub(super) struct Recycled<T: Recycle>(ManuallyDrop<Box<T>>);

impl<T: Recycle> Recycled<T> {
    #[inline]
    pub(super) fn new(value: Box<T>) -> Self {
        Self(ManuallyDrop::new(value))
    }
}

impl<T: Recycle> Deref for Recycled<T> {
    type Target = T;
    #[inline(always)]
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Recycle> DerefMut for Recycled<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: Recycle> Drop for Recycled<T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: taken once, here.
        unsafe { ManuallyDrop::take(&mut self.0) }.recycle();
    }
}
