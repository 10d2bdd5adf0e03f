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

use super::chain::objects;
use super::events::line;
use super::replay::one;
use super::{Common, print_line};

const EXAMPLES: &str = "Examples:
  theater chain export counter --to counter.chain
  theater chain export counter -o json --to counter.jsonl
  theater chain export counter -o wave
  theater chain export counter --bundle --to counter.bundle
  theater --data counter.bundle replay counter";

/// Which chain is exported, and where to.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Export {
    /// Id, unique start of an id, or name of the actor (its newest chain); or the file of an exported chain
    chain: String,
    /// The file or folder [default: <id>.chain, <id>.bundle, and stdout for lines]
    #[arg(long, value_name = "PATH")]
    to: Option<PathBuf>,
    /// Write a data folder with this chain and all objects that it names, so that `--data FOLDER` needs no other
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
        let (path, id) = one(&data, &self.chain)?;
        let to = |ending: &str| self.to.clone().unwrap_or_else(|| format!("{}.{ending}", uuid_text(&id)).into());
        let objects = objects(&data, &path);
        if self.bundle {
            let to = to("bundle");
            told(common, id, &to, &objects, &bundle(&path, id, &objects, &to)?);
            return Ok(());
        }
        if !common.is_json() && !common.is_wave() {
            let to = to("chain");
            let bytes = export::export(&path, id)?;
            std::fs::write(&to, &bytes).map_err(|source| theater_chain::Error::Read { path: to.clone(), source })?;
            written(common, id, &to, bytes.len() as u64);
            return Ok(());
        }
        let describer = EventFormatter::new(Some(Objects::new(&objects)));
        match &self.to {
            None => print(common, &path, id, describer),
            Some(to) => {
                let bytes = write(common, &path, id, describer, to)?;
                written(common, id, to, bytes);
                Ok(())
            }
        }
    }
}

fn print(common: &Common, path: &Path, id: Id, mut describer: EventFormatter) -> Result<(), Error> {
    verify::read(path, |event| {
        if event.header.actor == id {
            print_line(&line(common, &mut describer, event));
        }
    })?;
    Ok(())
}

/// Writes the lines to a file: how many bytes.
fn write(common: &Common, path: &Path, id: Id, mut describer: EventFormatter, to: &Path) -> Result<u64, Error> {
    let unwritable = |source| theater_chain::Error::Read { path: to.to_owned(), source };
    let mut file = BufWriter::new(File::create(to).map_err(unwritable)?);
    let (mut bytes, mut done) = (0, Ok(()));
    verify::read(path, |event| {
        if event.header.actor == id && done.is_ok() {
            let text = line(common, &mut describer, event);
            bytes += text.len() as u64 + 1;
            done = writeln!(file, "{text}");
        }
    })?;
    done.and_then(|()| file.flush()).map_err(unwritable)?;
    Ok(bytes)
}

fn written(common: &Common, id: Id, to: &Path, bytes: u64) {
    let object = json!({"id": uuid_text(&id), "path": to.display().to_string(), "bytes": bytes});
    common.say_text(&object, || format!("{}: {bytes} bytes", to.display()));
}

fn told(common: &Common, id: Id, to: &Path, from: &Path, bundle: &Bundle) {
    let Bundle { events, objects, bytes, missing } = bundle;
    let id = uuid_text(&id);
    let lacking = missing
        .iter()
        .map(|Missing { digest, what, reason }| json!({"what": what, "digest": digest, "reason": reason}));
    let object = json!({
        "id": id, "path": to.display().to_string(), "events": events, "objects": objects, "bytes": bytes,
        "missing": lacking.collect::<Vec<_>>(),
    });
    common.say_text(&object, || {
        let lacking = missing.iter().map(|Missing { digest, what, reason }| {
            let from = from.join("objects");
            format!("\nwarning: {what}, {digest}, is not in {}, and not in the bundle: {reason}", from.display())
        });
        let text = format!("{}: {events} events of {id} and {objects} objects, {bytes} bytes", to.display());
        text + &lacking.collect::<String>()
    });
}
