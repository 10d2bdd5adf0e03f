//! Copies of many bytes, in pieces.
//!
//! From about 4 KiB on, glibc copies with `rep movsb`, which AMD's Zen 3 and later run five times slower than a loop over
//! vector registers when source and target stand unluckily to each other within their pages (measured: 20 us in place of 4
//! for 64 KiB). Pieces below that size take the loop everywhere and cost nothing elsewhere.

/// Below glibc's `x86_rep_movsb_threshold` (4,096 with AVX2).
const PIECE: usize = 2048;

/// Puts `bytes` behind what `out` holds.
#[inline]
pub fn append(out: &mut Vec<u8>, bytes: &[u8]) {
    out.reserve(bytes.len());
    for piece in bytes.chunks(PIECE) {
        out.extend_from_slice(piece);
    }
}

/// Puts `bytes` into `place`.
///
/// # Panics
/// When they differ in length.
#[inline]
pub fn fill(place: &mut [u8], bytes: &[u8]) {
    assert_eq!(place.len(), bytes.len(), "as many bytes as there is place for");
    for (place, piece) in place.chunks_mut(PIECE).zip(bytes.chunks(PIECE)) {
        place.copy_from_slice(piece);
    }
}

/// The same bytes in a vector of their own.
#[must_use]
pub fn owned(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    append(&mut out, bytes);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_make_the_whole() {
        for length in [0, 1, PIECE - 1, PIECE, PIECE + 1, 5 * PIECE + 7] {
            let bytes: Vec<u8> = (0..length).map(|number| (number % 251) as u8).collect();
            assert_eq!(owned(&bytes), bytes);
            let mut behind = vec![7];
            append(&mut behind, &bytes);
            assert_eq!(behind[1..], bytes);
            let mut place = vec![0; length];
            fill(&mut place, &bytes);
            assert_eq!(place, bytes);
        }
    }
}
