//! `theater run`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde_json::json;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use theater_runtime::actor::{BY_PROGRAM, End, Shared};
use theater_runtime::core::{Core, Options, PROGRAM_GRACE};
use theater_runtime::error::Error;
use theater_runtime::executor::{self, Either};
use theater_runtime::manifest::Manifest;
use theater_runtime::seal::Sealer;
use theater_runtime::{data, engine};

use super::commands::{Asked, plain};
use super::{Common, Done, Grants, Settings, shown, size};

/// Period at which plugin files are looked at.
const WATCH_FILES: Duration = Duration::from_secs(2);

const EXAMPLES: &str = "Examples:
  theater run manifests/hello-http.toml
  theater run --data /var/lib/theater a.toml b.toml
  theater run --set port=9000 my-actor.toml
  theater run --resume a.toml b.toml
  theater run manifests/counter.toml --request 'counter={\"type\":\"get\"}'";

/// Runs actors in the foreground until they end or the program is told to (SIGINT, SIGTERM; a second one ends it at once).
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Run {
    /// Manifests of the actors to start, in order; with --resume those of actors that do not go on
    #[arg(required_unless_present = "resume", value_name = "MANIFEST")]
    manifests: Vec<PathBuf>,
    /// Let the actors of the data folder go on that had not ended when their program did
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    settings: Settings,
    /// Memory to size the instance pool by, as 512MiB [default: what the machine has]
    #[arg(long, value_parser = size, value_name = "SIZE")]
    memory: Option<u64>,
    #[command(flatten)]
    grants: Grants,
    /// Key that signs chains at snapshots and ends: a file that `theater chain key` wrote
    #[arg(long, value_name = "FILE")]
    seal: Option<PathBuf>,
    /// Size at which a segment of the journal ends, at most 1GiB
    #[arg(long, value_parser = segment_size, value_name = "SIZE", default_value = "64MiB")]
    segment_size: u64,
}

/// Places in a segment are numbers of 32 bits.
fn segment_size(text: &str) -> Result<u64, String> {
    let bytes = size(text)?;
    if bytes <= 1 << 30 { Ok(bytes) } else { Err("a segment is at most 1GiB".to_owned()) }
}

impl Run {
    /// Runs the command.
    ///
    /// `asked` are commands of plugins for actors: they run once all actors are ready, then the program ends.
    pub fn run(self, common: &Common, asked: &[Asked]) -> Done {
        data::raise_open_files()?;
        executor::init(std::thread::available_parallelism().map_or(2, usize::from));
        let manifests = self
            .manifests
            .iter()
            .map(|path| Manifest::read(path, &self.settings.values()))
            .collect::<Result<Vec<_>, _>>()?;
        self.settings.tell_unused(&self.manifests.iter().map(PathBuf::as_path).collect::<Vec<_>>());
        let mut options = Options::new(common.plugins(), common.data());
        options.memory = Some(self.memory.unwrap_or_else(engine::machine_memory));
        self.grants.put(&mut options)?;
        options.segment_size = self.segment_size;
        options.seal = self.seal.as_deref().map(Sealer::read).transpose()?.map(Arc::new);
        options.log_calls = matches!(common.log.as_str(), "debug" | "trace");
        let core = Core::open(options)?;
        for problem in core.plugins().problems.iter().filter(|problem| problem.is_plugin()) {
            tracing::warn!(code = problem.code(), "{problem}");
        }
        let code = executor::block_on(live(&core, self.resume, &manifests, common, asked));
        core.journal.close();
        code
    }
}

async fn live(core: &Arc<Core>, resume: bool, manifests: &[Manifest], common: &Common, asked: &[Asked]) -> Done {
    let signals = signals()?;
    drop(executor::spawn(watch_files(Arc::clone(core))));
    let (mut actors, mut refused) = (Vec::new(), Vec::new());
    let (mut failed, mut waiting) = (false, Vec::new());
    if resume {
        // It comes to its end in any case: what goes on by then is stopped as it should be.
        let of_task = Arc::clone(core);
        let mut resuming = Box::pin(executor::spawn(async move { of_task.resume().await }));
        let (resumed, is_told) = match executor::either(&mut resuming, signals.recv()).await {
            Either::First(resumed) => (resumed?, false),
            Either::Second(_) => {
                let of_task = Arc::clone(core);
                let stopping = executor::spawn(async move { of_task.stop(BY_PROGRAM, PROGRAM_GRACE).await });
                let resumed = resuming.await?;
                stopping.await;
                (resumed, true)
            }
        };
        if is_told {
            return Ok(stop(core, &resumed.actors, false).await);
        }
        for error in &resumed.refused {
            common.report(error);
        }
        failed = !resumed.refused.is_empty();
        for actor in &resumed.actors {
            ready(actor, common);
        }
        (actors, waiting) = (resumed.actors, resumed.waiting);
        tracing::info!("actors of the program before that go on: {}", resumed.count);
        if actors.is_empty() && manifests.is_empty() {
            core.stop(BY_PROGRAM, PROGRAM_GRACE).await;
            if failed {
                return Ok(ExitCode::FAILURE);
            }
            tracing::warn!("no actor of {} was to go on: all have ended, or none was ever started", shown(core.data()));
            return Ok(ExitCode::SUCCESS);
        }
    }
    let goes_on = |manifest: &Manifest| actors.iter().any(|actor| actor.manifest().name == manifest.name);
    let (known, new): (Vec<_>, Vec<_>) = manifests.iter().partition(|manifest| goes_on(manifest));
    for manifest in known {
        let path = shown(&manifest.path);
        tracing::info!(manifest = path, "actor {:?} goes on; no new one is started", manifest.name);
    }
    for manifest in new {
        if waiting.contains(&manifest.name) {
            // A new one would stand in its place for good.
            let path = shown(&manifest.path);
            tracing::warn!(
                manifest = path,
                "actor {:?} does not go on, and no new one is started: without --resume one is, and `theater chain rm` drops the old one",
                manifest.name
            );
            continue;
        }
        match executor::either(signals.recv(), core.start(manifest)).await {
            Either::First(_) => return Ok(stop(core, &actors, failed).await),
            Either::Second(Ok(actor)) => {
                ready(&actor, common);
                actors.push(actor);
            }
            // One actor that does not start stops no other.
            Either::Second(Err(error)) => {
                common.report(&error);
                failed = true;
                refused.push(manifest);
            }
        }
    }
    if actors.is_empty() {
        core.stop(BY_PROGRAM, PROGRAM_GRACE).await;
        return Ok(ExitCode::FAILURE);
    }
    for manifest in &refused {
        let path = shown(&manifest.path);
        tracing::warn!(manifest = path, "actor {:?} did not start; the others run", manifest.name);
    }
    if !asked.is_empty() {
        let answered = executor::either(signals.recv(), ask(core, common, asked)).await;
        let code = stop(core, &actors, failed).await;
        return Ok(if matches!(answered, Either::Second(false)) { ExitCode::FAILURE } else { code });
    }
    let all_ended = async {
        for actor in &actors {
            actor.wait().await;
        }
    };
    match executor::either(signals.recv(), all_ended).await {
        Either::First(_) => Ok(stop(core, &actors, failed).await),
        Either::Second(()) => {
            for actor in &actors {
                report_end(actor, common);
            }
            if let Err(error) = core.journal.written().await {
                return Err(error.into());
            }
            Ok(outcome(&actors, failed))
        }
    }
}

/// Runs commands of plugins, one after the other; whether all succeeded.
async fn ask(core: &Arc<Core>, common: &Common, asked: &[Asked]) -> bool {
    for Asked { command, actor, value } in asked {
        let arguments = json!({"actor": actor, "value": value});
        let done = core.command(command, &arguments).await;
        match done.unwrap_or_else(|| Err(Error::Engine(format!("no plugin answers the command {command}")))) {
            Ok(result) => {
                let object = json!({"event": command, "actor": actor, "result": result});
                common.say(&object, || plain(&result));
            }
            Err(error) => {
                common.report(&error);
                return false;
            }
        }
    }
    true
}

async fn stop(core: &Arc<Core>, actors: &[Arc<Shared>], failed: bool) -> ExitCode {
    core.stop(BY_PROGRAM, PROGRAM_GRACE).await;
    // What failed is a failure, also when it was on its way out as the program was told to end; what was interrupted by
    // that end is none.
    outcome(actors, failed)
}

fn outcome(actors: &[Arc<Shared>], failed: bool) -> ExitCode {
    let failed = failed || actors.iter().any(|actor| matches!(actor.end(), Some(End::Failed { .. })));
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn ready(actor: &Shared, common: &Common) {
    let (id, name, addresses) = (actor.id_text(), actor.name(), actor.addresses());
    let object = json!({"event": "ready", "id": id, "name": name, "addresses": addresses});
    common.say(&object, || {
        let mut line = format!("actor {id} {name} ready");
        for address in addresses {
            line.push(' ');
            line.push_str(address);
        }
        line
    });
}

fn report_end(actor: &Shared, common: &Common) {
    let (id, name) = (actor.id_text(), actor.name());
    match actor.end() {
        Some(End::Failed { function, reason, .. }) => {
            let what =
                theater_runtime::error::ActorProblem::Failed { function: function.clone(), reason: reason.clone() };
            common.report(&Error::Actor { name: name.to_owned(), what });
        }
        Some(End::Stopped { reason, .. }) => {
            let object = json!({"event": "stopped", "id": id, "name": name, "reason": reason});
            common.say(&object, || format!("actor {id} {name} stopped by {reason}"));
        }
        None => {}
    }
}

/// The first signal comes through the channel; a second one ends the program at once.
fn signals() -> Result<executor::Receiver<()>, Error> {
    let failed = |error: std::io::Error| Error::Engine(format!("signals cannot be waited for: {error}"));
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(failed)?;
    let (sender, receiver) = executor::bounded(1);
    let wait = move || {
        for number in 0.. {
            if signals.forever().next().is_none() {
                return;
            }
            if number > 0 {
                std::process::exit(130);
            }
            // The receiver is gone when the program is ending already.
            if sender.try_send(()).is_err() {
                return;
            }
        }
    };
    std::thread::Builder::new().name("theater-signals".to_owned()).spawn(wait).map_err(failed)?;
    Ok(receiver)
}

/// Tells once when a loaded plugin's file was replaced.
async fn watch_files(core: Arc<Core>) {
    let mut seen = std::collections::HashMap::new();
    while !core.stopped.is_set() {
        for found in core.plugins().all().filter(|found| found.is_loaded()) {
            let stamp = std::fs::metadata(&found.path).ok().and_then(|data| data.modified().ok());
            let before = seen.insert(found.path.clone(), stamp);
            if before.is_none() || before == Some(stamp) {
                continue;
            }
            if let Some(on_disk) = found.replaced_on_disk() {
                let (name, path) = (&found.descriptor.name, shown(&found.path));
                tracing::warn!(
                    "plugin {name:?} ({path}): loaded {}, on disk {on_disk}; the file on disk is used from the next start on",
                    found.digest
                );
            }
        }
        if executor::timeout(WATCH_FILES, core.stopped.wait()).await.is_some() {
            return;
        }
    }
}
