//! The permissions under which an actor starts: by handler type, for its limits, and for files.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value as Json;

use crate::manifest::limits::Limits;
use crate::support::files::Grants;

/// The permissions of an actor by handler type, given by its parent or the operator.
#[derive(Debug, Clone, PartialEq)]
pub enum Ceilings {
    /// No restriction.
    Everything,
    /// These permissions; nothing for any other handler type.
    Only(Arc<BTreeMap<String, Json>>),
}

impl Ceilings {
    /// The permissions for one handler type; null is no restriction.
    #[must_use]
    pub fn of(&self, handler_type: &str) -> Json {
        match self {
            Self::Everything => Json::Null,
            Self::Only(all) => all.get(handler_type).cloned().unwrap_or_else(|| Json::Object(Default::default())),
        }
    }
}

/// The parent of an actor that starts, and what the actor may have.
#[derive(Debug, Clone, Copy)]
pub struct Under<'a> {
    /// The id of the parent; empty when the operator starts the actor.
    pub parent: &'a str,
    /// Its permissions.
    pub ceilings: &'a Ceilings,
    /// The bound of its limits.
    pub limits: Limits,
    /// The files that its manifest may name, if an actor supplied the manifest; `None` is any file.
    pub files: Option<&'a Grants>,
}
