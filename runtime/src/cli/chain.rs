//! `theater chain`.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;
use theater_chain::data_dir::DataDir;
use theater_chain::event::hex;
use theater_chain::event_text::EventFormatter;
use theater_chain::journal::prune;
use theater_chain::journal::reader::{self, Catalog, Entry, find};
use theater_chain::objects::Objects;
use theater_chain::record::Kind;
use theater_chain::verify;
use theater_plugin_api::uuid_text;
use theater_runtime::support::error::Error;

use super::diff::Diff;
use super::events::{line, time};
use super::export::Export;
use super::fork::Fork;
use super::{Common, Done, print_line};

const EXAMPLES: &str = "Examples:
  theater chain list
  theater chain show counter
  theater chain verify
  theater chain verify counter --head HASH
  theater chain export counter --to counter.chain
  theater chain verify counter.chain
  theater chain key seal.key && theater run --seal seal.key manifests/counter.toml
  theater chain verify --key PUBLIC_KEY
  theater chain export counter -o json | jq .type
  theater chain export counter --bundle --to counter.bundle
  theater chain diff counter counter.chain
  theater chain fork counter --at 120 --manifest counter.toml
  theater chain prove counter 120 --to counter.proof
  theater chain rm counter && theater chain gc";

/// Lists, shows, verifies, compares, forks, exports and removes chains.
#[derive(Subcommand)]
#[command(after_help = EXAMPLES)]
pub enum ChainCommand {
    /// Lists the chains of the data folder
    List,
    /// Shows the events of a chain in full
    Show {
        /// Id, unique start of an id, or name of the actor (its newest chain); or the file of an exported chain
        chain: String,
    },
    /// Verifies all chains, or one; needs nothing but the files and never writes
    Verify {
        /// Id, unique start of an id, or name of an actor (its newest chain); or a data folder or the file of an exported chain
        chain: Option<String>,
        /// The hash the newest event must have: proves that nothing was cut off
        #[arg(long, value_name = "HASH")]
        head: Option<String>,
        /// The public key (64 hex digits) that must have sealed every chain
        #[arg(long, value_name = "KEY")]
        key: Option<String>,
    },
    /// Makes a key for `theater run --seal`, and prints its public part
    Key {
        /// The file: keep it away from the data folder, and from everybody else
        file: PathBuf,
    },
    /// Writes a proof that an event is in a chain with the newest event's hash, for `theater verify-proof`
    Prove {
        /// Id, unique start of an id, or name of the actor (its newest chain); or the file of an exported chain
        chain: String,
        /// The event
        sequence: u64,
        /// The file [default: <id>-<sequence>.proof]
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
    /// Compares two chains and tells the first event that differs
    ///
    /// Exit code 1 when there is one; 0 when both are the same, or one is the beginning of the other.
    Diff(Diff),
    /// Makes a new actor with the state that another one had behind an event; the program must not be running
    ///
    /// Its chain begins with that event as its cause. `theater run --resume` starts it: its init gets that state. Of several
    /// top-level actors of one name the newest goes on, so give the fork a name of its own in its manifest where both shall.
    Fork(Fork),
    /// Writes a chain to a file of its own: as it is, as JSON or WAVE lines, or in a folder with all that it needs
    ///
    /// With -o json its events are written as JSON lines, with -o wave as the lines of `chain show`: to stdout, or to the file
    /// of --to. Without, the file is a chain that `chain verify`, `chain show` and `replay` read.
    Export(Export),
    /// Removes a chain for good; the program must not be running
    Rm {
        /// Id, unique start of an id, or name of the actor (its newest chain)
        chain: String,
    },
    /// Drops components, manifests and plugin copies that no chain names; the program must not be running
    Gc,
}

impl ChainCommand {
    /// Whether the command lists: then a reader may stop early.
    pub fn is_listing(&self) -> bool {
        matches!(self, Self::List | Self::Show { .. })
    }

    /// Runs the command.
    pub fn run(self, common: &Common) -> Done {
        let data = common.data();
        match self {
            Self::List => list(common, &data)?,
            Self::Show { chain } => show(common, &data, &chain)?,
            Self::Verify { chain, head, key } => {
                return verify(common, &data, chain.as_deref(), (head.as_deref(), key.as_deref()));
            }
            Self::Key { file } => super::seal::make(common, &file)?,
            Self::Prove { chain, sequence, to } => super::proof::prove(common, &data, &chain, sequence, to)?,
            Self::Diff(command) => return command.run(common),
            Self::Fork(command) => command.run(common)?,
            Self::Export(command) => command.run(common)?,
            Self::Rm { chain } => rm(common, &data, &chain)?,
            Self::Gc => gc(common, &data)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn list(common: &Common, data: &Path) -> Result<(), Error> {
    for (id, entry) in &Catalog::read(data)?.chains {
        let last = Kind::from_number(entry.last).map_or("?", Kind::name);
        let object = json!({
            "id": uuid_text(id), "name": entry.name, "events": entry.events, "head": hex(&entry.head(*id)?), "last": last,
            "first_ms": entry.first_ms, "last_ms": entry.last_ms,
        });
        common.say(&object, || {
            let Entry { name, events, last_ms, .. } = entry;
            format!("{} {name:<20} {events:>8} events, last {last} at {}", uuid_text(id), time(*last_ms))
        });
    }
    Ok(())
}

/// The folder whose objects a chain of this file or data folder names.
pub fn objects(data: &Path, path: &Path) -> PathBuf {
    if path.is_dir() { path.to_owned() } else { data.to_owned() }
}

/// The file that is named, or the data folder and the actor in it. A path has a slash; a word without one is an actor's
/// name or id, and only where there is no such actor the file or folder of that name.
pub fn source(data: &Path, chain: &str) -> (PathBuf, Option<String>) {
    let path = Path::new(chain);
    let is_actor = || !chain.contains('/') && find(data, chain).is_ok();
    if path.exists() && !is_actor() { (path.to_owned(), None) } else { (data.to_owned(), Some(chain.to_owned())) }
}

fn show(common: &Common, data: &Path, chain: &str) -> Result<(), Error> {
    let (path, wanted) = source(data, chain);
    let only = wanted.map(|wanted| find(&path, &wanted)).transpose()?;
    let mut describer = EventFormatter::new(Some(Objects::new(data)));
    reader::read(
        &path,
        only,
        |_| true,
        |event| {
            print_line(&line(common, &mut describer, event));
            ControlFlow::Continue(())
        },
    )?;
    Ok(())
}

fn verify(common: &Common, data: &Path, chain: Option<&str>, (head, key): (Option<&str>, Option<&str>)) -> Done {
    let (path, wanted) = chain.map_or_else(|| (data.to_owned(), None), |chain| source(data, chain));
    let (contents, causes) = verify::read_with_causes(&path)?;
    let chosen: Vec<_> = match &wanted {
        None => contents.chains.iter().map(|(id, end)| (*id, end)).collect(),
        Some(wanted) => {
            let missing = || theater_chain::Error::NoSuchChain { id: wanted.clone(), path: path.clone() };
            vec![contents.find(wanted).ok_or_else(missing)?]
        }
    };
    if let Some(head) = head {
        verify::require_head(&path, &chosen, head)?;
    }
    if let Some(key) = key {
        verify::require_key(&path, &chosen, key)?;
    }
    for (id, end) in chosen {
        let sealed = end.sealed.as_ref().map(|(sequence, key)| json!({"sequence": sequence, "key": hex(key)}));
        let object = json!({
            "id": uuid_text(&id), "name": end.name, "events": end.chain.len(), "head": hex(&end.chain.head()),
            "sealed": sealed,
        });
        common.say(&object, || verify::sentence(&id, end));
    }
    if causes > 0 && wanted.is_none() {
        let object = json!({"event": "causes", "checked": causes});
        common.say(&object, || format!("{causes} causes between the chains are what they say"));
    }
    if let Some((path, offset)) = contents.torn {
        let text = format!(
            "{}: the bytes from offset {offset} on were being written when the program ended; they belong to no chain, and the next start moves them aside",
            path.display()
        );
        common.say(&json!({"event": "torn", "path": path.display().to_string(), "offset": offset}), || text);
    }
    Ok(ExitCode::SUCCESS)
}

fn rm(common: &Common, data: &Path, chain: &str) -> Result<(), Error> {
    let folder = DataDir::open(data)?;
    let id = find(data, chain)?;
    let removed = prune::remove(&folder.path().join("journal"), id)
        .map_err(|source| theater_chain::Error::DataDir { path: data.to_owned(), source })?;
    common.say(&json!({"id": uuid_text(&id), "removed": removed}), || {
        format!("{removed} events of {} removed", uuid_text(&id))
    });
    Ok(())
}

fn gc(common: &Common, data: &Path) -> Result<(), Error> {
    let _folder = DataDir::open(data)?;
    let collected = prune::collect(data)?;
    let object = json!({"files": collected.files, "bytes": collected.bytes});
    common.say(&object, || format!("{} files of {} bytes dropped", collected.files, collected.bytes));
    Ok(())
}
