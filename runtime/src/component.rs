//! Components: compiled once per content, with the signatures of what they import and export.

use std::collections::HashMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component as Compiled, ComponentExportIndex};

use crate::chain::hex;
use crate::error::{ComponentProblem, Error};
use crate::shape::Signature;

/// A component, compiled and looked through.
pub struct Component {
    /// Where it came from, for messages.
    pub path: PathBuf,
    /// SHA-256 of its bytes, lower-case hex.
    pub digest: String,
    /// The bytes, for `objects/`.
    pub bytes: Vec<u8>,
    /// The compiled code.
    pub compiled: Compiled,
    /// The interfaces it imports; those without functions carry only types.
    pub imports: Vec<(String, Vec<(String, Signature)>)>,
    /// The functions it exports.
    pub exports: Vec<Export>,
}

/// A function a component exports.
pub struct Export {
    /// `package:name/interface[@version]`.
    pub interface: String,
    /// Its name.
    pub name: String,
    /// Parameters and result.
    pub signature: Signature,
    /// Where the instance has it.
    pub index: ComponentExportIndex,
}

/// SHA-256 in lower-case hex.
#[must_use]
pub fn digest_of(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Compiled components by engine and digest, and by what their files were when they were read.
#[derive(Default)]
pub struct Components {
    cache: Mutex<HashMap<(bool, String), Arc<Component>>>,
    files: Mutex<HashMap<(bool, PathBuf), Read>>,
}

/// A component and the stamp its file had.
type Read = (Stamp, Arc<Component>);

/// What a file's metadata say of its content: device, inode, length, time of the last change in ns.
type Stamp = (u64, u64, u64, i128);

fn stamp(path: &Path) -> io::Result<Stamp> {
    let data = std::fs::metadata(path)?;
    Ok((data.dev(), data.ino(), data.len(), i128::from(data.ctime()) * 1_000_000_000 + i128::from(data.ctime_nsec())))
}

impl Components {
    /// The component of a file, read again only when the file has changed.
    ///
    /// # Errors
    /// What the system says; inside, as [`Components::get`].
    pub fn of_file(&self, engine: &Engine, pooled: bool, path: &Path) -> io::Result<Result<Arc<Component>, Error>> {
        let now = stamp(path)?;
        let key = (pooled, path.to_owned());
        if let Some((then, known)) = self.files.lock().unwrap_or_else(PoisonError::into_inner).get(&key)
            && *then == now
        {
            return Ok(Ok(Arc::clone(known)));
        }
        let component = self.get(engine, pooled, path, std::fs::read(path)?);
        if let Ok(component) = &component {
            let known = (now, Arc::clone(component));
            self.files.lock().unwrap_or_else(PoisonError::into_inner).insert(key, known);
        }
        Ok(component)
    }

    /// The component of that digest, if it was compiled for that engine before.
    #[must_use]
    pub fn known(&self, pooled: bool, digest: &str) -> Option<Arc<Component>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).get(&(pooled, digest.to_owned())).cloned()
    }

    /// The component with these bytes for this engine.
    ///
    /// # Errors
    /// `C0002`, `C0003`, `C0011`.
    pub fn get(&self, engine: &Engine, pooled: bool, path: &Path, bytes: Vec<u8>) -> Result<Arc<Component>, Error> {
        let digest = digest_of(&bytes);
        let key = (pooled, digest.clone());
        if let Some(known) = self.cache.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(Arc::clone(known));
        }
        let component = Component::new(engine, path, bytes, digest)
            .map_err(|what| Error::Component { path: path.to_owned(), what })?;
        let component = Arc::new(component);
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).insert(key, Arc::clone(&component));
        Ok(component)
    }
}

/// What the first bytes tell: the rest of a file that is something else would be read as WebAssembly's text format.
fn check_beginning(bytes: &[u8]) -> Result<(), ComponentProblem> {
    // A core module's version field is 1, a component's layer field 1 (component-model, Binary.md).
    if bytes.starts_with(b"\0asm\x01\0\0\0") {
        return Err(ComponentProblem::CoreModule);
    }
    let text = bytes.trim_ascii_start();
    if bytes.starts_with(b"\0asm") || text.starts_with(b"(") || text.starts_with(b";;") {
        return Ok(());
    }
    let first = bytes.get(..8).unwrap_or(bytes).escape_ascii();
    Err(ComponentProblem::NotWasm(format!("it begins with \"{first}\", a component with \"\\0asm\"")))
}

impl Component {
    fn new(engine: &Engine, path: &Path, bytes: Vec<u8>, digest: String) -> Result<Self, ComponentProblem> {
        check_beginning(&bytes)?;
        let compiled = Compiled::new(engine, &bytes).map_err(|error| {
            let text = format!("{error:#}");
            // In the text format only the parser can tell the two apart.
            match text.contains("parse a wasm module with a component parser") {
                true => ComponentProblem::CoreModule,
                false => ComponentProblem::NotWasm(text.split_whitespace().collect::<Vec<_>>().join(" ")),
            }
        })?;
        let ty = compiled.component_type();
        let unsupported = |function: String| {
            move |error: crate::shape::Unsupported| ComponentProblem::Unsupported {
                function,
                reason: error.to_string(),
            }
        };
        let mut imports = Vec::new();
        for (name, item) in ty.imports(engine) {
            let mut functions = Vec::new();
            match item.ty {
                ComponentItem::ComponentInstance(instance) => {
                    for (function, item) in instance.exports(engine) {
                        if let ComponentItem::ComponentFunc(func) = item.ty {
                            let signature =
                                Signature::of_component(&func).map_err(unsupported(format!("{name}/{function}")))?;
                            functions.push((function.to_owned(), signature));
                        }
                    }
                }
                ComponentItem::ComponentFunc(_) => {
                    return Err(ComponentProblem::BareImport(name.to_owned()));
                }
                _ => {}
            }
            imports.push((name.to_owned(), functions));
        }
        let mut exports = Vec::new();
        for (interface, item) in ty.exports(engine) {
            let ComponentItem::ComponentInstance(instance) = item.ty else { continue };
            let Some(parent) = compiled.get_export_index(None, interface) else { continue };
            for (function, item) in instance.exports(engine) {
                let ComponentItem::ComponentFunc(func) = item.ty else { continue };
                let Some(index) = compiled.get_export_index(Some(&parent), function) else { continue };
                let signature =
                    Signature::of_component(&func).map_err(unsupported(format!("{interface}/{function}")))?;
                exports.push(Export { interface: interface.to_owned(), name: function.to_owned(), signature, index });
            }
        }
        Ok(Self { path: path.to_owned(), digest, bytes, compiled, imports, exports })
    }

    /// The export that meets a name.
    #[must_use]
    pub fn export(&self, interface: &str, function: &str) -> Option<&Export> {
        self.exports
            .iter()
            .find(|export| export.name == function && crate::plugins::meets(&export.interface, interface))
    }
}
