//! What a verification found wrong, and where.

use std::fmt;
use std::path::{Path, PathBuf};

use theater_encoding::uuid_text;

use crate::event::Id;
use crate::journal::segment::Damage;

/// The first thing that does not verify.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file.
    pub path: PathBuf,
    /// Where the frame starts, if the finding concerns one.
    pub offset: Option<u64>,
    /// The event, if the finding concerns one: actor and sequence.
    pub event: Option<(Id, u64)>,
    /// What is wrong.
    pub what: String,
}

impl Finding {
    /// Damage of a segment's file.
    #[must_use]
    pub fn damage(path: &Path, damage: &Damage) -> Self {
        let (offset, what) = match damage {
            Damage::Frame { offset, what } => (Some(*offset), (*what).to_owned()),
            other @ Damage::Header(_) => (None, other.to_string()),
        };
        Self { path: path.to_owned(), offset, event: None, what }
    }

    /// A finding about a file as a whole.
    #[must_use]
    pub fn file(path: &Path, what: String) -> Self {
        Self { path: path.to_owned(), offset: None, event: None, what }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if let Some(offset) = self.offset {
            write!(f, ", frame at offset {offset}")?;
        }
        if let Some((actor, sequence)) = self.event {
            write!(f, ", event {sequence} of actor {}", uuid_text(&actor))?;
        }
        write!(f, ": {}", self.what)
    }
}
