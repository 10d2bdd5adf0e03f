//! A handler's config against the plugin's JSON schema, with an answer that says what to write.

use serde_json::Value as Json;

use crate::error::{Error, ManifestProblem, Place, suggest};
use crate::manifest::{HandlerEntry, Manifest};
use crate::plugins::Plugin;

/// Checks an entry's config.
///
/// # Errors
/// `M0008`, with the keys the plugin takes.
pub fn check(manifest: &Manifest, entry: &HandlerEntry, plugin: &Plugin) -> Result<(), Error> {
    let schema = &plugin.descriptor.config;
    let refuse = |problem: String, help: String| {
        let place = Place { path: manifest.path.clone(), line: Some(entry.line) };
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
        Err(error) => return refuse(format!("the plugin's schema is no JSON schema: {error}"), String::new()),
    };
    let Some(error) = validator.iter_errors(&entry.config).next() else { return Ok(()) };
    let at = error.instance_path().to_string().trim_start_matches('/').to_owned();
    let described =
        at.split('/').next().and_then(|key| schema.get("properties")?.get(key)?.get("description")?.as_str());
    let help = described.map_or_else(|| format!("it takes {}", known_text(&known)), |text| format!("{at}: {text}"));
    refuse(if at.is_empty() { error.to_string() } else { format!("{at}: {error}") }, help)
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
