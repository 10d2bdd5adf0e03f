//! Inclusion proofs: show that an event is in a chain with a given head, without the journal.
//!
//! # Format
//! `THTRPRF1`, then a record in the encoding of the crate `theater-encoding`: actor id (16 bytes), the steps, and the event's
//! data if it is not in the header. Steps lead from the event to the head. A step is a record of: sequence; how it links to the
//! previous step (0 by its parent hash, 1 by its skip hash; the first step links to nothing); its parent hash and its skip
//! hash, without the one that links or equals it; type, function, timestamp, cause, call, length of the data and the header's
//! last field. The verifier computes each header's hash as [`crate::event`] describes and inserts it where the next step links
//! to it. The last hash is the head.
//!
//! An event `n` links to `n - 1` and to [`skips_to`]`(n)`, so even in a chain of 50 million events a proof has about 47 steps
//! of about 100 bytes (75 steps at most).

use std::path::Path;

use serde::{Deserialize, Serialize};
use theater_encoding::Bytes;
use theater_encoding::{decode, encode};

use crate::error::Error;
use crate::event::{EventRef, Hash, Header, INLINE, Id, data_digest, event_hash, hex, skips_to};
use crate::finding::Finding;
use crate::verify::{self, Event};

/// The first bytes of a proof.
pub const MAGIC: &[u8; 8] = b"THTRPRF1";

#[derive(Debug, Serialize, Deserialize)]
struct Proof {
    actor: Bytes,
    steps: Vec<ProofStep>,
    data: Option<Bytes>,
}

#[derive(Debug, Serialize, Deserialize)]
struct ProofStep {
    sequence: u64,
    by_skip: bool,
    /// None: this hash links to the previous step.
    parent: Option<Bytes>,
    skip: Option<Bytes>,
    kind: u8,
    function: Option<u32>,
    timestamp: u64,
    cause: Option<(Bytes, u64, Bytes)>,
    call: Option<u64>,
    length: u64,
    tail: Bytes,
}

/// A proof that was checked.
#[derive(Debug)]
pub struct Proven {
    /// The event's header.
    pub header: Header,
    /// Its hash.
    pub hash: Hash,
    /// Its data, if the proof has it.
    pub data: Option<Vec<u8>>,
    /// Sequence of the newest event.
    pub head_sequence: u64,
    /// Hash of the newest event. The proof is worth as much as the source from which the verifier knows this hash.
    pub head: Hash,
}

impl Proven {
    /// The event that was proven.
    #[must_use]
    pub fn event(&self) -> Event<'_> {
        Event { header: self.header.clone(), hash: self.hash, data: self.data.as_deref() }
    }

    /// Requires that the chain ends in the hash `known`, given as at least its first 16 hex digits; `path` is for the message.
    ///
    /// # Errors
    /// `J0004`.
    pub fn require_head(&self, path: &Path, known: &str) -> Result<(), Error> {
        let head = hex(&self.head);
        if known.len() >= 16 && head.starts_with(&known.to_ascii_lowercase()) {
            return Ok(());
        }
        let what = format!("it is a proof for a chain with the head {head}, not {known}");
        Err(Error::Invalid(Box::new(Finding::file(path, what))))
    }
}

/// The sequences from `head` down to `event`; each is linked by the previous one.
fn path(head: u64, event: u64) -> Vec<u64> {
    let mut path = vec![head];
    let mut at = head;
    while at > event {
        let skip = skips_to(at);
        at = if skip >= event { skip } else { at - 1 };
        path.push(at);
    }
    path
}

/// Creates a proof that event `sequence` of an actor is in its chain.
///
/// # Errors
/// Those of reading, and `J0005` if there is no such event.
pub fn prove(journal: &Path, actor: Id, sequence: u64) -> Result<Vec<u8>, Error> {
    let missing = || Error::NoSuchEvent { id: sequence.to_string(), path: journal.to_owned() };
    let contents = verify::read(journal, |_| {})?;
    let length = contents.chains.get(&actor).map_or(0, |end| end.chain.len());
    if sequence >= length {
        return Err(missing());
    }
    let mut wanted = path(length - 1, sequence);
    wanted.reverse();
    let (mut headers, mut data) = (Vec::with_capacity(wanted.len()), None);
    verify::read(journal, |event| {
        let header = &event.header;
        if header.actor == actor && wanted.get(headers.len()) == Some(&header.sequence) {
            if header.sequence == sequence && header.length > INLINE as u64 {
                data = event.data.map(Bytes::from);
            }
            headers.push(header.clone());
        }
    })?;
    let mut previous = None;
    let steps = headers.into_iter().map(|header| {
        let step = ProofStep::of(&header, previous);
        previous = Some(header.sequence);
        step
    });
    let proof = Proof { actor: Bytes::from(actor.as_slice()), steps: steps.collect(), data };
    Ok([MAGIC.as_slice(), &encode(&proof).unwrap_or_default()].concat())
}

impl ProofStep {
    fn of(header: &Header, previous: Option<u64>) -> Self {
        let by_skip = previous.is_some_and(|previous| previous + 1 != header.sequence);
        // If parent and skip are the same event, one hash is enough.
        let is_link = |skips: bool| previous.is_some() && (skips == by_skip || header.parent == header.skip);
        let known = |skips: bool, hash: &Hash| (!is_link(skips)).then(|| Bytes::from(hash.as_slice()));
        Self {
            sequence: header.sequence,
            by_skip,
            parent: known(false, &header.parent),
            skip: known(true, &header.skip),
            kind: header.kind,
            function: header.function,
            timestamp: header.timestamp,
            cause: header
                .cause
                .map(|cause| (Bytes::from(cause.actor.as_slice()), cause.sequence, Bytes::from(cause.hash.as_slice()))),
            call: header.call,
            length: header.length,
            tail: Bytes::from(header.tail.as_slice()),
        }
    }

    /// The step's header, with `link` as the hash of the previous step.
    fn header(&self, actor: Id, link: Hash) -> Option<Header> {
        let hash = |known: &Option<Bytes>| known.as_ref().map_or(Some(link), |hash| hash.as_ref().try_into().ok());
        let cause = match &self.cause {
            None => None,
            Some((actor, sequence, hash)) => Some(EventRef {
                actor: actor.as_ref().try_into().ok()?,
                sequence: *sequence,
                hash: hash.as_ref().try_into().ok()?,
            }),
        };
        Some(Header {
            actor,
            sequence: self.sequence,
            parent: hash(&self.parent)?,
            skip: hash(&self.skip)?,
            kind: self.kind,
            function: self.function,
            timestamp: self.timestamp,
            cause,
            call: self.call,
            length: self.length,
            tail: self.tail.to_vec(),
        })
    }
}

/// Checks a proof. `path` is for error messages.
///
/// # Errors
/// `J0004`: the bytes are not a proof, or the proof is not valid.
pub fn check(path: &Path, bytes: &[u8]) -> Result<Proven, Error> {
    let wrong = |what: &str| Error::Invalid(Box::new(Finding::file(path, what.to_owned())));
    let bytes = bytes.strip_prefix(MAGIC).ok_or_else(|| wrong("it is not a proof: it does not begin with THTRPRF1"))?;
    let proof: Proof = decode(bytes).map_err(|error| wrong(&format!("it is not a proof: {error}")))?;
    let actor: Id = proof.actor.as_ref().try_into().map_err(|_| wrong("its actor's id does not have 16 bytes"))?;
    let mut proven: Option<Proven> = None;
    for step in &proof.steps {
        let previous = proven.as_ref().map(|proven| (proven.head_sequence, proven.head));
        let header = step.header(actor, previous.map_or([0; 32], |(_, hash)| hash));
        let header = header.ok_or_else(|| wrong("a step has a hash that does not have 32 bytes"))?;
        let (sequence, hash) = (header.sequence, event_hash(&header.bytes()));
        match (&mut proven, previous) {
            (Some(proven), Some((linked, link))) => {
                let target = if step.by_skip { skips_to(sequence) } else { sequence.wrapping_sub(1) };
                let named = if step.by_skip { header.skip } else { header.parent };
                let is_needed = step.by_skip == (linked.checked_add(1) != Some(sequence));
                if sequence == 0 || target != linked || named != link || !is_needed {
                    return Err(wrong("a step does not link to the previous one"));
                }
                (proven.head_sequence, proven.head) = (sequence, hash);
            }
            _ if step.by_skip || step.parent.is_none() || step.skip.is_none() => {
                return Err(wrong("its first step must link to nothing and have both hashes"));
            }
            _ => {
                let data = if header.length <= INLINE as u64 { Some(header.tail.clone()) } else { None };
                proven = Some(Proven { header, hash, data, head_sequence: sequence, head: hash });
            }
        }
    }
    let mut proven = proven.ok_or_else(|| wrong("it has no steps"))?;
    if let Some(data) = proof.data {
        if data_digest(&data)[..] != proven.header.tail[..] {
            return Err(wrong("its data does not match the event's digest"));
        }
        proven.data = Some(data.into_vec());
    }
    Ok(proven)
}

#[cfg(test)]
mod tests {
    use super::path;
    use crate::event::skips_to;

    #[test]
    fn a_path_is_short_and_made_of_links() {
        let mut steps = 0;
        for (head, event) in (0..4_000).map(|number| (49_999_999, number * 12_497)).chain([(0, 0), (1, 0), (7, 7)]) {
            let path = path(head, event);
            assert_eq!((path.first(), path.last()), (Some(&head), Some(&event)));
            assert!(path.windows(2).all(|pair| pair[1] == pair[0] - 1 || pair[1] == skips_to(pair[0])));
            assert!(path.len() <= 76, "{event}: {}", path.len());
            steps += path.len();
        }
        assert!((20..60).contains(&(steps / 4_003)), "{steps}");
    }
}
