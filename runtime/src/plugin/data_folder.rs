//! Folders for the files of plugins.

use std::path::PathBuf;

/// Creates a folder with its parents and returns its path as text.
pub(crate) fn make_folder(folder: PathBuf) -> Result<String, String> {
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(folder.display().to_string())
}
