//! The destination of encoded bytes.

use crate::memcpy;

/// A destination of encoded bytes.
pub trait Output {
    /// Appends one byte.
    fn push(&mut self, byte: u8);
    /// Appends bytes.
    fn write(&mut self, bytes: &[u8]);
    /// Appends the first `length` of `bytes`; `length` is at most 8. Cheaper than [`Output::write`] where 8 bytes fit.
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
