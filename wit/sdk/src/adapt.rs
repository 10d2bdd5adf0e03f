//! Between the forms a function may be written in and the one that the WIT has. Called by the attributes'
//! output only.

use crate::State;

/// From now on a panic is logged before the instance traps, in one line with its text and its place.
#[cfg(target_arch = "wasm32")]
pub extern "C" fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        // "panicked at", the place, a line end, and the text.
        let told = panic.to_string().lines().collect::<Vec<_>>().join(" ");
        crate::runtime::log(&told);
    }));
}

/// What a function with a message and an id may take.
#[diagnostic::on_unimplemented(
    message = "`{Self}` are no parameters of this function",
    label = "write `(Vec<u8>,)` for the message, or `(String, Vec<u8>)` for its id and the message"
)]
pub trait Params {
    /// Makes them of all there is.
    fn from_all(id: String, message: Vec<u8>) -> Self;
}

impl Params for (Vec<u8>,) {
    fn from_all(_id: String, message: Vec<u8>) -> Self {
        (message,)
    }
}

impl Params for (String, Vec<u8>) {
    fn from_all(id: String, message: Vec<u8>) -> Self {
        (id, message)
    }
}

/// What a request may be answered with.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no answer of `handle_request`",
    label = "answer `(Vec<u8>,)`, or `(Option<Vec<u8>>,)` with `None` to answer later"
)]
pub trait Response {
    /// The answer, if there is one yet.
    fn now(self) -> Option<Vec<u8>>;
}

impl Response for (Vec<u8>,) {
    fn now(self) -> Option<Vec<u8>> {
        Some(self.0)
    }
}

impl Response for (Option<Vec<u8>>,) {
    fn now(self) -> Option<Vec<u8>> {
        self.0
    }
}

fn params<P: Params>((id, message): (String, Vec<u8>)) -> P {
    P::from_all(id, message)
}

/// `handle_request` of `message_server`.
pub mod handle_request {
    use super::{Response, State};

    /// Parameters in the WIT's form.
    pub type Params = (String, Vec<u8>);
    /// Result in the WIT's form.
    pub type Answer = Result<(State, (Option<Vec<u8>>,)), String>;

    /// The parameters in the form that was written.
    pub fn params<P: super::Params>(all: Params) -> P {
        super::params(all)
    }

    /// The result in the WIT's form.
    ///
    /// # Errors
    /// The one that was written.
    pub fn answer<R: Response>(written: Result<(State, R), String>) -> Answer {
        written.map(|(state, response)| (state, (response.now(),)))
    }
}

/// `handle_channel_open` of `message_server`.
pub mod handle_channel_open {
    use super::State;
    use crate::types::ChannelAccept;

    /// Parameters in the WIT's form.
    pub type Params = (String, Vec<u8>);
    /// Result in the WIT's form.
    pub type Answer = Result<(State, (ChannelAccept,)), String>;

    /// The parameters in the form that was written.
    pub fn params<P: super::Params>(all: Params) -> P {
        super::params(all)
    }

    /// The result, which has one form.
    ///
    /// # Errors
    /// The one that was written.
    pub fn answer(written: Answer) -> Answer {
        written
    }
}
