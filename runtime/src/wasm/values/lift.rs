//! Lifting: reads a value out of a guest and writes its encoding.
//!
//! The algorithm is the Canonical ABI's `load` and `lift_flat`: one walk over the type, driven by the component's own
//! type information. A value comes from core values (`flat_value`) or from memory at an offset (`memory_value`); the
//! content of strings and lists is always in memory, and the value is its pointer and length. A variant-like type is a
//! discriminant, then the payload of that case, padded to the largest case. Each part is appended to the output as soon
//! as it is read: there is no tree of values in between.
//!
//! The guest is not trusted. A lift fails, and the guest traps, when
//! - a pointer, or a pointer and its length, is outside memory, or a list's pointer is not aligned;
//! - a discriminant has no case, a char is not a Unicode scalar value, or a string is not valid in the guest's
//!   encoding;
//! - the lists and strings of a call exceed the fuel that wasmtime allows for host allocations;
//! - the type is one that cannot cross the plugin boundary (a resource, a stream, ...).
//!
//! What is not an error: NaNs are made canonical, and spare bits of flags are cleared, as the Canonical ABI allows. A
//! failed lift leaves a partial encoding in the output, which the caller discards with the frame.

use theater_plugin_api::encoding::{NAN_32, NAN_64, write_bytes, write_flags, write_varint, zigzag};
use wasmtime::component::__internal::wasmtime_environ::component::{StringEncoding, VariantInfo};
use wasmtime::component::__internal::{ComponentTypes, InterfaceType, LiftContext};
use wasmtime::component::Lift;
use wasmtime::{Result, ValRaw, bail, format_err};

use crate::wasm::values::abi::{GuestBytes, LiftBytes};
use crate::wasm::values::call_frame::CallFrame;
use crate::wasm::values::flat::{FlatValues, check_case, flat_count};

/// A `list<u8>` or string of at least this many bytes, at the end of an argument list, is not copied out of the guest
/// before someone needs it.
const LONG: usize = 1024;

/// The arguments of a host call.
impl LiftBytes for CallFrame {
    #[inline(always)]
    fn from_flat(cx: &mut LiftContext<'_>, ty: InterfaceType, src: &mut FlatValues<'_>) -> Result<Self> {
        let mut frame = Self::new();
        Lifter::new(cx).parameters(ty, src, &mut frame)?;
        Ok(frame)
    }
    #[inline(always)]
    fn from_memory(cx: &mut LiftContext<'_>, ty: InterfaceType, at: usize) -> Result<Self> {
        // wasmtime has checked bounds and alignment of the block by the function's own type
        // (validate_inbounds_dynamic).
        let mut frame = Self::new();
        Lifter::new(cx).memory_value(ty, at, frame.arguments_mut().0)?;
        Ok(frame)
    }
}

/// Reads values out of the memory of one guest and appends their encoding to a buffer.
pub(super) struct Lifter<'c, 'm> {
    cx: &'c mut LiftContext<'m>,
    pub(super) types: &'m ComponentTypes,
    pub(super) memory: &'m [u8],
    // Whether the guest's strings are UTF-8.
    utf8: bool,
}

impl<'c, 'm> Lifter<'c, 'm> {
    pub(super) fn new(cx: &'c mut LiftContext<'m>) -> Self {
        let types: &'m ComponentTypes = cx.types;
        let memory = cx.memory();
        let utf8 = matches!(cx.options().string_encoding, StringEncoding::Utf8);
        Self { cx, types, memory, utf8 }
    }

    fn read<const N: usize>(&self, at: usize) -> Result<[u8; N]> {
        let bytes = self.memory.get(at..).and_then(|rest| rest.first_chunk::<N>());
        bytes.copied().ok_or_else(|| format_err!("pointer out of bounds of memory"))
    }

    pub(super) fn u32_at(&self, at: usize) -> Result<u32> {
        self.read::<4>(at).map(u32::from_le_bytes)
    }

    /// Lifts a value that is in memory at `at`.
    pub(super) fn memory_value(&mut self, ty: InterfaceType, at: usize, out: &mut Vec<u8>) -> Result<()> {
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
                self.memory_fields(self.types[index].types.iter().copied(), at, out)?;
            }
            InterfaceType::Record(index) => {
                self.memory_fields(self.types[index].fields.iter().map(|field| field.ty), at, out)?;
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
            InterfaceType::Flags(index) => self.memory_flags(self.types[index].names.len(), at, out)?,
            other => bail!("{other:?} cannot cross the plugin boundary"),
        }
        Ok(())
    }

    /// The fields of a tuple or record, each at its own alignment.
    #[inline]
    fn memory_fields(
        &mut self,
        fields: impl Iterator<Item = InterfaceType>,
        at: usize,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let mut offset = 0;
        for ty in fields {
            let field = self.types.canonical_abi(&ty).next_field32(&mut offset);
            self.memory_value(ty, at + field as usize, out)?;
        }
        Ok(())
    }

    fn memory_flags(&mut self, count: usize, at: usize, out: &mut Vec<u8>) -> Result<()> {
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
        Ok(())
    }

    /// The discriminant at `at`, checked.
    pub(super) fn case_at(&self, info: &VariantInfo, count: usize, at: usize) -> Result<u32> {
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

    /// `length` bytes at `pointer`. The bytes count against wasmtime's fuel for host allocations.
    pub(super) fn slice(&mut self, pointer: u32, length: usize) -> Result<&'m [u8]> {
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

    /// Lifts a parameter list from core values. A long `list<u8>` or string at its end stays in the guest's memory.
    fn parameters(&mut self, ty: InterfaceType, src: &mut FlatValues<'_>, frame: &mut CallFrame) -> Result<()> {
        let (out, tail) = frame.arguments_mut();
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
            *tail = GuestBytes::new(content);
        }
        Ok(())
    }

    /// Lifts a value from core values. Inlined except for types with parts: most parameters and fields are numbers.
    #[inline(always)]
    fn flat_value(&mut self, ty: InterfaceType, src: &mut FlatValues<'_>, out: &mut Vec<u8>) -> Result<()> {
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

    fn flat_parts(&mut self, ty: InterfaceType, src: &mut FlatValues<'_>, out: &mut Vec<u8>) -> Result<()> {
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

    /// Lifts a discriminant and the payload it selects, which may have fewer core values than the type.
    fn flat_case(
        &mut self,
        count: usize,
        flat: usize,
        src: &mut FlatValues<'_>,
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

/// Encodes flags. Bits above the declared flags are ignored when they are lifted (Canonical ABI,
/// `unpack_flags_from_int`).
fn put_flags(out: &mut Vec<u8>, count: usize, mut bits: Vec<u8>) {
    let length = count.div_ceil(8);
    bits.resize(length, 0);
    if let (Some(last), spare @ 1..) = (bits.last_mut(), length * 8 - count) {
        *last &= 0xff >> spare;
    }
    write_flags(out, count, &bits);
}
