//! Rewrites a segment without some of its events or their data.
//!
//! Groups keep their numbers, and links between frames of the segment are updated. A link to a frame of another segment may
//! point to an old offset afterwards: see [`crate::event`] on how readers resolve it.

use std::collections::BTreeMap;

use crate::event::{Header, INLINE, Id};
use crate::journal::segment::{
    self, Damage, EVENT, EVENT_WITHOUT_DATA, FRAME, Frame, FramePosition, Frames, NO_POSITION,
};

/// How much of an event to retain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retain {
    /// Header and data.
    Whole,
    /// The header only.
    Header,
    /// Nothing.
    Nothing,
}

/// Rewrites a segment, with as much of each event as `retain` returns for its header.
///
/// `positions` has the position of each actor's previous event in earlier segments, and is updated to its last one here.
pub(super) fn rewrite_segment(
    bytes: &[u8],
    number: u32,
    positions: &mut BTreeMap<Id, u64>,
    mut retain: impl FnMut(&Header) -> Retain,
) -> Result<Vec<u8>, Damage> {
    let mut frames = Frames::new(bytes)?;
    let mut out = bytes.get(..segment::SEGMENT_HEADER).unwrap_or_default().to_vec();
    let (mut group_start, mut events) = (out.len(), 0);
    while let Some(frame) = frames.next_frame()? {
        match frame {
            Frame::Event { header, event, data, previous, .. } => {
                let kept = match retain(&header) {
                    Retain::Nothing => continue,
                    Retain::Whole => data,
                    Retain::Header => data.filter(|data| data.len() <= INLINE),
                };
                let at = out.len() as u64;
                let mut frame = vec![0; FRAME];
                frame.extend_from_slice(event);
                frame.extend_from_slice(kept.filter(|data| data.len() > INLINE).unwrap_or_default());
                let kind = if kept.is_some() { EVENT } else { EVENT_WITHOUT_DATA };
                let known = positions.insert(header.actor, u64::from(number) << 32 | at);
                let link = known.unwrap_or(previous.map_or(NO_POSITION, FramePosition::number));
                segment::finish_frame(&mut frame, kind, link);
                out.extend_from_slice(&frame);
                events += 1;
            }
            Frame::Commit { group } => {
                let commit = segment::commit_frame(group, events, out.get(group_start..).unwrap_or_default());
                out.extend_from_slice(&commit);
                (group_start, events) = (out.len(), 0);
            }
            Frame::Torn { .. } => {}
        }
    }
    Ok(out)
}
