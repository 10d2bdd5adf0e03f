//! Seals: an operator's signature over the head of a chain, as an event of it.
//!
//! A hash chain alone shows neither that its end was cut off nor that all of it was written anew. A seal (Ed25519, RFC 8032)
//! over actor, sequence and head, made at snapshots and ends with a key that does not lie beside the data, shows both up to
//! itself.
//!
//! # Format
//! The data of a `sealed` event is [`crate::record::Sealed`]: the public key (32 bytes) and the signature (64 bytes) over
//! `"theater/seal/1"`, the actor's id (16 bytes), the sequence of the event before (u64, little-endian) and its hash (32 bytes).
//! A key's file is PKCS #8 (RFC 8410) in DER, as `theater chain key` or `openssl genpkey -algorithm ed25519 -outform DER`
//! write it.

use std::path::Path;

use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use crate::error::Error;
use crate::event::{EventRef, Header};
use crate::record::Sealed;

const MAGIC: &[u8] = b"theater/seal/1";

/// A key that seals.
#[derive(Debug)]
pub struct Sealer(Ed25519KeyPair);

impl Sealer {
    /// Reads a key's file.
    ///
    /// # Errors
    /// `S0006`.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let bad = |reason: String| Error::Key { path: path.to_owned(), reason };
        let bytes = std::fs::read(path).map_err(|error| bad(error.to_string()))?;
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&bytes);
        pair.map(Self).map_err(|error| bad(format!("it is no Ed25519 key in PKCS #8 (DER): {error}")))
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }

    /// The seal over an event that is the newest of its chain.
    #[must_use]
    pub fn seal(&self, newest: &EventRef) -> Sealed {
        let signature = self.0.sign(&signed(newest));
        Sealed { key: self.public().into(), signature: signature.as_ref().into() }
    }
}

/// A new key: the bytes of its file.
///
/// # Errors
/// The system gives no random bytes.
pub fn new_key() -> Result<Vec<u8>, Error> {
    let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new());
    key.map(|key| key.as_ref().to_vec()).map_err(|_| Error::NoRandomBytes)
}

/// Whether a `sealed` event with this header seals the event before it.
#[must_use]
pub fn fits(header: &Header, sealed: &Sealed) -> bool {
    let Some(sequence) = header.sequence.checked_sub(1) else { return false };
    let before = EventRef { actor: header.actor, sequence, hash: header.parent };
    UnparsedPublicKey::new(&ED25519, &sealed.key).verify(&signed(&before), &sealed.signature).is_ok()
}

fn signed(event: &EventRef) -> Vec<u8> {
    [MAGIC, &event.actor, &event.sequence.to_le_bytes(), &event.hash].concat()
}
