//! `theater chain key`: generates a key that seals chains.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde_json::json;
use theater_chain::event::hex;
use theater_chain::signature::{Sealer, new_key};
use theater_runtime::support::error::Error;

use super::{Common, shown};

/// Writes a new key to a new file (mode 0600).
///
/// # Errors
/// `S0006`.
pub fn write_key(common: &Common, file: &Path) -> Result<(), Error> {
    let bytes = new_key()?;
    let refused =
        |error: std::io::Error| theater_chain::Error::Key { path: file.to_owned(), reason: error.to_string() };
    let mut new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file).map_err(refused)?;
    new.write_all(&bytes).and_then(|()| new.sync_all()).map_err(refused)?;
    let public = hex(Sealer::read(file)?.public());
    let object = json!({"path": file.display().to_string(), "key": public});
    common.print(&object, || format!("{}: its public key is {public}", shown(file)));
    Ok(())
}
