//! `theater replay`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::json;
use theater_chain::event_text::EventText;
use theater_chain::journal::reader::{Catalog, find};
use theater_chain::verify;
use theater_plugin_api::uuid_text;
use theater_runtime::replay::plugin::{Report as Asked, ask};
use theater_runtime::replay::{Difference, Options, Report, replay};
use theater_runtime::support::error::Error;
use theater_runtime::support::executor;

use super::chain::source;
use super::{Common, Done, short};

const EXAMPLES: &str = "Examples:
  theater replay counter
  theater replay counter --until 120
  theater replay counter --component new.wasm
  theater replay counter --plugin libnew.so
  theater replay counter.chain

Exit code: 0 when all bytes are the same. 1 at the first that differ; with --component behind the last call, since that
counts them all. With --plugin 1 when a call of a `pure` function gives other bytes: what a `read` function gives may be
another each time, so that is counted and shown, and is no failure.";

/// Runs an actor's calls once more from its chain alone and compares every byte; exit code 1 at the first that differs.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Replay {
    /// Id, unique start of an id, or name of the actor (its newest chain); or the file of an exported chain
    chain: String,
    /// Another component in place of the recorded one: counts the calls that give identical bytes
    #[arg(long, value_name = "FILE")]
    component: Option<PathBuf>,
    /// Asks this plugin the recorded calls of its `pure` and `read` functions, in place of running a component, and counts
    /// those that give identical bytes; each has 5 s, and nothing that needs a running actor works
    #[arg(long, value_name = "FILE", conflicts_with_all = ["component", "fresh"])]
    plugin: Option<PathBuf>,
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
        let id = uuid_text(&actor);
        if let Some(plugin) = &self.plugin {
            executor::init(1);
            return Ok(asked(common, &id, &ask(&path, actor, plugin, self.until)?));
        }
        let options = Options { component: self.component, until: self.until, fresh: self.fresh };
        let report = replay(&path, actor, &data, &options)?;
        let counted = options.component.is_some();
        let mut object = match &report.difference {
            None => json!({
                "id": id, "calls": report.calls, "host_calls": report.host_calls, "interrupted": report.interrupted,
                "unfinished": report.unfinished, "begun_at": report.begun_at, "same": true,
            }),
            Some(difference) => json!({
                "id": id, "calls": report.calls, "same": false, "sequence": difference.sequence,
                "what": difference.what, "call": difference.call.0, "recorded": text(difference.recorded.as_ref()),
                "replayed": text(difference.replayed.as_ref()),
            }),
        };
        if let (true, Some(object)) = (counted, object.as_object_mut()) {
            object.insert("differing".to_owned(), json!(report.differing));
        }
        common.say_text(&object, || {
            let said = report.difference.as_ref().map_or_else(|| same(&id, &report), |other| differs(&id, other));
            if counted { format!("{said}\n{}", count(report.calls, report.calls + report.differing)) } else { said }
        });
        Ok(if report.difference.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn text(described: Option<&EventText>) -> Option<&str> {
    described.map(|described| described.text.as_str())
}

fn count(identical: u64, of: u64) -> String {
    format!("  calls with identical bytes: {identical} of {of}")
}

/// Prints what a plugin gave.
fn asked(common: &Common, id: &str, report: &Asked) -> ExitCode {
    let differences: Vec<_> = report
        .differences
        .iter()
        .map(|other| {
            json!({
                "sequence": other.sequence, "function": other.function, "effect": other.effect,
                "arguments": other.arguments, "recorded": other.recorded, "given": other.given,
            })
        })
        .collect();
    let object = json!({
        "id": id, "plugin": report.plugin, "version": report.version, "digest": report.digest, "asked": report.asked,
        "identical": report.identical, "pure_differ": report.pure_differ, "read_differ": report.read_differ,
        "failed": report.failed, "not_asked": report.not_asked, "same": report.identical == report.asked,
        "differences": differences,
    });
    common.say_text(&object, || asked_text(id, report));
    if report.pure_differ == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn asked_text(id: &str, report: &Asked) -> String {
    let Asked { plugin, version, digest, .. } = report;
    let mut text =
        format!("{id}: asked plugin {plugin} {version} ({})\n{}", short(digest), count(report.identical, report.asked));
    let mut line = |what: &str, count: u64| {
        if count > 0 {
            text.push_str(&format!("\n  {what}: {count}"));
        }
    };
    line("calls of pure functions that differ", report.pure_differ);
    line("calls of read functions that differ, which is no failure", report.read_differ);
    line("calls that the plugin failed in", report.failed);
    line("calls not asked, since they are no pure or read ones or their handler hangs", report.not_asked);
    for other in &report.differences {
        text.push_str(&format!(
            "\n  {} {} ({})\n    arguments ({})\n    recorded  {}\n    given     {}",
            other.sequence, other.function, other.effect, other.arguments, other.recorded, other.given
        ));
    }
    let more = (report.asked - report.identical).saturating_sub(report.differences.len() as u64);
    if more > 0 {
        text.push_str(&format!("\n  and {more} more"));
    }
    text
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
    if catalog.chains.is_empty() {
        // What is wrong with it: it may be cut off.
        verify::read(path, |_| {})?;
    }
    let mut ids = catalog.chains.keys();
    match (ids.next(), ids.next()) {
        (Some(id), None) => Ok(*id),
        _ => Err(theater_chain::Error::NoSuchChain { id: chain.to_owned(), path: path.to_owned() }.into()),
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

fn differs(id: &str, difference: &Difference) -> String {
    let shown = |described: Option<&EventText>| match described {
        Some(described) => {
            let function = described.function.as_ref().map(|function| format!(" {function}")).unwrap_or_default();
            format!("{}{function} {}", described.kind, described.text)
        }
        None => "nothing".to_owned(),
    };
    let Difference { sequence, what, before, call: (call, described), recorded, replayed } = difference;
    format!(
        "{id}: event {sequence} differs: {what}; the calls before it are the same: {before}\n  call     {call} {}\n  recorded \
         {sequence} {}\n  replayed {sequence} {}",
        shown(Some(described)),
        shown(recorded.as_ref()),
        shown(replayed.as_ref())
    )
}
