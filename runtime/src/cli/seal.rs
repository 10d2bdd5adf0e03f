//! Keys that seal chains: making one, and demanding one.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde_json::json;
use theater_runtime::chain::{Id, hex};
use theater_runtime::error::Error;
use theater_runtime::seal::{Sealer, new_key};
use theater_runtime::verify::{End, Finding, sentence};

use super::{Common, shown};

/// Writes a new key to a file that is not there yet.
///
/// # Errors
/// `S0006`.
pub fn make(common: &Common, file: &Path) -> Result<(), Error> {
    let bytes = new_key()?;
    let refused = |error: std::io::Error| Error::SealKey { path: file.to_owned(), reason: error.to_string() };
    let mut new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file).map_err(refused)?;
    new.write_all(&bytes).and_then(|()| new.sync_all()).map_err(refused)?;
    let public = hex(Sealer::read(file)?.public());
    let object = json!({"path": file.display().to_string(), "key": public});
    common.say(&object, || format!("{}: its public key is {public}", shown(file)));
    Ok(())
}

/// Every chain must be sealed, last by that key.
pub fn check_key(path: &Path, chosen: &[(Id, &End)], key: &str) -> Result<(), Error> {
    let key = key.strip_prefix("ed25519:").unwrap_or(key).to_ascii_lowercase();
    let by = |end: &End| end.sealed.as_ref().is_some_and(|(_, by)| hex(by) == key);
    let what = match chosen.iter().find(|(_, end)| !by(end)) {
        _ if key.len() != 64 => {
            "--key takes the 64 hex digits of a public key, as `theater chain key` prints them".to_owned()
        }
        None if chosen.is_empty() => "there is no chain, so none is sealed".to_owned(),
        None => return Ok(()),
        Some((id, end)) => format!(
            "a chain is not sealed by {key}: it was written anew, cut off before its first seal, run without `--seal`, or has \
             not come to its first snapshot or end; there is {}",
            sentence(id, end)
        ),
    };
    Err(Error::Chain(Box::new(Finding { path: path.to_owned(), offset: None, event: None, what })))
}
