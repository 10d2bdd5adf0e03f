//! The programs that an actor may run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use theater_child_process::find;

use crate::error::Error;

/// The programs of `allowed_commands` with the files that were found when the actor started.
#[derive(Debug, Clone)]
pub struct Programs(BTreeMap<String, Option<PathBuf>>);

impl Programs {
    /// Looks the programs up in `PATH`.
    pub fn look_up(allowed_commands: &[String]) -> Self {
        let search = std::env::var_os("PATH");
        let found = |name: &String| (name.clone(), find(name, search.as_deref()));
        Self(allowed_commands.iter().map(found).collect())
    }

    #[cfg(test)]
    pub fn named(name: &str, file: &Path) -> Self {
        Self(BTreeMap::from([(name.to_owned(), Some(file.to_owned()))]))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the names and files as JSON, for `theater validate`.
    pub fn to_json(&self) -> Value {
        json!(self.0)
    }

    /// Returns the file of a program.
    pub fn get(&self, name: &str) -> Result<&Path, Error> {
        match self.0.get(name) {
            None => Err(Error::Command(name.to_owned())),
            Some(None) => Err(Error::NoCommand(name.to_owned())),
            Some(Some(file)) => Ok(file),
        }
    }
}
