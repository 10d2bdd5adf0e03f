//! Private copies of plugin files.
//!
//! A plugin's file is copied to `<data>/plugins/<sha256>.so` and the copy is loaded, so that a file that is replaced while
//! the program runs changes nothing before the next start. A data folder that allows no execution gets no copy: the bytes
//! are loaded from sealed memory.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::IntoRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{MemfdFlags, SealFlags, StatVfsMountFlags, fcntl_add_seals, memfd_create};
use sha2::{Digest, Sha256};
use theater_chain::event::hex;

use crate::support::error::Problem;
use crate::support::files::Regular;

/// A plugin's file, and what it was when its descriptor was read.
pub(super) struct PluginFile<'a> {
    /// The file.
    pub(super) path: &'a Path,
    /// Its SHA-256, lower-case hex.
    pub(super) digest: &'a str,
    /// The name of the plugin.
    pub(super) name: &'a str,
}

impl PluginFile<'_> {
    /// Copies the file under its digest and checks that it is still the one whose descriptor was read.
    pub(super) fn copy(&self, copies: &Path) -> Result<PathBuf, Problem> {
        let to = copies.join(format!("{}.so", self.digest));
        let failed = |source| Problem::Copy { to: to.clone(), source };
        std::fs::create_dir_all(copies).map_err(failed)?;
        // The loader cannot map code from such a file system.
        if rustix::fs::statvfs(copies).is_ok_and(|system| system.f_flag.contains(StatVfsMountFlags::NOEXEC)) {
            return self.in_memory();
        }
        if open(&to)
            .and_then(|mut copy| digest_of(&mut copy, &mut io::sink()))
            .is_ok_and(|digest| digest == self.digest)
        {
            return Ok(to);
        }
        let draft = copies.join(format!("{}.{}", self.digest, std::process::id()));
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&draft)
            .map_err(failed)?;
        let digest = open(self.path).and_then(|mut from| digest_of(&mut from, &mut file)).map_err(failed)?;
        if digest != self.digest {
            drop(std::fs::remove_file(&draft));
            return Err(Self::replaced());
        }
        file.sync_all().map_err(failed)?;
        std::fs::rename(&draft, &to).map_err(failed)?;
        Ok(to)
    }

    fn replaced() -> Problem {
        Problem::Read(io::Error::other("the file was replaced while the program started"))
    }

    /// Copies the file into sealed memory that the loader can open. The memory is never freed.
    fn in_memory(&self) -> Result<PathBuf, Problem> {
        let failed = |source: io::Error| Problem::Copy { to: PathBuf::from("memory"), source };
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        // Linux before 6.3 does not know EXEC and does not need it.
        let memory = memfd_create(self.name, flags | MemfdFlags::EXEC).or_else(|_| memfd_create(self.name, flags));
        let mut file = File::from(memory.map_err(|error| failed(error.into()))?);
        let digest = open(self.path).and_then(|mut from| digest_of(&mut from, &mut file)).map_err(failed)?;
        if digest != self.digest {
            return Err(Self::replaced());
        }
        let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
        fcntl_add_seals(&file, seals).map_err(|error| failed(error.into()))?;
        Ok(PathBuf::from(format!("/proc/self/fd/{}", file.into_raw_fd())))
    }
}

/// Opens a regular file. A pipe is refused, because opening it could block.
pub(super) fn open(path: &Path) -> io::Result<File> {
    Regular::open(path).map(Regular::into_file)
}

/// Writes a file to `copy` and returns its SHA-256 as hex. It is read in pieces, because plugins are large and the allocator
/// keeps memory that was used once.
pub(super) fn digest_of(file: &mut impl Read, copy: &mut impl Write) -> io::Result<String> {
    let (mut digest, mut piece) = (Sha256::new(), vec![0; 64 * 1024]);
    loop {
        let length = file.read(&mut piece)?;
        let read = piece.get(..length).unwrap_or_default();
        if read.is_empty() {
            return Ok(hex(&digest.finalize()));
        }
        digest.update(read);
        copy.write_all(read)?;
    }
}
