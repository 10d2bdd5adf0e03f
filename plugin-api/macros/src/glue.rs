//! Generates the modules, traits, dispatch, typed calls and the descriptor.

use proc_macro2::{Literal, TokenStream};
use quote::{quote, quote_spanned};
use serde_json::{Value, json};
use syn::{Error, LitStr, Result};
use wit_parser::{Function, FunctionKind, Interface, InterfaceId, Type, TypeDefKind};

use crate::input::{FunctionInput, Input};
use crate::names::snake;
use crate::types::{Reading, Telling, Types, docs};
use crate::wit::Packages;

struct Provided<'a> {
    id: InterfaceId,
    name: String,
    functions: Vec<(&'a Function, &'a FunctionInput)>,
}

struct Called<'a> {
    id: InterfaceId,
    name: String,
    functions: Vec<&'a Function>,
    required: bool,
}

pub fn generate(input: &Input, packages: &Packages) -> Result<TokenStream> {
    let provided = input.provides.iter().map(|entry| provided(packages, entry)).collect::<Result<Vec<_>>>()?;
    let called = input.calls.iter().map(|entry| called(packages, entry)).collect::<Result<Vec<_>>>()?;
    let types =
        Types { resolve: &packages.resolve, span: input.wit.span(), long_tuples: std::cell::RefCell::default() };
    let modules = modules(packages, &types, &provided, &called)?;
    let tuples = types.tuples();
    let dispatch = dispatch(input, &types, &provided, &called)?;
    let notes = notes(input, &types, &provided)?;
    let symbols = symbols(input, packages, &types, &provided, &called)?;
    Ok(quote!(#tuples #modules #dispatch #notes #symbols))
}

fn fault_case(input: &Input) -> Option<&str> {
    input.fault.as_ref().and_then(|fault| fault.case.as_deref())
}

/// Generates a warning for each function that has an `err` but cannot report a fault with it.
///
/// # Errors
/// If `fault` names a case that no function has.
fn notes(input: &Input, types: &Types<'_>, provided: &[Provided<'_>]) -> Result<TokenStream> {
    let case = fault_case(input);
    let all = || provided.iter().flat_map(|interface| interface.functions.iter());
    let telling = |function: &Function| types.telling(function.result.as_ref(), case);
    if let (Some(fault), Some(case)) = (&input.fault, case)
        && !all().any(|(function, _)| matches!(telling(function), Telling::Case))
    {
        let what = format!("no function's error has a case {case} that carries text or nothing");
        return Err(Error::new(fault.span, what));
    }
    // `fault: none` states that this is intended.
    if input.fault.as_ref().is_some_and(|fault| fault.case.is_none()) {
        return Ok(TokenStream::new());
    }
    let untold = all().filter(|(function, _)| matches!(telling(function), Telling::Untold));
    let notes = untold.map(|(function, entry)| {
        let note = format!(
            "a panic in {0}, or a crash while it runs, fails the calling actor: the error of {0} has no case for it. Name one \
             that carries text or nothing with `fault: case`, or write `fault: none` if that is intended",
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

fn provided<'a>(packages: &'a Packages, (name, entries): &'a (LitStr, Vec<FunctionInput>)) -> Result<Provided<'a>> {
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

fn called<'a>(packages: &'a Packages, (name, required): &'a (LitStr, bool)) -> Result<Called<'a>> {
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
                let what = format!("{}: {} is unsupported: it is async or on a resource", name.value(), function.name);
                Err(Error::new(name.span(), what))
            }
        })
        .collect()
}

/// Generates one module per namespace, package and interface, with the types, trait and typed calls of the interface.
fn modules(
    packages: &Packages,
    types: &Types<'_>,
    provided: &[Provided<'_>],
    called: &[Called<'_>],
) -> Result<TokenStream> {
    let roots: Vec<_> = provided.iter().map(|p| p.id).chain(called.iter().map(|c| c.id)).collect();
    let mut tree = std::collections::BTreeMap::<String, std::collections::BTreeMap<String, TokenStream>>::new();
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
    let name = trait_name(types, provided)?;
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
    let doc = format!("The functions of `{}`, implemented by a handler.", provided.name);
    Ok(quote!(#[doc = #doc] pub trait #name { #(#methods)* }))
}

fn trait_name(types: &Types<'_>, provided: &Provided<'_>) -> Result<proc_macro2::Ident> {
    let nameless = || Error::new(types.span, format!("{} has no name", provided.name));
    types.trait_name(provided.id).ok_or_else(nameless)
}

fn dispatch(input: &Input, types: &Types<'_>, provided: &[Provided<'_>], called: &[Called<'_>]) -> Result<TokenStream> {
    let handler = &input.handler;
    let exports =
        called.iter().flat_map(|interface| interface.functions.iter().map(move |function| (interface, function)));
    let exports = exports.enumerate().map(|(number, (interface, function))| {
        let (number, full) = (number as u32, format!("{}/{}", interface.name, function.name));
        quote!(#number => #full,)
    });
    let exports: TokenStream = exports.collect();
    let (mut sync_arms, mut async_arms, mut names) = (TokenStream::new(), TokenStream::new(), TokenStream::new());
    let mut number = 0u32;
    for interface in provided {
        let Some([a, b, c]) = types.path(interface.id) else { continue };
        let the_trait = trait_name(types, interface)?;
        for (function, entry) in &interface.functions {
            let method = snake(&function.name);
            let values: Vec<_> = (0..function.params.len()).map(|i| snake(&format!("value-{i}"))).collect();
            let full = format!("{}/{}", interface.name, function.name);
            names.extend(quote!(#number => #full,));
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
            let give = last
                .map_or_else(|| quote!(place.give(&value)), |last| quote!(place.give_to_last(value, |value| #last)));
            if entry.is_async {
                async_arms.extend(quote! { #number => {
                    #decode
                    ::theater_plugin_api::__private::begin(
                        #a::#b::#c::#the_trait::#method(self, call, #(#values),*),
                        place,
                        |value, place| #give,
                    )
                } });
            } else {
                sync_arms.extend(quote! { #number => {
                    #decode
                    let value = #a::#b::#c::#the_trait::#method(self, call, #(#values),*);
                    #give;
                } });
            }
            number += 1;
        }
    }
    Ok(quote! {
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
                    #sync_arms
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
                    #async_arms
                    other => answer(place, ::theater_plugin_api::__private::no_such_function(other)),
                }
            }
            fn function_name(function: u32) -> &'static str {
                match function {
                    #names
                    _ => "",
                }
            }
            fn export_name(export: u32) -> &'static str {
                match export {
                    #exports
                    _ => "",
                }
            }
        }
    })
}

/// Splits `f(state, params: tuple<..>) -> result<tuple<state[, tuple<..>]>, string>` into (params, values after the
/// state).
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

fn callers(types: &Types<'_>, called: &Called<'_>, first: usize) -> Result<TokenStream> {
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
        let invoke_doc =
            format!("Creates a call of `{}`, for delivery to an actor (service `theater.messages`).", function.name);
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

fn symbols(
    input: &Input,
    packages: &Packages,
    types: &Types<'_>,
    provided: &[Provided<'_>],
    called: &[Called<'_>],
) -> Result<TokenStream> {
    let descriptor = descriptor(input, packages, types, provided, called)?.to_string();
    let json = Literal::byte_string(descriptor.as_bytes());
    let plugin = &input.plugin;
    let mut watched: Vec<_> = packages.files.iter().map(|file| file.display().to_string()).collect();
    watched.extend(input.config.as_ref().map(|config| crate_path(config).display().to_string()));
    Ok(quote! {
        const _: () = {
            #(const _: &[u8] = include_bytes!(#watched);)*
            const JSON: &[u8] = #json;
            const LENGTH: usize = ::theater_plugin_api::__private::HEADER + JSON.len();
            /// The descriptor, which the core reads without running code.
            #[unsafe(no_mangle)]
            #[unsafe(link_section = ".theater.plugin")]
            #[used]
            pub static THEATER_PLUGIN: [u8; LENGTH] =
                ::theater_plugin_api::__private::section::<LENGTH>(JSON, cfg!(panic = "abort"));
            /// The root module. `abi_stable` prescribes the name.
            #[unsafe(no_mangle)]
            #[allow(non_upper_case_globals)]
            pub static _1as_0lib_1header_0root_bmodule_bloader:
                ::theater_plugin_api::__private::__root::LibHeader =
                ::theater_plugin_api::__private::__root::header::<#plugin>();
        };
    })
}

fn crate_path(relative: &LitStr) -> std::path::PathBuf {
    std::path::PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join(relative.value())
}

fn descriptor(
    input: &Input,
    packages: &Packages,
    types: &Types<'_>,
    provided: &[Provided<'_>],
    called: &[Called<'_>],
) -> Result<Value> {
    let case = fault_case(input);
    let function = |function: &Function, entry: &FunctionInput| {
        let mut json = serde_json::Map::new();
        json.insert("name".to_owned(), function.name.as_str().into());
        json.insert("async".to_owned(), entry.is_async.into());
        json.insert("effect".to_owned(), entry.effect.as_str().into());
        if let (Telling::Case, Some(case)) = (types.telling(function.result.as_ref(), case), case) {
            json.insert("fault".to_owned(), case.into());
        }
        json
    };
    let texts = |list: &[LitStr]| list.iter().map(LitStr::value).collect::<Vec<_>>();
    Ok(json!({
        "name": input.name.value(),
        "version": std::env::var("CARGO_PKG_VERSION").unwrap_or_default(),
        "services": input.services.iter().map(|(id, minor)| (id.value(), minor)).collect::<Vec<_>>(),
        "wit": packages.sources,
        "handlers": texts(&input.handlers),
        "provides": provided.iter().map(|interface| json!({
            "interface": interface.name,
            "functions": interface.functions.iter().map(|(wit, entry)| function(wit, entry)).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
        "calls": called.iter().map(|interface| json!({
            "interface": interface.name,
            "functions": interface.functions.iter().map(|function| &function.name).collect::<Vec<_>>(),
            "required": interface.required,
        })).collect::<Vec<_>>(),
        "config": config_schema(input)?,
        "schemes": texts(&input.schemes),
        "commands": input.commands.iter().map(|(name, help)| (name.value(), help.value())).collect::<Vec<_>>(),
        "ambient": input.ambient,
    }))
}

fn config_schema(input: &Input) -> Result<Value> {
    let Some(file) = &input.config else {
        return Ok(json!({ "type": "object", "additionalProperties": false }));
    };
    let path = crate_path(file);
    let at = |error: String| Error::new(file.span(), format!("{}: {error}", path.display()));
    let text = std::fs::read_to_string(&path).map_err(|error| at(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| at(error.to_string()))
}
