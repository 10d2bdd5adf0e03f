//! Reads from the index.

use std::collections::BTreeMap;
use std::ops::Bound;

use redb::{ReadOnlyTable, ReadTransaction, ReadableTable};

use crate::caller::Caller;
use crate::error::Error;
use crate::hash::Hash;
use crate::label_update::LabelUpdate;
use crate::references::References;
use crate::tables::{CONTENTS, GREATEST, HELD, LEAST, NUMBERS, ORDER, REFERENCES, STORES, StoreRow, value};

/// A content of a store, as listed for operators.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ListedContent {
    /// Size in bytes.
    pub bytes: u64,
    /// The labels that have it as their newest reference.
    pub labels: Vec<String>,
    /// The labels that have it as an older reference.
    pub older_of: Vec<String>,
}

/// One consistent state of the index.
pub struct IndexView {
    stores: ReadOnlyTable<&'static str, (&'static str, u64, u64)>,
    held: ReadOnlyTable<(&'static str, &'static [u8; 32]), u64>,
    contents: ReadOnlyTable<&'static [u8; 32], u64>,
    order: ReadOnlyTable<(&'static str, &'static str, u64), &'static [u8; 32]>,
    numbers: ReadOnlyTable<(&'static str, &'static str, &'static [u8; 32]), u64>,
    references: ReadOnlyTable<&'static str, u64>,
}

impl IndexView {
    /// Opens the tables that `transaction` reads.
    pub fn of(transaction: &ReadTransaction) -> Result<Self, Error> {
        Ok(Self {
            stores: transaction.open_table(STORES).map_err(Error::index)?,
            held: transaction.open_table(HELD).map_err(Error::index)?,
            contents: transaction.open_table(CONTENTS).map_err(Error::index)?,
            order: transaction.open_table(ORDER).map_err(Error::index)?,
            numbers: transaction.open_table(NUMBERS).map_err(Error::index)?,
            references: transaction.open_table(REFERENCES).map_err(Error::index)?,
        })
    }

    /// All stores, by id.
    pub fn stores(&self) -> Result<Vec<(String, StoreRow)>, Error> {
        let entries = self.stores.iter().map_err(Error::index)?;
        entries
            .map(|entry| entry.map(|(id, row)| (id.value().to_owned(), StoreRow::of(row.value()))))
            .collect::<Result<_, _>>()
            .map_err(Error::index)
    }

    /// A store's row.
    pub fn row(&self, store: &str) -> Result<Option<StoreRow>, Error> {
        Ok(self.stores.get(store).map_err(Error::index)?.map(|row| StoreRow::of(row.value())))
    }

    /// The size of a content in bytes, or `None` if the store does not have it.
    pub fn size(&self, store: &str, hash: &Hash) -> Result<Option<u64>, Error> {
        value(self.held.get((store, hash.bytes())))
    }

    /// See [`References::may_add`].
    pub fn may_refer(&self, caller: &Caller, store: &str, hash: &Hash, update: &LabelUpdate) -> Result<(), Error> {
        let references = References { order: &self.order, numbers: &self.numbers, counts: &self.references };
        references.may_add(caller, store, hash, update)
    }

    /// Whether any store holds a content.
    pub fn held(&self, hash: &Hash) -> Result<bool, Error> {
        Ok(value(self.contents.get(hash.bytes()))?.is_some())
    }

    /// A store's contents, sorted by hash, each converted by `make`.
    pub fn contents<T>(&self, store: &str, make: impl Fn(Hash, u64) -> T) -> Result<Vec<T>, Error> {
        let range = self.held.range((store, LEAST)..=(store, GREATEST)).map_err(Error::index)?;
        let made = range.map(|entry| entry.map(|(key, size)| make(Hash::from(key.value().1), size.value())));
        made.collect::<Result<_, _>>().map_err(Error::index)
    }

    /// The newest content of a label.
    pub fn newest(&self, store: &str, label: &str) -> Result<Option<Hash>, Error> {
        let mut range = self.order.range((store, label, 0)..=(store, label, u64::MAX)).map_err(Error::index)?;
        let newest = range.next_back().transpose().map_err(Error::index)?;
        Ok(newest.map(|(_, hash)| Hash::from(hash.value())))
    }

    /// A store's labels, sorted by bytes. Seeks from each label to the next, whatever number of references a label
    /// holds.
    pub fn labels(&self, store: &str) -> Result<Vec<String>, Error> {
        let mut labels: Vec<String> = Vec::new();
        loop {
            let from = match labels.last() {
                Some(label) => Bound::Excluded((store, label.as_str(), u64::MAX)),
                None => Bound::Included((store, "", 0)),
            };
            let next = self.order.range((from, Bound::Unbounded)).map_err(Error::index)?.next();
            match next.transpose().map_err(Error::index)? {
                Some((key, _)) if key.value().0 == store => labels.push(key.value().1.to_owned()),
                _ => return Ok(labels),
            }
        }
    }

    /// A store's contents with the labels that hold them.
    pub fn listed(&self, store: &str) -> Result<BTreeMap<Hash, ListedContent>, Error> {
        let bytes = |hash, bytes| (hash, ListedContent { bytes, ..ListedContent::default() });
        let mut listed: BTreeMap<Hash, ListedContent> = self.contents(store, bytes)?.into_iter().collect();
        for label in self.labels(store)? {
            let range = self.order.range((store, label.as_str(), 0)..=(store, label.as_str(), u64::MAX));
            for (newer, entry) in range.map_err(Error::index)?.rev().enumerate() {
                let (_, hash) = entry.map_err(Error::index)?;
                let content = listed.entry(Hash::from(hash.value())).or_default();
                if newer == 0 { &mut content.labels } else { &mut content.older_of }.push(label.clone());
            }
        }
        Ok(listed)
    }
}
