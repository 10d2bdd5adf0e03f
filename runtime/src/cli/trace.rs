//! `theater trace`: follows a message from end to end, through all chains of a data folder.
//!
//! There are two kinds of links between events. An event of a call links to the call's `queued` event (`call` is its sequence),
//! and a `queued` event, or the `created` event of a fork, links to its cause. The trace is the tree of these links, from the
//! outermost cause down.

use std::collections::{BTreeMap, HashMap};
use std::process::ExitCode;

use clap::Args;
use theater_chain::event::{Hash, Id, hex};
use theater_chain::event_text::EventFormatter;
use theater_chain::journal::reader::find;
use theater_chain::objects::Objects;
use theater_chain::record::Kind;
use theater_chain::verify::{self, Event};
use theater_plugin_api::uuid_text;
use theater_runtime::support::error::Error;

use super::events::line;
use super::{CommandResult, Common, print_line};

const EXAMPLES: &str = "Examples:
  theater trace counter:12
  theater trace 3f9a1c";

/// Follow a message from its outermost cause to everything it caused, through all chains of the data folder.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Trace {
    /// The event: CHAIN:SEQUENCE (the chain by its actor's id, a unique prefix of it, or name), or a prefix of its hash (at
    /// least 8 digits)
    event: String,
}

type Key = (Id, u64);

/// The links between events.
#[derive(Default)]
struct Links {
    // The parent of each event: its call, or its cause.
    parents: HashMap<Key, Key>,
    children: BTreeMap<Key, Vec<Key>>,
}

impl Links {
    fn add(&mut self, event: &Event<'_>) {
        let header = &event.header;
        let key = (header.actor, header.sequence);
        let above = match Kind::from_number(header.kind) {
            Some(Kind::Queued | Kind::Created) => header.cause.map(|cause| (cause.actor, cause.sequence)),
            _ => header.call.map(|call| (header.actor, call)),
        };
        if let Some(above) = above {
            self.parents.insert(key, above);
            self.children.entry(above).or_default().push(key);
        }
    }

    fn root(&self, mut key: Key) -> Key {
        while let Some(above) = self.parents.get(&key) {
            key = *above;
        }
        key
    }

    /// The events under `root` in the order to show them, each with its depth.
    fn tree(&self, root: Key) -> Vec<(Key, usize)> {
        let mut shown = Vec::new();
        let mut open = vec![(root, 0)];
        while let Some((key, depth)) = open.pop() {
            shown.push((key, depth));
            let below = self.children.get(&key).into_iter().flatten().rev();
            open.extend(below.map(|key| (*key, depth + 1)));
        }
        shown
    }
}

impl Trace {
    /// Runs the command.
    pub fn run(self, common: &Common) -> CommandResult {
        let data = common.data();
        let wanted = self.wanted(common)?;
        let (mut links, mut found) = (Links::default(), Vec::new());
        verify::read(&data, |event| {
            links.add(event);
            if wanted.matches(event) {
                found.push((event.header.actor, event.header.sequence));
            }
        })?;
        let [event] = found.as_slice() else {
            let id = if found.is_empty() { self.event } else { format!("{} (it is not unique)", self.event) };
            return Err(theater_chain::Error::NoSuchEvent { id, path: data }.into());
        };
        let tree = links.tree(links.root(*event));
        let mut lines: HashMap<Key, String> = tree.iter().map(|(key, _)| (*key, String::new())).collect();
        let mut describer = EventFormatter::new(Some(Objects::new(&data)));
        verify::read(&data, |event| {
            let text = line(common, &mut describer, event);
            if let Some(slot) = lines.get_mut(&(event.header.actor, event.header.sequence)) {
                *slot = text;
            }
        })?;
        for (key, depth) in &tree {
            let text = lines.get(key).map(String::as_str).unwrap_or_default();
            let indent = if common.is_json() { String::new() } else { "  ".repeat(*depth) };
            match text {
                "" => print_line(&format!("{indent}{}:{} is not in this folder", uuid_text(&key.0), key.1)),
                text => print_line(&format!("{indent}{text}")),
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    fn wanted(&self, common: &Common) -> Result<Wanted, Error> {
        let Some((chain, sequence)) = self.event.rsplit_once(':') else {
            return Ok(Wanted::Hash(self.event.to_ascii_lowercase()));
        };
        let sequence = sequence
            .parse()
            .map_err(|_| theater_chain::Error::NoSuchEvent { id: self.event.clone(), path: common.data() })?;
        Ok(Wanted::Key((find(&common.data(), chain)?, sequence)))
    }
}

/// The requested event.
enum Wanted {
    Key(Key),
    Hash(String),
}

impl Wanted {
    fn matches(&self, event: &Event<'_>) -> bool {
        match self {
            Self::Key(key) => *key == (event.header.actor, event.header.sequence),
            Self::Hash(start) => start.len() >= 8 && starts(&event.hash, start),
        }
    }
}

fn starts(hash: &Hash, start: &str) -> bool {
    hex(hash).starts_with(start)
}
