//! Reads a manifest: substitution, TOML, then key by key.
//!
//! Each section is read in the file of its type, such as `limits.rs`. Reading stops at the first mistake.

use std::collections::BTreeMap;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use crate::manifest::instance_mode::InstanceMode;
use crate::manifest::interface_name::interface_name;
use crate::manifest::substitute::{Values, substitute};
use crate::manifest::toml_text::{TomlText, Value};
use crate::manifest::{InitState, Manifest, OnError};
use crate::support::error::{Error, ManifestProblem, SourceLocation};
use crate::support::files::{MAX_MANIFEST, read_text};

const KEYS: [&str; 20] = [
    "name",
    "version",
    "description",
    "long_description",
    "save_chain",
    "restart",
    "max_restarts",
    "restart_window_ms",
    "component_path",
    "component",
    "sha256",
    "init_state",
    "on_error",
    "instance",
    "interface",
    "handlers",
    "handler",
    "limits",
    "chain",
    "permissions",
];

impl Manifest {
    /// Reads a manifest from a file.
    ///
    /// # Errors
    /// `M0001` to `M0009`.
    pub fn read(path: &Path, values: &Values) -> Result<Self, Error> {
        let text =
            read_text(path, MAX_MANIFEST).map_err(|source| Error::ManifestRead { path: path.to_owned(), source })?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        Self::parse(path, folder.unwrap_or(Path::new(".")), &text, values)
    }

    /// Reads a manifest from text. `path` is used in messages; relative paths start at `folder`.
    ///
    /// # Errors
    /// As [`Manifest::read`].
    pub fn parse(path: &Path, folder: &Path, text: &str, values: &Values) -> Result<Self, Error> {
        let text = substitute(text, values).map_err(|(line, what)| Error::Manifest {
            place: SourceLocation { path: path.to_owned(), line: Some(line) },
            what: ManifestProblem::Substitution(what),
        })?;
        Self::substituted(path, folder, &text)
    }

    /// As [`Manifest::parse`], from text that is already substituted, such as [`Manifest::text`].
    ///
    /// # Errors
    /// As [`Manifest::read`].
    pub fn substituted(path: &Path, folder: &Path, text: &str) -> Result<Self, Error> {
        let reader = TomlText { path, text };
        let root = reader.parse()?;
        reader.manifest(root.get_ref(), folder)
    }
}

impl TomlText<'_> {
    fn manifest(&self, root: &DeTable<'_>, folder: &Path) -> Result<Manifest, Error> {
        self.known(root, &KEYS, None)?;
        let mut lines = BTreeMap::new();
        for key in KEYS {
            if let Some(value) = root.get(key) {
                lines.insert(key, self.line(value.span().start));
            }
        }
        let text = |key: &str| root.get(key).map(|value| self.string(key, value)).transpose();
        let missing = |key: &str, example| self.error(None, ManifestProblem::Missing { key: key.to_owned(), example });
        let name = text("name")?.ok_or_else(|| missing("name", "name = \"my-actor\""))?;
        if let (Some(value), false) = (root.get("name"), is_name(&name)) {
            let reason = format!("{name:?} is not a name");
            return Err(self.bad(
                "name",
                value,
                reason,
                "use letters, digits, '-', '_' and '.', at most 64 of them, the first one no '-' or '.'",
            ));
        }
        self.descriptions(root)?;
        let component = self.component(root)?;
        let interface = root.get("interface").map(|value| self.interfaces(value)).transpose()?.unwrap_or_default();
        let choices_of = |key: &str| root.get(key);
        let on_error = choices_of("on_error")
            .map(|value| self.choice("on_error", value, &[("continue", OnError::Continue), ("fail", OnError::Fail)]))
            .transpose()?
            .unwrap_or_default();
        let modes = [("cached", InstanceMode::Cached), ("fresh", InstanceMode::Fresh), ("kept", InstanceMode::Kept)];
        let instance =
            choices_of("instance").map(|value| self.choice("instance", value, &modes)).transpose()?.unwrap_or_default();
        Ok(Manifest {
            path: self.path.to_owned(),
            text: self.text.to_owned(),
            folder: folder.to_owned(),
            name,
            version: text("version")?,
            component,
            sha256: text("sha256")?,
            kept: None,
            init_state: root.get("init_state").map(|value| self.init_state(value)).transpose()?,
            on_error,
            instance,
            implements: interface.0,
            requires: interface.1,
            handlers: self.handlers(root)?,
            limits: root.get("limits").map(|value| self.limits(value)).transpose()?.unwrap_or_default(),
            restarts: self.restarts(root)?,
            chain: root.get("chain").map(|value| self.chain(value, instance)).transpose()?.unwrap_or_default(),
            permissions: root.get("permissions").map(|value| self.permissions(value)).transpose()?.unwrap_or_default(),
            lines,
        })
    }

    /// Checks the types of keys that only describe the actor. Nothing reads them; the chain records them with the text.
    fn descriptions(&self, root: &DeTable<'_>) -> Result<(), Error> {
        for key in ["description", "long_description"] {
            root.get(key).map(|value| self.string(key, value)).transpose()?;
        }
        match root.get("save_chain") {
            Some(value) if !matches!(value.get_ref(), DeValue::Boolean(_)) => {
                Err(self.wrong("save_chain", value, "true or false"))
            }
            _ => Ok(()),
        }
    }

    fn component(&self, root: &DeTable<'_>) -> Result<String, Error> {
        match (root.get("component_path"), root.get("component")) {
            (Some(value), None) => self.string("component_path", value),
            (None, Some(value)) => self.string("component", value),
            (Some(_), Some(value)) => {
                Err(self.bad("component", value, "component_path names it already", "keep one of the two"))
            }
            (None, None) => Err(self.error(
                None,
                ManifestProblem::Missing {
                    key: "component_path".to_owned(),
                    example: "component_path = \"my_actor.wasm\"",
                },
            )),
        }
    }

    fn interfaces(&self, value: &Value<'_>) -> Result<(Vec<String>, Vec<String>), Error> {
        let table = self.table("interface", value)?;
        self.known(table, &["implements", "requires"], Some("[interface]"))?;
        let list = |key: &str| {
            let names = table.get(key).map(|value| match value.get_ref() {
                DeValue::String(one) => Ok(vec![one.to_string()]),
                _ => self.strings(key, value),
            });
            Ok::<_, Error>(names.transpose()?.unwrap_or_default().iter().map(|name| interface_name(name)).collect())
        };
        Ok((list("implements")?, list("requires")?))
    }

    fn init_state(&self, value: &Value<'_>) -> Result<InitState, Error> {
        match value.get_ref() {
            DeValue::String(path) => Ok(InitState::Path(path.to_string())),
            DeValue::Table(table) => {
                self.known(table, &["json"], Some("init_state"))?;
                let json =
                    table.get("json").ok_or_else(|| self.wrong("init_state", value, "a path or { json = .. }"))?;
                self.json("init_state", json).map(InitState::Json)
            }
            _ => Err(self.wrong("init_state", value, "a path or { json = .. }")),
        }
    }
}

/// Whether a text is a valid name of an actor. Names appear in files, logs and commands.
fn is_name(name: &str) -> bool {
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    // Names are used as command line arguments and in paths, so they start with neither '-' nor '.'.
    name.starts_with(|c: char| c.is_alphanumeric() || c == '_')
        && (1..=64).contains(&name.chars().count())
        && name.chars().all(allowed)
}
