//! Flags: the `serde` implementations that `bindings!` generates use these functions.

use std::fmt;

use serde::de::{Error, SeqAccess, Visitor};
use serde::ser::SerializeTuple;
use serde::{Deserialize, Deserializer, Serializer};

use crate::error::EncodingError;
use crate::number::write_varint;
use crate::output::Output;

/// Writes `count` flags; `bits` holds them, lowest first.
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

/// Serialises flags, for the `Serialize` implementations that `bindings!` generates.
///
/// # Errors
/// Those of the serialiser.
pub fn serialize_flags<S: Serializer, const N: usize>(
    count: usize,
    bits: &[u8; N],
    serializer: S,
) -> Result<S::Ok, S::Error> {
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

/// Deserialises flags, for the `Deserialize` implementations that `bindings!` generates.
///
/// # Errors
/// Those of the deserialiser, and undeclared bits.
pub fn deserialize_flags<'de, D: Deserializer<'de>, const N: usize>(
    count: usize,
    deserializer: D,
) -> Result<[u8; N], D::Error> {
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

impl<'de, const N: usize> Visitor<'de> for FlagBytes<'_, N> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{N} bytes of flags")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        for byte in self.0.iter_mut() {
            *byte = seq.next_element()?.ok_or_else(|| A::Error::custom(EncodingError::Short))?;
        }
        Ok(())
    }
}
