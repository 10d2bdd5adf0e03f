//! Plugins: found in a folder by their descriptor, read without running them, loaded when an actor names them.
//!
//! A plugin's file is copied to `<data>/plugins/<sha256>.so` and the copy is opened, so that a file replaced while the
//! program runs changes nothing before the next start.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::IntoRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use object::{Object, ObjectSection, ReadCache, ReadRef};
use rustix::fs::{MemfdFlags, SealFlags, StatVfsMountFlags, fcntl_add_seals, memfd_create};
use sha2::{Digest, Sha256};
use theater_chain::interface_name::meets;
use theater_chain::value_type::resolve_wit;
use theater_plugin_api::abi::{ABI_MAJOR, ABI_MINOR, HostObject, PluginObject, loading};
use theater_plugin_api::descriptor::{self, Descriptor, Effect, SECTION, SectionError};

use crate::support::error::Error;
use crate::support::files::Regular;
use theater_chain::event::hex;
use theater_chain::value_type::{FaultCase, Signature};

/// What is wrong with a plugin's file.
#[derive(Debug)]
pub struct PluginProblem {
    /// Name and version, as far as they could be read.
    pub name: Option<(String, String)>,
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    pub what: Problem,
}

/// The ways in which a plugin's file can be wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The file could not be read.
    #[error("cannot be read: {0}")]
    Read(io::Error),
    /// Not an ELF shared library.
    #[error("is not a shared library: {0}")]
    NotLibrary(String),
    /// No descriptor.
    #[error("is a shared library without a plugin descriptor (section {SECTION})")]
    NoDescriptor,
    /// The section is damaged.
    #[error("{0}")]
    Section(SectionError),
    /// Built for another architecture.
    #[error("built for {found}, this machine is {expected}")]
    Architecture {
        /// The file's.
        found: String,
        /// This machine's.
        expected: &'static str,
    },
    /// Panics would abort the process.
    #[error("built with panic = \"abort\", so a panic in it would end the whole program")]
    PanicAborts,
    /// Built for a newer ABI.
    #[error("built for ABI {}.{}, this core supports ABI {ABI_MAJOR}", .0.0, .0.1)]
    TooNew((u16, u16)),
    /// Built for an older ABI.
    #[error("built for ABI {}.{}, this core supports ABI {ABI_MAJOR}", .0.0, .0.1)]
    TooOld((u16, u16)),
    /// The JSON of the descriptor cannot be read.
    #[error("its descriptor cannot be read: {0}")]
    Descriptor(String),
    /// Its WIT does not parse.
    #[error("its WIT cannot be read: {0}")]
    Wit(String),
    /// Needs a service this core does not have.
    #[error("needs the service {0} with minor {1}, which this core does not offer")]
    Service(String, u32),
    /// The tables are laid out otherwise.
    #[error("its tables are laid out otherwise than this core's")]
    Layout(String),
    /// No root module.
    #[error("has a descriptor but no root module")]
    NoEntry(String),
    /// The system's loader did not open it.
    #[error("the system's loader does not open it: {0}")]
    Open(String),
    /// `init` refused.
    #[error("its init returned an error: {0}")]
    Init(String),
    /// `init` panicked.
    #[error("its init panicked: {0}")]
    InitPanicked(String),
    /// Two files with one plugin name.
    #[error("has the same plugin name as {}", .0.display())]
    NameTwice(PathBuf),
    /// Two plugins with one handler type.
    #[error("has the handler type {handler:?}, and so has {}", other.display())]
    HandlerTwice {
        /// The handler type.
        handler: String,
        /// The other plugin's file.
        other: PathBuf,
    },
    /// The copy to the data folder failed.
    #[error("cannot be copied to {}: {source}", to.display())]
    Copy {
        /// Where to.
        to: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// An ambient plugin that is not ours and was not allowed.
    #[error("wants to be attached to every actor that imports it")]
    Ambient,
}

impl PluginProblem {
    /// Whether the file claims to be a plugin: one without a descriptor may be any library, and is only told of when an
    /// actor names it.
    #[must_use]
    pub fn is_plugin(&self) -> bool {
        !matches!(self.what, Problem::NoDescriptor | Problem::NotLibrary(_))
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self.what {
            Problem::Read(_) => "P0002",
            Problem::NotLibrary(_) => "P0003",
            Problem::NoDescriptor => "P0004",
            Problem::Section(SectionError::Layout(_)) => "P0023",
            Problem::Section(_) => "P0005",
            Problem::Architecture { .. } => "P0006",
            Problem::TooNew(_) => "P0007",
            Problem::TooOld(_) => "P0008",
            Problem::PanicAborts => "P0009",
            Problem::Descriptor(_) => "P0010",
            Problem::Wit(_) => "P0011",
            Problem::Service(..) => "P0012",
            Problem::Layout(_) => "P0013",
            Problem::NoEntry(_) => "P0014",
            Problem::Open(_) => "P0015",
            Problem::Init(_) => "P0016",
            Problem::InitPanicked(_) => "P0017",
            Problem::NameTwice(_) => "P0018",
            Problem::HandlerTwice { .. } => "P0019",
            Problem::Copy { .. } => "P0020",
            Problem::Ambient => "P0021",
        }
    }

    /// What to do.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        Some(match &self.what {
            Problem::Read(_) => "check the path and the file's permissions".to_owned(),
            Problem::NotLibrary(_) | Problem::NoDescriptor => {
                "build the plugin as crate-type = [\"cdylib\"] with theater_plugin_api::bindings!".to_owned()
            }
            Problem::Section(_) | Problem::Descriptor(_) | Problem::Wit(_) => {
                "build the plugin again with a theater-plugin-api of this core's ABI".to_owned()
            }
            Problem::Architecture { .. } => "build the plugin for this machine".to_owned(),
            Problem::PanicAborts => "build it with panic = \"unwind\", Rust's default".to_owned(),
            Problem::TooNew(_) => "use a newer theater, or an older release of the plugin".to_owned(),
            Problem::TooOld(_) => "use a newer release of the plugin, or an older theater".to_owned(),
            Problem::Service(..) => "use a newer theater, or an older release of the plugin".to_owned(),
            Problem::Layout(_) | Problem::NoEntry(_) => {
                "build the plugin with the theater-plugin-api it names, unchanged".to_owned()
            }
            Problem::Open(_) => "install what the library links to".to_owned(),
            Problem::NameTwice(_) | Problem::HandlerTwice { .. } => {
                "keep one of the two in the plugin folder".to_owned()
            }
            Problem::Copy { .. } => {
                "name a folder that can be written with --data DIR, for `theater replay` with TMPDIR".to_owned()
            }
            Problem::Ambient => match &self.name {
                Some((name, _)) => format!("allow it with --allow-ambient {name}"),
                None => return None,
            },
            Problem::Init(_) | Problem::InitPanicked(_) => return None,
        })
    }
}

impl fmt::Display for PluginProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some((name, version)) => write!(f, "plugin {name:?} {version} ({}): {}", self.path.display(), self.what),
            None => write!(f, "plugin file {}: {}", self.path.display(), self.what),
        }
    }
}

impl std::error::Error for PluginProblem {}

/// A file with a descriptor this core can use.
#[derive(Debug)]
pub struct Found {
    /// The file.
    pub path: PathBuf,
    /// What it says of itself.
    pub descriptor: Descriptor,
    /// The ABI it was built for.
    pub abi: (u16, u16),
    /// SHA-256 of the file, lower-case hex.
    pub digest: String,
    loaded: OnceLock<Arc<Plugin>>,
    loading: Mutex<()>,
}

/// A plugin of this process.
pub struct Plugin {
    /// What it says of itself.
    pub descriptor: Descriptor,
    /// SHA-256 of its file.
    pub digest: String,
    /// Its object.
    pub object: PluginObject,
    /// The functions it offers, numbered as its ABI numbers them.
    pub functions: Vec<PluginFunction>,
    /// The exports it calls, numbered as its ABI numbers them.
    pub exports: Vec<PluginExport>,
    /// The descriptor's `wit` as JSON.
    pub wit: String,
    /// SHA-256 of that, lower-case hex.
    pub wit_digest: String,
    /// The config's schema, ready to check with, or why it is none; made when first asked for.
    pub validator: OnceLock<Result<jsonschema::Validator, String>>,
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plugin({} {})", self.descriptor.name, self.descriptor.version)
    }
}

/// A function a plugin offers.
#[derive(Debug, Clone)]
pub struct PluginFunction {
    /// `package:name/interface[@version]`.
    pub interface: String,
    /// Its name.
    pub name: String,
    /// Parameters and result.
    pub signature: Signature,
    /// Called as a future.
    pub is_async: bool,
    /// What calling it means for the outside.
    pub effect: Effect,
    /// How its own `err` tells a fault; none where it cannot.
    pub fault: Option<FaultCase>,
}

/// An export a plugin calls.
#[derive(Debug, Clone)]
pub struct PluginExport {
    /// `package:name/interface[@version]`.
    pub interface: String,
    /// Its name.
    pub name: String,
    /// Parameters and result.
    pub signature: Signature,
    /// Whether an actor without it starts.
    pub required: bool,
}

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
    /// Only when the folder cannot be read; a file that cannot be used is one of [`Plugins::problems`].
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

    /// Removes copies of files that are not in the folder any more, and drafts of copies that were cut off: who holds the data
    /// folder is the only one to use them.
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
    /// Two have it: which of them an actor gets must not depend on the names of their files.
    pub fn by_handler(&self, handler: &str) -> Result<Option<&Arc<Found>>, Error> {
        let is_twice =
            |what: &Problem| matches!(what, Problem::HandlerTwice { handler: twice, .. } if twice == handler);
        if let Some(problem) = self.problems.iter().find(|problem| is_twice(&problem.what)) {
            return Err(Error::Plugin { what: Arc::clone(problem) });
        }
        Ok(self.all().find(|found| found.descriptor.handlers.iter().any(|known| known == handler)))
    }

    /// A plugin (and its handler type) that offers an interface an import asks for.
    #[must_use]
    pub fn by_interface(&self, import: &str) -> Option<&Arc<Found>> {
        self.all().find(|found| found.descriptor.provides.iter().any(|provided| meets(&provided.interface, import)))
    }
}

fn machine(architecture: object::Architecture) -> String {
    match architecture {
        object::Architecture::X86_64 => "x86-64".to_owned(),
        object::Architecture::Aarch64 => "arm64".to_owned(),
        other => format!("{other:?}").to_lowercase(),
    }
}

const THIS_MACHINE: &str = if cfg!(target_arch = "aarch64") { "arm64" } else { "x86-64" };

/// Reads a plugin's file without running any of its code.
///
/// # Errors
/// Everything that keeps it from being used, as far as can be seen from outside.
pub fn read(path: &Path) -> Result<Found, PluginProblem> {
    let nameless = |what| PluginProblem { name: None, path: path.to_owned(), what };
    // Opened once: the descriptor is that of the bytes whose digest it is.
    let mut file = open(path).map_err(|error| nameless(Problem::Read(error)))?;
    let digest = digest_of(&mut file, &mut io::sink()).map_err(|error| nameless(Problem::Read(error)))?;
    let section = section_of(&ReadCache::new(file)).map_err(nameless)?;
    // The name helps in every message, whatever the ABI; it is read loosely.
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
    if let Some((id, minor)) = descriptor.services.iter().find(|(id, minor)| !crate::plugin::host::offers(id, *minor)) {
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

/// Opens a regular file; a pipe of that name would be waited for.
fn open(path: &Path) -> io::Result<File> {
    Regular::open(path).map(Regular::into_file)
}

/// SHA-256 of a file, as hex, which is written to `copy` on the way: files are large, and memory that was used once stays.
fn digest_of(file: &mut impl Read, copy: &mut impl Write) -> io::Result<String> {
    let (mut digest, mut piece) = (Sha256::new(), vec![0; 64 * 1024]);
    loop {
        let length = file.read(&mut piece)?;
        let read = piece.get(..length).unwrap_or_default();
        if read.is_empty() {
            return Ok(hex(&digest.finalize()));
        }
        digest.update(read);
        copy.write_all(read)?;
    }
}

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

impl Found {
    /// The plugin, loaded on first use.
    ///
    /// # Errors
    /// Everything that can go wrong from the copy to `init`.
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

    /// A problem of this plugin.
    #[must_use]
    pub fn problem(&self, what: Problem) -> Error {
        let name = Some((self.descriptor.name.clone(), self.descriptor.version.clone()));
        Error::Plugin { what: Arc::new(PluginProblem { name, path: self.path.clone(), what }) }
    }

    /// The functions and exports, as the WIT gives them.
    ///
    /// # Errors
    /// WIT that does not parse or does not have what the descriptor names.
    pub fn signatures(&self) -> Result<(Vec<PluginFunction>, Vec<PluginExport>), Problem> {
        let (resolve, _) = resolve_wit(&self.descriptor.wit).map_err(Problem::Wit)?;
        let signature = |interface: &str, function: &str| {
            let missing = || Problem::Wit(format!("it has no {interface}/{function}"));
            let (_, found) = resolve
                .interfaces
                .iter()
                .find(|(id, _)| resolve.id_of(*id).as_deref() == Some(interface))
                .ok_or_else(missing)?;
            let found = found.functions.get(function).ok_or_else(missing)?;
            Signature::of_wit(&resolve, found).map_err(|error| Problem::Wit(format!("{interface}/{function}: {error}")))
        };
        let mut functions = Vec::new();
        for provided in &self.descriptor.provides {
            for function in &provided.functions {
                let signature = signature(&provided.interface, &function.name)?;
                let case = function.fault.as_deref();
                let fault = signature.result.as_ref().and_then(|result| result.fault_case(case));
                if let (Some(case), None) = (case, &fault) {
                    let (interface, name) = (&provided.interface, &function.name);
                    let what = format!("{interface}/{name}: its error has no case {case} that carries text or nothing");
                    return Err(Problem::Wit(what));
                }
                functions.push(PluginFunction {
                    interface: provided.interface.clone(),
                    name: function.name.clone(),
                    signature,
                    is_async: function.r#async,
                    effect: function.effect,
                    fault,
                });
            }
        }
        let mut exports = Vec::new();
        for called in &self.descriptor.calls {
            for function in &called.functions {
                exports.push(PluginExport {
                    interface: called.interface.clone(),
                    name: function.clone(),
                    signature: signature(&called.interface, function)?,
                    required: called.required,
                });
            }
        }
        Ok((functions, exports))
    }

    fn open(&self, copies: &Path, host: impl FnOnce(&Descriptor) -> HostObject) -> Result<Plugin, Problem> {
        let (functions, exports) = self.signatures()?;
        let copy = self.copy(copies)?;
        let object = loading::load(&copy, host(&self.descriptor)).map_err(|error| match error {
            loading::LoadError::Open(words) => Problem::Open(words),
            loading::LoadError::NoEntry(words) => Problem::NoEntry(words),
            loading::LoadError::Layout(words) => Problem::Layout(words),
            loading::LoadError::Init(sentence) => Problem::Init(sentence),
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

    /// Copies the file under its digest, checking that it is still the one whose descriptor was read.
    fn copy(&self, copies: &Path) -> Result<PathBuf, Problem> {
        let to = copies.join(format!("{}.so", self.digest));
        let failed = |source| Problem::Copy { to: to.clone(), source };
        std::fs::create_dir_all(copies).map_err(failed)?;
        // The loader maps no code from there: it gets the bytes from memory.
        if rustix::fs::statvfs(copies).is_ok_and(|system| system.f_flag.contains(StatVfsMountFlags::NOEXEC)) {
            return self.in_memory();
        }
        if open(&to)
            .and_then(|mut copy| digest_of(&mut copy, &mut io::sink()))
            .is_ok_and(|digest| digest == self.digest)
        {
            return Ok(to);
        }
        let draft = copies.join(format!("{}.{}", self.digest, std::process::id()));
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&draft)
            .map_err(failed)?;
        let digest = open(&self.path).and_then(|mut from| digest_of(&mut from, &mut file)).map_err(failed)?;
        if digest != self.digest {
            drop(std::fs::remove_file(&draft));
            return Err(Self::replaced());
        }
        file.sync_all().map_err(failed)?;
        std::fs::rename(&draft, &to).map_err(failed)?;
        Ok(to)
    }

    fn replaced() -> Problem {
        Problem::Read(io::Error::other("the file was replaced while the program started"))
    }

    /// Copies the file into sealed memory that the loader can open; it stays as long as the program.
    fn in_memory(&self) -> Result<PathBuf, Problem> {
        let failed = |source: io::Error| Problem::Copy { to: PathBuf::from("memory"), source };
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        // Systems before Linux 6.3 do not know EXEC, and need it not.
        let memory = memfd_create(&self.descriptor.name, flags | MemfdFlags::EXEC)
            .or_else(|_| memfd_create(&self.descriptor.name, flags));
        let mut file = File::from(memory.map_err(|error| failed(error.into()))?);
        let digest = open(&self.path).and_then(|mut from| digest_of(&mut from, &mut file)).map_err(failed)?;
        if digest != self.digest {
            return Err(Self::replaced());
        }
        let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
        fcntl_add_seals(&file, seals).map_err(|error| failed(error.into()))?;
        Ok(PathBuf::from(format!("/proc/self/fd/{}", file.into_raw_fd())))
    }

    /// The digest of the file as it is on disk now, when it is another than the one that was read.
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
