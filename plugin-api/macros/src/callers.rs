//! The typed calls of an actor's exports.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Error, Result};
use wit_parser::{Function, Type, TypeDefKind};

use crate::interfaces::Called;
use crate::names::snake;
use crate::types::{Types, docs};

/// The parameters and the values after the state of a function with the signature
/// `f(state, params: tuple<..>) -> result<tuple<state[, tuple<..>]>, string>`.
fn handler_signature<'a>(types: &'a Types<'_>, function: &'a Function) -> Option<(&'a [Type], &'a [Type])> {
    let kind = |ty: &Type| match ty {
        Type::Id(id) => types.resolve.types.get(*id).map(|def| &def.kind),
        _ => None,
    };
    let tuple = |ty: &Type| match kind(ty) {
        Some(TypeDefKind::Tuple(tuple)) => Some(tuple.types.as_slice()),
        _ => None,
    };
    let [_, params] = function.params.as_slice() else { return None };
    let params = tuple(&params.ty)?;
    let Some(TypeDefKind::Result(result)) = kind(function.result.as_ref()?) else { return None };
    match tuple(result.ok.as_ref()?)? {
        [_] => Some((params, &[])),
        [_, values] => Some((params, tuple(values)?)),
        _ => None,
    }
}

/// For each function of an interface: an async function that calls it, one that makes an `Invocation` of it, and one
/// that says whether the actor exports it. `first` is the number of the first function in the descriptor's `calls`.
pub fn callers(types: &Types<'_>, called: &Called<'_>, first: usize) -> Result<TokenStream> {
    let mut all = TokenStream::new();
    for (offset, function) in called.functions.iter().enumerate() {
        let number = (first + offset) as u32;
        let (params, values) = handler_signature(types, function).ok_or_else(|| {
            let what = format!(
                "{}: {} is not f(state: option<list<u8>>, params: tuple<..>) -> result<tuple<option<list<u8>>, tuple<..>>, string>",
                called.name, function.name
            );
            Error::new(types.span, what)
        })?;
        let names: Vec<_> = (0..params.len()).map(|i| snake(&format!("param-{i}"))).collect();
        let params = params.iter().map(|ty| types.name(ty, Some(called.id))).collect::<Result<Vec<_>>>()?;
        let values = values.iter().map(|ty| types.name(ty, Some(called.id))).collect::<Result<Vec<_>>>()?;
        let (result, unpack) = match values.as_slice() {
            [] => (quote!(()), quote!(|()| ())),
            [one] => (quote!(#one), quote!(|(value,): (#one,)| value)),
            many => (quote!((#(#many,)*)), quote!(|values| values)),
        };
        let docs = docs(&function.docs, &function.name);
        let prefixed = |prefix: &str| snake(&format!("{prefix}-{}", function.name));
        let (name, asks, invoke) = (snake(&function.name), prefixed("exports"), prefixed("invoke"));
        let doc = format!("Whether the actor exports `{}`.", function.name);
        let invoke_doc = format!(
            "A call of `{}`, for the methods of `Host` that deliver it (service `theater.messages`).",
            function.name
        );
        all.extend(quote! {
            #docs
            pub async fn #name(
                host: &::theater_plugin_api::Host,
                cause: &str,
                #(#names: &#params),*
            ) -> ::std::result::Result<#result, ::theater_plugin_api::CallError> {
                host.invoke(#invoke(#(#names),*)?, cause, None).await
            }
            #[doc = #invoke_doc]
            pub fn #invoke(
                #(#names: &#params),*
            ) -> ::std::result::Result<
                ::theater_plugin_api::Invocation<#result>,
                ::theater_plugin_api::CallError,
            > {
                #[allow(unused_mut)]
                let mut params = ::std::vec::Vec::new();
                #(::theater_plugin_api::__private::encode_into(#names, &mut params)
                    .map_err(|error| ::theater_plugin_api::CallError::Decode(error.to_string()))?;)*
                Ok(::theater_plugin_api::__private::invocation(#number, params, |answer| {
                    ::theater_plugin_api::__private::values(answer).map(#unpack)
                }))
            }
            #[doc = #doc]
            #[must_use]
            pub fn #asks(host: &::theater_plugin_api::Host) -> bool {
                host.exports(#number)
            }
        });
    }
    Ok(all)
}
