//! The host of a plugin in a replay: tasks, sleeps, logs and a temporary folder. Whatever needs a running actor is
//! refused with a message.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_ffi::FfiFuture;
use theater_plugin_api::abi::{ABSENT, Answer, HostSide, Message, OK};
use theater_plugin_api::host::{About, ChainEvent};
use theater_plugin_api::{Bytes, ChildEnd, uuid_text};

use theater_chain::event::Id;

use crate::plugin::data_folder::make_folder;
use crate::plugin::log::log_at;
use crate::plugin::services::offers;
use crate::plugin::tasks::Tasks;
use crate::plugin::without_actor::without_actor;
use crate::support::executor::{self, Latch};

const NO_ACTOR: &str = "a replay has no running actor";

/// The host of a plugin, or of one handler of it.
pub(super) struct Host {
    about: About,
    folder: PathBuf,
    /// For each export that the plugin calls, whether the actor has it.
    exports: Vec<bool>,
    tasks: Arc<Tasks>,
    stopped: Latch,
}

impl Host {
    /// Creates the host of the plugin itself.
    pub(super) fn of_plugin(plugin: &str, folder: &Path) -> Self {
        Self::new(About::plugin(plugin), folder.join("plugin-data"), Vec::new())
    }

    /// Creates the host of a handler. `name` and `exports` are those of the recorded actor.
    pub(super) fn of_actor(
        (name, exports): (&str, Vec<bool>),
        plugin: &str,
        (actor, handler): (Id, &str),
        folder: &Path,
    ) -> Self {
        let id = uuid_text(&actor);
        let about = About::actor(plugin, &id, name, handler);
        Self::new(about, folder.join("plugin-data").join(id), exports)
    }

    fn new(about: About, folder: PathBuf, exports: Vec<bool>) -> Self {
        Self { about, folder, exports, tasks: Arc::default(), stopped: Latch::default() }
    }

    /// Signals the end of the actor.
    pub(super) fn stop(&self) {
        self.stopped.set();
    }

    /// Drops all spawned tasks.
    pub(super) async fn end(&self) {
        self.tasks.end().await;
    }
}

impl HostSide for Host {
    without_actor!(NO_ACTOR);
    fn about(&self) -> About {
        self.about.clone()
    }
    fn has_export(&self, export: u32) -> bool {
        self.exports.get(export as usize).is_some_and(|has| *has)
    }
    fn spawn(&self, future: FfiFuture<Answer>) -> u64 {
        let plugin = self.about.plugin.clone();
        self.tasks.spawn(async move {
            let answer = future.await;
            if answer.status != OK {
                tracing::error!(plugin, "a task it spawned panicked: {}", answer.sentence());
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
        let stopped = self.stopped.clone();
        async move { stopped.wait().await }
    }
    fn wait_for(&self, _: &str, _: &str) -> Result<u64, String> {
        Err(NO_ACTOR.to_owned())
    }
    fn wait_end(&self, _: u64) {}
    fn log(&self, level: u32, target: &str, message: &str) {
        let About { name, plugin, .. } = &self.about;
        if target == "actor" {
            log_at!(level, target: "actor", name, "{message}");
        } else {
            log_at!(level, target: "plugin", name, plugin, "{message}");
        }
    }
    fn metric(&self, _: &str, _: u32, _: f64) {}
    fn data_folder(&self) -> Result<String, String> {
        make_folder(self.folder.clone())
    }
    fn chain_newest(&self, _: u64) -> impl Future<Output = Answer> + Send + 'static {
        std::future::ready(Answer::error(NO_ACTOR))
    }
    fn shutdown(&self, _: Option<Vec<u8>>) -> Result<(), String> {
        Err(NO_ACTOR.to_owned())
    }
    fn find(&self, _: &str) -> Result<String, String> {
        Err(NO_ACTOR.to_owned())
    }
    fn offers(&self, id: &str, minimum_minor: u32) -> bool {
        offers(id, minimum_minor)
    }
}
