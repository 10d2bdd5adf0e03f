//! For actors that make servers with [`http_framework`](crate::http_framework).

pub use theater_sdk_macros::http_handlers as export;

use crate::State;
use crate::bindings::http_handlers::exports::theater::simple::http_handlers::Guest;
pub use crate::http_framework::HandlerId;
pub use crate::http_types::{HttpRequest, HttpResponse, MiddlewareResult};
pub use crate::websocket_types::{MessageType, WebsocketMessage};

/// Serves the servers that the actor made. Put [`export`] on the `impl`, and leave out the functions whose
/// kind of handler the actor does not register.
///
/// Each call carries the id that `register_handler` gave.
pub trait HttpHandlers {
    /// Called for each request that a route gave to this handler. Unless written, the answer is status 404.
    ///
    /// # Errors
    /// The client gets status 500 with a request id, never the text.
    fn handle_request(state: State, params: (HandlerId, HttpRequest)) -> Result<(State, (HttpResponse,)), String> {
        let (_, _) = (state, params);
        Ok((None, (HttpResponse { status: 404, headers: Vec::new(), body: None },)))
    }

    /// Called before the route's handler. Unless written, the request goes on as it is.
    ///
    /// # Errors
    /// As for `handle_request`.
    fn handle_middleware(
        state: State,
        params: (HandlerId, HttpRequest),
    ) -> Result<(State, (MiddlewareResult,)), String> {
        let (_, (_, request)) = (state, params);
        Ok((None, (MiddlewareResult { proceed: true, request },)))
    }

    /// Called when a client wants to connect, with the connection's id, the path and the query. Unless
    /// written, everybody may.
    ///
    /// # Errors
    /// Refuses the client with status 403.
    fn handle_websocket_connect(
        state: State,
        params: (HandlerId, u64, String, Option<String>),
    ) -> Result<(State,), String> {
        let (_, _) = (state, params);
        Ok((None,))
    }

    /// Called for each message of a connection, with its id; what it answers goes back to that client.
    /// Unless written, nothing does.
    ///
    /// # Errors
    /// Recorded; nothing goes back.
    fn handle_websocket_message(
        state: State,
        params: (HandlerId, u64, WebsocketMessage),
    ) -> Result<(State, (Vec<WebsocketMessage>,)), String> {
        let (_, _) = (state, params);
        Ok((None, (Vec::new(),)))
    }

    /// Called once after a connection ended, with its id.
    ///
    /// # Errors
    /// Recorded.
    fn handle_websocket_disconnect(state: State, params: (HandlerId, u64)) -> Result<(State,), String> {
        let (_, _) = (state, params);
        Ok((None,))
    }
}

impl<T: HttpHandlers> Guest for T {
    fn handle_request(state: State, params: (HandlerId, HttpRequest)) -> Result<(State, (HttpResponse,)), String> {
        T::handle_request(state, params)
    }

    fn handle_middleware(
        state: State,
        params: (HandlerId, HttpRequest),
    ) -> Result<(State, (MiddlewareResult,)), String> {
        T::handle_middleware(state, params)
    }

    fn handle_websocket_connect(
        state: State,
        params: (HandlerId, u64, String, Option<String>),
    ) -> Result<(State,), String> {
        T::handle_websocket_connect(state, params)
    }

    fn handle_websocket_message(
        state: State,
        params: (HandlerId, u64, WebsocketMessage),
    ) -> Result<(State, (Vec<WebsocketMessage>,)), String> {
        T::handle_websocket_message(state, params)
    }

    fn handle_websocket_disconnect(state: State, params: (HandlerId, u64)) -> Result<(State,), String> {
        T::handle_websocket_disconnect(state, params)
    }
}
