//! Formats encoded values as WAVE (WebAssembly Value Encoding). A `list<u8>` is shown as text if it is text, else as hex.
//!
//! WAVE has no short form for bytes: `b"…"` and `hex"…"` are for people and cannot be parsed back.

use std::fmt::Write;

use theater_encoding::{EncodingError, Reader};

use crate::event::hex;
use crate::text::is_active;
use crate::value_type::{ValueType, case};

/// Longest text or bytes that are printed in full. Of the rest only the length is printed.
pub const LONGEST: usize = 4096;

/// Formats one encoded value.
///
/// # Errors
/// The bytes are not an encoding of a value of this type.
pub fn value(ty: &ValueType, reader: &mut Reader<'_>) -> Result<String, EncodingError> {
    Ok(match ty {
        ValueType::Bool => reader.bool()?.to_string(),
        ValueType::U8 => reader.byte()?.to_string(),
        ValueType::S8 => (reader.byte()? as i8).to_string(),
        ValueType::U16 => reader.varint(16)?.to_string(),
        ValueType::U32 => reader.varint(32)?.to_string(),
        ValueType::U64 => reader.varint(64)?.to_string(),
        ValueType::S16 => reader.signed(16)?.to_string(),
        ValueType::S32 => reader.signed(32)?.to_string(),
        ValueType::S64 => reader.signed(64)?.to_string(),
        ValueType::F32 => {
            let number = reader.f32()?;
            float(f64::from(number), &number)
        }
        ValueType::F64 => {
            let number = reader.f64()?;
            float(number, &number)
        }
        ValueType::Char => quoted(&reader.char()?.to_string(), '\''),
        ValueType::String => quoted(reader.string()?, '"'),
        ValueType::Bytes => bytes(reader.bytes()?),
        ValueType::List(item) => {
            let length = reader.length()?;
            let items = (0..length).map(|_| value(item, reader)).collect::<Result<Vec<_>, _>>()?;
            format!("[{}]", items.join(", "))
        }
        ValueType::Option(some) => {
            if reader.option()? {
                format!("some({})", value(some, reader)?)
            } else {
                "none".to_owned()
            }
        }
        ValueType::Result(sides) => {
            let (name, side) = if case(reader, 2)? == 0 { ("ok", &sides.0) } else { ("err", &sides.1) };
            payload(name, side.as_ref(), reader)?
        }
        ValueType::Tuple(items) => {
            let items = items.iter().map(|item| value(item, reader)).collect::<Result<Vec<_>, _>>()?;
            format!("({})", items.join(", "))
        }
        ValueType::Record(fields) => record(fields, reader)?,
        ValueType::Variant(cases) => {
            let number = case(reader, cases.len())?;
            match cases.get(number) {
                Some((name, side)) => payload(name, side.as_ref(), reader)?,
                None => number.to_string(),
            }
        }
        ValueType::Enum(cases) => {
            let number = case(reader, cases.len())?;
            cases.get(number).cloned().unwrap_or_default()
        }
        ValueType::Flags(names) => flags(names, reader)?,
    })
}

fn record(fields: &[(String, ValueType)], reader: &mut Reader<'_>) -> Result<String, EncodingError> {
    let fields = fields
        .iter()
        .map(|(name, field)| Ok(format!("{name}: {}", value(field, reader)?)))
        .collect::<Result<Vec<_>, EncodingError>>()?;
    Ok(format!("{{{}}}", fields.join(", ")))
}

fn flags(names: &[String], reader: &mut Reader<'_>) -> Result<String, EncodingError> {
    let bits = reader.flags(names.len())?;
    let is_set = |number: &usize| bits.get(number / 8).is_some_and(|byte| byte >> (number % 8) & 1 == 1);
    let set: Vec<_> =
        names.iter().enumerate().filter(|(number, _)| is_set(number)).map(|(_, name)| name.as_str()).collect();
    Ok(format!("{{{}}}", set.join(", ")))
}

/// Formats a sequence of encoded values, such as a call's arguments.
///
/// # Errors
/// Like [`value`]; also if bytes remain.
pub fn row<'a>(types: impl IntoIterator<Item = &'a ValueType>, bytes: &[u8]) -> Result<String, EncodingError> {
    let mut reader = Reader::new(bytes);
    let texts = types.into_iter().map(|ty| value(ty, &mut reader)).collect::<Result<Vec<_>, _>>()?;
    reader.finish()?;
    Ok(texts.join(", "))
}

fn payload(name: &str, side: Option<&ValueType>, reader: &mut Reader<'_>) -> Result<String, EncodingError> {
    Ok(match side {
        Some(side) => format!("{name}({})", value(side, reader)?),
        None => name.to_owned(),
    })
}

/// Formats a number with the fewest digits that identify it in its own precision.
fn float(number: f64, shown: &dyn std::fmt::Display) -> String {
    if number.is_nan() {
        "nan".to_owned()
    } else if number.is_infinite() {
        if number > 0.0 { "inf".to_owned() } else { "-inf".to_owned() }
    } else {
        shown.to_string()
    }
}

fn quoted(text: &str, quote: char) -> String {
    let mut out = String::from(quote);
    let (shown, rest) = text.split_at(text.floor_char_boundary(LONGEST));
    for c in shown.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            c if c == quote => out.extend(['\\', c]),
            // Writing to a string does not fail.
            c if is_active(c) => drop(write!(out, "\\u{{{:x}}}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push(quote);
    more(out, rest.len())
}

fn more(mut out: String, bytes: usize) -> String {
    if bytes > 0 {
        out.push_str(&format!("…{bytes} more bytes"));
    }
    out
}

/// Formats bytes: `b"…"` if they are printable UTF-8, else `hex"…"`.
#[must_use]
pub fn bytes(bytes: &[u8]) -> String {
    let printable = |text: &&str| text.chars().all(|c| !is_active(c) || matches!(c, '\n' | '\r' | '\t'));
    match std::str::from_utf8(bytes).ok().filter(printable) {
        Some(text) => format!("b{}", quoted(text, '"')),
        None => {
            let (shown, rest) = bytes.split_at(bytes.len().min(LONGEST / 2));
            more(format!("hex\"{}\"", hex(shown)), rest.len())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use theater_encoding::encode;

    #[test]
    fn values_print_as_wave() {
        let ty = ValueType::Tuple(
            vec![
                ValueType::String,
                ValueType::Option(Arc::new(ValueType::U16)),
                ValueType::Result(Arc::new((None, Some(ValueType::String)))),
                ValueType::Bytes,
                ValueType::Flags(vec!["a".to_owned(), "b".to_owned()].into()),
                ValueType::Char,
            ]
            .into(),
        );
        let result: Result<(), &str> = Err("no\n");
        let mut bytes = encode(&("hi", Some(7u16), result)).unwrap();
        bytes.extend([2, 0, 1, 2, 1, b'x']);
        assert_eq!(row([&ty], &bytes).unwrap(), "(\"hi\", some(7), err(\"no\\n\"), hex\"0001\", {b}, 'x')");
    }
}
