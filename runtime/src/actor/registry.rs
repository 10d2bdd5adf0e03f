//! The living actors by id and by name: sharded, so that actors that look each other up do not meet in one lock.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::actor::ActorHandle;
use theater_chain::event::Id;

const SHARDS: usize = 32;
/// Shortest start of an id that stands for it.
const PREFIX: usize = 4;
/// Length of an id as text.
const WHOLE: usize = 36;

type Shard = RwLock<HashMap<Id, Arc<ActorHandle>>>;

/// All living actors, held ones (see [`crate::actor::child_table`]) among them.
#[derive(Default)]
pub struct Registry {
    shards: [Shard; SHARDS],
    names: RwLock<HashMap<String, Vec<Id>>>,
}

// The maps are whole at every point a panic could happen.
fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}
fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

impl Registry {
    fn shard(&self, id: Id) -> &Shard {
        let [first, rest @ ..] = &self.shards;
        // Every byte of a version 4 UUID but two is random.
        match usize::from(id[15]) % SHARDS {
            0 => first,
            number => rest.get(number - 1).unwrap_or(first),
        }
    }

    /// Adds an actor, or puts a new life of it in place of the old one.
    pub fn insert(&self, actor: &Arc<ActorHandle>) {
        let before = write(self.shard(actor.id())).insert(actor.id(), Arc::clone(actor));
        if before.is_none() {
            write(&self.names).entry(actor.name().to_owned()).or_default().push(actor.id());
        }
    }

    /// Takes an actor out.
    pub fn remove(&self, actor: &ActorHandle) {
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
    pub fn get(&self, id: Id) -> Option<Arc<ActorHandle>> {
        read(self.shard(id)).get(&id).cloned()
    }

    /// All of them, in no order.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<ActorHandle>> {
        self.shards.iter().flat_map(|shard| read(shard).values().cloned().collect::<Vec<_>>()).collect()
    }

    /// The actor that an id, a unique start of an id, or a name that one actor has stands for.
    ///
    /// # Errors
    /// A sentence when nobody, or more than one, is meant.
    pub fn find(&self, wanted: &str) -> Result<Arc<ActorHandle>, String> {
        let nobody = || format!("there is no living actor {wanted:?}");
        if let Ok(id) = uuid::Uuid::try_parse(wanted)
            && let Some(actor) = self.get(id.into_bytes())
        {
            return Ok(actor);
        }
        let named = read(&self.names).get(wanted).cloned().unwrap_or_default();
        let starting = || -> Vec<_> {
            // A whole id has been looked for.
            if !(PREFIX..WHOLE).contains(&wanted.len()) {
                return Vec::new();
            }
            let of_shard = |shard: &Shard| -> Vec<Id> {
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
            [id] => self.get(*id).ok_or_else(nobody),
            [] => Err(nobody()),
            many => Err(format!("{wanted:?} may be any of {} living actors; name one by its id", many.len())),
        }
    }
}
