//! `<data>/objects/<sha256>`: components, manifests, WIT and first states, so that chains can be read when files are gone.

use std::collections::HashSet;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};

use crate::event::hex;

/// Where objects are kept.
#[derive(Debug)]
pub struct Objects {
    folder: PathBuf,
    // What is known to be there: only this program drops objects, and never while it runs.
    known: Mutex<HashSet<String>>,
    // Drafts begun.
    drafts: AtomicU64,
}

impl Objects {
    /// The objects of a data folder.
    #[must_use]
    pub fn new(data: &Path) -> Self {
        Self { folder: data.join("objects"), known: Mutex::default(), drafts: AtomicU64::new(0) }
    }

    /// The same objects, for another reader.
    #[must_use]
    pub fn again(&self) -> Self {
        Self { folder: self.folder.clone(), known: Mutex::default(), drafts: AtomicU64::new(0) }
    }

    /// Keeps bytes: their SHA-256 in lower-case hex.
    ///
    /// # Errors
    /// What the system says.
    pub fn put(&self, bytes: &[u8]) -> io::Result<String> {
        self.put_known(&hex(&Sha256::digest(bytes)), bytes)
    }

    /// Keeps bytes whose digest is known.
    ///
    /// # Errors
    /// What the system says.
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
        // Two actors that start may keep the same bytes at once.
        let number = self.drafts.fetch_add(1, Ordering::Relaxed);
        let draft = path.with_extension(format!("{}-{number}", std::process::id()));
        let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&draft, path)
    }

    /// The bytes of a digest, checked.
    ///
    /// # Errors
    /// What the system says, or that they were changed.
    pub fn get(&self, digest: &str) -> io::Result<Vec<u8>> {
        let path = self.folder.join(digest);
        let bytes = std::fs::read(&path)?;
        if hex(&Sha256::digest(&bytes)) == digest {
            return Ok(bytes);
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, format!("{} was changed", path.display())))
    }
}
