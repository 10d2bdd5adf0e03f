//! `<data>/objects/<sha256>`: components, manifests, WIT and first states, so that chains can be read when files are gone.

use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::chain::hex;

/// Where objects are kept.
#[derive(Debug, Clone)]
pub struct Objects {
    folder: PathBuf,
}

impl Objects {
    /// The objects of a data folder.
    #[must_use]
    pub fn new(data: &Path) -> Self {
        Self { folder: data.join("objects") }
    }

    /// Keeps bytes: their SHA-256 in lower-case hex.
    ///
    /// # Errors
    /// What the system says.
    pub fn put(&self, bytes: &[u8]) -> io::Result<String> {
        let digest = hex(&Sha256::digest(bytes));
        let path = self.folder.join(&digest);
        if path.exists() {
            return Ok(digest);
        }
        std::fs::create_dir_all(&self.folder)?;
        let draft = self.folder.join(format!("{digest}.{}", std::process::id()));
        let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&draft, &path)?;
        Ok(digest)
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
