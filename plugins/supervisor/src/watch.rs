//! Watches the children of one actor: notifies the actor of each death, then applies the strategy.
//!
//! Invariant: a death is recorded in the parent's chain before anything else happens to the child. The core holds a
//! child from its death until this module restarts or releases it.
//!
//! Restarts of one child are sequential by construction: the core reports the next death of a child only after the
//! previous start has succeeded or failed. Restarts of different children run concurrently, so a slow `init` does not
//! delay other notifications.

use std::time::{Duration, Instant};

use futures_lite::future::or;
use theater_plugin_api::{Bytes, CallError, ChildEnd, Ending, FailureKind, Host, Level};

use crate::strategy::{Decision, Strategy};
use crate::theater::simple::supervisor_handlers::{
    invoke_handle_child_error, invoke_handle_child_exit, invoke_handle_child_external_stop,
};
use crate::theater::simple::types::{WitActorError, WitErrorType};

/// Delay before retrying a notification that could not be recorded.
const PAUSE: Duration = Duration::from_millis(200);

/// The watch over one actor's children.
pub struct ChildWatcher {
    host: Host,
    strategy: Strategy,
}

impl ChildWatcher {
    /// Creates the watch for the actor that `host` belongs to.
    pub fn new(host: Host, strategy: Strategy) -> Self {
        Self { host, strategy }
    }

    /// Runs until the actor ends. Then the core stops the children, without notifications.
    pub async fn run(mut self) {
        while let Ok(end) = self.host.next_child_end().await {
            if !self.notify_parent(&end).await {
                return;
            }
            self.settle(end);
        }
    }

    /// Notifies the actor of a death, retrying while it cannot be recorded. Returns false if the actor itself is
    /// ending.
    async fn notify_parent(&self, end: &ChildEnd) -> bool {
        loop {
            match call_supervision_export(&self.host, end).await {
                // An actor without the export is not notified. The death is recorded all the same.
                Ok(()) | Err(CallError::Absent(_)) => return true,
                // Either the actor is ending, or the notification cannot be recorded at the moment.
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
                    self.host.log(Level::Error, &format!("{}: the actor could not be notified: {error}", news(end)));
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

    /// Restarts the child in a task. A failed start is another death, which the core reports, so it is only logged
    /// here.
    fn start_again(&self, end: ChildEnd) {
        self.host.count("restarts", 1.0);
        let host = self.host.clone();
        self.host.spawn(async move {
            match host.restart_held_child(&end.child).await {
                Ok(()) => host.log(Level::Info, &format!("{}: restarted", news(&end))),
                Err(error) => host.log(Level::Info, &format!("{}: could not be restarted: {error}", news(&end))),
            }
        });
    }

    fn fail(&self, sentence: &str) {
        if let Err(error) = self.host.fail(sentence) {
            self.host.log(Level::Error, &format!("{sentence}; could not make this actor fail: {error}"));
        }
    }
}

/// Queues the notification call to the parent, ahead of all waiting calls, and returns once it is recorded.
async fn call_supervision_export(host: &Host, end: &ChildEnd) -> Result<(), CallError> {
    let (child, source) = (&end.child, news(end));
    let call = match &end.ending {
        Ending::Exit(data) => invoke_handle_child_exit(child, data)?,
        Ending::Stopped => invoke_handle_child_external_stop(child)?,
        Ending::Failed { kind, causes } => invoke_handle_child_error(child, &actor_error(*kind, causes))?,
    };
    host.post(call, &source, None, true).await
}

/// Describes a death in a few words, for the log and as the cause of the call.
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
