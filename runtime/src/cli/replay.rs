//! `theater replay`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;
use theater_chain::event_text::EventText;
use theater_plugin_api::uuid_text;
use theater_runtime::replay::plugin::{Report as Asked, ask};
use theater_runtime::replay::{Difference, Options, Report, replay};
use theater_runtime::support::executor;

use super::chain_argument::resolve_chain;
use super::{CommandResult, Common, short};

const EXAMPLES: &str = "Examples:
  theater replay counter
  theater replay counter --until 120
  theater replay counter --component new.wasm
  theater replay counter --plugin libnew.so
  theater replay counter.chain

Exit code: 0 if all bytes are identical, else 1. The replay ends at the first difference; with --component it continues
to the last call and counts them. With --plugin, 1 if a call of a `pure` function returns different bytes: a `read`
function may return different ones each time, so these are only counted and shown.";

/// Re-execute an actor's calls from its chain and report the first difference (exit code 1).
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Replay {
    /// Id, unique prefix of an id, or name of the actor (its newest chain); or the file of an exported chain
    chain: String,
    /// Run this component instead of the recorded one, and count the calls with identical bytes
    #[arg(long, value_name = "FILE")]
    component: Option<PathBuf>,
    /// Instead of running a component, repeat the recorded calls of this plugin's `pure` and `read` functions, and count those
    /// with identical bytes; each call has 5 s, and functions that need a running actor fail
    #[arg(long, value_name = "FILE", conflicts_with_all = ["component", "fresh"])]
    plugin: Option<PathBuf>,
    /// The last event to replay
    #[arg(long, value_name = "SEQUENCE")]
    until: Option<u64>,
    /// Use a new instance for each call: detects state that is kept in linear memory
    #[arg(long)]
    fresh: bool,
}

impl Replay {
    /// Runs the command.
    pub fn run(self, common: &Common) -> CommandResult {
        let data = common.data();
        let (path, actor) = resolve_chain(&data, &self.chain)?;
        let id = uuid_text(&actor);
        if let Some(plugin) = &self.plugin {
            executor::init(1);
            return Ok(print_plugin_report(common, &id, &ask(&path, actor, plugin, self.until)?));
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
        common.print_lines(&object, || {
            let text = report.difference.as_ref().map_or_else(|| same(&id, &report), |other| differs(&id, other));
            if counted {
                format!("{text}\n{}", identical_calls(report.calls, report.calls + report.differing))
            } else {
                text
            }
        });
        Ok(if report.difference.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn text(described: Option<&EventText>) -> Option<&str> {
    described.map(|described| described.text.as_str())
}

fn identical_calls(identical: u64, of: u64) -> String {
    format!("  calls with identical bytes: {identical} of {of}")
}

/// Prints the comparison of a plugin's results.
fn print_plugin_report(common: &Common, id: &str, report: &Asked) -> ExitCode {
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
    common.print_lines(&object, || plugin_text(id, report));
    if report.pure_differ == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn plugin_text(id: &str, report: &Asked) -> String {
    let Asked { plugin, version, digest, .. } = report;
    let mut text = format!(
        "{id}: called plugin {plugin} {version} ({})\n{}",
        short(digest),
        identical_calls(report.identical, report.asked)
    );
    let mut line = |what: &str, count: u64| {
        if count > 0 {
            text.push_str(&format!("\n  {what}: {count}"));
        }
    };
    line("calls of pure functions that differ", report.pure_differ);
    line("calls of read functions that differ (not a failure)", report.read_differ);
    line("calls in which the plugin failed", report.failed);
    line("calls skipped, because the function is neither pure nor read or its handler hangs", report.not_asked);
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

fn same(id: &str, report: &Report) -> String {
    let Report { calls, host_calls, interrupted, unfinished, begun_at, .. } = report;
    let mut text =
        format!("{id}: replay identical: {}, {}", counted(*calls, "call"), counted(*host_calls, "host call"));
    if *interrupted > 0 {
        text.push_str(&format!("; {}, identical up to the interruption", counted(*interrupted, "interrupted call")));
    }
    if *unfinished > 0 {
        text.push_str(&format!("; {}", counted(*unfinished, "unfinished call")));
    }
    if let Some(snapshot) = begun_at {
        text.push_str(&format!("; from snapshot {snapshot} on, because earlier data was deleted"));
    }
    text
}

/// A number with its noun, in the singular or plural.
pub fn counted(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
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
        "{id}: event {sequence} differs: {what}; identical calls before it: {before}\n  call     {call} {}\n  recorded \
         {sequence} {}\n  replayed {sequence} {}",
        shown(Some(described)),
        shown(recorded.as_ref()),
        shown(replayed.as_ref())
    )
}
