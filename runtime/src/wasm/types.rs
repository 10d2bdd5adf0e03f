//! Converts the types of a component to [`ValueType`]s.

use std::sync::Arc;

use theater_chain::value_type::{Signature, Unsupported, ValueType};
use wasmtime::component::types::{ComponentFunc, Type as ComponentType};

/// Converts a type of a component.
///
/// # Errors
/// [`Unsupported`] with the name of a type that cannot cross the plugin boundary.
pub fn of_component(ty: &ComponentType) -> Result<ValueType, Unsupported> {
    Ok(match ty {
        ComponentType::Bool => ValueType::Bool,
        ComponentType::U8 => ValueType::U8,
        ComponentType::U16 => ValueType::U16,
        ComponentType::U32 => ValueType::U32,
        ComponentType::U64 => ValueType::U64,
        ComponentType::S8 => ValueType::S8,
        ComponentType::S16 => ValueType::S16,
        ComponentType::S32 => ValueType::S32,
        ComponentType::S64 => ValueType::S64,
        ComponentType::Float32 => ValueType::F32,
        ComponentType::Float64 => ValueType::F64,
        ComponentType::Char => ValueType::Char,
        ComponentType::String => ValueType::String,
        ComponentType::List(list) => match of_component(&list.ty())? {
            ValueType::U8 => ValueType::Bytes,
            item => ValueType::List(Arc::new(item)),
        },
        ComponentType::Option(option) => ValueType::Option(Arc::new(of_component(&option.ty())?)),
        ComponentType::Result(result) => {
            let side = |ty: Option<ComponentType>| ty.map(|ty| of_component(&ty)).transpose();
            ValueType::Result(Arc::new((side(result.ok())?, side(result.err())?)))
        }
        ComponentType::Tuple(tuple) => {
            ValueType::Tuple(tuple.types().map(|ty| of_component(&ty)).collect::<Result<_, _>>()?)
        }
        ComponentType::Record(record) => ValueType::Record(
            record
                .fields()
                .map(|field| Ok((field.name.to_owned(), of_component(&field.ty)?)))
                .collect::<Result<_, Unsupported>>()?,
        ),
        ComponentType::Variant(variant) => ValueType::Variant(
            variant
                .cases()
                .map(|case| {
                    let payload = case.ty.as_ref().map(of_component).transpose()?;
                    Ok((case.name.to_owned(), payload))
                })
                .collect::<Result<_, Unsupported>>()?,
        ),
        ComponentType::Enum(cases) => ValueType::Enum(cases.names().map(ToOwned::to_owned).collect()),
        ComponentType::Flags(flags) => ValueType::Flags(flags.names().map(ToOwned::to_owned).collect()),
        ComponentType::Own(_) => return unsupported("own"),
        ComponentType::Borrow(_) => return unsupported("borrow"),
        ComponentType::Future(_) => return unsupported("future"),
        ComponentType::Stream(_) => return unsupported("stream"),
        ComponentType::ErrorContext => return unsupported("error-context"),
        ComponentType::Map(_) => return unsupported("map"),
        ComponentType::FixedLengthList(_) => return unsupported("a fixed-size list"),
    })
}

/// Converts the signature of a component's function.
///
/// # Errors
/// [`Unsupported`] with the name of a type that cannot cross the plugin boundary, or for an async function.
pub fn signature_of(function: &ComponentFunc) -> Result<Signature, Unsupported> {
    if function.async_() {
        return unsupported("an async function");
    }
    let params = function
        .params()
        .map(|(name, ty)| Ok((name.to_owned(), of_component(&ty)?)))
        .collect::<Result<_, Unsupported>>()?;
    let result = function.results().next().map(|ty| of_component(&ty)).transpose()?;
    Ok(Signature { params, result })
}

fn unsupported<T>(what: impl Into<String>) -> Result<T, Unsupported> {
    Err(Unsupported(what.into()))
}
