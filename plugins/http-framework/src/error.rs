//! What can go wrong, in words for the actor.

/// Why a call gave no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Error {
    /// No server of this id.
    #[error("this actor has no server {0}: create-server gives ids, and destroy-server takes them back")]
    Server(u64),
    /// No handler of this id.
    #[error("this actor has no handler {0}: register-handler gives ids")]
    Handler(u64),
    /// No route of this id.
    #[error("this actor has no route {0}: add-route gives ids, and remove-route and destroy-server take them back")]
    Route(u64),
    /// No middleware of this id.
    #[error(
        "this actor has no middleware {0}: add-middleware gives ids, and remove-middleware and destroy-server take them back"
    )]
    Middleware(u64),
    /// No connection of this id.
    #[error("the server {server} has no open websocket {connection}: it has ended, or never was")]
    Connection {
        /// The server.
        server: u64,
        /// The connection.
        connection: u64,
    },
    /// A client that has been found not to read.
    #[error("the client of the websocket {0} does not read what is sent to it: the connection was closed with 1013")]
    Slow(u64),
    /// The actor stopped while it waited.
    #[error("the actor is stopping")]
    Stopping,
    /// A path that is none.
    #[error("the path {path:?} cannot be one: {what}")]
    Path {
        /// The path.
        path: String,
        /// What is wrong with it.
        what: String,
    },
    /// A method that is none.
    #[error("the method {0:?} is none: it is written in capitals, such as GET, and * stands for all")]
    Method(String),
    /// Two routes for the same requests.
    #[error("the server {server} has a route for {method} {path:?} already, number {route}: remove it first")]
    Taken {
        /// The server.
        server: u64,
        /// The method.
        method: String,
        /// The path.
        path: String,
        /// The route that is there.
        route: u64,
    },
    /// The actor has none of the functions that servers call.
    #[error(
        "the actor does not export theater:simple/http-handlers, which handlers are called through: export it, and the \
         functions of it that are used"
    )]
    NoHandlers,
    /// The actor lacks the function.
    #[error("the actor does not export {0} of theater:simple/http-handlers, which this needs: export it")]
    NoFunction(&'static str),
    /// One more than the config has room for.
    #[error(
        "there are {most} {what} already, and no more are allowed: in the handler http-framework, a larger {key} allows more, \
         as far as the parent's config does"
    )]
    TooMany {
        /// What there are too many of.
        what: &'static str,
        /// The key of the config.
        key: &'static str,
        /// What it allows.
        most: u64,
    },
    /// A handler's name that is none.
    #[error("the handler's name has {length} bytes, and may have {most}")]
    LongName {
        /// What it has.
        length: usize,
        /// What it may have.
        most: usize,
    },
    /// Something of the listener's, which says it whole.
    #[error("{0}")]
    Listening(String),
    /// A message that cannot be sent.
    #[error("{0}")]
    Message(String),
}

impl From<Error> for String {
    fn from(error: Error) -> Self {
        error.to_string()
    }
}
