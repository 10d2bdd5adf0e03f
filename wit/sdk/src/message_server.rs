//! For actors that receive messages, requests and channels from other actors.

pub use theater_sdk_macros::message_server as export;

use crate::State;
use crate::bindings::message_server::exports::theater::simple::message_server_client::Guest;
pub use crate::types::{ChannelAccept, ChannelId};

/// Receives messages. Put [`export`] on the `impl`, and leave out the functions that are not needed.
///
/// Messages are arbitrary bytes. Messages from one sender arrive in the order in which they were sent.
///
/// With [`export`], two functions may be written in a shorter form. `handle_request` and
/// `handle_channel_open` may take `(Vec<u8>,)`, the message without its id, and `handle_request` may return
/// `(Vec<u8>,)` if it always answers at once. The full form:
///
/// ```
/// # fn main() {
/// use theater_sdk::message_server::{self, ChannelAccept, ChannelId, MessageServerClient};
/// use theater_sdk::{State, message_server_host};
///
/// struct Later;
///
/// #[message_server::export]
/// impl MessageServerClient for Later {
///     /// Answers the oldest outstanding request.
///     fn handle_send(_state: State, (message,): (Vec<u8>,)) -> Result<(State,), String> {
///         if let Some(oldest) = message_server_host::list_outstanding_requests().first() {
///             message_server_host::respond_to_request(oldest, &message)?;
///         }
///         Ok((None,))
///     }
///
///     /// Leaves every request outstanding.
///     fn handle_request(
///         _state: State,
///         (_request_id, _message): (String, Vec<u8>),
///     ) -> Result<(State, (Option<Vec<u8>>,)), String> {
///         Ok((None, (None,)))
///     }
///
///     fn handle_channel_open(
///         _state: State,
///         (_channel, message): (ChannelId, Vec<u8>),
///     ) -> Result<(State, (ChannelAccept,)), String> {
///         Ok((None, (ChannelAccept { accepted: true, message: Some(message) },)))
///     }
///
///     fn handle_channel_message(
///         _state: State,
///         (channel, message): (ChannelId, Vec<u8>),
///     ) -> Result<(State,), String> {
///         message_server_host::send_on_channel(&channel, &message)?;
///         Ok((None,))
///     }
/// }
/// # }
/// ```
pub trait MessageServerClient {
    /// Called for a message that expects no answer. The default ignores it.
    ///
    /// # Errors
    /// Recorded; the sender does not get it.
    fn handle_send(state: State, params: (Vec<u8>,)) -> Result<(State,), String> {
        let (_, _) = (state, params);
        Ok((None,))
    }

    /// Called for a message that expects an answer, with the request's id and the message.
    ///
    /// `Some` answers now. `None` leaves the request outstanding for `respond_to_request` or `cancel_request` of
    /// [`message_server_host`](crate::message_server_host).
    ///
    /// # Errors
    /// The requester gets an error. The default always returns one.
    fn handle_request(state: State, params: (String, Vec<u8>)) -> Result<(State, (Option<Vec<u8>>,)), String> {
        let (_, _) = (state, params);
        Err("this actor answers no requests".to_owned())
    }

    /// Called when another actor opens a channel, with the channel's id and the first message. The default
    /// refuses it.
    ///
    /// # Errors
    /// The other actor gets an error, as for a refusal.
    fn handle_channel_open(state: State, params: (ChannelId, Vec<u8>)) -> Result<(State, (ChannelAccept,)), String> {
        let (_, _) = (state, params);
        let message = Some(b"this actor takes no channels".to_vec());
        Ok((None, (ChannelAccept { accepted: false, message },)))
    }

    /// Called for each message received on a channel, on either end. The default ignores it.
    ///
    /// # Errors
    /// Recorded; the other end does not get it.
    fn handle_channel_message(state: State, params: (ChannelId, Vec<u8>)) -> Result<(State,), String> {
        let (_, _) = (state, params);
        Ok((None,))
    }

    /// Called once on each end after a channel was closed, by either end or by the death of either actor.
    ///
    /// # Errors
    /// Recorded.
    fn handle_channel_close(state: State, params: (ChannelId,)) -> Result<(State,), String> {
        let (_, _) = (state, params);
        Ok((None,))
    }
}

impl<T: MessageServerClient> Guest for T {
    fn handle_send(state: State, params: (Vec<u8>,)) -> Result<(State,), String> {
        T::handle_send(state, params)
    }

    fn handle_request(state: State, params: (String, Vec<u8>)) -> Result<(State, (Option<Vec<u8>>,)), String> {
        T::handle_request(state, params)
    }

    fn handle_channel_open(state: State, params: (ChannelId, Vec<u8>)) -> Result<(State, (ChannelAccept,)), String> {
        T::handle_channel_open(state, params)
    }

    fn handle_channel_message(state: State, params: (ChannelId, Vec<u8>)) -> Result<(State,), String> {
        T::handle_channel_message(state, params)
    }

    fn handle_channel_close(state: State, params: (ChannelId,)) -> Result<(State,), String> {
        T::handle_channel_close(state, params)
    }
}
