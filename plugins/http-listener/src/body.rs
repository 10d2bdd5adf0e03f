//! A request's body: counted or chunked (RFC 9112, sections 6 and 7).

use std::time::Instant;

use crate::head::{Framing, header};
use crate::refusal::Refusal;
use crate::source::{Cut, Source};

/// For each this many bytes a body gets one more read timeout.
const STEP: usize = 256 << 10;
/// Longest line with a chunk's size: 16 digits and what little anyone sends behind `;`.
const SIZE_LINE: usize = 256;

/// A body being read.
struct Reading<'a> {
    source: &'a mut Source,
    body: Vec<u8>,
    deadline: Option<Instant>,
    steps: usize,
}

impl Source {
    /// Reads the body behind a head; `None` when the request has none.
    pub(crate) async fn body(&mut self, framing: Framing) -> Result<Option<Vec<u8>>, Cut> {
        let mut reading = Reading { source: self, body: Vec::new(), deadline: None, steps: 0 };
        match framing {
            Framing::None => return Ok(None),
            Framing::Length(length) => reading.counted(length).await?,
            Framing::Chunked => reading.chunked().await?,
        }
        Ok(Some(reading.body))
    }
}

impl Reading<'_> {
    async fn counted(&mut self, length: u64) -> Result<(), Cut> {
        if length > self.source.limits().body_bytes {
            return Err(Refusal::BODY.into());
        }
        let mut left = usize::try_from(length).map_err(|_| Refusal::BODY)?;
        // Not all at once: a length is only a claim.
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

    async fn chunked(&mut self) -> Result<(), Cut> {
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

    /// Trailers are checked and dropped: nothing in an actor's request has a place for them.
    async fn trailers(&mut self) -> Result<(), Cut> {
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

    /// Waits for a line of at most so many bytes; its length without CR LF. It stays in the buffer.
    async fn line(&mut self, most: usize) -> Result<usize, Cut> {
        let mut seen = 0;
        loop {
            let waiting = self.source.waiting();
            let odd =
                waiting.iter().skip(seen).position(|byte| !matches!(byte, b' '..=b'~' | b'\t')).map(|at| at + seen);
            seen = odd.unwrap_or(waiting.len());
            if seen > most {
                return Err(Refusal::bad("a line of a chunked body is too long, or a chunk than its size").into());
            }
            match odd.map(|at| (waiting.get(at), waiting.get(at + 1))) {
                Some((Some(b'\r'), Some(b'\n'))) => return Ok(seen),
                None | Some((Some(b'\r'), None)) => {}
                Some(_) => return Err(Refusal::bad("a line of a chunked body does not end in CR LF").into()),
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> Result<(), Cut> {
        let steps = self.body.len() / STEP;
        if steps > self.steps {
            self.steps = steps;
            // The next wait starts a new one.
            self.deadline = None;
        }
        self.source.fill_body(&mut self.deadline).await
    }
}

/// `1a;name=value` as (size, length of what stands behind it).
fn chunk_size(line: &[u8]) -> Result<(u64, usize), Refusal> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (digits, extension) = line.split_at_checked(digits).unwrap_or_default();
    if digits.is_empty() || !matches!(extension.first(), None | Some(b';')) {
        return Err(Refusal::bad("a chunk's size is not a hexadecimal number"));
    }
    let text = std::str::from_utf8(digits).unwrap_or_default();
    // Digits alone fail only when there are too many.
    let size = u64::from_str_radix(text, 16).map_err(|_| Refusal::BODY)?;
    Ok((size, extension.len()))
}
