//! For actors that create servers with [`http_framework`](crate::http_framework).

pub use theater_sdk_macros::http_handlers as export;

use crate::State;
use crate::bindings::http_handlers::exports::theater::simple::http_handlers::Guest;
pub use crate::http_framework::HandlerId;
pub use crate::http_types::{HttpRequest, HttpResponse, MiddlewareResult};
pub use crate::websocket_types::{MessageType, WebsocketMessage};

/// Handles the requests to the servers that the actor created. Put [`export`] on the `impl`, and leave out the
/// functions for kinds of handlers that the actor does not register.
///
/// Each call carries the id that `register_handler` returned.
pub trait HttpHandlers {
    /// Called for each request that a route passes to this handler. The default responds with status 404.
    ///
    /// # Errors
    /// The client gets status 500 with a request id, never the error text.
    fn handle_request(state: State, params: (HandlerId, HttpRequest)) -> Result<(State, (HttpResponse,)), String> {
        let (_, _) = (state, params);
        Ok((None, (HttpResponse { status: 404, headers: Vec::new(), body: None },)))
    }

    /// Called before the route's handler. The default passes on the request unchanged.
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

    /// Called when a client wants to connect, with the connection's id, the path and the query. The default
    /// accepts every client.
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

    /// Called for each message of a connection, with its id. The returned messages are sent to that client.
    /// The default returns none.
    ///
    /// # Errors
    /// Recorded; nothing is sent to the client.
    fn handle_websocket_message(
        state: State,
        params: (HandlerId, u64, WebsocketMessage),
    ) -> Result<(State, (Vec<WebsocketMessage>,)), String> {
        let (_, _) = (state, params);
        Ok((None, (Vec::new(),)))
    }

    /// Called once after a connection has ended, with its id.
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
