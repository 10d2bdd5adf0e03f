//! `theater chain fork`.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use theater_chain::event::{EventRef, Id, hex};
use theater_chain::verify;
use theater_plugin_api::uuid_text;
use theater_runtime::core::{Core, Forked, Options};
use theater_runtime::manifest::Manifest;
use theater_runtime::replay::StateAt;
use theater_runtime::support::error::Error;
use theater_runtime::support::executor;

use super::chain_argument::objects;
use super::chain_argument::resolve_chain;
use super::state::state_at;
use super::{Common, Grants, Settings};

const EXAMPLES: &str = "Examples:
  theater chain fork counter --at 120 --manifest counter.toml
  theater chain fork counter.chain --at 120 --manifest other.toml --set port=9000
  theater run --resume";

/// The state from which a new actor starts, and its manifest.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Fork {
    /// Id, unique prefix of an id, or name of the actor (its newest chain); or the file of an exported chain
    chain: String,
    /// The event after which the fork begins
    #[arg(long, value_name = "SEQUENCE")]
    at: u64,
    /// The manifest of the new actor
    #[arg(long, value_name = "FILE")]
    manifest: PathBuf,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    grants: Grants,
}

impl Fork {
    /// Runs the command.
    ///
    /// # Errors
    /// Those of the manifest and its parts, of reading, `J0005`, `J0006`, and `S0002` while the program runs.
    pub fn run(self, common: &Common) -> Result<(), Error> {
        let data = common.data();
        let manifest = Manifest::read(&self.manifest, &self.settings.values())?;
        self.settings.warn_unused(&[&self.manifest]);
        // Before opening the data folder, which creates one if there is none.
        let (path, actor) = resolve_chain(&data, &self.chain)?;
        let from = event_at(&path, actor, self.at)?;
        let mut options = Options::new(common.plugins(), &data);
        self.grants.apply(&mut options)?;
        executor::init(2);
        let core = Core::open(options)?;
        let StateAt { state, .. } = state_at(&path, actor, &objects(&data, &path), Some(self.at))?;
        let bytes = state.as_ref().map(Vec::len);
        let forked = executor::block_on(core.fork(&manifest, state, from));
        core.services.journal.close();
        print_fork(common, &forked?, &from, bytes);
        Ok(())
    }
}

/// Finds an event by its sequence.
fn event_at(path: &Path, actor: Id, sequence: u64) -> Result<EventRef, Error> {
    let mut found = None;
    verify::read(path, |event| {
        if event.header.actor == actor && event.header.sequence == sequence {
            found = Some(EventRef { actor, sequence, hash: event.hash });
        }
    })?;
    found.ok_or_else(|| theater_chain::Error::NoSuchEvent { id: sequence.to_string(), path: path.to_owned() }.into())
}

fn print_fork(common: &Common, forked: &Forked, from: &EventRef, bytes: Option<usize>) {
    let Forked { id, name, in_place_of } = forked;
    let [id, origin] = [id, &from.actor].map(uuid_text);
    let in_place_of = in_place_of.as_ref().map(uuid_text);
    let object = json!({
        "event": "forked", "id": id, "name": name, "bytes": bytes, "in_place_of": in_place_of,
        "cause": {"actor": origin, "sequence": from.sequence, "hash": hex(&from.hash)},
    });
    common.print_lines(&object, || {
        let state = bytes.map_or_else(|| "no state".to_owned(), |bytes| format!("a state of {bytes} bytes"));
        let mut text = format!(
            "actor {id} {name} forked from event {} of {origin} with {state}\n`theater run --resume` starts it: its init \
             gets that state",
            from.sequence
        );
        if let Some(before) = in_place_of {
            text.push_str(&format!(
                "\nactor {before} with the same name will not be resumed any more: only the newest actor of a name is, and \
                 that is now the fork; to resume both, run `theater chain rm {id}` and fork again with another name in \
                 the manifest"
            ));
        }
        text
    });
}
