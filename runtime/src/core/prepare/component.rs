//! The component of an actor: where its bytes come from, and for which engine it is compiled.
//!
//! A component is an object of the data folder (for a resumed actor), a URL or a file. A file or URL that an actor
//! names is read within the actor's grants, is compiled when its tree has its turn, and is charged to its account. The
//! bytes of a URL are checked against the digest of the manifest before they are compiled.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::actor::ActorHandle;
use crate::core::Core;
use crate::core::prepared::prepared_of;
use crate::manifest::{Manifest, Under};
use crate::support::error::{ActorProblem, ComponentProblem, Error};
use crate::support::files::{self, Grants, MAX_COMPONENT, Regular};
use crate::wasm::component::{CompileFor, Component, digest_of};
use crate::wasm::engine::{POOLED_MEMORY, POOLED_TABLE};
use crate::wasm::linker::Linked;
use crate::wasm::turns::Turn;

/// A component file, as far as it had to be read.
enum Loaded {
    /// It was compiled before and has not changed.
    Known(Arc<Component>),
    /// It was not, and is not read yet.
    Unread,
    /// Its stamp and its bytes.
    Read(files::Stamp, Vec<u8>),
}

/// Why a component file was not read.
enum NotLoaded {
    /// The system's reason.
    Unreadable(String),
    /// An actor named it.
    Refused(Error),
}

impl Core {
    /// Returns the component compiled for the pooled engine, when that engine accepts it and the manifest's limits fit
    /// a pool slot; else compiled for the engine that instantiates on demand. The flag is whether it is pooled.
    pub(super) async fn component_and_engine(
        self: &Arc<Self>,
        manifest: &Manifest,
        under: Under<'_>,
    ) -> Result<(Arc<Component>, bool), Error> {
        let limits = &manifest.limits;
        if limits.memory_bytes <= POOLED_MEMORY && limits.table_elements <= POOLED_TABLE {
            match self.component(manifest, true, under).await {
                Ok(component) => return Ok((component, true)),
                // The pool has limits that the on-demand engine does not have.
                Err(Error::Component {
                    what: ComponentProblem::Refused(why) | ComponentProblem::NotWasm(why),
                    path,
                }) => {
                    tracing::debug!("{}: not from the instance pool: {why}", path.display());
                }
                Err(error) => return Err(error),
            }
        }
        self.component(manifest, false, under).await.map(|component| (component, false))
    }

    /// Returns the compiled component of a manifest for one of the two engines.
    pub(super) async fn component(
        self: &Arc<Self>,
        manifest: &Manifest,
        pooled: bool,
        under: Under<'_>,
    ) -> Result<Arc<Component>, Error> {
        let component = match manifest.component.split_once("://") {
            _ if let Some(digest) = &manifest.kept => self.recorded_component(manifest, digest, pooled).await?,
            Some((scheme, _)) => self.component_of_url(manifest, scheme, pooled, under).await?,
            None => self.component_of_file(manifest, pooled, under).await?,
        };
        match &manifest.sha256 {
            Some(expected) if *expected != component.digest => {
                let what = ComponentProblem::Digest { found: component.digest.clone(), expected: expected.clone() };
                Err(Error::Component { path: manifest.component_path(), what })
            }
            _ => Ok(component),
        }
    }

    /// Compiles the component that the chain of a resumed actor names.
    async fn recorded_component(
        self: &Arc<Self>,
        manifest: &Manifest,
        digest: &str,
        pooled: bool,
    ) -> Result<Arc<Component>, Error> {
        if let Some(known) = self.components.known(pooled, digest) {
            return Ok(known);
        }
        let bytes = self.objects.get(digest).map_err(|error| unreadable(manifest, error.to_string()))?;
        let path = manifest.component_path();
        self.components.compile((self.engine(pooled), pooled), &path, bytes, CompileFor::Operator).await
    }

    /// Resolves a URL, checks the digest, and compiles the component.
    async fn component_of_url(
        self: &Arc<Self>,
        manifest: &Manifest,
        scheme: &str,
        pooled: bool,
        under: Under<'_>,
    ) -> Result<Arc<Component>, Error> {
        let path = PathBuf::from(&manifest.component);
        let resolved = self.resolve(scheme, &manifest.component, under).await;
        let bytes = resolved.map_err(|reason| unreadable(manifest, reason))?;
        // Checked before compiling: the compiler never sees bytes that the manifest does not vouch for.
        let found = digest_of(&bytes);
        let refuse = |what| Err(Error::Component { path: path.clone(), what });
        match &manifest.sha256 {
            None if scheme == "https" => return refuse(ComponentProblem::NoDigest { found }),
            Some(expected) if *expected != found => {
                return refuse(ComponentProblem::Digest { found, expected: expected.clone() });
            }
            _ => {}
        }
        let compile_for = self.compile_for(under).await;
        let component = self.components.compile((self.engine(pooled), pooled), &path, bytes, compile_for).await?;
        self.charge_compiled(manifest, &component, under)?;
        Ok(component)
    }

    /// Reads and compiles a component file, or returns what it was compiled to when it has not changed.
    async fn component_of_file(
        self: &Arc<Self>,
        manifest: &Manifest,
        pooled: bool,
        under: Under<'_>,
    ) -> Result<Arc<Component>, Error> {
        let path = manifest.component_path();
        let not_loaded = |what| match what {
            NotLoaded::Unreadable(reason) => unreadable(manifest, format!("{}: {reason}", path.display())),
            NotLoaded::Refused(error) => error,
        };
        let known = self.component_file(manifest, pooled, &path, under, false).await.map_err(not_loaded)?;
        if let Loaded::Known(component) = known {
            return Ok(component);
        }
        // The file is read only when its turn to compile has come, so that a waiter holds no memory.
        let compile_for = self.compile_for(under).await;
        let loaded = self.component_file(manifest, pooled, &path, under, true).await.map_err(not_loaded)?;
        let (stamp, bytes) = match loaded {
            Loaded::Known(component) => return Ok(component),
            Loaded::Unread => return Err(unreadable(manifest, files::TOO_SLOW.to_owned())),
            Loaded::Read(stamp, bytes) => (stamp, bytes),
        };
        let component = self.components.compile((self.engine(pooled), pooled), &path, bytes, compile_for).await?;
        self.charge_compiled(manifest, &component, under)?;
        self.components.remember(pooled, &path, stamp, &component);
        Ok(component)
    }

    fn engine(&self, pooled: bool) -> &wasmtime::Engine {
        if pooled { &self.engines.pooled } else { &self.engines.on_demand }
    }

    /// Charges a component that was compiled for an actor to the account of that actor. Components that no actor uses
    /// are dropped when the charge exceeds a limit.
    fn charge_compiled(&self, manifest: &Manifest, component: &Component, under: Under<'_>) -> Result<(), Error> {
        let Some(Grants { account, .. }) = under.files else { return Ok(()) };
        let charged = component.charge_to(account).or_else(|_| {
            self.drop_unused();
            component.charge_to(account)
        });
        charged.map_err(|exceeded| Error::Actor {
            name: manifest.name.clone(),
            what: ActorProblem::OverBudget(format!("its compiled component: {exceeded}")),
        })
    }

    /// Returns for whom a component is compiled. For an actor this waits for the turn of its tree.
    async fn compile_for(&self, under: Under<'_>) -> CompileFor {
        match under.files {
            Some(grants) => CompileFor::Actor(Turn::wait(&self.compilations, grants.account.tree_number()).await),
            None => CompileFor::Operator,
        }
    }

    /// Reads a component file when `read` is set, or returns what it was compiled to when its stamp has not changed. An
    /// unchanged file of the operator costs one `stat`; everything else runs on a blocking thread.
    async fn component_file(
        self: &Arc<Self>,
        manifest: &Manifest,
        pooled: bool,
        path: &Path,
        under: Under<'_>,
        read: bool,
    ) -> Result<Loaded, NotLoaded> {
        if under.files.is_none()
            && let Ok(stamp) = files::stamp_of(path)
            && let Some(component) = self.components.of_file(pooled, path, stamp)
        {
            return Ok(Loaded::Known(component));
        }
        let (grants, components, path) = (under.files.cloned(), Arc::clone(&self.components), path.to_owned());
        let (folder, named) = (manifest.folder.clone(), manifest.component.clone());
        let load = move || {
            let refused = |refused: files::Refused| NotLoaded::Refused(refused.error(&named, "paths"));
            let unreadable = |error: std::io::Error| NotLoaded::Unreadable(error.to_string());
            let file = match &grants {
                Some(grants) => grants.open(&folder, Path::new(&named)).map_err(refused)?,
                None => Regular::open(&path).map_err(unreadable)?,
            };
            let stamp = file.stamp;
            if let Some(component) = components.of_file(pooled, &path, stamp) {
                return Ok(Loaded::Known(component));
            }
            if !read {
                return Ok(Loaded::Unread);
            }
            let bytes = match &grants {
                Some(grants) => grants.read_regular(file, grants.max_component).map_err(refused)?,
                None => file.read(MAX_COMPONENT).map_err(unreadable)?,
            };
            Ok(Loaded::Read(stamp, bytes))
        };
        let loaded = files::off_executor(load).await;
        loaded.unwrap_or_else(|| Err(NotLoaded::Unreadable(files::TOO_SLOW.to_owned())))
    }

    /// Returns the actor's component linked for the engine that instantiates on demand, compiled when first needed.
    pub(crate) async fn linked_on_demand(self: &Arc<Self>, actor: &ActorHandle) -> Result<Arc<Linked>, Error> {
        let prepared = prepared_of(actor.origin());
        let (engine, own) = (&self.engines.on_demand, &prepared.linked.component);
        let component = match self.components.known(false, &own.digest) {
            Some(known) => known,
            None => {
                let bytes = own.bytes.clone();
                self.components.compile((engine, false), &own.path, bytes, CompileFor::Operator).await?
            }
        };
        let plugins: Vec<_> = prepared.handlers.iter().map(|handler| Arc::clone(&handler.plugin)).collect();
        self.links.get(engine, false, &component, &plugins)
    }
}

/// The error of a component that cannot be read, at the manifest line that names the component.
fn unreadable(manifest: &Manifest, reason: String) -> Error {
    let key = ["component_path", "component"].into_iter().find(|key| manifest.place(key).line.is_some());
    let place = key.map(|key| manifest.place(key));
    Error::ComponentRead { place, url: manifest.component.clone(), reason }
}
