//! The jail: a folder that no path can leave, and the file operations in it.
//!
//! The system resolves every path beneath an open folder (`openat2(2)` with `RESOLVE_BENEATH`, through `cap-std`, which
//! walks the path itself on kernels without it). There is no separate check that could be outrun by swapping a link.
//! All functions block.

use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use cap_std::ambient_authority;
use cap_std::fs::{Dir, FileType, OpenOptions, OpenOptionsExt, Permissions, PermissionsExt};
use cap_tempfile::TempFile;
use rustix::fs::{AtFlags, OFlags, StatxFlags, statx};

use crate::config::Config;
use crate::error::Error;

/// A relative path without `..` and NUL. Whether links lead out of the folder is found by the system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelativePath(String);

impl RelativePath {
    /// Parses a path that an actor gives; `""` and `"."` are the folder itself.
    pub fn parse(path: &str) -> Result<Self, Error> {
        let bad = path.starts_with('/') || path.contains('\0') || path.split('/').any(|part| part == "..");
        if bad {
            return Err(Error::Path(path.to_owned()));
        }
        let parts: Vec<_> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
        Ok(Self(if parts.is_empty() { ".".to_owned() } else { parts.join("/") }))
    }

    fn text(&self) -> &str {
        &self.0
    }

    fn is_root(&self) -> bool {
        self.0 == "."
    }

    /// Splits the path into its folder and its name there.
    fn split(&self) -> (&str, &str) {
        self.0.rsplit_once('/').unwrap_or((".", &self.0))
    }
}

/// An open folder.
#[derive(Debug)]
pub struct Jail {
    root: Dir,
    /// The mount of the folder, if no other mount may be entered.
    mount: Option<Mount>,
}

/// Identifies a mount: by its number, or on Linux before 5.8 only by its device, which does not tell bind mounts apart.
type Mount = (Option<u64>, u32, u32);

fn mount_of(handle: impl AsFd) -> std::io::Result<Mount> {
    let found = statx(handle, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)?;
    let number = StatxFlags::from_bits_retain(found.stx_mask).contains(StatxFlags::MNT_ID).then_some(found.stx_mnt_id);
    Ok((number, found.stx_dev_major, found.stx_dev_minor))
}

impl Jail {
    /// Opens the folder of the config; `private` is the folder for `new_dir`.
    pub fn open(config: &Config, private: Option<&Path>) -> Result<Self, Error> {
        let root = match (&config.path, private) {
            (Some(_), Some(_)) => return Err(Error::TwoFolders),
            (None, None) => return Err(Error::NoFolder),
            (None, Some(private)) => {
                let opened = open_private(private, config.keep);
                opened.map_err(Error::file("open", &private.display().to_string()))?
            }
            (Some(path), None) => open_within(&config.within, path)?,
        };
        let mount = match config.one_filesystem {
            true => Some(mount_of(&root).map_err(Error::file("look at", "."))?),
            false => None,
        };
        Ok(Self { root, mount })
    }

    /// Checks that an opened file or folder is on the same mount. A mount point inside the folder leads to another file
    /// system, or to another folder of this one.
    fn allow(&self, opened: impl AsFd, path: &str) -> Result<(), Error> {
        let Some(mount) = self.mount else { return Ok(()) };
        let is_own = mount_of(opened).map_err(Error::file("look at", path))? == mount;
        if is_own { Ok(()) } else { Err(Error::Mount(path.to_owned())) }
    }

    /// Opens a folder inside and checks its mount; `doing` is the verb for the error message.
    fn open_dir(&self, path: &str, doing: &'static str) -> Result<Dir, Error> {
        let folder = self.root.open_dir(path).map_err(Error::file(doing, path))?;
        self.allow(&folder, path)?;
        Ok(folder)
    }

    /// Reads a whole file of at most `most` bytes.
    pub fn read(&self, path: &RelativePath, most: u64) -> Result<Vec<u8>, Error> {
        let tried = |error| Error::file("read", path.text())(error);
        let mut options = OpenOptions::new();
        // Check the folder before the file: the error must not reveal whether a file exists on another mount.
        self.open_dir(path.split().0, "read")?;
        // Opening a pipe that has no writer would block the thread.
        options.read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed());
        let file = self.root.open_with(path.text(), &options).map_err(tried)?;
        self.allow(&file, path.text())?;
        let found = file.metadata().map_err(tried)?;
        only_a_file(found.file_type(), path)?;
        let too_big = |size| Error::TooBig { path: path.text().to_owned(), size, most };
        if found.len() > most {
            return Err(too_big(found.len()));
        }
        let mut bytes = Vec::new();
        file.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(tried)?;
        // The file may have grown since, or may report no length, as files in /proc do.
        if bytes.len() as u64 > most { Err(too_big(bytes.len() as u64)) } else { Ok(bytes) }
    }

    /// Creates or replaces a file atomically: a reader sees the old or the new content. The new content is synced to
    /// disk when this returns. A link of that name is replaced itself, not followed.
    pub fn write(&self, path: &RelativePath, content: &[u8], most: u64) -> Result<(), Error> {
        let tried = |error| Error::file("write", path.text())(error);
        let size = content.len() as u64;
        if size > most {
            return Err(Error::TooBig { path: path.text().to_owned(), size, most });
        }
        let (folder, name) = path.split();
        let folder = self.open_dir(folder, "write")?;
        let before = folder.symlink_metadata(name).ok();
        if path.is_root() || before.as_ref().is_some_and(cap_std::fs::Metadata::is_dir) {
            return Err(Error::Folder(path.text().to_owned()));
        }
        let mut file = TempFile::new(&folder).map_err(tried)?;
        if let Some(before) = before.filter(cap_std::fs::Metadata::is_file) {
            file.as_file().set_permissions(plain(&before.permissions())).map_err(tried)?;
        }
        file.write_all(content).map_err(tried)?;
        file.as_file().sync_all().map_err(tried)?;
        file.replace(name).map_err(tried)?;
        // Sync the folder, which makes the new name durable. It is opened again, because the handle of a `Dir` only
        // refers to the folder (`O_PATH`) and cannot be synced.
        folder.open(".").and_then(|folder| folder.sync_all()).map_err(tried)
    }

    /// Lists the names in a folder, sorted by bytes. Invalid UTF-8 in a name is replaced with U+FFFD.
    pub fn list(&self, path: &RelativePath) -> Result<Vec<String>, Error> {
        let tried = |error| Error::file("list", path.text())(error);
        let mut names = Vec::new();
        for entry in self.open_dir(path.text(), "list")?.entries().map_err(tried)? {
            names.push(entry.map_err(tried)?.file_name().to_string_lossy().into_owned());
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Removes a file.
    pub fn delete_file(&self, path: &RelativePath) -> Result<(), Error> {
        let tried = |error| Error::file("delete", path.text())(error);
        let (folder, name) = path.split();
        let folder = self.open_dir(folder, "delete")?;
        let found = folder.symlink_metadata(name).map_err(tried)?;
        if found.is_dir() {
            return Err(Error::Folder(path.text().to_owned()));
        }
        folder.remove_file(name).map_err(tried)
    }

    /// Creates a folder and its parents.
    pub fn create_dir(&self, path: &RelativePath) -> Result<(), Error> {
        // Only folders that exist already can be mount points, so checking the deepest of them is enough.
        let mut there = path.text();
        while there != "." && !self.root.is_dir(there) {
            there = there.rsplit_once('/').map_or(".", |(folder, _)| folder);
        }
        let folder = self.open_dir(there, "create")?;
        let rest = if there == "." { path.text() } else { path.text().get(there.len() + 1..).unwrap_or_default() };
        if rest.is_empty() || rest == "." {
            return Ok(());
        }
        folder.create_dir_all(rest).map_err(Error::file("create", path.text()))
    }

    /// Removes an empty folder.
    pub fn delete_dir(&self, path: &RelativePath) -> Result<(), Error> {
        if path.is_root() {
            return Err(Error::Root);
        }
        let (folder, name) = path.split();
        self.open_dir(folder, "delete")?.remove_dir(name).map_err(Error::file("delete", path.text()))
    }

    /// Returns whether the path exists.
    pub fn exists(&self, path: &RelativePath) -> Result<bool, Error> {
        // Check the folder before the file: the error must not reveal whether a file exists on another mount.
        match self.open_dir(path.split().0, "look at") {
            Err(Error::File { source, .. }) if is_missing(&source) => return Ok(false),
            Err(error) => return Err(error),
            Ok(_) => {}
        }
        match self.root.metadata(path.text()) {
            Ok(found) if found.is_dir() => self.open_dir(path.text(), "look at").map(|_| true),
            Ok(_) => self.open_dir(path.split().0, "look at").map(|_| true),
            Err(error) if is_missing(&error) => Ok(false),
            Err(error) => Err(Error::file("look at", path.text())(error)),
        }
    }

    /// Opens the whole folder.
    pub fn root(&self) -> Result<OwnedFd, Error> {
        self.folder(&RelativePath::parse(".")?)
    }

    /// Opens a folder for a program to run in.
    pub fn folder(&self, path: &RelativePath) -> Result<OwnedFd, Error> {
        Ok(self.open_dir(path.text(), "run in")?.into_std_file().into())
    }
}

fn is_missing(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
}

/// Removes set-user-id, set-group-id and sticky bits, as a write does: the content is no longer the same.
fn plain(permissions: &Permissions) -> Permissions {
    PermissionsExt::from_mode(permissions.mode() & 0o777)
}

fn only_a_file(kind: FileType, path: &RelativePath) -> Result<(), Error> {
    if kind.is_dir() {
        Err(Error::Folder(path.text().to_owned()))
    } else if kind.is_file() {
        Ok(())
    } else {
        Err(Error::Special(path.text().to_owned()))
    }
}

/// Opens `path` through the folders around it, each beneath the previous one.
fn open_within(within: &[String], path: &str) -> Result<Dir, Error> {
    let failed = |source| Error::Open { path: path.to_owned(), source };
    let all: Vec<_> = within.iter().map(String::as_str).chain([path]).map(Path::new).collect();
    let mut folder =
        Dir::open_ambient_dir(all.first().unwrap_or(&Path::new(path)), ambient_authority()).map_err(failed)?;
    for (outer, inner) in all.iter().zip(all.iter().skip(1)) {
        let step = inner.strip_prefix(outer).map_err(|_| Error::NoFolder)?;
        let step = if step.as_os_str().is_empty() { Path::new(".") } else { step };
        folder = folder.open_dir(step).map_err(failed)?;
    }
    Ok(folder)
}

/// Entries of the private folder: the files that the actor sees, and a marker to keep them when the actor ends for
/// good.
const FILES: &str = "files";
const KEEP: &str = "keep";

fn open_private(private: &Path, keep: bool) -> std::io::Result<Dir> {
    std::fs::create_dir_all(private.join(FILES))?;
    if keep {
        std::fs::write(private.join(KEEP), b"")?;
    } else if private.join(KEEP).exists() {
        std::fs::remove_file(private.join(KEEP))?;
    }
    Dir::open_ambient_dir(private.join(FILES), ambient_authority())
}

/// Removes an actor's private folder, if there is one without the marker to keep it.
pub fn remove_unless_kept(private: &Path) -> Result<(), Error> {
    if !private.exists() || private.join(KEEP).exists() {
        return Ok(());
    }
    std::fs::remove_dir_all(private).map_err(Error::file("remove", &private.display().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [filesystem-10] [filesystem-11]
    #[test]
    fn a_path_inside_is_relative_and_never_climbs() {
        for path in ["..", "../a", "a/../b", "a/..", "/", "/a", "//a", "a\0b", "\0", "./../a", "a/./..//b"] {
            assert!(matches!(RelativePath::parse(path), Err(Error::Path(_))), "{path:?}");
        }
        for (path, inside) in
            [("", "."), (".", "."), ("./", "."), ("a//b/./c/", "a/b/c"), ("...", "..."), ("a\\..", "a\\..")]
        {
            assert_eq!(RelativePath::parse(path).unwrap().text(), inside, "{path:?}");
        }
    }
}
