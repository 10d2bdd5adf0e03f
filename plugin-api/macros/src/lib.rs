//! `bindings!`: generates the types, traits and symbols of a plugin from WIT.
//!
//! `input` parses the macro's keys, `wit` reads the packages, and `interfaces` looks up the interfaces that the keys
//! name. `generate` puts the expansion together from `modules` (with `types` and `callers`), `dispatch`, `faults` and
//! `descriptor`. The keys are documented in `theater-plugin-api`.

#![forbid(unsafe_code)]

mod callers;
mod descriptor;
mod dispatch;
mod faults;
mod generate;
mod input;
mod interfaces;
mod modules;
mod names;
#[cfg(test)]
mod tests;
mod types;
mod wit;

use proc_macro::TokenStream;

/// See `theater_plugin_api::bindings`.
#[proc_macro]
pub fn bindings(tokens: TokenStream) -> TokenStream {
    let input = syn::parse_macro_input!(tokens as input::Input);
    match wit::Packages::read(&input).and_then(|packages| generate::generate(&input, &packages)) {
        Ok(tokens) => tokens.into(),
        Err(error) => error.into_compile_error().into(),
    }
}
