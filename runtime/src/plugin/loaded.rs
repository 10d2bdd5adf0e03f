//! A plugin that this process has loaded.

use std::fmt;
use std::sync::OnceLock;

use theater_plugin_api::abi::PluginObject;
use theater_plugin_api::descriptor::Descriptor;

use crate::plugin::signatures::{PluginExport, PluginFunction};

/// A plugin of this process.
pub struct Plugin {
    /// What it says of itself.
    pub descriptor: Descriptor,
    /// SHA-256 of its file.
    pub digest: String,
    /// Its object.
    pub object: PluginObject,
    /// The functions it offers, numbered as its ABI numbers them.
    pub functions: Vec<PluginFunction>,
    /// The exports it calls, numbered as its ABI numbers them.
    pub exports: Vec<PluginExport>,
    /// The descriptor's `wit` as JSON.
    pub wit: String,
    /// SHA-256 of that, lower-case hex.
    pub wit_digest: String,
    /// The config's schema, ready to check with, or why it is none; made when first asked for.
    pub validator: OnceLock<Result<jsonschema::Validator, String>>,
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plugin({} {})", self.descriptor.name, self.descriptor.version)
    }
}
