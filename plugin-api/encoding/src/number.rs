//! Numbers as bytes: LEB128, zigzag and the canonical NaN.

use crate::output::Output;

/// The bit pattern that every 32-bit NaN is encoded as.
pub const NAN_32: u32 = 0x7fc0_0000;
/// The bit pattern that every 64-bit NaN is encoded as.
pub const NAN_64: u64 = 0x7ff8_0000_0000_0000;

/// Writes the shortest LEB128 of `value`.
#[inline]
pub fn write_varint(out: &mut impl Output, value: u64) {
    if value < 0x80 {
        return out.push(value as u8);
    }
    // Spread the eight lowest groups of seven bits over eight bytes, without a loop.
    let high = value >> 56;
    let mut groups = (value & 0x0fff_ffff) | (value & 0x00ff_ffff_f000_0000) << 4;
    groups = (groups & 0x0000_3fff_0000_3fff) | (groups & 0x0fff_c000_0fff_c000) << 2;
    groups = (groups & 0x007f_007f_007f_007f) | (groups & 0x3f80_3f80_3f80_3f80) << 1;
    if high == 0 {
        // The top bit of each byte up to the last one that is not zero.
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

/// The continuation bit of each of eight bytes.
const EIGHT_FOLLOWED: u64 = 0x8080_8080_8080_8080;

/// Maps a signed number to an unsigned one, so that small absolute values have short encodings.
#[must_use]
pub fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// The inverse of [`zigzag`].
#[must_use]
pub fn unzigzag(value: u64) -> i64 {
    ((value >> 1) as i64) ^ -((value & 1) as i64)
}

/// Writes the length of bytes, then the bytes.
#[inline]
pub fn write_bytes(out: &mut impl Output, bytes: &[u8]) {
    write_varint(out, bytes.len() as u64);
    out.write(bytes);
}
