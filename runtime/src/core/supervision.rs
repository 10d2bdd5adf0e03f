//! Starts, resumes and restarts children. Plugins use this through the service `theater.children`.
//!
//! Mechanics only: the plugin decides what a death means. The parents, children and their status are in
//! [`crate::actor::child_table`].

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value as Json;

use crate::actor::child_table::ChildStatus;
use crate::actor::children::child;
use crate::actor::{ActorHandle, ActorSpec, End, TO_RESTART};
use crate::core::Core;
use crate::manifest::{Manifest, Under, Values};
use crate::support::error::{ComponentProblem, Error, chain_of};
use crate::support::executor;
use crate::support::files::{self, Grants, MAX_COMPONENT, MAX_MANIFEST};

/// How long a resume waits for a child that is about to end.
const ENDING_WAIT: Duration = Duration::from_secs(1);

/// The name of an inline manifest in messages.
const INLINE: &str = "<the manifest given>";

/// Starts a child and returns its id when it is ready.
///
/// # Errors
/// The chain of causes, as text.
pub async fn spawn(
    core: &Arc<Core>,
    parent: &Arc<ActorHandle>,
    config: &Json,
    manifest: String,
    state: Option<Vec<u8>>,
) -> Result<String, String> {
    let spec = child_spec(core, parent, grants(core, parent, config), manifest, state).await?;
    let child = core.start_new(Some(parent), spec).await.map_err(|error| chain_of(&error))?;
    Ok(child.id_text().to_owned())
}

/// Starts the ended child with the manifest's name again. Returns its id when it is ready. Its state is `state`, or its
/// last one.
///
/// # Errors
/// No child of that name has ended, or the chain of causes.
pub async fn resume(
    core: &Arc<Core>,
    parent: &Arc<ActorHandle>,
    config: &Json,
    manifest: String,
    state: Option<Vec<u8>>,
) -> Result<String, String> {
    let mut spec = child_spec(core, parent, grants(core, parent, config), manifest, state.clone()).await?;
    let none = || format!("no child of the name {:?} has ended", spec.manifest.name);
    // The caller may receive the failure before the end of the child is recorded. The timeout is for a child that waits
    // for this parent: it ends later.
    if let Some(ending) = parent.child_table().ending(&spec.manifest.name) {
        executor::timeout(ENDING_WAIT, ending.wait()).await;
    }
    let before = parent.child_table().last_ended(&spec.manifest.name).ok_or_else(none)?;
    // Its task may still be ending.
    before.wait().await;
    // The first to claim the child decides; a decision of the parent's strategy after that has no effect.
    let Claimed::Next(before, name) = claim(parent, &before, |_| true) else { return Err(none()) };
    if state.is_none() {
        spec.state = before.state();
    }
    // No actor waits for one that has ended, so this wait closes no cycle.
    let _waiting = parent.services().waits.hold(parent.id(), before.id(), "resume");
    start_again(core, &before, name, spec, true).await?;
    Ok(before.id_text().to_owned())
}

async fn start_again(
    core: &Arc<Core>,
    before: &Arc<ActorHandle>,
    name: String,
    spec: ActorSpec,
    quiet: bool,
) -> Result<(), String> {
    let started = core.start_again(before, name, spec, quiet).await;
    started.map_err(|error| chain_of(&error))
}

/// Returns which files of the host the children of an actor may name, from the config of the handler that starts them:
/// the folders `paths` (default: the folder of the actor's own manifest) and `state_paths` (default: none), and
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

/// Returns what a child is started from. Runs on a separate task: the caller is polled as a plugin, and such polls must
/// be short.
async fn child_spec(
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
        let spec = core.actor_spec(&manifest, under, state).await;
        let for_actor = |error| {
            redact_folders(&core, &parent, error_for_actor(&manifest.path.display().to_string(), &error, is_file))
        };
        spec.map_err(for_actor)
    };
    executor::spawn(work).await
}

/// Removes the operator's folders from a message: an actor sees files as it named them.
fn redact_folders(core: &Arc<Core>, parent: &ActorHandle, sentence: String) -> String {
    let own = format!("{}/", parent.manifest().folder.display());
    let named = [(own, ""), (core.data().display().to_string(), "the data folder")];
    let plugins = (core.plugins().folder().display().to_string(), "the plugin folder");
    let replaced = |text: String, (folder, with): (String, &str)| text.replace(&folder, with);
    named.into_iter().chain([plugins]).filter(|(folder, _)| folder.len() > 2).fold(sentence, replaced)
}

/// Reads a manifest that an actor supplies: inline TOML when it has a newline or `=`, a URL when it has a scheme, else
/// a path. Returns also whether it is a file.
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
        let bytes = resolved.map_err(|sentence| redact_folders(core, parent, sentence))?;
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
        Ok(text) => parse(&path, &folder, &text).map_err(|error| error_for_actor(manifest, &error, true)),
        Err(_) => Err(format!("{manifest:?}: a manifest is UTF-8 text")),
    };
    parsed.map(|parsed| (parsed, true))
}

const NO_GRANTS: &str = "this actor may name no files";

/// Returns the message of an error for an actor. The content of files is not quoted: the actor may not be allowed to
/// read them.
fn error_for_actor(manifest: &str, error: &Error, is_file: bool) -> String {
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

/// Starts a running or held child again as it was first started. Its queued calls stay. With `only_held` a running
/// child is left alone.
///
/// # Errors
/// There is no such child, or the chain of causes of the failed start. In the latter case the child is held again, and
/// its parent is notified.
pub async fn restart(core: &Arc<Core>, parent: &Arc<ActorHandle>, wanted: &str, only_held: bool) -> Result<(), String> {
    let (living, status) = child(parent, wanted)?;
    if status == ChildStatus::Living && only_held {
        return Ok(());
    }
    if status == ChildStatus::Living {
        living.stop(TO_RESTART, Duration::from_millis(living.limits().stop_grace_ms)).await;
    }
    // The task of a held child may still be ending.
    living.wait().await;
    let is_wanted = |ended: &ActorHandle| !only_held && ended.end().is_some_and(End::is_own);
    let (before, name) = match claim(parent, &living, is_wanted) {
        Claimed::Next(before, name) => (before, name),
        Claimed::Lives => return Ok(()),
        Claimed::Gone => {
            let (name, id) = (living.name(), living.short_id());
            return Err(format!("child {name:?} ({id}) has ended; `resume` starts it again"));
        }
    };
    let spec = before.origin().clone();
    // A restart by the strategy does not make the parent itself wait.
    let _waiting = (!only_held).then(|| parent.services().waits.hold(parent.id(), before.id(), "restart-child"));
    start_again(core, &before, name, spec, false).await
}

/// The result of claiming an ended child.
enum Claimed {
    /// The ended run, and the name for the next one.
    Next(Arc<ActorHandle>, String),
    /// The child was started again meanwhile.
    Lives,
    /// The child was released, and the caller does not want a released one.
    Gone,
}

/// Claims a held child, or a released one that `is_wanted` accepts, for a restart. Only one caller gets it.
fn claim(parent: &ActorHandle, child: &ActorHandle, is_wanted: impl FnOnce(&ActorHandle) -> bool) -> Claimed {
    let table = parent.child_table();
    let _whole = table.lock_releases();
    if let Some(held) = table.claim(child.id()) {
        let name = held.name().to_owned();
        return Claimed::Next(held, name);
    }
    match table.get(child.id()) {
        // The strategy released the child before this request.
        Some((ended, ChildStatus::Ended)) if is_wanted(&ended) => {
            let name = table.names.take(&ended.manifest().name);
            Claimed::Next(ended, name)
        }
        Some((_, ChildStatus::Living)) => Claimed::Lives,
        _ => Claimed::Gone,
    }
}
