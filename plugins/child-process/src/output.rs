//! All of a program's output, with a bound.

use std::io;

use futures_lite::{AsyncRead, AsyncReadExt};

/// What was read of a pipe.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Captured {
    /// The first bytes, up to the bound.
    pub bytes: Vec<u8>,
    /// How many there were.
    pub total: u64,
}

/// Reads a pipe to its end and keeps its first `most` bytes; what follows is read and counted, so that the program is not
/// held up by it. What was read by then stays when this is dropped before the end.
///
/// # Errors
/// What the system says.
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
