//! The folder, which no path leaves, and what is done with files in it.
//!
//! Every path is resolved by the system beneath an open folder (`openat2(2)` with `RESOLVE_BENEATH` through `cap-std`, whose
//! own walk is used where a kernel has none): there is no check that a swap of a link could outrun. All of it blocks.

use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use cap_std::ambient_authority;
use cap_std::fs::{Dir, FileType, OpenOptions, OpenOptionsExt, Permissions, PermissionsExt};
use cap_tempfile::TempFile;
use rustix::fs::{AtFlags, OFlags, StatxFlags, statx};

use crate::config::Config;
use crate::error::Error;

/// A path that is relative, without `..` and NUL; whether links lead it out is the system's to find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inside(String);

impl Inside {
    /// Reads a path as an actor gives it; `""` and `"."` are the folder itself.
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

    /// The folder it is in and its name there.
    fn split(&self) -> (&str, &str) {
        self.0.rsplit_once('/').unwrap_or((".", &self.0))
    }
}

/// An open folder.
#[derive(Debug)]
pub struct Jail {
    root: Dir,
    /// The mount that the folder is on, where no other may be entered.
    mount: Option<Mount>,
}

/// A mount, as far as the system tells: its number, or on Linux before 5.8 the device, on which bind mounts are not seen.
type Mount = (Option<u64>, u32, u32);

fn mount_of(handle: impl AsFd) -> std::io::Result<Mount> {
    let found = statx(handle, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)?;
    let number = StatxFlags::from_bits_retain(found.stx_mask).contains(StatxFlags::MNT_ID).then_some(found.stx_mnt_id);
    Ok((number, found.stx_dev_major, found.stx_dev_minor))
}

impl Jail {
    /// Opens what the config names; `private` is the folder that `new_dir` stands for.
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

    /// Whether what was opened may be entered: a mount point inside of the folder leads to another filesystem, or another
    /// folder of this one.
    fn allow(&self, opened: impl AsFd, path: &str) -> Result<(), Error> {
        let Some(mount) = self.mount else { return Ok(()) };
        let is_own = mount_of(opened).map_err(Error::file("look at", path))? == mount;
        if is_own { Ok(()) } else { Err(Error::Mount(path.to_owned())) }
    }

    /// An open folder inside.
    fn open_dir(&self, path: &str, doing: &'static str) -> Result<Dir, Error> {
        let folder = self.root.open_dir(path).map_err(Error::file(doing, path))?;
        self.allow(&folder, path)?;
        Ok(folder)
    }

    /// All bytes of a file.
    pub fn read(&self, path: &Inside, most: u64) -> Result<Vec<u8>, Error> {
        let tried = |error| Error::file("read", path.text())(error);
        let mut options = OpenOptions::new();
        // Asked before the file: whether it is there, on another mount, is not told.
        self.open_dir(path.split().0, "read")?;
        // A pipe that nobody writes to would hold the thread.
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
        // It may have grown since, or be one of those that have no length, as in /proc.
        if bytes.len() as u64 > most { Err(too_big(bytes.len() as u64)) } else { Ok(bytes) }
    }

    /// Makes or replaces a file: whoever reads it sees the old or the new one, which is on disk when this returns. A link of
    /// that name is replaced itself.
    pub fn write(&self, path: &Inside, content: &[u8], most: u64) -> Result<(), Error> {
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
        // The name is on disk with its folder; opened anew, since the handle of a Dir only stands for a place.
        folder.open(".").and_then(|folder| folder.sync_all()).map_err(tried)
    }

    /// The names in a folder, sorted by bytes; those that are not UTF-8 with U+FFFD in place of what is not.
    pub fn list(&self, path: &Inside) -> Result<Vec<String>, Error> {
        let tried = |error| Error::file("list", path.text())(error);
        let mut names = Vec::new();
        for entry in self.open_dir(path.text(), "list")?.entries().map_err(tried)? {
            names.push(entry.map_err(tried)?.file_name().to_string_lossy().into_owned());
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Removes a file.
    pub fn delete_file(&self, path: &Inside) -> Result<(), Error> {
        let tried = |error| Error::file("delete", path.text())(error);
        let (folder, name) = path.split();
        let folder = self.open_dir(folder, "delete")?;
        let found = folder.symlink_metadata(name).map_err(tried)?;
        if found.is_dir() {
            return Err(Error::Folder(path.text().to_owned()));
        }
        folder.remove_file(name).map_err(tried)
    }

    /// Makes a folder with its parents.
    pub fn create_dir(&self, path: &Inside) -> Result<(), Error> {
        // The deepest folder that is there already is the last through which a mount could be entered.
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
    pub fn delete_dir(&self, path: &Inside) -> Result<(), Error> {
        if path.is_root() {
            return Err(Error::Root);
        }
        let (folder, name) = path.split();
        self.open_dir(folder, "delete")?.remove_dir(name).map_err(Error::file("delete", path.text()))
    }

    /// Whether something is there.
    pub fn exists(&self, path: &Inside) -> Result<bool, Error> {
        // Asked before the file: whether it is there, on another mount, is not told.
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

    /// The whole folder, open.
    pub fn root(&self) -> Result<OwnedFd, Error> {
        self.folder(&Inside::parse(".")?)
    }

    /// A folder, open for a program to run in.
    pub fn folder(&self, path: &Inside) -> Result<OwnedFd, Error> {
        Ok(self.open_dir(path.text(), "run in")?.into_std_file().into())
    }
}

fn is_missing(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
}

/// The permissions without set-user-id and the like, which a write clears: the content is another one now.
fn plain(permissions: &Permissions) -> Permissions {
    PermissionsExt::from_mode(permissions.mode() & 0o777)
}

fn only_a_file(kind: FileType, path: &Inside) -> Result<(), Error> {
    if kind.is_dir() {
        Err(Error::Folder(path.text().to_owned()))
    } else if kind.is_file() {
        Ok(())
    } else {
        Err(Error::Special(path.text().to_owned()))
    }
}

/// Opens `path` through the folders around it, each beneath the one before.
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

/// In the private folder: what the actor sees, and beside it whether it stays when the actor ends for good.
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

/// Removes an actor's private folder, if it has one that is not to be kept.
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
            assert!(matches!(Inside::parse(path), Err(Error::Path(_))), "{path:?}");
        }
        for (path, inside) in
            [("", "."), (".", "."), ("./", "."), ("a//b/./c/", "a/b/c"), ("...", "..."), ("a\\..", "a\\..")]
        {
            assert_eq!(Inside::parse(path).unwrap().text(), inside, "{path:?}");
        }
    }
}
