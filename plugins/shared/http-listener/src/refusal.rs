//! Why a request is refused.

/// A status and a sentence for the author of the client. The connection closes afterwards, because it is no longer
/// known where the next request would start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub status: u16,
    pub sentence: &'static str,
}

impl Refusal {
    pub(crate) const HOST: Self = Self {
        status: 421,
        sentence: "this server does not serve the host that the request names; allowed_hosts lists those it serves",
    };
    pub(crate) const TIMEOUT: Self = Self { status: 408, sentence: "the request did not arrive in time" };
    pub(crate) const BODY: Self = Self { status: 413, sentence: "the body is larger than this server accepts" };
    pub(crate) const EXPECTATION: Self =
        Self { status: 417, sentence: "the only supported expectation is 100-continue" };
    pub(crate) const HEAD: Self = Self { status: 431, sentence: "the headers are larger than this server accepts" };
    pub(crate) const HEADERS: Self = Self { status: 431, sentence: "there are more headers than this server accepts" };
    pub(crate) const STOPPING: Self = Self { status: 503, sentence: "the server is stopping" };
    pub(crate) const CONNECTIONS: Self = Self { status: 503, sentence: "too many connections" };
    pub(crate) const VERSION: Self = Self { status: 505, sentence: "this server supports HTTP/1.1 and HTTP/1.0" };

    /// Creates a 400.
    pub(crate) const fn bad(sentence: &'static str) -> Self {
        Self { status: 400, sentence }
    }
}
