//! The server side of the opening handshake (RFC 6455, section 4.2).

use async_tungstenite::tungstenite::handshake::derive_accept_key;
use theater_http_listener::{Received, Reply, Upgraded};

/// The origins that may open a websocket, and the subprotocols that the server supports.
#[derive(Debug, Clone, Copy, Default)]
pub struct UpgradePolicy<'a> {
    /// Origins whose pages may open a websocket, in addition to the request's own host; `*` allows all.
    pub origins: &'a [String],
    /// The supported subprotocols, in order of preference.
    pub protocols: &'a [String],
}

/// The header in which the client offers subprotocols and the server names the chosen one.
pub const PROTOCOL: &str = "sec-websocket-protocol";

impl UpgradePolicy<'_> {
    /// Selects the subprotocol for a request: the first of ours that the client offers. If there is none, the websocket
    /// opens without a subprotocol, and a browser that offered some closes it (RFC 6455, section 4.1).
    #[must_use]
    pub fn protocol(&self, received: &Received) -> Option<&str> {
        let offered = |protocol: &&String| {
            all(received, PROTOCOL)
                .flat_map(|value| value.split(','))
                .any(|offered| offered.trim() == protocol.as_str())
        };
        self.protocols.iter().find(offered).map(String::as_str)
    }
}

/// Answers a request to open a websocket: with 101, after which `then` runs on the connection, or with the error reply
/// of [`check`].
pub fn accept<F>(
    received: &Received,
    policy: UpgradePolicy<'_>,
    then: impl FnOnce(Upgraded) -> F + Send + 'static,
) -> Reply
where
    F: Future<Output = ()> + Send + 'static,
{
    match key(received, policy.origins) {
        Ok(key) => {
            let accepted = derive_accept_key(key.as_bytes());
            let mut headers = vec![("sec-websocket-accept".to_owned(), accepted)];
            headers.extend(policy.protocol(received).map(|protocol| (PROTOCOL.to_owned(), protocol.to_owned())));
            Reply::switching("websocket", headers, then)
        }
        Err(reply) => reply,
    }
}

/// Checks whether a request may open a websocket. Browsers let any page open a websocket to any host and send the
/// page's origin in `Origin` (RFC 6455, section 10.2). A page of another host than the request's own is refused, unless
/// `policy.origins` contains its origin or `*`.
///
/// # Errors
/// Returns the reply that tells the client what is wrong.
pub fn check(received: &Received, policy: UpgradePolicy<'_>) -> Result<(), Reply> {
    key(received, policy.origins).map(drop)
}

/// Returns whether a request asks for a websocket at all. [`check`] finds out whether it is valid.
#[must_use]
pub fn asks_upgrade(received: &Received) -> bool {
    says(received, "upgrade", "websocket")
}

fn key<'a>(received: &'a Received, origins: &[String]) -> Result<&'a str, Reply> {
    if received.method != "GET" {
        return Err(Reply::text(405, "a websocket is opened with GET").header("allow", "GET"));
    }
    if !says(received, "upgrade", "websocket") || !says(received, "connection", "upgrade") {
        return Err(Reply::text(426, "this is a websocket").header("upgrade", "websocket"));
    }
    if !all(received, "sec-websocket-version").eq(["13"]) {
        return Err(Reply::text(426, "only websocket version 13 is served").header("sec-websocket-version", "13"));
    }
    if received.body.is_some() {
        return Err(Reply::text(400, "a request to open a websocket has no body").closing());
    }
    if !all(received, "origin").all(|origin| is_allowed(received, origins, origin)) {
        return Err(Reply::text(
            403,
            "pages of this origin may not open this websocket: allowed_origins lists those that may",
        ));
    }
    let mut keys = all(received, "sec-websocket-key");
    match (keys.next().filter(|key| is_key(key)), keys.next()) {
        (Some(key), None) => Ok(key),
        _ => Err(Reply::text(400, "exactly one sec-websocket-key of 16 bytes in base64 is needed")),
    }
}

fn is_allowed(received: &Received, origins: &[String], origin: &str) -> bool {
    let is_named = origins.iter().any(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(origin));
    let host = origin.split_once("://").map(|(_, host)| host).unwrap_or_default();
    is_named || all(received, "host").any(|own| own.eq_ignore_ascii_case(host))
}

/// Returns the values of a header.
fn all<'a>(received: &'a Received, name: &'static str) -> impl Iterator<Item = &'a str> {
    received.headers.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// Returns whether a list-valued header (RFC 9110, section 5.6.1) contains a word.
fn says(received: &Received, name: &'static str, word: &str) -> bool {
    all(received, name).flat_map(|value| value.split(',')).any(|token| token.trim().eq_ignore_ascii_case(word))
}

/// Returns whether this is 16 bytes in base64 (RFC 4648, section 4): 22 digits and `==`.
fn is_key(key: &str) -> bool {
    let digits = key.strip_suffix("==").unwrap_or_default();
    digits.len() == 22 && digits.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
}
