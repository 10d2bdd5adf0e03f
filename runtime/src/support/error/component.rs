//! What can be wrong with a component.

use std::path::{Path, PathBuf};

/// What is wrong with a component.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ComponentProblem {
    /// The file is not WebAssembly, or it is damaged.
    #[error("is not WebAssembly: {0}")]
    NotWasm(String),
    /// The engine rejects the component; the text is the engine's message.
    #[error("is a component that this engine refuses: {0}")]
    Refused(String),
    /// The file is a core module.
    #[error("is a core WebAssembly module, not a component")]
    CoreModule,
    /// Its digest differs from the one in the manifest.
    #[error("has the SHA-256 {found}, the manifest says {expected}")]
    Digest {
        /// The digest of the file.
        found: String,
        /// The digest in the manifest.
        expected: String,
    },
    /// It is fetched from a URL, and the manifest does not pin its digest.
    #[error("comes over the network, and the manifest does not name its sha256")]
    NoDigest {
        /// The digest of the file.
        found: String,
    },
    /// It imports an interface that no plugin offers.
    #[error("imports {import}, which no plugin in {} offers", folder.display())]
    UnknownImport {
        /// The imported interface.
        import: String,
        /// The plugin folder.
        folder: PathBuf,
    },
    /// It imports a function that belongs to no interface.
    #[error("imports the function {0} outside an interface, and plugins offer interfaces")]
    BareImport(String),
    /// It imports WASI.
    #[error("imports {}", .0.join(", "))]
    Wasi(Vec<String>),
    /// It imports an interface of a plugin that has no handler in the manifest.
    #[error("imports {import}, and {} names no handler for it", manifest.display())]
    MissingHandler {
        /// The manifest.
        manifest: PathBuf,
        /// The interface.
        import: String,
        /// The handler type that offers it.
        handler: String,
    },
    /// It imports another version of an interface.
    #[error("imports {import}; offered is {offered}")]
    Version {
        /// The imported interface.
        import: String,
        /// The offered version.
        offered: String,
    },
    /// The signature of a function differs.
    #[error("has {function} of {interface} as {found}, the plugin has it as {offered}")]
    Type {
        /// The interface.
        interface: String,
        /// The function.
        function: String,
        /// The signature in the component.
        found: String,
        /// The signature in the plugin.
        offered: String,
    },
    /// An imported function does not exist in the interface.
    #[error("imports the function {function} of {interface}, which the plugin {plugin:?} does not have")]
    NoFunction {
        /// The interface.
        interface: String,
        /// The function.
        function: String,
        /// The plugin.
        plugin: String,
    },
    /// It does not export a function that every actor, or one of its handlers, needs.
    #[error("does not export {export}, which {who} needs")]
    MissingExport {
        /// The function.
        export: String,
        /// The caller.
        who: String,
    },
    /// An export does not follow the calling convention.
    #[error(
        "exports {export} as {found}, which is not f(state: option<list<u8>>, params: tuple<..>) -> result<tuple<option<list<u8>>, tuple<..>>, string>"
    )]
    Convention {
        /// The function.
        export: String,
        /// Its signature.
        found: String,
    },
    /// A function has a type that cannot be passed to or from an actor.
    #[error("has {function} with a type that is not supported: {reason}")]
    Unsupported {
        /// The function.
        function: String,
        /// Why.
        reason: String,
    },
    /// The engine failed to link it.
    #[error("cannot be linked: {0}")]
    Link(String),
}

impl ComponentProblem {
    pub(super) fn help(&self, path: &Path) -> Option<String> {
        Some(match self {
            Self::NotWasm(_) | Self::Link(_) => "build it again; tests/actors/build shows how".to_owned(),
            Self::Refused(_) => "build it with the features of WebAssembly 2.0, multi-memory and relaxed SIMD only: threads, \
                 garbage collection, exceptions, memory64 and component-model async are off; if it is damaged, build it again"
                .to_owned(),
            Self::CoreModule => {
                "link it with wasm-component-ld, or run `wasm-tools component new` on it".to_owned()
            }
            Self::UnknownImport { .. } => {
                "put a plugin that offers it into that folder, or name another folder with --plugins DIR; `theater interfaces` lists what is offered".to_owned()
            }
            Self::BareImport(_) => "put the function into an interface of a WIT package, and offer that by a plugin".to_owned(),
            Self::Wasi(_) => "actors have no WASI: build for wasm32-unknown-unknown (Rust), -target wasm32-freestanding (C, Zig), or with --disable all / --stub-wasi (JavaScript, Python); `theater inspect FILE.wasm` says more".to_owned(),
            Self::MissingHandler { handler, manifest, .. } => {
                format!("add to {}:\n\n  [[handlers]]\n  type = \"{handler}\"\n", manifest.display())
            }
            Self::Version { .. } => "build the component against that version, or put a plugin that offers the other one into the folder".to_owned(),
            Self::Type { .. } | Self::NoFunction { .. } => "build the component against the WIT of the plugin: `theater plugin inspect NAME` prints it".to_owned(),
            Self::MissingExport { .. } | Self::Convention { .. } => format!(
                "export it with the signature its WIT gives; `theater inspect {}` prints what is there",
                path.display()
            ),
            Self::Unsupported { .. } => return None,
            Self::Digest { found, .. } | Self::NoDigest { found } => format!("if this is the file you mean: sha256 = \"{found}\""),
        })
    }
}
