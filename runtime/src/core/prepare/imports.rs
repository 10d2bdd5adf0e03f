//! Checks the imports and exports of a component against its handlers and the manifest's `[interface]`.

use theater_chain::interface_name::meets;

use crate::core::Core;
use crate::core::prepared::{PreparedHandler, handler_error};
use crate::manifest::Manifest;
use crate::support::error::{ComponentProblem, Error, HandlerProblem, ManifestProblem};
use crate::wasm::component::Component;

impl Core {
    /// Checks that every import has exactly one handler. The error of a missing one names what would provide it: a
    /// handler to add, another version, or no plugin at all.
    pub(super) fn check_imports(
        &self,
        manifest: &Manifest,
        component: &Component,
        handlers: &[PreparedHandler],
    ) -> Result<(), Error> {
        for (number, handler) in handlers.iter().enumerate() {
            for provided in &handler.plugin.descriptor.provides {
                let before = handlers.iter().take(number).find(|other| {
                    other.plugin.descriptor.provides.iter().any(|theirs| theirs.interface == provided.interface)
                });
                if let Some(other) = before {
                    let what = HandlerProblem::Twice {
                        interface: provided.interface.clone(),
                        other: other.handler_type.clone(),
                    };
                    return Err(handler_error(&manifest.name, &handler.handler_type, handler.place.clone(), what));
                }
            }
        }
        let offered = |import: &str| {
            handlers.iter().any(|handler| {
                handler.plugin.descriptor.provides.iter().any(|provided| meets(&provided.interface, import))
            })
        };
        let missing: Vec<_> = component
            .imports
            .iter()
            .filter(|(import, functions)| !functions.is_empty() && !offered(import))
            .map(|(import, _)| import.clone())
            .collect();
        let refuse = |what| Err(Error::Component { path: component.path.clone(), what });
        let wasi: Vec<_> = missing.iter().filter(|import| import.starts_with("wasi:")).cloned().collect();
        if !wasi.is_empty() {
            return refuse(ComponentProblem::Wasi(wasi));
        }
        let Some(import) = missing.first() else { return Ok(()) };
        if let Some(found) = self.plugins.by_interface(import) {
            let handler = found.descriptor.handlers.first().cloned().unwrap_or_default();
            let manifest = manifest.path.clone();
            return refuse(ComponentProblem::MissingHandler { manifest, import: import.clone(), handler });
        }
        let bare = |name: &str| name.split('@').next().unwrap_or(name).to_owned();
        let other = self
            .plugins
            .all()
            .flat_map(|found| &found.descriptor.provides)
            .find(|provided| bare(&provided.interface) == bare(import));
        match other {
            Some(other) => {
                refuse(ComponentProblem::Version { import: import.clone(), offered: other.interface.clone() })
            }
            None => {
                let folder = self.plugins.folder().to_owned();
                refuse(ComponentProblem::UnknownImport { import: import.clone(), folder })
            }
        }
    }
}

/// Checks the manifest's `[interface]`, when present. A name without a version matches every version.
pub(super) fn check_interface(
    manifest: &Manifest,
    component: &Component,
    handlers: &[PreparedHandler],
) -> Result<(), Error> {
    let fits = |listed: &str, there: &str| listed == there || there.split('@').next() == Some(listed);
    let exported = |listed: &str| component.exports.iter().any(|export| fits(listed, &export.interface));
    let imported = |listed: &str| component.imports.iter().any(|(import, _)| fits(listed, import));
    let refuse = |verb, interface: &String| {
        let what = ManifestProblem::Interface { verb, interface: interface.clone() };
        Err(Error::Manifest { place: manifest.place("interface"), what })
    };
    if let Some(missing) = manifest.implements.iter().find(|listed| !exported(listed)) {
        return refuse("export", missing);
    }
    // A required interface that the component does not import is still granted when a handler offers it.
    let offered = |listed: &str| {
        let provides = handlers.iter().flat_map(|handler| &handler.plugin.descriptor.provides);
        provides.into_iter().any(|provided| fits(listed, &provided.interface))
    };
    match manifest.requires.iter().find(|listed| !imported(listed) && !offered(listed)) {
        Some(missing) => refuse("import", missing),
        None => Ok(()),
    }
}
