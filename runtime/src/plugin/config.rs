//! Checks the config of a handler against the JSON schema of its plugin, and resolves the paths in it.

use std::path::Path;

use serde_json::Value as Json;

use crate::manifest::{HandlerEntry, Manifest};
use crate::plugin::loaded::Plugin;
use crate::support::error::{Error, ManifestProblem, SourceLocation, suggest};

/// Checks the config of a handler.
///
/// # Errors
/// `M0008`, with the keys that the plugin accepts.
pub fn check(manifest: &Manifest, entry: &HandlerEntry, plugin: &Plugin) -> Result<(), Error> {
    let schema = &plugin.descriptor.config;
    let refuse = |problem: String, help: String| {
        let place = SourceLocation { path: manifest.path.clone(), line: Some(entry.line) };
        let what = ManifestProblem::Config { handler: entry.handler_type.clone(), problem, help };
        Err(Error::Manifest { place, what })
    };
    let known = keys(schema);
    if let Some(unknown) = entry.config.as_object().and_then(|config| config.keys().find(|key| !known.contains(key))) {
        return refuse(format!("unknown key {unknown:?}"), suggest(unknown, known.iter().map(|key| key.as_str())));
    }
    let validator = match plugin.validator.get_or_init(|| jsonschema::validator_for(schema).map_err(|e| e.to_string()))
    {
        Ok(validator) => validator,
        Err(error) => return refuse(format!("the plugin's schema is not a JSON schema: {error}"), String::new()),
    };
    let Some(error) = validator.iter_errors(&entry.config).next() else { return Ok(()) };
    let at = error.instance_path().to_string().trim_start_matches('/').to_owned();
    let described =
        at.split('/').next().and_then(|key| schema.get("properties")?.get(key)?.get("description")?.as_str());
    let help = described.map_or_else(|| format!("it takes {}", known_text(&known)), |text| format!("{at}: {text}"));
    refuse(if at.is_empty() { error.to_string() } else { format!("{at}: {error}") }, help)
}

/// Makes every value with `"format": "path"` in the schema an absolute path, relative to `folder`. Existing paths are also
/// canonicalized, so that plugins can compare paths from manifests in different folders.
pub fn resolve_paths(schema: &Json, config: &mut Json, folder: &Path) {
    match config {
        Json::String(path) if schema.get("format").and_then(Json::as_str) == Some("path") => {
            let joined = folder.join(&*path);
            let absolute = joined.canonicalize().or_else(|_| std::path::absolute(&joined));
            *path = absolute.unwrap_or(joined).display().to_string();
        }
        Json::Object(members) => {
            let properties = schema.get("properties").and_then(Json::as_object);
            for (key, schema) in properties.into_iter().flatten().filter(|(_, schema)| is_paths(schema)) {
                let default = schema.get("default").filter(|default| **default != Json::Array(Vec::new()));
                if let (false, Some(default)) = (members.contains_key(key), default) {
                    members.insert(key.clone(), default.clone());
                }
            }
            for (key, member) in members {
                if let Some(schema) = schema.get("properties").and_then(|properties| properties.get(key)) {
                    resolve_paths(schema, member, folder);
                }
            }
        }
        Json::Array(items) => {
            if let Some(schema) = schema.get("items") {
                items.iter_mut().for_each(|item| resolve_paths(schema, item, folder));
            }
        }
        _ => {}
    }
}

/// Whether a schema is of a path or a list of paths. If such a key is missing, its default is inserted, because the default
/// is relative to the folder.
fn is_paths(schema: &Json) -> bool {
    let is_path = |schema: &Json| schema.get("format").and_then(Json::as_str) == Some("path");
    is_path(schema) || schema.get("items").is_some_and(is_path)
}

fn keys(schema: &Json) -> Vec<&String> {
    schema.get("properties").and_then(Json::as_object).map(|properties| properties.keys().collect()).unwrap_or_default()
}

fn known_text(known: &[&String]) -> String {
    if known.is_empty() {
        return "no keys".to_owned();
    }
    known.iter().map(|key| key.as_str()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_the_schema_calls_a_path_is_made_whole() {
        let path = json!({ "type": "string", "format": "path" });
        let schema = json!({ "properties": {
            "path": path, "files": { "items": path }, "tls": { "properties": { "cert_path": path } }, "name": {}
        } });
        let mut config = json!({
            "path": "../usr/bin", "files": ["/nowhere/a", "b", 1], "tls": { "cert_path": "c" }, "name": "x", "y": "z"
        });
        resolve_paths(&schema, &mut config, Path::new("/etc"));
        let bin = Path::new("/usr/bin").canonicalize().unwrap();
        assert_eq!(
            config,
            json!({
                "path": bin, "files": ["/nowhere/a", "/etc/b", 1], "tls": { "cert_path": "/etc/c" }, "name": "x", "y": "z"
            })
        );
    }
}
