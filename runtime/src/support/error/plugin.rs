//! What can be wrong with a plugin's file.

use std::fmt;
use std::io;
use std::path::PathBuf;

use theater_plugin_api::abi::ABI_MAJOR;
use theater_plugin_api::descriptor::{SECTION, SectionError};

/// What is wrong with a plugin's file.
#[derive(Debug)]
pub struct PluginProblem {
    /// Name and version, if they could be read.
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
    /// The file is not an ELF shared library.
    #[error("is not a shared library: {0}")]
    NotLibrary(String),
    /// The library has no descriptor.
    #[error("is a shared library without a plugin descriptor (section {SECTION})")]
    NoDescriptor,
    /// The descriptor section is damaged.
    #[error("{0}")]
    Section(SectionError),
    /// It is built for another architecture.
    #[error("built for {found}, this machine is {expected}")]
    Architecture {
        /// The architecture of the file.
        found: String,
        /// The architecture of this machine.
        expected: &'static str,
    },
    /// It is built so that a panic aborts the process.
    #[error("built with panic = \"abort\", so a panic in it would end the whole program")]
    PanicAborts,
    /// It is built for a newer ABI.
    #[error("built for ABI {}.{}, this core supports ABI {ABI_MAJOR}", .0.0, .0.1)]
    TooNew((u16, u16)),
    /// It is built for an older ABI.
    #[error("built for ABI {}.{}, this core supports ABI {ABI_MAJOR}", .0.0, .0.1)]
    TooOld((u16, u16)),
    /// The JSON of the descriptor cannot be read.
    #[error("its descriptor cannot be read: {0}")]
    Descriptor(String),
    /// Its WIT does not parse.
    #[error("its WIT cannot be read: {0}")]
    Wit(String),
    /// It needs a service that this core does not have.
    #[error("needs the service {0} with minor {1}, which this core does not offer")]
    Service(String, u32),
    /// The layout of its ABI tables differs from this core's.
    #[error("the layout of its tables differs from this core's")]
    Layout(String),
    /// It has no root module.
    #[error("has a descriptor but no root module")]
    NoEntry(String),
    /// The dynamic loader could not open it.
    #[error("the system's loader does not open it: {0}")]
    Open(String),
    /// Its `init` returned an error.
    #[error("its init returned an error: {0}")]
    Init(String),
    /// Its `init` panicked.
    #[error("its init panicked: {0}")]
    InitPanicked(String),
    /// Two files have the same plugin name.
    #[error("has the same plugin name as {}", .0.display())]
    NameTwice(PathBuf),
    /// Two plugins have the same handler type.
    #[error("has the handler type {handler:?}, and so has {}", other.display())]
    HandlerTwice {
        /// The handler type.
        handler: String,
        /// The other plugin's file.
        other: PathBuf,
    },
    /// It could not be copied to the data folder.
    #[error("cannot be copied to {}: {source}", to.display())]
    Copy {
        /// The destination.
        to: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// It is an ambient plugin of a third party that the operator has not allowed.
    #[error("wants to be attached to every actor that imports it")]
    Ambient,
}

impl PluginProblem {
    /// Whether the file claims to be a plugin. A library without a descriptor may be anything, so it is reported only when
    /// an actor names it.
    #[must_use]
    pub fn is_plugin(&self) -> bool {
        !matches!(self.what, Problem::NoDescriptor | Problem::NotLibrary(_))
    }

    /// What the user can do about it, if there is anything.
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
