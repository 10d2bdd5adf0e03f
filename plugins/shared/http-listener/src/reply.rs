//! The answer to a request.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::Write;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use theater_plugin_api::{Host, Level};
use tide::StatusCode;

use crate::date;
use crate::head::is_token;
use crate::refusal::Refusal;
use crate::upgraded::{PendingUpgrade, UpgradeHandler, Upgraded};

/// A checked answer: the status is final, header names are tokens, values are visible ASCII.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
    closes: bool,
    switch: Option<PendingUpgrade>,
}

/// The properties of a request that determine the form of its answer.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ReplyForm {
    pub head: bool,
    pub connect: bool,
    pub old: bool,
    pub keeps: bool,
}

impl Reply {
    /// Checks an answer. Connection headers and `content-length` are dropped: the server writes its own.
    ///
    /// # Errors
    /// Fails for a status outside 200 to 599, a header name that is not a token, or a value with anything but visible
    /// ASCII, space and tab.
    pub fn new(status: u16, mut headers: Vec<(String, String)>, body: Option<Vec<u8>>) -> Result<Self, String> {
        if !(200..=599).contains(&status) {
            return Err(format!("the status {status} is not one of 200 to 599"));
        }
        for (name, value) in &headers {
            if !is_token(name) {
                return Err(format!("{name:?} is not the name of a header"));
            }
            if !value.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t')) {
                return Err(format!("the header {name} has a value that is not visible ASCII"));
            }
        }
        headers.retain(|(name, _)| !is_the_connections(name));
        Ok(Self { status, headers, body, closes: false, switch: None })
    }

    /// Creates a 101: the connection switches to another protocol (RFC 9110, section 15.2.2). `then` speaks it, in the
    /// slot and task of the connection. The names and values of `headers` must be valid for [`Reply::new`].
    pub fn switching<F>(
        protocol: &str,
        mut headers: Vec<(String, String)>,
        then: impl FnOnce(Upgraded) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        headers.push(("upgrade".to_owned(), protocol.to_owned()));
        headers.push(("connection".to_owned(), "upgrade".to_owned()));
        Self { status: 101, headers, body: None, closes: false, switch: Some(PendingUpgrade::new(then)) }
    }

    /// Creates a 204: done, without content.
    #[must_use]
    pub fn no_content() -> Self {
        Self { status: 204, headers: Vec::new(), body: None, closes: false, switch: None }
    }

    /// Creates a text answer of one line, such as `503 Service Unavailable: ` and the sentence.
    #[must_use]
    pub fn text(status: u16, sentence: &str) -> Self {
        let body = format!("{status} {}: {sentence}\n", reason(status));
        let headers = vec![("content-type".to_owned(), "text/plain; charset=utf-8".to_owned())];
        Self { status, headers, body: Some(body.into_bytes()), closes: false, switch: None }
    }

    /// Creates a 500 for the request that `cause` describes: the log gets the reason, the client only an id to ask
    /// about.
    #[must_use]
    pub fn failed(host: &Host, cause: &str, what: &str) -> Self {
        let id = request_id();
        host.log(Level::Error, &format!("request {id} failed ({cause}): {what}"));
        Self::failure(&id)
    }

    /// Creates a 503 for a request that the actor did not accept. Either the actor is stopping, or nothing can be
    /// recorded right now (the log has the reason); in the second case the client may try again.
    #[must_use]
    pub fn unavailable(host: &Host) -> Self {
        match now_or_never(host.cancelled()) {
            Some(()) => Self::text(503, "the actor is stopping").closing(),
            None => Self::text(503, "the request cannot be accepted at the moment, try again")
                .header("retry-after", "1")
                .closing(),
        }
    }

    /// Creates a 500 with the id under which the log has the reason.
    fn failure(id: &str) -> Self {
        Self::text(500, &format!("the request failed; its id is {id}")).header("x-request-id", id)
    }

    /// Adds a header, whose name and value must be valid for [`Reply::new`].
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Closes the connection after this reply.
    #[must_use]
    pub fn closing(mut self) -> Self {
        self.closes = true;
        self
    }

    /// Returns the status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Converts the reply to a tide response, for an endpoint to return.
    #[must_use]
    pub fn into_tide(self) -> tide::Response {
        let mut response = tide::Response::new(StatusCode::Ok);
        response.insert_ext(self);
        response
    }

    /// Takes the reply out of a tide response, or converts a response that tide itself created.
    pub(crate) async fn of(mut response: tide::http::Response) -> Self {
        if let Some(reply) = response.ext_mut().remove() {
            return reply;
        }
        let headers = response
            .iter()
            .flat_map(|(name, values)| values.iter().map(|value| (name.as_str().to_owned(), value.as_str().to_owned())))
            .collect();
        let status = response.status().into();
        match response.take_body().into_bytes().await.map(|body| Self::new(status, headers, Some(body))) {
            Ok(Ok(reply)) => reply,
            _ => Self::text(500, "the answer could not be sent"),
        }
    }

    /// Returns whether the connection would switch to another protocol.
    pub(crate) fn switches(&self) -> bool {
        self.switch.is_some()
    }

    /// Takes the callback that speaks the other protocol, if there is one; `None` the second time.
    pub(crate) fn switch(&self) -> Option<UpgradeHandler> {
        self.switch.as_ref().and_then(PendingUpgrade::take)
    }

    /// Returns whether the connection stays open.
    pub(crate) fn keeps(&self, form: ReplyForm) -> bool {
        form.keeps && !self.closes
    }

    /// Writes the status line and headers to `out`; returns the body to send after them.
    pub(crate) fn write_head(&self, form: ReplyForm, out: &mut Vec<u8>) -> &[u8] {
        out.clear();
        // Writing to a vector cannot fail.
        drop(write!(out, "HTTP/1.1 {} {}\r\n", self.status, reason(self.status)));
        for (name, value) in &self.headers {
            for part in [name, ": ", value, "\r\n"] {
                out.extend_from_slice(part.as_bytes());
            }
        }
        let bare = matches!(self.status, 101 | 204 | 304) || (form.connect && self.status < 300);
        let body = self.body.as_deref().filter(|_| !bare && self.status != 205);
        if !bare && (body.is_some() || !form.head) {
            drop(write!(out, "content-length: {}\r\n", body.map_or(0, <[u8]>::len)));
        }
        match (self.keeps(form), form.old) {
            _ if self.status == 101 => {}
            (true, false) => {}
            (true, true) => out.extend_from_slice(b"connection: keep-alive\r\n"),
            (false, _) => out.extend_from_slice(b"connection: close\r\n"),
        }
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("date")) {
            out.extend_from_slice(b"date: ");
            date::push_now(out);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"\r\n");
        body.filter(|_| !form.head).unwrap_or_default()
    }
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        let reply = Self::text(refusal.status, refusal.sentence).closing();
        if refusal.status == 503 { reply.header("retry-after", "1") } else { reply }
    }
}

/// Returns whether a header belongs to the connection (RFC 9110, section 7.6.1) or is computed by the server.
fn is_the_connections(name: &str) -> bool {
    const THEIRS: [&str; 8] = [
        "connection",
        "content-length",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    THEIRS.iter().any(|theirs| theirs.eq_ignore_ascii_case(name))
}

/// Returns the reason phrase of the IANA registry of HTTP status codes; empty for an unregistered code.
fn reason(status: u16) -> &'static str {
    // Codes for which http-types has no phrase, or not the registered one.
    match status {
        102 => "Processing",
        203 => "Non-Authoritative Information",
        208 => "Already Reported",
        226 => "IM Used",
        300 => "Multiple Choices",
        304 => "Not Modified",
        305 => "Use Proxy",
        413 => "Content Too Large",
        416 => "Range Not Satisfiable",
        418 => "I'm a Teapot",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        425 => "Too Early",
        451 => "Unavailable For Legal Reasons",
        508 => "Loop Detected",
        510 => "Not Extended",
        511 => "Network Authentication Required",
        _ => StatusCode::try_from(status).map_or("", |status| status.canonical_reason()),
    }
}

/// Polls a future once; returns its output if it is ready.
fn now_or_never<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

/// Returns a new request id of 16 hexadecimal digits: enough to find the request in the log.
fn request_id() -> String {
    format!("{:016x}", RandomState::new().build_hasher().finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn sent(reply: &Reply, form: ReplyForm) -> (String, Vec<u8>) {
        let mut out = Vec::new();
        let body = reply.write_head(form, &mut out).to_vec();
        (String::from_utf8(out).unwrap(), body)
    }

    const KEEPS: ReplyForm = ReplyForm { head: false, connect: false, old: false, keeps: true };

    #[test]
    fn what_cannot_be_sent_is_refused() {
        for status in [0, 99, 100, 101, 199, 600, 65_535] {
            assert!(Reply::new(status, Vec::new(), None).is_err(), "{status}");
        }
        for (name, value) in [("a", "\u{e9}"), ("a", "b\r\nc: d"), ("a", "\0"), ("a b", "c"), ("", "c"), ("a:", "b")] {
            assert!(Reply::new(200, headers(&[(name, value)]), None).is_err(), "{name:?} {value:?}");
        }
    }

    #[test]
    fn the_length_is_computed_and_the_connections_headers_are_the_servers() {
        let given = [
            ("Content-Length", "9"),
            ("transfer-encoding", "chunked"),
            ("Connection", "close"),
            ("x", "1"),
            ("x", "2"),
        ];
        let reply = Reply::new(299, headers(&given), Some(b"hello".to_vec())).unwrap();
        let (head, body) = sent(&reply, KEEPS);
        assert!(head.starts_with("HTTP/1.1 299 \r\nx: 1\r\nx: 2\r\ncontent-length: 5\r\ndate: "), "{head}");
        assert!(head.ends_with(" GMT\r\n\r\n") && body == b"hello");
    }

    #[test]
    fn an_answer_without_a_body_says_so_in_its_own_way() {
        let with = |status| Reply::new(status, Vec::new(), Some(b"hello".to_vec())).unwrap();
        for status in [204, 304] {
            let (head, body) = sent(&with(status), KEEPS);
            assert!(!head.contains("content-length") && body.is_empty(), "{head}");
        }
        let (head, body) = sent(&with(205), KEEPS);
        assert!(head.contains("content-length: 0\r\n") && body.is_empty());
        let (head, body) = sent(&with(200), ReplyForm { head: true, ..KEEPS });
        assert!(head.contains("content-length: 5\r\n") && body.is_empty());
        let (head, _) = sent(&Reply::new(200, Vec::new(), None).unwrap(), KEEPS);
        assert!(head.contains("content-length: 0\r\n"));
    }

    #[test]
    fn a_date_of_the_actors_stands() {
        let reply = Reply::new(200, headers(&[("Date", "then")]), None).unwrap();
        assert_eq!(sent(&reply, KEEPS).0.to_lowercase().matches("date:").count(), 1);
    }

    #[test]
    fn reason_phrases_are_those_of_the_registry() {
        let registry = [
            (200, "OK"),
            (201, "Created"),
            (202, "Accepted"),
            (203, "Non-Authoritative Information"),
            (204, "No Content"),
            (205, "Reset Content"),
            (206, "Partial Content"),
            (207, "Multi-Status"),
            (208, "Already Reported"),
            (226, "IM Used"),
            (300, "Multiple Choices"),
            (301, "Moved Permanently"),
            (302, "Found"),
            (303, "See Other"),
            (304, "Not Modified"),
            (305, "Use Proxy"),
            (307, "Temporary Redirect"),
            (308, "Permanent Redirect"),
            (400, "Bad Request"),
            (401, "Unauthorized"),
            (402, "Payment Required"),
            (403, "Forbidden"),
            (404, "Not Found"),
            (405, "Method Not Allowed"),
            (406, "Not Acceptable"),
            (407, "Proxy Authentication Required"),
            (408, "Request Timeout"),
            (409, "Conflict"),
            (410, "Gone"),
            (411, "Length Required"),
            (412, "Precondition Failed"),
            (413, "Content Too Large"),
            (414, "URI Too Long"),
            (415, "Unsupported Media Type"),
            (416, "Range Not Satisfiable"),
            (417, "Expectation Failed"),
            (418, "I'm a Teapot"),
            (421, "Misdirected Request"),
            (422, "Unprocessable Content"),
            (423, "Locked"),
            (424, "Failed Dependency"),
            (425, "Too Early"),
            (426, "Upgrade Required"),
            (428, "Precondition Required"),
            (429, "Too Many Requests"),
            (431, "Request Header Fields Too Large"),
            (451, "Unavailable For Legal Reasons"),
            (500, "Internal Server Error"),
            (501, "Not Implemented"),
            (502, "Bad Gateway"),
            (503, "Service Unavailable"),
            (504, "Gateway Timeout"),
            (505, "HTTP Version Not Supported"),
            (506, "Variant Also Negotiates"),
            (507, "Insufficient Storage"),
            (508, "Loop Detected"),
            (510, "Not Extended"),
            (511, "Network Authentication Required"),
            (299, ""),
        ];
        for (status, phrase) in registry {
            assert_eq!(reason(status), phrase, "{status}");
        }
    }

    #[test]
    fn ids_differ() {
        assert_ne!(request_id(), request_id());
    }
}
