//! Verifies data folders, exported chains and proofs of Theater actors, without the runtime.

use std::path::Path;
use std::process::ExitCode;

use theater_chain::event::hex;
use theater_chain::{Error, proof, text, verify};
use theater_encoding::uuid_text;

const USAGE: &str = "Usage: theater-verify [--head HASH] [--key KEY] PATH..

Verifies data folders, exported chains and proofs.

  PATH         a data folder, a journal folder, a file of `theater chain export`, or a proof of `theater chain prove`
  --head HASH  the hash of a chain's newest event (at least 16 hex digits): also detects truncation
  --key KEY    the public key (64 hex digits) that must have signed every chain

Exit code 0: everything verifies. 1: something does not, or cannot be read. 2: wrong usage.";

struct Arguments {
    paths: Vec<String>,
    head: Option<String>,
    key: Option<String>,
}

fn main() -> ExitCode {
    let arguments = match parse(std::env::args().skip(1)) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(problem) => {
            eprintln!("error: {problem}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let mut all_verify = true;
    for path in &arguments.paths {
        match verify_path(Path::new(path), &arguments) {
            Ok(lines) => lines.iter().for_each(|line| println!("{}", text::line(line))),
            Err(error) => {
                all_verify = false;
                eprintln!("error[{}]: {}", error.code(), text::line(&error.to_string()));
            }
        }
    }
    if all_verify { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The parsed command line, or nothing when it asks for help.
fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Arguments>, String> {
    let mut arguments = Arguments { paths: Vec::new(), head: None, key: None };
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} takes a value"));
        match word.as_str() {
            "--help" | "-h" => return Ok(None),
            "--head" => arguments.head = Some(value()?),
            "--key" => arguments.key = Some(value()?),
            option if option.starts_with('-') => return Err(format!("there is no option {option}")),
            _ => arguments.paths.push(word),
        }
    }
    if arguments.paths.is_empty() { Err("name a path to verify".to_owned()) } else { Ok(Some(arguments)) }
}

/// Verifies a file or folder. Returns a line for each chain or proof.
fn verify_path(path: &Path, arguments: &Arguments) -> Result<Vec<String>, Error> {
    if path.is_file() {
        let bytes = std::fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
        if bytes.starts_with(proof::MAGIC) {
            return verify_proof(path, &bytes, arguments).map(|line| vec![line]);
        }
    }
    let (contents, causes) = verify::read_with_causes(path)?;
    let chains: Vec<_> = contents.chains.iter().map(|(id, end)| (*id, end)).collect();
    if let Some(head) = &arguments.head {
        verify::require_head(path, &chains, head)?;
    }
    if let Some(key) = &arguments.key {
        verify::require_key(path, &chains, key)?;
    }
    let mut lines: Vec<_> = chains.iter().map(|(id, end)| verify::sentence(id, end)).collect();
    if causes > 0 {
        lines.push(format!("{causes} causes between the chains verify"));
    }
    if let Some((path, offset)) = contents.torn {
        lines.push(format!("{}: an unfinished group from offset {offset} on belongs to no chain", path.display()));
    }
    Ok(lines)
}

fn verify_proof(path: &Path, bytes: &[u8], arguments: &Arguments) -> Result<String, Error> {
    let proven = proof::check(path, bytes)?;
    if let Some(head) = &arguments.head {
        proven.require_head(path, head)?;
    }
    let (actor, sequence) = (uuid_text(&proven.header.actor), proven.header.sequence);
    Ok(format!(
        "event {sequence} of {actor} is in the chain whose event {} has the hash {}",
        proven.head_sequence,
        hex(&proven.head)
    ))
}
