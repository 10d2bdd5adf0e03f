//! The index: which stores there are, what each holds and what its labels point to.
//!
//! Reads see one state of it ([`Index::view`]). Changes ([`Changes`]) that wait at the same time go into one
//! transaction and share its fsync; each is whole or not there.
//!
//! **Invariant:** a change refuses before it writes, so that a refused one leaves nothing in a transaction it shares.
//! Next: [`crate::view`] and [`crate::changes`], what is read and written.

use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};

use redb::{Builder, Database, DatabaseError, ReadableDatabase, TableDefinition};

use crate::changes::Changes;
use crate::error::Error;
use crate::names::Hash;
use crate::view::View;

/// A store to its owner (empty: shared), how many contents it has and their bytes.
pub const STORES: TableDefinition<'static, &str, (&str, u64, u64)> = TableDefinition::new("stores");
/// An actor to how many stores it made.
pub const OWNERS: TableDefinition<'static, &str, u64> = TableDefinition::new("owners");
/// A store's content to its size.
pub const HELD: TableDefinition<'static, (&str, &[u8; 32]), u64> = TableDefinition::new("held");
/// A content to how many stores hold it.
pub const CONTENTS: TableDefinition<'static, &[u8; 32], u64> = TableDefinition::new("contents");
/// A store's label and a number, larger for newer, to the content.
pub const ORDER: TableDefinition<'static, (&str, &str, u64), &[u8; 32]> = TableDefinition::new("order");
/// A store's label and a content to its number in [`ORDER`].
pub const PLACES: TableDefinition<'static, (&str, &str, &[u8; 32]), u64> = TableDefinition::new("places");

/// A store to how many references its labels have: the rows of [`PLACES`]. None where a build before this wrote the store.
pub const REFERENCES: TableDefinition<'static, &str, u64> = TableDefinition::new("references");

/// The bytes of the index kept in memory: the disk's cache has the rest.
const CACHE: usize = 8 << 20;

/// What a change answers: the contents that no store holds any more.
pub type Changed = Result<Vec<Hash>, Error>;
type Change = Box<dyn FnOnce(&mut Changes<'_>) -> Changed + Send>;

/// The open index; no other process can have it open.
pub struct Index {
    database: Database,
    waiting: Mutex<Vec<(Change, SyncSender<Changed>)>>,
    turn: Mutex<()>,
}

impl Index {
    /// Opens the index at `path` or makes it.
    ///
    /// # Errors
    /// [`Error::InUse`], [`Error::Index`].
    pub fn open(path: &Path) -> Result<Self, Error> {
        let database = Builder::new().set_cache_size(CACHE).create(path).map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => Error::InUse(path.to_owned()),
            error => Error::index(error),
        })?;
        let index = Self { database, waiting: Mutex::default(), turn: Mutex::default() };
        // The tables are made here, so that every view finds them.
        index.commit(Vec::new())?;
        Ok(index)
    }

    /// The index as it is now.
    ///
    /// # Errors
    /// [`Error::Index`].
    pub fn view(&self) -> Result<View, Error> {
        View::of(&self.database.begin_read().map_err(Error::index)?)
    }

    /// Makes a change, together with those that wait at the same time; it is on disk when this returns. Blocks.
    ///
    /// # Errors
    /// What the change refused with, or [`Error::Index`]: then it was not made.
    pub fn change(&self, change: impl FnOnce(&mut Changes<'_>) -> Changed + Send + 'static) -> Changed {
        let (done, answer) = sync_channel(1);
        locked(&self.waiting).push((Box::new(change), done));
        let turn = locked(&self.turn);
        // Whoever had the turn before may have taken this change along; else it is still waiting.
        if let Ok(changed) = answer.try_recv() {
            return changed;
        }
        let batch = std::mem::take(&mut *locked(&self.waiting));
        let failed = self.commit(batch).err();
        drop(turn);
        answer.try_recv().unwrap_or_else(|_| Err(failed.unwrap_or(Error::Together)))
    }

    /// Commits all changes of a batch in one transaction, then answers each. Dropping `done` answers [`Error::Together`].
    fn commit(&self, batch: Vec<(Change, SyncSender<Changed>)>) -> Result<(), Error> {
        let mut answers = Vec::with_capacity(batch.len());
        let transaction = self.database.begin_write().map_err(Error::index)?;
        let mut changes = Changes::of(&transaction)?;
        for (change, done) in batch {
            match change(&mut changes) {
                Err(Error::Index(error)) => return Err(Error::Index(error)),
                changed => answers.push((changed, done)),
            }
        }
        drop(changes);
        transaction.commit().map_err(Error::index)?;
        for (changed, done) in answers {
            // Its receiver waits for the turn, which this thread has.
            done.try_send(changed).ok();
        }
        Ok(())
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
