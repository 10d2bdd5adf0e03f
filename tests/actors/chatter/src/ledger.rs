//! The state of a chatter and its messages, as bytes that are modified in place. Numbers are u64 in little-endian
//! order, and ids are the 36 characters of a UUID.
//!
//! - state: own id, sent, refused, out of order; then for each pair: the other's id, accepted, received, last number
//! - message: own id, number

/// An actor's id.
pub type Id = [u8; 36];

const NUMBER: usize = size_of::<u64>();
const ID: usize = size_of::<Id>();

/// Offset of the number of attempts to send.
pub const SENT: usize = ID;
/// Offset of the number of attempts that returned `err`.
pub const REFUSED: usize = SENT + NUMBER;
/// Offset of the number of messages that were not the next one of their sender.
pub const OUT_OF_ORDER: usize = REFUSED + NUMBER;
const PAIRS: usize = OUT_OF_ORDER + NUMBER;

const ACCEPTED: usize = ID;
const RECEIVED: usize = ACCEPTED + NUMBER;
const LAST: usize = RECEIVED + NUMBER;
const PAIR: usize = LAST + NUMBER;

/// The state during a call.
pub struct Ledger(Vec<u8>);

/// The counts for this actor and one other actor.
pub struct Pair {
    /// The id of the other actor.
    pub id: Id,
    /// Messages that it accepted.
    pub accepted: u64,
    /// Messages received from it.
    pub received: u64,
}

impl Ledger {
    pub fn new(own: &Id) -> Self {
        let mut bytes = own.to_vec();
        bytes.resize(PAIRS, 0);
        Self(bytes)
    }

    pub fn of(state: Option<Vec<u8>>) -> Result<Self, String> {
        let bytes = state.unwrap_or_default();
        if bytes.len() < PAIRS || !(bytes.len() - PAIRS).is_multiple_of(PAIR) {
            return Err(format!("{} bytes are no state of a chatter", bytes.len()));
        }
        Ok(Self(bytes))
    }

    pub fn into_state(self) -> Vec<u8> {
        self.0
    }

    pub fn own_id(&self) -> Id {
        array(&self.0, 0)
    }

    pub fn count(&self, at: usize) -> u64 {
        u64::from_le_bytes(array(&self.0, at))
    }

    fn set(&mut self, at: usize, count: u64) {
        self.0[at..at + NUMBER].copy_from_slice(&count.to_le_bytes());
    }

    fn add_one(&mut self, at: usize) {
        self.set(at, self.count(at) + 1);
    }

    /// The offset of the pair with `other`, which is added if there is none.
    fn pair(&mut self, other: &Id) -> usize {
        let index = self.0[PAIRS..].chunks_exact(PAIR).position(|pair| pair.starts_with(other));
        index.map_or_else(|| self.add_pair(other), |index| PAIRS + index * PAIR)
    }

    fn add_pair(&mut self, other: &Id) -> usize {
        let at = self.0.len();
        self.0.extend_from_slice(other);
        self.0.resize(at + PAIR, 0);
        at
    }

    /// The number of the next message to `target`.
    pub fn next_to(&mut self, target: &Id) -> u64 {
        let pair = self.pair(target);
        self.count(pair + ACCEPTED) + 1
    }

    pub fn sent(&mut self, target: &Id, accepted: bool) {
        self.add_one(SENT);
        let pair = self.pair(target);
        self.add_one(if accepted { pair + ACCEPTED } else { REFUSED });
    }

    pub fn received(&mut self, sender: &Id, number: u64) {
        let pair = self.pair(sender);
        self.add_one(pair + RECEIVED);
        if number != self.count(pair + LAST) + 1 {
            self.add_one(OUT_OF_ORDER);
        }
        self.set(pair + LAST, number);
    }

    pub fn pairs(&self) -> impl Iterator<Item = Pair> {
        let number = |pair: &[u8], at| u64::from_le_bytes(array(pair, at));
        self.0[PAIRS..].chunks_exact(PAIR).map(move |pair| Pair {
            id: array(pair, 0),
            accepted: number(pair, ACCEPTED),
            received: number(pair, RECEIVED),
        })
    }
}

/// `N` bytes at an offset. The caller guarantees that they exist.
fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}

pub fn id(text: &str) -> Result<Id, String> {
    text.as_bytes().try_into().map_err(|_| format!("\"{text}\" is no actor's id"))
}

pub fn text(id: &Id) -> Result<&str, String> {
    std::str::from_utf8(id).map_err(|error| error.to_string())
}

pub fn chat(own: &Id, number: u64) -> Vec<u8> {
    [own.as_slice(), &number.to_le_bytes()].concat()
}

/// Sender and number, if this is a message of another chatter and not JSON.
pub fn read_chat(bytes: &[u8]) -> Option<(Id, u64)> {
    let is_chat = bytes.len() == ID + NUMBER && bytes[0] != b'{';
    is_chat.then(|| (array(bytes, 0), u64::from_le_bytes(array(bytes, ID))))
}
