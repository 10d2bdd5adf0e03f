//! The types of a component as [`ValueType`]s.

use std::sync::Arc;

use theater_chain::value_type::{Shape, Signature, Unsupported};
use wasmtime::component::types::{ComponentFunc, Type as ComponentType};

/// The shape of a component's type.
///
/// # Errors
/// [`Unsupported`], by name.
pub fn of_component(ty: &ComponentType) -> Result<Shape, Unsupported> {
    Ok(match ty {
        ComponentType::Bool => Shape::Bool,
        ComponentType::U8 => Shape::U8,
        ComponentType::U16 => Shape::U16,
        ComponentType::U32 => Shape::U32,
        ComponentType::U64 => Shape::U64,
        ComponentType::S8 => Shape::S8,
        ComponentType::S16 => Shape::S16,
        ComponentType::S32 => Shape::S32,
        ComponentType::S64 => Shape::S64,
        ComponentType::Float32 => Shape::F32,
        ComponentType::Float64 => Shape::F64,
        ComponentType::Char => Shape::Char,
        ComponentType::String => Shape::String,
        ComponentType::List(list) => match of_component(&list.ty())? {
            Shape::U8 => Shape::Bytes,
            item => Shape::List(Arc::new(item)),
        },
        ComponentType::Option(option) => Shape::Option(Arc::new(of_component(&option.ty())?)),
        ComponentType::Result(result) => {
            let side = |ty: Option<ComponentType>| ty.map(|ty| of_component(&ty)).transpose();
            Shape::Result(Arc::new((side(result.ok())?, side(result.err())?)))
        }
        ComponentType::Tuple(tuple) => {
            Shape::Tuple(tuple.types().map(|ty| of_component(&ty)).collect::<Result<_, _>>()?)
        }
        ComponentType::Record(record) => Shape::Record(
            record
                .fields()
                .map(|field| Ok((field.name.to_owned(), of_component(&field.ty)?)))
                .collect::<Result<_, Unsupported>>()?,
        ),
        ComponentType::Variant(variant) => Shape::Variant(
            variant
                .cases()
                .map(|case| {
                    let payload = case.ty.as_ref().map(of_component).transpose()?;
                    Ok((case.name.to_owned(), payload))
                })
                .collect::<Result<_, Unsupported>>()?,
        ),
        ComponentType::Enum(cases) => Shape::Enum(cases.names().map(ToOwned::to_owned).collect()),
        ComponentType::Flags(flags) => Shape::Flags(flags.names().map(ToOwned::to_owned).collect()),
        ComponentType::Own(_) => return unsupported("own"),
        ComponentType::Borrow(_) => return unsupported("borrow"),
        ComponentType::Future(_) => return unsupported("future"),
        ComponentType::Stream(_) => return unsupported("stream"),
        ComponentType::ErrorContext => return unsupported("error-context"),
        ComponentType::Map(_) => return unsupported("map"),
        ComponentType::FixedLengthList(_) => return unsupported("a fixed-size list"),
    })
}

/// The signature of a component's function.
///
/// # Errors
/// [`Unsupported`].
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
