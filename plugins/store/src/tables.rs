//! The tables of the index, and a store's row.

use redb::{TableDefinition, Value};

use crate::error::Error;

/// Store to (owner, number of contents, total bytes of the contents). The owner of a shared store is empty.
pub const STORES: TableDefinition<'static, &str, (&str, u64, u64)> = TableDefinition::new("stores");
/// Actor to the number of existing stores that it owns.
pub const OWNERS: TableDefinition<'static, &str, u64> = TableDefinition::new("owners");
/// (store, content) to the size of the content in bytes.
pub const HELD: TableDefinition<'static, (&str, &[u8; 32]), u64> = TableDefinition::new("held");
/// Content to the number of stores that hold it.
pub const CONTENTS: TableDefinition<'static, &[u8; 32], u64> = TableDefinition::new("contents");
/// (store, label, number) to the content. Newer references have larger numbers.
pub const ORDER: TableDefinition<'static, (&str, &str, u64), &[u8; 32]> = TableDefinition::new("order");
/// (store, label, content) to its number in [`ORDER`].
pub const NUMBERS: TableDefinition<'static, (&str, &str, &[u8; 32]), u64> = TableDefinition::new("places");

/// Store to the number of references its labels hold: its rows in [`NUMBERS`]. Stores written by releases without this
/// table have no entry until the next change.
pub const REFERENCES: TableDefinition<'static, &str, u64> = TableDefinition::new("references");

/// The smallest key a content can have.
pub const LEAST: &[u8; 32] = &[0; 32];
/// The largest key a content can have.
pub const GREATEST: &[u8; 32] = &[u8::MAX; 32];

/// A store's row in the index.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreRow {
    /// The actor that owns it; empty for a shared store.
    pub owner: String,
    /// Number of contents.
    pub contents: u64,
    /// Total bytes of the contents.
    pub bytes: u64,
}

impl StoreRow {
    /// Converts a value of the table of stores.
    pub fn of((owner, contents, bytes): (&str, u64, u64)) -> Self {
        Self { owner: owner.to_owned(), contents, bytes }
    }
}

/// Extracts the value that a table lookup found.
pub fn value<T>(found: Result<Option<redb::AccessGuard<'_, T>>, redb::StorageError>) -> Result<Option<T>, Error>
where
    T: for<'a> Value<SelfType<'a> = T> + 'static,
{
    Ok(found.map_err(Error::index)?.map(|guard| guard.value()))
}
