//! Prepares an actor: plugins, permissions, component and types. Nothing here leaves a trace in the data folder.
//!
//! `handlers` finds and narrows the handlers, `component` reads and compiles the component, `imports` checks that every
//! import has exactly one handler, and `cache` keeps the results.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use theater_plugin_api::descriptor::Descriptor;

use theater_chain::interface_name::meets;

use crate::core::Core;
use crate::core::prepared::{Prepared, PreparedHandler};
use crate::manifest::{Ceilings, HandlerEntry, Manifest, Under};
use crate::support::error::Error;
use crate::wasm::component::Component;

pub(super) mod cache;
mod component;
mod handlers;
mod imports;

use cache::{PreparedManifest, source_digest};
use imports::check_interface;

/// Memory for compiled components, in bytes, but at most an eighth of the budget. Above it, components that no actor
/// uses are dropped.
const COMPONENT_MEMORY: u64 = 256 * 1024 * 1024;

impl Core {
    /// Does what [`Core::prepare`] does, from the cache when neither the manifest nor the component has changed.
    pub(super) async fn prepare_cached(
        self: &Arc<Self>,
        manifest: &Manifest,
        under: Under<'_>,
    ) -> Result<PreparedManifest, Error> {
        let mut manifest = Cow::Borrowed(manifest);
        let limits = manifest.limits.within(&under.limits);
        if limits != manifest.limits {
            manifest.to_mut().limits = limits;
        }
        let source = source_digest(&manifest, matches!(manifest, Cow::Owned(_)).then_some(&manifest.limits));
        let manifest = &*manifest;
        if let Some((manifest, prepared)) = source.and_then(|source| self.prepared.get(source, under.ceilings)) {
            let component = self.component(&manifest, prepared.pooled, under).await?;
            if component.digest == prepared.linked.component.digest {
                return Ok((manifest, prepared));
            }
        }
        let prepared = self.prepare(manifest, under).await?;
        let ready = (Arc::new(manifest.clone()), Arc::new(prepared));
        if self.components.bytes() > COMPONENT_MEMORY.min(self.services.budget.limit() / 8) {
            self.drop_unused();
        }
        if let Some(source) = source {
            self.prepared.insert(source, under.ceilings, &ready);
        }
        Ok(ready)
    }

    /// Checks everything that a start can check before it records anything: plugins, permissions, component and types.
    ///
    /// # Errors
    /// The errors of [`Core::start`] but those of a failed `init`.
    pub async fn prepare(self: &Arc<Self>, manifest: &Manifest, under: Under<'_>) -> Result<Prepared, Error> {
        let ceilings = under.ceilings;
        let mut handlers = Vec::new();
        for entry in &manifest.handlers {
            handlers.push(self.prepare_handler(manifest, entry, ceilings.of(&entry.handler_type))?);
        }
        let (component, pooled) = self.component_and_engine(manifest, under).await?;
        self.add_ambient(&component, &mut handlers, ceilings)?;
        self.check_imports(manifest, &component, &handlers)?;
        check_interface(manifest, &component, &handlers)?;
        let plugins: Vec<_> = handlers.iter().map(|handler| Arc::clone(&handler.plugin)).collect();
        let engine = if pooled { &self.engines.pooled } else { &self.engines.on_demand };
        let linked = self.links.get(engine, pooled, &component, &plugins)?;
        let below = self.child_ceilings(manifest, &handlers, ceilings)?;
        self.warn_uncalled(manifest, &component, &handlers);
        Ok(Prepared { handlers, linked, pooled, below, setup: OnceLock::new() })
    }

    /// Warns about exports that no handler of the manifest calls but another plugin would: the manifest most likely
    /// lacks a handler.
    fn warn_uncalled(&self, manifest: &Manifest, component: &Component, handlers: &[PreparedHandler]) {
        let calls =
            |plugin: &Descriptor, export: &str| plugin.calls.iter().any(|called| meets(&called.interface, export));
        let mut exports: Vec<_> = component.exports.iter().map(|export| export.interface.as_str()).collect();
        exports.dedup();
        for export in exports {
            if handlers.iter().any(|handler| calls(&handler.plugin.descriptor, export)) {
                continue;
            }
            let caller = self.plugins.all().find(|found| calls(&found.descriptor, export));
            if let Some(handler) = caller.and_then(|found| found.descriptor.handlers.first()) {
                tracing::warn!(
                    "actor {:?} exports {export}, which nothing calls unless {} has [[handlers]] with type = {handler:?}",
                    manifest.name,
                    manifest.path.display()
                );
            }
        }
    }

    /// Returns the ceilings of the actor's children: for each handler type `[permissions.h]` within the actor's own
    /// ceiling, or the actor's own config of `h` when the manifest has no such table.
    fn child_ceilings(
        self: &Arc<Self>,
        manifest: &Manifest,
        handlers: &[PreparedHandler],
        ceilings: &Ceilings,
    ) -> Result<Ceilings, Error> {
        let mut below = BTreeMap::new();
        for handler in handlers {
            below.entry(handler.handler_type.clone()).or_insert_with(|| handler.config.clone());
        }
        let line = manifest.place("permissions").line.unwrap_or_default();
        for (handler_type, requested) in &manifest.permissions {
            let entry =
                HandlerEntry { handler_type: handler_type.clone(), interface: None, config: requested.clone(), line };
            let allowed = self.prepare_handler(manifest, &entry, ceilings.of(handler_type))?.config;
            below.insert(handler_type.clone(), allowed);
        }
        Ok(Ceilings::Only(Arc::new(below)))
    }

    /// Drops compiled components and links that no actor uses, and the cache that refers to them.
    fn drop_unused(&self) {
        self.prepared.clear();
        self.links.drop_unused();
        self.components.drop_unused();
    }
}
