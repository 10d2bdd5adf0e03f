//! Resolves the TLS files that an actor asks for to those that its config allows.

use std::path::{Component, Path, PathBuf};

use crate::error::Error;

/// Resolves `asked` to one of the allowed files. A relative path selects the file that ends with it, because the
/// handler's config has absolute paths. A path that matches none is returned as it is, and the listener refuses it by
/// that name.
///
/// # Errors
/// [`Error::Listening`] if the path is empty, or relative and ambiguous.
pub(crate) fn resolve_tls_file(allowed: &[String], asked: &str) -> Result<String, Error> {
    // Without a leading `./`.
    let end: PathBuf = Path::new(asked).components().filter(|part| *part != Component::CurDir).collect();
    if end.as_os_str().is_empty() {
        return Err(Error::Listening("tls: both the certificate and the key need a file".to_owned()));
    }
    let mut meant = allowed.iter().filter(|file| Path::new(file).ends_with(&end));
    match (meant.next(), meant.next()) {
        (Some(_), Some(_)) if !end.is_absolute() => Err(Error::Listening(format!(
            "tls: the file {asked:?} matches several of the handler's tls_files: use a longer path"
        ))),
        (Some(file), _) => Ok(file.clone()),
        (None, _) => Ok(asked.to_owned()),
    }
}
