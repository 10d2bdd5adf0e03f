//! Substitutes `${name}` and `${name:-default}` in the text of a manifest.
//!
//! Inside a quoted string the value is escaped, so that it cannot end the string and add keys. Outside of strings only a
//! number or a boolean is allowed. `$${` is a literal `${`, and comments are left alone. The scanner therefore tracks which
//! kind of TOML token it is in; it does not parse TOML any further.

use std::collections::BTreeMap;

use serde_json::Value as Json;

/// The values of `${name}`, by name.
pub type Values = BTreeMap<String, Json>;

/// The kind of TOML token that the scanner is in.
#[derive(Clone, Copy, PartialEq)]
enum Within {
    Plain,
    Comment,
    Basic,
    BasicBlock,
    Literal,
    LiteralBlock,
}

/// The text with every `${}` substituted.
///
/// # Errors
/// The line, and a sentence about what is wrong there.
pub fn substitute(text: &str, values: &Values) -> Result<String, (usize, String)> {
    let mut out = String::with_capacity(text.len());
    let (mut rest, mut within, mut line) = (text, Within::Plain, 1);
    while let Some(first) = rest.chars().next() {
        if within != Within::Comment {
            if let Some(after) = rest.strip_prefix("$${") {
                out.push_str("${");
                rest = after;
                continue;
            }
            if let Some(after) = rest.strip_prefix("${") {
                let at = |what: String| (line, what);
                let end = after
                    .find('}')
                    .ok_or_else(|| at("${ without a closing }; a plain ${ is written $${".to_owned()))?;
                let (inner, tail) = after.split_at(end);
                out.push_str(&filled(inner, within, values).map_err(at)?);
                rest = tail.strip_prefix('}').unwrap_or(tail);
                continue;
            }
        }
        let (taken, next) = step(rest, within);
        line += usize::from(first == '\n');
        let (head, tail) = rest.split_at(taken.max(first.len_utf8()));
        out.push_str(head);
        (rest, within) = (tail, next);
    }
    Ok(out)
}

/// The number of bytes to copy, and the token that the text after them is in.
fn step(rest: &str, within: Within) -> (usize, Within) {
    let starts = |token| rest.starts_with(token);
    match within {
        Within::Plain if starts("\"\"\"") => (3, Within::BasicBlock),
        Within::Plain if starts("'''") => (3, Within::LiteralBlock),
        Within::Plain if starts("\"") => (1, Within::Basic),
        Within::Plain if starts("'") => (1, Within::Literal),
        Within::Plain if starts("#") => (1, Within::Comment),
        Within::Comment if starts("\n") => (1, Within::Plain),
        Within::Basic | Within::BasicBlock if starts("\\\\") || starts("\\\"") => (2, within),
        Within::Basic if starts("\"") || starts("\n") => (1, Within::Plain),
        Within::Literal if starts("'") || starts("\n") => (1, Within::Plain),
        Within::BasicBlock if starts("\"\"\"") => (3, Within::Plain),
        Within::LiteralBlock if starts("'''") => (3, Within::Plain),
        _ => (1, within),
    }
}

/// The text to put in place of `${inner}`.
fn filled(inner: &str, within: Within, values: &Values) -> Result<String, String> {
    let (name, default) = match inner.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    let value = match (values.get(name), default) {
        (Some(value), _) => value.clone(),
        (None, Some(default)) => parsed(default),
        (None, None) => {
            return Err(format!(
                "${{{name}}} has no value and no default; give one with --set {name}=VALUE, or write ${{{name}:-DEFAULT}}"
            ));
        }
    };
    let text = match &value {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    };
    match within {
        Within::Plain => match value {
            Json::Number(_) | Json::Bool(_) => Ok(text),
            _ => Err(format!(
                "${{{name}}} is outside a string, where a number or boolean belongs; its value is {text:?}: give another, or write \"${{{name}}}\" for text"
            )),
        },
        Within::Basic | Within::BasicBlock => Ok(escaped(&text)),
        _ if text.contains(['\'', '\n']) => Err(format!(
            "the value of ${{{name}}} has a quote or line end, which a literal string cannot hold; use double quotes"
        )),
        _ => Ok(text),
    }
}

/// A value given as text: a number or boolean if it parses as one, else a string.
pub fn parsed(text: &str) -> Json {
    match serde_json::from_str(text) {
        Ok(value @ (Json::Number(_) | Json::Bool(_))) => value,
        _ => Json::from(text),
    }
}

fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, c| {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
        out
    })
}

/// Reads `name=value` of the command line.
///
/// # Errors
/// A sentence, if there is no `=`.
pub fn setting(text: &str) -> Result<(String, Json), String> {
    text.split_once('=')
        .map(|(name, value)| (name.to_owned(), parsed(value)))
        .ok_or_else(|| format!("{text:?} is not NAME=VALUE"))
}
