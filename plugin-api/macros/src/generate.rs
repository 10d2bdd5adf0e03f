//! The expansion of `bindings!`, put together from its parts.

use std::cell::RefCell;

use proc_macro2::TokenStream;
use quote::quote;
use syn::Result;

use crate::descriptor::symbols;
use crate::dispatch::dispatch;
use crate::faults::warnings;
use crate::input::Input;
use crate::interfaces::{called, provided};
use crate::modules::modules;
use crate::types::Types;
use crate::wit::Packages;

pub fn generate(input: &Input, packages: &Packages) -> Result<TokenStream> {
    let provided = input.provides.iter().map(|entry| provided(packages, entry)).collect::<Result<Vec<_>>>()?;
    let called = input.calls.iter().map(|entry| called(packages, entry)).collect::<Result<Vec<_>>>()?;
    let types = Types { resolve: &packages.resolve, span: input.wit.span(), long_tuples: RefCell::default() };
    let modules = modules(packages, &types, &provided, &called)?;
    let tuples = types.tuples();
    let dispatch = dispatch(input, &types, &provided, &called)?;
    let warnings = warnings(input, &types, &provided)?;
    let symbols = symbols(input, packages, &types, &provided, &called)?;
    Ok(quote!(#tuples #modules #dispatch #warnings #symbols))
}
