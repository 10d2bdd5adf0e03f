//! One actor's watch over its children: each death is told first, then the strategy decides.
//!
//! Invariant: a death is recorded at the parent before anything else happens to the child. The core holds a child from its
//! death on, until it is started again or let go here.
//!
//! Restarts of one child come one after the other by construction: the core tells the next death of a child only when the
//! start before has ended, well or badly. Those of different children run side by side, so that a slow `init` delays
//! nobody's news.

use std::time::{Duration, Instant};

use futures_lite::future::or;
use theater_plugin_api::{Bytes, CallError, ChildEnd, Ending, FailureKind, Host, Level};

use crate::strategy::{Decision, Strategy};
use crate::theater::simple::supervisor_handlers::{
    invoke_handle_child_error, invoke_handle_child_exit, invoke_handle_child_external_stop,
};
use crate::theater::simple::types::{WitActorError, WitErrorType};

/// Before a death is told again that could not be recorded.
const PAUSE: Duration = Duration::from_millis(200);

/// An actor's watch.
pub struct Watch {
    host: Host,
    strategy: Strategy,
}

impl Watch {
    /// Of the actor of this host.
    pub fn new(host: Host, strategy: Strategy) -> Self {
        Self { host, strategy }
    }

    /// Ends when the actor is ending: then the core ends the children, and nobody is told.
    pub async fn run(mut self) {
        while let Ok(end) = self.host.next_child_end().await {
            if !self.told(&end).await {
                return;
            }
            self.settle(end);
        }
    }

    /// Tells the actor of a death; false when it is ending itself.
    async fn told(&self, end: &ChildEnd) -> bool {
        loop {
            match tell(&self.host, end).await {
                // An actor without the export lives with what is recorded.
                Ok(()) | Err(CallError::Absent(_)) => return true,
                // It is ending, or what it is told cannot be recorded at the moment.
                Err(CallError::Gone(_)) => {
                    let ending = async {
                        self.host.cancelled().await;
                        true
                    };
                    let again = async {
                        self.host.sleep(PAUSE).await;
                        false
                    };
                    if or(ending, again).await {
                        return false;
                    }
                }
                Err(error) => {
                    self.host.log(Level::Error, &format!("{}: could not be told: {error}", news(end)));
                    return true;
                }
            }
        }
    }

    fn settle(&mut self, end: ChildEnd) {
        match self.strategy.decide(&end, Instant::now()) {
            Decision::LetGo => self.let_go(&end),
            Decision::StartAgain => self.start_again(end),
            Decision::GiveUp(sentence) => {
                self.let_go(&end);
                self.fail(&sentence);
            }
        }
    }

    fn let_go(&self, end: &ChildEnd) {
        if let Err(sentence) = self.host.release_child(&end.child) {
            self.host.log(Level::Debug, &format!("{}: {sentence}", news(end)));
        }
    }

    /// A start that fails is a death of its own, which the core tells: nothing is left to do here but to log it.
    fn start_again(&self, end: ChildEnd) {
        self.host.count("restarts", 1.0);
        let host = self.host.clone();
        self.host.spawn(async move {
            match host.restart_held_child(&end.child).await {
                Ok(()) => host.log(Level::Info, &format!("{}: it was started again", news(&end))),
                Err(error) => host.log(Level::Info, &format!("{}: it was not started again: {error}", news(&end))),
            }
        });
    }

    fn fail(&self, sentence: &str) {
        if let Err(error) = self.host.fail(sentence) {
            self.host.log(Level::Error, &format!("{sentence}; this actor should fail, but {error}"));
        }
    }
}

/// Queues the call that tells the parent, before all that waits, and ends once it is recorded.
async fn tell(host: &Host, end: &ChildEnd) -> Result<(), CallError> {
    let (child, source) = (&end.child, news(end));
    let call = match &end.ending {
        Ending::Exit(data) => invoke_handle_child_exit(child, data)?,
        Ending::Stopped => invoke_handle_child_external_stop(child)?,
        Ending::Failed { kind, causes } => invoke_handle_child_error(child, &actor_error(*kind, causes))?,
    };
    host.post(call, &source, None, true).await
}

/// A death in a few words.
fn news(end: &ChildEnd) -> String {
    let what = match end.ending {
        Ending::Exit(_) => "ended",
        Ending::Stopped => "was stopped",
        Ending::Failed { .. } => "failed",
    };
    format!("child {} ({}) {what}", end.name, end.child)
}

fn actor_error(kind: FailureKind, causes: &str) -> WitActorError {
    let error_type = match kind {
        FailureKind::Timeout => WitErrorType::OperationTimeout,
        FailureKind::FunctionNotFound => WitErrorType::FunctionNotFound,
        FailureKind::TypeMismatch => WitErrorType::TypeMismatch,
        FailureKind::Serialization => WitErrorType::SerializationError,
        FailureKind::ShuttingDown => WitErrorType::ShuttingDown,
        FailureKind::Internal => WitErrorType::Internal,
    };
    WitActorError { error_type, data: Some(Bytes::from(causes)) }
}
