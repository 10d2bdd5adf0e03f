//! The config, and how a parent's config limits a child's.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use serde::Deserialize;
use serde_json::{Map, Value, json};
use theater_plugin_api::narrow::{self, Rule};

use crate::error::Error;
use crate::programs::Programs;

const MAX_FILE_BYTES: u64 = 16 << 20;
const COMMAND_TIMEOUT_MS: u64 = 60_000;

/// The handler's config; `config.schema.json` documents the keys.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct Config {
    pub path: Option<String>,
    pub new_dir: bool,
    pub keep: bool,
    pub read: bool,
    pub write: bool,
    pub execute: bool,
    pub allowed_commands: Vec<String>,
    pub env: BTreeMap<String, String>,
    pub max_file_bytes: u64,
    pub command_timeout_ms: u64,
    pub one_filesystem: bool,
    pub confine: bool,
    pub readable_paths: Vec<String>,
    /// The folders of the parent actors, outermost first, each containing the next. Only [`narrow`] sets it. `path` is
    /// opened through all of them, so that no link in one of them leads a child out of it.
    pub within: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            path: None,
            new_dir: false,
            keep: false,
            read: false,
            write: false,
            execute: false,
            allowed_commands: Vec::new(),
            env: BTreeMap::new(),
            max_file_bytes: MAX_FILE_BYTES,
            command_timeout_ms: COMMAND_TIMEOUT_MS,
            one_filesystem: true,
            confine: true,
            readable_paths: Vec::new(),
            within: Vec::new(),
        }
    }
}

/// The permission that a function needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    Read,
    Write,
    Execute,
}

impl Permission {
    /// Returns the config key of the permission.
    pub fn key(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Execute => "execute",
        }
    }
}

impl Config {
    /// Checks that the config grants a permission.
    pub fn allow(&self, permission: Permission) -> Result<(), Error> {
        let granted = match permission {
            Permission::Read => self.read,
            Permission::Write => self.write,
            Permission::Execute => self.execute,
        };
        if granted { Ok(()) } else { Err(Error::Denied(permission.key())) }
    }
}

/// Returns the part of `requested` that `ceiling` allows: permissions that both have, the folder only if it is the
/// parent's or below it, variables only with the parent's value (a variable such as `LD_PRELOAD` decides what a program
/// does). For the reader of the result, it also lists the files to which the names in `allowed_commands` resolve.
///
/// # Errors
/// Returns a sentence about a value of the wrong type.
pub fn narrow(ceiling: &Value, requested: &Value) -> Result<Value, String> {
    let rules = [
        ("new_dir", Rule::Permission),
        ("keep", Rule::Free),
        ("read", Rule::Permission),
        ("write", Rule::Permission),
        ("execute", Rule::Permission),
        ("allowed_commands", Rule::Powers),
        ("max_file_bytes", Rule::Smaller(MAX_FILE_BYTES)),
        ("command_timeout_ms", Rule::Smaller(COMMAND_TIMEOUT_MS)),
        ("readable_paths", Rule::Powers),
    ];
    let mut narrowed = match narrow::object(&rules, ceiling, requested)? {
        Value::Object(narrowed) => narrowed,
        _ => Map::new(),
    };
    let below = config(requested)?;
    if !ceiling.is_null() {
        let above = config(ceiling)?;
        let shared: BTreeMap<_, _> =
            below.env.iter().filter(|(name, value)| above.env.get(*name) == Some(*value)).collect();
        narrowed.insert("env".to_owned(), json!(shared));
        // Restrictions, not permissions: they apply if either side has them.
        narrowed.insert("one_filesystem".to_owned(), json!(above.one_filesystem || below.one_filesystem));
        narrowed.insert("confine".to_owned(), json!(above.confine || below.confine));
        if let (Some(outer), Some(inner)) = (&above.path, &below.path)
            && is_below(outer, inner)
        {
            let mut within = above.within;
            within.push(outer.clone());
            narrowed.insert("path".to_owned(), Value::from(inner.as_str()));
            narrowed.insert("within".to_owned(), json!(within));
        }
    }
    let programs = Programs::look_up(&config(&Value::Object(narrowed.clone()))?.allowed_commands);
    if !programs.is_empty() {
        narrowed.insert("programs".to_owned(), programs.to_json());
    }
    Ok(Value::Object(narrowed))
}

fn config(value: &Value) -> Result<Config, String> {
    if value.is_null() { Ok(Config::default()) } else { Config::deserialize(value).map_err(|error| error.to_string()) }
}

/// Returns whether a folder is another one or below it, by whole path segments. A relative path, or one with `..`,
/// never is.
fn is_below(outer: &str, inner: &str) -> bool {
    let plain = |path: &Path| path.is_absolute() && !path.components().any(|part| part == Component::ParentDir);
    let (outer, inner) = (Path::new(outer), Path::new(inner));
    plain(outer) && plain(inner) && inner.starts_with(outer)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [filesystem-8] [filesystem-9]
    #[test]
    fn missing_numbers_take_their_defaults() {
        let config = config(&json!({})).unwrap();
        assert_eq!((config.max_file_bytes, config.command_timeout_ms), (16 << 20, 60_000));
    }

    /// [filesystem-51]
    #[test]
    fn a_child_works_in_its_parents_folder_or_below_it() {
        let path = |outer: &str, inner: &str| {
            let narrowed = narrow(&json!({ "path": outer }), &json!({ "path": inner })).unwrap();
            (narrowed["path"].as_str().map(str::to_owned), narrowed["within"].clone())
        };
        assert_eq!(path("/a/b", "/a/b/c"), (Some("/a/b/c".into()), json!(["/a/b"])));
        assert_eq!(path("/a/b", "/a/b"), (Some("/a/b".into()), json!(["/a/b"])));
        for inner in ["/a", "/a/bc", "/", "/a/b/../c", "a/b/c", "", "/b"] {
            assert_eq!(path("/a/b", inner).0, None, "{inner}");
        }
        let grown = json!({ "path": "/a/b", "within": ["/a"] });
        assert_eq!(narrow(&grown, &json!({ "path": "/a/b/c" })).unwrap()["within"], json!(["/a", "/a/b"]));
        assert_eq!(narrow(&json!({}), &json!({ "path": "/a", "new_dir": true })).unwrap().get("path"), None);
    }

    /// [filesystem-51] [filesystem-35]
    #[test]
    fn a_childs_variables_are_its_parents() {
        let ceiling = json!({ "env": { "A": "1", "B": "2" } });
        let asked = json!({ "env": { "A": "1", "B": "3", "LD_PRELOAD": "/tmp/x.so" } });
        assert_eq!(narrow(&ceiling, &asked).unwrap()["env"], json!({ "A": "1" }));
        assert_eq!(narrow(&Value::Null, &asked).unwrap()["env"], asked["env"]);
    }
}
