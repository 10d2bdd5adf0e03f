//! Creates the handle, handlers and task of one resumed actor. Nothing is visible outside before `launch`.
//!
//! A failure before the chain is continued leaves no trace. After that, `give_up` removes the actor from the registry
//! and leaves the chain resumable: no end is recorded.

use std::path::PathBuf;
use std::sync::Arc;

use theater_plugin_api::encoding::encode;

use theater_chain::event::{Chain, EventRef, NewEvent};
use theater_chain::journal::Sync;
use theater_chain::journal::segment::FramePosition;
use theater_chain::record::{Created, Failed, Kind};
use theater_chain::verify;

use crate::actor::remainder::UnfinishedCall;
use crate::actor::{ActorHandle, ActorSpec, End, START, Settings, StartMode};
use crate::core::Core;
use crate::core::resume::plan::RecordedEnd;
use crate::core::resume::read::{ChainTail, read_tail};
use crate::core::resume::recover::recover;
use crate::core::start::bring_up::StartFailure;
use crate::core::task::ActorTask;
use crate::core::task::detach::detach;
use crate::manifest::{Manifest, Under};
use crate::replay::parts::Parts;
use crate::replay::past::{ENDED_OK, ENDED_OTHERWISE, ResumePoint};
use crate::replay::resume::resume;
use crate::support::error::{ActorProblem, Error, chain_of};
use crate::support::executor;
use crate::wasm::guest::Attached;

/// A resumed actor before anyone is notified.
pub(super) struct ResumedActor {
    pub(super) handle: Arc<ActorHandle>,
    pub(super) role: ResumedRole,
    /// The last recorded host call, when a call is unfinished. A child whose chain begins after it is unknown to this
    /// actor.
    pub(super) last_host_call: Option<FramePosition>,
    /// The sequences of its unfinished calls.
    pub(super) unfinished: Vec<u64>,
}

/// What a resumed actor does.
pub(super) enum ResumedRole {
    /// It runs. `init` is set when its `init` had not ended: the unfinished call, or none when it was not queued yet.
    Runs { actor: Box<ActorTask>, handlers: Arc<Vec<Attached>>, init: Option<Option<Box<UnfinishedCall>>> },
    /// It has ended and waits for its parent's decision.
    Held { end: End, event: EventRef, is_notified: bool },
}

impl Core {
    /// Creates a resumed actor and its handlers.
    ///
    /// The finished calls are re-executed before the name is taken and the chain is continued: an actor whose calls
    /// differ keeps its chain untouched.
    pub(super) async fn revive(
        self: &Arc<Self>,
        parts: &Arc<Parts>,
        parent: Option<&Arc<ActorHandle>>,
        end: verify::ChainEnd,
        created: Created,
        recorded_end: RecordedEnd,
    ) -> Result<ResumedActor, Error> {
        let spec = self.recorded_spec(parent, &created).await?;
        let (folder, data, parts) = (self.data().join("journal"), self.data().to_owned(), Arc::clone(parts));
        let (id, newest, setups) = (end.chain.actor(), end.newest, end.setups);
        let is_running = matches!(recorded_end, RecordedEnd::Running);
        let replayed = executor::blocking(move || {
            let tail = read_tail((&folder, id), newest, &setups)
                .map_err(|source| theater_chain::Error::Read { path: folder.clone(), source })?;
            let ChainTail { setup, base, queued, events, .. } = &tail;
            let point = resume(&data, &parts, setup, base.as_ref(), queued, events, is_running)?;
            Ok::<_, Error>((tail, point))
        });
        let refused = |what: String| Error::Actor { name: created.name.clone(), what: ActorProblem::NotResumed(what) };
        let (tail, point) = replayed.await?;
        let point = point.map_err(|difference| {
            let at = difference.sequence;
            refused(format!("replay diverged at event {at}: {}", difference.what))
        })?;
        let mut inits = point.calls.iter().filter(|call| call.is_init());
        if is_running && inits.any(|init| init.result.as_ref() == ENDED_OTHERWISE) {
            self.record_failed_start(end.chain, end.newest, "its init had failed when the program ended")?;
            return Err(refused("its init had failed when the program ended".to_owned()));
        }
        let settings = Settings::new(end.chain.actor(), created.name.clone(), parent, &spec);
        if !self.names_of(parent).take_again(&created.name) {
            return Err(refused("another actor has its name".to_owned()));
        }
        self.services.journal.resume_chain(end.chain.actor(), end.newest);
        let mode = StartMode::Resumed(end.chain, point.state.share());
        let handle = ActorHandle::new(self.services_and_lifecycle(), settings, spec, mode);
        let last_host_call = (!point.waiting.is_empty()).then_some(tail.last_host);
        let unfinished = point.waiting.iter().map(|call| call.queued.sequence).collect();
        let revived = match self.adopt(&handle) {
            Ok(()) => {
                self.services.registry.insert(&handle);
                self.revive_parts(&handle, &created, tail, point, recorded_end).await
            }
            Err(error) => Err(error),
        };
        match revived {
            Ok(role) => Ok(ResumedActor { handle, role, last_host_call, unfinished }),
            Err(error) => {
                handle.give_up(chain_of(&error));
                Err(error)
            }
        }
    }

    /// Queues the unfinished calls of a registered actor, and attaches and recovers its handlers. Nothing runs yet.
    async fn revive_parts(
        self: &Arc<Self>,
        handle: &Arc<ActorHandle>,
        created: &Created,
        tail: ChainTail,
        point: ResumePoint,
        recorded_end: RecordedEnd,
    ) -> Result<ResumedRole, Error> {
        let refused =
            |what: String| Error::Actor { name: handle.name().to_owned(), what: ActorProblem::NotResumed(what) };
        let ResumePoint { waiting, calls, kept_calls, .. } = point;
        let (mut init, waiting): (Vec<_>, Vec<_>) = waiting.into_iter().partition(UnfinishedCall::is_init);
        let is_started =
            tail.base.is_some() || calls.iter().any(|call| call.is_init() && call.result.starts_with(ENDED_OK));
        // Queued before the handlers attach: an end that a call requested is placed after that call.
        handle.take_over(waiting).map_err(refused)?;
        if let RecordedEnd::Held { end, event, is_notified } = recorded_end {
            return Ok(ResumedRole::Held { end, event, is_notified });
        }
        let undone = |failure: StartFailure| async move {
            let StartFailure { error, handlers, .. } = failure;
            detach(self, handle, handlers).await;
            error
        };
        let handlers = match self.attach_all(handle).await {
            Ok(handlers) => Arc::new(handlers),
            Err(failure) => return Err(undone(failure).await),
        };
        let recovered = recover(&self.watch, handle, &handlers, &tail, &calls).and_then(|()| {
            self.record_changes(handle, created)?;
            let mut actor = ActorTask::new(Arc::clone(self), Arc::clone(handle), Arc::clone(&handlers));
            actor.record_resumption()?;
            Ok(Box::new(actor))
        });
        let recovered = match recovered {
            Ok(mut actor) => {
                actor.rebuild_memory(kept_calls.state, kept_calls.calls).await.map(|()| actor).map_err(refused)
            }
            Err(error) => Err(error),
        };
        match recovered {
            Ok(actor) => {
                Ok(ResumedRole::Runs { actor, handlers, init: (!is_started).then(|| init.pop().map(Box::new)) })
            }
            Err(error) => Err(undone(StartFailure::internal(error, handlers)).await),
        }
    }

    /// Returns what the actor was started from, with the component that its chain names. The permissions are those of
    /// today.
    async fn recorded_spec(
        self: &Arc<Self>,
        parent: Option<&Arc<ActorHandle>>,
        created: &Created,
    ) -> Result<ActorSpec, Error> {
        let missing = |digest: &str, error: std::io::Error| {
            let what = format!("the object {digest}, which it was started from: {error}");
            Error::Actor { name: created.name.clone(), what: ActorProblem::NotResumed(what) }
        };
        let object = |digest: &str| self.objects.get(digest).map_err(|error| missing(digest, error));
        let text = object(&created.setup.manifest)?;
        let text = String::from_utf8_lossy(&text);
        let (path, folder) = (PathBuf::from(&created.setup.path), PathBuf::from(&created.setup.folder));
        let mut manifest = Manifest::substituted(&path, &folder, &text)?;
        manifest.kept = Some(created.setup.component.clone());
        let state = created.init_state.as_deref().map(object).transpose()?;
        let under = match parent {
            // The component and the first state come from the chain: no file is opened.
            Some(parent) => Under {
                parent: parent.id_text(),
                ceilings: &parent.origin().below,
                limits: parent.limits().for_children(),
                files: None,
            },
            None => self.top(),
        };
        let (manifest, prepared) = self.prepare_cached(&manifest, under).await?;
        Ok(prepared.actor_spec(manifest, state.map(Arc::new)))
    }

    /// Records `swapped` when a plugin, the core or a config differs from the recorded one.
    fn record_changes(&self, handle: &ActorHandle, before: &Created) -> Result<(), Error> {
        let data = self.created_data(handle)?;
        if encode(before).unwrap_or_default() != data {
            handle.record(&NewEvent::plain(Kind::Swapped, &data))?;
        }
        Ok(())
    }

    /// Ends the chain of an actor whose start failed without a recorded end.
    pub(super) fn record_failed_start(&self, mut chain: Chain, newest: FramePosition, why: &str) -> Result<(), Error> {
        self.services.journal.resume_chain(chain.actor(), newest);
        let failed = Failed { step: START.to_owned(), message: why.to_owned() };
        let data = encode(&failed).unwrap_or_default();
        self.services.journal.append(&mut chain, &NewEvent::plain(Kind::Failed, &data), Sync::Batch)?;
        Ok(())
    }
}
