//! The data folder: who may use it, and its lock.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::chain::FORMAT;
use crate::error::Error;

/// Open files a program needs for itself: plugins, the journal, a few sockets.
const OPEN_FILES: u64 = 256;

/// A data folder that this process may write; unlocked when dropped.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    _lock: File,
}

impl DataFolder {
    /// Makes the folder if need be (0700), checks its format and locks it.
    ///
    /// # Errors
    /// `S0001` to `S0003`.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let unusable = |source| Error::DataFolder { path: path.to_owned(), source };
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(unusable)?;
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path.join("LOCK"))
            .map_err(unusable)?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut pid = String::new();
            lock.read_to_string(&mut pid).map_err(unusable)?;
            let pid = if pid.trim().is_empty() { "unknown".to_owned() } else { pid.trim().to_owned() };
            return Err(Error::DataFolderInUse { path: path.to_owned(), pid });
        }
        lock.set_len(0).and_then(|()| lock.rewind()).map_err(unusable)?;
        writeln!(lock, "{}", std::process::id()).map_err(unusable)?;
        check_format(path)?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Checks the folder's file `FORMAT`, or makes it.
pub(crate) fn check_format(path: &Path) -> Result<(), Error> {
    let file = path.join("FORMAT");
    match std::fs::read_to_string(&file) {
        Ok(text) if text.trim() == FORMAT.to_string() => Ok(()),
        Ok(text) => {
            Err(Error::DataFolderFormat { path: path.to_owned(), found: text.trim().to_owned(), expected: FORMAT })
        }
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::DataFolder { path: path.to_owned(), source: error })
        }
        Err(_) => OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&file)
            .and_then(|mut file| writeln!(file, "{FORMAT}"))
            .map_err(|source| Error::DataFolder { path: path.to_owned(), source }),
    }
}

/// Raises the number of open files to what the system allows.
///
/// # Errors
/// `S0004`, when that is too few.
pub fn raise_open_files() -> Result<(), Error> {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(u64::MAX);
    if most < OPEN_FILES {
        return Err(Error::OpenFiles { have: most, need: OPEN_FILES });
    }
    let raised = Rlimit { current: Some(most.min(1_048_576)), maximum: limit.maximum };
    if limit.current.is_some_and(|current| current < most)
        && let Err(error) = setrlimit(Resource::Nofile, raised)
    {
        tracing::debug!("the number of open files stays as it is: {error}");
    }
    Ok(())
}
