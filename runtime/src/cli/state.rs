//! `theater state`.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;
use theater_chain::event::{Id, hex};
use theater_plugin_api::uuid_text;
use theater_runtime::replay::{self, StateAt};
use theater_runtime::support::error::Error;

use super::chain_argument::resolve_chain;
use super::{CommandResult, Common};

const EXAMPLES: &str = "Examples:
  theater state counter
  theater state counter --at 120
  theater state counter.chain --at 120 > state.json";

/// Print an actor's state from its chain: as raw bytes, or as an object with -o json.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct State {
    /// Id, unique prefix of an id, or name of the actor (its newest chain); or the file of an exported chain
    chain: String,
    /// The event after which the state is printed [default: the newest]
    #[arg(long, value_name = "SEQUENCE")]
    at: Option<u64>,
}

impl State {
    /// Runs the command.
    pub fn run(self, common: &Common) -> CommandResult {
        let data = common.data();
        let (path, actor) = resolve_chain(&data, &self.chain)?;
        let id = uuid_text(&actor);
        let StateAt { sequence, state } = state_at(&path, actor, &data, self.at)?;
        if common.is_json() {
            let text = state.as_deref().and_then(|state| std::str::from_utf8(state).ok());
            let hex = state.as_deref().filter(|_| text.is_none()).map(hex);
            let object = json!({"id": id, "sequence": sequence, "bytes": state.as_ref().map(Vec::len), "state": text, "state_hex": hex});
            super::print_json(&object);
        } else if let Some(state) = state {
            super::out::print_raw(&state);
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Computes the state of an actor after event `at`, or at the end of its chain.
///
/// # Errors
/// Those of [`replay::state`], and `J0006` with the first difference of the replay.
pub fn state_at(path: &Path, actor: Id, data: &Path, at: Option<u64>) -> Result<StateAt, Error> {
    let found = replay::state(path, actor, data, at)?;
    found.map_err(|difference| Error::Replay {
        sequence: difference.sequence,
        what: format!("the replay diverged from the chain: {}; `theater replay` shows both events", difference.what),
        is_missing: false,
    })
}
