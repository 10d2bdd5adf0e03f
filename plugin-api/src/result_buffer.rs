//! The destination of a function's result.
//!
//! A result is encoded into the buffer that the core provides. One that does not fit continues in a vector of the
//! plugin, which becomes an [`Answer`]; an error answer replaces whatever was encoded before. Long bytes at the end of
//! a result are handed over as the answer's tail instead of being copied.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use serde::Serialize;
use theater_encoding::{self as encoding, Bytes, EncodingError, Output};
use theater_plugin_abi::{Answer, ELSEWHERE, spare};

/// Bytes of at least this length are cheaper to hand over than to copy.
const LONG: usize = 1024;

/// The buffer for the result of one call, which [`Dispatch`](crate::Dispatch) fills. As an [`Output`] it accepts bytes
/// that are already encoded.
#[derive(Debug)]
pub struct ResultBuffer<'a> {
    // Empty once the result has not fitted.
    room: &'a mut [u8],
    length: usize,
    spilled: Vec<u8>,
    answer: Option<Answer>,
}

impl Output for ResultBuffer<'_> {
    #[inline]
    fn push(&mut self, byte: u8) {
        match self.room.get_mut(self.length) {
            Some(slot) => {
                *slot = byte;
                self.length += 1;
            }
            None => self.spill().push(byte),
        }
    }
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        match self.room.get_mut(self.length..).and_then(|rest| rest.get_mut(..bytes.len())) {
            Some(target) => {
                target.copy_from_slice(bytes);
                self.length += bytes.len();
            }
            None => self.spill().write(bytes),
        }
    }
    #[inline]
    fn write_some(&mut self, bytes: [u8; 8], length: usize) {
        match self.room.get_mut(self.length..).and_then(|rest| rest.first_chunk_mut()) {
            Some(target) => {
                *target = bytes;
                self.length += length;
            }
            None => self.write(bytes.get(..length).unwrap_or(&bytes)),
        }
    }
}

impl<'a> ResultBuffer<'a> {
    /// A buffer that starts with `room`.
    #[must_use]
    #[inline]
    pub fn new(room: &'a mut [u8]) -> Self {
        Self { room, length: 0, spilled: Vec::new(), answer: None }
    }

    /// The plugin's own vector, after moving the bytes from the room to it.
    fn spill(&mut self) -> &mut Vec<u8> {
        let room = std::mem::take(&mut self.room);
        if self.spilled.capacity() == 0 {
            self.spilled = spare();
        }
        if let Some(held) = room.get(..self.length) {
            self.spilled.extend_from_slice(held);
            self.length = 0;
        }
        &mut self.spilled
    }

    /// Encodes a result.
    #[inline]
    pub fn give<T: Serialize + ?Sized>(&mut self, value: &T) {
        if let Err(error) = encoding::encode_into(value, self) {
            self.answer(no_encoding(&error));
        }
    }

    /// Encodes a result that ends with bytes, which `last` returns. Long ones are handed over instead of being copied.
    #[inline]
    pub fn give_to_last<T: Serialize>(&mut self, mut value: T, last: impl FnOnce(&mut T) -> Option<&mut Bytes>) {
        let Some(tail) = last(&mut value).filter(|bytes| bytes.len() >= LONG).map(std::mem::take) else {
            return self.give(&value);
        };
        let mut bytes = spare();
        self.answer(match encoding::encode_into(&value, &mut bytes) {
            Ok(()) => {
                // The bytes were taken out, so a length of 0 was encoded: replace it with the real length.
                bytes.pop();
                encoding::write_varint(&mut bytes, tail.len() as u64);
                Answer::ok_with_tail(bytes, tail.into_vec())
            }
            Err(error) => no_encoding(&error),
        });
    }

    /// Sets an answer that replaces the encoded result.
    pub fn answer(&mut self, answer: Answer) {
        self.answer = Some(answer);
    }

    /// Returns the length of a result that is in the room. Otherwise passes the answer to `elsewhere` and returns
    /// [`ELSEWHERE`].
    #[inline]
    pub(crate) fn end(self, elsewhere: impl FnOnce(Answer)) -> u32 {
        match self.answer {
            Some(answer) => elsewhere(answer),
            None if self.room.is_empty() => elsewhere(Answer::ok(self.spilled)),
            None => return self.length as u32,
        }
        ELSEWHERE
    }

    /// The result as an answer, wherever its bytes are.
    pub(crate) fn into_answer(mut self) -> Answer {
        match self.answer.take() {
            Some(answer) => answer,
            None => Answer::ok(std::mem::take(self.spill())),
        }
    }
}

/// Encodes a result as an answer.
#[must_use]
pub fn encoded<T: Serialize + ?Sized>(value: &T) -> Answer {
    let mut buffer = ResultBuffer::new(&mut []);
    buffer.give(value);
    buffer.into_answer()
}

/// The answer of a function whose result needs no encoding.
pub(crate) fn answer_of(result: Result<Vec<u8>, String>) -> Answer {
    match result {
        Ok(bytes) => Answer::ok(bytes),
        Err(sentence) => Answer::error(sentence),
    }
}

fn no_encoding(error: &EncodingError) -> Answer {
    Answer::error(format!("the result has no encoding: {error}"))
}

/// The future of an async function, before it is wrapped in the panic guard.
pub type Pending<'a> = Pin<Box<dyn Future<Output = Answer> + Send + 'a>>;

/// Polls an async function once. If it returns, its result goes to `buffer`; otherwise returns the rest of the
/// function.
#[doc(hidden)]
#[inline]
pub fn begin<'a, T: Send + 'a>(
    function: impl Future<Output = T> + Send + 'a,
    buffer: &mut ResultBuffer<'_>,
    give: fn(T, &mut ResultBuffer<'_>),
) -> Option<Pending<'a>> {
    let mut function = Box::pin(function);
    match function.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => {
            give(value, buffer);
            None
        }
        Poll::Pending => Some(Box::pin(async move {
            let mut buffer = ResultBuffer::new(&mut []);
            give(function.await, &mut buffer);
            buffer.into_answer()
        })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(room: usize, give: impl FnOnce(&mut ResultBuffer<'_>)) -> (Option<u32>, Vec<u8>) {
        let mut room = vec![0; room];
        let mut buffer = ResultBuffer::new(&mut room);
        give(&mut buffer);
        let mut elsewhere = None;
        let length = buffer.end(|answer| elsewhere = Some(answer));
        match elsewhere {
            None => (Some(length), room[..length as usize].to_vec()),
            Some(answer) => {
                assert_eq!(length, ELSEWHERE);
                (None, [&answer.bytes[..], &answer.tail[..]].concat())
            }
        }
    }

    #[test]
    fn a_result_is_the_same_whether_it_fits_or_not() {
        let value = (7u8, "eight", vec![300u16, 4], u64::MAX);
        let bytes = encoding::encode(&value).unwrap();
        for room in 0..bytes.len() {
            assert_eq!(given(room, |buffer| buffer.give(&value)), (None, bytes.clone()), "{room}");
        }
        for room in bytes.len().max(1)..bytes.len() + 3 {
            assert_eq!(given(room, |buffer| buffer.give(&value)), (Some(bytes.len() as u32), bytes.clone()), "{room}");
        }
        let mut small = [0; 3];
        let mut buffer = ResultBuffer::new(&mut small);
        buffer.give(&value);
        assert_eq!(*buffer.into_answer().bytes, bytes);
    }

    #[test]
    fn numbers_of_every_length_are_written_the_same_wherever_the_buffer_ends() {
        for bits in 0..64 {
            for value in [(1u64 << bits) - 1, 1 << bits, u64::MAX >> bits, 0x0123_4567_89ab_cdef >> bits] {
                let expected = encoding::encode(&(3u8, value)).unwrap();
                for room in 0..12 {
                    assert_eq!(given(room, |buffer| buffer.give(&(3u8, value))).1, expected, "{value:#x} in {room}");
                }
            }
        }
    }

    #[test]
    fn nothing_is_a_result_of_no_bytes() {
        assert_eq!(given(4, |buffer| buffer.give(&())), (Some(0), vec![]));
        assert_eq!(given(0, |buffer| buffer.give(&())), (None, vec![]));
    }

    #[test]
    fn long_bytes_at_the_end_are_handed_over() {
        for length in [0, LONG - 1, LONG, LONG + 1] {
            let value: Result<Bytes, String> = Ok(vec![5; length].into());
            let bytes = encoding::encode(&value).unwrap();
            let (in_room, all) = given(2 * LONG, |buffer| buffer.give_to_last(value, |value| value.as_mut().ok()));
            assert_eq!((in_room.is_some(), all), (length < LONG, bytes), "{length}");
        }
    }

    #[test]
    fn an_answer_replaces_the_encoded_result() {
        let mut room = [0; 8];
        let mut buffer = ResultBuffer::new(&mut room);
        buffer.give(&300u16);
        buffer.answer(Answer::error("no"));
        assert_eq!(buffer.into_answer().sentence(), "no");
    }
}
