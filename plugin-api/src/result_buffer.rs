//! Where the result of a function goes: into the room its caller gave while it fits, else into memory of the plugin's own.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use serde::Serialize;
use theater_plugin_abi::{Answer, ELSEWHERE, spare};

use crate::Bytes;
use crate::encoding::{self, EncodingError, Output};

/// Bytes from this length on are cheaper to hand over than to copy.
const LONG: usize = 1024;

/// A place for the result of one call: what [`Dispatch`](crate::Dispatch) gives it to. As an
/// [`Output`] it takes bytes that are encoded already.
#[derive(Debug)]
pub struct ResultBuffer<'a> {
    // Empty once the result did not fit.
    room: &'a mut [u8],
    length: usize,
    spilled: Vec<u8>,
    answer: Option<Answer>,
}

impl Output for ResultBuffer<'_> {
    #[inline]
    fn push(&mut self, byte: u8) {
        match self.room.get_mut(self.length) {
            Some(place) => {
                *place = byte;
                self.length += 1;
            }
            None => self.spill().push(byte),
        }
    }
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        match self.room.get_mut(self.length..).and_then(|rest| rest.get_mut(..bytes.len())) {
            Some(place) => {
                place.copy_from_slice(bytes);
                self.length += bytes.len();
            }
            None => self.spill().write(bytes),
        }
    }
    #[inline]
    fn write_some(&mut self, bytes: [u8; 8], length: usize) {
        match self.room.get_mut(self.length..).and_then(|rest| rest.first_chunk_mut()) {
            Some(place) => {
                *place = bytes;
                self.length += length;
            }
            None => self.write(bytes.get(..length).unwrap_or(&bytes)),
        }
    }
}

impl<'a> ResultBuffer<'a> {
    /// In this room, or anywhere.
    #[must_use]
    #[inline]
    pub fn new(room: &'a mut [u8]) -> Self {
        Self { room, length: 0, spilled: Vec::new(), answer: None }
    }

    /// The memory of the plugin's own, with what was in the room.
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

    /// Gives a result.
    #[inline]
    pub fn give<T: Serialize + ?Sized>(&mut self, value: &T) {
        if let Err(error) = encoding::encode_into(value, self) {
            self.answer(no_encoding(&error));
        }
    }

    /// Gives a result that ends with bytes, which `last` finds: long ones are handed over in place of a copy.
    #[inline]
    pub fn give_to_last<T: Serialize>(&mut self, mut value: T, last: impl FnOnce(&mut T) -> Option<&mut Bytes>) {
        let Some(tail) = last(&mut value).filter(|bytes| bytes.len() >= LONG).map(std::mem::take) else {
            return self.give(&value);
        };
        let mut bytes = spare();
        self.answer(match encoding::encode_into(&value, &mut bytes) {
            Ok(()) => {
                // The length of what was taken, in place of the 0 of what is left.
                bytes.pop();
                encoding::write_varint(&mut bytes, tail.len() as u64);
                Answer::ok_with_tail(bytes, tail.into_vec())
            }
            Err(error) => no_encoding(&error),
        });
    }

    /// Gives an answer in place of an encoded result.
    pub fn answer(&mut self, answer: Answer) {
        self.answer = Some(answer);
    }

    /// The length of the result in the room, or [`ELSEWHERE`] and the answer.
    #[inline]
    pub(crate) fn end(self, elsewhere: impl FnOnce(Answer)) -> u32 {
        match self.answer {
            Some(answer) => elsewhere(answer),
            None if self.room.is_empty() => elsewhere(Answer::ok(self.spilled)),
            None => return self.length as u32,
        }
        ELSEWHERE
    }

    /// The answer, wherever the result is.
    pub(crate) fn into_answer(mut self) -> Answer {
        match self.answer.take() {
            Some(answer) => answer,
            None => Answer::ok(std::mem::take(self.spill())),
        }
    }
}

/// Encodes a result.
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

/// Polls an async function once. One that has ended has given its result; of another the rest comes back.
#[doc(hidden)]
#[inline]
pub fn begin<'a, T: Send + 'a>(
    function: impl Future<Output = T> + Send + 'a,
    place: &mut ResultBuffer<'_>,
    give: fn(T, &mut ResultBuffer<'_>),
) -> Option<Pending<'a>> {
    let mut function = Box::pin(function);
    match function.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => {
            give(value, place);
            None
        }
        Poll::Pending => Some(Box::pin(async move {
            let mut place = ResultBuffer::new(&mut []);
            give(function.await, &mut place);
            place.into_answer()
        })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(room: usize, give: impl FnOnce(&mut ResultBuffer<'_>)) -> (Option<u32>, Vec<u8>) {
        let mut room = vec![0; room];
        let mut place = ResultBuffer::new(&mut room);
        give(&mut place);
        let mut elsewhere = None;
        let length = place.end(|answer| elsewhere = Some(answer));
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
            assert_eq!(given(room, |place| place.give(&value)), (None, bytes.clone()), "{room}");
        }
        for room in bytes.len().max(1)..bytes.len() + 3 {
            assert_eq!(given(room, |place| place.give(&value)), (Some(bytes.len() as u32), bytes.clone()), "{room}");
        }
        let mut small = [0; 3];
        let mut place = ResultBuffer::new(&mut small);
        place.give(&value);
        assert_eq!(*place.into_answer().bytes, bytes);
    }

    #[test]
    fn numbers_of_every_length_are_written_the_same_wherever_the_buffer_ends() {
        for bits in 0..64 {
            for value in [(1u64 << bits) - 1, 1 << bits, u64::MAX >> bits, 0x0123_4567_89ab_cdef >> bits] {
                let expected = encoding::encode(&(3u8, value)).unwrap();
                for room in 0..12 {
                    assert_eq!(given(room, |place| place.give(&(3u8, value))).1, expected, "{value:#x} in {room}");
                }
            }
        }
    }

    #[test]
    fn nothing_is_a_result_of_no_bytes() {
        assert_eq!(given(4, |place| place.give(&())), (Some(0), vec![]));
        assert_eq!(given(0, |place| place.give(&())), (None, vec![]));
    }

    #[test]
    fn long_bytes_at_the_end_are_handed_over() {
        for length in [0, LONG - 1, LONG, LONG + 1] {
            let value: Result<Bytes, String> = Ok(vec![5; length].into());
            let bytes = encoding::encode(&value).unwrap();
            let (in_room, all) = given(2 * LONG, |place| place.give_to_last(value, |value| value.as_mut().ok()));
            assert_eq!((in_room.is_some(), all), (length < LONG, bytes), "{length}");
        }
    }

    #[test]
    fn an_answer_stands_in_place_of_what_was_begun() {
        let mut room = [0; 8];
        let mut place = ResultBuffer::new(&mut room);
        place.give(&300u16);
        place.answer(Answer::error("no"));
        assert_eq!(place.into_answer().sentence(), "no");
    }
}
