//! `theater run`.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use clap::Args;
use serde_json::json;
use signal_hook::consts::{
    SIGALRM, SIGHUP, SIGINT, SIGIO, SIGPROF, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGVTALRM, SIGXCPU, SIGXFSZ,
};
use signal_hook::iterator::Signals;
use theater_chain::signature::Sealer;
use theater_runtime::actor::PROGRAM_GRACE;
use theater_runtime::actor::{ActorHandle, BY_PROGRAM, End};
use theater_runtime::core::{Core, Options, prepared_of};
use theater_runtime::manifest::Manifest;
use theater_runtime::support::error::Error;
use theater_runtime::support::executor::{self, Either, Latch};
use theater_runtime::support::files;
use theater_runtime::support::open_files;
use theater_runtime::wasm::component::digest_of;

use super::commands::{Asked, plain};
use super::orphans;
use super::{Common, Done, Grants, Settings, out, shown, size};

/// Period at which the program looks after what it stands on.
const LOOK: Duration = Duration::from_secs(1);

// Not among the constants of signal-hook: the numbers that Linux has on all its platforms but mips, sparc and alpha.
const SIGPWR: i32 = 30;
const SIGSTKFLT: i32 = 16;

const EXAMPLES: &str = "Examples:
  theater run manifests/hello-http.toml
  theater run --data /var/lib/theater a.toml b.toml
  theater run --set port=9000 my-actor.toml
  theater run --resume a.toml b.toml
  theater run manifests/counter.toml --request 'counter={\"type\":\"get\"}'";

/// Runs actors in the foreground until they end or the program is told to (SIGINT, SIGTERM, SIGHUP, SIGQUIT; a second one ends
/// it at once).
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
    /// Memory for instances, states and mailboxes, as 512MiB [default: three quarters of what the machine or control group has]
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
        // Before anything takes long: a program that is told to end while it starts ends in order, too.
        let signals = signals()?;
        open_files::raise()?;
        executor::init(std::thread::available_parallelism().map_or(2, usize::from));
        let manifests = self
            .manifests
            .iter()
            .map(|path| Manifest::read(path, &self.settings.values()))
            .collect::<Result<Vec<_>, _>>()?;
        self.settings.tell_unused(&self.manifests.iter().map(PathBuf::as_path).collect::<Vec<_>>());
        let mut options = Options::new(common.plugins(), common.data());
        options.memory = self.memory;
        self.grants.put(&mut options)?;
        options.segment_size = self.segment_size;
        options.seal = self.seal.as_deref().map(Sealer::read).transpose()?.map(Arc::new);
        options.log_calls = matches!(common.log.as_str(), "debug" | "trace");
        let core = Core::open(options)?;
        for problem in core.plugins().problems.iter().filter(|problem| problem.is_plugin()) {
            tracing::warn!(code = problem.code(), "{problem}");
        }
        let code = executor::block_on(live(&core, &signals, self.resume, &manifests, common, asked));
        core.services.journal.close();
        code
    }
}

/// Waits for an actor's end for good.
type Lives = executor::Task<Arc<ActorHandle>>;

fn lives(actor: Arc<ActorHandle>) -> Lives {
    executor::spawn(actor.wait_for_good())
}

async fn live(
    core: &Arc<Core>,
    signals: &executor::Receiver<()>,
    resume: bool,
    manifests: &[Manifest],
    common: &Common,
    asked: &[Asked],
) -> Done {
    let lost = Arc::new(Latch::default());
    drop(executor::spawn(watch(Arc::clone(core), Arc::clone(&lost))));
    let (mut actors, mut names, mut refused) = (Vec::new(), Vec::new(), Vec::new());
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
            return Ok(stop(core, resumed.actors.into_iter().map(lives).collect(), false).await);
        }
        for error in &resumed.refused {
            common.report(error);
        }
        failed = !resumed.refused.is_empty();
        waiting = resumed.waiting;
        tracing::info!("resumed {} actors", resumed.count);
        for actor in resumed.actors {
            ready(&actor, common);
            names.push(actor.manifest().name.clone());
            actors.push(lives(actor));
        }
        if actors.is_empty() && manifests.is_empty() {
            core.stop(BY_PROGRAM, PROGRAM_GRACE).await;
            if failed {
                return Ok(ExitCode::FAILURE);
            }
            tracing::warn!("no actor of {} was to go on: all have ended, or none was ever started", shown(core.data()));
            return Ok(ExitCode::SUCCESS);
        }
    }
    let (known, new): (Vec<_>, Vec<_>) = manifests.iter().partition(|manifest| names.contains(&manifest.name));
    for manifest in known {
        let path = shown(&manifest.path);
        tracing::info!(manifest = path, "actor {:?} goes on; no new one is started", manifest.name);
        tell_changed_component(core, manifest);
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
            Either::First(_) => return Ok(stop(core, actors, failed).await),
            Either::Second(Ok(actor)) => {
                ready(&actor, common);
                actors.push(lives(actor));
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
        let code = stop(core, actors, failed).await;
        return Ok(if matches!(answered, Either::Second(false)) { ExitCode::FAILURE } else { code });
    }
    let end = async {
        let (Either::First(()) | Either::Second(())) = executor::either(executor::turn(signals), lost.wait()).await;
    };
    let mut all_ended = executor::spawn(ends(actors));
    let ended = match executor::either(end, &mut all_ended).await {
        Either::First(()) => {
            core.stop(BY_PROGRAM, PROGRAM_GRACE).await;
            return Ok(outcome(&all_ended.await, failed || lost.is_set()));
        }
        Either::Second(ended) => ended,
    };
    for actor in &ended {
        report_end(actor, common);
    }
    core.services.journal.written().await?;
    Ok(outcome(&ended, failed))
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

async fn stop(core: &Arc<Core>, actors: Vec<Lives>, failed: bool) -> ExitCode {
    core.stop(BY_PROGRAM, PROGRAM_GRACE).await;
    outcome(&ends(actors).await, failed)
}

/// The last life of each.
async fn ends(actors: Vec<Lives>) -> Vec<Arc<ActorHandle>> {
    let mut ended = Vec::new();
    for actor in actors {
        ended.push(actor.await);
    }
    ended
}

/// What failed is a failure, also when it was on its way out as the program was told to end; what was interrupted by that end
/// is none.
fn outcome(actors: &[Arc<ActorHandle>], failed: bool) -> ExitCode {
    let failed = failed || actors.iter().any(|actor| matches!(actor.end(), Some(End::Failed { .. })));
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn ready(actor: &ActorHandle, common: &Common) {
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

fn report_end(actor: &ActorHandle, common: &Common) {
    let (id, name) = (actor.id_text(), actor.name());
    match actor.end() {
        Some(End::Failed { function, reason, .. }) => {
            let what = theater_runtime::support::error::ActorProblem::Failed {
                function: function.clone(),
                reason: reason.clone(),
            };
            common.report(&Error::Actor { name: name.to_owned(), what });
        }
        Some(End::Stopped { reason, .. }) => {
            let object = json!({"event": "stopped", "id": id, "name": name, "reason": reason});
            common.say(&object, || format!("actor {id} {name} stopped by {reason}"));
        }
        None => {}
    }
}

/// Signals that end the program in order: asked for by somebody, a closed terminal, a used up limit, a power failure.
const ENDING: [i32; 6] = [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGXCPU, SIGPWR];
/// Signals that would end the program as the system has it, and here do nothing. A write beyond the limit of a file's size
/// then fails as one to a full disk does.
const IGNORED: [i32; 8] = [SIGUSR1, SIGUSR2, SIGXFSZ, SIGALRM, SIGVTALRM, SIGPROF, SIGIO, SIGSTKFLT];

/// Signals that whoever started this program had it ignore (`nohup`), as the system knows them.
fn ignored_from_the_start() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default()
}

/// The first signal comes through the channel; a second one ends the program at once.
fn signals() -> Result<executor::Receiver<()>, Error> {
    let failed = |error: std::io::Error| Error::Engine(format!("signals cannot be waited for: {error}"));
    let ignored = ignored_from_the_start();
    let is_heard = |signal: &i32| *signal != SIGHUP || ignored & (1 << (SIGHUP - 1)) == 0;
    let mut signals = Signals::new(ENDING.iter().filter(|signal| is_heard(signal))).map_err(failed)?;
    for signal in IGNORED {
        // The flag is for nobody: a handler, unlike an ignored signal, is not handed on to programs that actors start.
        signal_hook::flag::register(signal, Arc::default()).map_err(failed)?;
    }
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

/// A resumed actor has the component that its chain names, whatever lies in its file now.
fn tell_changed_component(core: &Core, manifest: &Manifest) {
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
            "actor {name:?} goes on with the component that it had ({}); {path} has another one since, which new actors get",
            super::short(own)
        );
    }
    if actor.manifest().text != manifest.text {
        let (name, path) = (actor.name(), shown(&manifest.path));
        tracing::warn!("actor {name:?} goes on with the manifest that it had; {path} says something else since");
    }
}

/// Looks every second after what the program stands on: plugin files, the data folder, lines of the log that were
/// dropped.
async fn watch(core: Arc<Core>, lost: Arc<Latch>) {
    let mut files = PluginFiles::default();
    let mut orphans = orphans::Reaper::of_first_process();
    while !core.services.stopped.is_set() {
        let of_thread = Arc::clone(&core);
        // A disk may be slow, and this is the executor.
        let look = move || {
            files.look(&of_thread);
            if let Some(orphans) = &mut orphans {
                orphans.reap();
            }
            let is_there = of_thread.has_its_folder();
            (files, orphans, is_there)
        };
        let is_there;
        (files, orphans, is_there) = executor::blocking(look).await;
        if !is_there {
            tracing::error!(
                "the data folder {} was removed or replaced while the program runs: nothing that happens from now on would \
                 be kept, so the program ends",
                shown(core.data())
            );
            lost.set();
            return;
        }
        match out::newly_dropped() {
            0 => {}
            lines => tracing::warn!("{lines} log lines were dropped: standard error did not take them in time"),
        }
        if executor::timeout(LOOK, core.services.stopped.wait()).await.is_some() {
            return;
        }
    }
}

/// Tells once when a loaded plugin's file was replaced.
#[derive(Default)]
struct PluginFiles {
    seen: HashMap<PathBuf, Option<SystemTime>>,
}

impl PluginFiles {
    fn look(&mut self, core: &Core) {
        for found in core.plugins().all().filter(|found| found.is_loaded()) {
            let stamp = std::fs::metadata(&found.path).ok().and_then(|data| data.modified().ok());
            let before = self.seen.insert(found.path.clone(), stamp);
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
    }
}
