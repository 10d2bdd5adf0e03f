//! The errors, with messages for the actor and the operator.
//!
//! If only the manifest forbids a request, the message names the line to add. A request that tries to leave the folder
//! gets no such line.

use std::io;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The path could leave the folder, or cannot be the path of a file.
    #[error("{0:?} is not a path inside the folder: use a relative one, without `..` and NUL, separated by `/`")]
    Path(String),
    /// A link leads the path out of the folder.
    #[error("{0:?} leads out of the folder")]
    Outside(String),
    /// The path leads to something that is mounted inside the folder.
    #[error(
        "{0:?} is on another mount than the folder; in the handler filesystem, config = {{ one_filesystem = false }} \
         allows entering mount points, as far as the parent's config does"
    )]
    Mount(String),
    /// The config does not grant the permission.
    #[error(
        "{0} is not granted: in the handler filesystem, config = {{ {0} = true }} grants it, as far as the parent's config \
         does"
    )]
    Denied(&'static str),
    /// The config does not allow the program.
    #[error(
        "the program {0:?} is not allowed: in the handler filesystem, config = {{ allowed_commands = [{0:?}] }} allows it, \
         as far as the parent's config does"
    )]
    Command(String),
    /// The program was not found when the actor started.
    #[error(
        "the program {0:?} is allowed but was not found when the actor started: install it, then start the actor again"
    )]
    NoCommand(String),
    /// The command line cannot be split.
    #[error("{0:?} cannot be split into words: a quote is not closed, or there is no word")]
    Words(String),
    /// An argument or a variable cannot be passed to a program.
    #[error("an argument or a variable has a NUL byte, which cannot be passed to a program")]
    Nul,
    /// The path is a folder, where a file is needed.
    #[error("{0:?} is a folder, not a file")]
    Folder(String),
    /// The path is a pipe, a socket or a device.
    #[error("{0:?} is neither a file nor a folder")]
    Special(String),
    /// The file is larger than `max_file_bytes`.
    #[error(
        "{path:?} has {size} bytes, above the {most} allowed; in the handler filesystem, config = {{ max_file_bytes = \
         {size} }} allows it, as far as the parent's config does"
    )]
    TooBig {
        /// The file.
        path: String,
        /// Its size in bytes.
        size: u64,
        /// `max_file_bytes` of the config.
        most: u64,
    },
    /// The jail's own folder cannot be removed.
    #[error("the folder itself cannot be removed: name one inside it")]
    Root,
    /// A file operation failed.
    #[error("could not {step} {path:?}: {source}")]
    File {
        /// The operation, as a verb.
        step: &'static str,
        /// The path.
        path: String,
        /// The system's error.
        source: io::Error,
    },
    /// No folder is configured, or it is not inside the parent's.
    #[error(
        "the handler filesystem has no folder: config = {{ path = \"...\" }} names an existing one, config = {{ new_dir = \
         true }} creates a private one; a child's folder must be its parent's or below it"
    )]
    NoFolder,
    /// Two folders are configured.
    #[error("in the handler filesystem, path and new_dir exclude each other: remove one")]
    TwoFolders,
    /// The configured folder could not be opened.
    #[error("in the handler filesystem, path = {path:?} could not be opened as a folder: {source}; create it")]
    Open {
        /// `path` of the config.
        path: String,
        /// The system's error.
        source: io::Error,
    },
    /// The actor is being stopped.
    #[error("the actor is being stopped: the program was killed")]
    Stopped,
}

impl From<Error> for String {
    fn from(error: Error) -> Self {
        error.to_string()
    }
}

impl Error {
    /// Returns a function for `map_err` that adds the operation and the path.
    pub fn file(step: &'static str, path: &str) -> impl FnOnce(io::Error) -> Self {
        move |source| {
            // When cap-std itself refuses a path, the error has no OS error code.
            if source.kind() == io::ErrorKind::PermissionDenied && source.raw_os_error().is_none() {
                Self::Outside(path.to_owned())
            } else {
                Self::File { step, path: path.to_owned(), source }
            }
        }
    }
}
