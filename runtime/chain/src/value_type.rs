//! Structural types of values: WIT types without the names of types.
//!
//! A [`ValueType`] comes from WIT text or from a component. It validates encoded values, and compares the functions that a
//! plugin offers with those that a component imports. [`crate::wave`] formats values as text.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use theater_encoding::{EncodingError, Reader, unzigzag, write_bytes, write_varint};
use wit_parser::{Function, FunctionKind, PackageId, Resolve, SourceMap, Type as WitType, TypeDefKind};

/// The structure of a type. Names of fields, cases and flags are part of it; names of types are not, as in the component
/// model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValueType {
    /// `bool`
    Bool,
    /// `u8`
    U8,
    /// `u16`
    U16,
    /// `u32`
    U32,
    /// `u64`
    U64,
    /// `s8`
    S8,
    /// `s16`
    S16,
    /// `s32`
    S32,
    /// `s64`
    S64,
    /// `f32`
    F32,
    /// `f64`
    F64,
    /// `char`
    Char,
    /// `string`
    String,
    /// `list<u8>`
    Bytes,
    /// `list<T>` of anything else
    List(Arc<ValueType>),
    /// `option<T>`
    Option(Arc<ValueType>),
    /// `result<T, E>`
    Result(Arc<(Option<ValueType>, Option<ValueType>)>),
    /// `tuple<..>`
    Tuple(Arc<[ValueType]>),
    /// `record`
    Record(Arc<[(String, ValueType)]>),
    /// `variant`
    Variant(Arc<[(String, Option<ValueType>)]>),
    /// `enum`
    Enum(Arc<[String]>),
    /// `flags`
    Flags(Arc<[String]>),
}

/// A type that cannot cross the plugin boundary, by its name in WIT.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} cannot cross the plugin boundary (own, borrow, stream, future, error-context, map, fixed-size lists and async functions are not supported)"
)]
pub struct Unsupported(pub String);

fn unsupported<T>(what: impl Into<String>) -> Result<T, Unsupported> {
    Err(Unsupported(what.into()))
}

/// A type whose values are numbers of more than one byte.
#[derive(Debug, Clone, Copy)]
pub struct Number {
    bits: u32,
    signed: bool,
}

impl Number {
    /// Reads a number. Returns the bits of its core value: 64 for `u64` and `s64`, 32 for all others.
    ///
    /// # Errors
    /// Those of [`ValueType::validate`].
    #[inline]
    pub fn read(self, reader: &mut Reader<'_>) -> Result<u64, EncodingError> {
        let number = reader.varint(self.bits)?;
        Ok(match self {
            Self { signed: false, .. } => number,
            Self { bits: 64, .. } => unzigzag(number) as u64,
            _ => u64::from(unzigzag(number) as i32 as u32),
        })
    }
}

impl ValueType {
    /// Converts a type of WIT text.
    ///
    /// # Errors
    /// [`Unsupported`], with the type's name.
    pub fn of_wit(resolve: &Resolve, ty: &WitType) -> Result<Self, Unsupported> {
        Ok(match ty {
            WitType::Bool => Self::Bool,
            WitType::U8 => Self::U8,
            WitType::U16 => Self::U16,
            WitType::U32 => Self::U32,
            WitType::U64 => Self::U64,
            WitType::S8 => Self::S8,
            WitType::S16 => Self::S16,
            WitType::S32 => Self::S32,
            WitType::S64 => Self::S64,
            WitType::F32 => Self::F32,
            WitType::F64 => Self::F64,
            WitType::Char => Self::Char,
            WitType::String => Self::String,
            WitType::ErrorContext => return unsupported("error-context"),
            WitType::Id(id) => match resolve.types.get(*id) {
                Some(def) => return Self::of_definition(resolve, &def.kind),
                None => return unsupported("an unknown type"),
            },
        })
    }

    fn of_definition(resolve: &Resolve, kind: &TypeDefKind) -> Result<Self, Unsupported> {
        let of = |ty: &WitType| Self::of_wit(resolve, ty);
        let maybe = |ty: &Option<WitType>| ty.as_ref().map(of).transpose();
        Ok(match kind {
            TypeDefKind::Type(ty) => of(ty)?,
            TypeDefKind::List(ty) => match of(ty)? {
                Self::U8 => Self::Bytes,
                item => Self::List(Arc::new(item)),
            },
            TypeDefKind::Option(ty) => Self::Option(Arc::new(of(ty)?)),
            TypeDefKind::Result(result) => Self::Result(Arc::new((maybe(&result.ok)?, maybe(&result.err)?))),
            TypeDefKind::Tuple(tuple) => Self::Tuple(tuple.types.iter().map(of).collect::<Result<_, _>>()?),
            TypeDefKind::Record(record) => Self::Record(
                record
                    .fields
                    .iter()
                    .map(|field| Ok((field.name.clone(), of(&field.ty)?)))
                    .collect::<Result<_, Unsupported>>()?,
            ),
            TypeDefKind::Variant(variant) => Self::Variant(
                variant
                    .cases
                    .iter()
                    .map(|case| Ok((case.name.clone(), maybe(&case.ty)?)))
                    .collect::<Result<_, Unsupported>>()?,
            ),
            TypeDefKind::Enum(cases) => Self::Enum(cases.cases.iter().map(|case| case.name.clone()).collect()),
            TypeDefKind::Flags(flags) => Self::Flags(flags.flags.iter().map(|flag| flag.name.clone()).collect()),
            other => return unsupported(other.as_str()),
        })
    }

    /// The number type, for integers of more than one byte.
    #[must_use]
    pub fn number(&self) -> Option<Number> {
        match self {
            Self::U16 => Some(Number { bits: 16, signed: false }),
            Self::U32 => Some(Number { bits: 32, signed: false }),
            Self::U64 => Some(Number { bits: 64, signed: false }),
            Self::S16 => Some(Number { bits: 16, signed: true }),
            Self::S32 => Some(Number { bits: 32, signed: true }),
            Self::S64 => Some(Number { bits: 64, signed: true }),
            _ => None,
        }
    }

    /// Reads one encoded value and checks it.
    ///
    /// # Errors
    /// The bytes are not the canonical encoding of a value of this type.
    pub fn validate(&self, reader: &mut Reader<'_>) -> Result<(), EncodingError> {
        match self {
            Self::Bool => reader.bool().map(drop),
            Self::U8 | Self::S8 => reader.byte().map(drop),
            Self::U16 => reader.varint(16).map(drop),
            Self::U32 => reader.varint(32).map(drop),
            Self::U64 => reader.varint(64).map(drop),
            Self::S16 => reader.signed(16).map(drop),
            Self::S32 => reader.signed(32).map(drop),
            Self::S64 => reader.signed(64).map(drop),
            Self::F32 => reader.f32().map(drop),
            Self::F64 => reader.f64().map(drop),
            Self::Char => reader.char().map(drop),
            Self::String => reader.string().map(drop),
            Self::Bytes => reader.bytes().map(drop),
            Self::List(item) => {
                for _ in 0..reader.length()? {
                    item.validate(reader)?;
                }
                Ok(())
            }
            Self::Option(some) => {
                if reader.option()? {
                    some.validate(reader)
                } else {
                    Ok(())
                }
            }
            Self::Result(sides) => {
                let side = if case(reader, 2)? == 0 { &sides.0 } else { &sides.1 };
                side.as_ref().map_or(Ok(()), |side| side.validate(reader))
            }
            Self::Tuple(items) => items.iter().try_for_each(|item| item.validate(reader)),
            Self::Record(fields) => fields.iter().try_for_each(|(_, field)| field.validate(reader)),
            Self::Variant(cases) => {
                let number = case(reader, cases.len())?;
                match cases.get(number) {
                    Some((_, Some(payload))) => payload.validate(reader),
                    _ => Ok(()),
                }
            }
            Self::Enum(cases) => case(reader, cases.len()).map(drop),
            Self::Flags(flags) => reader.flags(flags.len()).map(drop),
        }
    }

    /// The number of core values to which the type is flattened as a parameter.
    #[must_use]
    pub fn flat_count(&self) -> usize {
        let of = |ty: &Option<ValueType>| ty.as_ref().map_or(0, ValueType::flat_count);
        match self {
            Self::String | Self::Bytes | Self::List(_) => 2,
            Self::Option(some) => 1 + some.flat_count(),
            Self::Result(sides) => 1 + of(&sides.0).max(of(&sides.1)),
            Self::Tuple(items) => items.iter().map(ValueType::flat_count).sum(),
            Self::Record(fields) => fields.iter().map(|(_, field)| field.flat_count()).sum(),
            Self::Variant(cases) => 1 + cases.iter().map(|(_, payload)| of(payload)).max().unwrap_or(0),
            Self::Flags(flags) => match flags.len() {
                0 => 0,
                1..=32 => 1,
                many => many.div_ceil(32),
            },
            _ => 1,
        }
    }

    /// The `err` with which a function of this result type can report a fault: a text if the error type is `string`, else
    /// `case` if the error type is a variant or an enum with such a case. `None` for any other type.
    #[must_use]
    pub fn fault_case(&self, case: Option<&str>) -> Option<FaultCase> {
        let Self::Result(sides) = self else { return None };
        let (number, has_text) = match sides.1.as_ref()? {
            Self::String => return Some(FaultCase { head: vec![1], has_text: true }),
            Self::Variant(cases) => {
                let number = cases.iter().position(|(name, _)| Some(name.as_str()) == case)?;
                match cases.get(number)?.1 {
                    None => (number, false),
                    Some(Self::String) => (number, true),
                    Some(_) => return None,
                }
            }
            Self::Enum(cases) => (cases.iter().position(|name| Some(name.as_str()) == case)?, false),
            _ => return None,
        };
        let mut head = vec![1];
        write_varint(&mut head, number as u64);
        Some(FaultCase { head, has_text })
    }
}

/// The `err` that reports a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultCase {
    /// Its encoding, up to the text.
    head: Vec<u8>,
    /// Whether a text follows.
    has_text: bool,
}

impl FaultCase {
    /// Encodes the result with this message.
    #[must_use]
    pub fn encode(&self, sentence: &str) -> Vec<u8> {
        let mut bytes = self.head.clone();
        if self.has_text {
            write_bytes(&mut bytes, sentence.as_bytes());
        }
        bytes
    }
}

/// Reads a case number below `count`.
///
/// # Errors
/// The case does not exist.
pub fn case(reader: &mut Reader<'_>, count: usize) -> Result<usize, EncodingError> {
    let number = reader.varint(32)? as usize;
    if number < count {
        Ok(number)
    } else {
        Err(EncodingError::Type(format!("case {number} of a type with {count} cases")))
    }
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |ty: &Option<ValueType>| ty.as_ref().map_or("_".to_owned(), ToString::to_string);
        let row = |items: Vec<String>| items.join(", ");
        match self {
            Self::Bool => f.write_str("bool"),
            Self::U8 => f.write_str("u8"),
            Self::U16 => f.write_str("u16"),
            Self::U32 => f.write_str("u32"),
            Self::U64 => f.write_str("u64"),
            Self::S8 => f.write_str("s8"),
            Self::S16 => f.write_str("s16"),
            Self::S32 => f.write_str("s32"),
            Self::S64 => f.write_str("s64"),
            Self::F32 => f.write_str("f32"),
            Self::F64 => f.write_str("f64"),
            Self::Char => f.write_str("char"),
            Self::String => f.write_str("string"),
            Self::Bytes => f.write_str("list<u8>"),
            Self::List(item) => write!(f, "list<{item}>"),
            Self::Option(some) => write!(f, "option<{some}>"),
            Self::Result(sides) => match (&sides.0, &sides.1) {
                (None, None) => f.write_str("result"),
                (Some(ok), None) => write!(f, "result<{ok}>"),
                (ok, err) => write!(f, "result<{}, {}>", side(ok), side(err)),
            },
            Self::Tuple(items) => write!(f, "tuple<{}>", row(items.iter().map(ToString::to_string).collect())),
            Self::Record(fields) => {
                let fields = fields.iter().map(|(name, ty)| format!("{name}: {ty}")).collect();
                write!(f, "record {{ {} }}", row(fields))
            }
            Self::Variant(cases) => {
                let cases = cases
                    .iter()
                    .map(|(name, payload)| payload.as_ref().map_or(name.clone(), |ty| format!("{name}({ty})")))
                    .collect();
                write!(f, "variant {{ {} }}", row(cases))
            }
            Self::Enum(cases) => write!(f, "enum {{ {} }}", cases.join(", ")),
            Self::Flags(flags) => write!(f, "flags {{ {} }}", flags.join(", ")),
        }
    }
}

/// The parameter and result types of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// Names and types of the parameters.
    pub params: Vec<(String, ValueType)>,
    /// The result, if there is one.
    pub result: Option<ValueType>,
}

impl Signature {
    /// Converts a function of WIT text.
    ///
    /// # Errors
    /// [`Unsupported`].
    pub fn of_wit(resolve: &Resolve, function: &Function) -> Result<Self, Unsupported> {
        if function.kind != FunctionKind::Freestanding {
            return unsupported("an async function or a method of a resource");
        }
        let params = function
            .params
            .iter()
            .map(|param| Ok((param.name.clone(), ValueType::of_wit(resolve, &param.ty)?)))
            .collect::<Result<_, Unsupported>>()?;
        let result = function.result.as_ref().map(|ty| ValueType::of_wit(resolve, ty)).transpose()?;
        Ok(Self { params, result })
    }

    /// The number of core values to which the parameters are flattened.
    #[must_use]
    pub fn flat_params(&self) -> usize {
        self.params.iter().map(|(_, ty)| ty.flat_count()).sum()
    }

    /// For the calling convention of handler exports, `f(state, params: tuple<..>) -> result<tuple<state[, tuple<..>]>, string>`:
    /// the params, and the result values without the state. `None` for any other signature.
    #[must_use]
    pub fn handler(&self) -> Option<(&[ValueType], &[ValueType])> {
        let state = ValueType::Option(Arc::new(ValueType::Bytes));
        let ((_, first), (_, ValueType::Tuple(params))) = (self.params.first()?, self.params.get(1)?) else {
            return None;
        };
        let Some(ValueType::Result(sides)) = &self.result else { return None };
        let (Some(ValueType::Tuple(ok)), Some(ValueType::String)) = (&sides.0, &sides.1) else { return None };
        let values: &[ValueType] = match &**ok {
            [back] if *back == state => &[],
            [back, ValueType::Tuple(values)] if *back == state => values,
            _ => return None,
        };
        (*first == state && self.params.len() == 2).then_some((params, values))
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let params: Vec<_> = self.params.iter().map(|(name, ty)| format!("{name}: {ty}")).collect();
        write!(f, "func({})", params.join(", "))?;
        self.result.as_ref().map_or(Ok(()), |result| write!(f, " -> {result}"))
    }
}

/// Parses the WIT packages of a descriptor.
///
/// # Errors
/// The parser's error.
pub fn resolve_wit(packages: &[Vec<(String, String)>]) -> Result<(Resolve, Vec<PackageId>), String> {
    let mut resolve = Resolve::default();
    let mut ids = Vec::new();
    for files in packages {
        let mut map = SourceMap::default();
        for (name, text) in files {
            map.push(Path::new(name), text.clone());
        }
        let group = map.parse().map_err(|(map, error)| error.render(&map))?;
        ids.push(resolve.push_group(group).map_err(|error| error.to_string())?);
    }
    Ok((resolve, ids))
}
