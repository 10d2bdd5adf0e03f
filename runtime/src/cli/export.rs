//! `theater chain export`.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use theater_chain::bundle::{Bundle, Missing, bundle};
use theater_chain::event::Id;
use theater_chain::event_text::EventFormatter;
use theater_chain::journal::export;
use theater_chain::objects::Objects;
use theater_chain::verify;
use theater_plugin_api::uuid_text;
use theater_runtime::support::error::Error;

use super::chain_argument::objects;
use super::chain_argument::resolve_chain;
use super::events::line;
use super::{Common, print_line};

const EXAMPLES: &str = "Examples:
  theater chain export counter --to counter.chain
  theater chain export counter -o json --to counter.jsonl
  theater chain export counter -o wave
  theater chain export counter --bundle --to counter.bundle
  theater --data counter.bundle replay counter";

/// The chain to export, and its target.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Export {
    /// Id, unique prefix of an id, or name of the actor (its newest chain); or the file of an exported chain
    chain: String,
    /// The target file or folder [default: <id>.chain, <id>.bundle; stdout for JSON and WAVE lines]
    #[arg(long, value_name = "PATH")]
    to: Option<PathBuf>,
    /// Write a self-contained data folder with this chain and all objects it refers to, for `--data FOLDER`
    #[arg(long)]
    bundle: bool,
}

impl Export {
    /// Runs the command.
    ///
    /// # Errors
    /// Those of reading, and of the file or folder.
    pub fn run(self, common: &Common) -> Result<(), Error> {
        let data = common.data();
        let (path, id) = resolve_chain(&data, &self.chain)?;
        let to = |ending: &str| self.to.clone().unwrap_or_else(|| format!("{}.{ending}", uuid_text(&id)).into());
        let objects = objects(&data, &path);
        if self.bundle {
            let to = to("bundle");
            print_bundle(common, id, &to, &objects, &bundle(&path, id, &objects, &to)?);
            return Ok(());
        }
        if !common.is_json() && !common.is_wave() {
            let to = to("chain");
            let bytes = export::export(&path, id)?;
            std::fs::write(&to, &bytes).map_err(|source| theater_chain::Error::Read { path: to.clone(), source })?;
            print_file(common, id, &to, bytes.len() as u64);
            return Ok(());
        }
        let describer = EventFormatter::new(Some(Objects::new(&objects)));
        match &self.to {
            None => print_events(common, &path, id, describer),
            Some(to) => {
                let bytes = write_events(common, &path, id, describer, to)?;
                print_file(common, id, to, bytes);
                Ok(())
            }
        }
    }
}

fn print_events(common: &Common, path: &Path, id: Id, mut describer: EventFormatter) -> Result<(), Error> {
    verify::read(path, |event| {
        if event.header.actor == id {
            print_line(&line(common, &mut describer, event));
        }
    })?;
    Ok(())
}

/// Writes the events to a file, one per line. Returns the file's size in bytes.
fn write_events(common: &Common, path: &Path, id: Id, mut describer: EventFormatter, to: &Path) -> Result<u64, Error> {
    let unwritable = |source| theater_chain::Error::Read { path: to.to_owned(), source };
    let mut file = BufWriter::new(File::create(to).map_err(unwritable)?);
    let (mut bytes, mut result) = (0, Ok(()));
    verify::read(path, |event| {
        if event.header.actor == id && result.is_ok() {
            let text = line(common, &mut describer, event);
            bytes += text.len() as u64 + 1;
            result = writeln!(file, "{text}");
        }
    })?;
    result.and_then(|()| file.flush()).map_err(unwritable)?;
    Ok(bytes)
}

fn print_file(common: &Common, id: Id, to: &Path, bytes: u64) {
    let object = json!({"id": uuid_text(&id), "path": to.display().to_string(), "bytes": bytes});
    common.print_lines(&object, || format!("{}: {bytes} bytes", to.display()));
}

fn print_bundle(common: &Common, id: Id, to: &Path, from: &Path, bundle: &Bundle) {
    let Bundle { events, objects, bytes, missing } = bundle;
    let id = uuid_text(&id);
    let missing_objects = missing
        .iter()
        .map(|Missing { digest, what, reason }| json!({"what": what, "digest": digest, "reason": reason}));
    let object = json!({
        "id": id, "path": to.display().to_string(), "events": events, "objects": objects, "bytes": bytes,
        "missing": missing_objects.collect::<Vec<_>>(),
    });
    common.print_lines(&object, || {
        let missing_objects = missing.iter().map(|Missing { digest, what, reason }| {
            let from = from.join("objects");
            format!("\nwarning: {what}, {digest}, is missing in {} and in the bundle: {reason}", from.display())
        });
        let text = format!("{}: {events} events of {id} and {objects} objects, {bytes} bytes", to.display());
        text + &missing_objects.collect::<String>()
    });
}
