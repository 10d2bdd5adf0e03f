//! What an actor does with its children: the mechanics that a plugin asks for through the service `theater.children`.
//!
//! What a death means is the plugin's to say; who is whose child and who still lives is in [`crate::family`].

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use theater_plugin_api::host::ChainEvent;

use crate::actor::{BY_PARENT, Origin, Shared, TO_RESTART};
use crate::core::Under;
use crate::error::chain_of;
use crate::family::Standing;
use crate::manifest::{InitState, Manifest, Values};

/// What a manifest given as text is called in messages.
const INLINE: &str = "<the manifest given>";

/// Starts a child: its id once it is ready.
///
/// # Errors
/// The chain of causes.
pub async fn spawn(parent: &Arc<Shared>, manifest: &str, state: Option<Vec<u8>>) -> Result<String, String> {
    let origin = origin(parent, manifest, state).await?;
    let core = parent.core();
    let child = core.begin(Some(parent), origin).await.map_err(|error| chain_of(&error))?;
    Ok(child.id_text().to_owned())
}

/// Starts the ended child of that manifest's name again: its id once it is ready.
///
/// # Errors
/// There is none, or the chain of causes.
pub async fn resume(parent: &Arc<Shared>, manifest: &str, state: Option<Vec<u8>>) -> Result<String, String> {
    let mut origin = origin(parent, manifest, state.clone()).await?;
    let name = &origin.manifest.name;
    let family = parent.family();
    let before = family.last_ended(name).ok_or_else(|| format!("no child of the name {name:?} has ended"))?;
    if state.is_none() {
        origin.state = before.state();
    }
    let name = family.names.take(name);
    // Nobody waits for what has ended: the wait closes no cycle.
    let _waiting = parent.core().waits.hold(parent.id(), before.id(), "resume");
    let begun = parent.core().begin_again(&before, name, origin, true).await;
    begun.map_err(|error| chain_of(&error))?;
    Ok(before.id_text().to_owned())
}

async fn origin(parent: &Arc<Shared>, manifest: &str, state: Option<Vec<u8>>) -> Result<Origin, String> {
    let folder = &parent.manifest().folder;
    let under = Under { parent: parent.id_text(), ceilings: &parent.origin().prepared.below };
    let manifest = read(parent, manifest, folder, under).await?;
    parent.core().origin(&manifest, under, state).await.map_err(|error| chain_of(&error))
}

/// TOML when it has a newline or `=`, a URL when it has a scheme, else a path.
async fn read(parent: &Arc<Shared>, manifest: &str, folder: &Path, under: Under<'_>) -> Result<Manifest, String> {
    let values = Values::new();
    if manifest.contains(['\n', '=']) {
        return confined(
            Manifest::parse(Path::new(INLINE), folder, manifest, &values).map_err(|error| chain_of(&error))?,
        );
    }
    if let Some((scheme, _)) = manifest.split_once("://") {
        let bytes = parent.core().resolve(scheme, manifest, under).await?;
        let text = String::from_utf8(bytes).map_err(|_| format!("{manifest}: a manifest is UTF-8 text"))?;
        let parsed = Manifest::parse(&PathBuf::from(manifest), folder, &text, &values);
        return confined(parsed.map_err(|error| chain_of(&error))?);
    }
    Manifest::read(&folder.join(manifest), &values).map_err(|error| chain_of(&error))
}

/// A manifest that an actor may have written itself: its child's first state is no file that the actor could not read.
fn confined(manifest: Manifest) -> Result<Manifest, String> {
    let inside =
        |path: &str| Path::new(path).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    match &manifest.init_state {
        Some(InitState::Path(path)) if !inside(path) => Err(format!(
            "init_state = {path:?} is outside the folder of the parent's manifest; pass the state to spawn, or write it as \
             init_state = {{ json = .. }}"
        )),
        _ => Ok(manifest),
    }
}

/// The child that an id, or the name of a living child, stands for.
fn child(parent: &Arc<Shared>, wanted: &str) -> Result<(Arc<Shared>, Standing), String> {
    let family = parent.family();
    let by_id = uuid::Uuid::try_parse(wanted).ok().and_then(|id| family.get(id.into_bytes()));
    let by_name = || family.living().into_iter().find(|child| child.name() == wanted).and_then(|c| family.get(c.id()));
    by_id.or_else(by_name).ok_or_else(|| format!("{wanted:?} is no child of actor {:?}", parent.name()))
}

/// Starts a living or held child again as it was first started; what waits for it stays. With `only_held` a living one is
/// left alone.
///
/// # Errors
/// It is no such child, or the chain of causes of the failed start: then it is held again and its death is told.
pub async fn restart(parent: &Arc<Shared>, wanted: &str, only_held: bool) -> Result<(), String> {
    let (living, standing) = child(parent, wanted)?;
    if standing == Standing::Living && only_held {
        return Ok(());
    }
    if standing == Standing::Living {
        living.stop(TO_RESTART, Duration::from_millis(living.limits().stop_grace_ms)).await;
    }
    // A held one may still be on its way out.
    living.wait().await;
    let ended = || format!("child {:?} ({}) has ended; `resume` starts it again", living.name(), living.short_id());
    let before = parent.family().claim(living.id()).ok_or_else(ended)?;
    let begun = parent.core().begin_again(&before, before.name().to_owned(), before.origin().clone(), false).await;
    begun.map_err(|error| chain_of(&error))
}

/// Stops a child and everything below it; nothing when it has ended.
///
/// # Errors
/// It is no child.
pub async fn stop(parent: &Arc<Shared>, wanted: &str) -> Result<(), String> {
    let (child, standing) = child(parent, wanted)?;
    match standing {
        Standing::Living => child.stop(BY_PARENT, Duration::from_millis(child.limits().stop_grace_ms)).await,
        Standing::Held => release(parent, child.id_text())?,
        Standing::Ended => {}
    }
    Ok(())
}

/// Lets a held child go; nothing when it is not held.
///
/// # Errors
/// It is no child.
pub fn release(parent: &Arc<Shared>, wanted: &str) -> Result<(), String> {
    let (child, _) = child(parent, wanted)?;
    if let Some(held) = parent.family().let_go(child.id()) {
        held.let_go();
    }
    Ok(())
}

/// A child, or a child of one, and so on; ended ones too, as long as their parent knows them.
///
/// # Errors
/// It is none.
pub fn descendant(ancestor: &Arc<Shared>, wanted: &str) -> Result<Arc<Shared>, String> {
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
pub async fn events(ancestor: &Arc<Shared>, wanted: &str) -> Result<Vec<ChainEvent>, String> {
    let actor = descendant(ancestor, wanted)?;
    actor.events(u64::MAX, ancestor.limits().value_bytes).await.map_err(|error| chain_of(&error))
}
