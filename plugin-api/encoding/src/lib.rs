//! The one encoding: WIT values as bytes.
//!
//! The wire format is that of the `postcard` crate made canonical, so that equal values have equal bytes: the bytes that
//! cross the plugin ABI are the bytes the chain hashes, stores and replays. Both directions are strict; what [`postcard`]
//! would accept beyond the canonical form is an [`EncodingError`] here.
//!
//! | WIT | bytes |
//! |---|---|
//! | bool, u8, s8 | one byte (bool 0 or 1) |
//! | u16, u32, u64 | shortest LEB128 |
//! | s16, s32, s64 | zigzag, then shortest LEB128 |
//! | f32, f64 | little-endian; every NaN as `0x7fc00000` / `0x7ff8000000000000` |
//! | char | a string of exactly one scalar value |
//! | string, `list<u8>` | length, bytes |
//! | `list<T>` | length, elements |
//! | option | 0, or 1 and the value |
//! | enum, variant, result | case number in order of declaration (ok 0, err 1), then the payload |
//! | record, tuple | the fields in a row |
//! | flags | the bits as one varint up to 64 flags, above that one bit each, first flag lowest, as many bytes as needed |
//!
//! This module is about Rust types that derive `serde`; the core walks the same bytes by the component's own types.
//!
//! [`postcard`]: https://postcard.jamesmunns.com/wire-format

use std::fmt;

use serde::{Deserialize, Serialize};

mod bytes;
pub mod memcpy;
mod read;
mod uuid;
mod write;

pub use bytes::Bytes;
pub use uuid::uuid_text;

/// Where encoded bytes go.
pub trait Output {
    /// Puts one byte behind what is there.
    fn push(&mut self, byte: u8);
    /// Puts bytes behind what is there.
    fn write(&mut self, bytes: &[u8]);
    /// Puts the first `length` bytes, at most eight, behind what is there: cheaper than [`Output::write`] where eight fit.
    fn write_some(&mut self, bytes: [u8; 8], length: usize) {
        self.write(bytes.get(..length).unwrap_or(&bytes));
    }
}

impl Output for Vec<u8> {
    #[inline]
    fn push(&mut self, byte: u8) {
        Self::push(self, byte);
    }
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        memcpy::append(self, bytes);
    }
    #[inline]
    fn write_some(&mut self, bytes: [u8; 8], length: usize) {
        let end = self.len() + length;
        self.extend_from_slice(&bytes);
        self.truncate(end);
    }
}

/// The one bit pattern of a 32-bit NaN.
pub const NAN_32: u32 = 0x7fc0_0000;
/// The one bit pattern of a 64-bit NaN.
pub const NAN_64: u64 = 0x7ff8_0000_0000_0000;

/// Why bytes are not the encoding of a value of the expected type, or a value has no encoding.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodingError {
    /// The bytes end inside a value.
    Short,
    /// Bytes follow the value; the number of them.
    Trailing(usize),
    /// A number is longer than it has to be, or does not fit its type.
    Number,
    /// A bool that is neither 0 nor 1.
    Bool(u8),
    /// An option tag that is neither 0 nor 1.
    Option(u8),
    /// A char that is not exactly one scalar value.
    Char,
    /// A string that is not UTF-8.
    Utf8,
    /// A NaN other than the canonical one.
    Nan,
    /// A length that is larger than what is left of the input.
    Length,
    /// Bits of flags that are not declared.
    Flags,
    /// Anything the type itself said, as a case number that does not exist.
    Type(String),
}

impl fmt::Display for EncodingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => f.write_str("the bytes end inside a value"),
            Self::Trailing(n) => write!(f, "{n} bytes follow the value"),
            Self::Number => f.write_str("a number is not in its shortest form or does not fit its type"),
            Self::Bool(b) => write!(f, "a bool is 0 or 1, found {b}"),
            Self::Option(b) => write!(f, "an option starts with 0 or 1, found {b}"),
            Self::Char => f.write_str("a char is a string of exactly one scalar value"),
            Self::Utf8 => f.write_str("a string is not UTF-8"),
            Self::Nan => f.write_str("a NaN is not the canonical one"),
            Self::Length => f.write_str("a length is larger than what is left of the input"),
            Self::Flags => f.write_str("bits of undeclared flags are set"),
            Self::Type(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for EncodingError {}

impl serde::ser::Error for EncodingError {
    fn custom<T: fmt::Display>(what: T) -> Self {
        Self::Type(what.to_string())
    }
}

impl serde::de::Error for EncodingError {
    fn custom<T: fmt::Display>(what: T) -> Self {
        Self::Type(what.to_string())
    }
}

/// Encodes a value.
///
/// # Errors
/// Only a type that no WIT type maps to (a map, a sequence of unknown length) has no encoding.
///
/// ```
/// # use theater_encoding::encode;
/// assert_eq!(encode(&("ab", 300u32)).unwrap(), [2, b'a', b'b', 0xac, 0x02]);
/// ```
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, EncodingError> {
    let mut out = Vec::with_capacity(64);
    encode_into(value, &mut out)?;
    Ok(out)
}

/// Encodes a value behind what `out` holds already.
///
/// # Errors
/// As [`encode`].
#[inline]
pub fn encode_into<T: Serialize + ?Sized>(value: &T, out: &mut impl Output) -> Result<(), EncodingError> {
    value.serialize(&mut write::Writer { out })
}

/// Decodes a value that takes all of `bytes`.
///
/// # Errors
/// Whatever is not the canonical encoding of a `T`.
///
/// ```
/// # use theater_encoding::decode;
/// assert_eq!(decode::<(String, u32)>(&[2, b'a', b'b', 0xac, 0x02]).unwrap(), ("ab".to_owned(), 300));
/// assert!(decode::<u32>(&[0x80, 0x00]).is_err());
/// ```
pub fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, EncodingError> {
    let mut reader = Reader::new(bytes);
    let value = reader.value()?;
    reader.finish()?;
    Ok(value)
}

/// Writes the shortest LEB128 of `value`.
#[inline]
pub fn write_varint(out: &mut impl Output, value: u64) {
    if value < 0x80 {
        return out.push(value as u8);
    }
    // The eight lowest groups of seven bits, spread over eight bytes.
    let high = value >> 56;
    let mut groups = (value & 0x0fff_ffff) | (value & 0x00ff_ffff_f000_0000) << 4;
    groups = (groups & 0x0000_3fff_0000_3fff) | (groups & 0x0fff_c000_0fff_c000) << 2;
    groups = (groups & 0x007f_007f_007f_007f) | (groups & 0x3f80_3f80_3f80_3f80) << 1;
    if high == 0 {
        // The top bit of each byte up to the last that is not zero.
        let mut used = (groups + 0x7f7f_7f7f_7f7f_7f7f) & EIGHT_FOLLOWED;
        used |= used >> 8;
        used |= used >> 16;
        used |= used >> 32;
        let length = (!used & EIGHT_FOLLOWED).trailing_zeros() / 8;
        return out.write_some((groups | used >> 8).to_le_bytes(), length as usize);
    }
    out.write_some((groups | EIGHT_FOLLOWED).to_le_bytes(), 8);
    match high {
        last @ ..0x80 => out.push(last as u8),
        more => out.write(&[more as u8 | 0x80, 1]),
    }
}

/// The bit that says that another byte follows, in eight bytes.
const EIGHT_FOLLOWED: u64 = 0x8080_8080_8080_8080;

/// The unsigned number that carries a signed one: small absolute values stay small.
#[must_use]
pub fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// The signed number that [`zigzag`] made.
#[must_use]
pub fn unzigzag(value: u64) -> i64 {
    ((value >> 1) as i64) ^ -((value & 1) as i64)
}

/// Reads encoded values one after the other, strictly.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    pub(crate) bytes: &'a [u8],
    // Follows `bytes`; read in one piece.
    tail: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads from the start of `bytes`.
    #[must_use]
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, tail: &[] }
    }

    /// Reads `bytes`, and behind them `tail`: the whole content of the `list<u8>` (or string) that the value ends with.
    #[must_use]
    #[inline]
    pub fn with_tail(bytes: &'a [u8], tail: &'a [u8]) -> Self {
        Self { bytes, tail }
    }

    /// How many bytes have not been read yet.
    #[must_use]
    #[inline]
    pub fn left(&self) -> usize {
        self.bytes.len() + self.tail.len()
    }

    /// Reads a value of a Rust type.
    ///
    /// # Errors
    /// Whatever is not the canonical encoding of a `T`.
    pub fn value<T: Deserialize<'a>>(&mut self) -> Result<T, EncodingError> {
        T::deserialize(self)
    }

    /// Says that nothing follows.
    ///
    /// # Errors
    /// [`EncodingError::Trailing`].
    #[inline]
    pub fn finish(self) -> Result<(), EncodingError> {
        match self.left() {
            0 => Ok(()),
            n => Err(EncodingError::Trailing(n)),
        }
    }

    /// Reads one byte.
    ///
    /// # Errors
    /// [`EncodingError::Short`].
    #[inline]
    pub fn byte(&mut self) -> Result<u8, EncodingError> {
        let (first, rest) = self.bytes.split_first().ok_or(EncodingError::Short)?;
        self.bytes = rest;
        Ok(*first)
    }

    /// Reads `len` bytes.
    ///
    /// # Errors
    /// [`EncodingError::Short`].
    #[inline]
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], EncodingError> {
        match self.bytes.split_at_checked(len) {
            Some((head, rest)) => {
                self.bytes = rest;
                Ok(head)
            }
            None if self.bytes.is_empty() && len == self.tail.len() => Ok(std::mem::take(&mut self.tail)),
            None => Err(EncodingError::Short),
        }
    }

    /// Reads a shortest LEB128 of at most `bits` bits.
    ///
    /// # Errors
    /// [`EncodingError::Number`] for a longer form or a larger number, [`EncodingError::Short`].
    #[inline]
    pub fn varint(&mut self, bits: u32) -> Result<u64, EncodingError> {
        // Most numbers are small.
        if let Some((first @ ..0x80, rest)) = self.bytes.split_first() {
            self.bytes = rest;
            return Ok(u64::from(*first));
        }
        let (value, length) = leb128(self.bytes, bits);
        match self.bytes.get(length..) {
            Some(rest) if length > 0 => {
                self.bytes = rest;
                Ok(value)
            }
            _ => Err(no_number(self.bytes)),
        }
    }

    /// Reads a length: never more than the bytes left.
    ///
    /// # Errors
    /// [`EncodingError::Length`], or as [`Reader::varint`].
    #[inline]
    pub fn length(&mut self) -> Result<usize, EncodingError> {
        let length = self.varint(32)?;
        usize::try_from(length).ok().filter(|length| *length <= self.left()).ok_or(EncodingError::Length)
    }

    /// Reads a zigzag number of at most `bits` bits.
    ///
    /// # Errors
    /// As [`Reader::varint`].
    #[inline]
    pub fn signed(&mut self, bits: u32) -> Result<i64, EncodingError> {
        self.varint(bits).map(unzigzag)
    }

    /// Reads bytes with their length in front (`list<u8>`).
    ///
    /// # Errors
    /// As [`Reader::length`].
    #[inline]
    pub fn bytes(&mut self) -> Result<&'a [u8], EncodingError> {
        let length = self.length()?;
        self.take(length)
    }

    /// Reads a string.
    ///
    /// # Errors
    /// [`EncodingError::Utf8`], or as [`Reader::length`].
    #[inline]
    pub fn string(&mut self) -> Result<&'a str, EncodingError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| EncodingError::Utf8)
    }

    /// Reads a char.
    ///
    /// # Errors
    /// [`EncodingError::Char`], or as [`Reader::string`].
    pub fn char(&mut self) -> Result<char, EncodingError> {
        let mut scalars = self.string()?.chars();
        match (scalars.next(), scalars.next()) {
            (Some(c), None) => Ok(c),
            _ => Err(EncodingError::Char),
        }
    }

    /// Reads a bool.
    ///
    /// # Errors
    /// [`EncodingError::Bool`] or [`EncodingError::Short`].
    #[inline]
    pub fn bool(&mut self) -> Result<bool, EncodingError> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(EncodingError::Bool(other)),
        }
    }

    /// Reads the tag of an option.
    ///
    /// # Errors
    /// [`EncodingError::Option`] or [`EncodingError::Short`].
    #[inline]
    pub fn option(&mut self) -> Result<bool, EncodingError> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(EncodingError::Option(other)),
        }
    }

    /// Reads an f32 as bits.
    ///
    /// # Errors
    /// [`EncodingError::Nan`] or [`EncodingError::Short`].
    #[inline]
    pub fn f32(&mut self) -> Result<f32, EncodingError> {
        let (head, rest) = self.bytes.split_first_chunk::<4>().ok_or(EncodingError::Short)?;
        self.bytes = rest;
        let value = f32::from_le_bytes(*head);
        if value.is_nan() && value.to_bits() != NAN_32 { Err(EncodingError::Nan) } else { Ok(value) }
    }

    /// Reads an f64 as bits.
    ///
    /// # Errors
    /// [`EncodingError::Nan`] or [`EncodingError::Short`].
    #[inline]
    pub fn f64(&mut self) -> Result<f64, EncodingError> {
        let (head, rest) = self.bytes.split_first_chunk::<8>().ok_or(EncodingError::Short)?;
        self.bytes = rest;
        let value = f64::from_le_bytes(*head);
        if value.is_nan() && value.to_bits() != NAN_64 { Err(EncodingError::Nan) } else { Ok(value) }
    }

    /// Reads the bits of `count` flags, lowest first, into `words`-sized chunks of a byte each.
    ///
    /// # Errors
    /// [`EncodingError::Flags`] for bits above `count`, or as [`Reader::varint`].
    pub fn flags(&mut self, count: usize) -> Result<Vec<u8>, EncodingError> {
        let length = count.div_ceil(8);
        let bits = if count <= 64 {
            let mut bits = self.varint(64)?.to_le_bytes().to_vec();
            if bits.iter().skip(length).any(|b| *b != 0) {
                return Err(EncodingError::Flags);
            }
            bits.truncate(length);
            bits
        } else {
            self.take(length)?.to_vec()
        };
        let spare = (length * 8 - count) as u32;
        match bits.last() {
            Some(last) if spare > 0 && last.leading_zeros() < spare => Err(EncodingError::Flags),
            _ => Ok(bits),
        }
    }
}

/// The number at the start of `bytes` and its length; 0 is the length of what is no shortest LEB128 of at most `bits` bits.
// Not a Result: two words travel in registers.
fn leb128(bytes: &[u8], bits: u32) -> (u64, usize) {
    let mut value = 0u64;
    for (at, byte) in bytes.iter().take(10).enumerate() {
        let (low, shift) = (u64::from(byte & 0x7f), 7 * at as u32);
        if shift == 63 && low > 1 {
            return (0, 0);
        }
        value |= low << shift;
        if byte & 0x80 == 0 {
            let too_long = *byte == 0 && at > 0;
            let too_large = bits < 64 && value >> bits != 0;
            return if too_long || too_large { (0, 0) } else { (value, at + 1) };
        }
    }
    (0, 0)
}

/// Why there is no number at the start of `bytes`.
#[cold]
fn no_number(bytes: &[u8]) -> EncodingError {
    let ends_inside = bytes.len() < 10 && bytes.iter().all(|byte| byte & 0x80 != 0);
    if ends_inside { EncodingError::Short } else { EncodingError::Number }
}

/// Writes flags whose bits stand in `bits`, lowest first.
pub fn write_flags(out: &mut impl Output, count: usize, bits: &[u8]) {
    if count <= 64 {
        let mut word = [0u8; 8];
        for (to, from) in word.iter_mut().zip(bits) {
            *to = *from;
        }
        write_varint(out, u64::from_le_bytes(word));
    } else {
        out.write(bits);
    }
}

/// Writes bytes with their length in front.
#[inline]
pub fn write_bytes(out: &mut impl Output, bytes: &[u8]) {
    write_varint(out, bytes.len() as u64);
    out.write(bytes);
}

/// Serialises flags: what `bindings!` puts into the `Serialize` of a flags type.
///
/// # Errors
/// Those of the serialiser.
pub fn serialize_flags<S: serde::Serializer, const N: usize>(
    count: usize,
    bits: &[u8; N],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    use serde::ser::SerializeTuple;
    if count <= 64 {
        let mut word = [0u8; 8];
        for (to, from) in word.iter_mut().zip(bits) {
            *to = *from;
        }
        return serializer.serialize_u64(u64::from_le_bytes(word));
    }
    let mut tuple = serializer.serialize_tuple(N)?;
    for byte in bits {
        tuple.serialize_element(byte)?;
    }
    tuple.end()
}

/// Deserialises flags: what `bindings!` puts into the `Deserialize` of a flags type.
///
/// # Errors
/// Those of the deserialiser, and undeclared bits.
pub fn deserialize_flags<'de, D: serde::Deserializer<'de>, const N: usize>(
    count: usize,
    deserializer: D,
) -> Result<[u8; N], D::Error> {
    use serde::de::Error;
    let mut bits = [0u8; N];
    if count <= 64 {
        let word = u64::deserialize(deserializer)?.to_le_bytes();
        if word.iter().skip(N).any(|b| *b != 0) {
            return Err(D::Error::custom(EncodingError::Flags));
        }
        for (to, from) in bits.iter_mut().zip(word) {
            *to = from;
        }
    } else {
        deserializer.deserialize_tuple(N, FlagBytes(&mut bits))?;
    }
    let spare = (N * 8 - count) as u32;
    match bits.last() {
        Some(last) if spare > 0 && last.leading_zeros() < spare => Err(D::Error::custom(EncodingError::Flags)),
        _ => Ok(bits),
    }
}

struct FlagBytes<'a, const N: usize>(&'a mut [u8; N]);

impl<'de, const N: usize> serde::de::Visitor<'de> for FlagBytes<'_, N> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{N} bytes of flags")
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        for byte in self.0.iter_mut() {
            *byte = seq.next_element()?.ok_or_else(|| serde::de::Error::custom(EncodingError::Short))?;
        }
        Ok(())
    }
}

impl Serialize for Bytes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Raw;
        impl serde::de::Visitor<'_> for Raw {
            type Value = Bytes;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes::from(bytes))
            }
            fn visit_byte_buf<E: serde::de::Error>(self, bytes: Vec<u8>) -> Result<Bytes, E> {
                Ok(Bytes::from(bytes))
            }
        }
        deserializer.deserialize_byte_buf(Raw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same<T: Serialize + for<'a> Deserialize<'a> + PartialEq + fmt::Debug>(value: T, bytes: &[u8]) {
        assert_eq!(encode(&value).unwrap(), bytes);
        assert_eq!(decode::<T>(bytes).unwrap(), value);
    }

    #[test]
    fn values_have_the_bytes_the_table_says() {
        same(true, &[1]);
        same(-1i8, &[0xff]);
        same(300u16, &[0xac, 0x02]);
        same(-1i32, &[1]);
        same(i64::MIN, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]);
        same(1.5f32, &[0, 0, 0xc0, 0x3f]);
        same('é', &[2, 0xc3, 0xa9]);
        same("ab".to_owned(), &[2, b'a', b'b']);
        same(Some(7u8), &[1, 7]);
        same(Ok::<u8, String>(7), &[0, 7]);
        same(Err::<u8, String>("x".into()), &[1, 1, b'x']);
        same(vec![1u32, 2], &[2, 1, 2]);
        same(Bytes::from(vec![1, 2]), &[2, 1, 2]);
    }

    #[test]
    fn every_nan_is_written_as_the_canonical_one_and_no_other_is_read() {
        assert_eq!(encode(&f32::from_bits(0xffc0_0001)).unwrap(), NAN_32.to_le_bytes());
        assert_eq!(encode(&f64::from_bits(0xfff8_0000_0000_0001)).unwrap(), NAN_64.to_le_bytes());
        assert_eq!(decode::<f32>(&0xffc0_0001u32.to_le_bytes()), Err(EncodingError::Nan));
        assert_eq!(decode::<f64>(&1u64.wrapping_add(NAN_64).to_le_bytes()), Err(EncodingError::Nan));
    }

    #[test]
    fn what_postcard_lets_through_is_refused() {
        assert_eq!(decode::<u32>(&[0x80, 0x00]), Err(EncodingError::Number));
        assert_eq!(decode::<u8>(&[1, 2]), Err(EncodingError::Trailing(1)));
        assert_eq!(decode::<char>(&[2, b'a', b'b']), Err(EncodingError::Char));
        assert_eq!(decode::<bool>(&[2]), Err(EncodingError::Bool(2)));
        assert_eq!(decode::<Option<u8>>(&[2, 0]), Err(EncodingError::Option(2)));
        assert_eq!(decode::<String>(&[5, b'a']), Err(EncodingError::Length));
        assert_eq!(decode::<String>(&[1, 0xff]), Err(EncodingError::Utf8));
        assert_eq!(decode::<u16>(&[0x80, 0x80, 0x04]), Err(EncodingError::Number));
    }

    #[test]
    fn a_number_is_its_groups_of_seven_bits() {
        for bits in 0..64 {
            for value in
                [(1u64 << bits) - 1, 1 << bits, (1 << bits) + 1, u64::MAX >> bits, 0x0123_4567_89ab_cdef >> bits]
            {
                let groups = (64 - value.leading_zeros()).div_ceil(7).max(1);
                let group = |at| (value >> (7 * at)) as u8 & 0x7f | if at + 1 < groups { 0x80 } else { 0 };
                let expected: Vec<u8> = (0..groups).map(group).collect();
                same(value, &expected);
            }
        }
    }

    #[test]
    fn a_number_that_is_cut_off_is_short_and_one_that_is_too_long_is_none() {
        for length in 0..10 {
            assert_eq!(decode::<u64>(&vec![0x80; length]), Err(EncodingError::Short), "{length}");
        }
        assert_eq!(decode::<u64>(&[0x80; 10]), Err(EncodingError::Number));
        assert_eq!(decode::<u64>(&[&[0xff; 9][..], &[1]].concat()), Ok(u64::MAX));
        assert_eq!(decode::<u64>(&[&[0xff; 9][..], &[2]].concat()), Err(EncodingError::Number));
    }

    #[test]
    fn a_tail_is_read_as_what_follows_and_in_one_piece() {
        let read = |bytes: &[u8], tail: &[u8]| {
            let mut reader = Reader::with_tail(bytes, tail);
            let value = reader.value::<(u8, Bytes)>()?;
            reader.finish().map(|()| value)
        };
        assert_eq!(read(&[7, 2], &[1, 2]), Ok((7, Bytes::from(vec![1, 2]))));
        assert_eq!(read(&[7, 2, 1], &[2]), Err(EncodingError::Short));
        assert_eq!(read(&[7, 1], &[1, 2]), Err(EncodingError::Short));
        assert_eq!(read(&[7, 3], &[1, 2]), Err(EncodingError::Length));
        assert_eq!(read(&[7], &[2, 1, 2]), Err(EncodingError::Short));
        assert_eq!(read(&[7, 1, 1], &[1, 2]), Err(EncodingError::Trailing(2)));
    }

    #[test]
    fn flags_refuse_undeclared_bits() {
        assert_eq!(Reader::new(&[0xff, 0x07]).flags(9), Err(EncodingError::Flags));
        assert_eq!(Reader::new(&[0xff, 0x07]).flags(10), Ok(vec![0xff, 0x03]));
        assert_eq!(Reader::new(&[0, 0, 0, 0, 0, 0, 0, 0, 2]).flags(65), Err(EncodingError::Flags));
        assert_eq!(Reader::new(&[0]).flags(0), Ok(vec![]));
    }
}
