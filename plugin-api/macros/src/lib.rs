//! The `bindings!` macro: generates the types, traits and symbols of a plugin from its WIT.
//!
//! `input` parses the macro's keys and `wit` reads the packages. `types` generates Rust types; `glue` generates the
//! traits, the dispatch, the typed calls and the descriptor. The keys are documented in `theater-plugin-api`.

#![forbid(unsafe_code)]

mod glue;
mod input;
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
    match wit::Packages::read(&input).and_then(|packages| glue::generate(&input, &packages)) {
        Ok(tokens) => tokens.into(),
        Err(error) => error.into_compile_error().into(),
    }
}
