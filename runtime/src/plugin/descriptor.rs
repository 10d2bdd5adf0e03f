//! Reads and checks the descriptor of a plugin's file without running any of its code, and loads the plugin on first use.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use object::{Object, ObjectSection, ReadCache, ReadRef};
use sha2::{Digest, Sha256};
use theater_chain::event::hex;
use theater_plugin_api::abi::{ABI_MAJOR, ABI_MINOR, HostObject, loading};
use theater_plugin_api::descriptor::{self, Descriptor, SECTION};

use crate::plugin::file_copy::{PluginFile, digest_of, open};
use crate::plugin::loaded::Plugin;
use crate::plugin::services::offers;
use crate::plugin::signatures::{PluginExport, PluginFunction, signatures_of};
use crate::support::error::{Error, PluginProblem, Problem};

/// A plugin's file whose descriptor this core accepts.
#[derive(Debug)]
pub struct Found {
    /// The file.
    pub path: PathBuf,
    /// Its descriptor.
    pub descriptor: Descriptor,
    /// The ABI it was built for.
    pub abi: (u16, u16),
    /// SHA-256 of the file, lower-case hex.
    pub digest: String,
    loaded: OnceLock<Arc<Plugin>>,
    loading: Mutex<()>,
}

/// Reads a plugin's file without running any of its code.
///
/// # Errors
/// The first reason why this core cannot use the file, as far as that can be seen without loading it.
pub fn read(path: &Path) -> Result<Found, PluginProblem> {
    let nameless = |what| PluginProblem { name: None, path: path.to_owned(), what };
    // Opened once, so that the digest and the descriptor are of the same bytes.
    let mut file = open(path).map_err(|error| nameless(Problem::Read(error)))?;
    let digest = digest_of(&mut file, &mut io::sink()).map_err(|error| nameless(Problem::Read(error)))?;
    let section = section_of(&ReadCache::new(file)).map_err(nameless)?;
    // The name is read leniently, so that the messages about an unknown ABI have it too.
    let loose: Option<serde_json::Value> = serde_json::from_str(&section.json).ok();
    let word = |key: &str| loose.as_ref()?.get(key)?.as_str().map(ToOwned::to_owned);
    let name = word("name").zip(word("version"));
    let named = |what| PluginProblem { name: name.clone(), path: path.to_owned(), what };
    if section.abi.0 > ABI_MAJOR {
        return Err(named(Problem::TooNew(section.abi)));
    }
    if section.abi.0 < ABI_MAJOR {
        return Err(named(Problem::TooOld(section.abi)));
    }
    if section.panic_aborts {
        return Err(named(Problem::PanicAborts));
    }
    let descriptor: Descriptor =
        serde_json::from_str(&section.json).map_err(|error| named(Problem::Descriptor(error.to_string())))?;
    if let Some((id, minor)) = descriptor.services.iter().find(|(id, minor)| !offers(id, *minor)) {
        return Err(named(Problem::Service(id.clone(), *minor)));
    }
    Ok(Found {
        path: path.to_owned(),
        descriptor,
        abi: section.abi,
        digest,
        loaded: OnceLock::new(),
        loading: Mutex::new(()),
    })
}

/// The descriptor section of a file.
fn section_of<'a>(file: impl ReadRef<'a>) -> Result<descriptor::Section, Problem> {
    let file = object::File::parse(file).map_err(|error| Problem::NotLibrary(error.to_string()))?;
    if file.kind() != object::ObjectKind::Dynamic {
        return Err(Problem::NotLibrary(format!("it is of kind {:?}", file.kind()).to_lowercase()));
    }
    let found = machine(file.architecture());
    if found != THIS_MACHINE {
        return Err(Problem::Architecture { found, expected: THIS_MACHINE });
    }
    let section = file.section_by_name(SECTION).ok_or(Problem::NoDescriptor)?;
    let data = section.data().map_err(|error| Problem::NotLibrary(error.to_string()))?;
    descriptor::parse_section(data).map_err(Problem::Section)
}

/// The name of an architecture, for messages.
fn machine(architecture: object::Architecture) -> String {
    match architecture {
        object::Architecture::X86_64 => "x86-64".to_owned(),
        object::Architecture::Aarch64 => "arm64".to_owned(),
        other => format!("{other:?}").to_lowercase(),
    }
}

const THIS_MACHINE: &str = if cfg!(target_arch = "aarch64") { "arm64" } else { "x86-64" };

impl Found {
    /// The plugin, loaded on first use.
    ///
    /// # Errors
    /// Copying or opening the file, or its `init`, failed.
    pub fn load(&self, copies: &Path, host: impl FnOnce(&Descriptor) -> HostObject) -> Result<Arc<Plugin>, Error> {
        if let Some(plugin) = self.loaded.get() {
            return Ok(Arc::clone(plugin));
        }
        let _one = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(plugin) = self.loaded.get() {
            return Ok(Arc::clone(plugin));
        }
        let plugin = Arc::new(self.open(copies, host).map_err(|what| self.problem(what))?);
        Ok(Arc::clone(self.loaded.get_or_init(|| plugin)))
    }

    /// The plugin, if this process has loaded it.
    #[must_use]
    pub fn loaded(&self) -> Option<&Arc<Plugin>> {
        self.loaded.get()
    }

    /// Whether this process has loaded it.
    #[must_use]
    pub fn is_loaded(&self) -> bool {
        self.loaded.get().is_some()
    }

    /// An error about this plugin.
    #[must_use]
    pub fn problem(&self, what: Problem) -> Error {
        let name = Some((self.descriptor.name.clone(), self.descriptor.version.clone()));
        Error::Plugin { what: Arc::new(PluginProblem { name, path: self.path.clone(), what }) }
    }

    /// The functions and exports with their signatures, from the WIT of the descriptor.
    ///
    /// # Errors
    /// The WIT does not parse, or lacks a function that the descriptor names.
    pub fn signatures(&self) -> Result<(Vec<PluginFunction>, Vec<PluginExport>), Problem> {
        signatures_of(&self.descriptor)
    }

    fn open(&self, copies: &Path, host: impl FnOnce(&Descriptor) -> HostObject) -> Result<Plugin, Problem> {
        let (functions, exports) = self.signatures()?;
        let copy = self.file().copy(copies)?;
        let object = loading::load(&copy, host(&self.descriptor)).map_err(|error| match error {
            loading::LoadError::Open(message) => Problem::Open(message),
            loading::LoadError::NoEntry(message) => Problem::NoEntry(message),
            loading::LoadError::Layout(message) => Problem::Layout(message),
            loading::LoadError::Init(message) => Problem::Init(message),
            loading::LoadError::InitPanicked(message) => Problem::InitPanicked(message),
            other => Problem::Open(format!("{other:?}")),
        })?;
        let wit = serde_json::to_string(&self.descriptor.wit).unwrap_or_default();
        Ok(Plugin {
            descriptor: self.descriptor.clone(),
            digest: self.digest.clone(),
            object,
            functions,
            exports,
            wit_digest: hex(&Sha256::digest(wit.as_bytes())),
            wit,
            validator: OnceLock::new(),
        })
    }

    fn file(&self) -> PluginFile<'_> {
        PluginFile { path: &self.path, digest: &self.digest, name: &self.descriptor.name }
    }

    /// The digest of the file on disk now, if it differs from the one that was read.
    #[must_use]
    pub fn replaced_on_disk(&self) -> Option<String> {
        let digest = digest_of(&mut open(&self.path).ok()?, &mut io::sink()).ok()?;
        (digest != self.digest).then_some(digest)
    }
}

/// The ABI of this core, as text.
#[must_use]
pub fn abi_text() -> String {
    format!("{ABI_MAJOR}.{ABI_MINOR}")
}
