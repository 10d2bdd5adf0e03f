//! Reads a part of a chain again that a host call returned.
//!
//! The chain of the reader does not copy such a part: it has the hash of the newest event, the range and a digest of
//! the encoded result. The part is read from the chain it belongs to, in every encoding that plugins return, and the
//! digest tells which one it was.

use std::path::Path;

use theater_plugin_api::Bytes;
use theater_plugin_api::encoding::encode;

use theater_chain::event::{Hash, Header};
use theater_chain::record::FunctionRecord;
use theater_chain::verify;

use crate::actor::event_type;
use crate::support::error::Error;

/// An event of a chain as an actor that reads the chain receives it.
pub(super) struct ChainEventView {
    header: Header,
    hash: Hash,
    kind: String,
    data: Vec<u8>,
}

/// Returns the events from `from` up to, but not including, `to` of the chain that has an event with the hash `newest`.
pub(super) fn read_part(path: &Path, newest: &Hash, from: u64, to: u64) -> Result<Vec<ChainEventView>, Error> {
    let mut owner = None;
    verify::read(path, |event| {
        if event.hash == *newest {
            owner = Some(event.header.actor);
        }
    })?;
    let (mut names, mut part) = (Vec::new(), Vec::new());
    verify::read(path, |event| {
        if Some(event.header.actor) != owner || event.header.sequence >= to {
            return;
        }
        if let Some(created) = verify::created(event) {
            let label = |function: &FunctionRecord| format!("{}/{}", function.interface, function.function);
            names = created.setup.functions.iter().map(label).collect();
        }
        if event.header.sequence >= from {
            let data = event.data.unwrap_or_default().to_vec();
            part.push(ChainEventView { header: event.header.clone(), hash: event.hash, kind: String::new(), data });
        }
    })?;
    // All events are named by the functions of the last start before `to`, as in the recorded read.
    for view in &mut part {
        view.kind = event_type(view.header.kind, view.header.function, &names);
    }
    Ok(part)
}

/// Returns the encodings in which actors receive a part of a chain: with labels (`chain` of the package's types), with
/// whole hashes (a list of `chain-event`), and the latter as a `result`.
pub(super) fn encodings(part: &[ChainEventView]) -> Vec<Vec<u8>> {
    let label = |hash: &[u8]| u64::from_be_bytes(*hash.first_chunk().unwrap_or(&[0; 8]));
    let parent = |view: &ChainEventView| (view.header.sequence > 0).then_some(view.header.parent);
    let labelled: Vec<_> = part
        .iter()
        .map(|view| {
            let data = Bytes::from(view.data.as_slice());
            (label(&view.hash), (view.kind.as_str(), parent(view).map(|hash| label(&hash)), data))
        })
        .collect();
    let whole: Vec<_> = part
        .iter()
        .map(|view| {
            let bytes = |bytes: &[u8]| Bytes::from(bytes);
            let parent = parent(view).map(|hash| bytes(&hash));
            (bytes(&view.hash), parent, view.kind.as_str(), bytes(&view.data), view.header.timestamp)
        })
        .collect();
    [encode(&labelled), encode(&whole), encode(&Ok::<_, String>(&whole))].into_iter().flatten().collect()
}
