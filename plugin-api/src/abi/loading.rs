//! Opens a plugin file and calls its `init`.
//!
//! A library is never closed: its code and statics are used until the process ends. `abi_stable` checks the root
//! module's layout before any function of it is called. Each failure is a case of [`LoadError`]; none leaves an object
//! behind.

use std::path::Path;

use abi_stable::library::{LibraryError, lib_header_from_path};
use theater_plugin_abi::{Answer, ERROR, EntryRef, HostObject, OK, PluginObject};

/// Limits the async-std executor of each plugin to one thread. Call it at the start of `main`.
///
/// Does nothing once the process has a second thread, which might be reading the environment.
pub fn hold_plugin_executors() {
    let threads = std::fs::read_dir("/proc/self/task").map_or(usize::MAX, Iterator::count);
    if threads == 1 {
        // SAFETY: this is the only thread, so no one reads the environment at the same time.
        unsafe { std::env::set_var("ASYNC_STD_THREAD_COUNT", "1") };
    }
}

/// Saves the limit of open files that this process was started with in the variable `THEATER_OPEN_FILES`, for plugins
/// that start programs. Call it at the start of `main`, before the limit is raised.
///
/// Does nothing once the process has a second thread.
pub fn keep_open_files_limit(soft: u64) {
    let threads = std::fs::read_dir("/proc/self/task").map_or(usize::MAX, Iterator::count);
    if threads == 1 {
        // SAFETY: this is the only thread, so no one reads the environment at the same time.
        unsafe { std::env::set_var("THEATER_OPEN_FILES", soft.to_string()) };
    }
}

/// Why a plugin file could not be loaded.
#[derive(Debug)]
#[non_exhaustive]
pub enum LoadError {
    /// The system's loader could not open it: its message.
    Open(String),
    /// The library does not export the root module of this ABI.
    NoEntry(String),
    /// The layout of a table differs from this core's.
    Layout(String),
    /// `init` returned an error: its sentence.
    Init(String),
    /// `init` panicked: the panic's message.
    InitPanicked(String),
}

/// Opens a library and initialises its plugin. The library is never closed.
///
/// # Errors
/// Any case of [`LoadError`].
pub fn load(file: &Path, host: HostObject) -> Result<PluginObject, LoadError> {
    // SAFETY: opening a library runs its initialisers; plugins are trusted native code.
    let library = unsafe { libloading::Library::new(file) }.map_err(|error| {
        // The loader's own message is in the source.
        let message = std::error::Error::source(&error).map(ToString::to_string);
        LoadError::Open(message.unwrap_or_else(|| error.to_string()))
    })?;
    std::mem::forget(library);
    let entry = lib_header_from_path(file).and_then(|header| header.init_root_module::<EntryRef>()).map_err(
        |error| match error {
            LibraryError::OpenError { err, .. } => LoadError::Open(err.to_string()),
            LibraryError::GetSymbolError { .. } | LibraryError::InvalidAbiHeader(_) => {
                LoadError::NoEntry(error.to_string())
            }
            other => LoadError::Layout(other.to_string()),
        },
    )?;
    let mut out = std::mem::MaybeUninit::<PluginObject>::uninit();
    // SAFETY: the layout was checked; out is memory for one object.
    let answer: Answer = unsafe { entry.init()(host, out.as_mut_ptr()) };
    match answer.status {
        // SAFETY: init has written the object if its status is OK.
        OK => Ok(unsafe { out.assume_init() }),
        ERROR => Err(LoadError::Init(answer.sentence())),
        _ => Err(LoadError::InitPanicked(answer.sentence())),
    }
}
