//! The chain that an argument of a command names: an actor of the data folder, an exported file, or another folder.

use std::path::{Path, PathBuf};

use theater_chain::journal::reader::{Catalog, find};
use theater_chain::verify;
use theater_runtime::support::error::Error;

/// The data folder with the objects that a chain of this file or data folder refers to.
pub fn objects(data: &Path, path: &Path) -> PathBuf {
    if path.is_dir() { path.to_owned() } else { data.to_owned() }
}

/// Resolves a command's chain argument to a file or folder, or to the data folder and an actor in it. An argument without a
/// slash is an actor's name or id if there is such an actor, else a file or folder.
pub fn source(data: &Path, chain: &str) -> (PathBuf, Option<String>) {
    let path = Path::new(chain);
    let is_actor = || !chain.contains('/') && find(data, chain).is_ok();
    if path.exists() && !is_actor() { (path.to_owned(), None) } else { (data.to_owned(), Some(chain.to_owned())) }
}

/// Resolves a command's chain argument to a file or folder and the actor.
///
/// # Errors
/// `J0003`, and those of reading.
pub fn resolve_chain(data: &Path, chain: &str) -> Result<(PathBuf, [u8; 16]), Error> {
    let (path, wanted) = source(data, chain);
    let actor = match wanted {
        Some(wanted) => find(&path, &wanted)?,
        None => only_one(&path, chain)?,
    };
    Ok((path, actor))
}

/// The one chain of an exported file or of a bundle.
fn only_one(path: &Path, chain: &str) -> Result<[u8; 16], Error> {
    let catalog = Catalog::read(path)?;
    if catalog.chains.is_empty() {
        // Report the damage: the file may be truncated.
        verify::read(path, |_| {})?;
    }
    let mut ids = catalog.chains.keys();
    match (ids.next(), ids.next()) {
        (Some(id), None) => Ok(*id),
        _ => Err(theater_chain::Error::NoSuchChain { id: chain.to_owned(), path: path.to_owned() }.into()),
    }
}
