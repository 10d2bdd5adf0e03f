//! Finds the plugins of a folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use theater_chain::interface_name::meets;

use crate::plugin::descriptor::{Found, read};
use crate::support::error::{Error, PluginProblem, Problem};

/// The plugins of a folder.
#[derive(Debug)]
pub struct Plugins {
    folder: PathBuf,
    found: BTreeMap<String, Arc<Found>>,
    /// Files that look like plugins but cannot be used.
    pub problems: Vec<Arc<PluginProblem>>,
}

impl Plugins {
    /// Reads the descriptors of all `.so` files of a folder.
    ///
    /// # Errors
    /// The folder cannot be read. A file that cannot be used is not an error, but one of [`Plugins::problems`].
    pub fn find(folder: &Path) -> Result<Self, Error> {
        let unreadable = |source| Error::PluginFolder { path: folder.to_owned(), source };
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            if path.extension().is_some_and(|extension| extension == "so") {
                paths.push(path);
            }
        }
        paths.sort();
        let mut plugins = Self { folder: folder.to_owned(), found: BTreeMap::new(), problems: Vec::new() };
        for path in paths {
            match read(&path) {
                Ok(found) => plugins.add(found),
                Err(problem) => plugins.problems.push(Arc::new(problem)),
            }
        }
        Ok(plugins)
    }

    fn add(&mut self, found: Found) {
        let name = found.descriptor.name.clone();
        let named = Some((name.clone(), found.descriptor.version.clone()));
        let refuse = |what| PluginProblem { name: named.clone(), path: found.path.clone(), what };
        let twice = |handler: &String| {
            let other = self.all().find(|other| other.descriptor.handlers.contains(handler))?;
            Some(Problem::HandlerTwice { handler: handler.clone(), other: other.path.clone() })
        };
        let mut problems: Vec<_> = found.descriptor.handlers.iter().filter_map(twice).collect();
        if problems.is_empty()
            && let Some(other) = self.found.get(&name)
        {
            problems.push(Problem::NameTwice(other.path.clone()));
        }
        if problems.is_empty() {
            self.found.insert(name, Arc::new(found));
        } else {
            self.problems.extend(problems.into_iter().map(|what| Arc::new(refuse(what))));
        }
    }

    /// Deletes copies of files that are no longer in the folder, and drafts of interrupted copies. The caller must have locked
    /// the data folder, so that no other program uses them.
    pub fn drop_old_copies(&self, copies: &Path) {
        let is_used = |name: &str| self.all().any(|found| name.strip_suffix(".so") == Some(found.digest.as_str()));
        for entry in std::fs::read_dir(copies).into_iter().flatten().flatten() {
            if !is_used(&entry.file_name().to_string_lossy())
                && let Err(error) = std::fs::remove_file(entry.path())
            {
                tracing::debug!("{}: {error}", entry.path().display());
            }
        }
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// All usable plugins, by name.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Found>> {
        self.found.values()
    }

    /// The plugin of that name.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&Arc<Found>> {
        self.found.get(name)
    }

    /// The plugin that has a handler type.
    ///
    /// # Errors
    /// Two plugins have it. Which one an actor gets must not depend on the names of their files.
    pub fn by_handler(&self, handler: &str) -> Result<Option<&Arc<Found>>, Error> {
        let is_twice =
            |what: &Problem| matches!(what, Problem::HandlerTwice { handler: twice, .. } if twice == handler);
        if let Some(problem) = self.problems.iter().find(|problem| is_twice(&problem.what)) {
            return Err(Error::Plugin { what: Arc::clone(problem) });
        }
        Ok(self.all().find(|found| found.descriptor.handlers.iter().any(|known| known == handler)))
    }

    /// A plugin that offers an imported interface.
    #[must_use]
    pub fn by_interface(&self, import: &str) -> Option<&Arc<Found>> {
        self.all().find(|found| found.descriptor.provides.iter().any(|provided| meets(&provided.interface, import)))
    }
}

#[cfg(test)]
mod tests {
    use theater_chain::interface_name::meets;

    #[test]
    fn versions_meet_within_their_semver_track() {
        assert!(meets("a:b/c", "a:b/c"));
        assert!(meets("a:b/c@1.2.0", "a:b/c@1.0.0"));
        assert!(meets("a:b/c@0.2.3", "a:b/c@0.2.0"));
        assert!(!meets("a:b/c@0.2.3", "a:b/c@0.3.0"));
        assert!(!meets("a:b/c@1.0.0", "a:b/c@2.0.0"));
        assert!(!meets("a:b/c", "a:b/c@1.0.0"));
        assert!(!meets("a:b/c", "a:b/d"));
    }
}
