//! Values between a component's memory and encoded bytes, without `Val` in between: the only unsafe code of the core.
//!
//! The types here implement wasmtime's `ComponentType`, `Lift` and `Lower` over bytes in the one encoding
//! (`theater_plugin_api::encoding`). What a value looks like in memory comes from the component's own type information at
//! run time, so one Rust type serves every WIT type with the same number of core values:
//!
//! | type | direction | for |
//! |---|---|---|
//! | [`Args`] | out of the guest | parameters of an import, as an [`CallFrame`] |
//! | [`Ret`] | into the guest | result of an import |
//! | [`Export`], [`ExportBlock`] | into the guest | state and parameters of a handler export, at most 16 core values and more |
//! | [`Returned`] | out of the guest | state and values a handler export returns |
//!
//! These traits are outside wasmtime's stability promise: the dependency is pinned to one release series. Their `SIZE32`
//! is 0 and `ALIGN32` 1 here, which switches wasmtime's own checks off, so alignment, bounds, discriminants, chars and
//! UTF-8 are checked here, as the Canonical ABI says (component-model, `CanonicalABI.md`).
//!
//! Invariant: lowering is only given bytes that [`ValueType::validate`](theater_chain::value_type::ValueType::validate) accepted for the same
//! type; it still never reads or writes out of bounds when they are not, it fails.

use std::cell::Cell;
use std::mem::{ManuallyDrop, MaybeUninit};

use theater_plugin_api::abi::Answer;
use theater_plugin_api::encoding::memcpy;
use theater_plugin_api::encoding::{
    EncodingError, NAN_32, NAN_64, Reader, unzigzag, write_bytes, write_flags, write_varint, zigzag,
};
use wasmtime::component::__internal::wasmtime_environ::component::{StringEncoding, VariantInfo};
use wasmtime::component::__internal::{
    CanonicalAbiInfo, ComponentTypes, InstanceType, InterfaceType, LiftContext, LowerContext,
};
use wasmtime::component::{ComponentNamedList, ComponentType, Lift, Lower};
use wasmtime::{Result, ValRaw, bail, format_err};

/// Most core values that travel as such; more go through memory (Canonical ABI, `MAX_FLAT_PARAMS`).
pub const MAX_FLAT: usize = 16;

const fn abi_of(flat: usize) -> CanonicalAbiInfo {
    CanonicalAbiInfo { size32: 0, align32: 1, size64: 0, align64: 1, flat_count: Some(flat as u8) }
}

fn bad(error: EncodingError) -> wasmtime::Error {
    format_err!("bytes do not fit their type: {error}")
}

// ---- out of the guest -------------------------------------------------------------------------------------------------------

struct Lifter<'c, 'm> {
    cx: &'c mut LiftContext<'m>,
    types: &'m ComponentTypes,
    memory: &'m [u8],
    utf8: bool,
}

impl<'c, 'm> Lifter<'c, 'm> {
    fn new(cx: &'c mut LiftContext<'m>) -> Self {
        let types: &'m ComponentTypes = cx.types;
        let memory = cx.memory();
        let utf8 = matches!(cx.options().string_encoding, StringEncoding::Utf8);
        Self { cx, types, memory, utf8 }
    }

    fn read<const N: usize>(&self, at: usize) -> Result<[u8; N]> {
        let bytes = self.memory.get(at..).and_then(|rest| rest.first_chunk::<N>());
        bytes.copied().ok_or_else(|| format_err!("pointer out of bounds of memory"))
    }

    fn u32_at(&self, at: usize) -> Result<u32> {
        self.read::<4>(at).map(u32::from_le_bytes)
    }

    fn memory_value(&mut self, ty: InterfaceType, at: usize, out: &mut Vec<u8>) -> Result<()> {
        match ty {
            InterfaceType::Bool => out.push(u8::from(self.read::<1>(at)? != [0])),
            InterfaceType::U8 | InterfaceType::S8 => out.push(u8::from_le_bytes(self.read(at)?)),
            InterfaceType::U16 => write_varint(out, u16::from_le_bytes(self.read(at)?).into()),
            InterfaceType::U32 => write_varint(out, self.u32_at(at)?.into()),
            InterfaceType::U64 => write_varint(out, u64::from_le_bytes(self.read(at)?)),
            InterfaceType::S16 => write_varint(out, zigzag(i16::from_le_bytes(self.read(at)?).into())),
            InterfaceType::S32 => write_varint(out, zigzag(i32::from_le_bytes(self.read(at)?).into())),
            InterfaceType::S64 => write_varint(out, zigzag(i64::from_le_bytes(self.read(at)?))),
            InterfaceType::Float32 => write_f32(out, self.u32_at(at)?),
            InterfaceType::Float64 => write_f64(out, u64::from_le_bytes(self.read(at)?)),
            InterfaceType::Char => write_char(out, self.u32_at(at)?)?,
            InterfaceType::String => self.string(self.u32_at(at)?, self.u32_at(at + 4)?, out)?,
            InterfaceType::List(_) => self.list(ty, self.u32_at(at)?, self.u32_at(at + 4)?, out)?,
            InterfaceType::Tuple(index) => {
                let types = self.types;
                let mut offset = 0;
                for ty in &types[index].types {
                    let field = types.canonical_abi(ty).next_field32(&mut offset);
                    self.memory_value(*ty, at + field as usize, out)?;
                }
            }
            InterfaceType::Record(index) => {
                let types = self.types;
                let mut offset = 0;
                for field in &types[index].fields {
                    let place = types.canonical_abi(&field.ty).next_field32(&mut offset);
                    self.memory_value(field.ty, at + place as usize, out)?;
                }
            }
            InterfaceType::Option(index) => {
                let option = &self.types[index];
                let tag = self.case_at(&option.info, 2, at)?;
                out.push(tag as u8);
                if tag == 1 {
                    self.memory_value(option.ty, at + option.info.payload_offset32 as usize, out)?;
                }
            }
            InterfaceType::Result(index) => {
                let result = &self.types[index];
                let tag = self.case_at(&result.info, 2, at)?;
                out.push(tag as u8);
                if let Some(payload) = if tag == 0 { result.ok } else { result.err } {
                    self.memory_value(payload, at + result.info.payload_offset32 as usize, out)?;
                }
            }
            InterfaceType::Variant(index) => {
                let variant = &self.types[index];
                let tag = self.case_at(&variant.info, variant.cases.len(), at)?;
                write_varint(out, tag.into());
                if let Some((_, Some(payload))) = variant.cases.get_index(tag as usize) {
                    self.memory_value(*payload, at + variant.info.payload_offset32 as usize, out)?;
                }
            }
            InterfaceType::Enum(index) => {
                let cases = &self.types[index];
                write_varint(out, self.case_at(&cases.info, cases.names.len(), at)?.into());
            }
            InterfaceType::Flags(index) => {
                let count = self.types[index].names.len();
                let bits = match count {
                    0 => Vec::new(),
                    1..=8 => self.read::<1>(at)?.to_vec(),
                    9..=16 => self.read::<2>(at)?.to_vec(),
                    _ => {
                        let length = count.div_ceil(32) * 4;
                        let bits = self.memory.get(at..).and_then(|rest| rest.get(..length));
                        bits.ok_or_else(|| format_err!("pointer out of bounds of memory"))?.to_vec()
                    }
                };
                put_flags(out, count, bits);
            }
            other => bail!("{other:?} cannot cross the plugin boundary"),
        }
        Ok(())
    }

    fn case_at(&self, info: &VariantInfo, count: usize, at: usize) -> Result<u32> {
        let case = match u32::from(info.size) {
            1 => u8::from_le_bytes(self.read(at)?).into(),
            2 => u16::from_le_bytes(self.read(at)?).into(),
            _ => self.u32_at(at)?,
        };
        check_case(case, count)
    }

    fn string(&mut self, pointer: u32, length: u32, out: &mut Vec<u8>) -> Result<()> {
        if !self.utf8 {
            let raw = [ValRaw::u32(pointer), ValRaw::u32(length)];
            let text = String::linear_lift_from_flat(self.cx, InterfaceType::String, &raw)?;
            self.cx.consume_fuel(text.len())?;
            write_bytes(out, text.as_bytes());
            return Ok(());
        }
        let bytes = self.slice(pointer, length as usize)?;
        check_utf8(bytes)?;
        write_bytes(out, bytes);
        Ok(())
    }

    /// `length` bytes at `pointer`, paid for with fuel.
    fn slice(&mut self, pointer: u32, length: usize) -> Result<&'m [u8]> {
        self.cx.consume_fuel(length)?;
        let bytes = self.memory.get(pointer as usize..).and_then(|rest| rest.get(..length));
        bytes.ok_or_else(|| format_err!("pointer and length out of bounds of memory"))
    }

    fn list(&mut self, ty: InterfaceType, pointer: u32, length: u32, out: &mut Vec<u8>) -> Result<()> {
        let InterfaceType::List(index) = ty else { bail!("not a list") };
        let element = self.types[index].element;
        if let InterfaceType::U8 = element {
            let bytes = self.slice(pointer, length as usize)?;
            write_bytes(out, bytes);
            return Ok(());
        }
        let layout = self.types.canonical_abi(&element);
        let (size, align) = (layout.size32 as usize, layout.align32);
        if !pointer.is_multiple_of(align) {
            bail!("list pointer is not aligned to {align}");
        }
        let bytes = (length as usize).checked_mul(size).ok_or_else(|| format_err!("list too long"))?;
        self.slice(pointer, bytes)?;
        write_varint(out, length.into());
        for number in 0..length as usize {
            self.memory_value(element, pointer as usize + number * size, out)?;
        }
        Ok(())
    }

    /// A parameter list. Long bytes at its end stay in the guest's memory.
    fn parameters(&mut self, ty: InterfaceType, src: &mut Flats<'_>, exchange: &mut CallFrame) -> Result<()> {
        let Parts { arguments: out, tail, .. } = &mut **exchange.0;
        let InterfaceType::Tuple(index) = ty else { bail!("parameters are a tuple") };
        let types = self.types;
        let Some((last, first)) = types[index].types.split_last() else { return Ok(()) };
        for ty in first {
            self.flat_value(*ty, src, out)?;
        }
        let content = match last {
            InterfaceType::String if self.utf8 => {
                let content = self.slice(src.next()?.get_u32(), src.next()?.get_u32() as usize)?;
                check_utf8(content)?;
                content
            }
            InterfaceType::List(list) if matches!(types[*list].element, InterfaceType::U8) => {
                self.slice(src.next()?.get_u32(), src.next()?.get_u32() as usize)?
            }
            other => return self.flat_value(*other, src, out),
        };
        if content.len() < LONG {
            write_bytes(out, content);
        } else {
            write_varint(out, content.len() as u64);
            *tail = Tail { pointer: content.as_ptr(), length: content.len() };
        }
        Ok(())
    }

    // Inlined apart from what has parts: most parameters and fields are numbers.
    #[inline(always)]
    fn flat_value(&mut self, ty: InterfaceType, src: &mut Flats<'_>, out: &mut Vec<u8>) -> Result<()> {
        match ty {
            InterfaceType::Bool => out.push(u8::from(src.next()?.get_u32() != 0)),
            InterfaceType::U8 | InterfaceType::S8 => out.push(src.next()?.get_u32() as u8),
            InterfaceType::U16 => write_varint(out, (src.next()?.get_u32() as u16).into()),
            InterfaceType::U32 => write_varint(out, src.next()?.get_u32().into()),
            InterfaceType::U64 => write_varint(out, src.next()?.get_u64()),
            InterfaceType::S16 => write_varint(out, zigzag((src.next()?.get_u32() as i16).into())),
            InterfaceType::S32 => write_varint(out, zigzag(src.next()?.get_i32().into())),
            InterfaceType::S64 => write_varint(out, zigzag(src.next()?.get_i64())),
            InterfaceType::Float32 => write_f32(out, src.next()?.get_f32()),
            InterfaceType::Float64 => write_f64(out, src.next()?.get_f64()),
            InterfaceType::Char => write_char(out, src.next()?.get_u32())?,
            parted => return self.flat_parts(parted, src, out),
        }
        Ok(())
    }

    fn flat_parts(&mut self, ty: InterfaceType, src: &mut Flats<'_>, out: &mut Vec<u8>) -> Result<()> {
        match ty {
            InterfaceType::String => self.string(src.next()?.get_u32(), src.next()?.get_u32(), out)?,
            InterfaceType::List(_) => self.list(ty, src.next()?.get_u32(), src.next()?.get_u32(), out)?,
            InterfaceType::Tuple(index) => {
                let types = self.types;
                for ty in &types[index].types {
                    self.flat_value(*ty, src, out)?;
                }
            }
            InterfaceType::Record(index) => {
                let types = self.types;
                for field in &types[index].fields {
                    self.flat_value(field.ty, src, out)?;
                }
            }
            InterfaceType::Option(index) => {
                let option = &self.types[index];
                let flat = flat_count(&option.abi)?;
                self.flat_case(2, flat, src, out, |tag| (tag == 1).then_some(option.ty))?;
            }
            InterfaceType::Result(index) => {
                let result = &self.types[index];
                let flat = flat_count(&result.abi)?;
                self.flat_case(2, flat, src, out, |tag| if tag == 0 { result.ok } else { result.err })?;
            }
            InterfaceType::Variant(index) => {
                let variant = &self.types[index];
                let flat = flat_count(&variant.abi)?;
                let payload = |tag: u32| variant.cases.get_index(tag as usize).and_then(|(_, payload)| *payload);
                self.flat_case(variant.cases.len(), flat, src, out, payload)?;
            }
            InterfaceType::Enum(index) => {
                let count = self.types[index].names.len();
                write_varint(out, check_case(src.next()?.get_u32(), count)?.into());
            }
            InterfaceType::Flags(index) => {
                let flags = &self.types[index];
                let mut bits = Vec::with_capacity(8);
                for _ in 0..flat_count(&flags.abi)? {
                    bits.extend_from_slice(&src.next()?.get_u32().to_le_bytes());
                }
                put_flags(out, flags.names.len(), bits);
            }
            other => bail!("{other:?} cannot cross the plugin boundary"),
        }
        Ok(())
    }

    /// A tag and the payload it chooses, which may take fewer core values than the type has.
    fn flat_case(
        &mut self,
        count: usize,
        flat: usize,
        src: &mut Flats<'_>,
        out: &mut Vec<u8>,
        payload: impl FnOnce(u32) -> Option<InterfaceType>,
    ) -> Result<()> {
        let before = src.left();
        let tag = check_case(src.next()?.get_u32(), count)?;
        write_varint(out, tag.into());
        if let Some(payload) = payload(tag) {
            self.flat_value(payload, src, out)?;
        }
        while before - src.left() < flat {
            src.next()?;
        }
        Ok(())
    }
}

struct Flats<'a>(std::slice::Iter<'a, ValRaw>);

impl<'a> Flats<'a> {
    fn next(&mut self) -> Result<&'a ValRaw> {
        self.0.next().ok_or_else(|| format_err!("fewer core values than the type has"))
    }
    fn left(&self) -> usize {
        self.0.len()
    }
}

fn flat_count(abi: &CanonicalAbiInfo) -> Result<usize> {
    abi.flat_count(usize::MAX).ok_or_else(|| format_err!("the type has too many core values"))
}

fn check_case(case: u32, count: usize) -> Result<u32> {
    if (case as usize) < count { Ok(case) } else { bail!("discriminant {case} out of range [0..{count})") }
}

fn check_utf8(bytes: &[u8]) -> Result<()> {
    if std::str::from_utf8(bytes).is_ok() { Ok(()) } else { bail!("a string is not UTF-8") }
}

fn write_f32(out: &mut Vec<u8>, bits: u32) {
    let bits = if f32::from_bits(bits).is_nan() { NAN_32 } else { bits };
    out.extend_from_slice(&bits.to_le_bytes());
}

fn write_f64(out: &mut Vec<u8>, bits: u64) {
    let bits = if f64::from_bits(bits).is_nan() { NAN_64 } else { bits };
    out.extend_from_slice(&bits.to_le_bytes());
}

fn write_char(out: &mut Vec<u8>, scalar: u32) -> Result<()> {
    let Some(c) = char::from_u32(scalar) else { bail!("{scalar:#x} is no char") };
    write_bytes(out, c.encode_utf8(&mut [0; 4]).as_bytes());
    Ok(())
}

/// Bits above the declared flags are ignored on the way out of a guest (Canonical ABI, `unpack_flags_from_int`).
fn put_flags(out: &mut Vec<u8>, count: usize, mut bits: Vec<u8>) {
    let length = count.div_ceil(8);
    bits.resize(length, 0);
    if let (Some(last), spare @ 1..) = (bits.last_mut(), length * 8 - count) {
        *last &= 0xff >> spare;
    }
    write_flags(out, count, &bits);
}

/// The encoded arguments and result of one host call.
///
/// When the arguments end with a long `list<u8>` or string, its content stays where the guest has it. Whoever gets one with
/// [`Args`] must [keep](CallFrame::keep) or [release](CallFrame::release) it before the guest runs again: before an await, and
/// before the result is lowered, which calls the guest's `realloc`.
pub struct CallFrame(ManuallyDrop<Box<Parts>>);

// Behind one pointer, since it is moved often, and larger moves cost more than all else the core does for a short call.
struct Parts {
    arguments: Vec<u8>,
    tail: Tail,
    room: [u8; OUT_BUFFER],
    answer: Option<Answer>,
    result: ResultPart,
}

/// Where a result is.
enum ResultPart {
    /// At the start of the room.
    OutBuffer(usize),
    /// There as well: a number with these bits as a core value.
    Number(usize, u64),
    /// In the plugin's answer.
    Answer,
    Core(Vec<u8>),
}

/// Longer results come in memory of the plugin's.
const OUT_BUFFER: usize = 1024;

/// Bytes in the guest's memory.
struct Tail {
    pointer: *const u8,
    length: usize,
}

impl Tail {
    const NONE: Self = Self { pointer: std::ptr::null(), length: 0 };
}

// SAFETY: only read, and only between the lift of a call's arguments and the next time that the guest runs.
unsafe impl Send for Tail {}
// SAFETY: as above.
unsafe impl Sync for Tail {}

/// A content of this length on is not copied out of the guest before it is known who needs it.
const LONG: usize = 1024;

thread_local! {
    // One comes and goes with every host call: the last one that was dropped on this thread serves the next call.
    static FREE: Cell<Option<Box<Parts>>> = const { Cell::new(None) };
}

/// Most bytes of arguments whose memory is kept for the next call.
const KEPT: usize = 256 * 1024;

impl CallFrame {
    fn new() -> Self {
        let new = || {
            let (arguments, result) = (Vec::with_capacity(64), ResultPart::OutBuffer(0));
            Box::new(Parts { arguments, tail: Tail::NONE, room: [0; OUT_BUFFER], answer: None, result })
        };
        Self(ManuallyDrop::new(FREE.take().unwrap_or_else(new)))
    }

    /// The encoded arguments, in two parts; the second is empty or the content of a `list<u8>` or string, as a whole.
    #[must_use]
    pub fn arguments(&self) -> [&[u8]; 2] {
        [&self.0.arguments, self.0.tail.get()]
    }

    /// The arguments, room for a result, and a place for an answer that is not in the room.
    pub fn ask(&mut self) -> ([&[u8]; 2], &mut [u8], &mut Option<Answer>) {
        let Parts { arguments, tail, room, answer, .. } = &mut **self.0;
        ([arguments, tail.get()], room, answer)
    }

    /// With encoded arguments.
    #[must_use]
    pub fn of(arguments: Vec<u8>) -> Self {
        let mut exchange = Self::new();
        exchange.0.arguments = arguments;
        exchange
    }

    /// Copies what is still in the guest's memory.
    pub fn keep(&mut self) {
        let Parts { arguments, tail, .. } = &mut **self.0;
        memcpy::append(arguments, tail.get());
        *tail = Tail::NONE;
    }

    /// Lets go of the guest's memory: nobody looks at the arguments any more.
    pub fn release(&mut self) {
        self.0.tail = Tail::NONE;
    }

    /// A copy of the whole arguments, in memory of their own size.
    #[must_use]
    pub fn into_arguments(self) -> Vec<u8> {
        self.arguments().concat()
    }

    /// The result is so many bytes of the room.
    pub fn in_room(&mut self, length: usize) {
        self.0.result = ResultPart::OutBuffer(length);
    }

    /// What is in the room is a number, with these bits as a core value.
    #[inline]
    pub fn is_number(&mut self, bits: u64) {
        if let ResultPart::OutBuffer(length) = self.0.result {
            self.0.result = ResultPart::Number(length, bits);
        }
    }

    /// A plugin's answer, if there is one.
    #[must_use]
    pub fn answer(&self) -> Option<&Answer> {
        self.0.answer.as_ref()
    }

    /// The result is what the plugin answered.
    pub fn answered(&mut self) {
        self.0.result = ResultPart::Answer;
    }

    /// The result is the core's own.
    pub fn replaced(&mut self, result: Vec<u8>) {
        self.0.result = ResultPart::Core(result);
    }

    /// The encoded result, in two parts as the arguments.
    #[must_use]
    pub fn result(&self) -> [&[u8]; 2] {
        match &self.0.result {
            ResultPart::OutBuffer(length) | ResultPart::Number(length, _) => {
                [self.0.room.get(..*length).unwrap_or_default(), &[]]
            }
            ResultPart::Answer => self.0.answer.as_ref().map_or([&[], &[]], |answer| [&answer.bytes, &answer.tail]),
            ResultPart::Core(bytes) => [bytes, &[]],
        }
    }
}

impl Tail {
    fn get(&self) -> &[u8] {
        match self.length {
            0 => &[],
            // SAFETY: made from a slice of the guest's memory, which neither moves nor changes until the guest runs again;
            // the holder has let go of it by then (contract of CallFrame).
            length => unsafe { std::slice::from_raw_parts(self.pointer, length) },
        }
    }
}

impl Drop for CallFrame {
    fn drop(&mut self) {
        // SAFETY: taken once, here.
        let mut parts = unsafe { ManuallyDrop::take(&mut self.0) };
        if parts.arguments.capacity() > KEPT {
            return;
        }
        parts.arguments.clear();
        (parts.tail, parts.answer, parts.result) = (Tail::NONE, None, ResultPart::OutBuffer(0));
        // A thread that is ending keeps nothing.
        FREE.try_with(|free| free.set(Some(parts))).unwrap_or_default();
    }
}

/// Parameters of an import; `N` is the number of core values, anything above 16 for those in memory.
pub struct Args<const N: usize>(pub CallFrame);

// SAFETY: Lower is an array of N ValRaw, which is what a parameter list of N core values is passed as; the linker chooses
// N from the function's own type. SIZE32 = 0 claims no memory: lifting reaches memory through the context only.
unsafe impl<const N: usize> ComponentType for Args<N> {
    type Lower = [ValRaw; N];
    const ABI: CanonicalAbiInfo = abi_of(N);
    fn typecheck(_: &InterfaceType, _: &InstanceType<'_>) -> Result<()> {
        Ok(())
    }
}
// SAFETY: stands for a whole parameter list, whose type the lift is given as one tuple.
unsafe impl<const N: usize> ComponentNamedList for Args<N> {}
// SAFETY: both functions only read what the context and the slices give them.
unsafe impl<const N: usize> Lift for Args<N> {
    fn linear_lift_from_flat(cx: &mut LiftContext<'_>, ty: InterfaceType, src: &[ValRaw; N]) -> Result<Self> {
        let mut exchange = CallFrame::new();
        Lifter::new(cx).parameters(ty, &mut Flats(src.iter()), &mut exchange)?;
        Ok(Self(exchange))
    }
    fn linear_lift_from_memory(cx: &mut LiftContext<'_>, ty: InterfaceType, bytes: &[u8]) -> Result<Self> {
        // wasmtime has checked bounds and alignment of the block by the function's own type (validate_inbounds_dynamic).
        let at = offset_of(cx.memory(), bytes);
        let mut exchange = CallFrame::new();
        Lifter::new(cx).memory_value(ty, at, &mut exchange.0.arguments)?;
        Ok(Self(exchange))
    }
}

/// Where `part` (of length 0) starts within `whole`.
fn offset_of(whole: &[u8], part: &[u8]) -> usize {
    (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize)
}

/// What a handler export returned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Returned {
    /// `ok`: the new state (`None`: keep the old one) and the encoded values behind it.
    Ok(Option<Vec<u8>>, Vec<u8>),
    /// `err` with its text.
    Err(String),
}

/// [`Returned`], as wasmtime lifts it.
pub struct Lifted(pub Returned);

// SAFETY: two core values stand for "more than one", so that wasmtime passes the result through memory, as it does for
// every `result<tuple<..>, string>`; the array is never filled.
unsafe impl ComponentType for Lifted {
    type Lower = [ValRaw; 2];
    const ABI: CanonicalAbiInfo = abi_of(2);
    fn typecheck(_: &InterfaceType, _: &InstanceType<'_>) -> Result<()> {
        Ok(())
    }
}
// SAFETY: stands for a whole result list.
unsafe impl ComponentNamedList for Lifted {}
// SAFETY: only reads what the context gives, with its own checks of bounds and alignment.
unsafe impl Lift for Lifted {
    fn linear_lift_from_flat(_: &mut LiftContext<'_>, _: InterfaceType, _: &[ValRaw; 2]) -> Result<Self> {
        bail!("a handler export returns through memory")
    }
    fn linear_lift_from_memory(cx: &mut LiftContext<'_>, ty: InterfaceType, bytes: &[u8]) -> Result<Self> {
        let at = offset_of(cx.memory(), bytes);
        let lifter = &mut Lifter::new(cx);
        let InterfaceType::Tuple(results) = ty else { bail!("results are a tuple") };
        let Some(InterfaceType::Result(result)) = lifter.types[results].types.first().copied() else {
            bail!("a handler export returns a result")
        };
        let result = &lifter.types[result];
        if !at.is_multiple_of(result.abi.align32 as usize) {
            bail!("return pointer not aligned");
        }
        if lifter.memory.len().saturating_sub(at) < result.abi.size32 as usize {
            bail!("pointer out of bounds of memory");
        }
        let payload = at + result.info.payload_offset32 as usize;
        if lifter.case_at(&result.info, 2, at)? == 1 {
            let mut text = Vec::new();
            lifter.memory_value(InterfaceType::String, payload, &mut text)?;
            let text = Reader::new(&text).string().map_err(bad)?.to_owned();
            return Ok(Self(Returned::Err(text)));
        }
        let Some(InterfaceType::Tuple(ok)) = result.ok else { bail!("a handler export returns a tuple") };
        let types = lifter.types;
        let mut offset = 0;
        let (mut state, mut values) = (None, Vec::new());
        for (number, ty) in types[ok].types.iter().enumerate() {
            let field = payload + types.canonical_abi(ty).next_field32(&mut offset) as usize;
            match ty {
                InterfaceType::Option(index) if number == 0 => {
                    let option = &types[*index];
                    if lifter.case_at(&option.info, 2, field)? == 1 {
                        let at = field + option.info.payload_offset32 as usize;
                        let (pointer, length) = (lifter.u32_at(at)?, lifter.u32_at(at + 4)?);
                        state = Some(memcpy::owned(lifter.slice(pointer, length as usize)?));
                    }
                }
                _ => lifter.memory_value(*ty, field, &mut values)?,
            }
        }
        Ok(Self(Returned::Ok(state, values)))
    }
}

// ---- into the guest ---------------------------------------------------------------------------------------------------------

struct Lowerer<'c, 'm, T: 'static> {
    cx: &'c mut LowerContext<'m, T>,
    types: &'m ComponentTypes,
}

impl<'c, 'm, T: 'static> Lowerer<'c, 'm, T> {
    fn new(cx: &'c mut LowerContext<'m, T>) -> Self {
        let types = cx.types;
        Self { cx, types }
    }

    fn write<const N: usize>(&mut self, at: usize, bytes: [u8; N]) -> Result<()> {
        let place = self.cx.as_slice_mut().get_mut(at..).and_then(|rest| rest.first_chunk_mut::<N>());
        *place.ok_or_else(|| format_err!("pointer out of bounds of memory"))? = bytes;
        Ok(())
    }

    fn memory_value(&mut self, ty: InterfaceType, at: usize, src: &mut Reader<'_>) -> Result<()> {
        match ty {
            InterfaceType::Bool => self.write(at, [u8::from(src.bool().map_err(bad)?)]),
            InterfaceType::U8 | InterfaceType::S8 => self.write(at, [src.byte().map_err(bad)?]),
            InterfaceType::U16 => self.write(at, (src.varint(16).map_err(bad)? as u16).to_le_bytes()),
            InterfaceType::U32 => self.write(at, (src.varint(32).map_err(bad)? as u32).to_le_bytes()),
            InterfaceType::U64 => self.write(at, src.varint(64).map_err(bad)?.to_le_bytes()),
            InterfaceType::S16 => self.write(at, (unzigzag(src.varint(16).map_err(bad)?) as i16).to_le_bytes()),
            InterfaceType::S32 => self.write(at, (unzigzag(src.varint(32).map_err(bad)?) as i32).to_le_bytes()),
            InterfaceType::S64 => self.write(at, unzigzag(src.varint(64).map_err(bad)?).to_le_bytes()),
            InterfaceType::Float32 => self.write(at, src.f32().map_err(bad)?.to_bits().to_le_bytes()),
            InterfaceType::Float64 => self.write(at, src.f64().map_err(bad)?.to_bits().to_le_bytes()),
            InterfaceType::Char => self.write(at, u32::from(src.char().map_err(bad)?).to_le_bytes()),
            InterfaceType::String | InterfaceType::List(_) => {
                let (pointer, length) = self.list(ty, src)?;
                self.write(at, pointer.to_le_bytes())?;
                self.write(at + 4, length.to_le_bytes())
            }
            InterfaceType::Tuple(index) => {
                let types = self.types;
                let mut offset = 0;
                for ty in &types[index].types {
                    let field = types.canonical_abi(ty).next_field32(&mut offset);
                    self.memory_value(*ty, at + field as usize, src)?;
                }
                Ok(())
            }
            InterfaceType::Record(index) => {
                let types = self.types;
                let mut offset = 0;
                for field in &types[index].fields {
                    let place = types.canonical_abi(&field.ty).next_field32(&mut offset);
                    self.memory_value(field.ty, at + place as usize, src)?;
                }
                Ok(())
            }
            InterfaceType::Option(index) => {
                let option = &self.types[index];
                self.memory_case(&option.info, 2, at, src, |tag| (tag == 1).then_some(option.ty))
            }
            InterfaceType::Result(index) => {
                let result = &self.types[index];
                self.memory_case(&result.info, 2, at, src, |tag| if tag == 0 { result.ok } else { result.err })
            }
            InterfaceType::Variant(index) => {
                let variant = &self.types[index];
                let payload = |tag: u32| variant.cases.get_index(tag as usize).and_then(|(_, payload)| *payload);
                self.memory_case(&variant.info, variant.cases.len(), at, src, payload)
            }
            InterfaceType::Enum(index) => {
                let cases = &self.types[index];
                self.memory_case(&cases.info, cases.names.len(), at, src, |_| None)
            }
            InterfaceType::Flags(index) => {
                let count = self.types[index].names.len();
                let mut bits = src.flags(count).map_err(bad)?;
                let length = match count {
                    0..=16 => count.div_ceil(8),
                    _ => count.div_ceil(32) * 4,
                };
                bits.resize(length, 0);
                let place = self.cx.as_slice_mut().get_mut(at..).and_then(|rest| rest.get_mut(..length));
                place.ok_or_else(|| format_err!("pointer out of bounds of memory"))?.copy_from_slice(&bits);
                Ok(())
            }
            other => bail!("{other:?} cannot cross the plugin boundary"),
        }
    }

    fn memory_case(
        &mut self,
        info: &VariantInfo,
        count: usize,
        at: usize,
        src: &mut Reader<'_>,
        payload: impl FnOnce(u32) -> Option<InterfaceType>,
    ) -> Result<()> {
        let tag = read_case(src, count)?;
        match u32::from(info.size) {
            1 => self.write(at, (tag as u8).to_le_bytes())?,
            2 => self.write(at, (tag as u16).to_le_bytes())?,
            _ => self.write(at, tag.to_le_bytes())?,
        }
        match payload(tag) {
            Some(payload) => self.memory_value(payload, at + info.payload_offset32 as usize, src),
            None => Ok(()),
        }
    }

    /// Allocates a list or string in the guest and fills it: its pointer and length.
    fn list(&mut self, ty: InterfaceType, src: &mut Reader<'_>) -> Result<(u32, u32)> {
        let InterfaceType::List(index) = ty else {
            return self.string(src.string().map_err(bad)?);
        };
        let element = self.types[index].element;
        if let InterfaceType::U8 = element {
            return self.bytes(src.bytes().map_err(bad)?);
        }
        let length = src.length().map_err(bad)?;
        let layout = self.types.canonical_abi(&element);
        let size = layout.size32 as usize;
        let bytes = length.checked_mul(size).ok_or_else(|| format_err!("list too long"))?;
        let pointer = self.cx.realloc(0, 0, layout.align32, bytes)?;
        for number in 0..length {
            self.memory_value(element, pointer + number * size, src)?;
        }
        Ok((u32::try_from(pointer)?, u32::try_from(length)?))
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(u32, u32)> {
        let pointer = self.cx.realloc(0, 0, 1, bytes.len())?;
        let place = self.cx.as_slice_mut().get_mut(pointer..).and_then(|rest| rest.get_mut(..bytes.len()));
        memcpy::fill(place.ok_or_else(|| format_err!("realloc return: beyond end of memory"))?, bytes);
        Ok((u32::try_from(pointer)?, u32::try_from(bytes.len())?))
    }

    fn string(&mut self, text: &str) -> Result<(u32, u32)> {
        if matches!(self.cx.options().string_encoding, StringEncoding::Utf8) {
            return self.bytes(text.as_bytes());
        }
        let mut raw = MaybeUninit::<[ValRaw; 2]>::new([ValRaw::u64(0), ValRaw::u64(0)]);
        text.linear_lower_to_flat(self.cx, InterfaceType::String, &mut raw)?;
        // SAFETY: initialised above, and overwritten by the lowering with a pointer and a length.
        let [pointer, length] = unsafe { raw.assume_init() };
        Ok((pointer.get_u32(), length.get_u32()))
    }

    // As in [`Lifter`].
    #[inline]
    fn flat_value(&mut self, ty: InterfaceType, dst: &mut Slots<'_>, src: &mut Reader<'_>) -> Result<()> {
        match ty {
            InterfaceType::Bool => dst.put(ValRaw::u32(src.bool().map_err(bad)?.into())),
            InterfaceType::U8 => dst.put(ValRaw::u32(src.byte().map_err(bad)?.into())),
            InterfaceType::S8 => dst.put(ValRaw::i32((src.byte().map_err(bad)? as i8).into())),
            InterfaceType::U16 => dst.put(ValRaw::u32(src.varint(16).map_err(bad)? as u32)),
            InterfaceType::U32 => dst.put(ValRaw::u32(src.varint(32).map_err(bad)? as u32)),
            InterfaceType::U64 => dst.put(ValRaw::u64(src.varint(64).map_err(bad)?)),
            InterfaceType::S16 => dst.put(ValRaw::i32(src.signed(16).map_err(bad)? as i32)),
            InterfaceType::S32 => dst.put(ValRaw::i32(src.signed(32).map_err(bad)? as i32)),
            InterfaceType::S64 => dst.put(ValRaw::i64(src.signed(64).map_err(bad)?)),
            InterfaceType::Float32 => dst.put(ValRaw::f32(src.f32().map_err(bad)?.to_bits())),
            InterfaceType::Float64 => dst.put(ValRaw::f64(src.f64().map_err(bad)?.to_bits())),
            InterfaceType::Char => dst.put(ValRaw::u32(src.char().map_err(bad)?.into())),
            parted => self.flat_parts(parted, dst, src),
        }
    }

    fn flat_parts(&mut self, ty: InterfaceType, dst: &mut Slots<'_>, src: &mut Reader<'_>) -> Result<()> {
        match ty {
            InterfaceType::String | InterfaceType::List(_) => {
                let (pointer, length) = self.list(ty, src)?;
                dst.put(ValRaw::u64(pointer.into()))?;
                dst.put(ValRaw::u64(length.into()))
            }
            InterfaceType::Tuple(index) => {
                let types = self.types;
                types[index].types.iter().try_for_each(|ty| self.flat_value(*ty, dst, src))
            }
            InterfaceType::Record(index) => {
                let types = self.types;
                types[index].fields.iter().try_for_each(|field| self.flat_value(field.ty, dst, src))
            }
            InterfaceType::Option(index) => {
                let option = &self.types[index];
                let flat = flat_count(&option.abi)?;
                self.flat_case(2, flat, dst, src, |tag| (tag == 1).then_some(option.ty))
            }
            InterfaceType::Result(index) => {
                let result = &self.types[index];
                let flat = flat_count(&result.abi)?;
                self.flat_case(2, flat, dst, src, |tag| if tag == 0 { result.ok } else { result.err })
            }
            InterfaceType::Variant(index) => {
                let variant = &self.types[index];
                let flat = flat_count(&variant.abi)?;
                let payload = |tag: u32| variant.cases.get_index(tag as usize).and_then(|(_, payload)| *payload);
                self.flat_case(variant.cases.len(), flat, dst, src, payload)
            }
            InterfaceType::Enum(index) => {
                let count = self.types[index].names.len();
                dst.put(ValRaw::u32(read_case(src, count)?))
            }
            InterfaceType::Flags(index) => {
                let flags = &self.types[index];
                let mut bits = src.flags(flags.names.len()).map_err(bad)?;
                bits.resize(flat_count(&flags.abi)? * 4, 0);
                let (words, _) = bits.as_chunks::<4>();
                words.iter().try_for_each(|word| dst.put(ValRaw::u32(u32::from_le_bytes(*word))))
            }
            other => bail!("{other:?} cannot cross the plugin boundary"),
        }
    }

    fn flat_case(
        &mut self,
        count: usize,
        flat: usize,
        dst: &mut Slots<'_>,
        src: &mut Reader<'_>,
        payload: impl FnOnce(u32) -> Option<InterfaceType>,
    ) -> Result<()> {
        let before = dst.left();
        let tag = read_case(src, count)?;
        dst.put(ValRaw::u32(tag))?;
        if let Some(payload) = payload(tag) {
            self.flat_value(payload, dst, src)?;
        }
        while before - dst.left() < flat {
            dst.put(ValRaw::u64(0))?;
        }
        Ok(())
    }

    fn flat_state(&mut self, state: Option<&[u8]>, dst: &mut Slots<'_>) -> Result<()> {
        let (pointer, length) = state.map_or(Ok((0, 0)), |state| self.bytes(state))?;
        dst.put(ValRaw::u32(state.is_some().into()))?;
        dst.put(ValRaw::u64(pointer.into()))?;
        dst.put(ValRaw::u64(length.into()))
    }
}

fn read_case(src: &mut Reader<'_>, count: usize) -> Result<u32> {
    check_case(src.varint(32).map_err(bad)? as u32, count)
}

struct Slots<'a>(std::slice::IterMut<'a, MaybeUninit<ValRaw>>);

impl<'a> Slots<'a> {
    fn of<const N: usize>(dst: &'a mut MaybeUninit<[ValRaw; N]>) -> Self {
        // SAFETY: an array of N uninitialised values is N uninitialised values (what `transpose` of std does).
        let slots = unsafe { &mut *std::ptr::from_mut(dst).cast::<[MaybeUninit<ValRaw>; N]>() };
        Self(slots.iter_mut())
    }
    fn put(&mut self, value: ValRaw) -> Result<()> {
        self.0.next().ok_or_else(|| format_err!("more core values than the type has"))?.write(value);
        Ok(())
    }
    fn left(&self) -> usize {
        self.0.len()
    }
    /// Every slot must be written before wasm reads them.
    fn full(self) -> Result<()> {
        if self.0.len() == 0 { Ok(()) } else { bail!("fewer core values than the type has") }
    }
}

/// Encoded bytes, whoever holds them.
pub trait Readable {
    /// Reads them from the start.
    fn reader(&self) -> Reader<'_>;
    /// The bits of the one core value that they are, where somebody has read them already.
    fn number(&self) -> Option<u64> {
        None
    }
}

impl Readable for Vec<u8> {
    fn reader(&self) -> Reader<'_> {
        Reader::new(self)
    }
}

impl Readable for CallFrame {
    fn reader(&self) -> Reader<'_> {
        let [bytes, tail] = self.result();
        Reader::with_tail(bytes, tail)
    }
    #[inline]
    fn number(&self) -> Option<u64> {
        match self.0.result {
            ResultPart::Number(_, bits) => Some(bits),
            _ => None,
        }
    }
}

/// Result of an import: encoded bytes of any owner; `N` is 0 or 1 core values, 2 for a result in memory.
pub struct Ret<B, const N: usize>(pub B);

// SAFETY: as for Args.
unsafe impl<B: Send + Sync, const N: usize> ComponentType for Ret<B, N> {
    type Lower = [ValRaw; N];
    const ABI: CanonicalAbiInfo = abi_of(N);
    fn typecheck(_: &InterfaceType, _: &InstanceType<'_>) -> Result<()> {
        Ok(())
    }
}
// SAFETY: stands for a whole result list.
unsafe impl<B: Send + Sync, const N: usize> ComponentNamedList for Ret<B, N> {}
// SAFETY: fills every slot or fails; writes memory through checked slices only.
unsafe impl<B: Readable + Send + Sync, const N: usize> Lower for Ret<B, N> {
    fn linear_lower_to_flat<T>(
        &self,
        cx: &mut LowerContext<'_, T>,
        ty: InterfaceType,
        dst: &mut MaybeUninit<[ValRaw; N]>,
    ) -> Result<()> {
        let mut slots = Slots::of(dst);
        if let Some(bits) = self.0.number() {
            slots.put(ValRaw::u64(bits))?;
            return slots.full();
        }
        let mut src = self.0.reader();
        Lowerer::new(cx).flat_value(ty, &mut slots, &mut src)?;
        src.finish().map_err(bad)?;
        slots.full()
    }
    fn linear_lower_to_memory<T>(&self, cx: &mut LowerContext<'_, T>, ty: InterfaceType, at: usize) -> Result<()> {
        let mut src = self.0.reader();
        Lowerer::new(cx).memory_value(ty, at, &mut src)?;
        src.finish().map_err(bad)
    }
}

/// State and encoded params of a handler export with at most 16 core values, `N` of them.
pub struct Export<'a, const N: usize> {
    /// The actor's state.
    pub state: Option<&'a [u8]>,
    /// The encoded params, the fields of the tuple in a row.
    pub params: &'a [u8],
}

// SAFETY: as for Args.
unsafe impl<const N: usize> ComponentType for Export<'_, N> {
    type Lower = [ValRaw; N];
    const ABI: CanonicalAbiInfo = abi_of(N);
    fn typecheck(_: &InterfaceType, _: &InstanceType<'_>) -> Result<()> {
        Ok(())
    }
}
// SAFETY: stands for a whole parameter list.
unsafe impl<const N: usize> ComponentNamedList for Export<'_, N> {}
// SAFETY: fills every slot or fails.
unsafe impl<const N: usize> Lower for Export<'_, N> {
    fn linear_lower_to_flat<T>(
        &self,
        cx: &mut LowerContext<'_, T>,
        ty: InterfaceType,
        dst: &mut MaybeUninit<[ValRaw; N]>,
    ) -> Result<()> {
        let mut slots = Slots::of(dst);
        let mut src = Reader::new(self.params);
        let mut lowerer = Lowerer::new(cx);
        lowerer.flat_state(self.state, &mut slots)?;
        lowerer.flat_value(second(lowerer.types, ty)?, &mut slots, &mut src)?;
        src.finish().map_err(bad)?;
        slots.full()
    }
    fn linear_lower_to_memory<T>(&self, _: &mut LowerContext<'_, T>, _: InterfaceType, _: usize) -> Result<()> {
        bail!("at most 16 core values travel as such")
    }
}

/// The type of `params` in the parameter list `(state, params)`.
fn second(types: &ComponentTypes, ty: InterfaceType) -> Result<InterfaceType> {
    let InterfaceType::Tuple(index) = ty else { bail!("parameters are a tuple") };
    types[index].types.get(1).copied().ok_or_else(|| format_err!("a handler export has two parameters"))
}

/// State and encoded params of a handler export with more than 16 core values: one core value, the pointer to a block
/// this lowering allocates in the guest (Canonical ABI, `lower_heap_values`).
pub struct ExportBlock<'a>(pub Export<'a, 0>);

// SAFETY: the block's pointer is the one core value the core function takes.
unsafe impl ComponentType for ExportBlock<'_> {
    type Lower = [ValRaw; 1];
    const ABI: CanonicalAbiInfo = abi_of(1);
    fn typecheck(_: &InterfaceType, _: &InstanceType<'_>) -> Result<()> {
        Ok(())
    }
}
// SAFETY: stands for a whole parameter list.
unsafe impl ComponentNamedList for ExportBlock<'_> {}
// SAFETY: fills the slot or fails; writes memory through checked slices only.
unsafe impl Lower for ExportBlock<'_> {
    fn linear_lower_to_flat<T>(
        &self,
        cx: &mut LowerContext<'_, T>,
        ty: InterfaceType,
        dst: &mut MaybeUninit<[ValRaw; 1]>,
    ) -> Result<()> {
        let mut lowerer = Lowerer::new(cx);
        let types = lowerer.types;
        let params = second(types, ty)?;
        let block = types.canonical_abi(&ty);
        let at = lowerer.cx.realloc(0, 0, block.align32, block.size32 as usize)?;
        let (pointer, length) = self.0.state.map_or(Ok((0, 0)), |state| lowerer.bytes(state))?;
        // option<list<u8>>: a tag byte, then pointer and length at offsets 4 and 8.
        lowerer.write(at, [u8::from(self.0.state.is_some())])?;
        lowerer.write(at + 4, pointer.to_le_bytes())?;
        lowerer.write(at + 8, length.to_le_bytes())?;
        let mut offset = 12;
        let place = at + types.canonical_abi(&params).next_field32(&mut offset) as usize;
        let mut src = Reader::new(self.0.params);
        lowerer.memory_value(params, place, &mut src)?;
        src.finish().map_err(bad)?;
        let mut slots = Slots::of(dst);
        slots.put(ValRaw::u64(at as u64))?;
        slots.full()
    }
    fn linear_lower_to_memory<T>(&self, _: &mut LowerContext<'_, T>, _: InterfaceType, _: usize) -> Result<()> {
        bail!("the block is one core value")
    }
}

/// Calls a handler export: state and params in, what it returned out. `flat` is the number of core values of state and
/// params together; the signature must have been checked to be that of a handler export.
///
/// # Errors
/// A trap, or values that do not fit.
pub async fn call_export<T: Send + 'static>(
    store: &mut wasmtime::Store<T>,
    function: wasmtime::component::Func,
    flat: usize,
    state: Option<&[u8]>,
    params: &[u8],
) -> Result<Returned> {
    use wasmtime::component::TypedFunc;
    macro_rules! call {
        ($($count:literal)*) => {
            match flat {
                $($count => {
                    // SAFETY: the function takes `flat` core values and returns through memory (checked by the caller
                    // through Signature::handler); everything else about the types is checked while lowering and lifting.
                    let typed = unsafe { TypedFunc::<Export<'_, $count>, Lifted>::new_unchecked(function) };
                    typed.call_async(store, Export { state, params }).await.map(|lifted| lifted.0)
                })*
                _ => {
                    // SAFETY: above 16 core values the function takes one, the pointer to the block.
                    let typed = unsafe { TypedFunc::<ExportBlock<'_>, Lifted>::new_unchecked(function) };
                    typed.call_async(store, ExportBlock(Export { state, params })).await.map(|lifted| lifted.0)
                }
            }
        };
    }
    call!(3 4 5 6 7 8 9 10 11 12 13 14 15 16)
}
