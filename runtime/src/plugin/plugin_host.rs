//! The host of a plugin itself, without an actor: what it may request from its `init` on.

use std::future::Future;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use async_ffi::FfiFuture;
use theater_plugin_api::abi::{ABSENT, Answer, HostSide, Message, OK};
use theater_plugin_api::host::{About, ChainEvent};
use theater_plugin_api::service::SERVICE_MESSAGES;
use theater_plugin_api::{Bytes, ChildEnd};

use crate::plugin::core_services::CoreServices;
use crate::plugin::data_folder::make_folder;
use crate::plugin::log::log_at;
use crate::plugin::tasks::Tasks;
use crate::plugin::without_actor::without_actor;
use crate::support::executor::{self, Latch};

/// The host of a plugin itself, without an actor.
pub struct PluginHost {
    core: Weak<dyn CoreServices>,
    name: String,
    tasks: Arc<Tasks>,
    stopped: OnceLock<Latch>,
}

impl PluginHost {
    /// A host for a plugin.
    #[must_use]
    pub fn new(core: Weak<dyn CoreServices>, stopped: Latch, name: &str) -> Self {
        let stopped = OnceLock::from(stopped);
        Self { core, name: name.to_owned(), tasks: Arc::default(), stopped }
    }
}

impl HostSide for PluginHost {
    without_actor!(NO_ACTOR);
    fn about(&self) -> About {
        About::plugin(&self.name)
    }
    fn has_export(&self, _: u32) -> bool {
        false
    }
    fn spawn(&self, future: FfiFuture<Answer>) -> u64 {
        let name = self.name.clone();
        self.tasks.spawn(async move {
            let answer = future.await;
            if answer.status != OK {
                tracing::error!(plugin = name, "a task it spawned panicked: {}", answer.sentence());
            }
        })
    }
    fn abort(&self, task: u64) {
        self.tasks.abort(task);
    }
    fn sleep(&self, microseconds: u64) -> impl Future<Output = ()> + Send + 'static {
        executor::sleep(Duration::from_micros(microseconds))
    }
    fn cancelled(&self) -> impl Future<Output = ()> + Send + 'static {
        let stopped = self.stopped.get().cloned().unwrap_or_default();
        async move { stopped.wait().await }
    }
    fn wait_for(&self, _: &str, _: &str) -> Result<u64, String> {
        Err("a plugin's own host waits for no actor".to_owned())
    }
    fn wait_end(&self, _: u64) {}
    fn log(&self, level: u32, _: &str, message: &str) {
        let plugin = &self.name;
        log_at!(level, target: "plugin", plugin, "{message}");
    }
    fn metric(&self, name: &str, kind: u32, value: f64) {
        if let Some(core) = self.core.upgrade() {
            core.metric(&self.name, name, kind, value);
        }
    }
    fn data_folder(&self) -> Result<String, String> {
        let core = self.core.upgrade().ok_or("the program is ending")?;
        make_folder(core.plugin_folder(&self.name))
    }
    fn chain_newest(&self, _: u64) -> impl Future<Output = Answer> + Send + 'static {
        std::future::ready(Answer::error("a plugin's own host has no chain"))
    }
    fn shutdown(&self, _: Option<Vec<u8>>) -> Result<(), String> {
        Err("a plugin's own host has no actor to stop".to_owned())
    }
    fn find(&self, wanted: &str) -> Result<String, String> {
        let core = self.core.upgrade().ok_or("the program is ending")?;
        core.find(wanted)
    }
    fn offers(&self, id: &str, minimum_minor: u32) -> bool {
        id == SERVICE_MESSAGES && minimum_minor == 0
    }
}

const NO_ACTOR: &str = "a plugin's own host has no actor";
