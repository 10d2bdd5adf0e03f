//! Cuts output into pieces, one per call.

use std::collections::VecDeque;

use serde::de::IgnoredAny;

/// How output is cut; sizes are in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputCutMode {
    /// As it arrives, at most this many bytes.
    Raw(usize),
    /// Line by line, without the newline; a line above this size is split.
    Lines(usize),
    /// Line by line; only lines that are a JSON value of at most this size are delivered.
    Json(usize),
    /// Chunks of exactly this size; the last one may be shorter.
    Chunks(usize),
}

/// A piece of output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutputPiece {
    /// Is delivered to the actor.
    Deliver(Vec<u8>),
    /// Is only recorded.
    Record(Vec<u8>),
}

/// A FIFO queue of pieces for the actor.
#[derive(Debug, Default)]
pub struct OutputQueue {
    pieces: VecDeque<OutputPiece>,
    bytes: usize,
}

impl OutputQueue {
    /// Returns the size of the queue in bytes; every piece has a fixed cost, even an empty one.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn push(&mut self, pieces: impl IntoIterator<Item = OutputPiece>) {
        for piece in pieces {
            self.bytes += cost(&piece);
            self.pieces.push_back(piece);
        }
    }

    pub fn pop(&mut self) -> Option<OutputPiece> {
        let piece = self.pieces.pop_front()?;
        self.bytes -= cost(&piece);
        Some(piece)
    }
}

fn cost(piece: &OutputPiece) -> usize {
    let (OutputPiece::Deliver(bytes) | OutputPiece::Record(bytes)) = piece;
    size_of::<OutputPiece>() + bytes.len()
}

/// The state of cutting one stream.
#[derive(Debug)]
pub struct Cutter {
    mode: OutputCutMode,
    waiting: Vec<u8>,
    /// A part of the waiting line has been cut off already.
    split: bool,
}

impl Cutter {
    pub fn new(mode: OutputCutMode) -> Self {
        Self { mode, waiting: Vec::new(), split: false }
    }

    /// Returns the maximum number of bytes to push at a time.
    pub fn max_push(&self) -> usize {
        match self.mode {
            OutputCutMode::Raw(most) => most,
            OutputCutMode::Chunks(most) | OutputCutMode::Lines(most) | OutputCutMode::Json(most) => most.min(64 << 10),
        }
    }

    /// Adds bytes and returns the pieces that are complete.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<OutputPiece> {
        match self.mode {
            OutputCutMode::Raw(_) => vec![OutputPiece::Deliver(bytes.to_vec())],
            OutputCutMode::Chunks(size) => {
                self.waiting.extend_from_slice(bytes);
                let whole = self.waiting.len() - self.waiting.len() % size;
                let rest = self.waiting.split_off(whole);
                let chunks = std::mem::replace(&mut self.waiting, rest);
                chunks.chunks(size).map(|chunk| OutputPiece::Deliver(chunk.to_vec())).collect()
            }
            OutputCutMode::Lines(most) | OutputCutMode::Json(most) => self.lines(bytes, most),
        }
    }

    fn lines(&mut self, bytes: &[u8], most: usize) -> Vec<OutputPiece> {
        let mut pieces = Vec::new();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (part, ends) = part.strip_suffix(b"\n").map_or((part, false), |part| (part, true));
            self.waiting.extend_from_slice(part);
            // A line of exactly `most` bytes is not split, so wait for one byte more.
            while self.waiting.len() > most {
                let rest = self.waiting.split_off(most);
                let piece = std::mem::replace(&mut self.waiting, rest);
                pieces.push(self.piece(piece, true));
                self.split = true;
            }
            if ends {
                let line = std::mem::take(&mut self.waiting);
                pieces.push(self.piece(line, self.split));
                self.split = false;
            }
        }
        pieces
    }

    /// Returns the rest at the end of the stream.
    pub fn finish(&mut self) -> Option<OutputPiece> {
        let rest = std::mem::take(&mut self.waiting);
        (!rest.is_empty()).then(|| self.piece(rest, self.split))
    }

    /// Turns a line into a piece; `part` says that it is only a part of a line.
    fn piece(&self, bytes: Vec<u8>, part: bool) -> OutputPiece {
        let is_json = |text| serde_json::from_str::<IgnoredAny>(text).is_ok();
        // JSON is UTF-8, also inside strings (RFC 8259, section 8.1).
        let json = || !part && std::str::from_utf8(&bytes).is_ok_and(is_json);
        if matches!(self.mode, OutputCutMode::Json(_)) && !json() {
            OutputPiece::Record(bytes)
        } else {
            OutputPiece::Deliver(bytes)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cuts a stream that arrives in pieces of `step` bytes.
    fn cut(mode: OutputCutMode, output: &str, step: usize) -> Vec<String> {
        let mut cutter = Cutter::new(mode);
        let mut pieces: Vec<_> = output.as_bytes().chunks(step).flat_map(|bytes| cutter.push(bytes)).collect();
        pieces.extend(cutter.finish());
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let excerpt = |piece| match piece {
            OutputPiece::Deliver(bytes) => text(bytes),
            OutputPiece::Record(bytes) => format!("kept {}", text(bytes)),
        };
        pieces.into_iter().map(excerpt).collect()
    }

    fn always(mode: OutputCutMode, output: &str, expected: &[&str]) {
        for step in 1..=output.len().max(1) {
            assert_eq!(cut(mode, output, step), expected, "{output:?} by {step}");
        }
    }

    /// [process-12]
    #[test]
    fn raw_output_comes_as_it_comes() {
        assert_eq!(cut(OutputCutMode::Raw(4), "abcdefghi", 4), ["abcd", "efgh", "i"]);
        assert_eq!(Cutter::new(OutputCutMode::Raw(4)).max_push(), 4);
    }

    /// [process-13] [process-14] [process-15] [process-16]
    #[test]
    fn lines_come_one_by_one_without_their_newline() {
        always(OutputCutMode::Lines(10), "a\nbc\n", &["a", "bc"]);
        always(OutputCutMode::Lines(10), "a\n\n\nb", &["a", "", "", "b"]);
        always(OutputCutMode::Lines(10), "\n", &[""]);
        always(OutputCutMode::Lines(10), "", &[]);
        always(OutputCutMode::Lines(10), "a\r\n", &["a\r"]);
        always(
            OutputCutMode::Lines(3),
            "abc\nabcd\nabcdef\nabcdefg",
            &["abc", "abc", "d", "abc", "def", "abc", "def", "g"],
        );
    }

    /// [process-17] [process-18] [process-20]
    #[test]
    fn only_lines_that_are_json_are_given() {
        let output = "{\"a\": 1}\nno\n[1, 2]\n\n3\n\"x\"\n{\"a\": 1} 2\ntrue";
        let expected = ["{\"a\": 1}", "kept no", "[1, 2]", "kept ", "3", "\"x\"", "kept {\"a\": 1} 2", "true"];
        always(OutputCutMode::Json(20), output, &expected);
        let mut cutter = Cutter::new(OutputCutMode::Json(9));
        assert_eq!(cutter.push(b"\"\xff\"\n"), [OutputPiece::Record(b"\"\xff\"".to_vec())]);
        // A part of a value is not delivered, even if it is valid JSON by itself.
        always(OutputCutMode::Json(3), "123456\n12\n", &["kept 123", "kept 456", "12"]);
    }

    #[test]
    fn a_queue_counts_empty_pieces_too() {
        let mut queue = OutputQueue::default();
        queue.push([OutputPiece::Deliver(Vec::new()), OutputPiece::Record(vec![1, 2])]);
        assert!(queue.bytes() > 2 * size_of::<Vec<u8>>());
        assert_eq!(
            (queue.pop(), queue.pop()),
            (Some(OutputPiece::Deliver(Vec::new())), Some(OutputPiece::Record(vec![1, 2])))
        );
        assert_eq!((queue.pop(), queue.bytes()), (None, 0));
    }

    /// [process-21] [process-22]
    #[test]
    fn chunks_have_their_size_but_for_the_last() {
        always(OutputCutMode::Chunks(3), "abcdefgh", &["abc", "def", "gh"]);
        always(OutputCutMode::Chunks(3), "abcdef", &["abc", "def"]);
        always(OutputCutMode::Chunks(100), "a\nb", &["a\nb"]);
        always(OutputCutMode::Chunks(3), "", &[]);
    }
}
