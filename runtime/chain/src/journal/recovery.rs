//! Crash recovery: cuts the newest segment after its last commit.
//!
//! A crash can leave a partial group at the end of the newest segment: frames without a commit, or a frame that is only partly
//! on disk. Nothing outside has seen an effect of these events, since the writer acknowledges a group after its commit frame.
//! Recovery moves them to a file `NNNNNNNN.torn` and truncates the segment. Damage that a later commit follows cannot come
//! from a crash: it is reported as corruption, and the segment stays as it is.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;

use crate::journal::segment::{
    COMMIT, COMMIT_PAYLOAD, Damage, FRAME, Frame, Frames, SegmentEnd, read_u32, write_private,
};

/// Moves the bytes after the last commit of a segment to a file `.torn` next to it. Returns where writing continues.
///
/// # Errors
/// The system's error; or damage before the last commit, which further writes would hide.
pub fn repair(path: &Path) -> io::Result<SegmentEnd> {
    let bytes = std::fs::read(path)?;
    let damaged = |damage: &Damage| {
        let text = format!(
            "{}: {damage}; move the data folder aside, `theater chain verify` shows the details",
            path.display()
        );
        io::Error::new(io::ErrorKind::InvalidData, text)
    };
    let mut frames = Frames::new(&bytes).map_err(|damage| damaged(&damage))?;
    loop {
        match frames.next_frame() {
            Ok(Some(Frame::Torn { .. })) | Ok(None) => break,
            Ok(Some(_)) => {}
            // Damage before a later commit is corruption: a crash damages only the end.
            Err(damage) if commit_follows(&bytes, &frames) => return Err(damaged(&damage)),
            Err(_) => break,
        }
    }
    let end = frames.end();
    if end.offset < bytes.len() as u64 {
        let torn = bytes.get(end.offset as usize..).unwrap_or_default();
        write_private(&path.with_extension("torn"), torn)?;
        let file = OpenOptions::new().write(true).open(path)?;
        file.set_len(end.offset)?;
        file.sync_all()?;
        tracing::warn!(
            "{}: {} bytes after the last commit moved to {}",
            path.display(),
            torn.len(),
            path.with_extension("torn").display()
        );
    }
    Ok(end)
}

/// Whether a commit frame follows the last valid commit.
fn commit_follows(bytes: &[u8], frames: &Frames<'_>) -> bool {
    let rest = bytes.get(frames.committed() as usize..).unwrap_or_default();
    rest.windows(FRAME + COMMIT_PAYLOAD).any(|window| {
        let (head, payload) = window.split_at(FRAME);
        head.get(4) == Some(&COMMIT)
            && read_u32(head, 0) as usize == COMMIT_PAYLOAD
            && crc32fast::hash(head.get(..20).unwrap_or_default()) == read_u32(head, 20)
            && crc32fast::hash(payload) == read_u32(head, 16)
    })
}
