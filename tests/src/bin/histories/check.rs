//! Counts what the chains of a data folder contain, and replays them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::Path;
use std::sync::Mutex;
use std::thread;

use theater_chain::event::Id;
use theater_chain::record::{Created, FunctionRecord, Kind, Outcome, Renewed, Return};
use theater_chain::verify::{self, ChainEnd, Event};
use theater_plugin_api::encoding::decode;
use theater_runtime::replay::{Options, Report, replay};
use theater_runtime::support::error::Error;
use theater_tests::repository;

use crate::stage::EVENTS;

const PACKAGE: &str = "theater:simple/";
/// The fewest different actors that histories must come from.
const ACTORS: usize = 20;

/// Totals over all chains.
#[derive(Default)]
pub struct Totals {
    /// Chains with at least [`EVENTS`] events.
    pub histories: u64,
    /// Components of histories, by digest.
    pub actors: BTreeSet<String>,
    pub chains: u64,
    pub events: u64,
    /// Calls whose replay was identical, and their host calls.
    pub calls: u64,
    pub host_calls: u64,
    /// Functions that were called, as interface and name.
    pub called: BTreeSet<(String, String)>,
    pub failures: u64,
    pub restarts: u64,
    /// Actors that were resumed in another process.
    pub resumed: u64,
    /// Calls that the core interrupted, or that the end of the program cut off.
    pub interrupted: u64,
}

impl Totals {
    /// Describes everything that the run should have covered and did not.
    pub fn missing(&self) -> Vec<String> {
        let mut missing: Vec<_> = functions()
            .into_iter()
            .filter(|function| !self.called.contains(function))
            .map(|(interface, function)| format!("{interface} {function}"))
            .collect();
        let counts = [
            ("failures", self.failures),
            ("restarts", self.restarts),
            ("resumed actors", self.resumed),
            ("interrupted calls", self.interrupted),
        ];
        missing.extend(counts.iter().filter(|(_, count)| *count == 0).map(|(what, _)| (*what).to_owned()));
        if self.actors.len() < ACTORS {
            missing.push(format!("{ACTORS} actors: there are {}", self.actors.len()));
        }
        missing
    }
}

/// All functions of all interfaces.
fn functions() -> Vec<(String, String)> {
    let path = repository().join("tests/golden/functions.tsv");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let functions = text.lines().filter_map(|line| {
        let mut columns = line.split('\t');
        Some((columns.next()?.to_owned(), columns.next()?.to_owned()))
    });
    functions.collect()
}

/// Adds the chains of a data folder to the totals. Returns the chains whose replay differs or fails.
///
/// # Panics
/// If a chain does not verify.
pub fn all(data: &Path, totals: &mut Totals) -> Vec<String> {
    let mut tallies: HashMap<Id, Tally> = HashMap::new();
    let contents = verify::read(data, |event| tallies.entry(event.header.actor).or_default().see(event, totals));
    let chains = contents.expect("every chain verifies").chains;
    for (id, end) in &chains {
        let (events, tally) = (end.chain.len(), tallies.remove(id).unwrap_or_default());
        totals.chains += 1;
        totals.events += events;
        totals.interrupted += tally.begun.len() as u64;
        if events >= EVENTS {
            totals.histories += 1;
            totals.actors.insert(tally.component);
        }
    }
    let mut wrong = Vec::new();
    for (name, replayed) in replays(data, &chains) {
        match replayed {
            Ok(Report { difference: None, calls, host_calls, .. }) => {
                totals.calls += calls;
                totals.host_calls += host_calls;
            }
            Ok(Report { difference, .. }) => wrong.push(format!("{name}: {difference:#?}")),
            Err(error) => wrong.push(format!("{name}: {error}")),
        }
    }
    wrong
}

/// Replays each chain from its start, one per core at a time.
fn replays<'a>(data: &Path, chains: &'a BTreeMap<Id, ChainEnd>) -> Vec<(&'a str, Result<Report, Error>)> {
    let at_a_time = thread::available_parallelism().map_or(1, usize::from);
    let next = Mutex::new(chains.iter());
    let replayed = Mutex::new(Vec::new());
    let one = || {
        let next = next.lock().expect("no panic while locked").next();
        next.map(|(id, end)| (end.name.as_str(), replay(data, *id, data, &Options::default())))
    };
    thread::scope(|scope| {
        for _ in 0..at_a_time {
            scope.spawn(|| {
                while let Some(report) = one() {
                    replayed.lock().expect("no panic while locked").push(report);
                }
            });
        }
    });
    replayed.into_inner().expect("no panic while locked")
}

/// What was read of one chain so far.
#[derive(Default)]
struct Tally {
    component: String,
    functions: Vec<FunctionRecord>,
    /// Queued calls, with the index of their export.
    queued: HashMap<u64, u32>,
    /// Calls that made host calls and have not returned.
    begun: HashSet<u64>,
}

impl Tally {
    fn see(&mut self, event: &Event<'_>, totals: &mut Totals) {
        let header = &event.header;
        let (data, call) = (event.data.unwrap_or_default(), header.call.unwrap_or(u64::MAX));
        match Kind::from_number(header.kind) {
            Some(kind @ (Kind::Created | Kind::Restarted | Kind::Swapped)) => {
                let created: Created = decode(data).expect("a start decodes");
                (self.component, self.functions) = (created.setup.component, created.setup.functions);
                totals.restarts += u64::from(kind == Kind::Restarted);
            }
            Some(Kind::Instance) => {
                let renewed: Renewed = decode(data).expect("a renewal decodes");
                totals.resumed += u64::from(renewed.reason == "resume");
            }
            Some(Kind::Queued) => drop(self.queued.insert(header.sequence, header.function.unwrap_or(u32::MAX))),
            Some(Kind::Intent) => drop(self.begun.insert(call)),
            Some(Kind::Host) => {
                self.begun.insert(call);
                totals.called.extend(self.name(header.function));
            }
            Some(Kind::Return) => {
                self.begun.remove(&call);
                let export = self.queued.remove(&call);
                let returned: Return = decode(data).expect("an end decodes");
                match returned.outcome {
                    Outcome::Interrupted(_) => totals.interrupted += 1,
                    _ => totals.called.extend(self.name(export)),
                }
            }
            Some(Kind::Failed) => totals.failures += 1,
            _ => {}
        }
    }

    /// Interface and name of a function, if the interface is one of ours.
    fn name(&self, index: Option<u32>) -> Option<(String, String)> {
        let FunctionRecord { interface, function, .. } = self.functions.get(index? as usize)?;
        Some((interface.strip_prefix(PACKAGE)?.to_owned(), function.clone()))
    }
}
