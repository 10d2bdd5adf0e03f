//! Which stores a caller can see, how much it may store there, and how that is narrowed for child actors.

use serde::Deserialize;
use serde_json::Value;
use theater_plugin_api::narrow::{self, Rule};

use crate::error::Error;
use crate::names::check_store;
use crate::tables::StoreRow;

const MAX_BYTES: u64 = 4 << 30;
const MAX_CONTENT_BYTES: u64 = 256 << 20;
const MAX_STORES: u64 = 1_000;
const MAX_REFERENCES: u64 = 1_000_000;

/// The handler's config; `config.schema.json` says what each key means.
#[derive(Debug, Deserialize)]
#[serde(default)]
pub struct Config {
    stores: Vec<String>,
    max_bytes: u64,
    max_content_bytes: u64,
    max_stores: u64,
    max_references: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            stores: Vec::new(),
            max_bytes: MAX_BYTES,
            max_content_bytes: MAX_CONTENT_BYTES,
            max_stores: MAX_STORES,
            max_references: MAX_REFERENCES,
        }
    }
}

/// A caller, with its permissions.
#[derive(Debug)]
pub enum Caller {
    /// An actor: its id and its config.
    Actor(String, Config),
    /// An operator, who has no restrictions.
    Operator,
}

impl Caller {
    /// The permissions of the actor with this id.
    ///
    /// # Errors
    /// [`Error::BadStore`] for an invalid name in `stores`.
    pub fn of_actor(id: String, config: Config) -> Result<Self, Error> {
        config.stores.iter().try_for_each(|name| check_store(name))?;
        Ok(Self::Actor(id, config))
    }

    /// The permissions that `ceiling` grants; null grants everything.
    ///
    /// # Errors
    /// An error message if `ceiling` is not a valid config.
    pub fn under_ceiling(actor: &str, ceiling: &Value) -> Result<Self, String> {
        if ceiling.is_null() {
            return Ok(Self::Operator);
        }
        let config = Config::deserialize(ceiling).map_err(|error| error.to_string())?;
        Self::of_actor(actor.to_owned(), config).map_err(String::from)
    }

    /// The owner of a store that this caller creates; empty for a shared store.
    pub fn owner(&self) -> &str {
        match self {
            Self::Actor(id, _) => id,
            Self::Operator => "",
        }
    }

    /// The row of a store as the caller sees it. A granted shared store that does not exist yet appears as empty.
    ///
    /// # Errors
    /// For an actor [`Error::NotSeen`], both for another actor's store and for one that does not exist; for an operator
    /// [`Error::NoStore`].
    pub fn visible_row(&self, store: &str, row: Option<StoreRow>) -> Result<StoreRow, Error> {
        match (self, row) {
            (Self::Actor(_, config), row) if config.stores.iter().any(|name| name == store) => {
                Ok(row.unwrap_or_default())
            }
            (Self::Actor(id, _), Some(row)) if row.owner == *id => Ok(row),
            (Self::Actor(..), _) => Err(Error::NotSeen(store.to_owned())),
            (Self::Operator, row) => row.ok_or_else(|| Error::NoStore(store.to_owned())),
        }
    }

    /// Fails if the caller already has as many stores as it may create.
    pub fn may_create(&self, made: u64) -> Result<(), Error> {
        match self {
            Self::Actor(_, config) if made >= config.max_stores => Err(Error::TooMany { made }),
            _ => Ok(()),
        }
    }

    /// Fails if a content is larger than `max_content_bytes`.
    pub fn may_store(&self, size: u64) -> Result<(), Error> {
        match self {
            Self::Actor(_, Config { max_content_bytes: max, .. }) if size > *max => {
                Err(Error::TooBig { size, max: *max })
            }
            _ => Ok(()),
        }
    }

    /// Fails if the labels of a store already hold as many references as they may.
    pub fn may_refer(&self, store: &str, references: u64) -> Result<(), Error> {
        match self {
            Self::Actor(_, Config { max_references: max, .. }) if references >= *max => {
                Err(Error::TooManyReferences { store: store.to_owned(), references })
            }
            _ => Ok(()),
        }
    }

    /// Fails if a content of `size` bytes does not fit in a store that holds `bytes` bytes.
    pub fn may_add(&self, store: &str, bytes: u64, size: u64) -> Result<(), Error> {
        match self {
            Self::Actor(_, Config { max_bytes: max, .. }) if bytes.saturating_add(size) > *max => {
                Err(Error::Full { store: store.to_owned(), bytes, size, max: *max })
            }
            _ => Ok(()),
        }
    }
}

/// The part of `requested` that `ceiling` allows.
///
/// # Errors
/// An error message if a value has the wrong type.
pub fn narrow(ceiling: &Value, requested: &Value) -> Result<Value, String> {
    let rules = [
        ("stores", Rule::Powers),
        ("max_bytes", Rule::Smaller(MAX_BYTES)),
        ("max_content_bytes", Rule::Smaller(MAX_CONTENT_BYTES)),
        ("max_stores", Rule::Smaller(MAX_STORES)),
        ("max_references", Rule::Smaller(MAX_REFERENCES)),
    ];
    narrow::object(&rules, ceiling, requested)
}
