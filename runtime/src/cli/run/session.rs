//! The actors of one run of the program: resumes and starts them, and waits until they end or the program is stopped.

use std::ops::ControlFlow;
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::json;
use theater_runtime::actor::PROGRAM_GRACE;
use theater_runtime::actor::{ActorHandle, BY_PROGRAM, End};
use theater_runtime::core::{Core, Resumed, prepared_of};
use theater_runtime::manifest::Manifest;
use theater_runtime::support::error::{ActorProblem, Error};
use theater_runtime::support::executor::{self, Either, Latch};
use theater_runtime::support::files;
use theater_runtime::wasm::component::digest_of;

use super::watch::watch;
use crate::cli::commands::{ActorCommand, plain};
use crate::cli::replay::counted;
use crate::cli::{CommandResult, Common, short, shown};

/// Waits until an actor has ended and is not started again. Returns its last run.
type FinalEnd = executor::Task<Arc<ActorHandle>>;

fn final_end(actor: Arc<ActorHandle>) -> FinalEnd {
    executor::spawn(actor.wait_for_good())
}

/// The top-level actors of this run.
pub struct Session<'a> {
    core: &'a Arc<Core>,
    signals: &'a executor::Receiver<()>,
    common: &'a Common,
    actors: Vec<FinalEnd>,
    // Whether an actor could not be started or resumed.
    failed: bool,
}

/// The names of the actors in the data folder after a resume.
#[derive(Default)]
struct ResumedNames {
    running: Vec<String>,
    // Could not be resumed now, but a later run may resume them.
    waiting: Vec<String>,
}

impl<'a> Session<'a> {
    pub fn new(core: &'a Arc<Core>, signals: &'a executor::Receiver<()>, common: &'a Common) -> Self {
        Self { core, signals, common, actors: Vec::new(), failed: false }
    }

    /// Resumes and starts actors, then runs the commands or waits for the end.
    pub async fn run(mut self, resume: bool, manifests: &[Manifest], commands: &[ActorCommand]) -> CommandResult {
        let lost = Arc::new(Latch::default());
        drop(executor::spawn(watch(Arc::clone(self.core), Arc::clone(&lost))));
        let mut names = ResumedNames::default();
        if resume {
            match self.resume(manifests.is_empty()).await? {
                ControlFlow::Continue(resumed) => names = resumed,
                ControlFlow::Break(code) => return Ok(code),
            }
        }
        if let ControlFlow::Break(code) = self.start(manifests, &names).await {
            return Ok(code);
        }
        if commands.is_empty() { self.wait(&lost).await } else { self.run_commands(commands).await }
    }

    /// Resumes the actors of the data folder. Breaks with the exit code if the program ends here.
    async fn resume(&mut self, alone: bool) -> Result<ControlFlow<ExitCode, ResumedNames>, Error> {
        let Some(resumed) = self.resume_unless_stopped().await? else {
            return Ok(ControlFlow::Break(self.stop().await));
        };
        for error in &resumed.refused {
            self.common.report(error);
        }
        self.failed = !resumed.refused.is_empty();
        tracing::info!("resumed {}", counted(resumed.count as u64, "actor"));
        let mut running = Vec::new();
        for actor in resumed.actors {
            print_ready(&actor, self.common);
            running.push(actor.manifest().name.clone());
            self.actors.push(final_end(actor));
        }
        if self.actors.is_empty() && alone {
            self.core.stop(BY_PROGRAM, PROGRAM_GRACE).await;
            if self.failed {
                return Ok(ControlFlow::Break(ExitCode::FAILURE));
            }
            let folder = shown(self.core.data());
            tracing::warn!("{folder} has no actor to resume: all have ended, or none was ever started");
            return Ok(ControlFlow::Break(ExitCode::SUCCESS));
        }
        Ok(ControlFlow::Continue(ResumedNames { running, waiting: resumed.waiting }))
    }

    /// Resumes actors; none if a signal arrived meanwhile. The resume is never cancelled: actors that it has resumed by the
    /// time of the signal are stopped like any other.
    async fn resume_unless_stopped(&mut self) -> Result<Option<Resumed>, Error> {
        let of_task = Arc::clone(self.core);
        let mut resuming = Box::pin(executor::spawn(async move { of_task.resume().await }));
        match executor::either(&mut resuming, self.signals.recv()).await {
            Either::First(resumed) => resumed.map(Some),
            Either::Second(_) => {
                let of_task = Arc::clone(self.core);
                let stopping = executor::spawn(async move { of_task.stop(BY_PROGRAM, PROGRAM_GRACE).await });
                let resumed = resuming.await?;
                stopping.await;
                self.actors.extend(resumed.actors.into_iter().map(final_end));
                Ok(None)
            }
        }
    }

    /// Starts the actors of the manifests that were not resumed. An actor that does not start does not stop the others. Breaks
    /// with the exit code if the program ends here.
    async fn start(&mut self, manifests: &[Manifest], names: &ResumedNames) -> ControlFlow<ExitCode> {
        let (known, new): (Vec<_>, Vec<_>) =
            manifests.iter().partition(|manifest| names.running.contains(&manifest.name));
        for manifest in known {
            let path = shown(&manifest.path);
            tracing::info!(manifest = path, "actor {:?} was resumed; no new one is started", manifest.name);
            warn_if_changed(self.core, manifest);
        }
        let mut refused = Vec::new();
        for manifest in new {
            if names.waiting.contains(&manifest.name) {
                // A new actor of this name would replace the old one for all later runs.
                let path = shown(&manifest.path);
                tracing::warn!(
                    manifest = path,
                    "actor {:?} could not be resumed, and no new one is started; run without --resume to start a new one, or remove the old one with `theater chain rm`",
                    manifest.name
                );
                continue;
            }
            match executor::either(self.signals.recv(), self.core.start(manifest)).await {
                Either::First(_) => return ControlFlow::Break(self.stop().await),
                Either::Second(Ok(actor)) => {
                    print_ready(&actor, self.common);
                    self.actors.push(final_end(actor));
                }
                Either::Second(Err(error)) => {
                    self.common.report(&error);
                    self.failed = true;
                    refused.push(manifest);
                }
            }
        }
        if self.actors.is_empty() {
            self.core.stop(BY_PROGRAM, PROGRAM_GRACE).await;
            return ControlFlow::Break(ExitCode::FAILURE);
        }
        for manifest in &refused {
            let path = shown(&manifest.path);
            tracing::warn!(manifest = path, "actor {:?} did not start; the others run", manifest.name);
        }
        ControlFlow::Continue(())
    }

    /// Runs plugin commands, then stops all actors.
    async fn run_commands(&mut self, commands: &[ActorCommand]) -> CommandResult {
        let answered = executor::either(self.signals.recv(), call_plugins(self.core, self.common, commands)).await;
        let code = self.stop().await;
        Ok(if matches!(answered, Either::Second(false)) { ExitCode::FAILURE } else { code })
    }

    /// Waits until all actors have ended, a signal arrives, or the data folder is lost.
    async fn wait(self, lost: &Latch) -> CommandResult {
        let end = async {
            let (Either::First(()) | Either::Second(())) =
                executor::either(executor::turn(self.signals), lost.wait()).await;
        };
        let mut all_ended = executor::spawn(all_ends(self.actors));
        let ended = match executor::either(end, &mut all_ended).await {
            Either::First(()) => {
                self.core.stop(BY_PROGRAM, PROGRAM_GRACE).await;
                return Ok(outcome(&all_ended.await, self.failed || lost.is_set()));
            }
            Either::Second(ended) => ended,
        };
        for actor in &ended {
            print_end(actor, self.common);
        }
        self.core.services.journal.written().await?;
        Ok(outcome(&ended, self.failed))
    }

    /// Stops all actors. Returns the exit code.
    async fn stop(&mut self) -> ExitCode {
        self.core.stop(BY_PROGRAM, PROGRAM_GRACE).await;
        outcome(&all_ends(std::mem::take(&mut self.actors)).await, self.failed)
    }
}

/// Runs plugin commands one after the other. Returns whether all succeeded.
async fn call_plugins(core: &Arc<Core>, common: &Common, commands: &[ActorCommand]) -> bool {
    for ActorCommand { command, actor, value } in commands {
        let arguments = json!({"actor": actor, "value": value});
        let result = core.command(command, &arguments).await;
        match result.unwrap_or_else(|| Err(Error::Engine(format!("no plugin has the command {command}")))) {
            Ok(result) => {
                let object = json!({"event": command, "actor": actor, "result": result});
                common.print(&object, || plain(&result));
            }
            Err(error) => {
                common.report(&error);
                return false;
            }
        }
    }
    true
}

/// Waits for the end of all actors. Returns the last run of each.
async fn all_ends(actors: Vec<FinalEnd>) -> Vec<Arc<ActorHandle>> {
    let mut ended = Vec::new();
    for actor in actors {
        ended.push(actor.await);
    }
    ended
}

/// The exit code. An actor that failed is a failure, even while the program was ending; one that was interrupted by the end of
/// the program is not.
fn outcome(actors: &[Arc<ActorHandle>], failed: bool) -> ExitCode {
    let failed = failed || actors.iter().any(|actor| matches!(actor.end(), Some(End::Failed { .. })));
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Prints that an actor is ready.
fn print_ready(actor: &ActorHandle, common: &Common) {
    let (id, name, addresses) = (actor.id_text(), actor.name(), actor.addresses());
    let object = json!({"event": "ready", "id": id, "name": name, "addresses": addresses});
    common.print(&object, || {
        let mut line = format!("actor {id} {name} ready");
        for address in addresses {
            line.push(' ');
            line.push_str(address);
        }
        line
    });
}

/// Prints how an actor ended.
fn print_end(actor: &ActorHandle, common: &Common) {
    let (id, name) = (actor.id_text(), actor.name());
    match actor.end() {
        Some(End::Failed { function, reason, .. }) => {
            let what = ActorProblem::Failed { function: function.clone(), reason: reason.clone() };
            common.report(&Error::Actor { name: name.to_owned(), what });
        }
        Some(End::Stopped { reason, .. }) => {
            let object = json!({"event": "stopped", "id": id, "name": name, "reason": reason});
            common.print(&object, || format!("actor {id} {name} stopped by {reason}"));
        }
        None => {}
    }
}

/// Warns if component or manifest of a resumed actor have changed: the actor continues with those that its chain refers to.
fn warn_if_changed(core: &Core, manifest: &Manifest) {
    let Some(actor) = core
        .registry()
        .all()
        .into_iter()
        .find(|actor| actor.parent().is_none() && actor.manifest().name == manifest.name)
    else {
        return;
    };
    let path = manifest.component_path();
    let on_disk = files::read(&path, files::MAX_COMPONENT).map(|bytes| digest_of(&bytes));
    let prepared = prepared_of(actor.origin());
    let own = &prepared.linked.component.digest;
    if on_disk.as_ref().is_ok_and(|digest| digest != own) {
        let (name, path) = (actor.name(), shown(&path));
        tracing::warn!(
            "actor {name:?} continues with its recorded component ({}); {path} has a different one now, which only new actors get",
            short(own)
        );
    }
    if actor.manifest().text != manifest.text {
        let (name, path) = (actor.name(), shown(&manifest.path));
        tracing::warn!("actor {name:?} continues with its recorded manifest; {path} has changed since");
    }
}
