//! A request, as it was sent.

use std::net::SocketAddr;

/// A request with all that `http-types` would lose: the target as sent, headers in order, methods of anyone's.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Received {
    /// The method as sent.
    pub method: String,
    /// The request target as sent (RFC 9112, section 3.2).
    pub uri: String,
    /// Names in lower case and values, in order, repeated ones too.
    pub headers: Vec<(String, String)>,
    /// `None` when the request has neither `content-length` nor `transfer-encoding`.
    pub body: Option<Vec<u8>>,
    /// Who sent it.
    pub peer: SocketAddr,
}

impl Received {
    /// Takes it out of tide's request, where a [`Listener`](crate::Listener) put it; `None` the second time.
    pub fn of<S>(request: &mut tide::Request<S>) -> Option<Self> {
        let request: &mut tide::http::Request = request.as_mut();
        request.ext_mut().remove()
    }

    /// The path of the target in any of its forms (RFC 9112, section 3.2); `*` and the authority of a CONNECT are what they are.
    #[must_use]
    pub fn path(&self) -> &str {
        let target = self.uri.split('?').next().unwrap_or_default();
        match target.split_once("://") {
            Some((_, rest)) if !target.starts_with('/') => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/"),
            _ => target,
        }
    }

    /// What stands behind the target's first `?`, if there is one.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.uri.split_once('?').map(|(_, query)| query)
    }

    /// `GET / from 127.0.0.1:51234`, with a long target cut.
    #[must_use]
    pub fn cause(&self) -> String {
        const MOST: usize = 200;
        let shown = self.uri.get(..MOST).unwrap_or(&self.uri);
        let more = if shown.len() < self.uri.len() { "..." } else { "" };
        format!("{} {shown}{more} from {}", self.method, self.peer)
    }
}
