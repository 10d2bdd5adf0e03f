//! Plugins: their discovery, descriptors, loading and configs, the hosts they call, and the watchdog.

mod actor_host;
pub mod config;
mod core_services;
mod data_folder;
mod descriptor;
mod discovery;
mod file_copy;
mod loaded;
pub(crate) mod log;
mod plugin_host;
mod services;
mod signatures;
mod tasks;
pub mod watchdog;
mod without_actor;

/// The plugins of a folder: discovery, descriptors, loading.
pub mod plugins {
    pub use super::descriptor::{Found, abi_text, read};
    pub use super::discovery::Plugins;
    pub use super::loaded::Plugin;
    pub use super::signatures::{PluginExport, PluginFunction};
    pub use crate::support::error::{PluginProblem, Problem};
}

/// The hosts that plugins call, and the operations of the core that they need.
pub mod host {
    pub use super::actor_host::ActorHost;
    pub use super::core_services::{CoreFuture, CoreServices};
    pub(crate) use super::data_folder::make_folder;
    pub(crate) use super::log::log_at;
    pub use super::plugin_host::PluginHost;
    pub use super::services::{SERVICES, offers};
    pub(crate) use super::tasks::Tasks;
    pub(crate) use super::without_actor::without_actor;
}
