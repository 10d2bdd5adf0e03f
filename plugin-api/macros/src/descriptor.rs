//! The two symbols of the library: the descriptor section and the root module.

use proc_macro2::{Literal, TokenStream};
use quote::quote;
use serde_json::{Map, Value, json};
use syn::{Error, LitStr, Result};
use wit_parser::Function;

use crate::faults::fault_case;
use crate::input::{FunctionInput, Input};
use crate::interfaces::{Called, Provided};
use crate::types::{FaultReport, Types};
use crate::wit::Packages;

pub fn symbols(
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
            /// The descriptor section, which the core reads without running code.
            #[unsafe(no_mangle)]
            #[unsafe(link_section = ".theater.plugin")]
            #[used]
            pub static THEATER_PLUGIN: [u8; LENGTH] =
                ::theater_plugin_api::__private::section::<LENGTH>(JSON, cfg!(panic = "abort"));
            /// The root module; the name is abi_stable's.
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
        let mut json = Map::new();
        json.insert("name".to_owned(), function.name.as_str().into());
        json.insert("async".to_owned(), entry.is_async.into());
        json.insert("effect".to_owned(), entry.effect.as_str().into());
        if let (FaultReport::Case, Some(case)) = (types.fault_report(function.result.as_ref(), case), case) {
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
