//! Reads a response (RFC 9112, sections 4 to 7). A response whose end is ambiguous is refused, because its last bytes
//! could be taken for the response to another request.

use futures_lite::AsyncReadExt;
use theater_connector::Stream;

use crate::error::Error;

const MOST_HEAD: usize = 64 << 10;
const MOST_HEADERS: usize = 256;
/// The maximum number of interim responses (1xx) before the final one.
const MOST_INTERIM: usize = 16;
/// How many bytes the chunk-size lines of a body may have, extensions included, beyond 32 times its content.
const MOST_FRAMING: usize = 1 << 20;

/// A response as received.
#[derive(Debug)]
pub struct ReceivedResponse {
    pub status: u16,
    /// Names in lower case and values, in the order received, including repeated headers.
    pub headers: Vec<(String, String)>,
    pub body: Option<Vec<u8>>,
}

impl ReceivedResponse {
    /// Returns the `location` of a redirect; statuses such as 304 are not redirects.
    pub fn location(&self) -> Option<&str> {
        let is_redirect = matches!(self.status, 301 | 302 | 303 | 307 | 308);
        let location = self.headers.iter().find(|(name, _)| name == "location");
        location.filter(|_| is_redirect).map(|(_, value)| value.as_str())
    }
}

/// A connection with a buffer of the bytes that were received and not consumed yet.
pub struct ResponseReader {
    stream: Stream,
    host: String,
    bytes: Vec<u8>,
    start: usize,
}

impl ResponseReader {
    pub fn new(stream: Stream, host: String) -> Self {
        Self { stream, host, bytes: Vec::new(), start: 0 }
    }

    pub fn stream(&mut self) -> &mut Stream {
        &mut self.stream
    }

    pub fn into_stream(self) -> Stream {
        self.stream
    }

    fn waiting(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    fn consume(&mut self, length: usize) {
        self.start += length;
        if self.start >= self.bytes.len() {
            self.bytes.clear();
            self.start = 0;
        }
    }

    /// Reads more bytes. Returns false at the end of the stream.
    async fn fill(&mut self) -> Result<bool, Error> {
        let mut buffer = [0; 16 << 10];
        let read = self.stream.read(&mut buffer).await;
        let read = read.map_err(|source| match source.kind() {
            // TLS ended without a `close_notify` alert.
            std::io::ErrorKind::UnexpectedEof => Error::Truncated(self.host.clone()),
            _ => Error::Broken { host: self.host.clone(), source },
        })?;
        self.bytes.drain(..self.start);
        self.start = 0;
        self.bytes.extend_from_slice(buffer.get(..read).unwrap_or_default());
        Ok(read > 0)
    }

    async fn fill_or_early(&mut self) -> Result<(), Error> {
        if self.fill().await? { Ok(()) } else { Err(Error::Truncated(self.host.clone())) }
    }

    fn invalid(&self, why: impl Into<String>) -> Error {
        Error::Response { host: self.host.clone(), why: why.into() }
    }

    /// Reads a line and returns it without its CRLF.
    async fn line(&mut self) -> Result<Vec<u8>, Error> {
        loop {
            if let Some(end) = self.waiting().windows(2).position(|pair| pair == b"\r\n") {
                let line = self.waiting().get(..end).unwrap_or_default().to_vec();
                self.consume(end + 2);
                return Ok(line);
            }
            if self.waiting().len() > MOST_HEAD {
                return Err(self.invalid("a line is too long"));
            }
            self.fill_or_early().await?;
        }
    }

    /// Reads exactly `length` bytes and appends them to `body`.
    async fn take(&mut self, length: u64, body: &mut Vec<u8>) -> Result<(), Error> {
        let mut left = length;
        loop {
            let here = usize::try_from(left).unwrap_or(usize::MAX).min(self.waiting().len());
            body.extend_from_slice(self.waiting().get(..here).unwrap_or_default());
            self.consume(here);
            left -= here as u64;
            if left == 0 {
                return Ok(());
            }
            self.fill_or_early().await?;
        }
    }
}

/// How the end of a body is determined.
enum BodyFraming {
    None,
    Length(u64),
    Chunked,
    ToTheEnd,
}

struct ResponseHead {
    status: u16,
    headers: Vec<(String, String)>,
    framing: BodyFraming,
    keeps: bool,
}

/// Reads a response with a body of at most `most` bytes; `to_head` tells that the request was a HEAD, so there is no
/// body. Also returns whether the connection may be reused.
pub async fn read(reader: &mut ResponseReader, to_head: bool, most: u64) -> Result<(ReceivedResponse, bool), Error> {
    let mut heads = 0;
    let head = loop {
        let head = head(reader, to_head).await?;
        // Interim responses precede the final one; 101 was not requested.
        match head.status {
            101 => return Err(reader.invalid("it switches to another protocol without a request")),
            100..=199 if heads < MOST_INTERIM => heads += 1,
            100..=199 => return Err(reader.invalid("it has too many interim responses")),
            _ => break head,
        }
    };
    let mut keeps = head.keeps;
    let body = match head.framing {
        BodyFraming::None => None,
        BodyFraming::Length(length) => {
            let mut body = Vec::new();
            bound(reader, length, most)?;
            reader.take(length, &mut body).await?;
            Some(body)
        }
        BodyFraming::Chunked => Some(chunks(reader, most).await?),
        BodyFraming::ToTheEnd => {
            keeps = false;
            loop {
                bound(reader, reader.waiting().len() as u64, most)?;
                if !reader.fill().await? {
                    break;
                }
            }
            Some(reader.waiting().to_vec())
        }
    };
    // Bytes after the response belong to no request, so the connection is not reused.
    keeps &= reader.waiting().is_empty();
    Ok((ReceivedResponse { status: head.status, headers: head.headers, body }, keeps))
}

fn bound(reader: &ResponseReader, length: u64, most: u64) -> Result<(), Error> {
    if length > most { Err(Error::TooBig { host: reader.host.clone(), most }) } else { Ok(()) }
}

/// Reads a chunked body of at most `most` bytes (RFC 9112, section 7.1).
async fn chunks(reader: &mut ResponseReader, most: u64) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    let mut framing = 0;
    loop {
        let line = reader.line().await?;
        framing += line.len();
        if framing > body.len().saturating_mul(32).saturating_add(MOST_FRAMING) {
            return Err(reader.invalid("its chunk headers are too large for its content"));
        }
        let digits = line.split(|byte| matches!(byte, b';' | b' ' | b'\t')).next().unwrap_or_default();
        let digits = std::str::from_utf8(digits).unwrap_or_default();
        let fits = (1..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let length = u64::from_str_radix(digits, 16).ok().filter(|_| fits);
        let length = length.ok_or_else(|| reader.invalid("a chunk has no length"))?;
        if length == 0 {
            break;
        }
        bound(reader, length.saturating_add(body.len() as u64), most)?;
        reader.take(length, &mut body).await?;
        if !reader.line().await?.is_empty() {
            return Err(reader.invalid("a chunk is longer than it says"));
        }
    }
    // Trailers are read and discarded.
    for _ in 0..MOST_HEADERS {
        if reader.line().await?.is_empty() {
            return Ok(body);
        }
    }
    Err(reader.invalid("it has too many trailers"))
}

async fn head(reader: &mut ResponseReader, to_head: bool) -> Result<ResponseHead, Error> {
    loop {
        let mut space = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut parsed = httparse::Response::new(&mut space);
        // Folded lines are obsolete, but some servers still send them (RFC 9112, section 5.2).
        let mut lenient = httparse::ParserConfig::default();
        lenient.allow_obsolete_multiline_headers_in_responses(true);
        match lenient.parse_response(&mut parsed, reader.waiting()) {
            Ok(httparse::Status::Complete(length)) if length <= MOST_HEAD => {
                let head = parse_head(&parsed, to_head).map_err(|why| reader.invalid(why))?;
                reader.consume(length);
                return Ok(head);
            }
            Ok(httparse::Status::Partial) if reader.waiting().len() <= MOST_HEAD => reader.fill_or_early().await?,
            Ok(_) => return Err(reader.invalid(format!("its head has more than {MOST_HEAD} bytes"))),
            Err(httparse::Error::TooManyHeaders) => {
                return Err(reader.invalid(format!("it has more than {MOST_HEADERS} headers")));
            }
            Err(error) => return Err(reader.invalid(error.to_string())),
        }
    }
}

/// Decodes a header value as UTF-8 if it is valid, otherwise as Latin-1 (RFC 9110, section 5.5, permits both). Each
/// fold becomes one space.
fn text(value: &[u8]) -> String {
    let text = match std::str::from_utf8(value) {
        Ok(text) => text.to_owned(),
        Err(_) => value.iter().map(|byte| char::from(*byte)).collect(),
    };
    if !text.contains('\n') {
        return text;
    }
    let mut lines = text.split('\n').map(|line| line.trim_matches([' ', '\t', '\r']));
    let first = lines.next().unwrap_or_default().to_owned();
    lines.fold(first, |unfolded, line| format!("{unfolded} {line}"))
}

/// Derives the status, the headers, the framing and connection reuse from a parsed head.
fn parse_head(parsed: &httparse::Response<'_, '_>, to_head: bool) -> Result<ResponseHead, String> {
    let status = parsed.code.filter(|code| (100..=999).contains(code)).ok_or("it has no status")?;
    let (mut length, mut codings) = (None, Vec::new());
    let (mut keeps, mut closes) = (parsed.version == Some(1), false);
    let mut headers = Vec::with_capacity(parsed.headers.len());
    for header in parsed.headers.iter() {
        let name = header.name.to_ascii_lowercase();
        let value = text(header.value);
        let value = value.as_str();
        match name.as_str() {
            "content-length" => {
                // A list of equal numbers counts as one number (RFC 9110, section 8.6).
                for number in value.split(',').map(str::trim) {
                    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
                    let number = number.parse::<u64>().ok().filter(|_| digits).ok_or("its length is not a number")?;
                    if length.replace(number).is_some_and(|before| before != number) {
                        return Err("it has two lengths".to_owned());
                    }
                }
            }
            "transfer-encoding" => {
                codings.extend(value.split(',').map(|coding| coding.trim().to_ascii_lowercase()));
            }
            "connection" => {
                let says = |option: &str| value.split(',').any(|one| one.trim().eq_ignore_ascii_case(option));
                keeps |= says("keep-alive");
                closes |= says("close");
            }
            _ => {}
        }
        headers.push((name, value.to_owned()));
    }
    let bare = to_head || status < 200 || matches!(status, 204 | 304);
    // Only the last coding determines where the body ends (RFC 9112, section 6.3). Other codings are not decoded; the
    // actor sees them in the header.
    let is_chunked = |coding: &String| coding == "chunked";
    if codings.iter().rev().skip(1).any(is_chunked) {
        return Err("it is chunked twice, or coded after it was chunked".to_owned());
    }
    let (coded, chunked) = (!codings.is_empty(), codings.last().is_some_and(is_chunked));
    let framing = match (length, chunked) {
        (Some(_), _) if coded => return Err("it has both a length and a transfer coding".to_owned()),
        _ if bare => BodyFraming::None,
        (_, true) => BodyFraming::Chunked,
        (Some(length), false) => BodyFraming::Length(length),
        (None, false) => BodyFraming::ToTheEnd,
    };
    Ok(ResponseHead { status, headers, framing, keeps: keeps && !closes })
}
