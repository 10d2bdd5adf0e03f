//! `theater chain diff`.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value as Json, json};
use theater_chain::diff::{Comparison, Difference, Source, diff};
use theater_plugin_api::uuid_text;
use theater_runtime::replay;
use theater_runtime::support::error::Error;

use super::chain::objects;
use super::events::shown;
use super::replay::one;
use super::{Common, Done};

const EXAMPLES: &str = "Compared are, event by event:
  all events   type, function by name, call, and whether there is a cause
  starts       all but the name, the parent, and where the manifest was read
  queued       params, not the words on where the call comes from
  host         arguments and result
  return       how the call ended, its number of host calls, and the new state
  snapshot     state and which calls wait, not what handlers keep for themselves
  sealed       the key
  others       data
Ids, hashes and times of events are not compared. An actor's own id in data
is the same as the other actor's.

Examples:
  theater chain diff counter counter.chain
  theater chain diff 3f9a1c 71d2e0
  theater -o json chain diff monday.chain tuesday.chain";

/// Which chains are compared.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Diff {
    /// Id, unique start of an id, or name of the actor (its newest chain); or the file of an exported chain
    #[arg(value_name = "A")]
    first: String,
    /// The other one, likewise
    #[arg(value_name = "B")]
    second: String,
}

impl Diff {
    /// Runs the command.
    pub fn run(self, common: &Common) -> Done {
        let data = common.data();
        let sources = [source(&data, &self.first)?, source(&data, &self.second)?];
        let state_at = |source: &Source, sequence| {
            let found = replay::state(&source.path, source.actor, &source.objects, Some(sequence)).ok()?.ok()?;
            Some(found.state)
        };
        let comparison = diff(&sources[0], &sources[1], &state_at)?;
        common.say_text(&object(&sources, &comparison), || self.text(common, &comparison));
        Ok(if comparison.difference.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    fn text(&self, common: &Common, comparison: &Comparison) -> String {
        let Self { first, second } = self;
        let Comparison { same, more: [of_first, of_second], difference, by_length } = comparison;
        let mut text = match (difference, of_first, of_second) {
            (Some(difference), ..) => self.differs(common, *same, difference),
            (None, 0, 0) => format!("{first} and {second} are the same: {same} events"),
            (None, 0, more) => begins(first, second, *same, *more),
            (None, more, _) => begins(second, first, *same, *more),
        };
        if let Some(sequence) = by_length {
            text.push_str(&format!(
                "\nfrom event {sequence} on states are compared by their length alone: they hold the actors' own ids"
            ));
        }
        text
    }

    fn differs(&self, common: &Common, same: u64, difference: &Difference) -> String {
        let Self { first, second } = self;
        let width = first.chars().count().max(second.chars().count());
        let lines = [first, second].into_iter().zip(&difference.sides);
        let lines = lines
            .map(|(name, side)| format!("\n  {name:width$}  {}", shown(common, &side.event(), side.described.clone())));
        format!("event {same} differs: {}; the events before it are the same: {same}", difference.what)
            + &lines.collect::<String>()
    }
}

fn begins(short: &str, long: &str, same: u64, more: u64) -> String {
    format!("{short} is the beginning of {long}: {same} events are the same, {long} has {more} more")
}

fn source(data: &Path, chain: &str) -> Result<Source, Error> {
    let (path, actor) = one(data, chain)?;
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
