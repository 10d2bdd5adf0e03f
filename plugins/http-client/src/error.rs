//! Errors of a request, with messages for the actor and the operator.
//!
//! If only the manifest forbids a request, the message names the line to add. If a redirect, a name that resolves to a
//! private address or a disguised address tries to bypass the manifest, the message names none.

use std::io;

use theater_connector::Name;

/// The reason a request failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The URI is not an absolute `http` or `https` URI, or its spelling is ambiguous.
    #[error("{uri:?} is not a valid request URI: {why}")]
    Uri {
        /// The URI.
        uri: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The config does not allow this host; with the port if it is not the scheme's default.
    #[error(
        "{0} is not allowed: in the handler http-client, config = {{ allowed_hosts = [\"{0}\"] }} allows it, as far as \
         the parent's config does"
    )]
    Host(String),
    /// The config does not allow this method.
    #[error(
        "the method {0} is not allowed: in the handler http-client, config = {{ allowed_methods = [\"{0}\"] }} allows \
         it, as far as the parent's config does"
    )]
    Method(String),
    /// The config allows the host, but the address is not public.
    #[error(
        "{0} is not an address of the public internet: in the handler http-client, config = {{ allow_private_addresses = \
         true }} allows it, as far as the parent's config does"
    )]
    Private(Name),
    /// A redirect to a host, or with a method, that the actor may not use itself.
    #[error("{from} redirects to {to}, which this actor is not allowed to access")]
    Redirect {
        /// The URI that redirects.
        from: String,
        /// The URI it redirects to.
        to: String,
    },
    /// A redirect from `https` to `http`.
    #[error("{from} redirects to {to}: a redirect from https to http is not followed")]
    Downgrade {
        /// The URI that redirects.
        from: String,
        /// The URI it redirects to.
        to: String,
    },
    /// A redirect whose `location` is not a usable URI.
    #[error("{from} redirects to {location:?}, which is not a usable URI")]
    Location {
        /// The URI that redirects.
        from: String,
        /// The value of `location`.
        location: String,
    },
    /// More redirects than the config allows.
    #[error("{last} redirects again after {most} redirects (max_redirects)")]
    Redirects {
        /// The URI that answered with one redirect too many.
        last: String,
        /// The limit.
        most: u32,
    },
    /// The request contains something that HTTP cannot carry.
    #[error("the request cannot be sent: {0}")]
    Request(String),
    /// The connector refused the address or could not connect.
    #[error(transparent)]
    Connect(theater_connector::Error),
    /// The trusted certificates could not be loaded.
    #[error(transparent)]
    Tls(#[from] theater_tls::Error),
    /// The connection failed during the exchange.
    #[error("{host}: the connection broke: {source}")]
    Broken {
        /// The server.
        host: String,
        /// The I/O error.
        source: io::Error,
    },
    /// The connection ended before the response was complete.
    #[error("{0}: the response ends early")]
    Truncated(String),
    /// The server did not send a valid response.
    #[error("{host} did not send a valid HTTP response: {why}")]
    Response {
        /// The server.
        host: String,
        /// What is wrong.
        why: String,
    },
    /// The body is larger than `max_response_bytes`.
    #[error(
        "{host}: the response has more than {most} bytes; in the handler http-client, config = {{ max_response_bytes = \
         .. }} allows more, as far as the parent's config does"
    )]
    TooBig {
        /// The server.
        host: String,
        /// The limit.
        most: u64,
    },
    /// No complete response arrived within `timeout_ms`.
    #[error("no complete response arrived within {0} ms (timeout_ms)")]
    TimedOut(u64),
    /// The actor is being stopped.
    #[error("the actor is being stopped")]
    Stopped,
}

impl From<Error> for String {
    fn from(error: Error) -> Self {
        error.to_string()
    }
}

impl Error {
    /// Returns whether the request was refused before it was sent, rather than failed. For a redirect, this is about
    /// the redirect target.
    pub fn is_denial(&self) -> bool {
        matches!(
            self,
            Self::Uri { .. }
                | Self::Location { .. }
                | Self::Host(_)
                | Self::Method(_)
                | Self::Private(_)
                | Self::Redirect { .. }
                | Self::Downgrade { .. }
                | Self::Connect(theater_connector::Error::NotPublic(_) | theater_connector::Error::LeadsInside { .. })
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Target;

    /// A URI that is refused before anything is sent is a denial, whether the actor or a redirect names it.
    #[test]
    fn an_unusable_uri_is_a_denial_also_as_a_redirect_target() {
        assert!(Target::parse("ftp://a/").unwrap_err().is_denial());
        let location = Target::parse("http://a/").unwrap().join("ftp://a/").unwrap_err();
        assert!(matches!(location, Error::Location { .. }) && location.is_denial(), "{location}");
        assert!(!Error::Truncated("a".to_owned()).is_denial());
    }
}
