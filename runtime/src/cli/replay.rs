//! `theater replay`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::json;
use theater_plugin_api::uuid_text;
use theater_runtime::describe::Described;
use theater_runtime::error::Error;
use theater_runtime::reader::{Catalog, find};
use theater_runtime::replay::{Difference, Options, Report, replay};

use super::chain::source;
use super::{Common, Done};

const EXAMPLES: &str = "Examples:
  theater replay counter
  theater replay counter --until 120
  theater replay counter --component new.wasm
  theater replay counter.chain";

/// Runs an actor's calls once more from its chain alone and compares every byte; exit code 1 at the first that differs.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Replay {
    /// Id, unique start of an id, or name of the actor (its newest chain); or the file of an exported chain
    chain: String,
    /// Another component in place of the recorded one
    #[arg(long, value_name = "FILE")]
    component: Option<PathBuf>,
    /// The last event that counts
    #[arg(long, value_name = "SEQUENCE")]
    until: Option<u64>,
    /// A new instance for each call: finds state that is kept in memory
    #[arg(long)]
    fresh: bool,
}

impl Replay {
    /// Runs the command.
    pub fn run(self, common: &Common) -> Done {
        let data = common.data();
        let (path, actor) = one(&data, &self.chain)?;
        let options = Options { component: self.component, until: self.until, fresh: self.fresh };
        let report = replay(&path, actor, &data, &options)?;
        let id = uuid_text(&actor);
        let Some(difference) = &report.difference else {
            let object = json!({
                "id": id, "calls": report.calls, "host_calls": report.host_calls, "interrupted": report.interrupted,
                "unfinished": report.unfinished, "begun_at": report.begun_at, "same": true,
            });
            common.say(&object, || same(&id, &report));
            return Ok(ExitCode::SUCCESS);
        };
        let text = |described: &Option<Described>| described.as_ref().map(|described| described.text.clone());
        let object = json!({
            "id": id, "calls": report.calls, "same": false, "sequence": difference.sequence, "what": difference.what,
            "call": difference.call.0, "recorded": text(&difference.recorded), "replayed": text(&difference.replayed),
        });
        common.say(&object, || differs(&id, report.calls, difference));
        Ok(ExitCode::FAILURE)
    }
}

/// The chain that is meant: the file it is in, and whose it is.
///
/// # Errors
/// `J0003`, and those of reading.
pub fn one(data: &Path, chain: &str) -> Result<(PathBuf, [u8; 16]), Error> {
    let (path, wanted) = source(data, chain);
    let actor = match wanted {
        Some(wanted) => find(&path, &wanted)?,
        None => only_one(&path, chain)?,
    };
    Ok((path, actor))
}

/// The one chain of an exported file or of a bundle.
fn only_one(path: &Path, chain: &str) -> Result<[u8; 16], Error> {
    let catalog = Catalog::read(path)?;
    let mut ids = catalog.chains.keys();
    match (ids.next(), ids.next()) {
        (Some(id), None) => Ok(*id),
        _ => Err(Error::NoSuchChain { id: chain.to_owned(), path: path.to_owned() }),
    }
}

fn same(id: &str, report: &Report) -> String {
    let Report { calls, host_calls, interrupted, unfinished, begun_at, .. } = report;
    let mut text = format!("{id}: the same bytes once more (calls: {calls}, host calls: {host_calls})");
    if *interrupted > 0 {
        text.push_str(&format!("; interrupted, and the same as far as they went: {interrupted}"));
    }
    if *unfinished > 0 {
        text.push_str(&format!("; not ended: {unfinished}"));
    }
    if let Some(snapshot) = begun_at {
        text.push_str(&format!("; from the snapshot {snapshot} on, as data before it was dropped"));
    }
    text
}

pub fn differs(id: &str, calls: u64, difference: &Difference) -> String {
    let shown = |described: Option<&Described>| match described {
        Some(described) => {
            let function = described.function.as_ref().map(|function| format!(" {function}")).unwrap_or_default();
            format!("{}{function} {}", described.kind, described.text)
        }
        None => "nothing".to_owned(),
    };
    let Difference { sequence, what, call: (call, described), recorded, replayed } = difference;
    format!(
        "{id}: event {sequence} differs: {what}; the calls before it are the same: {}\n  call     {call} {}\n  recorded \
         {sequence} {}\n  replayed {sequence} {}",
        calls,
        shown(Some(described)),
        shown(recorded.as_ref()),
        shown(replayed.as_ref())
    )
}
