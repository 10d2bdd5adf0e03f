//! Counts the references held by a store's labels and enforces their limit.

use redb::ReadableTable;

use crate::caller::Caller;
use crate::error::Error;
use crate::hash::Hash;
use crate::label_update::LabelUpdate;
use crate::tables::value;

/// The tables needed for counting, opened by a view or by a change. `counts` is the index's table
/// [`REFERENCES`](crate::tables::REFERENCES).
pub struct References<'a, O, P, C> {
    /// (store, label, number) to the content.
    pub order: &'a O,
    /// (store, label, content) to its number.
    pub numbers: &'a P,
    /// Store to the number of its references.
    pub counts: &'a C,
}

impl<O, P, C> References<'_, O, P, C>
where
    O: ReadableTable<(&'static str, &'static str, u64), &'static [u8; 32]>,
    P: ReadableTable<(&'static str, &'static str, &'static [u8; 32]), u64>,
    C: ReadableTable<&'static str, u64>,
{
    /// Fails if putting the content at `update` would add a reference to a store that already has the maximum.
    ///
    /// # Errors
    /// [`Error::TooManyReferences`], [`Error::Index`].
    pub fn may_add(&self, caller: &Caller, store: &str, hash: &Hash, update: &LabelUpdate) -> Result<(), Error> {
        let adds = match update {
            LabelUpdate::Unlabelled => false,
            LabelUpdate::Newest(label) => value(self.numbers.get((store, label.as_str(), hash.bytes())))?.is_none(),
            LabelUpdate::Only(label) => {
                let mut range =
                    self.order.range((store, label.as_str(), 0)..=(store, label, u64::MAX)).map_err(Error::index)?;
                range.next().is_none()
            }
        };
        if adds { caller.may_refer(store, self.count(store)?) } else { Ok(()) }
    }

    /// Returns the number of references in a store. Scans `order` if no change has written the number yet.
    ///
    /// # Errors
    /// [`Error::Index`].
    pub fn count(&self, store: &str) -> Result<u64, Error> {
        if let Some(known) = value(self.counts.get(store))? {
            return Ok(known);
        }
        let mut count = 0_u64;
        for entry in self.order.range((store, "", 0)..).map_err(Error::index)? {
            if entry.map_err(Error::index)?.0.value().0 != store {
                break;
            }
            count = count.saturating_add(1);
        }
        Ok(count)
    }
}
