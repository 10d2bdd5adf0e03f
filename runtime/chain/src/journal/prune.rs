//! `chain rm` and `chain gc`: rewriting segments without a chain, and deleting objects that no chain names. The data folder
//! must be locked.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use crate::error::Error;
use crate::event::{Header, INLINE, Id};
use crate::journal::segment::{self, EVENT, EVENT_WITHOUT_DATA, FRAME, Frame, FramePosition, Frames, NO_PLACE};
use crate::record::Created;
use crate::verify::{self, created};

/// Rewrites every segment without the events of an actor.
///
/// # Errors
/// What the system says, or that a segment is damaged.
pub fn remove(journal: &Path, actor: Id) -> io::Result<u64> {
    let mut removed = 0;
    let mut drafts = Vec::new();
    let mut places: BTreeMap<Id, u64> = BTreeMap::new();
    for (number, path) in segment::list(journal)? {
        let bytes = segment::read_all(&path)?;
        let rewritten = rewritten(&bytes, number, &mut places, |header| {
            let is_its = header.actor == actor;
            removed += u64::from(is_its);
            if is_its { Retain::Nothing } else { Retain::Whole }
        })
        .map_err(|damage| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {damage}", path.display())))?;
        let draft = path.with_extension("draft");
        segment::write_private(&draft, &rewritten)?;
        drafts.push((draft, path));
    }
    // The last one first: whatever a crash leaves is the beginning of the chain, which verifies.
    for (draft, path) in drafts.iter().rev() {
        std::fs::rename(draft, path)?;
    }
    std::fs::File::open(journal)?.sync_all()?;
    Ok(removed)
}

/// What stays of an event when its segment is written anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retain {
    /// All of it.
    Whole,
    /// Its header.
    Header,
    /// Nothing.
    Nothing,
}

/// A segment, written anew with what stays of its events. `places` has the place of each actor's last event before, and then
/// that of its last one here.
pub(crate) fn rewritten(
    bytes: &[u8],
    number: u32,
    places: &mut BTreeMap<Id, u64>,
    mut stays: impl FnMut(&Header) -> Retain,
) -> Result<Vec<u8>, segment::Damage> {
    let mut frames = Frames::new(bytes)?;
    let mut out = bytes.get(..segment::SEGMENT_HEADER).unwrap_or_default().to_vec();
    let (mut group_start, mut events) = (out.len(), 0);
    while let Some(frame) = frames.next_frame()? {
        match frame {
            Frame::Event { header, event, data, before, .. } => {
                let kept = match stays(&header) {
                    Retain::Nothing => continue,
                    Retain::Whole => data,
                    Retain::Header => data.filter(|data| data.len() <= INLINE),
                };
                let at = out.len() as u64;
                let mut frame = vec![0; FRAME];
                frame.extend_from_slice(event);
                frame.extend_from_slice(kept.filter(|data| data.len() > INLINE).unwrap_or_default());
                let kind = if kept.is_some() { EVENT } else { EVENT_WITHOUT_DATA };
                let known = places.insert(header.actor, u64::from(number) << 32 | at);
                segment::seal(&mut frame, kind, known.unwrap_or(before.map_or(NO_PLACE, FramePosition::number)));
                out.extend_from_slice(&frame);
                events += 1;
            }
            Frame::Commit { group } => {
                let commit = segment::commit(group, events, out.get(group_start..).unwrap_or_default());
                out.extend_from_slice(&commit);
                (group_start, events) = (out.len(), 0);
            }
            Frame::Torn { .. } => {}
        }
    }
    Ok(out)
}

/// What `gc` dropped.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Collected {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Drops objects and copies of plugins that no chain names, and what crashes cut off.
///
/// # Errors
/// As [`verify::read`], and what the system says.
pub fn collect(data: &Path) -> Result<Collected, Error> {
    let mut named = BTreeSet::new();
    if !segment::list(&data.join("journal")).unwrap_or_default().is_empty() {
        verify::read(data, |event| {
            if let Some(created) = created(event) {
                name_all(&created, &mut named);
            }
        })?;
    }
    let mut collected = Collected::default();
    let failed = |source| Error::DataDir { path: data.to_owned(), source };
    // An object with an extension is the draft of one.
    for (folder, extension) in [("objects", ""), ("plugins", "so")] {
        let keep = |stem: &str, found: &str| found == extension && named.contains(stem);
        drop_unnamed(&data.join(folder), &mut collected, keep).map_err(failed)?;
    }
    drop_unnamed(&data.join("journal"), &mut collected, |_, extension| {
        !["torn", "draft", "index-draft"].contains(&extension)
    })
    .map_err(failed)?;
    Ok(collected)
}

fn name_all(created: &Created, named: &mut BTreeSet<String>) {
    named.extend([created.setup.manifest.clone(), created.setup.component.clone()]);
    named.extend(created.init_state.clone());
    for handler in &created.setup.handlers {
        named.extend([handler.wit.clone(), handler.digest.clone()]);
    }
}

fn drop_unnamed(folder: &Path, collected: &mut Collected, keep: impl Fn(&str, &str) -> bool) -> io::Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        let text =
            |part: Option<&std::ffi::OsStr>| part.map(|part| part.to_string_lossy().into_owned()).unwrap_or_default();
        if !keep(&text(path.file_stem()), &text(path.extension())) {
            collected.files += 1;
            collected.bytes += entry.metadata()?.len();
            std::fs::remove_file(path)?;
        }
    }
    Ok(())
}
