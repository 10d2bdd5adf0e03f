//! Links a component with the plugins of its handlers: defines their functions, and checks imports and exports.
//!
//! A component is linked once for each set of plugins, not once for each actor: host functions find the actor and its
//! handlers in the store's data ([`Guest`]).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use theater_chain::interface_name::{ACTOR, INIT, meets};
use theater_chain::record::FunctionRecord;
use wasmtime::Engine;
use wasmtime::component::{ComponentExportIndex, InstancePre, Linker};

use crate::actor::{Export, Interface};
use crate::plugin::loaded::Plugin;
use crate::plugin::signatures::PluginFunction;
use crate::support::error::{ComponentProblem, Error};
use crate::wasm::component::Component;
use crate::wasm::host_function::HostFunction;

use crate::wasm::define::define;
use crate::wasm::guest::Guest;
use crate::wasm::import::Import;

/// A component, linked with the plugins of its handlers.
pub struct Linked {
    /// The component.
    pub component: Arc<Component>,
    /// Ready to instantiate.
    pub pre: InstancePre<Guest>,
    /// The exports and functions of the actor, by name.
    pub interface: Arc<Interface>,
    /// The same exports, as an instance looks them up.
    pub exports: Vec<LinkedExport>,
    /// For each handler and each export that its plugin calls: the index in `exports`, none if the component lacks it.
    pub calls: Vec<Vec<Option<u32>>>,
}

/// An export that can be called.
pub struct LinkedExport {
    /// Its index in an instance.
    pub index: ComponentExportIndex,
    /// The number of core values of state and params together.
    pub flat: usize,
}

/// A cache of linked components, by engine, component and plugins.
#[derive(Default)]
pub struct Links {
    cache: Mutex<HashMap<(bool, String), Arc<Linked>>>,
}

impl Links {
    /// Returns the component linked with the plugins, in the order of the actor's handlers.
    ///
    /// # Errors
    /// Imports and exports that do not fit the plugins: `C0004` to `C0014`.
    pub fn get(
        &self,
        engine: &Engine,
        pooled: bool,
        component: &Arc<Component>,
        plugins: &[Arc<Plugin>],
    ) -> Result<Arc<Linked>, Error> {
        let mut name = component.digest.clone();
        for plugin in plugins {
            name.push_str(&plugin.digest);
        }
        let key = (pooled, name);
        if let Some(known) = self.cache.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(Arc::clone(known));
        }
        let linked =
            link(engine, component, plugins).map_err(|what| Error::Component { path: component.path.clone(), what })?;
        let linked = Arc::new(linked);
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).insert(key, Arc::clone(&linked));
        Ok(linked)
    }

    /// Drops the linked components that no actor and no prepared manifest refers to.
    pub fn drop_unused(&self) {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, linked| Arc::strong_count(linked) > 1);
    }
}

/// Defines every function of the plugins in a linker. The order of plugins and functions is that of the records in the
/// chain.
fn link(engine: &Engine, component: &Arc<Component>, plugins: &[Arc<Plugin>]) -> Result<Linked, ComponentProblem> {
    check_imports(component, plugins)?;
    let mut functions = Vec::new();
    let mut linker = Linker::<Guest>::new(engine);
    let failed = |error: wasmtime::Error| ComponentProblem::Link(format!("{error:#}"));
    for (slot, plugin) in plugins.iter().enumerate() {
        let mut interfaces: Vec<(&str, Vec<(u32, &PluginFunction)>)> = Vec::new();
        for (number, function) in plugin.functions.iter().enumerate() {
            match interfaces.last_mut() {
                Some((name, members)) if *name == function.interface => members.push((number as u32, function)),
                _ => interfaces.push((&function.interface, vec![(number as u32, function)])),
            }
        }
        for (interface, members) in interfaces {
            let mut instance = linker.instance(interface).map_err(failed)?;
            for (number, function) in members {
                let record = functions.len() as u32;
                functions.push(FunctionRecord {
                    interface: interface.to_owned(),
                    function: function.name.clone(),
                    handler: Some(slot as u32),
                });
                let import = Arc::new(Import { slot, record, ..Import::of(number, function) });
                let host_function = HostFunction { instance: &mut instance, name: &function.name, import };
                define(&function.signature, host_function).map_err(failed)?;
            }
        }
    }
    let ((named, exports), calls, init) = link_exports(component, plugins, &mut functions)?;
    let pre = linker.instantiate_pre(&component.compiled).map_err(failed)?;
    let interface = Arc::new(Interface { exports: named, functions, init });
    Ok(Linked { component: Arc::clone(component), pre, interface, exports, calls })
}

/// Checks that one of the plugins offers each import that has functions, with the same types.
fn check_imports(component: &Component, plugins: &[Arc<Plugin>]) -> Result<(), ComponentProblem> {
    for (import, wanted) in component.imports.iter().filter(|(_, functions)| !functions.is_empty()) {
        let offers: Vec<_> = plugins
            .iter()
            .flat_map(|plugin| plugin.functions.iter().map(move |function| (plugin, function)))
            .filter(|(_, function)| meets(&function.interface, import))
            .collect();
        let Some((plugin, _)) = offers.first() else {
            let folder = std::path::PathBuf::from("the plugin folder");
            return Err(ComponentProblem::UnknownImport { import: import.clone(), folder });
        };
        for (name, signature) in wanted {
            let Some((_, offered)) = offers.iter().find(|(_, function)| function.name == *name) else {
                return Err(ComponentProblem::NoFunction {
                    interface: import.clone(),
                    function: name.clone(),
                    plugin: plugin.descriptor.name.clone(),
                });
            };
            if offered.signature != *signature {
                return Err(differs(import, name, &signature.to_string(), &offered.signature.to_string()));
            }
        }
    }
    Ok(())
}

fn differs(interface: &str, function: &str, found: &str, offered: &str) -> ComponentProblem {
    ComponentProblem::Type {
        interface: interface.to_owned(),
        function: function.to_owned(),
        found: found.to_owned(),
        offered: offered.to_owned(),
    }
}

/// Exports by name and as an instance has them, the exports that each plugin calls, and the index of `init`.
type Exports = ((Vec<Export>, Vec<LinkedExport>), Vec<Vec<Option<u32>>>, usize);

/// Finds `init` and the exports that the plugins call, and checks their types.
fn link_exports(
    component: &Component,
    plugins: &[Arc<Plugin>],
    functions: &mut Vec<FunctionRecord>,
) -> Result<Exports, ComponentProblem> {
    let (mut named, mut exports) = (Vec::<Export>::new(), Vec::new());
    let mut add = |interface: &str, function: &str| -> Result<Option<u32>, ComponentProblem> {
        let Some(export) = component.export(interface, function) else { return Ok(None) };
        let label = format!("{}/{}", export.interface, export.name);
        if let Some(known) = named.iter().position(|known| known.label == label) {
            return Ok(Some(known as u32));
        }
        let (params, _) = export.signature.handler().ok_or_else(|| ComponentProblem::Convention {
            export: label.clone(),
            found: export.signature.to_string(),
        })?;
        let record =
            FunctionRecord { interface: export.interface.clone(), function: export.name.clone(), handler: None };
        functions.push(record);
        named.push(Export { label, params: params.to_vec(), function: functions.len() as u32 - 1 });
        exports.push(LinkedExport { index: export.index, flat: export.signature.flat_params() });
        Ok(Some(exports.len() as u32 - 1))
    };
    let missing = |interface: &str, function: &str, who: String| ComponentProblem::MissingExport {
        export: format!("{interface}/{function}"),
        who,
    };
    let init = add(ACTOR, INIT)?.ok_or_else(|| missing(ACTOR, INIT, "every actor".to_owned()))?;
    let mut calls = Vec::new();
    for plugin in plugins {
        let mut of_plugin = Vec::new();
        for wanted in &plugin.exports {
            let found = add(&wanted.interface, &wanted.name)?;
            if let Some(export) = component.export(&wanted.interface, &wanted.name) {
                if export.signature != wanted.signature {
                    let (found, offered) = (export.signature.to_string(), wanted.signature.to_string());
                    return Err(differs(&wanted.interface, &wanted.name, &found, &offered));
                }
            } else if wanted.required {
                let who = format!("the plugin {:?}", plugin.descriptor.name);
                return Err(missing(&wanted.interface, &wanted.name, who));
            }
            of_plugin.push(found);
        }
        calls.push(of_plugin);
    }
    Ok(((named, exports), calls, init as usize))
}
