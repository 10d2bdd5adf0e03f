//! The signatures of the functions that a plugin offers and of the exports that it calls, from the WIT in its descriptor.

use theater_chain::value_type::{FaultCase, Signature, resolve_wit};
use theater_plugin_api::descriptor::{Descriptor, Effect};

use crate::support::error::Problem;

/// A function a plugin offers.
#[derive(Debug, Clone)]
pub struct PluginFunction {
    /// `package:name/interface[@version]`.
    pub interface: String,
    /// Its name.
    pub name: String,
    /// Parameters and result.
    pub signature: Signature,
    /// Whether it is called as a future.
    pub is_async: bool,
    /// The effect that a call has outside of the actor.
    pub effect: Effect,
    /// The case of its error type that reports a fault, if there is one.
    pub fault: Option<FaultCase>,
}

/// An export a plugin calls.
#[derive(Debug, Clone)]
pub struct PluginExport {
    /// `package:name/interface[@version]`.
    pub interface: String,
    /// Its name.
    pub name: String,
    /// Parameters and result.
    pub signature: Signature,
    /// Whether an actor must have it to start.
    pub required: bool,
}

/// The functions and exports of a descriptor, with their signatures.
///
/// # Errors
/// The WIT does not parse, or lacks a function that the descriptor names.
pub(super) fn signatures_of(descriptor: &Descriptor) -> Result<(Vec<PluginFunction>, Vec<PluginExport>), Problem> {
    let (resolve, _) = resolve_wit(&descriptor.wit).map_err(Problem::Wit)?;
    let signature = |interface: &str, function: &str| {
        let missing = || Problem::Wit(format!("it has no {interface}/{function}"));
        let (_, found) = resolve
            .interfaces
            .iter()
            .find(|(id, _)| resolve.id_of(*id).as_deref() == Some(interface))
            .ok_or_else(missing)?;
        let found = found.functions.get(function).ok_or_else(missing)?;
        Signature::of_wit(&resolve, found).map_err(|error| Problem::Wit(format!("{interface}/{function}: {error}")))
    };
    let mut functions = Vec::new();
    for provided in &descriptor.provides {
        for function in &provided.functions {
            let signature = signature(&provided.interface, &function.name)?;
            let case = function.fault.as_deref();
            let fault = signature.result.as_ref().and_then(|result| result.fault_case(case));
            if let (Some(case), None) = (case, &fault) {
                let (interface, name) = (&provided.interface, &function.name);
                let what = format!("{interface}/{name}: its error has no case {case} that carries text or nothing");
                return Err(Problem::Wit(what));
            }
            functions.push(PluginFunction {
                interface: provided.interface.clone(),
                name: function.name.clone(),
                signature,
                is_async: function.r#async,
                effect: function.effect,
                fault,
            });
        }
    }
    let mut exports = Vec::new();
    for called in &descriptor.calls {
        for function in &called.functions {
            exports.push(PluginExport {
                interface: called.interface.clone(),
                name: function.clone(),
                signature: signature(&called.interface, function)?,
                required: called.required,
            });
        }
    }
    Ok((functions, exports))
}
