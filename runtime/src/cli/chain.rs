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
use theater_chain::journal::reader::{self, Catalog, CatalogEntry, find};
use theater_chain::objects::Objects;
use theater_chain::record::Kind;
use theater_chain::verify;
use theater_plugin_api::uuid_text;
use theater_runtime::support::error::Error;

use super::chain_argument::source;
use super::diff::Diff;
use super::events::{line, time};
use super::export::Export;
use super::fork::Fork;
use super::{CommandResult, Common, print_line};

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

/// List, show, verify, compare, fork, export and remove chains.
#[derive(Subcommand)]
#[command(after_help = EXAMPLES)]
pub enum ChainCommand {
    /// List the chains of the data folder
    List,
    /// Show the events of a chain
    Show {
        /// Id, unique prefix of an id, or name of the actor (its newest chain); or the file of an exported chain
        chain: String,
    },
    /// Verify the hash chain of all chains or of one; with `--head`, also that it was not truncated
    ///
    /// Only the files are needed, and nothing is written.
    Verify {
        /// Id, unique prefix of an id, or name of an actor (its newest chain); or a data folder or the file of an exported chain
        chain: Option<String>,
        /// The hash that the newest event must have (at least 16 hex digits): detects truncation
        #[arg(long, value_name = "HASH")]
        head: Option<String>,
        /// The public key (64 hex digits) that must have sealed every chain
        #[arg(long, value_name = "KEY")]
        key: Option<String>,
    },
    /// Generate a key for `theater run --seal`, and print its public key
    Key {
        /// The key file: do not store it in the data folder, and keep it secret
        file: PathBuf,
    },
    /// Write a proof that an event is in the chain with the newest event's hash, for `theater verify-proof`
    Prove {
        /// Id, unique prefix of an id, or name of the actor (its newest chain); or the file of an exported chain
        chain: String,
        /// The event's sequence
        sequence: u64,
        /// The file [default: <id>-<sequence>.proof]
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
    /// Compare two chains and report the first event that differs
    ///
    /// Exit code 1 if there is one; 0 if both are identical, or one is a prefix of the other.
    Diff(Diff),
    /// Create a new actor from another actor's state after an event; `theater run` must not be running
    ///
    /// The new chain names that event as its cause. `theater run --resume` starts the new actor: its init gets that state. Of
    /// several top-level actors with the same name only the newest is resumed: to resume both, give the fork another name in
    /// its manifest.
    Fork(Fork),
    /// Export a chain: as a chain file, as JSON or WAVE lines, or as a self-contained folder
    ///
    /// With -o json, events are written as JSON lines, with -o wave as the lines of `chain show`: to stdout, or to the file of
    /// --to. Otherwise the file is a chain that `chain verify`, `chain show` and `replay` can read.
    Export(Export),
    /// Remove a chain permanently; `theater run` must not be running
    Rm {
        /// Id, unique prefix of an id, or name of the actor (its newest chain)
        chain: String,
    },
    /// Delete components, manifests and plugin copies that no chain refers to; `theater run` must not be running
    Gc,
}

impl ChainCommand {
    /// Whether the command prints a listing, whose reader may stop early.
    pub fn is_listing(&self) -> bool {
        matches!(self, Self::List | Self::Show { .. })
    }

    /// Runs the command.
    pub fn run(self, common: &Common) -> CommandResult {
        let data = common.data();
        match self {
            Self::List => list(common, &data)?,
            Self::Show { chain } => show(common, &data, &chain)?,
            Self::Verify { chain, head, key } => {
                return verify(common, &data, chain.as_deref(), (head.as_deref(), key.as_deref()));
            }
            Self::Key { file } => super::seal::write_key(common, &file)?,
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
        common.print(&object, || {
            let CatalogEntry { name, events, last_ms, .. } = entry;
            format!("{} {name:<20} {events:>8} events, last {last} at {}", uuid_text(id), time(*last_ms))
        });
    }
    Ok(())
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

fn verify(
    common: &Common,
    data: &Path,
    chain: Option<&str>,
    (head, key): (Option<&str>, Option<&str>),
) -> CommandResult {
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
        common.print(&object, || verify::sentence(&id, end));
    }
    if causes > 0 && wanted.is_none() {
        let object = json!({"event": "causes", "checked": causes});
        common.print(&object, || format!("{causes} causes between the chains verify"));
    }
    if let Some((path, offset)) = contents.torn {
        let text = format!(
            "{}: the bytes from offset {offset} on were being written when the program ended; they belong to no chain, and the next run moves them to a file .torn",
            path.display()
        );
        common.print(&json!({"event": "torn", "path": path.display().to_string(), "offset": offset}), || text);
    }
    Ok(ExitCode::SUCCESS)
}

fn rm(common: &Common, data: &Path, chain: &str) -> Result<(), Error> {
    let folder = DataDir::open(data)?;
    let id = find(data, chain)?;
    let removed = prune::remove(&folder.path().join("journal"), id)
        .map_err(|source| theater_chain::Error::DataDir { path: data.to_owned(), source })?;
    common.print(&json!({"id": uuid_text(&id), "removed": removed}), || {
        format!("{removed} events of {} removed", uuid_text(&id))
    });
    Ok(())
}

fn gc(common: &Common, data: &Path) -> Result<(), Error> {
    let _folder = DataDir::open(data)?;
    let collected = prune::collect(data)?;
    let object = json!({"files": collected.files, "bytes": collected.bytes});
    common.print(&object, || format!("{} files deleted, {} bytes", collected.files, collected.bytes));
    Ok(())
}
