//! `--where`: conditions on events.

use std::str::FromStr;

use theater_chain::event::Header;
use theater_chain::event_text::EventText;
use theater_chain::record::Kind;

/// A condition: a field of the event, a comparison and a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    key: Key,
    comparison: Comparison,
    value: String,
    number: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Type,
    Function,
    Text,
    Sequence,
    Call,
    Bytes,
    Time,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Equal,
    NotEqual,
    AtLeast,
    AtMost,
    Has,
}

const KEYS: [(&str, Key); 7] = [
    ("type", Key::Type),
    ("function", Key::Function),
    ("text", Key::Text),
    ("sequence", Key::Sequence),
    ("call", Key::Call),
    ("bytes", Key::Bytes),
    ("timestamp_ms", Key::Time),
];

// Longer operators first: `>=` also contains `=`.
const COMPARISONS: [(&str, Comparison); 5] = [
    ("!=", Comparison::NotEqual),
    (">=", Comparison::AtLeast),
    ("<=", Comparison::AtMost),
    ("~", Comparison::Has),
    ("=", Comparison::Equal),
];

impl FromStr for Condition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let at = text.find(['!', '>', '<', '~', '=']);
        let (name, rest) = text.split_at(at.unwrap_or(text.len()));
        let compared = COMPARISONS.iter().find_map(|(sign, comparison)| Some((*comparison, rest.strip_prefix(sign)?)));
        let (comparison, value) = compared.ok_or_else(|| {
            format!(
                "{text:?} is not a condition: write KEY=VALUE, or use !=, >=, <= or ~ (contains), for example type=host"
            )
        })?;
        let key = KEYS.iter().find(|(known, _)| *known == name.trim()).map(|(_, key)| *key);
        let names: Vec<_> = KEYS.iter().map(|(name, _)| *name).collect();
        let key =
            key.ok_or_else(|| format!("events have no field {:?}; the fields are {}", name.trim(), names.join(", ")))?;
        let value = value.trim().to_owned();
        let number = match (key, comparison) {
            (Key::Type | Key::Function | Key::Text, Comparison::AtLeast | Comparison::AtMost) => {
                return Err(format!("{} is text: compare it with =, != or ~ (contains)", name.trim()));
            }
            (Key::Type | Key::Function | Key::Text, _) => 0,
            (_, Comparison::Has) => {
                return Err(format!("{} is a number: compare it with =, !=, >= or <=", name.trim()));
            }
            _ => value.parse().map_err(|_| format!("{value:?} is not a number"))?,
        };
        Ok(Self { key, comparison, value, number })
    }
}

impl Condition {
    /// Whether the header alone shows that the condition does not hold: then the event need not be formatted.
    #[must_use]
    pub fn excludes(&self, header: &Header) -> bool {
        let number = match self.key {
            Key::Function | Key::Text => return false,
            Key::Type => return !self.compares(Kind::from_number(header.kind).map_or("", Kind::name)),
            Key::Sequence => Some(header.sequence),
            Key::Call => header.call,
            Key::Bytes => Some(header.length),
            Key::Time => Some(header.timestamp),
        };
        !match self.comparison {
            Comparison::Equal => number == Some(self.number),
            Comparison::NotEqual => number != Some(self.number),
            Comparison::AtLeast => number.is_some_and(|number| number >= self.number),
            Comparison::AtMost => number.is_some_and(|number| number <= self.number),
            Comparison::Has => false,
        }
    }

    /// Whether the event's function shows that the condition does not hold. A function matches by its full name or by the part
    /// after the last `/`.
    #[must_use]
    pub fn excludes_function(&self, function: Option<&str>) -> bool {
        let function = function.unwrap_or_default();
        let short = || function.rsplit('/').next().unwrap_or_default();
        self.key == Key::Function
            && match self.comparison {
                Comparison::Equal => !self.compares(function) && short() != self.value,
                Comparison::NotEqual => !self.compares(function) || short() == self.value,
                _ => !self.compares(function),
            }
    }

    /// Whether the condition holds for the text of an event that neither header nor function excludes.
    #[must_use]
    pub fn holds(&self, described: &EventText) -> bool {
        self.key != Key::Text || self.compares(&described.text)
    }

    fn compares(&self, text: &str) -> bool {
        match self.comparison {
            Comparison::Equal => text == self.value,
            Comparison::NotEqual => text != self.value,
            Comparison::Has => text.contains(&self.value),
            Comparison::AtLeast | Comparison::AtMost => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_malformed_condition_is_refused_with_a_hint() {
        let refused = |text: &str| text.parse::<Condition>().unwrap_err();
        assert!(refused("type").contains("for example type=host"));
        assert!(refused("typ=host").contains("the fields are type, function"));
        assert!(refused("sequence=many").contains("is not a number"));
        assert!(refused("type>=host").contains("is text"));
        assert!(refused("bytes~1").contains("is a number"));
        for good in ["type=host", "function!=log", "text~a=b", "sequence >= 10", "bytes<=64", "call=3"] {
            assert!(good.parse::<Condition>().is_ok(), "{good}");
        }
    }
}
