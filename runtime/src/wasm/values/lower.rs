//! Lowering: reads the encoding of a value and writes the value into a guest.
//!
//! The algorithm is the Canonical ABI's `store` and `lower_flat`: one walk over the type, driven by the component's
//! own type information, that consumes the encoding in order. A value goes to core values (`flat_value`) or to memory
//! at an offset (`memory_value`); strings and lists are allocated with the guest's `realloc`, and their pointer and
//! length take the place of the value. `realloc` runs guest code, which may move or grow memory, so no slice of memory
//! is held across it.
//!
//! Invariant: lowering is only given bytes that
//! [`ValueType::validate`](theater_chain::value_type::ValueType::validate) accepted for the same type. It does not
//! rely on that for memory safety: every write is checked. A lowering fails, and the guest traps, when
//! - the bytes are not an encoding of the type, or bytes are left over;
//! - the guest's `realloc` traps, or returns memory that is out of bounds;
//! - the number of core values is not that of the type.
//!
//! A failed lowering may have allocated and written guest memory. That is harmless: the instance is not used after a
//! trap.

use theater_plugin_api::encoding::{EncodingError, Reader, memcpy, unzigzag};
use wasmtime::component::__internal::wasmtime_environ::component::{StringEncoding, VariantInfo};
use wasmtime::component::__internal::{ComponentTypes, InterfaceType, LowerContext};
use wasmtime::{Result, ValRaw, bail, format_err};

use crate::wasm::values::abi::{LowerBytes, transcode};
use crate::wasm::values::call_frame::Readable;
use crate::wasm::values::flat::{FlatSlots, check_case, flat_count};

/// The result of a host call.
impl<B: Readable> LowerBytes for B {
    #[inline(always)]
    fn to_flat<T>(&self, cx: &mut LowerContext<'_, T>, ty: InterfaceType, dst: &mut FlatSlots<'_>) -> Result<()> {
        if let Some(bits) = self.number() {
            return dst.put(ValRaw::u64(bits));
        }
        let mut src = self.reader();
        Lowerer::new(cx).flat_value(ty, dst, &mut src)?;
        src.finish().map_err(bad)
    }
    #[inline(always)]
    fn to_memory<T>(&self, cx: &mut LowerContext<'_, T>, ty: InterfaceType, at: usize) -> Result<()> {
        let mut src = self.reader();
        Lowerer::new(cx).memory_value(ty, at, &mut src)?;
        src.finish().map_err(bad)
    }
}

pub(super) fn bad(error: EncodingError) -> wasmtime::Error {
    format_err!("bytes do not fit their type: {error}")
}

/// Writes values into the memory of one guest, reading their encoding.
pub(super) struct Lowerer<'c, 'm, T: 'static> {
    cx: &'c mut LowerContext<'m, T>,
    pub(super) types: &'m ComponentTypes,
}

impl<'c, 'm, T: 'static> Lowerer<'c, 'm, T> {
    pub(super) fn new(cx: &'c mut LowerContext<'m, T>) -> Self {
        let types = cx.types;
        Self { cx, types }
    }

    fn write<const N: usize>(&mut self, at: usize, bytes: [u8; N]) -> Result<()> {
        let target = self.cx.as_slice_mut().get_mut(at..).and_then(|rest| rest.first_chunk_mut::<N>());
        *target.ok_or_else(|| format_err!("pointer out of bounds of memory"))? = bytes;
        Ok(())
    }

    /// Lowers a value to memory at `at`.
    pub(super) fn memory_value(&mut self, ty: InterfaceType, at: usize, src: &mut Reader<'_>) -> Result<()> {
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
            InterfaceType::Tuple(index) => self.memory_fields(self.types[index].types.iter().copied(), at, src),
            InterfaceType::Record(index) => {
                self.memory_fields(self.types[index].fields.iter().map(|field| field.ty), at, src)
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
            InterfaceType::Flags(index) => self.memory_flags(self.types[index].names.len(), at, src),
            other => bail!("{other:?} cannot cross the plugin boundary"),
        }
    }

    /// The fields of a tuple or record, each at its own alignment.
    #[inline]
    fn memory_fields(
        &mut self,
        fields: impl Iterator<Item = InterfaceType>,
        at: usize,
        src: &mut Reader<'_>,
    ) -> Result<()> {
        let mut offset = 0;
        for ty in fields {
            let field = self.types.canonical_abi(&ty).next_field32(&mut offset);
            self.memory_value(ty, at + field as usize, src)?;
        }
        Ok(())
    }

    fn memory_flags(&mut self, count: usize, at: usize, src: &mut Reader<'_>) -> Result<()> {
        let mut bits = src.flags(count).map_err(bad)?;
        let length = match count {
            0..=16 => count.div_ceil(8),
            _ => count.div_ceil(32) * 4,
        };
        bits.resize(length, 0);
        let field = self.cx.as_slice_mut().get_mut(at..).and_then(|rest| rest.get_mut(..length));
        field.ok_or_else(|| format_err!("pointer out of bounds of memory"))?.copy_from_slice(&bits);
        Ok(())
    }

    /// Lowers a discriminant and the payload it selects to memory.
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

    /// Allocates a list or string in the guest and fills it. Returns its pointer and length.
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
        let target = self.cx.as_slice_mut().get_mut(pointer..).and_then(|rest| rest.get_mut(..bytes.len()));
        memcpy::fill(target.ok_or_else(|| format_err!("realloc return: beyond end of memory"))?, bytes);
        Ok((u32::try_from(pointer)?, u32::try_from(bytes.len())?))
    }

    fn string(&mut self, text: &str) -> Result<(u32, u32)> {
        if matches!(self.cx.options().string_encoding, StringEncoding::Utf8) {
            return self.bytes(text.as_bytes());
        }
        transcode(self.cx, text)
    }

    /// Lowers a value to core values. Inlined except for types with parts: most results are numbers.
    #[inline]
    pub(super) fn flat_value(
        &mut self,
        ty: InterfaceType,
        dst: &mut FlatSlots<'_>,
        src: &mut Reader<'_>,
    ) -> Result<()> {
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

    fn flat_parts(&mut self, ty: InterfaceType, dst: &mut FlatSlots<'_>, src: &mut Reader<'_>) -> Result<()> {
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

    /// Lowers a discriminant and the payload it selects; core values that only other cases use are 0.
    fn flat_case(
        &mut self,
        count: usize,
        flat: usize,
        dst: &mut FlatSlots<'_>,
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

    /// Lowers an actor's state, an `option<list<u8>>`, to core values.
    pub(super) fn flat_state(&mut self, state: Option<&[u8]>, dst: &mut FlatSlots<'_>) -> Result<()> {
        let (pointer, length) = state.map_or(Ok((0, 0)), |state| self.bytes(state))?;
        dst.put(ValRaw::u32(state.is_some().into()))?;
        dst.put(ValRaw::u64(pointer.into()))?;
        dst.put(ValRaw::u64(length.into()))
    }

    /// Lowers an actor's state, an `option<list<u8>>`, to memory: a tag byte, then pointer and length at offsets 4 and
    /// 8.
    pub(super) fn memory_state(&mut self, state: Option<&[u8]>, at: usize) -> Result<()> {
        let (pointer, length) = state.map_or(Ok((0, 0)), |state| self.bytes(state))?;
        self.write(at, [u8::from(state.is_some())])?;
        self.write(at + 4, pointer.to_le_bytes())?;
        self.write(at + 8, length.to_le_bytes())
    }
}

fn read_case(src: &mut Reader<'_>, count: usize) -> Result<u32> {
    check_case(src.varint(32).map_err(bad)? as u32, count)
}
