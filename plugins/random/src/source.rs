//! Where random bytes come from: the system, or a ChaCha20 stream.
//!
//! The stream is that of RFC 8439 with a 64-bit block counter from 0 and nonce 0; the key is the seed's 8 little-endian
//! bytes and 24 zeros. It is read byte by byte without gaps, whatever lengths are asked for.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// The bytes in a word of the generator, which can be set to the start of a word only.
const WORD: u64 = 4;

/// One actor's source.
pub enum Source {
    /// The system's generator.
    System,
    /// A seed's stream.
    Seeded(Box<Mutex<Stream>>),
}

/// A ChaCha20 stream and how far it was read.
pub struct Stream {
    // Stands at the first whole word at or behind `position`.
    words: ChaCha20Rng,
    position: u64,
}

impl Source {
    /// The stream of the seed, or the system's generator without one.
    pub fn new(seed: Option<u64>) -> Self {
        seed.map_or(Self::System, |seed| Self::Seeded(Box::new(Mutex::new(Stream::new(seed)))))
    }

    /// Fills `bytes` with the next ones.
    ///
    /// # Errors
    /// A sentence on what the system's generator failed with.
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

    /// How many bytes of the stream were read; none for the system's generator.
    pub fn position(&self) -> Option<u64> {
        match self {
            Self::System => None,
            Self::Seeded(stream) => Some(locked(stream).position),
        }
    }

    /// Goes on as if so many bytes of the stream had been read; nothing for the system's generator.
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
        // What is left of a word that was read in part: the generator has passed it, so it is made once more.
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
