//! The last step of a resume: notifies handlers and parents, and starts the tasks of the revived actors.
//!
//! The order keeps two invariants. All handlers are notified before any actor runs, so a call finds its target
//! ready. Parents are notified of deaths before they run, so the notification comes before any new call.

use std::collections::HashSet;
use std::sync::Arc;

use crate::actor::remainder::UnfinishedCall;
use crate::actor::{ActorHandle, CallOutcome, PendingReply};
use crate::core::Core;
use crate::core::resume::Resumed;
use crate::core::resume::crossings::{CrossingCall, Crossings};
use crate::core::resume::revive::{ResumedActor, ResumedRole};
use crate::core::start::bring_up::StartFailure;
use crate::core::task::ActorTask;
use crate::core::task::detach::detach;
use crate::support::error::{ActorProblem, Error, chain_of};
use crate::support::executor;
use crate::wasm::guest::Attached;

impl Resumed {
    /// Adds an actor that was not resumed.
    fn add_refused(&mut self, actor: &ActorHandle, error: Error) {
        if actor.parent().is_none() {
            self.waiting.push(actor.name().to_owned());
        }
        self.refused.push(error);
    }

    /// Adds an actor that was resumed.
    fn add(&mut self, actor: Arc<ActorHandle>) {
        self.count += 1;
        if actor.parent().is_none() {
            self.actors.push(actor);
        }
    }
}

impl Core {
    /// Registers the calls that resumed host calls will issue again, so that their receivers deduplicate them. A call
    /// whose caller has no unfinished call is not issued again.
    pub(super) fn expect_repeated_calls(&self, revived: &[ResumedActor], mut crossings: Crossings) {
        for actor in revived {
            for crossing in crossings.calls.remove(&actor.handle.id()).unwrap_or_default() {
                let CrossingCall { cause, callee, sequence, outcome } = crossing;
                if let (true, Some(other)) =
                    (actor.unfinished.contains(&cause.sequence), self.services.registry.get(callee))
                {
                    let outcome = outcome.map(CallOutcome::of);
                    other.expect(PendingReply { cause, sequence, outcome, reply: None });
                }
            }
        }
    }

    /// Notifies the handlers of all actors that they are ready. Then it notifies parents of the deaths they had not
    /// dealt with, starts the tasks, and finishes the starts whose `init` had not ended. An actor whose handlers refuse
    /// is given up with those below it; its chain stays as it is.
    pub(super) async fn launch(self: &Arc<Self>, revived: Vec<ResumedActor>, resumed: &mut Resumed) {
        let (mut running, mut starting, mut held) = (Vec::new(), Vec::new(), Vec::new());
        let mut given_up = HashSet::new();
        for ResumedActor { handle, role, .. } in revived {
            let (actor, handlers, init) = match role {
                ResumedRole::Held { end, event, is_notified } => {
                    held.push((handle, end, event, is_notified));
                    continue;
                }
                ResumedRole::Runs { actor, handlers, init } => (actor, handlers, init),
            };
            let not = |what: &str| {
                Err(Error::Actor { name: handle.name().to_owned(), what: ActorProblem::NotResumed(what.to_owned()) })
            };
            let notified = if handle.parent().is_some_and(|parent| given_up.contains(&parent.id())) {
                not("its parent was not resumed")
            } else if self.services.stopped.is_set() {
                not("the program is stopping")
            } else if init.is_some() {
                Ok(())
            } else {
                Self::notify_started(&handle, &actor, true).await
            };
            match (notified, init) {
                (Ok(()), None) => running.push((handle, actor)),
                (Ok(()), Some(init)) => starting.push((handle, actor, handlers, init)),
                (Err(error), _) => {
                    drop(actor);
                    given_up.insert(handle.id());
                    detach(self, &handle, handlers).await;
                    handle.give_up(chain_of(&error));
                    resumed.add_refused(&handle, error);
                }
            }
        }
        for (handle, end, event, is_notified) in held {
            handle.hold(end, event, is_notified);
        }
        for (handle, actor) in running {
            resumed.add(handle);
            drop(executor::spawn(actor.run()));
        }
        let starts = starting.into_iter().map(|(handle, actor, handlers, init)| {
            let (core, actor_of) = (Arc::clone(self), Arc::clone(&handle));
            let start = async move { core.finish_start(&actor_of, *actor, handlers, init).await };
            (handle, executor::spawn(start))
        });
        // All starts run at once: they may wait for each other.
        for (handle, start) in starts.collect::<Vec<_>>() {
            match start.await {
                Ok(()) => resumed.add(handle),
                Err(error) => resumed.add_refused(&handle, error),
            }
        }
    }

    /// Finishes a start whose `init` had not ended in the previous run.
    async fn finish_start(
        self: &Arc<Self>,
        handle: &Arc<ActorHandle>,
        mut actor: ActorTask,
        handlers: Arc<Vec<Attached>>,
        init: Option<Box<UnfinishedCall>>,
    ) -> Result<(), Error> {
        let began = async {
            let failed = |what| Error::Actor { name: handle.name().to_owned(), what };
            let ran = match init {
                None => actor.init().await,
                Some(call) => {
                    let call = handle.left_call(*call).map_err(|what| failed(ActorProblem::NotResumed(what)))?;
                    actor.run_init(call).await
                }
            };
            ran.map_err(|(what, _)| failed(what))?;
            Self::notify_started(handle, &actor, true).await
        };
        if let Err(error) = began.await {
            drop(actor);
            self.undo(handle, StartFailure::internal(error, handlers), false).await
        } else {
            drop(handlers);
            drop(executor::spawn(actor.run()));
            Ok(())
        }
    }
}
