//! Finds the file of a program by its name.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Finds the file of a program: an absolute path is used as given, a bare name is looked up in the folders of `search`
/// (in the form of `PATH`, see `environ(7)`). Returns `None` if there is no executable file, and for other relative
/// paths, whose meaning would depend on the current folder.
///
/// ```
/// use std::path::Path;
/// use theater_child_process::find;
/// assert_eq!(find("sh", Some("/nowhere:/bin".as_ref())).as_deref(), Some(Path::new("/bin/sh")));
/// assert_eq!(find("./sh", Some("/bin".as_ref())), None);
/// ```
#[must_use]
pub fn find(name: &str, search: Option<&OsStr>) -> Option<PathBuf> {
    let path = Path::new(name);
    if path.is_absolute() {
        return is_program(path).then(|| path.to_owned());
    }
    if name.is_empty() || name.contains('/') {
        return None;
    }
    // Relative folders in the list are skipped for the same reason.
    let folders = std::env::split_paths(search?).filter(|folder| folder.is_absolute());
    folders.map(|folder| folder.join(name)).find(|path| is_program(path))
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_executable_files_of_absolute_folders_are_found() {
        let search = Some(OsStr::new("bin:.:/etc:/usr/bin:/bin"));
        assert!(find("sh", search).is_some_and(|path| path.is_absolute()));
        for name in ["group", "", "bin", "../bin/sh", "./sh", "/etc/group", "/bin", "/nowhere/sh"] {
            assert_eq!(find(name, search), None, "{name:?}");
        }
        assert_eq!(find("sh", None), None);
        assert_eq!(find("/bin/sh", None).as_deref(), Some(Path::new("/bin/sh")));
    }
}
