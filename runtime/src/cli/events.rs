//! `theater events`.

use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use theater_chain::event::{Header, Id, hex};
use theater_chain::event_text::{EventFormatter, EventText};
use theater_chain::journal::reader::{EventFilter, ReadPosition, find, read_more};
use theater_chain::objects::Objects;
use theater_chain::record::Kind;
use theater_chain::text;
use theater_chain::verify::Event;
use theater_runtime::support::error::Error;

use super::filter::Condition;
use super::{CommandResult, Common, print_line};

const EXAMPLES: &str = "Examples:
  theater events
  theater events counter
  theater events --follow
  theater events counter --where type=host --where function=send
  theater events --where 'text~in doubt' --where 'sequence>=100'
  theater events -o json counter";

/// Interval at which `--follow` checks for new events.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(100);

/// List the events of all chains or of one from disk, one per line; events of a running program appear within milliseconds.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Events {
    /// Id, unique prefix of an id, or name of the actor (its newest chain) [default: all]
    actor: Option<String>,
    /// Only events that match, for example type=host, function=send, text~WORDS, sequence>=10; several must all match
    #[arg(long = "where", value_name = "CONDITION")]
    conditions: Vec<Condition>,
    /// Keep printing new events
    #[arg(long)]
    follow: bool,
}

impl Events {
    /// Runs the command.
    pub fn run(self, common: &Common) -> CommandResult {
        let data = common.data();
        let only = self.actor.as_ref().map(|wanted| find(&data, wanted)).transpose()?;
        let mut describer = EventFormatter::new(Some(Objects::new(&data)));
        let mut position = ReadPosition::default();
        loop {
            self.print(common, (&data, only), &mut describer, &mut position)?;
            if !self.follow {
                return Ok(ExitCode::SUCCESS);
            }
            std::thread::sleep(FOLLOW_INTERVAL);
        }
    }

    /// Prints the events after a position.
    fn print(
        &self,
        common: &Common,
        (data, only): (&Path, Option<Id>),
        describer: &mut EventFormatter,
        position: &mut ReadPosition,
    ) -> Result<(), Error> {
        let excluded = |header: &Header| self.conditions.iter().any(|condition| condition.excludes(header));
        // Starts are always read: they have the types of later events.
        let header = |header: &Header| is_start(header.kind) || !excluded(header);
        let read = read_more(data, position, &mut EventFilter { only, header }, |event| {
            let unwanted = excluded(&event.header) || {
                let function = describer.function(&event.header);
                self.conditions.iter().any(|condition| condition.excludes_function(function))
            };
            if unwanted && !is_start(event.header.kind) {
                return ControlFlow::Continue(());
            }
            let described = describer.describe(event);
            if !unwanted && self.conditions.iter().all(|condition| condition.holds(&described)) {
                print_line(&event_line(common, event, described));
            }
            ControlFlow::Continue(())
        });
        read.map(drop).map_err(Error::from)
    }
}

fn is_start(kind: u8) -> bool {
    matches!(Kind::from_number(kind), Some(Kind::Created | Kind::Restarted | Kind::Swapped))
}

/// Formats an event on one line.
pub fn line(common: &Common, describer: &mut EventFormatter, event: &Event<'_>) -> String {
    let described = describer.describe(event);
    event_line(common, event, described)
}

/// Formats an event with its text on one line.
pub fn event_line(common: &Common, event: &Event<'_>, described: EventText) -> String {
    if common.is_json() {
        return text::json(&described.json(event).to_string()).into_owned();
    }
    let id = hex(event.header.actor.get(..4).unwrap_or_default());
    let function = described.function.map(|function| format!(" {function}")).unwrap_or_default();
    let line = format!(
        "{id} {:>6} {} {}{function} {}",
        event.header.sequence,
        time(event.header.timestamp),
        described.kind,
        described.text
    );
    text::line(&line).into_owned()
}

/// Formats milliseconds since the epoch as UTC, RFC 3339.
pub fn time(ms: u64) -> String {
    let (days, rest) = (ms / 86_400_000, ms % 86_400_000);
    let (hours, minutes, seconds) = (rest / 3_600_000, rest / 60_000 % 60, rest / 1000 % 60);
    let (year, month, day) = civil(days);
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{:03}Z", ms % 1000)
}

/// Days since 1970-01-01 as a date of the Gregorian calendar (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    #[test]
    fn times_are_rfc_3339() {
        assert_eq!(super::time(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(super::time(1_709_210_096_007), "2024-02-29T12:34:56.007Z");
    }
}
