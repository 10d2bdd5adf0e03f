//! Expands an attribute: keeps the `impl`, except for functions that may be written in more than one form, and
//! adds an export of the type to the host.
//!
//! A function with several forms gets the trait's signature. The original parameters, result type and body become
//! a closure inside it, and functions of `theater_sdk::adapt` convert between the two. So the compiler, not this
//! crate, checks whether the types are a supported form, and reports an error at the types as they are written.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Error, FnArg, Ident, ImplItem, ImplItemFn, ItemImpl, PatType, ReturnType, Type};

/// An interface that an actor exports.
pub struct Interface {
    /// The macro of `theater_sdk::bindings` that exports a type.
    pub export: &'static str,
    /// The trait of `theater_sdk`.
    pub trait_name: &'static str,
    /// Functions with several forms. Each has a module in `theater_sdk::adapt`.
    pub adapted: &'static [&'static str],
}

/// Expands the attribute. On an error the `impl` is kept, so that no other errors follow from it.
pub fn export(interface: &Interface, arguments: &TokenStream, item: TokenStream) -> TokenStream {
    expand(interface, arguments, item.clone()).unwrap_or_else(|error| {
        let error = error.to_compile_error();
        quote!(#error #item)
    })
}

fn expand(interface: &Interface, arguments: &TokenStream, item: TokenStream) -> Result<TokenStream, Error> {
    if !arguments.is_empty() {
        return Err(Error::new_spanned(arguments, "this attribute takes no arguments"));
    }
    let wanted = format!("this attribute stands on `impl {} for` a type", interface.trait_name);
    let mut item: ItemImpl = syn::parse2(item).map_err(|error| Error::new(error.span(), &wanted))?;
    let implemented = item.trait_.as_ref().and_then(|(path, _)| path.segments.last());
    if implemented.is_none_or(|last| last.ident != interface.trait_name) {
        return Err(Error::new_spanned(&item.self_ty, wanted));
    }
    let actor = actor(&item)?.clone();
    for function in item.items.iter_mut().filter_map(function) {
        if interface.adapted.iter().any(|name| function.sig.ident == name) {
            adapt(function);
        }
    }
    let export = format_ident!("{}", interface.export);
    let hook = (interface.trait_name == "Actor").then(panic_hook);
    Ok(quote! {
        #item
        #[cfg(target_arch = "wasm32")]
        ::theater_sdk::bindings::#export!(#actor);
        #hook
    })
}

/// A constructor that installs the panic hook. It runs before the first call of every instance: the bindings run the
/// constructors in the linker's list.
fn panic_hook() -> TokenStream {
    quote! {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            #[used]
            #[unsafe(link_section = ".init_array")]
            static LOG_PANICS: extern "C" fn() = ::theater_sdk::adapt::log_panics;
        };
    }
}

/// The name of the type, which the exports refer to. It must be a single identifier.
fn actor(item: &ItemImpl) -> Result<&Ident, Error> {
    let name = match &*item.self_ty {
        Type::Path(path) if item.generics.params.is_empty() => path.path.get_ident(),
        _ => None,
    };
    name.ok_or_else(|| Error::new_spanned(&item.self_ty, "an actor is a type without path and parameters"))
}

fn function(item: &mut ImplItem) -> Option<&mut ImplItemFn> {
    match item {
        ImplItem::Fn(function) => Some(function),
        _ => None,
    }
}

/// Gives the function the trait's signature. A function with other errors than its types is left as it is, for the
/// compiler to report.
fn adapt(function: &mut ImplItemFn) {
    let (Some([state, params]), ReturnType::Type(_, result)) = (arguments(function), &function.sig.output) else {
        return;
    };
    let (attributes, body, name) = (&function.attrs, &function.block, &function.sig.ident);
    // Hygienic names, which the original code cannot refer to.
    let own = |name| Ident::new(name, Span::mixed_site().located_at(result.span()));
    let [all_state, all_params, written] = ["state", "params", "written"].map(own);
    // The error for an unsupported form is reported at its type.
    let checked = quote_spanned!(params.ty.span()=> ::theater_sdk::adapt::#name::params(#all_params));
    let answer = quote_spanned!(result.span()=> ::theater_sdk::adapt::#name::answer(#written(#all_state, #checked)));
    let adapted = quote! {
        #(#attributes)*
        fn #name(
            #all_state: ::theater_sdk::State,
            #all_params: ::theater_sdk::adapt::#name::Params,
        ) -> ::theater_sdk::adapt::#name::Answer {
            let #written = |#state, #params| -> #result #body;
            #answer
        }
    };
    if let Ok(adapted) = syn::parse2(adapted) {
        *function = adapted;
    }
}

/// Returns the arguments if there are two and neither is `self`.
fn arguments(function: &ImplItemFn) -> Option<[&PatType; 2]> {
    let all: Option<Vec<_>> = function.sig.inputs.iter().map(typed).collect();
    all?.try_into().ok()
}

fn typed(argument: &FnArg) -> Option<&PatType> {
    match argument {
        FnArg::Typed(typed) => Some(typed),
        FnArg::Receiver(_) => None,
    }
}
