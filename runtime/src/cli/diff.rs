//! `theater chain diff`.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value as Json, json};
use theater_chain::diff::{Comparison, Difference, Source, diff};
use theater_plugin_api::uuid_text;
use theater_runtime::replay;
use theater_runtime::support::error::Error;

use super::chain_argument::objects;
use super::chain_argument::resolve_chain;
use super::events::event_line;
use super::{CommandResult, Common};

const EXAMPLES: &str = "Each pair of events is compared by:
  all events   type, function name, call, and whether there is a cause
  starts       everything except name, parent and path of the manifest
  queued       params, not the description of the caller
  host         arguments and result
  return       how the call ended, its number of host calls, and the new state
  snapshot     state and waiting calls, not the states of handlers
  sealed       key
  others       data
Ids, hashes and times of events are not compared. The id of the first actor in
its data equals the id of the second actor in its.

Examples:
  theater chain diff counter counter.chain
  theater chain diff 3f9a1c 71d2e0
  theater -o json chain diff monday.chain tuesday.chain";

/// The chains to compare.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Diff {
    /// Id, unique prefix of an id, or name of the actor (its newest chain); or the file of an exported chain
    #[arg(value_name = "A")]
    first: String,
    /// The other chain, in the same form
    #[arg(value_name = "B")]
    second: String,
}

impl Diff {
    /// Runs the command.
    pub fn run(self, common: &Common) -> CommandResult {
        let data = common.data();
        let sources = [source(&data, &self.first)?, source(&data, &self.second)?];
        let state_at = |source: &Source, sequence| {
            let found = replay::state(&source.path, source.actor, &source.objects, Some(sequence)).ok()?.ok()?;
            Some(found.state)
        };
        let comparison = diff(&sources[0], &sources[1], &state_at)?;
        common.print_lines(&object(&sources, &comparison), || self.text(common, &comparison));
        Ok(if comparison.difference.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    fn text(&self, common: &Common, comparison: &Comparison) -> String {
        let Self { first, second } = self;
        let Comparison { same, more: [of_first, of_second], difference, by_length } = comparison;
        let mut text = match (difference, of_first, of_second) {
            (Some(difference), ..) => self.differs(common, *same, difference),
            (None, 0, 0) => format!("{first} and {second} are identical: {same} events"),
            (None, 0, more) => prefix(first, second, *same, *more),
            (None, more, _) => prefix(second, first, *same, *more),
        };
        if let Some(sequence) = by_length {
            text.push_str(&format!(
                "\nfrom event {sequence} on, states are compared by length only, because they contain the actors' ids"
            ));
        }
        text
    }

    fn differs(&self, common: &Common, same: u64, difference: &Difference) -> String {
        let Self { first, second } = self;
        let width = first.chars().count().max(second.chars().count());
        let lines = [first, second].into_iter().zip(&difference.sides);
        let lines = lines.map(|(name, side)| {
            format!("\n  {name:width$}  {}", event_line(common, &side.event(), side.described.clone()))
        });
        format!("event {same} differs: {}; identical events before it: {same}", difference.what)
            + &lines.collect::<String>()
    }
}

fn prefix(short: &str, long: &str, same: u64, more: u64) -> String {
    format!("{short} is a prefix of {long}: {same} events are identical, {long} has {more} more")
}

fn source(data: &Path, chain: &str) -> Result<Source, Error> {
    let (path, actor) = resolve_chain(data, chain)?;
    let objects = objects(data, &path);
    Ok(Source { path, actor, objects })
}

fn object(sources: &[Source; 2], comparison: &Comparison) -> Json {
    let [first, second] = sources.each_ref().map(|source| uuid_text(&source.actor));
    let difference = comparison.difference.as_ref();
    let events =
        difference.map(|difference| difference.sides.each_ref().map(|side| side.described.clone().json(&side.event())));
    json!({
        "first": first, "second": second, "same": comparison.same, "differs": difference.is_some(),
        "what": difference.map(|difference| difference.what), "events": events, "more": comparison.more,
        "states_by_length_from": comparison.by_length,
    })
}
