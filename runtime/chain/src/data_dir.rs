//! The data folder: permission checks, lock and format version.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, OFlags, Stat, flock, fstat, openat, statat};
use rustix::process::geteuid;

use crate::error::Error;
use crate::event::FORMAT;

/// A data folder that this process has locked. Dropping it releases the lock.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    folder: OwnedFd,
    _lock: File,
}

impl DataDir {
    /// Opens and locks the folder; creates it if it does not exist (mode 0700). Checks that only this user can write to it and
    /// that it has this program's format.
    ///
    /// Its files are opened through a handle of the folder, and links are not followed: another user could have created the
    /// folder with a link in it, to have this program truncate a file of this user.
    ///
    /// # Errors
    /// `S0001` to `S0003`, `S0007`.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let unusable = |source| Error::DataDir { path: path.to_owned(), source };
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(unusable)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| unusable(error.into()))?;
        check_owner(path, &folder)?;
        let mut lock = open_own(&folder, LOCK).map_err(unusable)?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut pid = String::new();
            (&lock).take(20).read_to_string(&mut pid).map_err(unusable)?;
            let pid = if pid.trim().is_empty() { "unknown".to_owned() } else { pid.trim().to_owned() };
            return Err(Error::DataDirInUse { path: path.to_owned(), pid });
        }
        lock.set_len(0).and_then(|()| lock.rewind()).map_err(unusable)?;
        writeln!(lock, "{}", std::process::id()).map_err(unusable)?;
        check_format(path)?;
        Ok(Self { path: path.to_owned(), folder, _lock: lock })
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the path still leads to the folder that was opened, and the folder still has the locked file.
    #[must_use]
    pub fn is_there(&self) -> bool {
        let same = |one: Stat, other: Stat| (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino);
        let folder = rustix::fs::stat(&self.path).ok().zip(fstat(&self.folder).ok());
        let lock = statat(&self.folder, LOCK, AtFlags::SYMLINK_NOFOLLOW).ok().zip(fstat(&self._lock).ok());
        folder.is_some_and(|(path, folder)| same(path, folder)) && lock.is_some_and(|(path, lock)| same(path, lock))
    }
}

const LOCK: &str = "LOCK";

/// Checks that only this user can create files in the folder.
fn check_owner(path: &Path, folder: &OwnedFd) -> Result<(), Error> {
    let found = fstat(folder).map_err(|error| Error::DataDir { path: path.to_owned(), source: error.into() })?;
    let (own, mode) = (geteuid().as_raw(), found.st_mode & 0o7777);
    let refuse = |reason, fix: String| Err(Error::DataDirShared { path: path.to_owned(), reason, fix });
    let shown = path.display();
    if found.st_uid != own {
        return refuse(
            format!("belongs to the user {}, and this program runs as {own}", found.st_uid),
            format!("chown -R {own} {shown}"),
        );
    }
    if mode & 0o022 != 0 {
        return refuse(format!("may be written by others (its mode is {mode:o})"), format!("chmod go-w {shown}"));
    }
    Ok(())
}

/// Opens a file that this program created in the folder, or creates it (mode 0600).
fn open_own(folder: &OwnedFd, name: &str) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let foreign =
        |what: &str| io::Error::new(io::ErrorKind::InvalidInput, format!("its file {name} is {what}; remove it"));
    let file = openat(folder, name, flags, Mode::RUSR | Mode::WUSR).map_err(|error| match error {
        rustix::io::Errno::LOOP => foreign("a link"),
        error => error.into(),
    })?;
    let found = fstat(&file)?;
    if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile || found.st_nlink > 1 {
        return Err(foreign("not a file of this folder alone"));
    }
    Ok(File::from(file))
}

/// Checks the folder's file `FORMAT`, or creates it.
pub(crate) fn check_format(path: &Path) -> Result<(), Error> {
    let file = path.join("FORMAT");
    match std::fs::read_to_string(&file) {
        Ok(text) if text.trim() == FORMAT.to_string() => Ok(()),
        Ok(text) => {
            Err(Error::DataDirFormat { path: path.to_owned(), found: text.trim().to_owned(), expected: FORMAT })
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::DataDir { path: path.to_owned(), source: error })
        }
        Err(_) => OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&file)
            .and_then(|mut file| writeln!(file, "{FORMAT}"))
            .map_err(|source| Error::DataDir { path: path.to_owned(), source }),
    }
}
