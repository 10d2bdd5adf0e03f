//! The interfaces that the plugin provides and calls, with the functions that the macro's keys name.

use syn::{Error, LitStr, Result};
use wit_parser::{Function, FunctionKind, Interface, InterfaceId};

use crate::input::FunctionInput;
use crate::wit::Packages;

/// An interface that the plugin implements.
pub struct Provided<'a> {
    pub id: InterfaceId,
    pub name: String,
    pub functions: Vec<(&'a Function, &'a FunctionInput)>,
}

/// An interface of the actor that the plugin calls.
pub struct Called<'a> {
    pub id: InterfaceId,
    pub name: String,
    pub functions: Vec<&'a Function>,
    pub required: bool,
}

/// The interface that a key of `provides` names. Every function must have an effect.
pub fn provided<'a>(packages: &'a Packages, (name, entries): &'a (LitStr, Vec<FunctionInput>)) -> Result<Provided<'a>> {
    let (id, interface) = packages.interface(name)?;
    for entry in entries {
        if !interface.functions.contains_key(&entry.name.value()) {
            return Err(Error::new(entry.name.span(), format!("{} has no such function", name.value())));
        }
    }
    let functions = functions(name, interface)?
        .into_iter()
        .map(|function| {
            entries.iter().find(|entry| entry.name.value() == function.name).map(|entry| (function, entry)).ok_or_else(
                || {
                    let missing =
                        format!("{} also has the function {}: name it with its effect", name.value(), function.name);
                    Error::new(name.span(), missing)
                },
            )
        })
        .collect::<Result<_>>()?;
    Ok(Provided { id, name: name.value(), functions })
}

/// The interface that a key of `calls` names.
pub fn called<'a>(packages: &'a Packages, (name, required): &'a (LitStr, bool)) -> Result<Called<'a>> {
    let (id, interface) = packages.interface(name)?;
    Ok(Called { id, name: name.value(), functions: functions(name, interface)?, required: *required })
}

fn functions<'a>(name: &LitStr, interface: &'a Interface) -> Result<Vec<&'a Function>> {
    interface
        .functions
        .values()
        .map(|function| match function.kind {
            FunctionKind::Freestanding => Ok(function),
            _ => {
                let what = format!("{}: {} is async or of a resource, which cannot cross", name.value(), function.name);
                Err(Error::new(name.span(), what))
            }
        })
        .collect()
}
