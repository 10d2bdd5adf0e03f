//! Brings a recorded actor up: attaches its handlers, calls `init` and starts its task, or undoes all of it.

use std::sync::Arc;

use theater_plugin_api::FailureKind;

use crate::actor::{ActorHandle, End, START};
use crate::core::Core;
use crate::core::task::ActorTask;
use crate::core::task::detach::detach;
use crate::support::error::{Error, chain_of};
use crate::support::executor;
use crate::wasm::guest::Attached;

/// A failed start, with the handlers that are to be detached.
pub(in crate::core) struct StartFailure {
    pub(in crate::core) error: Error,
    pub(in crate::core) kind: FailureKind,
    pub(in crate::core) handlers: Arc<Vec<Attached>>,
}

impl StartFailure {
    pub(in crate::core) fn internal(error: Error, handlers: Arc<Vec<Attached>>) -> Self {
        Self { error, kind: FailureKind::Internal, handlers }
    }
}

impl Core {
    /// Brings a recorded actor up. Unless `quiet`, the parent is notified of a failure as of a death.
    pub(super) async fn run_start(self: &Arc<Self>, handle: &Arc<ActorHandle>, quiet: bool) -> Result<(), Error> {
        self.services.registry.insert(handle);
        // On a separate task: the start is finished or undone even when the caller is dropped.
        let (core, actor) = (Arc::clone(self), Arc::clone(handle));
        executor::spawn(async move { core.bring_up_or_undo(&actor, quiet).await }).await
    }

    async fn bring_up_or_undo(self: &Arc<Self>, handle: &Arc<ActorHandle>, quiet: bool) -> Result<(), Error> {
        match self.bring_up(handle).await {
            Ok(()) => Ok(()),
            Err(failed) => self.undo(handle, failed, quiet).await,
        }
    }

    /// Undoes a failed start: detaches the handlers and ends the chain with `failed`.
    pub(in crate::core) async fn undo(
        self: &Arc<Self>,
        handle: &Arc<ActorHandle>,
        failed: StartFailure,
        quiet: bool,
    ) -> Result<(), Error> {
        let StartFailure { error, kind, handlers } = failed;
        handle.cancelled().set();
        handle.end_children().await;
        detach(self, handle, handlers).await;
        let reason = chain_of(&error);
        handle.finish(End::Failed { function: START.to_owned(), kind, reason }, quiet);
        Err(error)
    }

    async fn bring_up(self: &Arc<Self>, handle: &Arc<ActorHandle>) -> Result<(), StartFailure> {
        let handlers = Arc::new(self.attach_all(handle).await?);
        let mut actor = ActorTask::new(Arc::clone(self), Arc::clone(handle), Arc::clone(&handlers));
        if let Err((what, kind)) = actor.init().await {
            drop(actor);
            return Err(StartFailure { error: Error::Actor { name: handle.name().to_owned(), what }, kind, handlers });
        }
        if let Err(error) = Self::notify_started(handle, &actor, false).await {
            drop(actor);
            return Err(StartFailure::internal(error, handlers));
        }
        drop(handlers);
        drop(executor::spawn(actor.run()));
        Ok(())
    }
}
