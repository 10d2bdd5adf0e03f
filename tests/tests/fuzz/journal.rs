//! Fuzzes the journal reader with edited journals, with and without corrected checksums.

use std::path::PathBuf;

use theater_chain::event::{Chain, Hash, NewEvent};
use theater_chain::journal::recovery::repair;
use theater_chain::journal::segment::{
    COMMIT, EVENT, EVENT_WITHOUT_DATA, FRAME, Frame, Frames, SEGMENT_HEADER, commit_frame, finish_frame, segment_header,
};
use theater_chain::record::Kind;
use theater_chain::verify;
use theater_tests::Scratch;

use super::edit::{edit, seed};

/// A valid journal.
pub struct Target {
    good: Vec<u8>,
    hashes: Vec<Hash>,
    scratch: Scratch,
}

fn event(chain: &mut Chain, data: &[u8], keep: bool, out: &mut Vec<u8>) -> Hash {
    let start = out.len();
    out.extend([0; FRAME]);
    let kind = if chain.is_empty() { Kind::Created } else { Kind::Host };
    let event = NewEvent { function: Some(1), call: Some(0), ..NewEvent::plain(kind, data) };
    let hash = chain.push(&event, 1000 + chain.len(), out).hash;
    if data.len() > 64 && keep {
        out.extend(data);
    }
    finish_frame(&mut out[start..], if keep { EVENT } else { EVENT_WITHOUT_DATA }, u64::MAX);
    hash
}

impl Target {
    pub fn new() -> Self {
        let mut chains = [Chain::new([1; 16]), Chain::new([2; 16])];
        let (mut good, mut hashes) = (segment_header(1, 1000, 1), Vec::new());
        for group in 0..4u64 {
            let start = good.len();
            for number in 0..3usize {
                let length = [0, 5, 64, 65, 300][(group as usize + number) % 5];
                let chain = &mut chains[number % 2];
                hashes.push(event(chain, &vec![number as u8; length], group != 2, &mut good));
            }
            let end = commit_frame(group + 1, 3, &good[start..]);
            good.extend(end);
        }
        let target = Self { good, hashes, scratch: Scratch::new() };
        assert_eq!(target.read(&target.good).unwrap(), target.hashes);
        target
    }

    fn write(&self, bytes: &[u8]) -> PathBuf {
        self.scratch.write("journal/00000001.log", bytes)
    }

    /// Reads a journal and returns the hashes of all committed events.
    fn read(&self, bytes: &[u8]) -> Result<Vec<Hash>, String> {
        let mut hashes = Vec::new();
        let path = self.write(bytes);
        verify::read(&path, |event| hashes.push(event.hash)).map_err(|error| error.to_string())?;
        Ok(hashes)
    }

    pub fn run(&self, input: &[u8]) {
        let (seed, script) = seed(input);
        let mut bytes = self.good.clone();
        edit(&mut bytes, script, &[b"THTRJRN1", &[0xff; 8], &[0; 8]]);
        let sealed = seed % 2 == 1;
        if sealed {
            seal_again(&mut bytes);
        }
        walk(&bytes);
        match self.read(&bytes) {
            // Without corrected checksums no edit is accepted: only a prefix of the original events can be read.
            Ok(hashes) if !sealed => assert!(self.hashes.starts_with(&hashes)),
            _ => {}
        }
        if seed % 16 < 2 {
            let path = self.write(&bytes);
            if repair(&path).is_ok() {
                let repaired = std::fs::read(&path).unwrap();
                assert!(bytes.starts_with(&repaired), "repair only cuts off");
                walk(&repaired);
            }
        }
    }
}

/// Reads frame by frame up to the end or the first damaged frame.
fn walk(bytes: &[u8]) {
    let Ok(mut frames) = Frames::new(bytes) else { return };
    let mut count = 0;
    while let Ok(Some(_)) = frames.next_frame() {
        count += 1;
        assert!(count <= bytes.len() / FRAME + 2, "it ends");
    }
}

/// Corrects every checksum that can be located by following the frame lengths.
fn seal_again(bytes: &mut [u8]) {
    if bytes.len() < SEGMENT_HEADER {
        return;
    }
    let word = |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let good = segment_header(word(bytes, 12), 0, u64::from(word(bytes, 24)));
    bytes[..SEGMENT_HEADER].copy_from_slice(&good);
    let (mut at, mut group) = (SEGMENT_HEADER, SEGMENT_HEADER);
    while at + FRAME <= bytes.len() {
        let end = at + FRAME + word(bytes, at) as usize;
        if end > bytes.len() {
            break;
        }
        let kind = bytes[at + 4];
        let before = u64::from(word(bytes, at + 8)) | u64::from(word(bytes, at + 12)) << 32;
        if kind == COMMIT && end - at == FRAME + 16 {
            let number = u64::from(word(bytes, at + FRAME));
            let made = commit_frame(number, word(bytes, at + FRAME + 8), &bytes[group..at]);
            bytes[at..end].copy_from_slice(&made);
            group = end;
        } else {
            finish_frame(&mut bytes[at..end], kind, before);
        }
        at = end;
    }
}

/// Checks the test data itself: the valid journal still has all its commits after [`seal_again`].
#[test]
fn the_good_journal_is_one() {
    let target = Target::new();
    let mut sealed = target.good.clone();
    seal_again(&mut sealed);
    let mut frames = Frames::new(&sealed).unwrap();
    let mut commits = 0;
    while let Some(frame) = frames.next_frame().unwrap() {
        commits += usize::from(matches!(frame, Frame::Commit { .. }));
    }
    assert_eq!(commits, 4);
}
