//! Content hashes: computing, parsing and printing them.

use std::fmt;

use sha2::{Digest, Sha256};

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// A text that is not a hash; it holds the text, quoted and escaped.
#[derive(Debug, thiserror::Error)]
#[error("{0} is not a hash: the hash of a content is its SHA-256 as 64 hexadecimal digits in lower case")]
pub struct InvalidHash(String);

/// A SHA-256 computation over the pieces of a content.
#[derive(Default)]
pub struct ContentHasher(Sha256);

impl ContentHasher {
    /// Adds the next bytes.
    pub fn add(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// Returns the hash of all bytes added.
    pub fn hash(self) -> Hash {
        Hash(self.0.finalize().into())
    }
}

/// A content's name: the SHA-256 of its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hash([u8; 32]);

impl Hash {
    /// The hash of `content`.
    pub fn of(content: &[u8]) -> Self {
        let mut hashed = ContentHasher::default();
        hashed.add(content);
        hashed.hash()
    }

    /// Parses a hash: 64 hexadecimal digits in lower case.
    ///
    /// # Errors
    /// [`InvalidHash`].
    pub fn parse(text: &str) -> Result<Self, InvalidHash> {
        let bad = || InvalidHash(quoted(text));
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let pairs: &[[u8; 2]; 32] = pairs.try_into().map_err(|_| bad())?;
        let mut bytes = [0; 32];
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = digit(*high).ok_or_else(bad)? << 4 | digit(*low).ok_or_else(bad)?;
        }
        if rest.is_empty() { Ok(Self(bytes)) } else { Err(bad()) }
    }

    /// The 32 bytes, which are the key in the index.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first byte, which selects one of the 256 content folders.
    pub fn first(&self) -> u8 {
        let [first, ..] = self.0;
        first
    }
}

impl From<&[u8; 32]> for Hash {
    fn from(bytes: &[u8; 32]) -> Self {
        Self(*bytes)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; 64];
        for ([high, low], byte) in text.as_chunks_mut::<2>().0.iter_mut().zip(self.0) {
            *high = DIGITS.get(usize::from(byte >> 4)).copied().unwrap_or_default();
            *low = DIGITS.get(usize::from(byte & 15)).copied().unwrap_or_default();
        }
        f.pad(str::from_utf8(&text).unwrap_or_default())
    }
}

/// The value of a hexadecimal digit in lower case.
pub fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

/// Formats untrusted text for an error message: quoted, escaped and truncated.
pub fn quoted(text: &str) -> String {
    const MOST: usize = 80;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{:?}... ({} bytes)", text.get(..end).unwrap_or_default(), text.len()),
        None => format!("{text:?}"),
    }
}
