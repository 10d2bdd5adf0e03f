//! `theater run`: starts and resumes actors, runs plugin commands, and waits for the end.

mod session;
mod signals;
mod watch;

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use theater_chain::signature::Sealer;
use theater_runtime::core::{Core, Options};
use theater_runtime::manifest::Manifest;
use theater_runtime::support::executor;
use theater_runtime::support::open_files;

use super::commands::ActorCommand;
use super::{CommandResult, Common, Grants, Settings, size};
use session::Session;

const EXAMPLES: &str = "Examples:
  theater run manifests/hello-http.toml
  theater run --data /var/lib/theater a.toml b.toml
  theater run --set port=9000 my-actor.toml
  theater run --resume a.toml b.toml
  theater run manifests/counter.toml --request 'counter={\"type\":\"get\"}'";

/// Run actors in the foreground until they end or the program receives a signal (SIGINT, SIGTERM, SIGHUP, SIGQUIT; a second one
/// ends it at once).
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Run {
    /// Manifests of the actors to start, in order; with --resume only of those that are not resumed
    #[arg(required_unless_present = "resume", value_name = "MANIFEST")]
    manifests: Vec<PathBuf>,
    /// Resume actors that were running when the program ended
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    settings: Settings,
    /// Memory for instances, states and mailboxes, for example 512MiB [default: three quarters of the machine's or control
    /// group's memory]
    #[arg(long, value_parser = size, value_name = "SIZE")]
    memory: Option<u64>,
    #[command(flatten)]
    grants: Grants,
    /// Key file of `theater chain key`: signs chains at snapshots and when actors end
    #[arg(long, value_name = "FILE")]
    seal: Option<PathBuf>,
    /// Size at which the journal begins a new segment, at most 1GiB
    #[arg(long, value_parser = segment_size, value_name = "SIZE", default_value = "64MiB")]
    segment_size: u64,
}

/// Parses the size of a segment. Offsets in a segment have 32 bits.
fn segment_size(text: &str) -> Result<u64, String> {
    let bytes = size(text)?;
    if bytes <= 1 << 30 { Ok(bytes) } else { Err("a segment is at most 1GiB".to_owned()) }
}

impl Run {
    /// Runs the command.
    ///
    /// `commands` are plugin commands for actors. They run when all actors are ready, then the program ends.
    pub fn run(self, common: &Common, commands: &[ActorCommand]) -> CommandResult {
        // Before anything that takes long: a signal during the start shuts the program down too.
        let signals = signals::install()?;
        open_files::raise()?;
        executor::init(std::thread::available_parallelism().map_or(2, usize::from));
        let manifests = self
            .manifests
            .iter()
            .map(|path| Manifest::read(path, &self.settings.values()))
            .collect::<Result<Vec<_>, _>>()?;
        self.settings.warn_unused(&self.manifests.iter().map(PathBuf::as_path).collect::<Vec<_>>());
        let mut options = Options::new(common.plugins(), common.data());
        options.memory = self.memory;
        self.grants.apply(&mut options)?;
        options.segment_size = self.segment_size;
        options.seal = self.seal.as_deref().map(Sealer::read).transpose()?.map(Arc::new);
        options.log_calls = matches!(common.log.as_str(), "debug" | "trace");
        let core = Core::open(options)?;
        for problem in core.plugins().problems.iter().filter(|problem| problem.is_plugin()) {
            tracing::warn!(code = problem.code(), "{problem}");
        }
        let code = executor::block_on(Session::new(&core, &signals, common).run(self.resume, &manifests, commands));
        core.services.journal.close();
        code
    }
}
