//! `chain rm` and `chain gc`: removes a chain from all segments, and deletes objects that no chain refers to. The caller holds
//! the data folder's lock.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use crate::error::Error;
use crate::event::Id;
use crate::journal::rewrite::{Retain, rewrite_segment};
use crate::journal::segment;
use crate::record::Created;
use crate::verify::{self, created};

/// Rewrites every segment without the events of an actor. Returns how many events were removed.
///
/// # Errors
/// The system's error, or a segment is damaged.
pub fn remove(journal: &Path, actor: Id) -> io::Result<u64> {
    let mut removed = 0;
    let mut drafts = Vec::new();
    let mut positions: BTreeMap<Id, u64> = BTreeMap::new();
    for (number, path) in segment::list(journal)? {
        let bytes = segment::read_all(&path)?;
        let rewritten = rewrite_segment(&bytes, number, &mut positions, |header| {
            let matches = header.actor == actor;
            removed += u64::from(matches);
            if matches { Retain::Nothing } else { Retain::Whole }
        })
        .map_err(|damage| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {damage}", path.display())))?;
        let draft = path.with_extension("draft");
        segment::write_private(&draft, &rewritten)?;
        drafts.push((draft, path));
    }
    // The last one first: what a crash leaves is the beginning of the chain, which verifies.
    for (draft, path) in drafts.iter().rev() {
        std::fs::rename(draft, path)?;
    }
    std::fs::File::open(journal)?.sync_all()?;
    Ok(removed)
}

/// What [`collect`] deleted.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Collected {
    /// The number of files.
    pub files: u64,
    /// Their size in bytes.
    pub bytes: u64,
}

/// Deletes objects and plugin copies that no chain refers to, and files that crash recovery moved aside.
///
/// # Errors
/// Those of [`verify::read`], and the system's error.
pub fn collect(data: &Path) -> Result<Collected, Error> {
    let mut named = BTreeSet::new();
    if !segment::list(&data.join("journal")).unwrap_or_default().is_empty() {
        verify::read(data, |event| {
            if let Some(created) = created(event) {
                add_digests(&created, &mut named);
            }
        })?;
    }
    let mut collected = Collected::default();
    let failed = |source| Error::DataDir { path: data.to_owned(), source };
    // An object with an extension is a draft that a crash left.
    for (folder, extension) in [("objects", ""), ("plugins", "so")] {
        let keep = |stem: &str, found: &str| found == extension && named.contains(stem);
        delete_unreferenced(&data.join(folder), &mut collected, keep).map_err(failed)?;
    }
    delete_unreferenced(&data.join("journal"), &mut collected, |_, extension| {
        !["torn", "draft", "index-draft"].contains(&extension)
    })
    .map_err(failed)?;
    Ok(collected)
}

fn add_digests(created: &Created, named: &mut BTreeSet<String>) {
    named.extend([created.setup.manifest.clone(), created.setup.component.clone()]);
    named.extend(created.init_state.clone());
    for handler in &created.setup.handlers {
        named.extend([handler.wit.clone(), handler.digest.clone()]);
    }
}

fn delete_unreferenced(folder: &Path, collected: &mut Collected, keep: impl Fn(&str, &str) -> bool) -> io::Result<()> {
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
