//! Plugins: finding, checking and loading them, their configs, what they may ask of the core, and the watchdog.

pub mod config;
pub mod host;
pub mod plugins;
pub mod watchdog;
