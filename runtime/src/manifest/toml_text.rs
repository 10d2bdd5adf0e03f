//! The text of a manifest as TOML: typed access to its values, and errors with their line.

use std::path::Path;

use serde_json::Value as Json;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::support::error::{Error, ManifestProblem, SourceLocation, suggest};

/// A TOML text and the file it comes from.
pub(super) struct TomlText<'a> {
    pub(super) path: &'a Path,
    pub(super) text: &'a str,
}

/// A TOML value with its place in the text.
pub(super) type Value<'a> = Spanned<DeValue<'a>>;

/// The type of a value, for messages.
fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

impl<'t> TomlText<'t> {
    pub(super) fn parse(&self) -> Result<Spanned<DeTable<'t>>, Error> {
        DeTable::parse(self.text).map_err(|error| {
            let what = ManifestProblem::Syntax(error.message().replace('\n', "; "));
            self.error(error.span().map(|span| span.start), what)
        })
    }

    pub(super) fn line(&self, offset: usize) -> usize {
        1 + self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
    }

    pub(super) fn error(&self, offset: Option<usize>, what: ManifestProblem) -> Error {
        let line = offset.map(|offset| self.line(offset));
        Error::Manifest { place: SourceLocation { path: self.path.to_owned(), line }, what }
    }

    pub(super) fn wrong(&self, key: &str, value: &Value<'_>, expected: &'static str) -> Error {
        let found = kind(value.get_ref());
        self.error(Some(value.span().start), ManifestProblem::WrongType { key: key.to_owned(), expected, found })
    }

    pub(super) fn bad(
        &self,
        key: &str,
        value: &Value<'_>,
        reason: impl Into<String>,
        help: impl Into<String>,
    ) -> Error {
        let what = ManifestProblem::Value { key: key.to_owned(), reason: reason.into(), help: help.into() };
        self.error(Some(value.span().start), what)
    }

    pub(super) fn known(&self, table: &DeTable<'_>, keys: &[&str], within: Option<&str>) -> Result<(), Error> {
        for (key, _) in table.iter() {
            if !keys.contains(&key.get_ref().as_ref()) {
                let what = ManifestProblem::UnknownKey {
                    key: key.get_ref().to_string(),
                    within: within.map(ToOwned::to_owned),
                    suggestion: suggest(key.get_ref(), keys.iter().copied()),
                };
                return Err(self.error(Some(key.span().start), what));
            }
        }
        Ok(())
    }

    pub(super) fn string(&self, key: &str, value: &Value<'_>) -> Result<String, Error> {
        match value.get_ref() {
            DeValue::String(text) => Ok(text.to_string()),
            _ => Err(self.wrong(key, value, "a string")),
        }
    }

    pub(super) fn number(&self, key: &str, value: &Value<'_>) -> Result<u64, Error> {
        let DeValue::Integer(number) = value.get_ref() else { return Err(self.wrong(key, value, "a number")) };
        let digits = number.as_str().replace('_', "");
        let parsed = u64::from_str_radix(&digits, number.radix());
        parsed
            .map_err(|_| self.bad(key, value, format!("{digits} is not a number of 0 or more"), "write a whole number"))
    }

    pub(super) fn strings(&self, key: &str, value: &Value<'_>) -> Result<Vec<String>, Error> {
        let DeValue::Array(items) = value.get_ref() else { return Err(self.wrong(key, value, "a list of strings")) };
        items.iter().map(|item| self.string(key, item)).collect()
    }

    pub(super) fn table<'v, 'a>(&self, key: &str, value: &'v Value<'a>) -> Result<&'v DeTable<'a>, Error> {
        match value.get_ref() {
            DeValue::Table(table) => Ok(table),
            _ => Err(self.wrong(key, value, "a table")),
        }
    }

    pub(super) fn choice<T: Copy>(&self, key: &str, value: &Value<'_>, choices: &[(&str, T)]) -> Result<T, Error> {
        let word = self.string(key, value)?;
        choices.iter().find(|(name, _)| *name == word).map(|(_, choice)| *choice).ok_or_else(|| {
            let names: Vec<_> = choices.iter().map(|(name, _)| format!("{name:?}")).collect();
            self.bad(key, value, format!("{word:?} is not known"), format!("write one of {}", names.join(", ")))
        })
    }

    pub(super) fn json(&self, key: &str, value: &Value<'_>) -> Result<Json, Error> {
        Ok(match value.get_ref() {
            DeValue::String(text) => Json::from(text.as_ref()),
            DeValue::Integer(number) => {
                let digits = number.as_str().replace('_', "");
                let signed = i64::from_str_radix(&digits, number.radix()).map(Json::from);
                let unsigned = || u64::from_str_radix(&digits, number.radix()).map(Json::from);
                signed.or_else(|_| unsigned()).map_err(|_| {
                    self.bad(key, value, format!("{digits} is too large"), "write a number of at most 64 bits")
                })?
            }
            DeValue::Float(number) => {
                let parsed = number.as_str().replace('_', "").parse::<f64>().unwrap_or(f64::NAN);
                serde_json::Number::from_f64(parsed)
                    .map(Json::Number)
                    .ok_or_else(|| self.bad(key, value, "a number that JSON does not have", "write a finite number"))?
            }
            DeValue::Boolean(flag) => Json::from(*flag),
            DeValue::Datetime(date) => Json::from(date.to_string()),
            DeValue::Array(items) => {
                Json::Array(items.iter().map(|item| self.json(key, item)).collect::<Result<_, _>>()?)
            }
            DeValue::Table(table) => {
                let mut map = serde_json::Map::new();
                for (key, value) in table.iter() {
                    map.insert(key.get_ref().to_string(), self.json(key.get_ref(), value)?);
                }
                Json::Object(map)
            }
        })
    }
}
