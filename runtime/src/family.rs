//! An actor's children: who they are, in the order of their birth, and the deaths its plugin has not been told yet.
//!
//! A child lives, is held or has ended. One that ended is **held**, unless somebody stopped it: its mailbox takes
//! calls and its chain goes on, until the parent's plugin starts it again or lets it go. Of those that have ended the newest
//! [`ENDED_KEPT`] stay known, with their last state, until the parent ends.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use theater_plugin_api::{ChildEnd, Ending};

use crate::actor::Shared;
use crate::chain::{EventRef, Id};
use crate::executor;
use crate::names::Names;

/// How many ended children stay known.
pub const ENDED_KEPT: usize = 1_000;

/// Where a child stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It runs, or starts.
    Living,
    /// It ended, and its parent has not said what becomes of it.
    Held,
    /// It has ended.
    Ended,
}

/// An actor's children.
pub struct Family {
    inner: Mutex<Inner>,
    ends: (executor::Sender<Death>, executor::Receiver<Death>),
    /// Names of living and held children.
    pub names: Names,
}

/// A child's death, for its parent's plugin.
#[derive(Debug, Clone)]
pub struct Death {
    /// What the plugin is told.
    pub end: ChildEnd,
    /// The event of the child's end.
    pub event: Option<EventRef>,
    /// The parent's chain has it already: a program before was told.
    pub is_told: bool,
}

#[derive(Default)]
struct Inner {
    born: u64,
    numbers: HashMap<Id, u64>,
    children: BTreeMap<u64, (Arc<Shared>, Standing)>,
    ended: VecDeque<u64>,
    // Once the parent ends: no child is born, no death told.
    closed: bool,
}

impl Default for Family {
    fn default() -> Self {
        Self { inner: Mutex::default(), ends: executor::unbounded(), names: Names::default() }
    }
}

impl Family {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // The collections agree at every point a panic could happen.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a child, or puts its new life in place of the old one.
    ///
    /// # Errors
    /// A sentence when the parent is ending.
    pub fn live(&self, child: &Arc<Shared>) -> Result<(), String> {
        let mut inner = self.lock();
        if inner.closed {
            return Err("the parent is ending".to_owned());
        }
        let number = match inner.numbers.get(&child.id()) {
            Some(number) => *number,
            None => {
                inner.born += 1;
                inner.born
            }
        };
        inner.ended.retain(|ended| *ended != number);
        inner.numbers.insert(child.id(), number);
        inner.children.insert(number, (Arc::clone(child), Standing::Living));
        Ok(())
    }

    /// A child and where it stands.
    #[must_use]
    pub fn get(&self, id: Id) -> Option<(Arc<Shared>, Standing)> {
        let inner = self.lock();
        inner.numbers.get(&id).and_then(|number| inner.children.get(number)).cloned()
    }

    /// The children that live or are held, oldest first.
    #[must_use]
    pub fn living(&self) -> Vec<Arc<Shared>> {
        let inner = self.lock();
        let living = inner.children.values().filter(|(_, standing)| *standing != Standing::Ended);
        living.map(|(child, _)| Arc::clone(child)).collect()
    }

    /// All that are known.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Shared>> {
        self.lock().children.values().map(|(child, _)| Arc::clone(child)).collect()
    }

    /// The child of that manifest's name that ended last.
    #[must_use]
    pub fn last_ended(&self, name: &str) -> Option<Arc<Shared>> {
        let inner = self.lock();
        let mut newest = inner.ended.iter().rev().filter_map(|number| inner.children.get(number));
        newest.find(|(child, _)| child.manifest().name == name).map(|(child, _)| Arc::clone(child))
    }

    /// A child has ended; whether it is held (which `hold` asks for). A death is told when `ending` is there, unless the parent
    /// is ending; `event` is that of the end, with whether the parent's chain has it already.
    #[must_use]
    pub fn ended(
        &self,
        child: &Shared,
        ending: Option<Ending>,
        hold: bool,
        (event, is_told): (Option<EventRef>, bool),
    ) -> bool {
        let mut inner = self.lock();
        let Some(number) = inner.numbers.get(&child.id()).copied() else { return false };
        let held = hold && !inner.closed;
        if !inner.closed
            && let Some(ending) = ending
        {
            let end = ChildEnd { child: child.id_text().to_owned(), name: child.name().to_owned(), ending };
            // The receiver lives as long as self.
            drop(self.ends.0.try_send(Death { end, event, is_told }));
        }
        if held {
            inner.stand(number, Standing::Held);
        } else {
            inner.let_go(number);
        }
        held
    }

    /// Takes a held child to start it again: the child, when it was held.
    #[must_use]
    pub fn claim(&self, id: Id) -> Option<Arc<Shared>> {
        let mut inner = self.lock();
        let number = inner.numbers.get(&id).copied()?;
        let (child, standing) = inner.children.get_mut(&number)?;
        if *standing != Standing::Held {
            return None;
        }
        *standing = Standing::Living;
        Some(Arc::clone(child))
    }

    /// Lets a held child go: the child, when it was held.
    #[must_use]
    pub fn let_go(&self, id: Id) -> Option<Arc<Shared>> {
        let mut inner = self.lock();
        let number = inner.numbers.get(&id).copied()?;
        let (child, standing) = inner.children.get(&number)?;
        if *standing != Standing::Held {
            return None;
        }
        let child = Arc::clone(child);
        inner.let_go(number);
        Some(child)
    }

    /// The parent is ending: everyone it had, and nothing is told any more.
    #[must_use]
    pub fn close(&self) -> Vec<(Arc<Shared>, Standing)> {
        let mut inner = self.lock();
        inner.closed = true;
        self.ends.0.close();
        inner.children.values().cloned().collect()
    }

    /// Forgets everyone: parent and children would keep each other.
    pub fn forget(&self) {
        *self.lock() = Inner { closed: true, ..Inner::default() };
    }

    /// The next death that has not been told; nothing once the parent ends.
    pub fn next_end(&self) -> impl Future<Output = Option<Death>> + Send + use<> {
        let ends = self.ends.1.clone();
        async move { ends.recv().await.ok() }
    }
}

impl Inner {
    fn stand(&mut self, number: u64, standing: Standing) {
        if let Some(child) = self.children.get_mut(&number) {
            child.1 = standing;
        }
    }

    fn let_go(&mut self, number: u64) {
        self.stand(number, Standing::Ended);
        self.ended.push_back(number);
        if self.ended.len() > ENDED_KEPT
            && let Some(oldest) = self.ended.pop_front()
            && let Some((child, _)) = self.children.remove(&oldest)
        {
            self.numbers.remove(&child.id());
            child.core().journal.forget(child.id());
            drop(executor::spawn(async move { child.core().forget(&child).await }));
        }
    }
}
