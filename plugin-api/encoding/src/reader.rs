//! Reads the encoding strictly: only the canonical bytes of a value are accepted.
//!
//! A [`Reader`] walks bytes from front to back and never allocates more than the input can fill: a length is checked
//! against the bytes that are left before it is used. A number in a longer form than necessary, an unknown tag, a NaN
//! other than the canonical one, undeclared flags and trailing bytes are errors, because two encodings of one value
//! would have two hashes in the chain.

use serde::Deserialize;

use crate::error::EncodingError;
use crate::number::{NAN_32, NAN_64, unzigzag};

/// Reads encoded values one after the other.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    // Follows `bytes`; only read as a whole.
    tail: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads from the start of `bytes`.
    #[must_use]
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, tail: &[] }
    }

    /// Reads `bytes` and then `tail`, which is the whole content of the `list<u8>` (or string) that the value ends
    /// with.
    #[must_use]
    #[inline]
    pub fn with_tail(bytes: &'a [u8], tail: &'a [u8]) -> Self {
        Self { bytes, tail }
    }

    /// The number of bytes that have not been read.
    #[must_use]
    #[inline]
    pub fn left(&self) -> usize {
        self.bytes.len() + self.tail.len()
    }

    /// Reads a value of a Rust type.
    ///
    /// # Errors
    /// The bytes are not the canonical encoding of a `T`.
    pub fn value<T: Deserialize<'a>>(&mut self) -> Result<T, EncodingError> {
        T::deserialize(self)
    }

    /// Checks that no bytes follow.
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

    /// Reads a LEB128 number of at most `bits` bits in its shortest form.
    ///
    /// # Errors
    /// [`EncodingError::Number`] for a longer form or a larger number, [`EncodingError::Short`].
    #[inline]
    pub fn varint(&mut self, bits: u32) -> Result<u64, EncodingError> {
        // Fast path: most numbers are below 128.
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

    /// Reads a length, which is at most the number of bytes left.
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

    /// Reads a length and that many bytes (`list<u8>`).
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

    /// Reads an f32.
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

    /// Reads an f64.
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

    /// Reads the bits of `count` flags, lowest first, as one byte per eight flags.
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

/// The number at the start of `bytes` and its length in bytes. The length is 0 if `bytes` do not start with a LEB128 of
/// at most `bits` bits in its shortest form.
// Not a Result, because two words are returned in registers.
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

/// The reason why `bytes` do not start with a number.
#[cold]
fn no_number(bytes: &[u8]) -> EncodingError {
    let ends_inside = bytes.len() < 10 && bytes.iter().all(|byte| byte & 0x80 != 0);
    if ends_inside { EncodingError::Short } else { EncodingError::Number }
}
