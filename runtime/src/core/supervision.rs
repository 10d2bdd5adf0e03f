//! What an actor does with its children: the mechanics that a plugin asks for through the service `theater.children`.
//!
//! What a death means is the plugin's to say; who is whose child and who still lives is in [`crate::actor::child_table`].

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::actor::child_table::ChildStatus;
use crate::actor::children::child;
use crate::actor::{ActorHandle, ActorSpec, End, TO_RESTART};
use crate::core::Core;
use crate::manifest::Under;
use crate::manifest::{Manifest, Values};
use crate::support::error::{ComponentProblem, Error, chain_of};
use crate::support::executor;
use crate::support::files::{self, Grants, MAX_COMPONENT, MAX_MANIFEST};
use serde_json::Value as Json;

/// How long a child that is about to end is waited for.
const ENDING: Duration = Duration::from_secs(1);

/// What a manifest given as text is called in messages.
const INLINE: &str = "<the manifest given>";

/// Starts a child: its id once it is ready.
///
/// # Errors
/// The chain of causes.
pub async fn spawn(
    core: &Arc<Core>,
    parent: &Arc<ActorHandle>,
    config: &Json,
    manifest: String,
    state: Option<Vec<u8>>,
) -> Result<String, String> {
    let origin = origin(core, parent, grants(core, parent, config), manifest, state).await?;
    let child = core.begin(Some(parent), origin).await.map_err(|error| chain_of(&error))?;
    Ok(child.id_text().to_owned())
}

/// Starts the ended child of that manifest's name again: its id once it is ready.
///
/// # Errors
/// There is none, or the chain of causes.
pub async fn resume(
    core: &Arc<Core>,
    parent: &Arc<ActorHandle>,
    config: &Json,
    manifest: String,
    state: Option<Vec<u8>>,
) -> Result<String, String> {
    let mut origin = origin(core, parent, grants(core, parent, config), manifest, state.clone()).await?;
    let none = || format!("no child of the name {:?} has ended", origin.manifest.name);
    // Its caller may know of a failed call before its end is recorded. What waits for the parent ends later.
    if let Some(ending) = parent.family().ending(&origin.manifest.name) {
        executor::timeout(ENDING, ending.wait()).await;
    }
    let before = parent.family().last_ended(&origin.manifest.name).ok_or_else(none)?;
    // Its last call may still be on its way out.
    before.wait().await;
    // Whoever claims it first decides; what its parent's strategy says of it then comes too late.
    let Claimed::Next(before, name) = claimed(parent, &before, |_| true) else { return Err(none()) };
    if state.is_none() {
        origin.state = before.state();
    }
    // Nobody waits for what has ended: the wait closes no cycle.
    let _waiting = parent.services().waits.hold(parent.id(), before.id(), "resume");
    begin_again(core, &before, name, origin, true).await?;
    Ok(before.id_text().to_owned())
}

async fn begin_again(
    core: &Arc<Core>,
    before: &Arc<ActorHandle>,
    name: String,
    origin: ActorSpec,
    quiet: bool,
) -> Result<(), String> {
    let begun = core.begin_again(before, name, origin, quiet).await;
    begun.map_err(|error| chain_of(&error))
}

/// What the children of an actor may name of the host's files, as the config of the handler says that starts them: lists of
/// folders `paths` (default: the folder of the actor's own manifest) and `state_paths` (default: none), and
/// `max_component_bytes`.
#[must_use]
pub fn grants(core: &Core, parent: &ActorHandle, config: &Json) -> Grants {
    let list = |key: &str| -> Option<Vec<PathBuf>> {
        let folders = config.get(key)?.as_array()?.iter().filter_map(Json::as_str);
        Some(folders.map(PathBuf::from).collect())
    };
    let own = || {
        let folder = &parent.manifest().folder;
        vec![folder.canonicalize().unwrap_or_else(|_| folder.clone())]
    };
    Grants {
        paths: list("paths").unwrap_or_else(own),
        state_paths: list("state_paths").unwrap_or_default(),
        max_component: config.get("max_component_bytes").and_then(Json::as_u64).unwrap_or(MAX_COMPONENT),
        closed: core.closed_folders(),
        account: Arc::clone(parent.account()),
    }
}

/// What a child is started from. On a task of its own: whoever asks polls as a plugin, whose polls are to be short.
async fn origin(
    core: &Arc<Core>,
    parent: &Arc<ActorHandle>,
    grants: Grants,
    manifest: String,
    state: Option<Vec<u8>>,
) -> Result<ActorSpec, String> {
    let (core, parent) = (Arc::clone(core), Arc::clone(parent));
    let work = async move {
        let under = Under {
            parent: parent.id_text(),
            ceilings: &parent.origin().below,
            limits: parent.limits().for_children(),
            files: Some(&grants),
        };
        let (manifest, is_file) = read(&core, &parent, &manifest, under).await?;
        let origin = core.origin(&manifest, under, state).await;
        let told = |error| without_folders(&core, &parent, told(&manifest.path.display().to_string(), &error, is_file));
        origin.map_err(told)
    };
    executor::spawn(work).await
}

/// A sentence without the operator's folders: an actor is told of files as it named them.
fn without_folders(core: &Arc<Core>, parent: &ActorHandle, sentence: String) -> String {
    let own = format!("{}/", parent.manifest().folder.display());
    let named = [(own, ""), (core.data().display().to_string(), "the data folder")];
    let plugins = (core.plugins().folder().display().to_string(), "the plugin folder");
    let replaced = |text: String, (folder, with): (String, &str)| text.replace(&folder, with);
    named.into_iter().chain([plugins]).filter(|(folder, _)| folder.len() > 2).fold(sentence, replaced)
}

/// A manifest that an actor supplies, and whether it is a file: TOML when it has a newline or `=`, a URL when it has a scheme,
/// else a path.
async fn read(
    core: &Arc<Core>,
    parent: &ActorHandle,
    manifest: &str,
    under: Under<'_>,
) -> Result<(Manifest, bool), String> {
    let (values, folder) = (Values::new(), &parent.manifest().folder);
    let parse = |path: &Path, folder: &Path, text: &str| Manifest::parse(path, folder, text, &values);
    if manifest.contains(['\n', '=']) {
        let parsed = parse(Path::new(INLINE), folder, manifest);
        return parsed.map(|parsed| (parsed, false)).map_err(|error| chain_of(&error));
    }
    if let Some((scheme, _)) = manifest.split_once("://") {
        let resolved = core.resolve(scheme, manifest, under).await;
        let bytes = resolved.map_err(|sentence| without_folders(core, parent, sentence))?;
        let text = String::from_utf8(bytes).map_err(|_| format!("{manifest}: a manifest is UTF-8 text"))?;
        let parsed = parse(Path::new(manifest), folder, &text);
        return parsed.map(|parsed| (parsed, false)).map_err(|error| chain_of(&error));
    }
    let Some(grants) = under.files.cloned() else { return Err(NO_GRANTS.to_owned()) };
    let (folder, path) = (folder.clone(), PathBuf::from(manifest));
    let load = move || grants.read_regular(grants.open(&folder, &path)?, MAX_MANIFEST);
    let bytes = match files::off_executor(load).await {
        Some(loaded) => loaded.map_err(|refused| chain_of(&refused.error(manifest, "paths")))?,
        None => return Err(format!("{manifest:?}: {}", files::TOO_SLOW)),
    };
    let path = parent.manifest().folder.join(manifest);
    let folder = path.parent().map_or_else(PathBuf::new, Path::to_owned);
    let parsed = match String::from_utf8(bytes) {
        Ok(text) => parse(&path, &folder, &text).map_err(|error| told(manifest, &error, true)),
        Err(_) => Err(format!("{manifest:?}: a manifest is UTF-8 text")),
    };
    parsed.map(|parsed| (parsed, true))
}

const NO_GRANTS: &str = "this actor may name no files";

/// An error as an actor is told it. What stands in files is not quoted: the actor may not be allowed to read them.
fn told(manifest: &str, error: &Error, is_file: bool) -> String {
    match error {
        Error::Manifest { .. } if is_file => {
            format!("{manifest:?} is not valid as a manifest ({}); `theater validate` says why", error.code())
        }
        Error::Component { path, what: ComponentProblem::NotWasm(_) | ComponentProblem::Refused(_) } => {
            let path = path.display().to_string();
            format!("{path:?} is not a WebAssembly component that this engine takes; `theater inspect` says why")
        }
        _ => chain_of(error),
    }
}

/// Starts a living or held child again as it was first started; what waits for it stays. With `only_held` a living one is
/// left alone.
///
/// # Errors
/// It is no such child, or the chain of causes of the failed start: then it is held again and its death is told.
pub async fn restart(core: &Arc<Core>, parent: &Arc<ActorHandle>, wanted: &str, only_held: bool) -> Result<(), String> {
    let (living, standing) = child(parent, wanted)?;
    if standing == ChildStatus::Living && only_held {
        return Ok(());
    }
    if standing == ChildStatus::Living {
        living.stop(TO_RESTART, Duration::from_millis(living.limits().stop_grace_ms)).await;
    }
    // A held one may still be on its way out.
    living.wait().await;
    let is_meant = |ended: &ActorHandle| !only_held && ended.end().is_some_and(End::is_own);
    let (before, name) = match claimed(parent, &living, is_meant) {
        Claimed::Next(before, name) => (before, name),
        Claimed::Lives => return Ok(()),
        Claimed::Gone => {
            let (name, id) = (living.name(), living.short_id());
            return Err(format!("child {name:?} ({id}) has ended; `resume` starts it again"));
        }
    };
    let origin = before.origin().clone();
    // What a strategy starts again, the parent itself does not wait for.
    let _waiting = (!only_held).then(|| parent.services().waits.hold(parent.id(), before.id(), "restart-child"));
    begin_again(core, &before, name, origin, false).await
}

/// What there is of a child whose life has ended.
enum Claimed {
    /// The life before, and the name of the next one.
    Next(Arc<ActorHandle>, String),
    /// It was started again meanwhile.
    Lives,
    /// It was let go, and is not meant.
    Gone,
}

/// Takes a child that is held, or one that was let go and is meant, to start it again.
fn claimed(parent: &ActorHandle, child: &ActorHandle, is_meant: impl FnOnce(&ActorHandle) -> bool) -> Claimed {
    let family = parent.family();
    let _whole = family.nobody_leaves();
    if let Some(held) = family.claim(child.id()) {
        let name = held.name().to_owned();
        return Claimed::Next(held, name);
    }
    match family.get(child.id()) {
        // The strategy was faster than the parent's own handler, and let it go.
        Some((ended, ChildStatus::Ended)) if is_meant(&ended) => {
            let name = family.names.take(&ended.manifest().name);
            Claimed::Next(ended, name)
        }
        Some((_, ChildStatus::Living)) => Claimed::Lives,
        _ => Claimed::Gone,
    }
}
