//! The index: which stores exist, what each holds, and what its labels point to.
//!
//! A read sees one consistent state ([`Index::view`]). Writes use group commit: [`IndexChanges`] that wait at the same time
//! are applied in one transaction and share its fsync. Each change is applied in full or not at all.
//!
//! **Invariant:** a change fails before its first write, so a failed change leaves nothing behind in the transaction it
//! shares with others. Reads are in [`crate::view`], writes in [`crate::changes`].

use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};

use redb::{Builder, Database, DatabaseError, ReadableDatabase};

use crate::changes::{ChangeResult, IndexChanges};
use crate::error::Error;
use crate::view::IndexView;

/// Cache size of the index in bytes. The page cache covers the rest.
const CACHE: usize = 8 << 20;

type QueuedChange = Box<dyn FnOnce(&mut IndexChanges<'_>) -> ChangeResult + Send>;

/// The open index. Only one process can have it open at a time.
pub struct Index {
    database: Database,
    waiting: Mutex<Vec<(QueuedChange, SyncSender<ChangeResult>)>>,
    turn: Mutex<()>,
}

impl Index {
    /// Opens the index at `path`, or creates it.
    ///
    /// # Errors
    /// [`Error::InUse`] if another process has it open, else [`Error::Index`].
    pub fn open(path: &Path) -> Result<Self, Error> {
        let database = Builder::new().set_cache_size(CACHE).create(path).map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => Error::InUse(path.to_owned()),
            error => Error::index(error),
        })?;
        let index = Self { database, waiting: Mutex::default(), turn: Mutex::default() };
        // An empty commit creates the tables, so that every view finds them.
        index.commit(Vec::new())?;
        Ok(index)
    }

    /// Returns a view of the current state.
    ///
    /// # Errors
    /// [`Error::Index`].
    pub fn view(&self) -> Result<IndexView, Error> {
        IndexView::of(&self.database.begin_read().map_err(Error::index)?)
    }

    /// Applies a change, in one transaction with the changes that wait at the same time. Blocks until it is on disk.
    ///
    /// # Errors
    /// The error of the change itself, [`Error::Index`], or [`Error::Together`] if another thread tried to commit it
    /// and failed. In all cases the change was not applied.
    pub fn change(&self, change: impl FnOnce(&mut IndexChanges<'_>) -> ChangeResult + Send + 'static) -> ChangeResult {
        let (done, answer) = sync_channel(1);
        locked(&self.waiting).push((Box::new(change), done));
        let turn = locked(&self.turn);
        // The previous holder of the turn may have committed this change with its own. Otherwise it is still queued.
        if let Ok(changed) = answer.try_recv() {
            return changed;
        }
        let batch = std::mem::take(&mut *locked(&self.waiting));
        let failed = self.commit(batch).err();
        drop(turn);
        answer.try_recv().unwrap_or_else(|_| Err(failed.unwrap_or(Error::Together)))
    }

    /// Commits all changes of a batch in one transaction, then sends each its result. The caller of a change whose
    /// `done` is dropped returns [`Error::Together`].
    fn commit(&self, batch: Vec<(QueuedChange, SyncSender<ChangeResult>)>) -> Result<(), Error> {
        let mut answers = Vec::with_capacity(batch.len());
        let transaction = self.database.begin_write().map_err(Error::index)?;
        let mut changes = IndexChanges::of(&transaction)?;
        for (change, done) in batch {
            match change(&mut changes) {
                Err(Error::Index(error)) => return Err(Error::Index(error)),
                changed => answers.push((changed, done)),
            }
        }
        drop(changes);
        transaction.commit().map_err(Error::index)?;
        for (changed, done) in answers {
            // The channel has room for this one result, and its receiver is alive: it waits for the turn or is this
            // thread.
            done.try_send(changed).ok();
        }
        Ok(())
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
