//! The strict parser of a request's head: the request line and the headers (RFC 9112, sections 2 to 6).
//!
//! Request smuggling works where two HTTP parsers disagree: what one reads as a body, the other reads as the next
//! request. So this parser refuses every spelling on which two parsers could disagree: a line that ends in a bare LF, a
//! CR anywhere else, a folded header, space before a colon, control characters, bytes outside ASCII, both
//! `content-length` and `transfer-encoding`, one of them twice, any transfer coding but `chunked`, a length with
//! anything but digits.

use crate::config::Limits;
use crate::refusal::Refusal;

/// How the end of the body is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    None,
    Length(u64),
    Chunked,
}

/// A head that passed all checks.
#[derive(Debug)]
pub(crate) struct Head {
    pub method: String,
    pub uri: String,
    pub headers: Vec<(String, String)>,
    pub framing: Framing,
    /// HTTP/1.0.
    pub old: bool,
    /// The client wants to send another request afterwards.
    pub keeps: bool,
    /// The client waits for 100 before it sends the body.
    pub expects: bool,
}

/// The progress of scanning the buffer for a complete head.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// Where the request line starts: after at most one empty line (RFC 9112, section 2.2).
    pub start: usize,
    position: usize,
    line: usize,
    lines: usize,
}

impl Scan {
    /// Returns the length of the head, including the empty line after it, once it is complete. Refuses as early as
    /// possible, so that a client that speaks another protocol does not have to wait for the timeout.
    pub(crate) fn advance(&mut self, bytes: &[u8], limits: &Limits) -> Result<Option<usize>, Refusal> {
        while let Some(byte) = bytes.get(self.position) {
            match byte {
                b' '..=b'~' | b'\t' => {
                    let folded = self.position == self.line && self.lines > 0 && matches!(byte, b' ' | b'\t');
                    if folded {
                        return Err(Refusal::bad("a header is folded over two lines"));
                    }
                    self.position += 1;
                }
                b'\r' => match bytes.get(self.position + 1) {
                    Some(b'\n') => {
                        if self.ended(limits)? {
                            return Ok(Some(self.position));
                        }
                    }
                    Some(_) => return Err(Refusal::bad("a CR is not followed by LF")),
                    None => break,
                },
                b'\n' => return Err(Refusal::bad("a line ends in LF, not in CR LF")),
                0x80.. => return Err(Refusal::bad("the head has bytes outside ASCII")),
                _ => return Err(Refusal::bad("the head has a control character")),
            }
            if self.position - self.start > limits.header_bytes {
                return Err(Refusal::HEAD);
            }
        }
        Ok(None)
    }

    /// Handles the end of a line at `position`; returns whether the head ends there.
    fn ended(&mut self, limits: &Limits) -> Result<bool, Refusal> {
        let empty = self.position == self.line;
        self.position += 2;
        self.line = self.position;
        match (empty, self.lines) {
            (true, 0) if self.start == 0 => self.start = self.position,
            (true, 0) => return Err(Refusal::bad("there are empty lines where a request should start")),
            (true, _) => return Ok(true),
            (false, lines) if lines > limits.headers => return Err(Refusal::HEADERS),
            (false, _) => self.lines += 1,
        }
        Ok(false)
    }
}

impl Head {
    /// Parses a head that [`Scan`] has found complete.
    pub(crate) fn parse(head: &[u8]) -> Result<Self, Refusal> {
        let text = std::str::from_utf8(head).map_err(|_| Refusal::bad("the head has bytes outside ASCII"))?;
        let mut lines = text.split("\r\n");
        let (method, uri, old) = request_line(lines.next().unwrap_or_default())?;
        let mut fields = Fields::default();
        let mut headers = Vec::with_capacity(16);
        for line in lines.take_while(|line| !line.is_empty()) {
            let (name, value) = header(line)?;
            fields.note(&name, value)?;
            headers.push((name, value.to_owned()));
        }
        if fields.hosts != 1 && !(old && fields.hosts == 0) {
            return Err(Refusal::bad("exactly one host header is needed"));
        }
        let framing = match (fields.length, fields.codings) {
            (None, 0) => Framing::None,
            (Some(length), 0) => Framing::Length(length),
            (None, _) if old => return Err(Refusal::bad("HTTP/1.0 has no transfer-encoding")),
            (None, _) => Framing::Chunked,
            (Some(_), _) => return Err(Refusal::bad("both content-length and transfer-encoding are given")),
        };
        if fields.other_expectation && !old {
            return Err(Refusal::EXPECTATION);
        }
        let keeps = !fields.close && (!old || fields.keep_alive) && method != "CONNECT";
        Ok(Self {
            expects: fields.expects && !old && framing != Framing::None,
            method: method.to_owned(),
            uri: uri.to_owned(),
            headers,
            framing,
            old,
            keeps,
        })
    }
}

/// The headers that concern the message itself.
#[derive(Default)]
struct Fields {
    hosts: usize,
    length: Option<u64>,
    codings: usize,
    close: bool,
    keep_alive: bool,
    expects: bool,
    other_expectation: bool,
}

impl Fields {
    fn note(&mut self, name: &str, value: &str) -> Result<(), Refusal> {
        match name {
            "host" => {
                self.hosts += 1;
                check_host(value)?;
            }
            "content-length" => {
                if self.length.is_some() {
                    return Err(Refusal::bad("content-length is given twice"));
                }
                self.length = Some(length(value)?);
            }
            "transfer-encoding" => {
                self.codings += 1;
                if self.codings > 1 || !value.eq_ignore_ascii_case("chunked") {
                    return Err(Refusal::bad("transfer-encoding is something other than chunked"));
                }
            }
            "connection" => {
                for option in value.split(',').map(str::trim) {
                    self.close |= option.eq_ignore_ascii_case("close");
                    self.keep_alive |= option.eq_ignore_ascii_case("keep-alive");
                }
            }
            "expect" => {
                let meets = value.eq_ignore_ascii_case("100-continue");
                self.expects |= meets;
                self.other_expectation |= !meets;
            }
            _ => {}
        }
        Ok(())
    }
}

/// Parses `GET /path HTTP/1.1` into the method, the target and whether it is HTTP/1.0.
fn request_line(line: &str) -> Result<(&str, &str, bool), Refusal> {
    const WRONG: Refusal = Refusal::bad("the request line is not `METHOD target HTTP/1.1`");
    let (method, rest) = line.split_once(' ').ok_or(WRONG)?;
    let (target, version) = rest.split_once(' ').ok_or(WRONG)?;
    if !is_token(method) {
        return Err(Refusal::bad("the method is not a token"));
    }
    let old = match version.as_bytes() {
        b"HTTP/1.1" => false,
        b"HTTP/1.0" => true,
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => return Err(Refusal::VERSION),
        _ => return Err(WRONG),
    };
    check_target(method, target)?;
    Ok((method, target, old))
}

/// Checks that the target has one of the four forms of RFC 9112, section 3.2. A path or query may contain any visible
/// ASCII, except a fragment, which is not part of a target.
fn check_target(method: &str, target: &str) -> Result<(), Refusal> {
    if !target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
        return Err(Refusal::bad("the request target has an invalid character"));
    }
    let fits = if method == "CONNECT" {
        is_authority(target)
    } else {
        target.starts_with('/') || (target == "*" && method == "OPTIONS") || is_absolute(target)
    };
    if fits { Ok(()) } else { Err(Refusal::bad("the request target is neither a path nor an absolute URI")) }
}

fn is_absolute(target: &str) -> bool {
    let Some((scheme, rest)) = target.split_once("://") else { return false };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
        && !authority.is_empty()
}

fn is_authority(target: &str) -> bool {
    target.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty()
            && check_host(host).is_ok()
            && !port.is_empty()
            && port.bytes().all(|byte| byte.is_ascii_digit())
    })
}

fn check_host(value: &str) -> Result<(), Refusal> {
    let odd = |byte: u8| {
        !byte.is_ascii_graphic() || matches!(byte, b'/' | b'?' | b'#' | b'@' | b'\\' | b'"' | b'<' | b'>' | b',')
    };
    if value.bytes().any(odd) { Err(Refusal::bad("the host header is not a host")) } else { Ok(()) }
}

fn length(value: &str) -> Result<u64, Refusal> {
    if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Refusal::bad("content-length is not a number"));
    }
    // Digits fail to parse only if there are too many.
    value.parse().map_err(|_| Refusal::BODY)
}

/// Parses `Name: value` into the name in lower case and the value without the space around it.
pub(crate) fn header(line: &str) -> Result<(String, &str), Refusal> {
    let (name, value) = line.split_once(':').ok_or(Refusal::bad("a header has no colon"))?;
    if !is_token(name) {
        return Err(Refusal::bad("a header's name is not a token"));
    }
    Ok((name.to_ascii_lowercase(), value.trim_matches([' ', '\t'])))
}

/// Returns whether the text is a token (RFC 9110, section 5.6.2).
pub(crate) fn is_token(text: &str) -> bool {
    let in_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(in_token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn read(text: &str) -> Result<Option<Head>, Refusal> {
        let (mut scan, limits) = (Scan::default(), Config::default().limits());
        // Byte by byte: the result must not depend on how the bytes are split.
        for end in 0..=text.len() {
            if let Some(length) = scan.advance(&text.as_bytes()[..end], &limits)? {
                assert_eq!(length, end);
                return Head::parse(&text.as_bytes()[scan.start..length]).map(Some);
            }
        }
        Ok(None)
    }

    fn refused(text: &str) -> u16 {
        match read(text) {
            Err(refusal) => refusal.status,
            Ok(head) => panic!("{text:?} passed: {head:?}"),
        }
    }

    fn passed(text: &str) -> Head {
        read(text).unwrap().unwrap()
    }

    #[test]
    fn a_head_reads_as_it_was_sent() {
        let head = passed("\r\nGET /a%2fb/../c?x=%zz HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nx-b:\t2 \r\nX-A:\r\n\r\n");
        assert_eq!((head.method.as_str(), head.uri.as_str()), ("GET", "/a%2fb/../c?x=%zz"));
        let headers: Vec<_> = head.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(headers, [("host", "h"), ("x-a", "1"), ("x-b", "2"), ("x-a", "")]);
        assert!(head.keeps && head.framing == Framing::None);
    }

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        for lines in [
            "content-length: 1\r\ntransfer-encoding: chunked\r\n",
            "transfer-encoding: chunked\r\ncontent-length: 1\r\n",
            "content-length: 1\r\ncontent-length: 2\r\n",
            "content-length: 1\r\ncontent-length: 1\r\n",
            "content-length: 1, 1\r\n",
            "content-length: +1\r\n",
            "content-length: -1\r\n",
            "content-length: 0x1\r\n",
            "content-length: 1 1\r\n",
            "content-length:\r\n",
            "transfer-encoding: xchunked\r\n",
            "transfer-encoding: identity\r\n",
            "transfer-encoding: gzip, chunked\r\n",
            "transfer-encoding: chunked, chunked\r\n",
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
            "transfer-encoding: chunked\r\ntransfer-encoding: x\r\n",
            "transfer-encoding : chunked\r\n",
            "transfer-encoding: \"chunked\"\r\n",
            "transfer-encoding:\r\n",
            "x: a\r\n b\r\n",
            "x: a\r\n\tb\r\n",
            " x: a\r\n",
            "x: a\n",
            "x: a\r\rb\r\n",
            "x: a\0b\r\n",
            "x: a\x01b\r\n",
            "x: a\x7fb\r\n",
            "x: \u{e9}\r\n",
            "x\u{e9}: a\r\n",
            "x y: a\r\n",
            ": a\r\n",
            "x\r\n",
            "host: again\r\n",
        ] {
            assert_eq!(refused(&format!("POST / HTTP/1.1\r\nhost: h\r\n{lines}\r\n")), 400, "{lines:?}");
        }
        assert_eq!(refused("GET / HTTP/1.1\r\n\r\n"), 400);
        assert_eq!(refused("GET / HTTP/1.1\nhost: h\n\n"), 400);
        assert_eq!(refused("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 99999999999999999999\r\n\r\n"), 413);
        assert_eq!(refused("POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n"), 400);
    }

    #[test]
    fn a_request_line_has_three_parts_and_a_version() {
        for line in
            ["GET /", "GET", "GET  / HTTP/1.1", "GET / HTTP/1.1 ", "GET / http/1.1", "G@T / HTTP/1.1", " / HTTP/1.1"]
        {
            assert_eq!(refused(&format!("{line}\r\nhost: h\r\n\r\n")), 400, "{line}");
        }
        assert_eq!(refused("GET /\ta HTTP/1.1\r\nhost: h\r\n\r\n"), 400);
        assert_eq!(refused("\r\n\r\nGET / HTTP/1.1\r\nhost: h\r\n\r\n"), 400);
        assert_eq!(refused("PRI * HTTP/2.0\r\n\r\n"), 505);
        assert_eq!(refused("\x16\x03\x01"), 400);
    }

    #[test]
    fn each_form_of_a_target_has_its_methods() {
        let target = |method: &str, target: &str| read(&format!("{method} {target} HTTP/1.1\r\nhost: h\r\n\r\n"));
        for (method, uri) in [
            ("GET", "/"),
            ("GET", "//a"),
            ("GET", "http://example.com"),
            ("GET", "http://example.com/a?b"),
            ("OPTIONS", "*"),
            ("CONNECT", "example.com:443"),
            ("CONNECT", "[::1]:443"),
            ("BREW", "/pot"),
            ("get", "/lower"),
        ] {
            let head = target(method, uri).unwrap().unwrap();
            assert_eq!((head.method.as_str(), head.uri.as_str()), (method, uri));
        }
        for (method, uri) in [
            ("GET", "*"),
            ("GET", "a"),
            ("GET", "example.com:443"),
            ("GET", "http://"),
            ("GET", "://x"),
            ("GET", "/a#b"),
            ("CONNECT", "/"),
            ("CONNECT", "example.com"),
        ] {
            assert_eq!(target(method, uri).unwrap_err().status, 400, "{method} {uri}");
        }
    }

    #[test]
    fn who_keeps_the_connection_depends_on_version_and_header() {
        let keeps = |version: &str, lines: &str| passed(&format!("GET / {version}\r\nhost: h\r\n{lines}\r\n")).keeps;
        assert!(keeps("HTTP/1.1", "") && !keeps("HTTP/1.0", ""));
        assert!(keeps("HTTP/1.0", "Connection: x, Keep-Alive\r\n"));
        assert!(!keeps("HTTP/1.1", "Connection: keep-alive, Close\r\n"));
    }

    #[test]
    fn only_100_continue_can_be_expected() {
        let head = |lines: &str| read(&format!("POST / HTTP/1.1\r\nhost: h\r\n{lines}\r\n"));
        assert!(head("expect: 100-Continue\r\ncontent-length: 1\r\n").unwrap().unwrap().expects);
        assert!(!head("expect: 100-continue\r\n").unwrap().unwrap().expects);
        assert_eq!(head("expect: tea\r\n").unwrap_err().status, 417);
    }

    #[test]
    fn heads_too_large_are_refused_before_they_end() {
        let start = "GET / HTTP/1.1\r\nhost: h\r\n";
        assert_eq!(refused(&format!("{start}x: {}", "a".repeat(70_000))), 431);
        assert_eq!(refused(&format!("GET /{}", "a".repeat(70_000))), 431);
        assert_eq!(refused(&format!("{start}{}\r\n", "a:\r\n".repeat(33_000))), 431);
        assert_eq!(refused(&format!("{start}{}\r\n", "a:\r\n".repeat(128))), 431);
        assert_eq!(passed(&format!("{start}{}\r\n", "a:\r\n".repeat(127))).headers.len(), 128);
    }
}
