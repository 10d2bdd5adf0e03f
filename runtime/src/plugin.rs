//! Plugins: their discovery, descriptors, loading and configs, the hosts they call, and the watchdog.

pub mod actor_host;
pub mod config;
pub mod core_services;
pub(crate) mod data_folder;
pub mod descriptor;
pub mod discovery;
mod file_copy;
pub mod loaded;
pub(crate) mod log;
pub mod plugin_host;
pub mod services;
pub mod signatures;
pub(crate) mod tasks;
pub mod watchdog;
pub(crate) mod without_actor;
