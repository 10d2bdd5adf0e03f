//! A request as it was sent.

use std::net::SocketAddr;

/// A request with everything that `http-types` would lose: the target as sent, the order of headers, unknown methods.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Received {
    /// The method as sent.
    pub method: String,
    /// The request target as sent (RFC 9112, section 3.2).
    pub uri: String,
    /// Header names in lower case with their values, in order, including repeated ones.
    pub headers: Vec<(String, String)>,
    /// The body; `None` if the request has neither `content-length` nor `transfer-encoding`.
    pub body: Option<Vec<u8>>,
    /// The address of the client.
    pub peer: SocketAddr,
}

impl Received {
    /// Takes the request out of tide's request, where a [`Listener`](crate::Listener) put it; `None` the second time.
    pub fn of<S>(request: &mut tide::Request<S>) -> Option<Self> {
        let request: &mut tide::http::Request = request.as_mut();
        request.ext_mut().remove()
    }

    /// Returns the path of the target, in any of its forms (RFC 9112, section 3.2). `*` and the authority of a CONNECT
    /// are returned unchanged.
    #[must_use]
    pub fn path(&self) -> &str {
        let target = self.uri.split('?').next().unwrap_or_default();
        match target.split_once("://") {
            Some((_, rest)) if !target.starts_with('/') => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/"),
            _ => target,
        }
    }

    /// Returns the part of the target after its first `?`, if there is one.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.uri.split_once('?').map(|(_, query)| query)
    }

    /// Describes the request for the log: `GET / from 127.0.0.1:51234`. A long target is truncated.
    #[must_use]
    pub fn cause(&self) -> String {
        const MOST: usize = 200;
        let shown = self.uri.get(..MOST).unwrap_or(&self.uri);
        let more = if shown.len() < self.uri.len() { "..." } else { "" };
        format!("{} {shown}{more} from {}", self.method, self.peer)
    }
}
