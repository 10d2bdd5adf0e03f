//! The options of a replay.

use std::path::PathBuf;

/// Options of a replay.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// A component file to run in place of the recorded component.
    pub component: Option<PathBuf>,
    /// The last event to read.
    pub until: Option<u64>,
    /// Create a new instance for each call, whatever was recorded. This finds state that is kept in linear memory.
    pub fresh: bool,
}
