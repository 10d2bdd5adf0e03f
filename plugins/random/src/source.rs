//! Sources of random bytes: the system's generator, or a ChaCha20 stream.
//!
//! The stream is that of RFC 8439 with a 64-bit block counter starting at 0 and nonce 0. The key is the seed as 8
//! little-endian bytes followed by 24 zeros. Reads are consecutive: no byte is skipped, whatever lengths are requested.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Bytes in a word of the generator. The generator can only be positioned at the start of a word.
const WORD: u64 = 4;

/// The source of one actor.
pub enum Source {
    /// The system's generator.
    System,
    /// The stream of a seed.
    Seeded(Box<Mutex<Stream>>),
}

/// A ChaCha20 stream and the number of bytes read from it.
pub struct Stream {
    // Invariant: positioned at the first word boundary at or after `position`.
    words: ChaCha20Rng,
    position: u64,
}

impl Source {
    /// Creates the stream of the seed, or uses the system's generator if there is none.
    pub fn new(seed: Option<u64>) -> Self {
        seed.map_or(Self::System, |seed| Self::Seeded(Box::new(Mutex::new(Stream::new(seed)))))
    }

    /// Fills `bytes` with the next bytes of the source.
    ///
    /// # Errors
    /// If the system's generator fails, a message with its error.
    pub fn fill(&self, bytes: &mut [u8]) -> Result<(), String> {
        match self {
            Self::System => {
                getrandom::fill(bytes).map_err(|error| format!("the system gives no random bytes: {error}"))
            }
            Self::Seeded(stream) => {
                locked(stream).fill(bytes);
                Ok(())
            }
        }
    }

    /// Number of bytes read from the stream; `None` for the system's generator.
    pub fn position(&self) -> Option<u64> {
        match self {
            Self::System => None,
            Self::Seeded(stream) => Some(locked(stream).position),
        }
    }

    /// Sets the number of bytes read from the stream. Does nothing for the system's generator.
    pub fn go_to(&self, position: u64) {
        if let Self::Seeded(stream) = self {
            locked(stream).go_to(position);
        }
    }
}

fn locked(stream: &Mutex<Stream>) -> MutexGuard<'_, Stream> {
    stream.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Stream {
    fn new(seed: u64) -> Self {
        let mut key = [0; 32];
        key.iter_mut().zip(seed.to_le_bytes()).for_each(|(to, from)| *to = from);
        Self { words: ChaCha20Rng::from_seed(key), position: 0 }
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        // The rest of a partially read word. The generator is already past that word, so it is generated again.
        let begun = self.position % WORD;
        let (head, tail) = bytes.split_at_mut(bytes.len().min(((WORD - begun) % WORD) as usize));
        if !head.is_empty() {
            let mut word = [0; WORD as usize];
            self.words.set_word_pos(u128::from(self.position / WORD));
            self.words.fill_bytes(&mut word);
            head.iter_mut().zip(word.into_iter().skip(begun as usize)).for_each(|(to, from)| *to = from);
        }
        self.words.fill_bytes(tail);
        self.position += head.len() as u64 + tail.len() as u64;
    }

    fn go_to(&mut self, position: u64) {
        self.position = position;
        self.words.set_word_pos(u128::from(position.div_ceil(WORD)));
    }
}
