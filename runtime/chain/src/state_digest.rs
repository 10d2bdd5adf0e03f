//! An actor's state and its digest.
//!
//! The digest of a state is SHA3-256 over `"theater/state/1"`, its length (u64, little-endian) and the SHA3-256 of each
//! leaf of 64 KiB (the last one may be shorter) over `"theater/leaf/1"` and its bytes. An unchanged leaf is compared, not
//! hashed again. The digest of `none` (no state) has no leaves and the length 2^64 - 1.

use std::sync::Arc;

use crate::event::{Hash, sha3};
use crate::record::StateDigest;

/// Size of a leaf in bytes.
pub const LEAF: usize = 64 * 1024;

/// An actor's state with the hashes of its leaves.
#[derive(Debug, Default)]
pub struct State {
    bytes: Option<Arc<Vec<u8>>>,
    leaves: Vec<Hash>,
}

impl State {
    /// An initial state.
    #[must_use]
    pub fn new(bytes: Option<Arc<Vec<u8>>>) -> Self {
        let leaves = bytes.iter().flat_map(|bytes| bytes.chunks(LEAF)).map(leaf).collect();
        Self { bytes, leaves }
    }

    /// The bytes.
    #[must_use]
    pub fn get(&self) -> Option<&[u8]> {
        self.bytes.as_deref().map(Vec::as_slice)
    }

    /// The bytes, shared.
    #[must_use]
    pub fn share(&self) -> Option<Arc<Vec<u8>>> {
        self.bytes.clone()
    }

    /// Prepares to replace the state with `new`. Returns none if the two are equal.
    #[must_use]
    pub fn change(&self, new: Vec<u8>) -> Option<Change> {
        let old = self.get();
        if old == Some(&new[..]) {
            return None;
        }
        let mut previous = old.unwrap_or_default().chunks(LEAF).zip(&self.leaves);
        let leaves = new
            .chunks(LEAF)
            .map(|chunk| match previous.next() {
                Some((same, hash)) if same == chunk => *hash,
                _ => leaf(chunk),
            })
            .collect();
        Some(Change(Self { bytes: Some(Arc::new(new)), leaves }))
    }

    /// Applies a change of this state.
    pub fn commit(&mut self, change: Change) {
        *self = change.0;
    }

    /// The digest of the current state.
    #[must_use]
    pub fn digest(&self) -> StateDigest {
        let length = self.bytes.as_ref().map_or(u64::MAX, |bytes| bytes.len() as u64);
        let mut parts = vec![b"theater/state/1".to_vec(), length.to_le_bytes().to_vec()];
        parts.extend(self.leaves.iter().map(|hash| hash.to_vec()));
        StateDigest { length, digest: sha3(parts.iter().map(Vec::as_slice)).to_vec().into() }
    }
}

/// A new state that has not been committed.
#[derive(Debug)]
pub struct Change(State);

impl Change {
    /// Size of the new state in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.get().map_or(0, |bytes| bytes.len() as u64)
    }

    /// The digest of the new state.
    #[must_use]
    pub fn digest(&self) -> StateDigest {
        self.0.digest()
    }
}

fn leaf(bytes: &[u8]) -> Hash {
    sha3([b"theater/leaf/1", bytes])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_state_has_the_digest_of_a_fresh_one() {
        let mut state = State::new(Some(vec![7; 3 * LEAF + 5].into()));
        let mut next = vec![7; 3 * LEAF + 5];
        assert!(state.change(next.clone()).is_none());
        next[LEAF + 1] = 8;
        let change = state.change(next.clone()).unwrap();
        assert_eq!(change.digest(), State::new(Some(next.clone().into())).digest());
        state.commit(change);
        assert_eq!(state.get(), Some(&next[..]));
        next.truncate(10);
        assert_eq!(state.change(next.clone()).unwrap().digest(), State::new(Some(next.into())).digest());
        assert_ne!(State::new(None).digest(), State::new(Some(Vec::new().into())).digest());
    }
}
