//! Errors of chains, the journal and the data folder, each with a stable code and advice.

use std::io;
use std::path::PathBuf;

use crate::finding::Finding;
use crate::journal::types::JournalError;

/// An error of this crate. The codes are part of the program's list of stable codes: `J` for chains and the journal, `S`
/// for the data folder and keys.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The journal cannot be written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The journal or an exported chain cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The chain does not exist.
    #[error("there is no chain {id:?} in {}", path.display())]
    NoSuchChain {
        /// The requested id or name.
        id: String,
        /// The data folder or file that was searched.
        path: PathBuf,
    },
    /// The event does not exist.
    #[error("there is no event {id} in {}", path.display())]
    NoSuchEvent {
        /// The requested event.
        id: String,
        /// The data folder or file that was searched.
        path: PathBuf,
    },
    /// The chain does not verify.
    #[error("{0}")]
    Invalid(Box<Finding>),
    /// A bundle cannot be written.
    #[error("the bundle {} cannot be written: {source}", path.display())]
    Bundle {
        /// The target folder.
        path: PathBuf,
        /// The system's error, or that the folder is not empty.
        source: io::Error,
    },
    /// The data folder cannot be used.
    #[error("the data folder {} cannot be used: {source}", path.display())]
    DataDir {
        /// The folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Other users can write to the data folder.
    #[error("the data folder {} {reason}", path.display())]
    DataDirShared {
        /// The folder.
        path: PathBuf,
        /// Which users.
        reason: String,
        /// The command that fixes it.
        fix: String,
    },
    /// Another process has locked the data folder.
    #[error("the data folder {} is in use by another theater, process {pid}", path.display())]
    DataDirInUse {
        /// The folder.
        path: PathBuf,
        /// The other process's id, or `unknown`.
        pid: String,
    },
    /// The data folder has another format.
    #[error("the data folder {} has format {found}, this program reads format {expected}", path.display())]
    DataDirFormat {
        /// The folder.
        path: PathBuf,
        /// The format in the folder's `FORMAT` file.
        found: String,
        /// The format of this program.
        expected: u32,
    },
    /// A key file cannot be used.
    #[error("the key {} cannot be used: {reason}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The system returned no random bytes for a new key.
    #[error("no key could be created: the system returned no random bytes")]
    NoRandomBytes,
}

impl Error {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Journal(_) => "J0001",
            Self::Read { .. } => "J0002",
            Self::NoSuchChain { .. } => "J0003",
            Self::Invalid(_) => "J0004",
            Self::NoSuchEvent { .. } => "J0005",
            Self::Bundle { .. } => "J0007",
            Self::DataDir { .. } => "S0001",
            Self::DataDirInUse { .. } => "S0002",
            Self::DataDirFormat { .. } => "S0003",
            Self::NoRandomBytes => "S0005",
            Self::Key { .. } => "S0006",
            Self::DataDirShared { .. } => "S0007",
        }
    }

    /// What the user can do about it.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        Some(match self {
            Self::Journal(_) => "free space on the disk or name another folder with --data DIR".to_owned(),
            Self::Read { .. } => {
                "check the path; the data folder is named with --data DIR or THEATER_HOME, without them it is ./.theater".to_owned()
            }
            Self::NoSuchChain { .. } => "`theater chain list` lists them".to_owned(),
            Self::NoSuchEvent { .. } => {
                "write CHAIN:SEQUENCE, or 8 digits or more of the event's hash; `theater events` lists them".to_owned()
            }
            Self::Invalid(_) => return None,
            Self::Bundle { .. } => "name a new or empty folder with --to FOLDER".to_owned(),
            Self::DataDir { .. } => "name a folder that can be written with --data DIR or THEATER_HOME".to_owned(),
            Self::DataDirShared { fix, .. } => {
                format!("{fix}\nor name another folder with --data DIR: users who can write to it can change what actors do")
            }
            Self::DataDirInUse { .. } => "stop the other one, or name another folder with --data DIR".to_owned(),
            Self::DataDirFormat { .. } => {
                "read it with the program that wrote it, or name another folder with --data DIR".to_owned()
            }
            Self::Key { .. } => "`theater chain key FILE` makes a new one".to_owned(),
            Self::NoRandomBytes => {
                "it needs threads, memory and address space: see ulimit -u, ulimit -v and --memory".to_owned()
            }
        })
    }
}
