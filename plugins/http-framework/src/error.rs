//! Errors of the plugin's functions, with messages for the actor.

/// The reason a call failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Error {
    /// The actor has no server with this id.
    #[error("this actor has no server {0}: create-server returns ids, and destroy-server invalidates them")]
    Server(u64),
    /// The actor has no handler with this id.
    #[error("this actor has no handler {0}: register-handler returns ids")]
    Handler(u64),
    /// The actor has no route with this id.
    #[error("this actor has no route {0}: add-route returns ids, and remove-route and destroy-server invalidate them")]
    Route(u64),
    /// The actor has no middleware with this id.
    #[error(
        "this actor has no middleware {0}: add-middleware returns ids, and remove-middleware and destroy-server \
         invalidate them"
    )]
    Middleware(u64),
    /// The server has no open connection with this id.
    #[error("the server {server} has no open websocket {connection}: it has ended or never existed")]
    Connection {
        /// The server.
        server: u64,
        /// The connection.
        connection: u64,
    },
    /// The client does not read, and its connection was closed.
    #[error("the client of websocket {0} does not read its messages: the connection was closed with 1013")]
    Slow(u64),
    /// The actor was stopped while the call waited.
    #[error("the actor is stopping")]
    Stopping,
    /// The path is not valid.
    #[error("the path {path:?} is not valid: {what}")]
    Path {
        /// The path.
        path: String,
        /// What is wrong with it.
        what: String,
    },
    /// The method is not valid.
    #[error("the method {0:?} is not valid: write it in capitals, such as GET, or * for all methods")]
    Method(String),
    /// The server already has a route for this method and path.
    #[error("the server {server} has a route for {method} {path:?} already, number {route}: remove it first")]
    Taken {
        /// The server.
        server: u64,
        /// The method.
        method: String,
        /// The path.
        path: String,
        /// The existing route.
        route: u64,
    },
    /// The actor exports none of the functions that servers call.
    #[error(
        "the actor does not export theater:simple/http-handlers, through which handlers are called: export it, with \
         the functions that are used"
    )]
    NoHandlers,
    /// The actor does not export a function that the call needs.
    #[error("the actor does not export {0} of theater:simple/http-handlers, which this needs: export it")]
    NoFunction(&'static str),
    /// A limit of the config is reached.
    #[error(
        "there are {most} {what} already, and no more are allowed: in the handler http-framework, a larger {key} \
         allows more, as far as the parent's config does"
    )]
    TooMany {
        /// What the limit applies to.
        what: &'static str,
        /// The config key of the limit.
        key: &'static str,
        /// The limit.
        most: u64,
    },
    /// The handler's name is too long.
    #[error("the handler's name has {length} bytes, and may have {most}")]
    LongName {
        /// Its length in bytes.
        length: usize,
        /// The limit in bytes.
        most: usize,
    },
    /// An error of the listener, with a complete message.
    #[error("{0}")]
    Listening(String),
    /// The message cannot be sent.
    #[error("{0}")]
    Message(String),
}

impl From<Error> for String {
    fn from(error: Error) -> Self {
        error.to_string()
    }
}
