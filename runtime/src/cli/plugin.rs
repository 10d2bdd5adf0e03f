//! `theater plugin` and `theater interfaces`.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Subcommand;
use serde_json::{Value as Json, json};
use theater_runtime::plugin::descriptor::{Found, read};
use theater_runtime::plugin::discovery::Plugins;
use theater_runtime::support::error::{Error, suggest};

use super::{CommandResult, Common, print_line, short, shown};

const EXAMPLES: &str = "Examples:
  theater plugin list
  theater plugin inspect my-plugin
  theater plugin inspect ./libmine.so";

/// List plugins or show one.
#[derive(Subcommand)]
#[command(after_help = EXAMPLES)]
pub enum PluginCommand {
    /// List the plugins of the plugin folder, and why some cannot be used
    List,
    /// Show one plugin: the functions it offers, the exports it calls, its commands and config
    Inspect {
        /// The plugin's name, or the path of its file
        name: String,
    },
}

impl PluginCommand {
    /// Runs the command.
    pub fn run(self, common: &Common) -> CommandResult {
        let plugins = Plugins::find(&common.plugins())?;
        match self {
            Self::List => list(common, &plugins),
            Self::Inspect { name } => return inspect(common, &plugins, &name),
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn list(common: &Common, plugins: &Plugins) {
    for found in plugins.all() {
        let d = &found.descriptor;
        let object = json!({
            "name": d.name, "version": d.version, "abi": format!("{}.{}", found.abi.0, found.abi.1),
            "digest": found.digest, "handlers": d.handlers, "ambient": d.ambient, "path": shown(&found.path),
        });
        common.print_lines(&object, || {
            format!(
                "{:<16} {:<10} {}  handlers: {}{}  {}",
                d.name,
                d.version,
                short(&found.digest),
                d.handlers.join(", "),
                if d.ambient { " (ambient)" } else { "" },
                found.path.display()
            )
        });
    }
    for problem in plugins.problems.iter().filter(|problem| problem.is_plugin()) {
        let object =
            json!({"event": "problem", "code": problem.code(), "message": problem.to_string(), "help": problem.help()});
        common.print_lines(&object, || {
            let help = problem.help().map(|help| format!("\n  help: {help}")).unwrap_or_default();
            format!("unusable[{}] {problem}{help}", problem.code())
        });
    }
    if plugins.all().next().is_none() && !common.is_json() {
        print_line(&format!("no plugins in {}", plugins.folder().display()));
    }
}

fn inspect(common: &Common, plugins: &Plugins, name: &str) -> CommandResult {
    let path = Path::new(name);
    if path.is_file() {
        let found = read(path).map_err(|problem| Error::Plugin { what: Arc::new(problem) })?;
        return show_plugin(common, &found);
    }
    match plugins.by_name(name) {
        Some(found) => show_plugin(common, found),
        None => {
            let suggestion = suggest(name, plugins.all().map(|found| found.descriptor.name.as_str()));
            Err(Error::NoSuchPlugin { name: name.to_owned(), folder: plugins.folder().to_owned(), suggestion })
        }
    }
}

fn show_plugin(common: &Common, found: &Found) -> CommandResult {
    let (functions, exports) = found.signatures().map_err(|what| found.problem(what))?;
    let lines = |list: &mut dyn Iterator<Item = (String, String)>| -> Vec<Json> {
        list.map(|(name, signature)| json!({"function": name, "signature": signature})).collect()
    };
    let offers = lines(&mut functions.iter().map(|f| (format!("{}/{}", f.interface, f.name), f.signature.to_string())));
    let calls = lines(&mut exports.iter().map(|f| (format!("{}/{}", f.interface, f.name), f.signature.to_string())));
    let d = &found.descriptor;
    let object = json!({
        "name": d.name, "version": d.version, "digest": found.digest, "path": shown(&found.path),
        "abi": format!("{}.{}", found.abi.0, found.abi.1), "handlers": d.handlers, "ambient": d.ambient,
        "services": d.services, "schemes": d.schemes, "commands": d.commands,
        "offers": offers, "calls": calls, "config": d.config,
    });
    common.print_lines(&object, || text_of(found, &offers, &calls));
    Ok(ExitCode::SUCCESS)
}

fn text_of(found: &Found, offers: &[Json], calls: &[Json]) -> String {
    let d = &found.descriptor;
    let mut text = format!(
        "{} {}\n  file      {}\n  sha256    {}\n  ABI       {}.{}\n  handlers  {}\n",
        d.name,
        d.version,
        found.path.display(),
        found.digest,
        found.abi.0,
        found.abi.1,
        d.handlers.join(", ")
    );
    let mut part = |title: &str, list: &[Json]| {
        for (number, line) in list.iter().enumerate() {
            let word = |key: &str| line.get(key).and_then(Json::as_str).unwrap_or_default().to_owned();
            let title = if number == 0 { title } else { "" };
            text.push_str(&format!("  {title:<9} {}: {}\n", word("function"), word("signature")));
        }
    };
    part("offers", offers);
    part("calls", calls);
    for (name, help) in &d.commands {
        text.push_str(&format!("  command   {name}: {help}\n"));
    }
    if let Some(properties) = d.config.get("properties").and_then(Json::as_object) {
        for (key, schema) in properties {
            let about = schema.get("description").and_then(Json::as_str).unwrap_or_default();
            let default = schema.get("default").map(|default| format!(" (default {default})")).unwrap_or_default();
            text.push_str(&format!("  config    {key}: {about}{default}\n"));
        }
    }
    text.trim_end().to_owned()
}

/// `theater interfaces`.
pub fn interfaces(common: &Common) -> CommandResult {
    let plugins = Plugins::find(&common.plugins())?;
    for found in plugins.all() {
        let d = &found.descriptor;
        for provided in &d.provides {
            let functions: Vec<_> = provided.functions.iter().map(|function| function.name.as_str()).collect();
            let object = json!({
                "interface": provided.interface, "plugin": d.name, "handlers": d.handlers, "functions": functions,
                "direction": "import",
            });
            common.print_lines(&object, || {
                format!("{}  import, handler {}: {}", provided.interface, d.handlers.join(" or "), functions.join(", "))
            });
        }
        for called in &d.calls {
            let object = json!({
                "interface": called.interface, "plugin": d.name, "handlers": d.handlers,
                "functions": called.functions, "direction": "export", "required": called.required,
            });
            common.print_lines(&object, || {
                let need = if called.required { "required" } else { "optional" };
                let functions = called.functions.join(", ");
                format!("{}  export ({need}), handler {}: {functions}", called.interface, d.handlers.join(" or "))
            });
        }
    }
    Ok(ExitCode::SUCCESS)
}
