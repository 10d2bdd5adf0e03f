//! Combines index and contents: the operations behind actors' functions and operators' commands. Everything here
//! blocks.
//!
//! **Invariant:** a content's file is on disk before the index refers to it, and is removed only after the index no
//! longer does. A put holds `sweeping` for reading from before it checks for the file until the index refers to it;
//! removing files requires `sweeping` for writing. So no file that a put relies on is removed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use theater_plugin_api::{Host, Level};
use uuid::Uuid;

use crate::caller::Caller;
use crate::changes::{ChangeResult, IndexChanges};
use crate::contents::Contents;
use crate::error::Error;
use crate::hash::Hash;
use crate::index::Index;
use crate::label_update::LabelUpdate;
use crate::names::{ContentName, check_label, check_store};
use crate::tables::StoreRow;
use crate::view::{IndexView, ListedContent};

/// All stores in a data folder, opened by the first call that needs them.
pub struct Repository {
    host: Host,
    open: Mutex<Option<Arc<OpenRepository>>>,
}

/// An open repository.
struct OpenRepository {
    index: Index,
    contents: Contents,
    sweeping: RwLock<()>,
}

/// What [`Repository::sweep`] removed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// Number of contents that no store held.
    pub contents: u64,
    /// Total bytes of those contents.
    pub bytes: u64,
    /// Number of partially written files.
    pub half_written: u64,
}

impl Repository {
    /// Creates the repository for the data folder of `host`, without touching the folder yet.
    pub fn new(host: Host) -> Self {
        Self { host, open: Mutex::default() }
    }

    /// Runs `work` on the open repository. If the index fails, it is closed and the next call reopens it: after an I/O
    /// error, such as a full disk, redb fails every operation until the database is reopened.
    fn with<T>(&self, work: impl FnOnce(&OpenRepository) -> Result<T, Error>) -> Result<T, Error> {
        let open = self.opened()?;
        let result = work(&open);
        match &result {
            Err(Error::Index(_)) => self.close(&open),
            Err(error @ (Error::Lost { .. } | Error::Damaged { .. })) => {
                self.host.log(Level::Error, &error.to_string())
            }
            _ => (),
        }
        result
    }

    fn opened(&self) -> Result<Arc<OpenRepository>, Error> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = &*open {
            return Ok(Arc::clone(open));
        }
        let folder = self.host.data_folder().map_err(Error::Folder)?;
        // The index first: only one process can have it open, and only that process writes contents.
        let index = Index::open(&folder.join("index.redb"))?;
        let contents = Contents::open(&folder)?;
        Ok(Arc::clone(open.insert(Arc::new(OpenRepository { index, contents, sweeping: RwLock::default() }))))
    }

    fn close(&self, failed: &Arc<OpenRepository>) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.take_if(|open| Arc::ptr_eq(open, failed));
    }

    /// Reads a store that the caller can see.
    fn read<T>(
        &self,
        caller: &Caller,
        store: &str,
        work: impl FnOnce(&IndexView, StoreRow) -> Result<T, Error>,
    ) -> Result<T, Error> {
        check_store(store)?;
        self.with(|open| {
            let view = open.index.view()?;
            let row = caller.visible_row(store, view.row(store)?)?;
            work(&view, row)
        })
    }

    /// Changes only the index.
    fn change(
        &self,
        store: &str,
        change: impl FnOnce(&mut IndexChanges<'_>) -> ChangeResult + Send + 'static,
    ) -> Result<(), Error> {
        check_store(store)?;
        self.with(|open| open.index.change(change).map(drop))
    }

    /// Changes the index, then removes the files of contents that no store holds any more. Returns their number.
    fn remove(
        &self,
        store: &str,
        change: impl FnOnce(&mut IndexChanges<'_>) -> ChangeResult + Send + 'static,
    ) -> Result<u64, Error> {
        check_store(store)?;
        self.with(|open| {
            let _alone = open.exclusive();
            let freed = open.index.change(change)?;
            freed.iter().try_for_each(|hash| open.contents.remove(hash))?;
            Ok(freed.len() as u64)
        })
    }

    /// Creates a store with this name, or with a generated id if `name` is `None`. Returns the id.
    pub fn create(&self, caller: &Arc<Caller>, name: Option<&str>) -> Result<String, Error> {
        let id = name.map_or_else(|| Uuid::new_v4().to_string(), str::to_owned);
        let (caller, store) = (Arc::clone(caller), id.clone());
        self.change(&id, move |changes| changes.create(&caller, &store))?;
        Ok(id)
    }

    /// Adds a content to a store and to the label that `update` names.
    pub fn put(&self, caller: &Arc<Caller>, store: &str, content: &[u8], update: LabelUpdate) -> Result<Hash, Error> {
        check_store(store)?;
        update.label().map_or(Ok(()), check_label)?;
        let size = content.len() as u64;
        caller.may_store(size)?;
        self.with(|open| {
            let hash = Hash::of(content);
            let _no_sweep = open.block_sweeps();
            let view = open.index.view()?;
            let row = caller.visible_row(store, view.row(store)?)?;
            // The change below checks again. Checking here too avoids writing a file for a content that is refused.
            view.may_refer(caller, store, &hash, &update)?;
            if view.size(store, &hash)?.is_none() {
                caller.may_add(store, row.bytes, size)?;
            }
            // A missing or damaged file is written again: the right bytes are available here.
            if !(view.held(&hash)? && open.contents.has(&hash, content)) {
                open.contents.write(&hash, content)?;
            }
            let (caller, store) = (Arc::clone(caller), store.to_owned());
            open.index.change(move |changes| changes.add_content(&caller, &store, &hash, size, &update))?;
            Ok(hash)
        })
    }

    /// Adds a content of a store to a label.
    pub fn add_to_label(
        &self,
        caller: &Arc<Caller>,
        store: &str,
        update: LabelUpdate,
        hash: Hash,
    ) -> Result<(), Error> {
        update.label().map_or(Ok(()), check_label)?;
        let (caller, of) = (Arc::clone(caller), store.to_owned());
        self.change(store, move |changes| changes.add_to_label(&caller, &of, &hash, &update))
    }

    /// Reads the bytes of a content.
    pub fn get(&self, caller: &Caller, store: &str, hash: &Hash) -> Result<Vec<u8>, Error> {
        check_store(store)?;
        self.with(|open| {
            let _no_sweep = open.block_sweeps();
            let view = open.index.view()?;
            caller.visible_row(store, view.row(store)?)?;
            let missing = || Error::NoContent { store: store.to_owned(), hash: *hash };
            let size = view.size(store, hash)?.ok_or_else(missing)?;
            open.contents.read(hash, size)
        })
    }

    /// Reads the content that an operator or a URL names.
    pub fn get_named(&self, caller: &Caller, store: &str, target: &ContentName) -> Result<Vec<u8>, Error> {
        let hash = match target {
            ContentName::Hash(hash) => *hash,
            ContentName::Label(label) => self
                .newest(caller, store, label)?
                .ok_or_else(|| Error::NoLabel { store: store.to_owned(), label: label.clone() })?,
        };
        self.get(caller, store, &hash)
    }

    /// Whether a store has a content.
    pub fn exists(&self, caller: &Caller, store: &str, hash: &Hash) -> Result<bool, Error> {
        self.read(caller, store, |view, _| Ok(view.size(store, hash)?.is_some()))
    }

    /// The newest content of a label.
    pub fn newest(&self, caller: &Caller, store: &str, label: &str) -> Result<Option<Hash>, Error> {
        check_label(label)?;
        self.read(caller, store, |view, _| view.newest(store, label))
    }

    /// Removes a label.
    pub fn remove_label(&self, caller: &Arc<Caller>, store: &str, label: &str) -> Result<(), Error> {
        check_label(label)?;
        let (caller, of, label) = (Arc::clone(caller), store.to_owned(), label.to_owned());
        self.change(store, move |changes| changes.remove_label(&caller, &of, &label))
    }

    /// Removes a content from a label.
    pub fn remove_reference(&self, caller: &Arc<Caller>, store: &str, label: &str, hash: Hash) -> Result<(), Error> {
        check_label(label)?;
        let (caller, of, label) = (Arc::clone(caller), store.to_owned(), label.to_owned());
        self.change(store, move |changes| changes.remove_reference(&caller, &of, &label, &hash))
    }

    /// A store's labels, sorted by bytes.
    pub fn labels(&self, caller: &Caller, store: &str) -> Result<Vec<String>, Error> {
        self.read(caller, store, |view, _| view.labels(store))
    }

    /// A store's contents, sorted by hash, each converted by `make`.
    pub fn contents<T>(&self, caller: &Caller, store: &str, make: impl Fn(Hash) -> T) -> Result<Vec<T>, Error> {
        self.read(caller, store, |view, _| view.contents(store, |hash, _| make(hash)))
    }

    /// The total size of a store's contents in bytes, each counted once.
    pub fn bytes(&self, caller: &Caller, store: &str) -> Result<u64, Error> {
        self.read(caller, store, |_, row| Ok(row.bytes))
    }

    /// All stores, for operators.
    pub fn stores(&self) -> Result<Vec<(String, StoreRow)>, Error> {
        self.with(|open| open.index.view()?.stores())
    }

    /// A store's contents with their sizes and labels, for operators.
    pub fn listed(&self, store: &str) -> Result<BTreeMap<Hash, ListedContent>, Error> {
        self.read(&Caller::Operator, store, |view, _| view.listed(store))
    }

    /// Removes a store with its labels and contents. Returns how many contents no store holds any more.
    pub fn drop_store(&self, store: &str) -> Result<u64, Error> {
        let of = store.to_owned();
        self.remove(store, move |changes| changes.drop_store(&Caller::Operator, &of))
    }

    /// Removes contents from a store. Returns how many of them no store holds any more.
    pub fn drop_contents(&self, store: &str, mut hashes: Vec<Hash>) -> Result<u64, Error> {
        hashes.sort_unstable();
        let of = store.to_owned();
        self.remove(store, move |changes| changes.drop_contents(&Caller::Operator, &of, &hashes))
    }

    /// Removes what crashes leave behind: partially written files, and contents that no store holds.
    pub fn sweep(&self) -> Result<SweepReport, Error> {
        self.with(|open| {
            let mut swept = SweepReport { half_written: open.remove_partial_files()?, ..SweepReport::default() };
            (0..=u8::MAX).try_for_each(|first| open.sweep(first, &mut swept))?;
            Ok(swept)
        })
    }
}

impl OpenRepository {
    fn block_sweeps(&self) -> RwLockReadGuard<'_, ()> {
        self.sweeping.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn exclusive(&self) -> RwLockWriteGuard<'_, ()> {
        self.sweeping.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn remove_partial_files(&self) -> Result<u64, Error> {
        let _alone = self.exclusive();
        self.contents.clear_aside()
    }

    /// Sweeps one folder. Locking folder by folder keeps other calls from waiting long.
    fn sweep(&self, first: u8, swept: &mut SweepReport) -> Result<(), Error> {
        let _alone = self.exclusive();
        let view = self.index.view()?;
        for (hash, size) in self.contents.list(first)? {
            if !view.held(&hash)? {
                self.contents.remove(&hash)?;
                swept.contents += 1;
                swept.bytes += size;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use theater_plugin_api::testing::FakeHost;

    use super::*;

    /// [store-14] After an index error the index is closed and the next call reopens it. Other errors leave it open.
    #[test]
    fn an_index_that_failed_is_closed_and_opened_again_by_the_next_call() {
        let core = FakeHost::new();
        let repository = Repository::new(core.host());
        let elsewhere = || Index::open(&core.host().data_folder().unwrap().join("index.redb"));
        for (error, closed) in [(Error::Together, false), (Error::index(redb::Error::PreviousIo), true)] {
            let failed: Result<(), Error> = repository.with(|_| Err(error));
            assert!(failed.is_err());
            assert_eq!(elsewhere().is_ok(), closed);
        }
        assert!(repository.stores().unwrap().is_empty());
        assert!(elsewhere().is_err());
    }
}
