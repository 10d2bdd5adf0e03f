//! What a parent does with its children, except starting them.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use theater_plugin_api::host::ChainEvent;

use crate::actor::child_table::{Child, ChildStatus};
use crate::actor::end::BY_PARENT;
use crate::actor::handle::ActorHandle;
use crate::manifest::Limits;
use crate::support::error::chain_of;
use crate::support::executor;

/// Finds a child by its id, or a living one by its name.
pub(crate) fn child(parent: &Arc<ActorHandle>, wanted: &str) -> Result<(Arc<ActorHandle>, ChildStatus), String> {
    let table = parent.child_table();
    let by_id = uuid::Uuid::try_parse(wanted).ok().and_then(|id| table.get(id.into_bytes()));
    let by_name = || table.living().into_iter().find(|child| child.name() == wanted).and_then(|c| table.get(c.id()));
    by_id.or_else(by_name).ok_or_else(|| format!("{wanted:?} is no child of actor {:?}", parent.name()))
}

/// Stops a child and all its descendants. Does nothing if it has ended.
///
/// # Errors
/// There is no such child.
pub async fn stop(parent: &Arc<ActorHandle>, wanted: &str) -> Result<(), String> {
    let (child, status) = child(parent, wanted)?;
    match status {
        ChildStatus::Living => child.stop(BY_PARENT, Duration::from_millis(child.limits().stop_grace_ms)).await,
        ChildStatus::Held => release(parent, child.id_text())?,
        ChildStatus::Ended => {}
    }
    Ok(())
}

/// Releases a held child. Does nothing if it is not held.
///
/// # Errors
/// There is no such child.
pub fn release(parent: &Arc<ActorHandle>, wanted: &str) -> Result<(), String> {
    let (child, _) = child(parent, wanted)?;
    let _blocked = parent.child_table().lock_releases();
    if let Some(held) = parent.child_table().let_go(child.id()) {
        held.let_go();
    }
    Ok(())
}

/// Finds a descendant by its id or name. Ended ones are found as long as their parent's table knows them.
///
/// # Errors
/// There is no such descendant.
pub fn descendant(ancestor: &Arc<ActorHandle>, wanted: &str) -> Result<Arc<ActorHandle>, String> {
    let mut open = ancestor.child_table().all();
    while let Some(actor) = open.pop() {
        if actor.id_text() == wanted || actor.name() == wanted {
            return Ok(actor);
        }
        open.extend(actor.known_children());
    }
    Err(format!("{wanted:?} is no descendant of actor {:?}", ancestor.name()))
}

/// The newest events of a descendant that fit into one value of the ancestor, oldest first.
///
/// # Errors
/// There is no such descendant, or its chain cannot be read.
pub async fn events(ancestor: &Arc<ActorHandle>, wanted: &str) -> Result<Vec<ChainEvent>, String> {
    let actor = descendant(ancestor, wanted)?;
    actor.events(u64::MAX, ancestor.limits().value_bytes).await.map_err(|error| chain_of(&error))
}

impl Child for ActorHandle {
    fn manifest_name(&self) -> &str {
        &self.origin.manifest.name
    }

    fn parent(&self) -> Option<&Arc<Self>> {
        self.settings.parent.as_ref()
    }

    fn limits(&self) -> &Limits {
        &self.settings.limits
    }

    fn descendants(&self) -> &AtomicU64 {
        &self.below
    }

    fn is_ending(&self) -> bool {
        Self::is_ending(self)
    }

    fn evict(self: Arc<Self>) {
        self.services.journal.end_chain(self.settings.id);
        drop(executor::spawn(async move { self.lifecycle.forget(&self).await }));
    }
}
