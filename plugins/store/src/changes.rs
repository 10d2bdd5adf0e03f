//! Writes to the index. Each method is one change: it fails before its first write, or it is applied in full.

use redb::{ReadableTable, Table, WriteTransaction};

use crate::caller::Caller;
use crate::error::Error;
use crate::hash::Hash;
use crate::label_update::LabelUpdate;
use crate::references::References;
use crate::tables::{CONTENTS, GREATEST, HELD, LEAST, NUMBERS, ORDER, OWNERS, REFERENCES, STORES, StoreRow, value};

/// The result of a change: the contents that no store holds any more.
pub type ChangeResult = Result<Vec<Hash>, Error>;

type OrderTable<'t> = Table<'t, (&'static str, &'static str, u64), &'static [u8; 32]>;
type NumberTable<'t> = Table<'t, (&'static str, &'static str, &'static [u8; 32]), u64>;
type CountTable<'t> = Table<'t, &'static str, u64>;

/// The tables of a write transaction.
pub struct IndexChanges<'t> {
    stores: Table<'t, &'static str, (&'static str, u64, u64)>,
    owners: Table<'t, &'static str, u64>,
    held: Table<'t, (&'static str, &'static [u8; 32]), u64>,
    contents: Table<'t, &'static [u8; 32], u64>,
    order: OrderTable<'t>,
    numbers: NumberTable<'t>,
    references: CountTable<'t>,
}

impl<'t> IndexChanges<'t> {
    /// Opens the tables of `transaction` and creates those that are missing.
    pub fn of(transaction: &'t WriteTransaction) -> Result<Self, Error> {
        Ok(Self {
            stores: transaction.open_table(STORES).map_err(Error::index)?,
            owners: transaction.open_table(OWNERS).map_err(Error::index)?,
            held: transaction.open_table(HELD).map_err(Error::index)?,
            contents: transaction.open_table(CONTENTS).map_err(Error::index)?,
            order: transaction.open_table(ORDER).map_err(Error::index)?,
            numbers: transaction.open_table(NUMBERS).map_err(Error::index)?,
            references: transaction.open_table(REFERENCES).map_err(Error::index)?,
        })
    }

    /// Creates an empty store, owned by the calling actor. For an operator the store is shared.
    pub fn create(&mut self, caller: &Caller, store: &str) -> ChangeResult {
        if self.row(store)?.is_some() {
            return Err(Error::Exists(store.to_owned()));
        }
        let owner = caller.owner();
        if !owner.is_empty() {
            let made = value(self.owners.get(owner))?.unwrap_or_default();
            caller.may_create(made)?;
            self.owners.insert(owner, made.saturating_add(1)).map_err(Error::index)?;
        }
        self.write_row(store, &StoreRow { owner: owner.to_owned(), ..StoreRow::default() })?;
        Ok(Vec::new())
    }

    /// Adds a content whose file is already on disk to a store, and to one of its labels.
    pub fn add_content(
        &mut self,
        caller: &Caller,
        store: &str,
        hash: &Hash,
        size: u64,
        update: &LabelUpdate,
    ) -> ChangeResult {
        let mut row = caller.visible_row(store, self.row(store)?)?;
        self.references().may_add(caller, store, hash, update)?;
        if value(self.held.get((store, hash.bytes())))?.is_none() {
            caller.may_add(store, row.bytes, size)?;
            row.contents = row.contents.saturating_add(1);
            row.bytes = row.bytes.saturating_add(size);
            self.write_row(store, &row)?;
            self.held.insert((store, hash.bytes()), size).map_err(Error::index)?;
            let holders = value(self.contents.get(hash.bytes()))?.unwrap_or_default();
            self.contents.insert(hash.bytes(), holders.saturating_add(1)).map_err(Error::index)?;
        }
        self.put(store, hash, update)
    }

    /// Adds a content that the store already has to a label.
    pub fn add_to_label(&mut self, caller: &Caller, store: &str, hash: &Hash, update: &LabelUpdate) -> ChangeResult {
        caller.visible_row(store, self.row(store)?)?;
        if value(self.held.get((store, hash.bytes())))?.is_none() {
            return Err(Error::NoContent { store: store.to_owned(), hash: *hash });
        }
        self.references().may_add(caller, store, hash, update)?;
        self.put(store, hash, update)
    }

    fn put(&mut self, store: &str, hash: &Hash, update: &LabelUpdate) -> ChangeResult {
        let label = match update {
            LabelUpdate::Unlabelled => return Ok(Vec::new()),
            LabelUpdate::Newest(label) => {
                self.take(store, label, hash)?;
                label
            }
            LabelUpdate::Only(label) => {
                self.clear(store, label)?;
                label
            }
        };
        let references = self.references().count(store)?.saturating_add(1);
        self.references.insert(store, references).map_err(Error::index)?;
        let number = self.next(store, label)?;
        self.order.insert((store, label.as_str(), number), hash.bytes()).map_err(Error::index)?;
        self.numbers.insert((store, label.as_str(), hash.bytes()), number).map_err(Error::index)?;
        Ok(Vec::new())
    }

    /// Removes a label. Does nothing if there is none.
    pub fn remove_label(&mut self, caller: &Caller, store: &str, label: &str) -> ChangeResult {
        caller.visible_row(store, self.row(store)?)?;
        self.clear(store, label)?;
        Ok(Vec::new())
    }

    /// Removes a content from a label. Does nothing if the label does not hold it.
    pub fn remove_reference(&mut self, caller: &Caller, store: &str, label: &str, hash: &Hash) -> ChangeResult {
        caller.visible_row(store, self.row(store)?)?;
        self.take(store, label, hash)?;
        Ok(Vec::new())
    }

    /// Removes contents from a store. `hashes` must be sorted.
    ///
    /// # Errors
    /// If a label points to one of them ([`Error::Labelled`]); nothing is removed then.
    pub fn drop_contents(&mut self, caller: &Caller, store: &str, hashes: &[Hash]) -> ChangeResult {
        let mut row = caller.visible_row(store, self.row(store)?)?;
        self.refuse_labelled(store, hashes)?;
        let mut freed = Vec::new();
        for hash in hashes {
            let removed = self.held.remove((store, hash.bytes())).map_err(Error::index)?.map(|size| size.value());
            let Some(size) = removed else { continue };
            row.contents = row.contents.saturating_sub(1);
            row.bytes = row.bytes.saturating_sub(size);
            freed.extend(self.release(hash)?);
        }
        self.write_row(store, &row)?;
        Ok(freed)
    }

    /// Removes a store with its labels and contents.
    pub fn drop_store(&mut self, caller: &Caller, store: &str) -> ChangeResult {
        let row = caller.visible_row(store, self.row(store)?)?;
        let held = self.held.range((store, LEAST)..=(store, GREATEST)).map_err(Error::index)?;
        let hashes = held.map(|entry| entry.map(|(key, _)| Hash::from(key.value().1)));
        let hashes: Vec<Hash> = hashes.collect::<Result<_, _>>().map_err(Error::index)?;
        while let Some(label) = self.first_label(store)? {
            self.clear(store, &label)?;
        }
        self.references.remove(store).map_err(Error::index)?;
        let freed = self.drop_contents(caller, store, &hashes)?;
        self.stores.remove(store).map_err(Error::index)?;
        if let Some(made) = value(self.owners.get(row.owner.as_str()))? {
            self.owners.insert(row.owner.as_str(), made.saturating_sub(1)).map_err(Error::index)?;
        }
        Ok(freed)
    }

    fn row(&self, store: &str) -> Result<Option<StoreRow>, Error> {
        Ok(self.stores.get(store).map_err(Error::index)?.map(|row| StoreRow::of(row.value())))
    }

    fn write_row(&mut self, store: &str, row: &StoreRow) -> Result<(), Error> {
        self.stores.insert(store, (row.owner.as_str(), row.contents, row.bytes)).map_err(Error::index)?;
        Ok(())
    }

    /// The number for a label's next reference: greater than all numbers the label has.
    fn next(&self, store: &str, label: &str) -> Result<u64, Error> {
        let mut range = self.order.range((store, label, 0)..=(store, label, u64::MAX)).map_err(Error::index)?;
        let last = range.next_back().transpose().map_err(Error::index)?;
        Ok(last.map_or(0, |(key, _)| key.value().2.saturating_add(1)))
    }

    fn take(&mut self, store: &str, label: &str, hash: &Hash) -> Result<(), Error> {
        let number =
            self.numbers.remove((store, label, hash.bytes())).map_err(Error::index)?.map(|number| number.value());
        if let Some(number) = number {
            // Counted before the row is removed: `count` may have to scan `order`.
            let references = self.references().count(store)?;
            self.order.remove((store, label, number)).map_err(Error::index)?;
            self.references.insert(store, references.saturating_sub(1)).map_err(Error::index)?;
        }
        Ok(())
    }

    fn clear(&mut self, store: &str, label: &str) -> Result<(), Error> {
        let (references, mut gone) = (self.references().count(store)?, 0_u64);
        let count = |_: (&str, &str, u64), _: &[u8; 32]| {
            gone = gone.saturating_add(1);
            false
        };
        self.order.retain_in((store, label, 0)..=(store, label, u64::MAX), count).map_err(Error::index)?;
        self.numbers.retain_in((store, label, LEAST)..=(store, label, GREATEST), |_, _| false).map_err(Error::index)?;
        self.references.insert(store, references.saturating_sub(gone)).map_err(Error::index)?;
        Ok(())
    }

    fn references(&self) -> References<'_, OrderTable<'t>, NumberTable<'t>, CountTable<'t>> {
        References { order: &self.order, numbers: &self.numbers, counts: &self.references }
    }

    /// Removes one holder of a content. Returns the content if that was the last holder.
    fn release(&mut self, hash: &Hash) -> Result<Option<Hash>, Error> {
        match value(self.contents.get(hash.bytes()))?.unwrap_or_default() {
            0 | 1 => {
                self.contents.remove(hash.bytes()).map_err(Error::index)?;
                Ok(Some(*hash))
            }
            holders => {
                self.contents.insert(hash.bytes(), holders.saturating_sub(1)).map_err(Error::index)?;
                Ok(None)
            }
        }
    }

    fn first_label(&self, store: &str) -> Result<Option<String>, Error> {
        let first =
            self.order.range((store, "", 0)..).map_err(Error::index)?.next().transpose().map_err(Error::index)?;
        Ok(first.and_then(|(key, _)| (key.value().0 == store).then(|| key.value().1.to_owned())))
    }

    fn refuse_labelled(&self, store: &str, hashes: &[Hash]) -> Result<(), Error> {
        for entry in self.numbers.range((store, "", LEAST)..).map_err(Error::index)? {
            let (key, _) = entry.map_err(Error::index)?;
            let (of, label, hash) = key.value();
            if of != store {
                break;
            }
            let hash = Hash::from(hash);
            if hashes.binary_search(&hash).is_ok() {
                return Err(Error::Labelled { store: store.to_owned(), hash, label: label.to_owned() });
            }
        }
        Ok(())
    }
}
