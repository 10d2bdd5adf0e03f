//! Parts of chains that a host call read: not recorded twice, but read once more.

use std::path::Path;

use theater_plugin_api::Bytes;
use theater_plugin_api::encoding::encode;

use crate::actor::event_type;
use crate::support::error::Error;
use theater_chain::event::{Hash, Header};
use theater_chain::record::FunctionRecord;
use theater_chain::verify;

/// An event of a chain, as a reader of it is told.
pub(super) struct ChainEventView {
    header: Header,
    hash: Hash,
    kind: String,
    data: Vec<u8>,
}

/// The events from `from` until before `to` of the chain that has an event of this hash.
pub(super) fn part_of(path: &Path, newest: &Hash, from: u64, to: u64) -> Result<Vec<ChainEventView>, Error> {
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
    // Named as the life that reads them names functions, whichever life they are of.
    for told in &mut part {
        told.kind = event_type(told.header.kind, told.header.function, &names);
    }
    Ok(part)
}

/// The encodings in which actors are told of a chain: with labels (`chain` of the package's types) and with whole hashes
/// (a list of its `chain-event`), that one as a `result` too.
pub(super) fn tellings(part: &[ChainEventView]) -> Vec<Vec<u8>> {
    let label = |hash: &[u8]| u64::from_be_bytes(*hash.first_chunk().unwrap_or(&[0; 8]));
    let parent = |told: &ChainEventView| (told.header.sequence > 0).then_some(told.header.parent);
    let labelled: Vec<_> = part
        .iter()
        .map(|told| {
            let data = Bytes::from(told.data.as_slice());
            (label(&told.hash), (told.kind.as_str(), parent(told).map(|hash| label(&hash)), data))
        })
        .collect();
    let whole: Vec<_> = part
        .iter()
        .map(|told| {
            let bytes = |bytes: &[u8]| Bytes::from(bytes);
            let parent = parent(told).map(|hash| bytes(&hash));
            (bytes(&told.hash), parent, told.kind.as_str(), bytes(&told.data), told.header.timestamp)
        })
        .collect();
    [encode(&labelled), encode(&whole), encode(&Ok::<_, String>(&whole))].into_iter().flatten().collect()
}
