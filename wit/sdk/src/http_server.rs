//! For actors that are web servers.

pub use theater_sdk_macros::http_server as export;

use crate::State;
use crate::bindings::http_server::exports::theater::simple::http_server::Guest;
pub use crate::http_types::{HttpRequest, HttpResponse};

/// A web server. Put [`export`] on the `impl`.
pub trait HttpServer {
    /// Called for each request, whatever its method and path.
    ///
    /// # Errors
    /// The client gets status 500 with a request id, never the error text.
    fn handle_request(state: State, params: (HttpRequest,)) -> Result<(State, (HttpResponse,)), String>;
}

impl<T: HttpServer> Guest for T {
    fn handle_request(state: State, params: (HttpRequest,)) -> Result<(State, (HttpResponse,)), String> {
        T::handle_request(state, params)
    }
}
