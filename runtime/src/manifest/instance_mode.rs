//! How long an actor keeps its WebAssembly instance.

/// How long the instance is kept. The instance is only a cache: the state of an actor is its `state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum InstanceMode {
    /// The core may discard it between calls; it always does after `init`.
    #[default]
    Cached,
    /// Every call gets a new instance.
    Fresh,
    /// The instance is not discarded while the actor runs.
    Kept,
}

impl InstanceMode {
    /// The word in the manifest.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cached => "cached",
            Self::Fresh => "fresh",
            Self::Kept => "kept",
        }
    }
}
