//! The living actors by id and by name. It is sharded, so that lookups do not contend for one lock.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::actor::identity::Identity;
use theater_chain::event::Id;

const SHARDS: usize = 32;
/// The shortest prefix of an id that is looked up.
const PREFIX: usize = 4;
/// The length of an id as text.
const WHOLE: usize = 36;

type Shard<A> = RwLock<HashMap<Id, Arc<A>>>;

/// All living actors, including held ones (see [`crate::actor::child_table`]).
pub struct Directory<A> {
    shards: [Shard<A>; SHARDS],
    names: RwLock<HashMap<String, Vec<Id>>>,
}

// The maps are consistent at every point where a panic can happen.
fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}
fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

impl<A> Default for Directory<A> {
    fn default() -> Self {
        Self { shards: Default::default(), names: RwLock::default() }
    }
}

impl<A: Identity> Directory<A> {
    fn shard(&self, id: Id) -> &Shard<A> {
        let [first, rest @ ..] = &self.shards;
        // Every byte of a version 4 UUID but two is random.
        match usize::from(id[15]) % SHARDS {
            0 => first,
            number => rest.get(number - 1).unwrap_or(first),
        }
    }

    /// Adds an actor, or replaces its previous run.
    pub fn insert(&self, actor: &Arc<A>) {
        let before = write(self.shard(actor.id())).insert(actor.id(), Arc::clone(actor));
        if before.is_none() {
            write(&self.names).entry(actor.name().to_owned()).or_default().push(actor.id());
        }
    }

    /// Removes an actor.
    pub fn remove(&self, actor: &A) {
        if write(self.shard(actor.id())).remove(&actor.id()).is_none() {
            return;
        }
        let mut names = write(&self.names);
        if let Some(ids) = names.get_mut(actor.name()) {
            ids.retain(|id| *id != actor.id());
            if ids.is_empty() {
                names.remove(actor.name());
            }
        }
    }

    /// The actor with that id.
    #[must_use]
    pub fn get(&self, id: Id) -> Option<Arc<A>> {
        read(self.shard(id)).get(&id).cloned()
    }

    /// All of them, in no order.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<A>> {
        self.shards.iter().flat_map(|shard| read(shard).values().cloned().collect::<Vec<_>>()).collect()
    }

    /// Finds an actor by its id, a unique prefix of its id, or its name if no other actor has it.
    ///
    /// # Errors
    /// A sentence, if no actor or more than one matches.
    pub fn find(&self, wanted: &str) -> Result<Arc<A>, String> {
        let not_found = || format!("there is no living actor {wanted:?}");
        if let Ok(id) = uuid::Uuid::try_parse(wanted)
            && let Some(actor) = self.get(id.into_bytes())
        {
            return Ok(actor);
        }
        let named = read(&self.names).get(wanted).cloned().unwrap_or_default();
        let starting = || -> Vec<_> {
            // A complete id has been looked up already.
            if !(PREFIX..WHOLE).contains(&wanted.len()) {
                return Vec::new();
            }
            let of_shard = |shard: &Shard<A>| -> Vec<Id> {
                read(shard)
                    .values()
                    .filter(|actor| actor.id_text().starts_with(wanted))
                    .map(|actor| actor.id())
                    .collect()
            };
            self.shards.iter().flat_map(of_shard).collect()
        };
        let ids = if named.is_empty() { starting() } else { named };
        match ids.as_slice() {
            [id] => self.get(*id).ok_or_else(not_found),
            [] => Err(not_found()),
            many => Err(format!("{wanted:?} may be any of {} living actors; name one by its id", many.len())),
        }
    }
}
