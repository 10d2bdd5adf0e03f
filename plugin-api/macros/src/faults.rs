//! How a function reports a fault: a panic in the plugin, or an effect whose outcome is unknown after a crash.

use proc_macro2::TokenStream;
use quote::quote_spanned;
use syn::{Error, Result};
use wit_parser::Function;

use crate::input::Input;
use crate::interfaces::Provided;
use crate::types::{FaultReport, Types};

/// The case of a variant or an enum that the key `fault` names.
pub fn fault_case(input: &Input) -> Option<&str> {
    input.fault.as_ref().and_then(|fault| fault.case.as_deref())
}

/// A compile-time warning for each function whose `err` cannot report a fault.
///
/// # Errors
/// The key `fault` names a case that no function has.
pub fn warnings(input: &Input, types: &Types<'_>, provided: &[Provided<'_>]) -> Result<TokenStream> {
    let case = fault_case(input);
    let all = || provided.iter().flat_map(|interface| interface.functions.iter());
    let report = |function: &Function| types.fault_report(function.result.as_ref(), case);
    if let (Some(fault), Some(case)) = (&input.fault, case)
        && !all().any(|(function, _)| matches!(report(function), FaultReport::Case))
    {
        let what = format!("no function's error has a case {case} that carries text or nothing");
        return Err(Error::new(fault.span, what));
    }
    // `fault: none` is a deliberate decision.
    if input.fault.as_ref().is_some_and(|fault| fault.case.is_none()) {
        return Ok(TokenStream::new());
    }
    let unreported = all().filter(|(function, _)| matches!(report(function), FaultReport::Impossible));
    let notes = unreported.map(|(function, entry)| {
        let note = format!(
            "a panic in {0}, or a crash while it runs, fails the calling actor: the error of {0} has no case for it. Name one \
             that carries text or nothing with `fault: case`, or write `fault: none` if that is meant",
            function.name
        );
        quote_spanned! { entry.name.span() =>
            const _: () = {
                #[deprecated(note = #note)]
                const FAULT: () = ();
                FAULT
            };
        }
    });
    Ok(notes.collect())
}
