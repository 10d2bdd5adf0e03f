//! What an actor may have: ceilings by handler type, bounds of its limits, files.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value as Json;

use crate::manifest::Limits;
use crate::support::files::Grants;

/// What an actor's parent lets it have, by handler type.
#[derive(Debug, Clone, PartialEq)]
pub enum Ceilings {
    /// Everything its manifest names.
    Everything,
    /// These; nothing of another handler type.
    Only(Arc<BTreeMap<String, Json>>),
}

impl Ceilings {
    /// The ceiling of one handler type; null is everything.
    #[must_use]
    pub fn of(&self, handler_type: &str) -> Json {
        match self {
            Self::Everything => Json::Null,
            Self::Only(all) => all.get(handler_type).cloned().unwrap_or_else(|| Json::Object(Default::default())),
        }
    }
}

/// Under whom an actor starts.
#[derive(Debug, Clone, Copy)]
pub struct Under<'a> {
    /// Its parent's id; empty: an operator starts it.
    pub parent: &'a str,
    /// What it may have.
    pub ceilings: &'a Ceilings,
    /// Bounds of its limits.
    pub limits: Limits,
    /// Which files its manifest may name, where an actor supplies it; none = any.
    pub files: Option<&'a Grants>,
}
