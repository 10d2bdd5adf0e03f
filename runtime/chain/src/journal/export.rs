//! `chain export`: writes one chain as a segment file.

use std::io;
use std::path::Path;

use crate::error::Error;
use crate::event::{INLINE, Id};
use crate::journal::segment::{self, EVENT, EVENT_WITHOUT_DATA, FRAME, NO_POSITION};
use crate::journal::types::now_ms;
use crate::verify;

/// Encodes a chain as a separate file: one segment with one group.
///
/// # Errors
/// `J0002`, and `J0004` when the journal does not verify.
pub fn export(path: &Path, actor: Id) -> Result<Vec<u8>, Error> {
    let mut bytes = segment::segment_header(1, now_ms(), 1);
    let start = bytes.len();
    let mut previous = NO_POSITION;
    let mut events = 0;
    verify::read(path, |event| {
        if event.header.actor != actor {
            return;
        }
        let at = bytes.len();
        let mut frame = vec![0; FRAME];
        frame.extend_from_slice(&event.header.bytes());
        let kept = event.data.filter(|data| data.len() > INLINE);
        frame.extend_from_slice(kept.unwrap_or_default());
        let kind = if event.data.is_some() { EVENT } else { EVENT_WITHOUT_DATA };
        segment::finish_frame(&mut frame, kind, previous);
        previous = 1 << 32 | at as u64;
        events += 1;
        bytes.extend_from_slice(&frame);
    })?;
    if bytes.len() > u32::MAX as usize {
        let source = io::Error::other(
            "the chain has more than 4 GiB, which is too large for an export; copy the data folder instead",
        );
        return Err(Error::Read { path: path.to_owned(), source });
    }
    let commit = segment::commit_frame(1, events, bytes.get(start..).unwrap_or_default());
    bytes.extend_from_slice(&commit);
    Ok(bytes)
}
