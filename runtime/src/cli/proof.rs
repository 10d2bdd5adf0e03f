//! `theater chain prove` and `theater verify-proof`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::json;
use theater_chain::event::hex;
use theater_chain::event_text::EventFormatter;
use theater_chain::proof;
use theater_plugin_api::uuid_text;
use theater_runtime::support::error::Error;

use super::chain_argument::resolve_chain;
use super::{CommandResult, Common};

const EXAMPLES: &str = "Examples:
  theater chain prove counter 120 --to counter.proof
  theater verify-proof counter.proof
  theater verify-proof counter.proof --head HASH";

/// Check a proof that an event is in a chain; only the file is needed. Exit code 1 if the proof is not valid.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct VerifyProof {
    /// The file that `theater chain prove` wrote
    file: PathBuf,
    /// Known hash of the chain's newest event; without it, compare the printed hash yourself
    #[arg(long, value_name = "HASH")]
    head: Option<String>,
}

/// Writes a proof.
///
/// # Errors
/// Those of reading, and of the file.
pub fn prove(common: &Common, data: &Path, chain: &str, sequence: u64, to: Option<PathBuf>) -> Result<(), Error> {
    let (path, actor) = resolve_chain(data, chain)?;
    let bytes = proof::prove(&path, actor, sequence)?;
    let id = uuid_text(&actor);
    let to = to.unwrap_or_else(|| PathBuf::from(format!("{id}-{sequence}.proof")));
    std::fs::write(&to, &bytes).map_err(|source| theater_chain::Error::Read { path: to.clone(), source })?;
    let head = hex(&proof::check(&to, &bytes)?.head);
    let object =
        json!({"id": id, "sequence": sequence, "head": head, "path": to.display().to_string(), "bytes": bytes.len()});
    common.print_lines(&object, || {
        format!(
            "{}: {} bytes, a proof that event {sequence} of {id} is in the chain with the head {head}",
            to.display(),
            bytes.len()
        )
    });
    Ok(())
}

impl VerifyProof {
    /// Runs the command.
    pub fn run(self, common: &Common) -> CommandResult {
        let bytes = std::fs::read(&self.file)
            .map_err(|source| theater_chain::Error::Read { path: self.file.clone(), source })?;
        let proven = proof::check(&self.file, &bytes)?;
        let head = hex(&proven.head);
        if let Some(known) = &self.head {
            proven.require_head(&self.file, known)?;
        }
        let formatted = EventFormatter::new(None).describe(&proven.event());
        let (id, sequence) = (uuid_text(&proven.header.actor), proven.header.sequence);
        let object = json!({
            "id": id, "sequence": sequence, "hash": hex(&proven.hash), "type": formatted.kind, "text": formatted.text,
            "head": head, "head_sequence": proven.head_sequence,
        });
        common.print_lines(&object, || {
            format!(
                "event {sequence} of {id} ({} {}) is in the chain whose event {} has the hash {head}",
                formatted.kind, formatted.text, proven.head_sequence
            )
        });
        Ok(ExitCode::SUCCESS)
    }
}
