//! What can be wrong with a handler of an actor.

use std::path::PathBuf;

/// What is wrong with a handler.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandlerProblem {
    /// No plugin has the handler type.
    #[error("no plugin in {} has this handler type", folder.display())]
    NoPlugin {
        /// The plugin folder.
        folder: PathBuf,
        /// The most similar type, or all known types.
        suggestion: String,
    },
    /// Two handlers of one actor offer one interface.
    #[error("it offers {interface}, and so does handler {other:?}")]
    Twice {
        /// The interface.
        interface: String,
        /// The other handler.
        other: String,
    },
    /// The plugin refused to attach.
    #[error("{0}")]
    Attach(String),
    /// The plugin panicked in `attach`.
    #[error("plugin {plugin:?} panicked in attach: {message}")]
    AttachPanicked {
        /// The plugin.
        plugin: String,
        /// The panic's message.
        message: String,
    },
    /// The plugin refused `started`.
    #[error("it did not start: {0}")]
    Started(String),
    /// The plugin could not compute the permissions of the handler from its config and the permissions of the parent.
    #[error("its permissions could not be computed: {0}")]
    Narrow(String),
    /// The plugin cannot resume from its events in the chain.
    #[error("it cannot be resumed: {0}")]
    NotResumed(String),
}

impl HandlerProblem {
    pub(super) fn help(&self) -> Option<String> {
        Some(match self {
            Self::NoPlugin { suggestion, .. } => {
                format!(
                    "{suggestion}\nfor another type put its plugin into that folder, or name another folder with --plugins DIR"
                )
            }
            Self::Twice { .. } => "remove one of the two entries: an interface has one handler".to_owned(),
            Self::NotResumed(_) => {
                "the plugin version it ran with may be able to resume it: `theater chain show` names that version and its digest".to_owned()
            }
            _ => return None,
        })
    }
}
