//! The implementation of `Dispatch`: from function numbers and encoded arguments to the author's methods.

use proc_macro2::TokenStream;
use quote::quote;
use syn::Result;
use wit_parser::Function;

use crate::input::{FunctionInput, Input};
use crate::interfaces::{Called, Provided};
use crate::names::snake;
use crate::types::{Reading, Types};

/// The arms of the matches on a number.
#[derive(Default)]
struct Arms {
    sync_functions: TokenStream,
    async_functions: TokenStream,
    function_names: TokenStream,
    export_names: TokenStream,
}

/// Implements `Dispatch` for the handler. Functions and exports are numbered in the order of the descriptor.
pub fn dispatch(
    input: &Input,
    types: &Types<'_>,
    provided: &[Provided<'_>],
    called: &[Called<'_>],
) -> Result<TokenStream> {
    let mut arms = Arms::default();
    let functions =
        provided.iter().flat_map(|interface| interface.functions.iter().map(move |entry| (interface, entry)));
    for (number, (interface, (function, entry))) in functions.enumerate() {
        let (number, full) = (number as u32, format!("{}/{}", interface.name, function.name));
        arms.function_names.extend(quote!(#number => #full,));
        let body = body(types, interface, function, entry)?;
        let of_kind = if entry.is_async { &mut arms.async_functions } else { &mut arms.sync_functions };
        of_kind.extend(quote!(#number => { #body }));
    }
    let exports =
        called.iter().flat_map(|interface| interface.functions.iter().map(move |function| (interface, function)));
    for (number, (interface, function)) in exports.enumerate() {
        let (number, full) = (number as u32, format!("{}/{}", interface.name, function.name));
        arms.export_names.extend(quote!(#number => #full,));
    }
    Ok(implementation(input, &arms))
}

/// Decodes the arguments, calls the method and stores its result.
fn body(
    types: &Types<'_>,
    interface: &Provided<'_>,
    function: &Function,
    entry: &FunctionInput,
) -> Result<TokenStream> {
    let (the_trait, method) = (types.trait_path(interface.id, &interface.name)?, snake(&function.name));
    let values: Vec<_> = (0..function.params.len()).map(|i| snake(&format!("value-{i}"))).collect();
    let readings = function
        .params
        .iter()
        .map(|param| {
            let reading = types.borrowed(&param.ty, Some(interface.id))?.1;
            Ok(match reading {
                Reading::Text if !entry.is_async => quote!(string),
                Reading::Bytes if !entry.is_async => quote!(bytes),
                _ => quote!(value),
            })
        })
        .collect::<Result<Vec<_>>>()?;
    let decode = quote! {
        #(let #values = match arguments.#readings() {
            Ok(value) => value,
            Err(error) => return answer(place, ::theater_plugin_api::__private::bad_arguments(&error)),
        };)*
        if let Err(error) = arguments.finish() {
            return answer(place, ::theater_plugin_api::__private::bad_arguments(&error));
        }
    };
    let last = function.result.as_ref().and_then(|ty| types.last_bytes(ty));
    let give = last.map_or_else(|| quote!(place.give(&value)), |last| quote!(place.give_to_last(value, |value| #last)));
    Ok(if entry.is_async {
        quote! {
            #decode
            ::theater_plugin_api::__private::begin(
                #the_trait::#method(self, call, #(#values),*),
                place,
                |value, place| #give,
            )
        }
    } else {
        quote! {
            #decode
            let value = #the_trait::#method(self, call, #(#values),*);
            #give;
        }
    })
}

fn implementation(input: &Input, arms: &Arms) -> TokenStream {
    let handler = &input.handler;
    let Arms { sync_functions, async_functions, function_names, export_names } = arms;
    quote! {
        #[allow(clippy::all, clippy::pedantic)]
        impl ::theater_plugin_api::Dispatch for #handler {
            fn dispatch_sync(
                &self,
                call: &::theater_plugin_api::Call,
                function: u32,
                mut arguments: ::theater_plugin_api::__private::Reader<'_>,
                place: &mut ::theater_plugin_api::__private::ResultBuffer<'_>,
            ) {
                let answer = ::theater_plugin_api::__private::ResultBuffer::answer;
                match function {
                    #sync_functions
                    other => answer(place, ::theater_plugin_api::__private::no_such_function(other)),
                }
            }
            fn dispatch<'a>(
                &'a self,
                call: &'a ::theater_plugin_api::Call,
                function: u32,
                mut arguments: ::theater_plugin_api::__private::Reader<'_>,
                place: &mut ::theater_plugin_api::__private::ResultBuffer<'_>,
            ) -> ::std::option::Option<::theater_plugin_api::__private::Pending<'a>> {
                let answer = |place: &mut ::theater_plugin_api::__private::ResultBuffer<'_>, answer| {
                    place.answer(answer);
                    None
                };
                match function {
                    #async_functions
                    other => answer(place, ::theater_plugin_api::__private::no_such_function(other)),
                }
            }
            fn function_name(function: u32) -> &'static str {
                match function {
                    #function_names
                    _ => "",
                }
            }
            fn export_name(export: u32) -> &'static str {
                match export {
                    #export_names
                    _ => "",
                }
            }
        }
    }
}
