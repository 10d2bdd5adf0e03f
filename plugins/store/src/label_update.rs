//! What a put or a call of `label` does to a label.

/// Which label, if any, references a content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LabelUpdate {
    /// No label.
    Unlabelled,
    /// This label, as its newest reference.
    Newest(String),
    /// This label, as its only reference.
    Only(String),
}

impl LabelUpdate {
    /// The label, if there is one.
    pub fn label(&self) -> Option<&str> {
        match self {
            Self::Unlabelled => None,
            Self::Newest(label) | Self::Only(label) => Some(label),
        }
    }
}
