//! Content files: one per content, named by its hash, in 256 folders.
//!
//! A write creates a file in the folder `aside`, syncs it, renames it, and syncs the target folder. A content's name
//! therefore refers to the complete content or to nothing. Reads verify the content against its name.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{Advice, fadvise};

use crate::error::Error;
use crate::hash::{ContentHasher, Hash};

/// Number of bytes compared at a time.
const PIECE: usize = 64 << 10;
/// Number of bytes read and hashed at a time.
const READ: u64 = 32 << 10;

/// The content folders. Only the process that has the index open may use them.
pub struct Contents {
    folder: PathBuf,
    aside: PathBuf,
    written: AtomicU64,
}

impl Contents {
    /// Opens the content folders below `folder`, or creates them. Removes files that a crash left partially written.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let contents =
            Self { folder: folder.join("contents"), aside: folder.join("aside"), written: AtomicU64::default() };
        create(&contents.aside)?;
        // Created up front, so that no write has to sync the parent of its folder.
        (0..=u8::MAX).try_for_each(|first| create(&contents.shard(first)))?;
        sync(&contents.folder)?;
        sync(folder)?;
        contents.clear_aside()?;
        Ok(contents)
    }

    fn shard(&self, first: u8) -> PathBuf {
        self.folder.join(format!("{first:02x}"))
    }

    /// The path of a content's file.
    pub fn path(&self, hash: &Hash) -> PathBuf {
        self.shard(hash.first()).join(hash.to_string())
    }

    /// Whether the content's file exists and holds exactly these bytes.
    pub fn has(&self, hash: &Hash, content: &[u8]) -> bool {
        File::open(self.path(hash)).is_ok_and(|mut file| reads(&mut file, content).unwrap_or(false))
    }

    /// Writes a content to its file. It is on disk when this returns.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn write(&self, hash: &Hash, content: &[u8]) -> Result<(), Error> {
        let aside = self.aside.join(self.written.fetch_add(1, Ordering::Relaxed).to_string());
        let written = self.write_aside(&aside, hash, content);
        if written.is_err() {
            // If this fails, the next start removes the file.
            fs::remove_file(&aside).ok();
        }
        written
    }

    fn write_aside(&self, aside: &Path, hash: &Hash, content: &[u8]) -> Result<(), Error> {
        let mut file = File::create_new(aside).map_err(Error::file("create", aside))?;
        file.write_all(content).map_err(Error::file("write", aside))?;
        file.sync_all().map_err(Error::file("sync", aside))?;
        let path = self.path(hash);
        fs::rename(aside, &path).map_err(Error::file("create", &path))?;
        sync(&self.shard(hash.first()))
    }

    /// Reads a content of `size` bytes and verifies its hash.
    ///
    /// # Errors
    /// [`Error::Lost`] if the file is missing, [`Error::Damaged`] if the hash differs, else [`Error::File`].
    pub fn read(&self, hash: &Hash, size: u64) -> Result<Vec<u8>, Error> {
        let path = self.path(hash);
        let file = match File::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(Error::Lost { hash: *hash, path }),
            opened => opened.map_err(Error::file("open", &path))?,
        };
        // Lets the kernel read ahead while the first pieces are hashed. Only a hint, so a failure does not matter.
        fadvise(&file, 0, None, Advice::WillNeed).unwrap_or_default();
        let mut content = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
        // A file that is too long is damaged: one byte beyond `size` is enough to detect that.
        let mut file = file.take(size.saturating_add(1));
        let mut hashed = ContentHasher::default();
        loop {
            let before = content.len();
            file.by_ref().take(READ).read_to_end(&mut content).map_err(Error::file("read", &path))?;
            match content.get(before..) {
                None | Some([]) => break,
                Some(piece) => hashed.add(piece),
            }
        }
        if hashed.hash() == *hash { Ok(content) } else { Err(Error::Damaged { hash: *hash, path }) }
    }

    /// Removes a content's file. Does nothing if it is missing.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn remove(&self, hash: &Hash) -> Result<(), Error> {
        remove(&self.path(hash))
    }

    /// The contents in one of the 256 folders, with their sizes in bytes. Files with other names are skipped.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn list(&self, first: u8) -> Result<Vec<(Hash, u64)>, Error> {
        let mut list = Vec::new();
        for entry in entries(&self.shard(first))? {
            if let Some(hash) = entry.file_name().to_str().and_then(|name| Hash::parse(name).ok()) {
                let size = entry.metadata().map_err(Error::file("inspect", &entry.path()))?.len();
                list.push((hash, size));
            }
        }
        Ok(list)
    }

    /// Removes partially written files and returns their number. No write may be in progress.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn clear_aside(&self) -> Result<u64, Error> {
        let mut cleared = 0;
        for entry in entries(&self.aside)? {
            remove(&entry.path())?;
            cleared += 1;
        }
        Ok(cleared)
    }
}

/// Whether `source` yields exactly these bytes.
fn reads(source: &mut impl Read, mut bytes: &[u8]) -> std::io::Result<bool> {
    let mut buffer = vec![0; PIECE];
    loop {
        let length = source.read(&mut buffer)?;
        if length == 0 {
            return Ok(bytes.is_empty());
        }
        match buffer.get(..length).and_then(|piece| bytes.strip_prefix(piece)) {
            Some(rest) => bytes = rest,
            None => return Ok(false),
        }
    }
}

fn create(folder: &Path) -> Result<(), Error> {
    fs::create_dir_all(folder).map_err(Error::file("create", folder))
}

fn sync(folder: &Path) -> Result<(), Error> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(Error::file("sync", folder))
}

fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(Error::file("remove", path)),
    }
}

fn entries(folder: &Path) -> Result<Vec<fs::DirEntry>, Error> {
    fs::read_dir(folder).and_then(Iterator::collect).map_err(Error::file("list", folder))
}
