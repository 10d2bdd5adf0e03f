//! The permissions of top-level actors (`--permissions`) and of children (`[permissions]`).

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value as Json;
use toml::de::DeTable;

use crate::manifest::limits::Limits;
use crate::manifest::toml_text::{TomlText, Value};
use crate::support::error::Error;
use crate::support::files::{MAX_MANIFEST, read_text};

/// The permissions of top-level actors, given by the operator.
#[derive(Debug, Clone, PartialEq)]
pub struct Permissions {
    /// Permissions by handler type.
    pub handlers: BTreeMap<String, Json>,
    /// The bound of the `[limits]` of every actor.
    pub limits: Limits,
}

/// Reads a permissions file: a TOML table per handler type, and `[limits]`, whose missing keys bound nothing.
///
/// # Errors
/// `M0002` to `M0004`, `M0009`, `M0011`.
pub fn read_permissions(path: &Path) -> Result<Permissions, Error> {
    let text =
        read_text(path, MAX_MANIFEST).map_err(|source| Error::PermissionsRead { path: path.to_owned(), source })?;
    let reader = TomlText { path, text: &text };
    let root = reader.parse()?;
    let mut handlers = reader.permission_tables(root.get_ref())?;
    handlers.remove("limits");
    let limits =
        root.get_ref().get("limits").map(|value| reader.limits_from(value, Limits::unbounded())).transpose()?;
    Ok(Permissions { handlers, limits: limits.unwrap_or_else(Limits::unbounded) })
}

impl TomlText<'_> {
    pub(super) fn permissions(&self, value: &Value<'_>) -> Result<BTreeMap<String, Json>, Error> {
        self.permission_tables(self.table("permissions", value)?)
    }

    fn permission_tables(&self, table: &DeTable<'_>) -> Result<BTreeMap<String, Json>, Error> {
        table
            .iter()
            .map(|(key, value)| {
                self.table(key.get_ref(), value)?;
                Ok((key.get_ref().to_string(), self.json(key.get_ref(), value)?))
            })
            .collect()
    }
}
