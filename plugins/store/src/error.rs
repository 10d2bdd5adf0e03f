//! What can go wrong, in words for the actor and the operator.

use std::io;
use std::path::{Path, PathBuf};

use crate::names::Hash;

/// Why a call gave no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Text that cannot be a store's id.
    #[error(
        "{0} is no store id: it is what new answered, or a name of 1 to 64 of the characters a-z, A-Z, 0-9, '.', '_' and \
         '-', the first a letter or digit"
    )]
    BadStore(String),
    /// Text that cannot be a hash.
    #[error("{0} is no hash: a content's hash is its SHA-256 as 64 hexadecimal digits in lower case")]
    BadHash(String),
    /// Text that cannot be a label.
    #[error("{0} is no label: a label has 1 to 512 bytes of printable UTF-8")]
    BadLabel(String),
    /// A store the caller does not see, whether there is one or not.
    #[error(
        "this actor has no store {0}: new makes one, and in the handler store, config = {{ stores = [\"{0}\"] }} grants a \
         shared one, as far as the parent's config does"
    )]
    NotSeen(String),
    /// A store that an operator asks for.
    #[error("there is no store {0}: `theater store ls` lists them, `theater store new {0}` makes it")]
    NoStore(String),
    /// A name an operator wants to make a store of.
    #[error("there is a store {0} already")]
    Exists(String),
    /// A content the store does not have.
    #[error("the store {store} has no content {hash}: store it there first")]
    NoContent {
        /// The store's id.
        store: String,
        /// The content's.
        hash: Hash,
    },
    /// A label that an operator or a URL asks for.
    #[error("the store {store} has no label {label:?}: `theater store ls {store}` lists what it has")]
    NoLabel {
        /// The store's id.
        store: String,
        /// The label.
        label: String,
    },
    /// A content that labels point to.
    #[error("the label {label:?} of {store} points to {hash}: remove the label first")]
    Labelled {
        /// The store's id.
        store: String,
        /// The content's.
        hash: Hash,
        /// The first of the labels.
        label: String,
    },
    /// A content over `max_content_bytes`.
    #[error(
        "a content of {size} bytes is above the {max} allowed; in the handler store, config = {{ max_content_bytes = \
         {size} }} allows it, as far as the parent's config does"
    )]
    TooBig {
        /// The content's bytes.
        size: u64,
        /// The config's.
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
        /// What it has.
        bytes: u64,
        /// The content's bytes.
        size: u64,
        /// The config's.
        max: u64,
    },
    /// More stores than `max_stores`.
    #[error(
        "this actor made {made} stores, as many as it may; in the handler store, config = {{ max_stores = {} }} allows one \
         more, as far as the parent's config does", made.saturating_add(1)
    )]
    TooMany {
        /// How many it made.
        made: u64,
    },
    /// More references than `max_references`.
    #[error(
        "the labels of store {store} have {references} references, as many as they may; `remove-label` and \
         `remove-from-label` free some, and in the handler store, config = {{ max_references = {} }} allows one more, as far \
         as the parent's config does", references.saturating_add(1)
    )]
    TooManyReferences {
        /// The store's id.
        store: String,
        /// How many there are.
        references: u64,
    },
    /// A content the index names and the disk does not have.
    #[error("the content {hash} is lost: {} is missing; storing the same bytes again repairs it", path.display())]
    Lost {
        /// The content.
        hash: Hash,
        /// Where it should be.
        path: PathBuf,
    },
    /// A content whose bytes have another hash.
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
        /// What was tried.
        step: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The index is open in another process.
    #[error("{} is in use by another process: let that one do it, or stop it first", .0.display())]
    InUse(PathBuf),
    /// The index failed; nothing of the change was made.
    #[error("the store's index failed: {0}")]
    Index(Box<redb::Error>),
    /// The data folder could not be had.
    #[error("{0}")]
    Folder(String),
    /// The thread that commits this change failed.
    #[error("a change made together with others failed: try again")]
    Together,
}

impl From<Error> for String {
    fn from(error: Error) -> Self {
        error.to_string()
    }
}

impl Error {
    /// The index's own error.
    pub fn index(error: impl Into<redb::Error>) -> Self {
        Self::Index(Box::new(error.into()))
    }

    /// For `map_err`: what was tried with which file.
    pub fn file(step: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File { step, path: path.to_owned(), source }
    }
}
