//! How an actor ended, and what follows from that for its parent and for a resume.

use theater_plugin_api::{Ending, FailureKind};

/// How an actor ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// It was stopped, by others or by itself.
    Stopped {
        /// Who requested the stop.
        reason: String,
        /// The argument of `shutdown`.
        data: Option<Vec<u8>>,
    },
    /// It failed.
    Failed {
        /// The export that was running.
        function: String,
        /// The kind of the failure.
        kind: FailureKind,
        /// Why.
        reason: String,
    },
}

/// A request to stop, or to fail, an actor after its running call.
#[derive(Debug, Clone)]
pub(crate) struct StopRequest {
    pub(crate) reason: String,
    pub(crate) data: Option<Vec<u8>>,
    // If set, the actor ends as failed, with this reason.
    pub(crate) failure: Option<String>,
}

impl From<StopRequest> for End {
    fn from(request: StopRequest) -> Self {
        let StopRequest { reason, data, failure } = request;
        match failure {
            Some(reason) => {
                Self::Failed { function: "its supervision".to_owned(), kind: FailureKind::Internal, reason }
            }
            None => Self::Stopped { reason, data },
        }
    }
}

/// The step of a failed start, in place of an export.
pub(crate) const START: &str = "start";

/// Reason of a stop: the actor requested it itself.
pub const BY_ITSELF: &str = "shutdown";

/// Reason of a stop: the actor is restarted.
pub const TO_RESTART: &str = "restart";

/// Reason of a stop: the program ends. The actor can be resumed.
pub const BY_PROGRAM: &str = "program";

/// Reason of a stop: the parent ends, or stops it.
pub const BY_PARENT: &str = "parent";

/// Reason of an interrupted call that was still queued: no instance has seen it.
pub(crate) const NOT_BEGUN: &str = "the actor ended before it began";

impl End {
    /// The end that the parent is notified of; `None` for a stop that is part of a restart.
    pub(crate) fn for_parent(&self) -> Option<Ending> {
        match self {
            Self::Stopped { reason, .. } if reason == TO_RESTART => None,
            Self::Stopped { reason, data } if reason == BY_ITSELF => Some(Ending::Exit(data.clone().map(Into::into))),
            Self::Stopped { .. } => Some(Ending::Stopped),
            Self::Failed { kind, reason, .. } => Some(Ending::Failed { kind: *kind, causes: reason.clone() }),
        }
    }

    /// The same end without the argument of `shutdown`: the parent has it by now, and ended actors stay in memory.
    pub(crate) fn without_data(self) -> Self {
        match self {
            Self::Stopped { reason, .. } => Self::Stopped { reason, data: None },
            failed @ Self::Failed { .. } => failed,
        }
    }

    /// Whether the actor can be resumed.
    pub(crate) fn is_resumable(&self) -> bool {
        match self {
            Self::Stopped { reason, .. } => reason == BY_PROGRAM,
            Self::Failed { .. } => true,
        }
    }

    /// Whether the actor ended by itself, by a failure or by `shutdown`, and was not stopped.
    pub(crate) fn is_own(&self) -> bool {
        matches!(self.for_parent(), Some(Ending::Failed { .. } | Ending::Exit(_)))
    }

    /// Whether the parent may restart the actor: it was not stopped.
    pub(crate) fn is_held(&self) -> bool {
        !matches!(self.for_parent(), Some(Ending::Stopped))
    }
}
