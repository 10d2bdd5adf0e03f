//! What can go wrong, in words for the actor and the operator.
//!
//! A request that only the manifest refuses is told the line to add; one that tries to get where nobody let it is told no
//! line: a redirect, a name that leads inside, an address in disguise.

use std::io;

use theater_dialler::Name;

use crate::target::Target;

/// Why a request has no response.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not an absolute URI of ours.
    #[error("{uri:?} is no URI for a request: {why}")]
    Uri {
        /// The URI.
        uri: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A host that the config does not name.
    #[error(
        "{} is not allowed: in the handler http-client, config = {{ allowed_hosts = [\"{}\"] }} allows it, as far as the \
         parent's config does", .0.authority(), .0.authority()
    )]
    Host(Target),
    /// A method that the config does not name.
    #[error(
        "the method {0} is not allowed: in the handler http-client, config = {{ allowed_methods = [\"{0}\"] }} allows it, as \
         far as the parent's config does"
    )]
    Method(String),
    /// A host that is allowed and not public.
    #[error(
        "{0} is no address of the public internet: in the handler http-client, config = {{ allow_private_addresses = true }} \
         allows it, as far as the parent's config does"
    )]
    Private(Name),
    /// A redirect to where the actor may not go itself.
    #[error("{from} redirects to {to}, where this actor may not go")]
    Redirect {
        /// Who redirects.
        from: String,
        /// Where to.
        to: String,
    },
    /// A redirect that leaves TLS.
    #[error("{from} redirects to {to}: what begins with https does not go on with http")]
    Downgrade {
        /// Who redirects.
        from: String,
        /// Where to.
        to: String,
    },
    /// A redirect whose location leads nowhere.
    #[error("{from} redirects to {location:?}, which is no place to go to")]
    Location {
        /// Who redirects.
        from: String,
        /// What stands in `location`.
        location: String,
    },
    /// More redirects than the config allows.
    #[error("{last} redirects once more, after {most} redirects (max_redirects)")]
    Redirects {
        /// The last one.
        last: String,
        /// The config's.
        most: u32,
    },
    /// Something in the request that HTTP cannot carry.
    #[error("the request cannot be sent: {0}")]
    Request(String),
    /// No connection.
    #[error(transparent)]
    Dial(theater_dialler::Error),
    /// No TLS.
    #[error(transparent)]
    Tls(#[from] theater_tls::Error),
    /// The connection broke.
    #[error("{host}: the connection broke: {source}")]
    Broken {
        /// Whom it was to.
        host: String,
        /// What the system says.
        source: io::Error,
    },
    /// The connection ended inside a response.
    #[error("{0}: the response ends early")]
    Early(String),
    /// What came is no response.
    #[error("{host} sends what is no HTTP response: {why}")]
    Response {
        /// Who.
        host: String,
        /// What is wrong.
        why: String,
    },
    /// A body over `max_response_bytes`.
    #[error(
        "{host}: the response has more than {most} bytes; in the handler http-client, config = {{ max_response_bytes = .. }} \
         allows more, as far as the parent's config does"
    )]
    TooBig {
        /// Who.
        host: String,
        /// The config's.
        most: u64,
    },
    /// It took too long.
    #[error("no whole response came within {0} ms (timeout_ms)")]
    Late(u64),
    /// The actor is ending.
    #[error("the actor is being stopped")]
    Stopped,
}

impl From<Error> for String {
    fn from(error: Error) -> Self {
        error.to_string()
    }
}

impl Error {
    /// Whether it was not tried at all.
    pub fn is_denial(&self) -> bool {
        matches!(
            self,
            Self::Uri { .. }
                | Self::Host(_)
                | Self::Method(_)
                | Self::Private(_)
                | Self::Redirect { .. }
                | Self::Downgrade { .. }
                | Self::Dial(theater_dialler::Error::NotPublic(_) | theater_dialler::Error::LeadsInside { .. })
        )
    }
}
