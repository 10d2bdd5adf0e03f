//! A file and a line that an error refers to.

use std::fmt;
use std::path::{Path, PathBuf};

/// A place in a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceLocation {
    /// The file.
    pub path: PathBuf,
    /// The line, from 1.
    pub line: Option<usize>,
}

impl SourceLocation {
    /// A location in a file, without a line.
    #[must_use]
    pub fn file(path: &Path) -> Self {
        Self { path: path.to_owned(), line: None }
    }
}

impl fmt::Display for SourceLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        self.line.map_or(Ok(()), |line| write!(f, ":{line}"))
    }
}

/// The location as the start of a message; empty if there is none.
pub(super) fn at(place: &Option<SourceLocation>) -> String {
    place.as_ref().map_or_else(String::new, |place| format!("{place}: "))
}
