//! For actors that are websocket servers.

pub use theater_sdk_macros::websocket_server as export;

use crate::State;
use crate::bindings::websocket_server::exports::theater::simple::websocket_server::Guest;
pub use crate::bindings::websocket_server::exports::theater::simple::websocket_server::{
    MessageType, WebsocketMessage, WebsocketResponse,
};

/// Serves websockets. Put [`export`] on the `impl`.
pub trait WebsocketServer {
    /// Called for every new connection, every message and every end of a connection. The returned messages are
    /// sent to that client, in order.
    ///
    /// # Errors
    /// Recorded; nothing is sent to the client.
    fn handle_message(state: State, params: (WebsocketMessage,)) -> Result<(State, (WebsocketResponse,)), String>;
}

impl<T: WebsocketServer> Guest for T {
    fn handle_message(state: State, params: (WebsocketMessage,)) -> Result<(State, (WebsocketResponse,)), String> {
        T::handle_message(state, params)
    }
}
