//! Reads files that manifests name: regular files only, opened once, with a size limit.
//!
//! The manifest of an operator may name any file. A manifest that an actor supplies may only name files below the folders
//! that the actor's handler was granted ([`Grants`]). Each is opened through a handle of the granted folder, so that no link
//! and no `..` leads out of it. Whether the file is in a closed folder (data, plugins) is checked on the open file, so that
//! it cannot be replaced after the check. All failures have the same message, so that it reveals nothing about files outside.
//!
//! Opening never blocks: pipes and devices are opened without blocking and then refused. Reading may block on a disk and
//! must run on a blocking thread.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use rustix::fs::OFlags;

use crate::support::budget::Account;
use crate::support::error::Error;
use crate::support::executor;

/// The maximum size of a manifest, bytes.
pub const MAX_MANIFEST: u64 = 1024 * 1024;
/// The maximum size of a component, bytes, unless the config of a handler has less.
pub const MAX_COMPONENT: u64 = 256 * 1024 * 1024;
/// The maximum size of an initial state, bytes: the default of `value_bytes`.
pub const MAX_STATE: u64 = 64 * 1024 * 1024;

/// Metadata that change with the content of a file: device, inode, length, and time of the last change in ns.
pub type Stamp = (u64, u64, u64, i128);

/// An open regular file.
pub struct Regular {
    file: File,
    /// Its metadata when it was opened.
    pub stamp: Stamp,
}

impl Regular {
    fn new(file: File) -> io::Result<Self> {
        let data = file.metadata()?;
        if !data.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
        }
        Ok(Self { file, stamp: stamp(&data) })
    }

    /// Opens the file at a path, without a check of grants.
    ///
    /// # Errors
    /// The error of the system, or the path is a folder, pipe or device.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed());
        Self::new(options.open(path)?)
    }

    /// All its bytes.
    ///
    /// # Errors
    /// The error of the system, or there are more than `most` bytes.
    pub fn read(self, most: u64) -> io::Result<Vec<u8>> {
        let too_long =
            |length| io::Error::new(io::ErrorKind::FileTooLarge, format!("it has {length} bytes, {most} are allowed"));
        if self.stamp.2 > most {
            return Err(too_long(self.stamp.2));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(self.stamp.2).unwrap_or_default());
        self.file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
        // The file may have grown, or have no length in its metadata, as files in /proc do.
        if bytes.len() as u64 > most { Err(too_long(bytes.len() as u64)) } else { Ok(bytes) }
    }

    /// The open file.
    #[must_use]
    pub fn into_file(self) -> File {
        self.file
    }

    /// The current path of the open file.
    fn path(&self) -> io::Result<PathBuf> {
        std::fs::read_link(format!("/proc/self/fd/{}", self.file.as_raw_fd()))
    }
}

fn stamp(data: &std::fs::Metadata) -> Stamp {
    (data.dev(), data.ino(), data.len(), i128::from(data.ctime()) * 1_000_000_000 + i128::from(data.ctime_nsec()))
}

/// The stamp of the file at a path.
///
/// # Errors
/// The error of the system.
pub fn stamp_of(path: &Path) -> io::Result<Stamp> {
    std::fs::metadata(path).map(|data| stamp(&data))
}

/// All bytes of the regular file at a path.
///
/// # Errors
/// As [`Regular::open`] and [`Regular::read`].
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    Regular::open(path)?.read(most)
}

/// As [`read`], for text.
///
/// # Errors
/// As [`read`], or the text is not UTF-8.
pub fn read_text(path: &Path, most: u64) -> io::Result<String> {
    let bytes = read(path, most)?;
    String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text"))
}

/// The files that manifests supplied by an actor may name.
#[derive(Debug, Clone)]
pub struct Grants {
    /// Folders, or files, of manifests and components.
    pub paths: Vec<PathBuf>,
    /// Folders, or files, of initial states.
    pub state_paths: Vec<PathBuf>,
    /// The maximum size of a component, bytes.
    pub max_component: u64,
    /// Folders from which nothing is opened: the data folder and the plugin folder.
    pub closed: Vec<PathBuf>,
    /// The account of the actor, which components compiled for it are charged to.
    pub account: Arc<Account>,
}

/// The time limit for reading a file.
const DEADLINE: Duration = Duration::from_secs(10);
/// The reason why a file could not be read in time.
pub const TOO_SLOW: &str = "it could not be read within 10 s";

/// Runs file work on a blocking thread. Returns `None` if it takes longer than ten seconds.
pub async fn off_executor<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    executor::timeout(DEADLINE, executor::blocking(work)).await
}

/// Why an actor may not read a file.
#[derive(Debug)]
pub enum Refused {
    /// It is outside the granted folders, does not exist, is not a regular file, or cannot be read. The causes are not
    /// distinguished.
    Outside,
    /// It is granted, but longer than so many bytes.
    TooLong(u64),
}

impl Refused {
    /// The error with the path that the actor named, and the config key of its handler that would have to grant it.
    #[must_use]
    pub fn error(self, path: &str, key: &'static str) -> Error {
        match self {
            Self::Outside => Error::NotGranted { path: path.to_owned(), key },
            Self::TooLong(most) => Error::TooLong { path: path.to_owned(), most },
        }
    }
}

impl Grants {
    /// Opens a granted manifest or component. `path` is absolute, or relative to `folder`.
    ///
    /// # Errors
    /// [`Refused::Outside`].
    pub fn open(&self, folder: &Path, path: &Path) -> Result<Regular, Refused> {
        self.open_below(&self.paths, folder, path)
    }

    /// All bytes of a granted initial state.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn read_state(&self, folder: &Path, path: &Path) -> Result<Vec<u8>, Refused> {
        self.read_regular(self.open_below(&self.state_paths, folder, path)?, MAX_STATE)
    }

    /// All bytes of a file that [`Grants::open`] opened.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn read_regular(&self, file: Regular, most: u64) -> Result<Vec<u8>, Refused> {
        file.read(most).map_err(|error| match error.kind() {
            io::ErrorKind::FileTooLarge => Refused::TooLong(most),
            _ => Refused::Outside,
        })
    }

    fn open_below(&self, granted: &[PathBuf], folder: &Path, path: &Path) -> Result<Regular, Refused> {
        let folder = folder.canonicalize().map_err(|_| Refused::Outside)?;
        let wanted = without_dots(&folder.join(path));
        granted.iter().find_map(|grant| self.open_in(grant, &wanted)).ok_or(Refused::Outside)
    }

    fn open_in(&self, grant: &Path, wanted: &Path) -> Option<Regular> {
        let below = wanted.strip_prefix(grant).ok()?;
        // A grant of a single file: it is opened through its folder.
        let (folder, below) = match below.as_os_str().is_empty() {
            true => (grant.parent()?, Path::new(grant.file_name()?)),
            false => (grant, below),
        };
        let folder = Dir::open_ambient_dir(folder, ambient_authority()).ok()?;
        let mut options = cap_std::fs::OpenOptions::new();
        let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
        cap_std::fs::OpenOptionsExt::custom_flags(options.read(true), flags);
        let file = Regular::new(folder.open_with(below, &options).ok()?.into_std()).ok()?;
        let is = file.path().ok()?;
        (!self.closed.iter().any(|closed| is.starts_with(closed))).then_some(file)
    }
}

/// Resolves `.` and `..` in a path lexically. Links are not followed here: the result is opened through a granted folder,
/// which no link can leave.
fn without_dots(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                out.pop();
            }
            Component::CurDir => {}
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A scratch folder with `granted/`, `closed/` and a file `secret`.
    fn scratch() -> (tempfile::TempDir, Grants) {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path().canonicalize().unwrap();
        for folder in ["granted/below", "closed", "granted/data"] {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        std::fs::write(root.join("secret"), "hunter2").unwrap();
        std::fs::write(root.join("granted/a.toml"), "a").unwrap();
        std::fs::write(root.join("granted/below/b.wasm"), "bb").unwrap();
        std::fs::write(root.join("granted/data/journal"), "everybody's").unwrap();
        let grants = Grants {
            paths: vec![root.join("granted")],
            state_paths: Vec::new(),
            max_component: 1,
            closed: vec![root.join("granted/data")],
            account: Account::program(0),
        };
        (scratch, grants)
    }

    fn opens(grants: &Grants, folder: &Path, path: &str) -> bool {
        grants.open(folder, Path::new(path)).is_ok()
    }

    #[test]
    fn files_below_the_granted_folder_are_opened_however_they_are_named() {
        let (scratch, grants) = scratch();
        let folder = scratch.path().join("granted");
        let whole = folder.join("below/b.wasm");
        for path in ["a.toml", "./a.toml", "below/../a.toml", "../granted/below/b.wasm", whole.to_str().unwrap()] {
            assert!(opens(&grants, &folder, path), "{path}");
        }
        let text = grants.read_regular(grants.open(&folder, Path::new("a.toml")).unwrap(), 1).unwrap();
        assert_eq!(text, b"a");
        let long = grants.open(&folder, Path::new("below/b.wasm")).unwrap();
        assert!(matches!(grants.read_regular(long, 1), Err(Refused::TooLong(1))));
    }

    #[test]
    fn nothing_else_is() {
        let (scratch, grants) = scratch();
        let folder = scratch.path().join("granted");
        symlink(scratch.path().join("secret"), folder.join("link")).unwrap();
        symlink(scratch.path(), folder.join("out")).unwrap();
        symlink("/dev/zero", folder.join("zero")).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, folder.join("pipe"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        let secret = scratch.path().join("secret");
        let vectors = [
            secret.to_str().unwrap(),
            "../secret",
            "link",
            "out/secret",
            "zero",
            "pipe",
            "below",
            ".",
            "",
            "missing",
            "data/journal",
            "below/../data/journal",
            "/dev/zero",
            "/proc/self/environ",
            "/etc/passwd",
            "../granted/../secret",
            "\u{0}",
            "a.toml\u{0}",
        ];
        for path in vectors {
            assert!(!opens(&grants, &folder, path), "{path:?}");
        }
        // Initial states have separate grants.
        assert!(grants.read_state(&folder, Path::new("a.toml")).is_err());
    }

    #[test]
    fn pipes_and_devices_are_refused_at_once() {
        let (scratch, _) = scratch();
        let pipe = scratch.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        for path in [&pipe, Path::new("/dev/zero"), scratch.path()] {
            assert!(read(path, 1_000).unwrap_err().to_string().contains("not a regular file"), "{}", path.display());
        }
        assert!(read(Path::new("/proc/self/status"), 10).unwrap_err().to_string().contains("10 are allowed"));
    }
}
