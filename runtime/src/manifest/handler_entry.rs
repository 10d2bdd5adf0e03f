//! `[[handlers]]`: the handlers of an actor and their configs.

use serde_json::Value as Json;
use toml::de::{DeTable, DeValue};

use crate::manifest::interface_name::interface_name;
use crate::manifest::toml_text::{TomlText, Value};
use crate::support::error::{Error, ManifestProblem};

/// A `[[handlers]]` entry.
#[derive(Debug, Clone, PartialEq)]
pub struct HandlerEntry {
    /// The handler type.
    pub handler_type: String,
    /// The exported interface it calls, if the manifest names one.
    pub interface: Option<String>,
    /// Its config.
    pub config: Json,
    /// Its line in the manifest, from 1.
    pub line: usize,
}

impl TomlText<'_> {
    pub(super) fn handlers(&self, root: &DeTable<'_>) -> Result<Vec<HandlerEntry>, Error> {
        let mut all = Vec::new();
        for key in ["handlers", "handler"] {
            let Some(value) = root.get(key) else { continue };
            let DeValue::Array(entries) = value.get_ref() else {
                return Err(self.wrong(key, value, "[[handlers]] tables"));
            };
            for entry in entries.iter() {
                all.push(self.handler(entry)?);
            }
        }
        Ok(all)
    }

    fn handler(&self, value: &Value<'_>) -> Result<HandlerEntry, Error> {
        let table = self.table("handlers", value)?;
        let handler_type = table.get("type").ok_or_else(|| {
            let what = ManifestProblem::Missing { key: "type".to_owned(), example: "type = \"name-of-a-handler\"" };
            self.error(Some(value.span().start), what)
        })?;
        let handler_type = self.string("type", handler_type)?;
        let mut flat = serde_json::Map::new();
        for (key, value) in table.iter() {
            if !matches!(key.get_ref().as_ref(), "type" | "interface" | "config") {
                flat.insert(key.get_ref().to_string(), self.json(key.get_ref(), value)?);
            }
        }
        let config = match table.get("config") {
            None => Json::Object(flat),
            Some(config) if flat.is_empty() => {
                self.table("config", config)?;
                self.json("config", config)?
            }
            Some(_) => {
                let keys = flat.keys().cloned().collect();
                let what = ManifestProblem::ConfigTwice { handler: handler_type, keys };
                return Err(self.error(Some(value.span().start), what));
            }
        };
        let interface = table.get("interface").map(|value| self.string("interface", value)).transpose()?;
        Ok(HandlerEntry {
            handler_type,
            interface: interface.map(|name| interface_name(&name)),
            config,
            line: self.line(value.span().start),
        })
    }
}
