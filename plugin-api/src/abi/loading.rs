//! Opens a plugin file and calls its `init`.
//!
//! A library is never closed: its code and statics are used until the process ends. `abi_stable` checks the root module's
//! layout before any function of it is called. Each failure is a case of [`LoadError`]; none leaves an object behind.

use std::path::Path;

use abi_stable::library::{LibraryError, lib_header_from_path};
use theater_plugin_abi::{Answer, ERROR, EntryRef, HostObject, OK, PluginObject};

/// Holds the copies of async-std that plugins bring along to one thread each: call it first thing in `main`.
///
/// Nothing is changed once the process has a second thread, since that one may be reading the environment.
pub fn hold_plugin_executors() {
    let threads = std::fs::read_dir("/proc/self/task").map_or(usize::MAX, Iterator::count);
    if threads == 1 {
        // SAFETY: this is the only thread, so nobody reads the environment at the same time.
        unsafe { std::env::set_var("ASYNC_STD_THREAD_COUNT", "1") };
    }
}

/// Keeps the number of open files that this process was started with where plugins find it that start programs
/// (`THEATER_OPEN_FILES`): call it before the limit is raised, as [`hold_plugin_executors`].
pub fn keep_open_files_limit(soft: u64) {
    let threads = std::fs::read_dir("/proc/self/task").map_or(usize::MAX, Iterator::count);
    if threads == 1 {
        // SAFETY: this is the only thread, so nobody reads the environment at the same time.
        unsafe { std::env::set_var("THEATER_OPEN_FILES", soft.to_string()) };
    }
}

/// Why a plugin file did not become a plugin.
#[derive(Debug)]
#[non_exhaustive]
pub enum LoadError {
    /// The system's loader did not open it; its words.
    Open(String),
    /// The library does not export the root module of this ABI.
    NoEntry(String),
    /// The tables are laid out otherwise than this core's.
    Layout(String),
    /// `init` refused; its sentence.
    Init(String),
    /// `init` panicked; the panic's message.
    InitPanicked(String),
}

/// Opens the library (it is never closed) and makes its plugin.
///
/// # Errors
/// One of [`LoadError`]'s cases.
pub fn load(file: &Path, host: HostObject) -> Result<PluginObject, LoadError> {
    // SAFETY: running a plugin's initialisers is what loading a plugin is; plugins are trusted native code.
    let library = unsafe { libloading::Library::new(file) }.map_err(|error| {
        // The loader's own words are in the source.
        let words = std::error::Error::source(&error).map(ToString::to_string);
        LoadError::Open(words.unwrap_or_else(|| error.to_string()))
    })?;
    std::mem::forget(library);
    let entry =
        lib_header_from_path(file).and_then(|header| header.init_root_module::<EntryRef>()).map_err(|error| {
            match error {
                LibraryError::OpenError { err, .. } => LoadError::Open(err.to_string()),
                LibraryError::GetSymbolError { .. } | LibraryError::InvalidAbiHeader(_) => {
                    LoadError::NoEntry(error.to_string())
                }
                other => LoadError::Layout(other.to_string()),
            }
        })?;
    let mut out = std::mem::MaybeUninit::<PluginObject>::uninit();
    // SAFETY: the layout was checked; out is a place for one object.
    let answer: Answer = unsafe { entry.init()(host, out.as_mut_ptr()) };
    match answer.status {
        // SAFETY: init fills the place when it answers OK.
        OK => Ok(unsafe { out.assume_init() }),
        ERROR => Err(LoadError::Init(answer.sentence())),
        _ => Err(LoadError::InitPanicked(answer.sentence())),
    }
}
