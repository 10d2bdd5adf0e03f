//! The handlers of an actor: finds the plugin of each, checks its config and narrows it under the ceiling.

use std::sync::Arc;

use serde_json::Value as Json;
use theater_plugin_api::abi::OK;

use theater_chain::interface_name::meets;

use crate::core::Core;
use crate::core::prepared::{PreparedHandler, handler_error};
use crate::manifest::{Ceilings, HandlerEntry, Manifest};
use crate::plugin::config;
use crate::plugin::loaded::Plugin;
use crate::support::error::Problem;
use crate::support::error::{Error, HandlerProblem, ManifestProblem, SourceLocation, suggest};
use crate::wasm::component::Component;

impl Core {
    /// Prepares one handler: loads its plugin, checks its config against the schema, and narrows it under `ceiling`.
    pub(super) fn prepare_handler(
        self: &Arc<Self>,
        manifest: &Manifest,
        entry: &HandlerEntry,
        ceiling: Json,
    ) -> Result<PreparedHandler, Error> {
        let handler_type = &entry.handler_type;
        let Some(found) = self.plugins.by_handler(handler_type)? else {
            return Err(self.no_plugin(manifest, entry));
        };
        let plugin = self.load(found)?;
        config::check(manifest, entry, &plugin)?;
        if let Some(interface) = &entry.interface
            && !plugin.exports.iter().any(|export| meets(&export.interface, interface))
        {
            let what = ManifestProblem::Value {
                key: "interface".to_owned(),
                reason: format!("handler {handler_type:?} does not call {interface}"),
                help: format!("it calls {}", called_interfaces(&plugin)),
            };
            let place = location(manifest, entry);
            return Err(Error::Manifest { place, what });
        }
        let mut requested = entry.config.clone();
        config::resolve_paths(&plugin.descriptor.config, &mut requested, &manifest.folder);
        let config = narrow(&plugin, handler_type, &ceiling, &requested)
            .map_err(|what| handler_error(&manifest.name, handler_type, Some(location(manifest, entry)), what))?;
        let place = Some(location(manifest, entry));
        Ok(PreparedHandler::new(handler_type, place, plugin, config, ceiling))
    }

    /// The error of a handler type that no plugin has. When a file of the plugin folder with a matching name could not
    /// be used, the problem of that file is the error.
    fn no_plugin(&self, manifest: &Manifest, entry: &HandlerEntry) -> Error {
        let handler = entry.handler_type.as_str();
        for problem in &self.plugins.problems {
            let name = problem.name.as_ref().map(|(name, _)| name.as_str()).unwrap_or_default();
            let stem =
                problem.path.file_stem().map(|stem| stem.to_string_lossy().replace('_', "-")).unwrap_or_default();
            let wanted = handler.replace(':', "-");
            if name == handler || name == wanted || stem.trim_start_matches("lib") == wanted {
                return Error::Plugin { what: Arc::clone(problem) };
            }
        }
        let known = self.plugins.all().flat_map(|found| found.descriptor.handlers.iter().map(String::as_str));
        let suggestion = suggest(handler, known);
        let what = HandlerProblem::NoPlugin { folder: self.plugins.folder().to_owned(), suggestion };
        handler_error(&manifest.name, handler, Some(location(manifest, entry)), what)
    }

    /// Adds a handler for each ambient plugin whose interfaces the component imports, after those of the manifest.
    pub(super) fn add_ambient(
        self: &Arc<Self>,
        component: &Component,
        handlers: &mut Vec<PreparedHandler>,
        ceilings: &Ceilings,
    ) -> Result<(), Error> {
        for found in self.plugins.all().filter(|found| found.descriptor.ambient) {
            let wanted = component.imports.iter().any(|(import, functions)| {
                let offered = |interface: &String| meets(interface, import);
                !functions.is_empty() && found.descriptor.provides.iter().any(|provided| offered(&provided.interface))
            });
            let there = handlers.iter().any(|handler| handler.plugin.descriptor.name == found.descriptor.name);
            if !wanted || there {
                continue;
            }
            let Some(handler_type) = found.descriptor.handlers.first() else { continue };
            self.plugins.by_handler(handler_type)?;
            if !is_ours(handler_type) && !self.options.allow_ambient.contains(&found.descriptor.name) {
                return Err(found.problem(Problem::Ambient));
            }
            let plugin = self.load(found)?;
            let (ceiling, nothing) = (ceilings.of(handler_type), Json::Object(Default::default()));
            let config = narrow(&plugin, handler_type, &ceiling, &nothing)
                .map_err(|what| handler_error(&found.descriptor.name, handler_type, None, what))?;
            handlers.push(PreparedHandler::new(handler_type, None, plugin, config, ceiling));
        }
        Ok(())
    }
}

/// Returns whether a handler type is one of ours: ours have no colon, those of third parties are `vendor:name`. Only
/// ours are ambient without the operator's consent.
fn is_ours(handler_type: &str) -> bool {
    !handler_type.contains(':')
}

fn location(manifest: &Manifest, entry: &HandlerEntry) -> SourceLocation {
    SourceLocation { path: manifest.path.clone(), line: Some(entry.line) }
}

/// Returns the interfaces that a plugin calls, as text.
fn called_interfaces(plugin: &Plugin) -> String {
    let mut names: Vec<_> = plugin.exports.iter().map(|export| export.interface.as_str()).collect();
    names.dedup();
    if names.is_empty() { "no interface of the actor's".to_owned() } else { names.join(", ") }
}

/// Asks a plugin to narrow a requested config under a ceiling.
fn narrow(plugin: &Plugin, handler: &str, ceiling: &Json, requested: &Json) -> Result<Json, HandlerProblem> {
    let answer = plugin.object.narrow(handler, &ceiling.to_string(), &requested.to_string());
    if answer.status != OK {
        return Err(HandlerProblem::Narrow(answer.sentence()));
    }
    serde_json::from_slice(&answer.bytes).map_err(|error| HandlerProblem::Narrow(error.to_string()))
}
