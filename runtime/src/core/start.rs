//! Starts actors: new ones, and ended ones again with the same id and chain.
//!
//! The order matters. The name is taken and the parent's child table knows the actor before anything is recorded, so
//! two starts cannot claim the same name; memory is charged before it is used. `created` or `restarted` is recorded
//! before any handler is attached, so every effect of a start has an event in front of it. Each failure undoes exactly
//! what the steps before it did.
//!
//! [`bring_up`](self::bring_up) attaches the handlers and calls `init`.

use std::path::Path;
use std::sync::Arc;

use theater_plugin_api::FailureKind;

use theater_chain::record::Kind;

use crate::actor::child_table::ChildRefused;
use crate::actor::{ActorHandle, ActorSpec, BY_PROGRAM, End, PROGRAM_GRACE, START, Settings, StartMode};
use crate::core::Core;
use crate::manifest::{InitState, Manifest, Under};
use crate::support::error::{ActorProblem, Error, ManifestProblem, chain_of};
use crate::support::{executor, files};

pub(super) mod attach;
pub(super) mod bring_up;

impl Core {
    /// Starts a top-level actor and returns when it is ready. Manifests with the same path and text share what was
    /// prepared.
    ///
    /// # Errors
    /// Everything that can be wrong with a manifest, its component and its handlers, and a failed `init`.
    pub async fn start(self: &Arc<Self>, manifest: &Manifest) -> Result<Arc<ActorHandle>, Error> {
        let spec = self.actor_spec(manifest, self.top(), None).await?;
        self.start_new(None, spec).await
    }

    /// Returns everything an actor is started from. `state` replaces the first state of the manifest.
    pub(crate) async fn actor_spec(
        self: &Arc<Self>,
        manifest: &Manifest,
        under: Under<'_>,
        state: Option<Vec<u8>>,
    ) -> Result<ActorSpec, Error> {
        let (manifest, prepared) = self.prepare_cached(manifest, under).await?;
        let state = match state {
            Some(state) => Some(state),
            None => Self::initial_state(&manifest, under).await?,
        };
        Ok(prepared.actor_spec(manifest, state.map(Arc::new)))
    }

    /// Returns the first state that a manifest names. A file is read on a blocking thread.
    ///
    /// # Errors
    /// `M0009` for a file that cannot be read, `A0008` and `A0009` for a file that an actor may not name.
    pub async fn initial_state(manifest: &Manifest, under: Under<'_>) -> Result<Option<Vec<u8>>, Error> {
        let path = match &manifest.init_state {
            None => return Ok(None),
            Some(InitState::Json(json)) => return Ok(Some(json.to_string().into_bytes())),
            Some(InitState::Path(path)) => path.clone(),
        };
        let unreadable = |reason: String| Error::Manifest {
            place: manifest.place("init_state"),
            what: ManifestProblem::Value {
                key: "init_state".to_owned(),
                reason,
                help: "a relative path starts at the manifest's folder; inline: init_state = { json = .. }".to_owned(),
            },
        };
        let (grants, folder) = (under.files.cloned(), manifest.folder.clone());
        let read = move || match grants {
            None => {
                let path = folder.join(&path);
                let read = files::read(&path, files::MAX_STATE);
                read.map_err(|error| Ok(format!("{}: {error}", path.display())))
            }
            Some(grants) => {
                let refused = |refused| Err((path.clone(), refused));
                grants.read_state(&folder, Path::new(&path)).map_err(refused)
            }
        };
        match files::off_executor(read).await {
            None => Err(unreadable(files::TOO_SLOW.to_owned())),
            Some(Ok(state)) => Ok(Some(state)),
            Some(Err(Ok(reason))) => Err(unreadable(reason)),
            Some(Err(Err((path, refused)))) => Err(refused.error(&path, "state_paths")),
        }
    }

    /// Starts a new actor and returns when it is ready.
    pub(crate) async fn start_new(
        self: &Arc<Self>,
        parent: Option<&Arc<ActorHandle>>,
        spec: ActorSpec,
    ) -> Result<Arc<ActorHandle>, Error> {
        let id = *uuid::Uuid::new_v4().as_bytes();
        let name = self.names_of(parent).take(&spec.manifest.name);
        let handle = ActorHandle::new(
            self.services_and_lifecycle(),
            Settings::new(id, name, parent, &spec),
            spec,
            StartMode::New,
        );
        if let Err(error) = self.adopt(&handle) {
            self.names_of(parent).give_back(handle.name());
            return Err(error);
        }
        self.record_start_or_end(&handle, Kind::Created, true)?;
        // No actor can wait for one that is only starting, so this wait closes no cycle.
        let waiting = parent.and_then(|parent| self.services.waits.hold(parent.id(), id, "spawn").ok());
        let ready = self.run_start(&handle, true).await;
        drop(waiting);
        ready.map(|()| handle)
    }

    /// Starts an ended actor again, with the same id and chain. Unless `quiet`, the parent is notified of a failed
    /// start as of a death.
    pub(crate) async fn start_again(
        self: &Arc<Self>,
        before: &Arc<ActorHandle>,
        name: String,
        spec: ActorSpec,
        quiet: bool,
    ) -> Result<(), Error> {
        let charges = before.take_charges();
        let settings = Settings::new(before.id(), name, before.parent(), &spec);
        let handle = ActorHandle::new(self.services_and_lifecycle(), settings, spec, StartMode::Again(before));
        let adopted = self.adopt(&handle);
        if let Err(error) = adopted {
            // The actor ends for good, so that its waiters are answered: nothing else would answer them.
            before.put_charges(charges);
            {
                let _whole = before.parent().map(|parent| parent.child_table().lock_releases());
                if before.parent().is_none_or(|parent| parent.child_table().let_go_claimed(before.id())) {
                    before.let_go();
                }
            }
            if handle.name() != before.name() {
                self.names_of(before.parent()).give_back(handle.name());
            }
            return Err(error);
        }
        if handle.parent().is_none() {
            before.settle(Some(&handle));
        }
        self.record_start_or_end(&handle, Kind::Restarted, quiet)?;
        self.run_start(&handle, quiet).await
    }

    /// Starts an ended top-level actor again from its last state, as its restart policy demands.
    pub(super) fn restart_top_level(self: &Arc<Self>, before: &ActorHandle) {
        let (core, id) = (Arc::clone(self), before.id());
        let again = async move {
            let Some(before) = core.services.registry.get(id) else { return };
            if core.services.stopped.is_set() {
                before.let_go();
                return before.settle(None);
            }
            let mut spec = before.origin().clone();
            spec.state = before.state();
            let (actor, name) = (before.short_id(), before.name());
            match core.start_again(&before, name.to_owned(), spec, false).await {
                Ok(()) => tracing::warn!(actor, name, "restarted the actor from its last state"),
                // A failed start counts as an end: the restart policy tries again or gives up.
                Err(error) => tracing::error!(actor, name, "could not restart the actor: {}", chain_of(&error)),
            }
            before.settle_unless_known();
            // The program may have started to stop, and listed the running actors, before this one was registered.
            if core.services.stopped.is_set()
                && let Some(actor) = core.services.registry.get(id)
            {
                actor.stop(BY_PROGRAM, PROGRAM_GRACE).await;
            }
        };
        drop(executor::spawn(again));
    }

    /// Records a start. An actor whose start cannot be recorded ends.
    fn record_start_or_end(&self, handle: &Arc<ActorHandle>, kind: Kind, quiet: bool) -> Result<(), Error> {
        self.record_start(handle, kind).inspect_err(|error| {
            let function = START.to_owned();
            handle.finish(End::Failed { function, kind: FailureKind::Internal, reason: error.to_string() }, quiet);
        })
    }

    /// Charges the actor's memory and adds it to its parent's child table.
    pub(super) fn adopt(&self, handle: &Arc<ActorHandle>) -> Result<(), Error> {
        let refused = |what| Error::Actor { name: handle.name().to_owned(), what };
        handle.charge_start().map_err(|exceeded| refused(ActorProblem::OverBudget(exceeded.to_string())))?;
        let Some(parent) = handle.parent() else { return Ok(()) };
        parent.child_table().live(handle).map_err(|refusal| {
            refused(match refusal {
                ChildRefused::ParentEnding => ActorProblem::ParentEnding(parent.name().to_owned()),
                ChildRefused::TooMany { key, limit, whose } => ActorProblem::TooMany { key, limit, whose },
            })
        })
    }
}
