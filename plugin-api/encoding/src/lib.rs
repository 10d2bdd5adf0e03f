//! The encoding of WIT values as bytes.
//!
//! The wire format is a canonical form of that of the [`postcard`] crate: equal values have equal bytes. The bytes that
//! cross the plugin ABI are the bytes that the chain hashes, stores and replays. Both directions are strict: bytes that
//! `postcard` accepts and that are not canonical are an [`EncodingError`].
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
//! | record, tuple | the fields, one after the other |
//! | flags | up to 64 flags: the bits as one LEB128; above: one bit per flag, first flag lowest, in as few bytes as possible |
//!
//! This crate encodes Rust types that implement `serde`'s traits. The core reads and writes the same bytes by the types
//! of the component.
//!
//! [`postcard`]: https://postcard.jamesmunns.com/wire-format

use serde::{Deserialize, Serialize};

mod bytes;
mod deserializer;
mod error;
mod flags;
pub mod memcpy;
mod number;
mod output;
mod reader;
mod serializer;
#[cfg(test)]
mod tests;
mod uuid;

pub use self::bytes::Bytes;
pub use self::error::EncodingError;
pub use self::flags::{deserialize_flags, serialize_flags, write_flags};
pub use self::number::{NAN_32, NAN_64, unzigzag, write_bytes, write_varint, zigzag};
pub use self::output::Output;
pub use self::reader::Reader;
pub use self::uuid::uuid_text;

/// Encodes a value.
///
/// # Errors
/// A type without a WIT counterpart (a map, a sequence of unknown length) has no encoding.
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

/// Appends the encoding of a value to `out`.
///
/// # Errors
/// As [`encode`].
#[inline]
pub fn encode_into<T: Serialize + ?Sized>(value: &T, out: &mut impl Output) -> Result<(), EncodingError> {
    value.serialize(&mut serializer::Writer { out })
}

/// Decodes a value. The whole of `bytes` must be its encoding.
///
/// # Errors
/// The bytes are not the canonical encoding of a `T`, or bytes follow it.
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
