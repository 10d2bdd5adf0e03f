//! Reads a request's body: with a content-length or chunked (RFC 9112, sections 6 and 7).

use std::time::Instant;

use crate::head::{Framing, header};
use crate::refusal::Refusal;
use crate::source::{ReadError, Source};

/// A body gets one more read timeout for each this many bytes.
const STEP: usize = 256 << 10;
/// Maximum length of a chunk-size line: 16 digits and a short extension after `;`.
const SIZE_LINE: usize = 256;

/// A body being read.
struct BodyReader<'a> {
    source: &'a mut Source,
    body: Vec<u8>,
    deadline: Option<Instant>,
    steps: usize,
}

impl Source {
    /// Reads the body that follows a head; `None` if the request has none.
    pub(crate) async fn body(&mut self, framing: Framing) -> Result<Option<Vec<u8>>, ReadError> {
        let mut reading = BodyReader { source: self, body: Vec::new(), deadline: None, steps: 0 };
        match framing {
            Framing::None => return Ok(None),
            Framing::Length(length) => reading.counted(length).await?,
            Framing::Chunked => reading.chunked().await?,
        }
        Ok(Some(reading.body))
    }
}

impl BodyReader<'_> {
    async fn counted(&mut self, length: u64) -> Result<(), ReadError> {
        if length > self.source.limits().body_bytes {
            return Err(Refusal::BODY.into());
        }
        let mut left = usize::try_from(length).map_err(|_| Refusal::BODY)?;
        // Do not reserve everything at once: the length is only a claim of the client.
        self.body.reserve_exact(left.min(STEP));
        loop {
            let part = self.source.waiting();
            let part = part.get(..left).unwrap_or(part);
            let length = part.len();
            self.body.extend_from_slice(part);
            self.source.consume(length);
            left -= length;
            if left == 0 {
                return Ok(());
            }
            self.fill().await?;
        }
    }

    async fn chunked(&mut self) -> Result<(), ReadError> {
        let limits = self.source.limits();
        let mut extensions = 0;
        loop {
            let length = self.line(SIZE_LINE).await?;
            let (size, extension) = chunk_size(self.source.waiting().get(..length).unwrap_or_default())?;
            self.source.consume(length + 2);
            extensions += extension;
            if extensions > limits.header_bytes {
                return Err(Refusal::bad("the chunk extensions are too long").into());
            }
            if size == 0 {
                return self.trailers().await;
            }
            let room = limits.body_bytes.saturating_sub(self.body.len() as u64);
            if size > room {
                return Err(Refusal::BODY.into());
            }
            self.counted(size).await?;
            if self.line(0).await? != 0 {
                return Err(Refusal::bad("a chunk is longer than its size").into());
            }
            self.source.consume(2);
        }
    }

    /// Checks the trailers and drops them: an actor's request has no field for them.
    async fn trailers(&mut self) -> Result<(), ReadError> {
        let limits = self.source.limits();
        let (mut bytes, mut count) = (0, 0);
        loop {
            let length = self.line(limits.header_bytes).await?;
            let line = self.source.waiting().get(..length).unwrap_or_default();
            if !line.is_empty() {
                header(std::str::from_utf8(line).map_err(|_| Refusal::bad("a trailer has bytes outside ASCII"))?)?;
            }
            self.source.consume(length + 2);
            bytes += length;
            count += 1;
            match length {
                0 => return Ok(()),
                _ if bytes > limits.header_bytes => return Err(Refusal::HEAD.into()),
                _ if count > limits.headers => return Err(Refusal::HEADERS.into()),
                _ => {}
            }
        }
    }

    /// Waits for a line of at most `most` bytes and returns its length without CR LF. The line stays in the buffer.
    async fn line(&mut self, most: usize) -> Result<usize, ReadError> {
        let mut seen = 0;
        loop {
            let waiting = self.source.waiting();
            let odd =
                waiting.iter().skip(seen).position(|byte| !matches!(byte, b' '..=b'~' | b'\t')).map(|at| at + seen);
            seen = odd.unwrap_or(waiting.len());
            if seen > most {
                return Err(Refusal::bad("a line of a chunked body is too long, or a chunk exceeds its size").into());
            }
            match odd.map(|at| (waiting.get(at), waiting.get(at + 1))) {
                Some((Some(b'\r'), Some(b'\n'))) => return Ok(seen),
                None | Some((Some(b'\r'), None)) => {}
                Some(_) => return Err(Refusal::bad("a line of a chunked body does not end in CR LF").into()),
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> Result<(), ReadError> {
        let steps = self.body.len() / STEP;
        if steps > self.steps {
            self.steps = steps;
            // The next wait sets a new deadline.
            self.deadline = None;
        }
        self.source.fill_body(&mut self.deadline).await
    }
}

/// Parses a chunk-size line such as `1a;name=value` into the size and the length of the extension.
fn chunk_size(line: &[u8]) -> Result<(u64, usize), Refusal> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (digits, extension) = line.split_at_checked(digits).unwrap_or_default();
    if digits.is_empty() || !matches!(extension.first(), None | Some(b';')) {
        return Err(Refusal::bad("a chunk's size is not a hexadecimal number"));
    }
    let text = std::str::from_utf8(digits).unwrap_or_default();
    // Hexadecimal digits fail to parse only if there are too many.
    let size = u64::from_str_radix(text, 16).map_err(|_| Refusal::BODY)?;
    Ok((size, extension.len()))
}
