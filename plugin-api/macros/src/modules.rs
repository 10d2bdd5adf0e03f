//! A module per namespace, package and interface: its types, its trait and its typed calls.

use std::collections::BTreeMap;

use proc_macro2::TokenStream;
use quote::quote;
use syn::Result;
use wit_parser::{Function, InterfaceId};

use crate::callers::callers;
use crate::interfaces::{Called, Provided};
use crate::names::snake;
use crate::types::{Types, docs};
use crate::wit::Packages;

/// The modules for all interfaces that the plugin provides, calls or uses types from.
pub fn modules(
    packages: &Packages,
    types: &Types<'_>,
    provided: &[Provided<'_>],
    called: &[Called<'_>],
) -> Result<TokenStream> {
    let roots: Vec<_> = provided.iter().map(|p| p.id).chain(called.iter().map(|c| c.id)).collect();
    let mut tree = BTreeMap::<String, BTreeMap<String, TokenStream>>::new();
    for id in packages.closure(&roots) {
        let (Some(interface), Some([namespace, package, name])) = (packages.resolve.interfaces.get(id), types.path(id))
        else {
            continue;
        };
        let declarations = types.declarations(id, interface)?;
        let the_trait = provided.iter().find(|p| p.id == id).map(|p| provided_trait(types, p)).transpose()?;
        let first = called.iter().take_while(|c| c.id != id).map(|c| c.functions.len()).sum();
        let callers = called.iter().find(|c| c.id == id).map(|c| callers(types, c, first)).transpose()?;
        let text = docs(&interface.docs, &name.to_string());
        let module = quote! {
            #text
            #[allow(dead_code, clippy::all, missing_docs, rustdoc::all)]
            pub mod #name { #declarations #the_trait #callers }
        };
        tree.entry(namespace.to_string()).or_default().entry(package.to_string()).or_default().extend(module);
    }
    Ok(tree
        .into_iter()
        .map(|(namespace, packages)| {
            let namespace_name = snake(&namespace);
            let doc = format!("Packages of `{namespace}`.");
            let packages = packages.into_iter().map(|(package, modules)| {
                let doc = format!("Interfaces of `{namespace}:{package}`.");
                let package = snake(&package);
                quote!(#[doc = #doc] pub mod #package { #modules })
            });
            quote!(#[doc = #doc] pub mod #namespace_name { #(#packages)* })
        })
        .collect())
}

fn result_type(types: &Types<'_>, function: &Function, from: Option<InterfaceId>) -> Result<TokenStream> {
    function.result.as_ref().map_or(Ok(quote!(())), |ty| types.name(ty, from))
}

fn provided_trait(types: &Types<'_>, provided: &Provided<'_>) -> Result<TokenStream> {
    let name = types.trait_name(provided.id, &provided.name)?;
    let methods = provided
        .functions
        .iter()
        .map(|(function, entry)| {
            let docs = docs(&function.docs, &function.name);
            let method = snake(&function.name);
            let params = function
                .params
                .iter()
                .map(|param| {
                    let name = snake(&param.name);
                    let ty = if entry.is_async {
                        types.name(&param.ty, Some(provided.id))?
                    } else {
                        types.borrowed(&param.ty, Some(provided.id))?.0
                    };
                    Ok(quote!(#name: #ty))
                })
                .collect::<Result<Vec<_>>>()?;
            let result = result_type(types, function, Some(provided.id))?;
            let result = if entry.is_async {
                quote!(impl ::std::future::Future<Output = #result> + ::std::marker::Send)
            } else {
                result
            };
            Ok(quote!(#docs fn #method(&self, call: &::theater_plugin_api::Call, #(#params),*) -> #result;))
        })
        .collect::<Result<Vec<_>>>()?;
    let doc = format!("The interface `{}`, which the handler implements.", provided.name);
    Ok(quote!(#[doc = #doc] pub trait #name { #(#methods)* }))
}
