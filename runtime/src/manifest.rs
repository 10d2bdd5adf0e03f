//! Manifests: TOML files that describe an actor.
//!
//! [`Manifest`] is the result of reading one; `manifest/read.rs` reads it from text. Every mistake is reported with its line.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value as Json;

use crate::support::error::SourceLocation;

mod ceilings;
mod chain_config;
mod handler_entry;
mod instance_mode;
mod interface_name;
mod limits;
mod permissions;
mod read;
mod restart_policy;
mod substitute;
#[cfg(test)]
mod tests;
mod toml_text;

pub use ceilings::{Ceilings, Under};
pub use chain_config::{ChainConfig, Keep};
pub use handler_entry::HandlerEntry;
pub use instance_mode::InstanceMode;
pub use interface_name::PACKAGE;
pub use limits::Limits;
pub use permissions::{Permissions, read_permissions};
pub use restart_policy::{Restart, RestartPolicy};
pub use substitute::{Values, setting};

/// The content of a manifest.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// The file, or a name in angle brackets when the text is not from a file.
    pub path: PathBuf,
    /// The text after substitution, as the chain records it.
    pub text: String,
    /// The folder that relative paths start at.
    pub folder: PathBuf,
    /// The actor's name.
    pub name: String,
    /// The actor's version.
    pub version: Option<String>,
    /// Path or URL of the component.
    pub component: String,
    /// The SHA-256 that the component must have.
    pub sha256: Option<String>,
    /// SHA-256 of the component in `objects/` to use in place of `component`: set when an actor is resumed.
    pub kept: Option<String>,
    /// The initial state.
    pub init_state: Option<InitState>,
    /// What happens to the actor when a call returns `err`.
    pub on_error: OnError,
    /// How long the instance is kept.
    pub instance: InstanceMode,
    /// Interfaces the component must export.
    pub implements: Vec<String>,
    /// Interfaces the component must import.
    pub requires: Vec<String>,
    /// The handlers, in the order of the manifest.
    pub handlers: Vec<HandlerEntry>,
    /// The limits in the manifest; the core then bounds them by the limits of the parent.
    pub limits: Limits,
    /// When a top-level actor that ended is restarted.
    pub restarts: RestartPolicy,
    /// How the chain is written and retained.
    pub chain: ChainConfig,
    /// The permissions of the actor's children, by handler type.
    pub permissions: BTreeMap<String, Json>,
    lines: BTreeMap<&'static str, usize>,
}

/// The source of the initial state.
#[derive(Debug, Clone, PartialEq)]
pub enum InitState {
    /// The content of a file.
    Path(String),
    /// JSON in the manifest, passed on as compact text.
    Json(Json),
}

/// What happens to the actor when a call returns `err`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnError {
    /// The actor continues with its old state.
    #[default]
    Continue,
    /// The actor fails, as on a trap.
    Fail,
}

impl Manifest {
    /// The location of a key of the manifest.
    #[must_use]
    pub fn place(&self, key: &str) -> SourceLocation {
        SourceLocation { path: self.path.clone(), line: self.lines.get(key).copied() }
    }

    /// The path of the component, if it is a file and not a URL.
    #[must_use]
    pub fn component_path(&self) -> PathBuf {
        self.folder.join(&self.component)
    }
}
