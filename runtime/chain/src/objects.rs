//! `<data>/objects/<sha256>`: components, manifests, WIT and initial states, so that chains can be replayed when the original
//! files are gone.

use std::collections::HashSet;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};

use crate::event::hex;

/// The object store of a data folder.
#[derive(Debug)]
pub struct Objects {
    folder: PathBuf,
    // Digests of objects that exist: only this program deletes objects, and never while it runs.
    known: Mutex<HashSet<String>>,
    // The number of drafts so far, for unique names.
    drafts: AtomicU64,
}

impl Objects {
    /// Opens the object store of a data folder.
    #[must_use]
    pub fn new(data: &Path) -> Self {
        Self { folder: data.join("objects"), known: Mutex::default(), drafts: AtomicU64::new(0) }
    }

    /// Another handle of the same store.
    #[must_use]
    pub fn reopen(&self) -> Self {
        Self { folder: self.folder.clone(), known: Mutex::default(), drafts: AtomicU64::new(0) }
    }

    /// Stores bytes. Returns their SHA-256 in lower-case hex.
    ///
    /// # Errors
    /// The system's error.
    pub fn put(&self, bytes: &[u8]) -> io::Result<String> {
        self.put_known(&hex(&Sha256::digest(bytes)), bytes)
    }

    /// Stores bytes whose digest the caller knows.
    ///
    /// # Errors
    /// The system's error.
    pub fn put_known(&self, digest: &str, bytes: &[u8]) -> io::Result<String> {
        let digest = digest.to_owned();
        if self.known.lock().unwrap_or_else(PoisonError::into_inner).contains(&digest) {
            return Ok(digest);
        }
        let path = self.folder.join(&digest);
        if !path.exists() {
            self.write(&path, bytes)?;
        }
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(digest.clone());
        Ok(digest)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        std::fs::create_dir_all(&self.folder)?;
        // Two actors may store the same bytes at the same time: drafts have different names.
        let number = self.drafts.fetch_add(1, Ordering::Relaxed);
        let draft = path.with_extension(format!("{}-{number}", std::process::id()));
        let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&draft, path)
    }

    /// Reads the object with this digest and checks it.
    ///
    /// # Errors
    /// The system's error, or the object was changed.
    pub fn get(&self, digest: &str) -> io::Result<Vec<u8>> {
        let path = self.folder.join(digest);
        let bytes = std::fs::read(&path)?;
        if hex(&Sha256::digest(&bytes)) == digest {
            return Ok(bytes);
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, format!("{} was changed", path.display())))
    }
}
