//! The encoded arguments and the encoded result of one host call, and the memory that both are in.
//!
//! A frame is created and dropped with every host call, and moved several times in between. So its parts are behind
//! one pointer, each thread reuses the memory of the last frame that was dropped on it, short results need no
//! allocation, and long arguments are not copied out of the guest before someone needs them.

use std::cell::Cell;

use theater_plugin_api::abi::Answer;
use theater_plugin_api::encoding::{Reader, memcpy};

use crate::wasm::values::abi::{GuestBytes, Recycle, Recycled};

/// The encoded arguments and result of one host call.
///
/// When the arguments end with a long `list<u8>` or string, its content stays in the guest's memory. Code that
/// receives a frame with [`Args`](super::Args) must [keep](CallFrame::keep) or [release](CallFrame::release) it before
/// the guest runs again: before an await, and before the result is lowered, which calls the guest's `realloc`.
pub struct CallFrame(Recycled<Parts>);

struct Parts {
    arguments: Vec<u8>,
    // The end of the arguments, where it is still in the guest's memory.
    tail: GuestBytes,
    buffer: [u8; OUT_BUFFER],
    answer: Option<Answer>,
    result: ResultPart,
}

/// Where a result is.
enum ResultPart {
    /// At the start of the buffer, so many bytes.
    OutBuffer(usize),
    /// There as well: a number with these bits as a core value.
    Number(usize, u64),
    /// In the plugin's answer.
    Answer,
    /// In memory of the core: the core gave another result than the plugin.
    Core(Vec<u8>),
}

/// Size of the result buffer, bytes. Longer results are returned in memory of the plugin.
const OUT_BUFFER: usize = 1024;

/// Largest capacity of the arguments, bytes, with which a frame's memory is reused.
const REUSED: usize = 256 * 1024;

thread_local! {
    // The last frame that was dropped on this thread.
    static FREE: Cell<Option<Box<Parts>>> = const { Cell::new(None) };
}

impl Recycle for Parts {
    #[inline]
    fn recycle(mut self: Box<Self>) {
        if self.arguments.capacity() > REUSED {
            return;
        }
        self.arguments.clear();
        (self.tail, self.answer, self.result) = (GuestBytes::NONE, None, ResultPart::OutBuffer(0));
        // A thread that is ending keeps nothing.
        FREE.try_with(|free| free.set(Some(self))).unwrap_or_default();
    }
}

impl CallFrame {
    #[inline]
    pub(super) fn new() -> Self {
        let new = || {
            let (arguments, result) = (Vec::with_capacity(64), ResultPart::OutBuffer(0));
            Box::new(Parts { arguments, tail: GuestBytes::NONE, buffer: [0; OUT_BUFFER], answer: None, result })
        };
        Self(Recycled::new(FREE.take().unwrap_or_else(new)))
    }

    /// A frame with these encoded arguments.
    #[must_use]
    pub fn of(arguments: Vec<u8>) -> Self {
        let mut frame = Self::new();
        frame.0.arguments = arguments;
        frame
    }

    /// The memory that arguments are lifted to: the encoded bytes, and their end that is not copied.
    #[inline]
    pub(super) fn arguments_mut(&mut self) -> (&mut Vec<u8>, &mut GuestBytes) {
        let Parts { arguments, tail, .. } = &mut *self.0;
        (arguments, tail)
    }

    /// The encoded arguments, in two parts; the second is empty or the content of a `list<u8>` or string, as a whole.
    #[must_use]
    pub fn arguments(&self) -> [&[u8]; 2] {
        [&self.0.arguments, self.0.tail.get()]
    }

    /// What a plugin is called with: the arguments, the result buffer, and the place for an answer that is not in the
    /// buffer.
    pub fn ask(&mut self) -> ([&[u8]; 2], &mut [u8], &mut Option<Answer>) {
        let Parts { arguments, tail, buffer, answer, .. } = &mut *self.0;
        ([arguments, tail.get()], buffer, answer)
    }

    /// Copies the arguments that are still in the guest's memory.
    pub fn keep(&mut self) {
        let Parts { arguments, tail, .. } = &mut *self.0;
        memcpy::append(arguments, tail.get());
        *tail = GuestBytes::NONE;
    }

    /// Gives up the arguments in the guest's memory: they are not read again.
    pub fn release(&mut self) {
        self.0.tail = GuestBytes::NONE;
    }

    /// A copy of all arguments, in memory of exactly their size.
    #[must_use]
    pub fn into_arguments(self) -> Vec<u8> {
        self.arguments().concat()
    }

    /// Sets the result to the first `length` bytes of the result buffer.
    pub fn in_room(&mut self, length: usize) {
        self.0.result = ResultPart::OutBuffer(length);
    }

    /// Notes that the result in the buffer is a number, with these bits as a core value.
    #[inline]
    pub fn is_number(&mut self, bits: u64) {
        if let ResultPart::OutBuffer(length) = self.0.result {
            self.0.result = ResultPart::Number(length, bits);
        }
    }

    /// The plugin's answer, if it gave one outside the buffer.
    #[must_use]
    pub fn answer(&self) -> Option<&Answer> {
        self.0.answer.as_ref()
    }

    /// Sets the result to the plugin's answer.
    pub fn answered(&mut self) {
        self.0.result = ResultPart::Answer;
    }

    /// Sets the result to bytes of the core.
    pub fn replaced(&mut self, result: Vec<u8>) {
        self.0.result = ResultPart::Core(result);
    }

    /// The encoded result, in two parts like the arguments.
    #[must_use]
    pub fn result(&self) -> [&[u8]; 2] {
        match &self.0.result {
            ResultPart::OutBuffer(length) | ResultPart::Number(length, _) => {
                [self.0.buffer.get(..*length).unwrap_or_default(), &[]]
            }
            ResultPart::Answer => self.0.answer.as_ref().map_or([&[], &[]], |answer| [&answer.bytes, &answer.tail]),
            ResultPart::Core(bytes) => [bytes, &[]],
        }
    }
}

/// An encoded value, whatever owns its bytes.
pub trait Readable {
    /// Reads the bytes from the start.
    fn reader(&self) -> Reader<'_>;
    /// The bits of the value's only core value, if they have been read already.
    fn number(&self) -> Option<u64> {
        None
    }
}

impl Readable for Vec<u8> {
    fn reader(&self) -> Reader<'_> {
        Reader::new(self)
    }
}

impl Readable for CallFrame {
    fn reader(&self) -> Reader<'_> {
        let [bytes, tail] = self.result();
        Reader::with_tail(bytes, tail)
    }
    #[inline]
    fn number(&self) -> Option<u64> {
        match self.0.result {
            ResultPart::Number(_, bits) => Some(bits),
            _ => None,
        }
    }
}
