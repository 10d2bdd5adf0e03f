//! Seals: an operator's signature over the head of a chain, stored as an event of the chain.
//!
//! A hash chain alone does not show that it was truncated or completely rewritten. A seal is a signature (Ed25519, RFC 8032)
//! over actor, sequence and head, made at snapshots and at the end of an actor with a key that is not stored next to the data.
//! It proves the chain up to the seal.
//!
//! # Format
//! The data of a `sealed` event is [`crate::record::Sealed`]: the public key (32 bytes) and the signature (64 bytes) over
//! `"theater/seal/1"`, the actor's id (16 bytes), the sequence of the previous event (u64, little-endian) and its hash (32 bytes).
//! A key file is PKCS #8 (RFC 8410) in DER, as written by `theater chain key` or
//! `openssl genpkey -algorithm ed25519 -outform DER`.

use std::path::Path;

use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use crate::error::Error;
use crate::event::{EventRef, Header};
use crate::record::Sealed;

const MAGIC: &[u8] = b"theater/seal/1";

/// A private key that signs chains.
#[derive(Debug)]
pub struct Sealer(Ed25519KeyPair);

impl Sealer {
    /// Reads a key file.
    ///
    /// # Errors
    /// `S0006`.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let bad = |reason: String| Error::Key { path: path.to_owned(), reason };
        let bytes = std::fs::read(path).map_err(|error| bad(error.to_string()))?;
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&bytes);
        pair.map(Self).map_err(|error| bad(format!("it is not an Ed25519 key in PKCS #8 (DER): {error}")))
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }

    /// Signs the newest event of a chain.
    #[must_use]
    pub fn seal(&self, newest: &EventRef) -> Sealed {
        let signature = self.0.sign(&signed_bytes(newest));
        Sealed { key: self.public().into(), signature: signature.as_ref().into() }
    }
}

/// Generates a key. Returns the content of its file.
///
/// # Errors
/// The system returned no random bytes.
pub fn new_key() -> Result<Vec<u8>, Error> {
    let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new());
    key.map(|key| key.as_ref().to_vec()).map_err(|_| Error::NoRandomBytes)
}

/// Whether the seal of an event with this header is a valid signature over the previous event.
#[must_use]
pub fn is_valid(header: &Header, sealed: &Sealed) -> bool {
    let Some(sequence) = header.sequence.checked_sub(1) else { return false };
    let previous = EventRef { actor: header.actor, sequence, hash: header.parent };
    UnparsedPublicKey::new(&ED25519, &sealed.key).verify(&signed_bytes(&previous), &sealed.signature).is_ok()
}

/// The bytes that a seal over an event signs.
fn signed_bytes(event: &EventRef) -> Vec<u8> {
    [MAGIC, &event.actor, &event.sequence.to_le_bytes(), &event.hash].concat()
}
