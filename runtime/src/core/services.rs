//! The core services for plugins: [`CoreServices`], the trait through which the hosts of handlers reach the core.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value as Json;
use theater_plugin_api::uuid_text;

use theater_chain::event::Id;

use crate::actor::{ActorHandle, lock};
use crate::core::{Core, supervision};
use crate::plugin::core_services::{CoreFuture, CoreServices};

impl Core {
    /// Adds an edge to the wait graph.
    ///
    /// # Errors
    /// The wait would close a cycle, described actor by actor.
    fn begin_wait(&self, waiter: Id, other: &str, why: &str) -> Result<u64, String> {
        let actor = self.services.registry.find(other)?;
        self.services.waits.begin(waiter, actor.id(), why).map_err(|cycle| {
            let steps: Vec<_> = cycle.0.iter().map(|(id, why)| format!("{} waits ({why})", self.label(*id))).collect();
            format!("this wait would never end: {} for {}", steps.join(" for "), self.label(waiter))
        })
    }

    /// Returns an actor's name and short id for messages.
    fn label(&self, id: Id) -> String {
        let known = self.services.registry.get(id).map(|actor| format!("{:?} ({})", actor.name(), actor.short_id()));
        known.unwrap_or_else(|| uuid_text(&id))
    }
}

impl CoreServices for Core {
    fn find(&self, wanted: &str) -> Result<String, String> {
        self.services.registry.find(wanted).map(|actor| actor.id_text().to_owned())
    }

    fn wait_for(&self, waiter: Id, other: &str, why: &str) -> Result<u64, String> {
        self.begin_wait(waiter, other, why)
    }

    fn metric(&self, plugin: &str, name: &str, kind: u32, value: f64) {
        let mut metrics = lock(&self.metrics);
        let slot = metrics.entry((plugin.to_owned(), name.to_owned())).or_default();
        *slot = if kind == 0 { *slot + value } else { value };
    }

    fn plugin_folder(&self, plugin: &str) -> PathBuf {
        self.data().join("plugin-data").join(plugin.replace(['/', ':'], "_"))
    }

    fn spawn_child(
        self: Arc<Self>,
        parent: Arc<ActorHandle>,
        config: Json,
        manifest: String,
        state: Option<Vec<u8>>,
    ) -> CoreFuture<Result<String, String>> {
        Box::pin(async move { supervision::spawn(&self, &parent, &config, manifest, state).await })
    }

    fn resume_child(
        self: Arc<Self>,
        parent: Arc<ActorHandle>,
        config: Json,
        manifest: String,
        state: Option<Vec<u8>>,
    ) -> CoreFuture<Result<String, String>> {
        Box::pin(async move { supervision::resume(&self, &parent, &config, manifest, state).await })
    }

    fn restart_child(
        self: Arc<Self>,
        parent: Arc<ActorHandle>,
        child: String,
        only_held: bool,
    ) -> CoreFuture<Result<(), String>> {
        Box::pin(async move { supervision::restart(&self, &parent, &child, only_held).await })
    }
}
