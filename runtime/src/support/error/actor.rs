//! What can happen to an actor.

/// What happened to an actor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ActorProblem {
    /// `init` returned `err`.
    #[error("did not start: init returned err: {0}")]
    InitErr(String),
    /// `init` trapped or took too long.
    #[error("did not start: init {0}")]
    InitFailed(String),
    /// It requested its own end, or was stopped, while it started.
    #[error("did not start: it was asked to stop before it was ready")]
    InitShutdown,
    /// Its parent is ending and starts no more children.
    #[error("did not start: its parent {0:?} is ending")]
    ParentEnding(String),
    /// It cannot be resumed from its chain.
    #[error("cannot be resumed: {0}")]
    NotResumed(String),
    /// An ancestor has reached its limit of children, descendants or depth.
    #[error("did not start: actor {whose:?} has as many as {key} = {limit} allows")]
    TooMany {
        /// The key of `[limits]`.
        key: &'static str,
        /// Its value.
        limit: u64,
        /// The name of the ancestor.
        whose: String,
    },
    /// A memory budget is exhausted.
    #[error("did not start: {0}")]
    OverBudget(String),
    /// A call failed the actor.
    #[error("failed in {function}: {reason}")]
    Failed {
        /// `interface/function`.
        function: String,
        /// Why.
        reason: String,
    },
}

impl ActorProblem {
    pub(super) fn help(&self, name: &str) -> Option<String> {
        Some(match self {
            Self::InitErr(_) | Self::InitFailed(_) | Self::Failed { .. } => {
                format!("`theater chain show {name}` shows what it saw and did")
            }
            Self::NotResumed(_) => format!(
                "`theater chain show {name}` shows what it saw and did, `theater replay {name}` whether its calls give the same \
                 results; `theater chain rm {name}` deletes it"
            ),
            Self::TooMany { key, .. } => {
                format!("stop some of them, or raise {key} in [limits] of that actor's manifest, and of those above it")
            }
            Self::OverBudget(_) => "end what is not needed, or start the program with a larger --memory".to_owned(),
            _ => return None,
        })
    }
}
