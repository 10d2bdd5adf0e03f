//! Errors of events that cannot be replayed.

use serde::de::DeserializeOwned;
use theater_plugin_api::encoding::decode;

use theater_chain::verify::Event;

use crate::support::error::Error;

/// The event is in the chain, but retention dropped its data.
pub(super) const DROPPED: &str = "its data was dropped";

/// The error of an event that needs something that is missing here but may exist elsewhere.
pub(super) fn missing(sequence: u64, what: String) -> Error {
    Error::Replay { sequence, what, is_missing: true }
}

/// The error of an event that cannot be replayed.
pub(super) fn cannot(sequence: u64, what: &str) -> Error {
    Error::Replay { sequence, what: what.to_owned(), is_missing: false }
}

/// Decodes the data of an event.
pub(super) fn data_of<T: DeserializeOwned>(event: &Event<'_>) -> Result<T, Error> {
    let data = event.data.ok_or_else(|| cannot(event.header.sequence, DROPPED))?;
    decode(data).map_err(|error| cannot(event.header.sequence, &format!("its data does not decode: {error}")))
}
