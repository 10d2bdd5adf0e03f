//! Why decoding or encoding fails.

use std::fmt;

/// Why bytes are not the encoding of a value of the expected type, or a value has no encoding.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodingError {
    /// The bytes end inside a value.
    Short,
    /// Bytes follow the value: how many.
    Trailing(usize),
    /// A number is not in its shortest form, or does not fit its type.
    Number,
    /// A bool is neither 0 nor 1.
    Bool(u8),
    /// The tag of an option is neither 0 nor 1.
    Option(u8),
    /// A char is not exactly one scalar value.
    Char,
    /// A string is not UTF-8.
    Utf8,
    /// A NaN is not the canonical one.
    Nan,
    /// A length is larger than the rest of the input.
    Length,
    /// Bits of undeclared flags are set.
    Flags,
    /// An error of the type itself, such as an unknown case number.
    Type(String),
}

impl fmt::Display for EncodingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => f.write_str("the bytes end inside a value"),
            Self::Trailing(n) => write!(f, "{n} bytes follow the value"),
            Self::Number => f.write_str("a number is not in its shortest form or does not fit its type"),
            Self::Bool(b) => write!(f, "a bool is 0 or 1, found {b}"),
            Self::Option(b) => write!(f, "an option starts with 0 or 1, found {b}"),
            Self::Char => f.write_str("a char is a string of exactly one scalar value"),
            Self::Utf8 => f.write_str("a string is not UTF-8"),
            Self::Nan => f.write_str("a NaN is not the canonical one"),
            Self::Length => f.write_str("a length is larger than what is left of the input"),
            Self::Flags => f.write_str("bits of undeclared flags are set"),
            Self::Type(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for EncodingError {}

impl serde::ser::Error for EncodingError {
    fn custom<T: fmt::Display>(what: T) -> Self {
        Self::Type(what.to_string())
    }
}

impl serde::de::Error for EncodingError {
    fn custom<T: fmt::Display>(what: T) -> Self {
        Self::Type(what.to_string())
    }
}
