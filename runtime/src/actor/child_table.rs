//! An actor's children: who they are, in the order of their birth, and the deaths its plugin has not been told yet.
//!
//! A child lives, is held or has ended. One that ended is **held**, unless somebody stopped it: its mailbox takes
//! calls and its chain goes on, until the parent's plugin starts it again or lets it go. Of those that have ended the newest
//! [`ENDED_KEPT`] stay known, with their last state, until the parent ends.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use theater_plugin_api::{ChildEnd, Ending};

use crate::actor::ActorHandle;
use crate::actor::name_table::NameTable;
use crate::support::executor;
use theater_chain::event::{EventRef, Id};

/// How many ended children stay known.
pub const ENDED_KEPT: usize = 1_000;

/// Where a child stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChildStatus {
    /// It runs, or starts.
    Living,
    /// It ended, and its parent has not said what becomes of it.
    Held,
    /// It has ended.
    Ended,
}

/// An actor's children.
pub struct ChildTable {
    inner: Mutex<Inner>,
    // Held while a child is let go, whose chain, name and place in the registry end behind its standing.
    leaving: Mutex<()>,
    ends: (executor::Sender<Death>, executor::Receiver<Death>),
    /// NameTable of living and held children.
    pub names: NameTable,
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

/// Why a child is not born.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChildRefused {
    /// The parent is ending.
    ParentEnding,
    /// A limit of the parent's, or of an actor above it.
    TooMany {
        /// Its key in `[limits]`.
        key: &'static str,
        /// Its value.
        limit: u64,
        /// The name of the actor whose limit it is.
        whose: String,
    },
}

#[derive(Default)]
struct Inner {
    born: u64,
    // Children that live or are held.
    living: u64,
    numbers: HashMap<Id, u64>,
    children: BTreeMap<u64, (Arc<ActorHandle>, ChildStatus)>,
    ended: VecDeque<u64>,
    // Once the parent ends: no child is born, no death told.
    closed: bool,
}

impl Default for ChildTable {
    fn default() -> Self {
        Self {
            inner: Mutex::default(),
            leaving: Mutex::default(),
            ends: executor::unbounded(),
            names: NameTable::default(),
        }
    }
}

impl ChildTable {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // The collections agree at every point a panic could happen.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// While this is held, no child is half let go.
    pub fn nobody_leaves(&self) -> MutexGuard<'_, ()> {
        self.leaving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a child, or puts its new life in place of the old one.
    ///
    /// # Errors
    /// The parent is ending, or has as many children, or an actor above it as many descendants, as its limits allow.
    pub fn live(&self, child: &Arc<ActorHandle>) -> Result<(), ChildRefused> {
        let mut inner = self.lock();
        if inner.closed {
            return Err(ChildRefused::ParentEnding);
        }
        let known = inner.numbers.get(&child.id()).and_then(|number| inner.children.get(number));
        if known.is_none_or(|(_, standing)| *standing == ChildStatus::Ended) {
            if let Some(parent) = child.parent() {
                count_up(parent, inner.living)?;
            }
            inner.living += 1;
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
        inner.children.insert(number, (Arc::clone(child), ChildStatus::Living));
        Ok(())
    }

    /// A child and where it stands.
    #[must_use]
    pub fn get(&self, id: Id) -> Option<(Arc<ActorHandle>, ChildStatus)> {
        let inner = self.lock();
        inner.numbers.get(&id).and_then(|number| inner.children.get(number)).cloned()
    }

    /// The children that live or are held, oldest first.
    #[must_use]
    pub fn living(&self) -> Vec<Arc<ActorHandle>> {
        let inner = self.lock();
        let living = inner.children.values().filter(|(_, standing)| *standing != ChildStatus::Ended);
        living.map(|(child, _)| Arc::clone(child)).collect()
    }

    /// All that are known.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<ActorHandle>> {
        self.lock().children.values().map(|(child, _)| Arc::clone(child)).collect()
    }

    /// The child of that manifest's name that ended last, if one has: one that is held, or one that was let go.
    #[must_use]
    pub fn last_ended(&self, name: &str) -> Option<Arc<ActorHandle>> {
        let inner = self.lock();
        let is_it = |child: &ActorHandle| child.manifest().name == name;
        let held = inner.children.values().rev().find(|(child, of)| *of == ChildStatus::Held && is_it(child));
        let let_go = || {
            let mut newest = inner.ended.iter().rev().filter_map(|number| inner.children.get(number));
            newest.find(|(child, _)| is_it(child))
        };
        held.or_else(let_go).map(|(child, _)| Arc::clone(child))
    }

    /// The child of that manifest's name that is about to end, if one is.
    #[must_use]
    pub fn ending(&self, name: &str) -> Option<Arc<ActorHandle>> {
        let inner = self.lock();
        let mut living = inner.children.values().filter(|(_, standing)| *standing == ChildStatus::Living);
        let ending = living.find(|(child, _)| child.manifest().name == name && child.is_ending());
        ending.map(|(child, _)| Arc::clone(child))
    }

    /// A child has ended; whether it is held (which `hold` asks for). A death is told when `ending` is there, unless the parent
    /// is ending; `event` is that of the end, with whether the parent's chain has it already.
    #[must_use]
    pub fn ended(
        &self,
        child: &ActorHandle,
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
            inner.stand(number, ChildStatus::Held);
        } else {
            inner.let_go(number);
        }
        held
    }

    /// Takes a held child to start it again: the child, when it was held.
    #[must_use]
    pub fn claim(&self, id: Id) -> Option<Arc<ActorHandle>> {
        let mut inner = self.lock();
        let number = inner.numbers.get(&id).copied()?;
        let (child, standing) = inner.children.get_mut(&number)?;
        if *standing != ChildStatus::Held {
            return None;
        }
        *standing = ChildStatus::Living;
        Some(Arc::clone(child))
    }

    /// Lets a claimed child go whose next life came to nothing; whether it was claimed.
    #[must_use]
    pub fn let_go_claimed(&self, id: Id) -> bool {
        let mut inner = self.lock();
        let Some(number) = inner.numbers.get(&id).copied() else { return false };
        let is_claimed = inner.children.get(&number).is_some_and(|(_, standing)| *standing == ChildStatus::Living);
        if is_claimed {
            inner.let_go(number);
        }
        is_claimed
    }

    /// Lets a held child go: the child, when it was held.
    #[must_use]
    pub fn let_go(&self, id: Id) -> Option<Arc<ActorHandle>> {
        let mut inner = self.lock();
        let number = inner.numbers.get(&id).copied()?;
        let (child, standing) = inner.children.get(&number)?;
        if *standing != ChildStatus::Held {
            return None;
        }
        let child = Arc::clone(child);
        inner.let_go(number);
        Some(child)
    }

    /// The parent is ending: everyone it had, and nothing is told any more.
    #[must_use]
    pub fn close(&self) -> Vec<(Arc<ActorHandle>, ChildStatus)> {
        let mut inner = self.lock();
        inner.closed = true;
        self.ends.0.close();
        inner.children.values().cloned().collect()
    }

    /// Forgets everyone: parent and children would keep each other.
    pub fn forget(&self) {
        let before = std::mem::replace(&mut *self.lock(), Inner { closed: true, ..Inner::default() });
        for (child, standing) in before.children.values() {
            if *standing != ChildStatus::Ended {
                count_down(child);
            }
        }
    }

    /// The next death that has not been told; nothing once the parent ends.
    pub fn next_end(&self) -> impl Future<Output = Option<Death>> + Send + use<> {
        let ends = self.ends.1.clone();
        async move { ends.recv().await.ok() }
    }
}

/// Counts a child more of `parent`, which has `living` of them, and a descendant more of everyone above.
fn count_up(parent: &Arc<ActorHandle>, living: u64) -> Result<(), ChildRefused> {
    let too_many =
        |key, limit, whose: &ActorHandle| ChildRefused::TooMany { key, limit, whose: whose.name().to_owned() };
    let limits = parent.limits();
    if limits.depth == 0 {
        return Err(too_many("depth", limits.depth, parent));
    }
    if living >= limits.children {
        return Err(too_many("children", limits.children, parent));
    }
    let above =
        |actor: &Arc<ActorHandle>| std::iter::successors(Some(Arc::clone(actor)), |actor| actor.parent().cloned());
    for (number, actor) in above(parent).enumerate() {
        let before = actor.descendants().fetch_add(1, Ordering::Relaxed);
        let limit = actor.limits().descendants;
        if before >= limit {
            for counted in above(parent).take(number + 1) {
                counted.descendants().fetch_sub(1, Ordering::Relaxed);
            }
            return Err(too_many("descendants", limit, &actor));
        }
    }
    Ok(())
}

/// The child neither lives nor is held any more.
fn count_down(child: &ActorHandle) {
    let mut above = child.parent();
    while let Some(actor) = above {
        actor.descendants().fetch_sub(1, Ordering::Relaxed);
        above = actor.parent();
    }
}

impl Inner {
    fn stand(&mut self, number: u64, standing: ChildStatus) {
        if let Some(child) = self.children.get_mut(&number) {
            child.1 = standing;
        }
    }

    fn let_go(&mut self, number: u64) {
        if let Some((child, standing)) = self.children.get(&number)
            && *standing != ChildStatus::Ended
        {
            count_down(child);
            self.living -= 1;
        }
        self.stand(number, ChildStatus::Ended);
        self.ended.push_back(number);
        if self.ended.len() > ENDED_KEPT
            && let Some(oldest) = self.ended.pop_front()
            && let Some((child, _)) = self.children.remove(&oldest)
        {
            self.numbers.remove(&child.id());
            child.services().journal.forget(child.id());
            drop(executor::spawn(async move { child.lifecycle().forget(&child).await }));
        }
    }
}
