//! Captures a program's output, up to a limit.

use std::io;

use futures_lite::{AsyncRead, AsyncReadExt};

/// The output that was read from a pipe.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Captured {
    /// The first bytes, up to the limit.
    pub bytes: Vec<u8>,
    /// The number of bytes that were read, including those above the limit.
    pub total: u64,
}

/// Reads a pipe to its end and keeps its first `most` bytes. The rest is read and counted, so that a full pipe does not
/// block the program. If the future is dropped early, `captured` keeps what was read until then.
///
/// # Errors
/// Returns the error of a failed read.
pub async fn capture(pipe: Option<impl AsyncRead + Unpin>, most: usize, captured: &mut Captured) -> io::Result<()> {
    let Some(mut pipe) = pipe else { return Ok(()) };
    let mut buffer = vec![0; 16 << 10];
    loop {
        let length = pipe.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        captured.total += length as u64;
        let room = most.saturating_sub(captured.bytes.len()).min(length);
        captured.bytes.extend_from_slice(buffer.get(..room).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future::block_on;

    #[test]
    fn what_is_above_the_bound_is_counted() {
        let bytes = [7_u8; 100_000];
        for (most, kept) in [(0, 0), (10, 10), (20_000, 20_000), (200_000, 100_000)] {
            let mut captured = Captured::default();
            block_on(capture(Some(&bytes[..]), most, &mut captured)).unwrap();
            assert_eq!((captured.bytes.len(), captured.total), (kept, 100_000));
        }
        let mut captured = Captured::default();
        block_on(capture(None::<&[u8]>, 10, &mut captured)).unwrap();
        assert_eq!(captured, Captured::default());
    }
}
