//! Addresses and ids of the actors of a running program, and helpers that all drives use.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use theater_plugin_api::testing::Seeded;
use theater_tests::talk::try_ask;
use theater_tests::{PATIENCE, Running, wait_until};

use crate::cast::ROLES;

/// The fewest events of a chain that counts as a history.
pub const EVENTS: u64 = 200;

/// The actors of a program, by name.
pub struct Stage {
    actors: HashMap<String, (String, Option<SocketAddr>)>,
    /// Address of the upstream server, which is not an actor.
    pub upstream: SocketAddr,
    is_over: AtomicBool,
}

impl Stage {
    /// Waits until all actors are ready.
    pub fn of(running: &Running, upstream: SocketAddr) -> Self {
        let count = ROLES.len() + 1;
        let lines = wait_until(&format!("{count} ready actors; stderr: {:?}", running.errors()), || {
            let lines: Vec<_> = running.lines().into_iter().filter(|line| line.contains(" ready")).collect();
            (lines.len() == count).then_some(lines)
        });
        let actors = lines.iter().map(|line| {
            let mut words = line.split(' ').skip(1);
            let (id, name) = (words.next().expect("an id"), words.next().expect("a name"));
            let url = words.nth(1).and_then(|url| url.split("://").nth(1));
            let address = url.map(|url| url.split('/').next().unwrap_or(url).parse().expect("an address"));
            (name.to_owned(), (id.to_owned(), address))
        });
        Self { actors: actors.collect(), upstream, is_over: AtomicBool::new(false) }
    }

    /// The first address of an actor.
    pub fn at(&self, name: &str) -> SocketAddr {
        let address = self.actors.get(name).and_then(|(_, address)| *address);
        address.unwrap_or_else(|| panic!("{name} has an address"))
    }

    pub fn id(&self, name: &str) -> &str {
        self.actors.get(name).map(|(id, _)| id.as_str()).unwrap_or_else(|| panic!("{name} has an id"))
    }

    /// Makes [`Stage::ask_until`] give up, because the program is about to be killed.
    pub fn end(&self) {
        self.is_over.store(true, Ordering::SeqCst);
    }

    /// Sends a request that the actor has to answer with success.
    pub fn ask(&self, name: &str, kind: &str, payload: Json) -> Result<Json, String> {
        try_ask(self.at(name), kind, payload).map_err(|error| format!("{name}: {kind}: {error}"))
    }

    /// Like [`Stage::ask`], but ignores errors.
    pub fn try_ask(&self, name: &str, kind: &str, payload: Json) {
        drop(self.ask(name, kind, payload));
    }

    /// Repeats a request until `is_right` accepts the answer.
    pub fn ask_until(
        &self,
        name: &str,
        kind: &str,
        payload: &Json,
        is_right: impl Fn(&Json) -> bool,
    ) -> Result<Json, String> {
        let begun = Instant::now();
        loop {
            let answer = self.ask(name, kind, payload.clone());
            match answer {
                Ok(answer) if is_right(&answer) => return Ok(answer),
                _ if self.is_over.load(Ordering::SeqCst) || begun.elapsed() > PATIENCE => {
                    return Err(format!("{name}: {kind} {payload} returned {answer:?}"));
                }
                _ => thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// Requests the report of an actor about itself.
    pub fn report(&self, name: &str) -> Result<Json, String> {
        self.ask(name, "report", json!({}))
    }
}

/// How often a drive has to repeat a step of `events` events for a history, plus a random number of repetitions.
pub fn turns(chance: &mut Seeded, events: u64) -> u64 {
    let least = EVENTS.div_ceil(events);
    least + chance.below(least / 4 + 2)
}
