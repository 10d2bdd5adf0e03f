//! The reference of handler configs in `manifests/README.md` and the table of plugins in `plugins/README.md`: generated from
//! the plugins' schemas and Cargo descriptions.

use std::path::PathBuf;

use serde_json::Value as Json;

use crate::repository;

/// The line before generated text.
const BEGIN: &str = "<!-- generated: begin -->\n";
/// The line after it.
const END: &str = "<!-- generated: end -->\n";

/// The plugins of `plugins/`, sorted.
fn plugins() -> Vec<(String, PathBuf)> {
    let folders = std::fs::read_dir(repository().join("plugins")).expect("the folder is readable");
    let mut plugins: Vec<_> = folders
        .map(|entry| entry.expect("the entry is readable").path())
        .filter(|folder| folder.join("Cargo.toml").exists())
        .map(|folder| (folder.file_name().unwrap_or_default().to_string_lossy().into_owned(), folder))
        .collect();
    plugins.sort();
    plugins
}

/// The text of `manifests/README.md` and that of `plugins/README.md` as they should be.
///
/// # Panics
/// When a file cannot be read, or has no place for generated text.
#[must_use]
pub fn expected() -> [(PathBuf, String); 2] {
    let with = |path: &str, generated: String| {
        let path = repository().join(path);
        let text = std::fs::read_to_string(&path).expect("the file is readable");
        let (head, rest) = text.split_once(BEGIN).expect("a line for the beginning");
        let (_, tail) = rest.split_once(END).expect("a line for the end");
        (path, format!("{head}{BEGIN}{generated}{END}{tail}"))
    };
    [with("manifests/README.md", handlers()), with("plugins/README.md", table())]
}

fn handlers() -> String {
    let mut text = String::new();
    for (name, folder) in plugins() {
        let schema = std::fs::read_to_string(folder.join("config.schema.json")).expect("a schema");
        let schema: Json = serde_json::from_str(&schema).expect("a schema is JSON");
        text.push_str(&format!("\n### `{name}`\n\n"));
        if let Some(description) = schema["description"].as_str() {
            text.push_str(&format!("{description}\n\n"));
        }
        match schema["properties"].as_object().filter(|properties| !properties.is_empty()) {
            None => text.push_str("It has no config.\n"),
            Some(properties) => {
                text.push_str("| key | type | default | meaning |\n|---|---|---|---|\n");
                let required =
                    |key: &str| schema["required"].as_array().is_some_and(|all| all.iter().any(|k| k == key));
                for (key, property) in properties {
                    let default = match property.get("default") {
                        Some(default) => format!("`{default}`"),
                        None if required(key) => "required".to_owned(),
                        None => String::new(),
                    };
                    let meaning = property["description"].as_str().unwrap_or_default().replace('|', "\\|");
                    text.push_str(&format!("| `{key}` | {} | {default} | {meaning} |\n", type_of(property)));
                }
            }
        }
    }
    text
}

fn type_of(property: &Json) -> String {
    if let Some(choices) = property["enum"].as_array() {
        return choices.iter().map(|choice| format!("`{choice}`")).collect::<Vec<_>>().join(", ");
    }
    let kind = match property["type"].as_str() {
        Some("array") => format!("list of {}", type_of(&property["items"])),
        Some("object") => "table".to_owned(),
        Some("string") if property["format"] == "path" => "path".to_owned(),
        Some(other) => other.to_owned(),
        None => "any".to_owned(),
    };
    match (property["minimum"].as_i64(), property["maximum"].as_i64()) {
        (Some(least), Some(most)) => format!("{kind}, {least} to {most}"),
        (Some(least), None) => format!("{kind}, at least {least}"),
        (None, Some(most)) => format!("{kind}, at most {most}"),
        (None, None) => kind,
    }
}

fn table() -> String {
    let mut text = String::from("\n| plugin | description |\n|---|---|\n");
    for (name, folder) in plugins() {
        let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).expect("a Cargo.toml");
        let manifest: toml::Table = manifest.parse().expect("it is TOML");
        let description = manifest["package"]["description"].as_str().unwrap_or_default();
        let said = description.split_once(": ").map_or(description, |(_, said)| said);
        text.push_str(&format!("| [`{name}`]({name}) | {said} |\n"));
    }
    text.push('\n');
    text
}
