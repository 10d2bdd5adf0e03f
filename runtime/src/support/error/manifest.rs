//! What can be wrong with a manifest.

/// What is wrong with a manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestProblem {
    /// The text is not TOML.
    #[error("not TOML: {0}")]
    Syntax(String),
    /// A key is unknown.
    #[error("unknown key {key:?}{}", within.as_ref().map_or(String::new(), |table| format!(" in {table}")))]
    UnknownKey {
        /// The key.
        key: String,
        /// The table that contains it.
        within: Option<String>,
        /// The most similar key, or all known keys.
        suggestion: String,
    },
    /// A value has the wrong type.
    #[error("{key} is {found}, it takes {expected}")]
    WrongType {
        /// The key.
        key: String,
        /// The expected type.
        expected: &'static str,
        /// The type of the value.
        found: &'static str,
    },
    /// A required key is missing.
    #[error("{key} is missing")]
    Missing {
        /// The key.
        key: String,
        /// An example of the missing line.
        example: &'static str,
    },
    /// A value is not allowed.
    #[error("{key}: {reason}")]
    Value {
        /// The key.
        key: String,
        /// Why.
        reason: String,
        /// What to write.
        help: String,
    },
    /// A handler has both a `config` table and flat keys.
    #[error("handler {handler:?} has both a config table and keys next to it: {}", keys.join(", "))]
    ConfigTwice {
        /// The handler type.
        handler: String,
        /// The keys next to the table.
        keys: Vec<String>,
    },
    /// A `${}` cannot be substituted.
    #[error("{0}")]
    Substitution(String),
    /// The config of a handler does not match the schema of the plugin.
    #[error("config of handler {handler:?}: {problem}")]
    Config {
        /// The handler type.
        handler: String,
        /// What does not match.
        problem: String,
        /// What the plugin accepts.
        help: String,
    },
    /// The component does not have an interface that `[interface]` lists.
    #[error("the component does not {verb} {interface}, which [interface] lists")]
    Interface {
        /// `export` or `import`.
        verb: &'static str,
        /// The interface.
        interface: String,
    },
}

impl ManifestProblem {
    pub(super) fn help(&self) -> Option<String> {
        Some(match self {
            Self::Syntax(_) | Self::Substitution(_) => return None,
            Self::UnknownKey { suggestion, .. } => suggestion.clone(),
            Self::WrongType { key, expected, .. } => match *expected {
                "a string" => format!("write {key} = \"..\""),
                "a number" => format!("write {key} = 1000, without quotes"),
                "a list of strings" => format!("write {key} = [\"..\", \"..\"]"),
                "a table" => format!("write {key} = {{ .. }}, or a table [{key}]"),
                _ => return None,
            },
            Self::Missing { example, .. } => format!("add a line like {example}"),
            Self::Value { help, .. } | Self::Config { help, .. } => help.clone(),
            Self::ConfigTwice { .. } => "put all of them into config = { .. }, or all next to type".to_owned(),
            Self::Interface { verb, .. } => {
                format!("take it out of the list, or build the component so that it {verb}s it")
            }
        })
    }
}
