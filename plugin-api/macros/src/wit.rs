//! Reads the WIT of a plugin: resolved for the code, and as source text for the descriptor.

use std::path::{Path, PathBuf};

use syn::{Error, LitStr, Result};
use wit_parser::{Interface, InterfaceId, PackageId, Resolve, Type, TypeDefKind, TypeId, TypeOwner};

use crate::input::Input;

/// The files of one package, as (file name, text).
pub type Sources = Vec<(String, String)>;

pub struct Packages {
    pub resolve: Resolve,
    /// The packages, each after those that it uses.
    pub sources: Vec<Sources>,
    /// Every file that was read, so that the compiler rebuilds when it changes.
    pub files: Vec<PathBuf>,
}

impl Packages {
    pub fn read(input: &Input) -> Result<Self> {
        let folder = crate_folder().join(input.wit.value());
        let at = |error: &dyn std::fmt::Display| Error::new(input.wit.span(), format!("{}: {error}", folder.display()));
        let mut resolve = Resolve::default();
        let pushed = resolve.push_dir(&folder);
        let (main, _) = pushed.map_err(|error| at(&resolve.render_error(&error)))?;
        let (mut folders, mut files) = (vec![folder.clone()], Vec::new());
        if let Ok(entries) = std::fs::read_dir(folder.join("deps")) {
            folders.extend(entries.flatten().map(|entry| entry.path()));
        }
        let mut groups = Vec::new();
        for folder in folders {
            let names = wit_files(&folder).map_err(|error| at(&error))?;
            let mut sources = Sources::new();
            for file in names {
                let text = std::fs::read_to_string(&file).map_err(|error| at(&error))?;
                sources.push((file.file_name().unwrap_or_default().to_string_lossy().into_owned(), text));
                files.push(file);
            }
            groups.push(sources);
        }
        let sources = ordered(&resolve, main, groups);
        Ok(Self { resolve, sources, files })
    }

    /// The interface with the name `package:name/interface[@version]`.
    pub fn interface(&self, name: &LitStr) -> Result<(InterfaceId, &Interface)> {
        let wanted = name.value();
        self.resolve
            .interfaces
            .iter()
            .find(|(id, _)| self.resolve.id_of(*id).as_deref() == Some(wanted.as_str()))
            .ok_or_else(|| {
                let known: Vec<_> =
                    self.resolve.interfaces.iter().filter_map(|(id, _)| self.resolve.id_of(id)).collect();
                Error::new(name.span(), format!("the WIT has no interface {wanted}; it has {}", known.join(", ")))
            })
    }

    /// `interfaces` and all interfaces that they use types from.
    pub fn closure(&self, interfaces: &[InterfaceId]) -> Vec<InterfaceId> {
        let mut all = Vec::new();
        let mut open = interfaces.to_vec();
        while let Some(next) = open.pop() {
            if all.contains(&next) {
                continue;
            }
            all.push(next);
            let Some(interface) = self.resolve.interfaces.get(next) else { continue };
            for id in interface.types.values() {
                if let Some(from) = self.aliased(*id) {
                    open.push(from);
                }
            }
        }
        all.sort_unstable();
        all
    }

    fn aliased(&self, id: TypeId) -> Option<InterfaceId> {
        match self.resolve.types.get(id)?.kind {
            TypeDefKind::Type(Type::Id(other)) => match self.resolve.types.get(other)?.owner {
                TypeOwner::Interface(from) => Some(from),
                _ => None,
            },
            _ => None,
        }
    }
}

fn crate_folder() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default()
}

fn wit_files(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    let is_wit = |path: &Path| path.extension().is_some_and(|extension| extension == "wit");
    if !path.is_dir() {
        return Ok(if is_wit(path) { vec![path.to_owned()] } else { Vec::new() });
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let path = entry?.path();
        if path.is_file() && is_wit(&path) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The groups in topological order. The main package, which no other package uses, is last.
fn ordered(resolve: &Resolve, main: PackageId, groups: Vec<Sources>) -> Vec<Sources> {
    let declares = |group: &Sources, id: PackageId| {
        resolve.packages.get(id).is_some_and(|package| {
            let name = &package.name;
            // The name includes the version, because the WIT may have several versions of a package.
            let declaration = format!("package {name}");
            group.iter().any(|(_, text)| {
                text.lines()
                    .any(|line| line.trim().strip_prefix(&declaration).is_some_and(|rest| rest.starts_with([';', ' '])))
            })
        })
    };
    let mut order = resolve.topological_packages();
    order.retain(|id| *id != main);
    order.push(main);
    order.into_iter().filter_map(|id| groups.iter().find(|group| declares(group, id)).cloned()).collect()
}
