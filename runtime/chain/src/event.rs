//! The chain: a hash-linked list of everything one actor sees and does, and its format.
//!
//! This page and [`crate::record`] are sufficient to write a verifier in another language; `tests/verify_chain.py` is one.
//!
//! # Events
//! An event is a header and data. Numbers are little-endian.
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 16 | actor id (the UUID's bytes) |
//! | 16 | 8 | sequence, from 0 |
//! | 24 | 32 | hash of the previous event; zero for sequence 0 |
//! | 56 | 32 | skip hash: hash of the event that [`skips_to`] names; zero for sequence 0 |
//! | 88 | 1 | type ([`Kind`]) |
//! | 89 | 4 | index into `Setup::functions`, [`NO_FUNCTION`] for none |
//! | 93 | 8 | timestamp, ms since the epoch |
//! | 101 | 16 | cause: actor id; zero for none |
//! | 117 | 8 | cause: sequence |
//! | 125 | 32 | cause: hash of that event |
//! | 157 | 8 | call: sequence of the `queued` event it belongs to, [`NO_CALL`] for none |
//! | 165 | 8 | length of the data |
//! | 173 | ≤ 64 | the data itself when it is at most 64 bytes, else `SHA3-256("theater/data/1" ‖ data)` (32 bytes) |
//!
//! `hash = SHA3-256("theater/event/1" ‖ header)`. The data is the encoding of the record that [`Kind`] names.
//! Data above 64 bytes may be deleted later. Headers are never deleted, so a chain stays verifiable.
//!
//! An event `n` skips to `n - w`, where `w` is the smallest part of `n` as a sum of numbers 2^k - 1, each as large as
//! possible (12 = 7 + 3 + 1 + 1 skips to 11, 10 = 7 + 3 to 7): through parents and skips, about 2 log2(n) steps lead from any
//! event to any earlier one (E. W. Myers, "An applicative random-access stack", 1983).
//!
//! # Journal
//! All actors of a data folder share one journal: segments `journal/NNNNNNNN.log`, each a header of 40 bytes and frames.
//!
//! | segment header | size | |
//! |---|---|---|
//! | magic `THTRJRN1` | 8 | |
//! | format, [`FORMAT`] | 4 | |
//! | number of the segment, from 1 | 4 | |
//! | created, ms since the epoch | 8 | |
//! | number of the first group | 8 | |
//! | zero | 4 | |
//! | CRC-32 (IEEE) of the 36 bytes before | 4 | |
//!
//! | frame | size | |
//! |---|---|---|
//! | length of the payload | 4 | |
//! | kind: 1 event with data, 2 event whose data was deleted, 3 commit | 1 | |
//! | zero | 3 | |
//! | position of the actor's previous frame (segment in the upper 32 bits, offset in the lower), all ones for none; 0 in a commit | 8 | |
//! | CRC-32 of the payload | 4 | |
//! | CRC-32 of the 20 bytes before | 4 | |
//! | payload | | |
//!
//! The payload of an event is its header, then its data when that is above 64 bytes and kept. Events are written in
//! groups; a commit frame ends each: number of the group (8), events in it (4), CRC-32 over the frames of the group (4).
//! If the previous frame is in another segment, data may have been deleted there since, and the offset may be outdated: then
//! the previous frame is the actor's last one in that segment. The bytes after the last commit were being written when the
//! program ended; the next run moves them to `NNNNNNNN.torn`. Anything else that does not match is damage.
//!
//! `chain export` writes the same format, one segment with the events of one actor.

use sha3::{Digest, Sha3_256};

use crate::record::Kind;

/// Version of the format of events and journal.
pub const FORMAT: u32 = 1;
/// A header's function index if the event concerns no function.
pub const NO_FUNCTION: u32 = u32::MAX;
/// A header's call if the event belongs to no call.
pub const NO_CALL: u64 = u64::MAX;
/// Largest data that is stored in the header itself, in bytes.
pub const INLINE: usize = 64;
/// Length of a header before the data or its digest, in bytes.
pub const HEADER: usize = 173;

/// A SHA3-256 digest.
pub type Hash = [u8; 32];
/// An actor's id: the 16 bytes of a UUID.
pub type Id = [u8; 16];

/// SHA3-256 of the concatenated parts.
pub fn sha3<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Hash {
    let mut hasher = Sha3_256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// The hash of an event's header.
#[must_use]
pub fn event_hash(header: &[u8]) -> Hash {
    sha3([b"theater/event/1", header])
}

/// The digest of data that is not stored in the header.
#[must_use]
pub fn data_digest(data: &[u8]) -> Hash {
    sha3([b"theater/data/1", data])
}

/// A reference to an event of some chain, by position and content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventRef {
    /// The chain's actor.
    pub actor: Id,
    /// The position in the chain.
    pub sequence: u64,
    /// Its hash.
    pub hash: Hash,
}

/// A new event, without its position in the chain.
#[derive(Debug, Clone, Copy)]
pub struct NewEvent<'a> {
    /// Its type.
    pub kind: Kind,
    /// Index into `Setup::functions`.
    pub function: Option<u32>,
    /// The event of another actor that caused it.
    pub cause: Option<EventRef>,
    /// Sequence of the `queued` event it belongs to.
    pub call: Option<u64>,
    /// The encoded data.
    pub data: &'a [u8],
}

impl<'a> NewEvent<'a> {
    /// An event without function, call and cause.
    #[must_use]
    pub fn plain(kind: Kind, data: &'a [u8]) -> Self {
        Self { kind, function: None, cause: None, call: None, data }
    }
}

/// The event that event `sequence` skips to; 0 for event 0, which skips to no event.
#[must_use]
pub fn skips_to(sequence: u64) -> u64 {
    let (mut rest, mut part) = (sequence, u64::MAX.checked_shr(sequence.leading_zeros()).unwrap_or_default());
    while part > 0 {
        // Each part occurs at most twice: twice a part plus one is the next larger part.
        for _ in 0..2 {
            if rest == part {
                return sequence - part;
            }
            rest = if rest > part { rest - part } else { rest };
        }
        part >>= 1;
    }
    0
}

/// The end of a chain: what the next event links to.
#[derive(Debug, Clone)]
pub struct Chain {
    actor: Id,
    next: u64,
    // The newest event is last, preceded by the one that it skips to, and so on to event 0.
    skips: Vec<(u64, Hash)>,
}

impl Chain {
    /// A chain without events.
    #[must_use]
    pub fn new(actor: Id) -> Self {
        Self { actor, next: 0, skips: Vec::new() }
    }

    /// The chain's actor.
    #[must_use]
    pub fn actor(&self) -> Id {
        self.actor
    }

    /// The number of events.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.next
    }

    /// Whether the chain has no events.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.next == 0
    }

    /// Hash of the newest event; zero if there is none.
    #[must_use]
    pub fn head(&self) -> Hash {
        self.skips.last().map_or([0; 32], |(_, hash)| *hash)
    }

    /// How many of `skips` the next event keeps: it skips to the last one of these.
    fn kept(&self) -> usize {
        match self.skips.as_slice() {
            // Two skips of equal length become one.
            [.., (third, _), (second, _), (first, _)] if first - second == second - third => self.skips.len() - 2,
            all => all.len(),
        }
    }

    /// The hash of the event that the next one skips to.
    fn skip(&self) -> Hash {
        self.kept().checked_sub(1).and_then(|last| self.skips.get(last)).map_or([0; 32], |(_, hash)| *hash)
    }

    /// Appends the next event's header to `out` and advances the chain.
    pub fn push(&mut self, event: &NewEvent<'_>, timestamp: u64, out: &mut Vec<u8>) -> EventRef {
        let start = out.len();
        let sequence = self.next;
        let digest;
        let tail = if event.data.len() <= INLINE {
            event.data
        } else {
            digest = data_digest(event.data);
            &digest
        };
        write_header(
            out,
            &Fields {
                actor: self.actor,
                sequence,
                parent: self.head(),
                skip: self.skip(),
                kind: event.kind as u8,
                function: event.function,
                timestamp,
                cause: event.cause,
                call: event.call,
                length: event.data.len() as u64,
            },
            tail,
        );
        let hash = event_hash(out.get(start..).unwrap_or_default());
        self.advance(hash);
        EventRef { actor: self.actor, sequence, hash }
    }

    /// Counts an event without encoding it: for benches without a chain.
    pub(crate) fn skip_event(&mut self) -> EventRef {
        self.next += 1;
        EventRef { actor: self.actor, sequence: self.next - 1, hash: [0; 32] }
    }

    /// Advances the chain by an event with this hash.
    pub(crate) fn advance(&mut self, hash: Hash) {
        self.skips.truncate(self.kept());
        self.skips.push((self.next, hash));
        self.next += 1;
    }

    /// Checks that `header` is the chain's next event.
    ///
    /// # Errors
    /// Which field is wrong.
    pub fn check(&self, header: &Header) -> Result<(), &'static str> {
        if header.sequence != self.next {
            Err("its sequence is not the next one")
        } else if header.parent != self.head() {
            Err("it does not link to the previous event")
        } else if header.skip != self.skip() {
            Err("its skip hash is not that of the event it skips to")
        } else {
            Ok(())
        }
    }
}

/// The fields of a header before its data or digest.
struct Fields {
    actor: Id,
    sequence: u64,
    parent: Hash,
    skip: Hash,
    kind: u8,
    function: Option<u32>,
    timestamp: u64,
    cause: Option<EventRef>,
    call: Option<u64>,
    length: u64,
}

fn write_header(out: &mut Vec<u8>, fields: &Fields, tail: &[u8]) {
    out.extend_from_slice(&fields.actor);
    out.extend_from_slice(&fields.sequence.to_le_bytes());
    out.extend_from_slice(&fields.parent);
    out.extend_from_slice(&fields.skip);
    out.push(fields.kind);
    out.extend_from_slice(&fields.function.unwrap_or(NO_FUNCTION).to_le_bytes());
    out.extend_from_slice(&fields.timestamp.to_le_bytes());
    match &fields.cause {
        Some(cause) => {
            out.extend_from_slice(&cause.actor);
            out.extend_from_slice(&cause.sequence.to_le_bytes());
            out.extend_from_slice(&cause.hash);
        }
        None => out.extend_from_slice(&[0; 56]),
    }
    out.extend_from_slice(&fields.call.unwrap_or(NO_CALL).to_le_bytes());
    out.extend_from_slice(&fields.length.to_le_bytes());
    out.extend_from_slice(tail);
}

/// A header that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The event's actor.
    pub actor: Id,
    /// Its position in the chain.
    pub sequence: u64,
    /// Hash of the previous event.
    pub parent: Hash,
    /// Hash of the event it skips to.
    pub skip: Hash,
    /// Its type's number.
    pub kind: u8,
    /// Index into `Setup::functions`.
    pub function: Option<u32>,
    /// Milliseconds since the epoch.
    pub timestamp: u64,
    /// The event that caused it.
    pub cause: Option<EventRef>,
    /// The call it belongs to.
    pub call: Option<u64>,
    /// Length of its data.
    pub length: u64,
    /// The data if it has at most [`INLINE`] bytes, else its digest.
    pub tail: Vec<u8>,
}

impl Header {
    /// Encodes the header: the bytes that are hashed.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let fields = Fields {
            actor: self.actor,
            sequence: self.sequence,
            parent: self.parent,
            skip: self.skip,
            kind: self.kind,
            function: self.function,
            timestamp: self.timestamp,
            cause: self.cause,
            call: self.call,
            length: self.length,
        };
        let mut out = Vec::with_capacity(HEADER + self.tail.len());
        write_header(&mut out, &fields, &self.tail);
        out
    }

    /// Decodes a header from the start of `bytes`. Returns the header and its length.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<(Self, usize)> {
        let mut rest = bytes;
        let actor = take::<16>(&mut rest)?;
        let sequence = u64::from_le_bytes(take(&mut rest)?);
        let parent = take(&mut rest)?;
        let skip = take(&mut rest)?;
        let [kind] = take(&mut rest)?;
        let function = u32::from_le_bytes(take(&mut rest)?);
        let timestamp = u64::from_le_bytes(take(&mut rest)?);
        let cause_actor = take::<16>(&mut rest)?;
        let cause_sequence = u64::from_le_bytes(take(&mut rest)?);
        let cause_hash = take(&mut rest)?;
        let call = u64::from_le_bytes(take(&mut rest)?);
        let length = u64::from_le_bytes(take(&mut rest)?);
        let tail_length = if length <= INLINE as u64 { length as usize } else { 32 };
        let tail = rest.get(..tail_length)?.to_vec();
        let cause = (cause_actor != [0; 16]).then_some(EventRef {
            actor: cause_actor,
            sequence: cause_sequence,
            hash: cause_hash,
        });
        let header = Self {
            actor,
            sequence,
            parent,
            skip,
            kind,
            function: (function != NO_FUNCTION).then_some(function),
            timestamp,
            cause,
            call: (call != NO_CALL).then_some(call),
            length,
            tail,
        };
        Some((header, HEADER + tail_length))
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*head)
}

/// Lower-case hex.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from_digit(digit.into(), 16).unwrap_or('?'));
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_read_back_and_link() {
        let mut chain = Chain::new([7; 16]);
        let mut hashes: Vec<Hash> = Vec::new();
        for number in 0..200u64 {
            let data = vec![number as u8; number as usize];
            let before = chain.clone();
            let mut out = Vec::new();
            let event = NewEvent { function: Some(3), call: Some(number), ..NewEvent::plain(Kind::Host, &data) };
            let made = chain.push(&event, 99, &mut out);
            let (header, length) = Header::parse(&out).unwrap();
            assert_eq!((length, header.bytes()), (out.len(), out.clone()));
            assert_eq!(before.check(&header), Ok(()));
            assert_eq!((header.sequence, header.length, header.timestamp), (number, number, 99));
            if number > 0 {
                assert_eq!(header.skip, hashes[skips_to(number) as usize]);
                assert_eq!(header.parent, hashes[number as usize - 1]);
            }
            hashes.push(made.hash);
        }
    }

    #[test]
    fn events_skip_over_the_smallest_part_of_their_sum() {
        let skips: Vec<_> = (0..16).map(skips_to).collect();
        assert_eq!(skips, [0, 0, 1, 0, 3, 4, 3, 0, 7, 8, 7, 10, 11, 10, 7, 0]);
        assert_eq!((skips_to(u64::MAX), skips_to(u64::MAX - 1)), (0, u64::MAX / 2));
    }

    #[test]
    fn an_event_of_inline_data_hashes_two_blocks_at_most() {
        // SHA3-256 absorbs 136 bytes a block and pads with at least one.
        assert!(b"theater/event/1".len() + HEADER + INLINE < 2 * 136);
    }
}
