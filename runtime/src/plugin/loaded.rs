//! A plugin that this process has loaded.

use std::fmt;
use std::sync::OnceLock;

use theater_plugin_api::abi::PluginObject;
use theater_plugin_api::descriptor::Descriptor;

use crate::plugin::signatures::{PluginExport, PluginFunction};

/// A loaded plugin.
pub struct Plugin {
    /// Its descriptor.
    pub descriptor: Descriptor,
    /// SHA-256 of its file, lower-case hex.
    pub digest: String,
    /// Its object.
    pub object: PluginObject,
    /// The functions it offers; the index is their number in its ABI.
    pub functions: Vec<PluginFunction>,
    /// The exports it calls; the index is their number in its ABI.
    pub exports: Vec<PluginExport>,
    /// The descriptor's `wit` as JSON.
    pub wit: String,
    /// SHA-256 of that, lower-case hex.
    pub wit_digest: String,
    /// The compiled schema of its config, or why it is not a schema. Compiled on first use.
    pub validator: OnceLock<Result<jsonschema::Validator, String>>,
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plugin({} {})", self.descriptor.name, self.descriptor.version)
    }
}
