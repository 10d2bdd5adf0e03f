//! What an actor does with its children without starting one.

use std::sync::Arc;
use std::time::Duration;

use theater_plugin_api::host::ChainEvent;

use crate::actor::child_table::ChildStatus;
use crate::actor::{ActorHandle, BY_PARENT};
use crate::support::error::chain_of;

/// The child that an id, or the name of a living child, stands for.
pub(crate) fn child(parent: &Arc<ActorHandle>, wanted: &str) -> Result<(Arc<ActorHandle>, ChildStatus), String> {
    let family = parent.family();
    let by_id = uuid::Uuid::try_parse(wanted).ok().and_then(|id| family.get(id.into_bytes()));
    let by_name = || family.living().into_iter().find(|child| child.name() == wanted).and_then(|c| family.get(c.id()));
    by_id.or_else(by_name).ok_or_else(|| format!("{wanted:?} is no child of actor {:?}", parent.name()))
}

/// Stops a child and everything below it; nothing when it has ended.
///
/// # Errors
/// It is no child.
pub async fn stop(parent: &Arc<ActorHandle>, wanted: &str) -> Result<(), String> {
    let (child, standing) = child(parent, wanted)?;
    match standing {
        ChildStatus::Living => child.stop(BY_PARENT, Duration::from_millis(child.limits().stop_grace_ms)).await,
        ChildStatus::Held => release(parent, child.id_text())?,
        ChildStatus::Ended => {}
    }
    Ok(())
}

/// Lets a held child go; nothing when it is not held.
///
/// # Errors
/// It is no child.
pub fn release(parent: &Arc<ActorHandle>, wanted: &str) -> Result<(), String> {
    let (child, _) = child(parent, wanted)?;
    let _whole = parent.family().nobody_leaves();
    if let Some(held) = parent.family().let_go(child.id()) {
        held.let_go();
    }
    Ok(())
}

/// A child, or a child of one, and so on; ended ones too, as long as their parent knows them.
///
/// # Errors
/// It is none.
pub fn descendant(ancestor: &Arc<ActorHandle>, wanted: &str) -> Result<Arc<ActorHandle>, String> {
    let mut open = ancestor.family().all();
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
/// It is none, or its chain cannot be read.
pub async fn events(ancestor: &Arc<ActorHandle>, wanted: &str) -> Result<Vec<ChainEvent>, String> {
    let actor = descendant(ancestor, wanted)?;
    actor.events(u64::MAX, ancestor.limits().value_bytes).await.map_err(|error| chain_of(&error))
}
