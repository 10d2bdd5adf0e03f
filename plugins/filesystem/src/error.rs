//! What can go wrong, in words for the actor and the operator.
//!
//! A request that only the manifest refuses is told the line to add; one that tries to leave the folder is told no line.

use std::io;

/// Why a call gave no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A path that could leave the folder, or that no file has.
    #[error("{0:?} is no path inside the folder: it is relative, without `..` and NUL, its parts separated by `/`")]
    Path(String),
    /// A path that a link leads out of the folder.
    #[error("{0:?} leads out of the folder")]
    Outside(String),
    /// A path into something that is mounted inside the folder.
    #[error(
        "{0:?} is on another mount than the folder; in the handler filesystem, config = {{ one_filesystem = false }} lets \
         mount points be entered, as far as the parent's config does"
    )]
    Mount(String),
    /// A power that the config does not grant.
    #[error(
        "{0} is not granted: in the handler filesystem, config = {{ {0} = true }} grants it, as far as the parent's config \
         does"
    )]
    Denied(&'static str),
    /// A program that the config does not name.
    #[error(
        "the program {0:?} is not allowed: in the handler filesystem, config = {{ allowed_commands = [{0:?}] }} allows it, \
         as far as the parent's config does"
    )]
    Command(String),
    /// A program that was not there when the actor started.
    #[error(
        "the program {0:?} is allowed but was not found when the actor started: install it, then start the actor again"
    )]
    NoCommand(String),
    /// A command line that cannot be split.
    #[error("{0:?} cannot be split into words: a quote is not closed, or there is no word")]
    Words(String),
    /// Arguments that no program can get.
    #[error("an argument or a variable has a NUL, which no program can be given")]
    Nul,
    /// A folder where a file is needed.
    #[error("{0:?} is a folder, not a file")]
    Folder(String),
    /// A pipe, a socket or a device.
    #[error("{0:?} is neither a file nor a folder")]
    Special(String),
    /// A file over `max_file_bytes`.
    #[error(
        "{path:?} has {size} bytes, above the {most} allowed; in the handler filesystem, config = {{ max_file_bytes = \
         {size} }} allows it, as far as the parent's config does"
    )]
    TooBig {
        /// The file.
        path: String,
        /// Its bytes.
        size: u64,
        /// The config's.
        most: u64,
    },
    /// The jail's own folder.
    #[error("the folder itself cannot be removed: name one inside it")]
    Root,
    /// What the system refuses.
    #[error("could not {step} {path:?}: {source}")]
    File {
        /// What was tried.
        step: &'static str,
        /// With which path.
        path: String,
        /// What the system says.
        source: io::Error,
    },
    /// No folder is configured, or the parent has no such one.
    #[error(
        "the handler filesystem has no folder: config = {{ path = \"...\" }} names one that is there, config = {{ new_dir = \
         true }} makes a private one; a child's must be its parent's or below it"
    )]
    NoFolder,
    /// Two folders are configured.
    #[error("in the handler filesystem, path and new_dir exclude each other: remove one")]
    TwoFolders,
    /// The configured folder could not be opened.
    #[error("in the handler filesystem, path = {path:?} could not be opened as a folder: {source}; make it first")]
    Open {
        /// The config's.
        path: String,
        /// What the system says.
        source: io::Error,
    },
    /// The actor is ending.
    #[error("the actor is being stopped: the program was killed")]
    Stopped,
}

impl From<Error> for String {
    fn from(error: Error) -> Self {
        error.to_string()
    }
}

impl Error {
    /// For `map_err`: what was tried with which path.
    pub fn file(step: &'static str, path: &str) -> impl FnOnce(io::Error) -> Self {
        move |source| {
            // cap-std's own refusal has no number of the system's.
            if source.kind() == io::ErrorKind::PermissionDenied && source.raw_os_error().is_none() {
                Self::Outside(path.to_owned())
            } else {
                Self::File { step, path: path.to_owned(), source }
            }
        }
    }
}
