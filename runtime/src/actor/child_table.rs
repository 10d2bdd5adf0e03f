//! The children of an actor, in the order of their start, and the ends that its plugin has not been notified of yet.
//!
//! A child is living, held or ended. One that ended without being stopped is **held**: its mailbox still accepts calls and
//! its chain stays open, until the plugin of the parent restarts or releases it. Of those that have ended the newest
//! [`ENDED_KEPT`] stay known, with their last state, until the parent ends.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use theater_plugin_api::{ChildEnd, Ending};

use crate::actor::identity::Identity;
use crate::actor::name_table::NameTable;
use crate::manifest::Limits;
use crate::support::executor;
use theater_chain::event::{EventRef, Id};

/// How many ended children stay known.
pub const ENDED_KEPT: usize = 1_000;

/// The status of a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChildStatus {
    /// It is running or starting.
    Living,
    /// It ended, and its parent has not decided yet whether to restart it.
    Held,
    /// It has ended.
    Ended,
}

/// An actor in a child table, of which its parent is one too.
pub trait Child: Identity + Sized {
    /// The name in its manifest.
    fn manifest_name(&self) -> &str;

    /// Its parent.
    fn parent(&self) -> Option<&Arc<Self>>;

    /// Its limits.
    fn limits(&self) -> &Limits;

    /// The number of its living descendants.
    fn descendants(&self) -> &AtomicU64;

    /// Whether it is about to end.
    fn is_ending(&self) -> bool;

    /// The table no longer knows it: its data may be deleted.
    fn evict(self: Arc<Self>);
}

/// The children of an actor.
pub struct ChildTable<A> {
    inner: Mutex<Inner<A>>,
    // Locked while a child is released: its status changes first, then its chain, name and registry entry.
    leaving: Mutex<()>,
    ends: (executor::Sender<Death>, executor::Receiver<Death>),
    /// The names of living and held children.
    pub names: NameTable,
}

/// The end of a child, for the plugin of its parent.
#[derive(Debug, Clone)]
pub struct Death {
    /// The end as the plugin receives it.
    pub end: ChildEnd,
    /// The event of the child's end.
    pub event: Option<EventRef>,
    /// Whether the parent was notified already, in a previous run: its chain has the notification.
    pub is_notified: bool,
}

/// Why a child is not started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChildRefused {
    /// The parent is ending.
    ParentEnding,
    /// A limit of the parent, or of one of its ancestors, is reached.
    TooMany {
        /// Its key in `[limits]`.
        key: &'static str,
        /// Its value.
        limit: u64,
        /// The name of the actor whose limit it is.
        whose: String,
    },
}

struct Inner<A> {
    born: u64,
    // The number of children that are living or held.
    living: u64,
    numbers: HashMap<Id, u64>,
    children: BTreeMap<u64, (Arc<A>, ChildStatus)>,
    ended: VecDeque<u64>,
    // Set once the parent ends: no child is started, and no end is reported.
    closed: bool,
}

impl<A> Default for Inner<A> {
    fn default() -> Self {
        Self {
            born: 0,
            living: 0,
            numbers: HashMap::new(),
            children: BTreeMap::new(),
            ended: VecDeque::new(),
            closed: false,
        }
    }
}

impl<A> Default for ChildTable<A> {
    fn default() -> Self {
        Self {
            inner: Mutex::default(),
            leaving: Mutex::default(),
            ends: executor::unbounded(),
            names: NameTable::default(),
        }
    }
}

impl<A: Child> ChildTable<A> {
    fn lock(&self) -> MutexGuard<'_, Inner<A>> {
        // The collections are consistent at every point where a panic can happen.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Blocks releases of children while the guard is held, so that none is seen half released.
    pub fn lock_releases(&self) -> MutexGuard<'_, ()> {
        self.leaving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a child, or replaces its previous run.
    ///
    /// # Errors
    /// The parent is ending, or a limit of children, descendants or depth is reached.
    pub fn live(&self, child: &Arc<A>) -> Result<(), ChildRefused> {
        let mut inner = self.lock();
        if inner.closed {
            return Err(ChildRefused::ParentEnding);
        }
        let known = inner.numbers.get(&child.id()).and_then(|number| inner.children.get(number));
        if known.is_none_or(|(_, status)| *status == ChildStatus::Ended) {
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

    /// A child and its status.
    #[must_use]
    pub fn get(&self, id: Id) -> Option<(Arc<A>, ChildStatus)> {
        let inner = self.lock();
        inner.numbers.get(&id).and_then(|number| inner.children.get(number)).cloned()
    }

    /// The living and held children, oldest first.
    #[must_use]
    pub fn living(&self) -> Vec<Arc<A>> {
        let inner = self.lock();
        let living = inner.children.values().filter(|(_, status)| *status != ChildStatus::Ended);
        living.map(|(child, _)| Arc::clone(child)).collect()
    }

    /// All children that the table knows.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<A>> {
        self.lock().children.values().map(|(child, _)| Arc::clone(child)).collect()
    }

    /// The child with that name in its manifest that ended last: a held one, else a released one.
    #[must_use]
    pub fn last_ended(&self, name: &str) -> Option<Arc<A>> {
        let inner = self.lock();
        let is_it = |child: &A| child.manifest_name() == name;
        let held = inner.children.values().rev().find(|(child, of)| *of == ChildStatus::Held && is_it(child));
        let let_go = || {
            let mut newest = inner.ended.iter().rev().filter_map(|number| inner.children.get(number));
            newest.find(|(child, _)| is_it(child))
        };
        held.or_else(let_go).map(|(child, _)| Arc::clone(child))
    }

    /// The living child with that name in its manifest that is about to end.
    #[must_use]
    pub fn ending(&self, name: &str) -> Option<Arc<A>> {
        let inner = self.lock();
        let mut living = inner.children.values().filter(|(_, status)| *status == ChildStatus::Living);
        let ending = living.find(|(child, _)| child.manifest_name() == name && child.is_ending());
        ending.map(|(child, _)| Arc::clone(child))
    }

    /// A child has ended. Returns whether it is held, which `hold` requests. The plugin of the parent is notified of
    /// `ending`, unless that is `None` or the parent is ending. `event` is the event of the end.
    #[must_use]
    pub fn ended(
        &self,
        child: &A,
        ending: Option<Ending>,
        hold: bool,
        (event, is_notified): (Option<EventRef>, bool),
    ) -> bool {
        let mut inner = self.lock();
        let Some(number) = inner.numbers.get(&child.id()).copied() else { return false };
        let held = hold && !inner.closed;
        if !inner.closed
            && let Some(ending) = ending
        {
            let end = ChildEnd { child: child.id_text().to_owned(), name: child.name().to_owned(), ending };
            // The receiver is a field of this table, so the channel is open.
            drop(self.ends.0.try_send(Death { end, event, is_notified }));
        }
        if held {
            inner.set_status(number, ChildStatus::Held);
        } else {
            inner.let_go(number);
        }
        held
    }

    /// Claims a held child for a restart. Returns `None` if it is not held.
    #[must_use]
    pub fn claim(&self, id: Id) -> Option<Arc<A>> {
        let mut inner = self.lock();
        let number = inner.numbers.get(&id).copied()?;
        let (child, status) = inner.children.get_mut(&number)?;
        if *status != ChildStatus::Held {
            return None;
        }
        *status = ChildStatus::Living;
        Some(Arc::clone(child))
    }

    /// Releases a claimed child whose restart failed. Returns whether it was claimed.
    #[must_use]
    pub fn let_go_claimed(&self, id: Id) -> bool {
        let mut inner = self.lock();
        let Some(number) = inner.numbers.get(&id).copied() else { return false };
        let is_claimed = inner.children.get(&number).is_some_and(|(_, status)| *status == ChildStatus::Living);
        if is_claimed {
            inner.let_go(number);
        }
        is_claimed
    }

    /// Releases a held child. Returns `None` if it is not held.
    #[must_use]
    pub fn let_go(&self, id: Id) -> Option<Arc<A>> {
        let mut inner = self.lock();
        let number = inner.numbers.get(&id).copied()?;
        let (child, status) = inner.children.get(&number)?;
        if *status != ChildStatus::Held {
            return None;
        }
        let child = Arc::clone(child);
        inner.let_go(number);
        Some(child)
    }

    /// Closes the table, because the parent is ending. Returns all children; no end is reported any more.
    #[must_use]
    pub fn close(&self) -> Vec<(Arc<A>, ChildStatus)> {
        let mut inner = self.lock();
        inner.closed = true;
        self.ends.0.close();
        inner.children.values().cloned().collect()
    }

    /// Removes all children, because parent and children hold references to each other.
    pub fn forget(&self) {
        let before = std::mem::replace(&mut *self.lock(), Inner { closed: true, ..Inner::default() });
        for (child, status) in before.children.values() {
            if *status != ChildStatus::Ended {
                count_down(child.as_ref());
            }
        }
    }

    /// The next end of a child; `None` once the parent ends.
    pub fn next_end(&self) -> impl Future<Output = Option<Death>> + Send + use<A> {
        let ends = self.ends.1.clone();
        async move { ends.recv().await.ok() }
    }
}

/// Counts one more child of `parent`, which has `living` children, and one more descendant of it and its ancestors.
fn count_up<A: Child>(parent: &Arc<A>, living: u64) -> Result<(), ChildRefused> {
    let too_many = |key, limit, whose: &A| ChildRefused::TooMany { key, limit, whose: whose.name().to_owned() };
    let limits = parent.limits();
    if limits.depth == 0 {
        return Err(too_many("depth", limits.depth, parent));
    }
    if living >= limits.children {
        return Err(too_many("children", limits.children, parent));
    }
    let above = |actor: &Arc<A>| std::iter::successors(Some(Arc::clone(actor)), |actor| actor.parent().cloned());
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

/// Counts one descendant less of all ancestors of a child that is no longer living or held.
fn count_down<A: Child>(child: &A) {
    let mut above = child.parent();
    while let Some(actor) = above {
        actor.descendants().fetch_sub(1, Ordering::Relaxed);
        above = actor.parent();
    }
}

impl<A: Child> Inner<A> {
    fn set_status(&mut self, number: u64, status: ChildStatus) {
        if let Some(child) = self.children.get_mut(&number) {
            child.1 = status;
        }
    }

    fn let_go(&mut self, number: u64) {
        if let Some((child, status)) = self.children.get(&number)
            && *status != ChildStatus::Ended
        {
            count_down(child.as_ref());
            self.living -= 1;
        }
        self.set_status(number, ChildStatus::Ended);
        self.ended.push_back(number);
        if self.ended.len() > ENDED_KEPT
            && let Some(oldest) = self.ended.pop_front()
            && let Some((child, _)) = self.children.remove(&oldest)
        {
            self.numbers.remove(&child.id());
            child.evict();
        }
    }
}
