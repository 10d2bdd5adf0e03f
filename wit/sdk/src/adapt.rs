//! Converts between the forms in which a function may be written and the form that the WIT has. Called only by
//! code that the attributes generate.

use crate::State;

/// Installs a panic hook that logs each panic in one line, with location and message, before the instance traps.
#[cfg(target_arch = "wasm32")]
pub extern "C" fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        // "panicked at", the location, a newline, and the message.
        let told = panic.to_string().lines().collect::<Vec<_>>().join(" ");
        crate::runtime::log(&told);
    }));
}

/// The parameters that a function with a message and an id may take.
#[diagnostic::on_unimplemented(
    message = "`{Self}` are no parameters of this function",
    label = "write `(Vec<u8>,)` for the message, or `(String, Vec<u8>)` for its id and the message"
)]
pub trait Params {
    /// Creates the parameters from the id and the message.
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

/// The responses that `handle_request` may return.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no answer of `handle_request`",
    label = "answer `(Vec<u8>,)`, or `(Option<Vec<u8>>,)` with `None` to answer later"
)]
pub trait Response {
    /// The response, if there is one already.
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

    /// Converts the parameters to the form in which the function is written.
    pub fn params<P: super::Params>(all: Params) -> P {
        super::params(all)
    }

    /// Converts the result to the WIT's form.
    ///
    /// # Errors
    /// The error of the function, unchanged.
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

    /// Converts the parameters to the form in which the function is written.
    pub fn params<P: super::Params>(all: Params) -> P {
        super::params(all)
    }

    /// Returns the result unchanged: it has only one form.
    ///
    /// # Errors
    /// The error of the function, unchanged.
    pub fn answer(written: Answer) -> Answer {
        written
    }
}
