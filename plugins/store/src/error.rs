//! Errors, with messages for actors and operators.

use std::io;
use std::path::{Path, PathBuf};

use crate::hash::{Hash, InvalidHash};

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not a valid store id.
    #[error(
        "{0} is not a store id: use the id that new returned, or a name of 1 to 64 of the characters a-z, A-Z, 0-9, \
         '.', '_' and '-' that starts with a letter or digit"
    )]
    BadStore(String),
    /// Not a valid hash.
    #[error(transparent)]
    BadHash(#[from] InvalidHash),
    /// Not a valid label.
    #[error("{0} is not a label: a label has 1 to 512 bytes of printable UTF-8")]
    BadLabel(String),
    /// A store that the caller cannot see, whether it exists or not.
    #[error(
        "this actor has no store {0}: new makes one, and in the handler store, config = {{ stores = [\"{0}\"] }} grants a \
         shared one, as far as the parent's config does"
    )]
    NotSeen(String),
    /// An operator named a store that does not exist.
    #[error("there is no store {0}: `theater store ls` lists them, `theater store new {0}` makes it")]
    NoStore(String),
    /// The store to be created exists already.
    #[error("the store {0} exists already")]
    Exists(String),
    /// A content that the store does not have.
    #[error("the store {store} has no content {hash}: store it there first")]
    NoContent {
        /// The store's id.
        store: String,
        /// The content's hash.
        hash: Hash,
    },
    /// An operator or a URL named a label that does not exist.
    #[error("the store {store} has no label {label:?}: `theater store ls {store}` lists what it has")]
    NoLabel {
        /// The store's id.
        store: String,
        /// The label.
        label: String,
    },
    /// A content cannot be removed because a label points to it.
    #[error("the label {label:?} of {store} points to {hash}: remove the label first")]
    Labelled {
        /// The store's id.
        store: String,
        /// The content's hash.
        hash: Hash,
        /// The first such label.
        label: String,
    },
    /// A content over `max_content_bytes`.
    #[error(
        "a content of {size} bytes is above the {max} allowed; in the handler store, config = {{ max_content_bytes = \
         {size} }} allows it, as far as the parent's config does"
    )]
    TooBig {
        /// The content's size in bytes.
        size: u64,
        /// The limit from the config.
        max: u64,
    },
    /// A store over `max_bytes`.
    #[error(
        "the store {store} has {bytes} bytes and {size} more would be above the {max} allowed; in the handler store, \
         config = {{ max_bytes = {} }} allows it, as far as the parent's config does", bytes.saturating_add(*size)
    )]
    Full {
        /// The store's id.
        store: String,
        /// Its current size in bytes.
        bytes: u64,
        /// The content's size in bytes.
        size: u64,
        /// The limit from the config.
        max: u64,
    },
    /// More stores than `max_stores`.
    #[error(
        "this actor has {made} stores, its maximum; in the handler store, config = {{ max_stores = {} }} allows one \
         more, as far as the parent's config does", made.saturating_add(1)
    )]
    TooMany {
        /// Number of stores it has created.
        made: u64,
    },
    /// More references than `max_references`.
    #[error(
        "the labels of store {store} have {references} references, the maximum; `remove-label` and \
         `remove-from-label` free some, and in the handler store, config = {{ max_references = {} }} allows one more, as far \
         as the parent's config does", references.saturating_add(1)
    )]
    TooManyReferences {
        /// The store's id.
        store: String,
        /// Current number of references.
        references: u64,
    },
    /// A content that is in the index but not on disk.
    #[error("the content {hash} is lost: {} is missing; storing the same bytes again repairs it", path.display())]
    Lost {
        /// The content.
        hash: Hash,
        /// The path of the missing file.
        path: PathBuf,
    },
    /// A content whose bytes do not match its hash.
    #[error("the content {hash} is damaged: {} is not what was stored; storing the same bytes again repairs it", path.display())]
    Damaged {
        /// The content.
        hash: Hash,
        /// Its file.
        path: PathBuf,
    },
    /// A file that could not be read or written.
    #[error("could not {step} {}: {source}", path.display())]
    File {
        /// The step that failed.
        step: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The index is open in another process.
    #[error("{} is in use by another process: let that one do it, or stop it first", .0.display())]
    InUse(PathBuf),
    /// The index failed. The change was not applied.
    #[error("the store's index failed: {0}")]
    Index(Box<redb::Error>),
    /// The data folder is not available.
    #[error("{0}")]
    Folder(String),
    /// The thread that was to commit this change failed.
    #[error("a change made together with others failed: try again")]
    Together,
}

impl From<Error> for String {
    fn from(error: Error) -> Self {
        error.to_string()
    }
}

impl Error {
    /// Wraps an error of the index.
    pub fn index(error: impl Into<redb::Error>) -> Self {
        Self::Index(Box::new(error.into()))
    }

    /// For `map_err`: adds the step and the file to an I/O error.
    pub fn file(step: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File { step, path: path.to_owned(), source }
    }
}
