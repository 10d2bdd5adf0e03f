//! Components: compiled once per content, with the signatures of what they import and export.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component as Compiled, ComponentExportIndex};

use crate::support::budget::{Account, Charge, Exceeded};
use crate::support::error::{ComponentProblem, Error};
use crate::support::executor;
use crate::support::files::Stamp;
use crate::wasm::turns::Turn;
use theater_chain::event::hex;
use theater_chain::value_type::Signature;

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
    // Of the actor that had it compiled first; none for an operator.
    charge: OnceLock<Charge>,
}

/// Memory that a compiled component takes for each byte of its code and of its binary: the compiled code has tables beside it
/// (measured: 2.8 for an actor of 100 KB, 0.8 for one of 23 KB).
const TABLES: u64 = 3;

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
    // The digest that a file had with that stamp.
    files: Mutex<HashMap<(bool, PathBuf), (Stamp, String)>>,
}

/// Most files whose digests are kept.
const FILES: usize = 4_096;
/// How long a compilation may take before it is announced.
const ANNOUNCED: Duration = Duration::from_secs(2);
/// How long whoever asked for it waits for a compilation.
const DEADLINE: Duration = Duration::from_secs(300);

/// For whom a component is compiled.
pub enum CompileFor {
    /// An operator.
    Operator,
    /// An actor, whose turn it is: such compilations run one at a time and at a lower priority than actors' calls.
    Actor(Turn),
}

impl Components {
    /// The component that a file with that stamp was compiled to before.
    #[must_use]
    pub fn of_file(&self, pooled: bool, path: &Path, stamp: Stamp) -> Option<Arc<Component>> {
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let (then, digest) = files.get(&(pooled, path.to_owned()))?;
        (*then == stamp).then(|| self.known(pooled, digest)).flatten()
    }

    /// A file with that stamp was compiled to `component`.
    pub fn remember(&self, pooled: bool, path: &Path, stamp: Stamp, component: &Component) {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if files.len() >= FILES {
            files.clear();
        }
        files.insert((pooled, path.to_owned()), (stamp, component.digest.clone()));
    }

    /// The component of that digest, if it was compiled for that engine before.
    #[must_use]
    pub fn known(&self, pooled: bool, digest: &str) -> Option<Arc<Component>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).get(&(pooled, digest.to_owned())).cloned()
    }

    /// Bytes of memory of all components that are kept, about.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).values().map(|component| component.memory()).sum()
    }

    /// Drops the components that nothing else refers to.
    pub fn drop_unused(&self) {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.retain(|_, component| Arc::strong_count(component) > 1);
    }

    /// The component with these bytes for this engine, compiled on the calling thread.
    ///
    /// # Errors
    /// `C0002`, `C0003`, `C0011`, `C0016`.
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

    /// As [`Components::get`], on a blocking thread. It goes on when nobody waits for it any more: the next start finds its
    /// result.
    ///
    /// # Errors
    /// As [`Components::get`], and `C0001` when it takes longer than five minutes.
    pub async fn compile(
        self: &Arc<Self>,
        (engine, pooled): (&Engine, bool),
        path: &Path,
        bytes: Vec<u8>,
        whom: CompileFor,
    ) -> Result<Arc<Component>, Error> {
        let (this, engine, of_thread, length) = (Arc::clone(self), engine.clone(), path.to_owned(), bytes.len());
        let work = executor::blocking(move || {
            let compile = || this.get(&engine, pooled, &of_thread, bytes);
            match (&whom, background()) {
                (CompileFor::Actor(_), Some(threads)) => threads.install(compile),
                _ => compile(),
            }
        });
        let mut work = Box::pin(work);
        if let Some(compiled) = executor::timeout(ANNOUNCED, &mut work).await {
            return compiled;
        }
        let shown = path.display();
        tracing::info!("compiling the component {shown} ({} KiB); later starts take it from the cache", length / 1024);
        executor::timeout(DEADLINE, work).await.unwrap_or_else(|| {
            let reason = format!("{shown}: it was not compiled within {} s", DEADLINE.as_secs());
            Err(Error::ComponentRead { place: None, url: shown.to_string(), reason })
        })
    }
}

/// How much nicer than the program its compilations for actors are (`nice(2)`).
const NICE: i32 = 10;

/// The threads that compile for actors; none when the system has none to give.
fn background() -> Option<&'static rayon::ThreadPool> {
    static THREADS: OnceLock<Option<rayon::ThreadPool>> = OnceLock::new();
    let lower = |_| {
        // On Linux the priority is the thread's own.
        if let Err(error) = rustix::process::setpriority_process(None, NICE) {
            tracing::debug!("the threads that compile keep their priority: {error}");
        }
    };
    let name = |number| format!("theater-compile-{number}");
    let threads = || rayon::ThreadPoolBuilder::new().thread_name(name).start_handler(lower).build().ok();
    THREADS.get_or_init(threads).as_ref()
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

/// Whether the engine's words are about what it does not offer, and not about damage.
fn is_refusal(text: &str) -> bool {
    ["enabled", "requires", "required", "exceeds", "proposal", "support"].iter().any(|word| text.contains(word))
}

fn has_functions(engine: &Engine, item: &ComponentItem) -> bool {
    match item {
        ComponentItem::ComponentInstance(instance) => {
            instance.exports(engine).any(|(_, item)| matches!(item.ty, ComponentItem::ComponentFunc(_)))
        }
        _ => false,
    }
}

impl Component {
    /// Bytes of memory that it takes, about.
    fn memory(&self) -> u64 {
        let code = self.compiled.image_range();
        TABLES * (self.bytes.len() as u64).saturating_add((code.end as u64).saturating_sub(code.start as u64))
    }

    /// Charges it to an account as long as it is kept, unless it is charged already.
    ///
    /// # Errors
    /// The limit that does not allow it.
    pub fn charge_to(&self, account: &Arc<Account>) -> Result<(), Exceeded> {
        if self.charge.get().is_none() {
            // Whoever is first has it charged.
            drop(self.charge.set(account.charge(self.memory())?));
        }
        Ok(())
    }

    fn new(engine: &Engine, path: &Path, bytes: Vec<u8>, digest: String) -> Result<Self, ComponentProblem> {
        check_beginning(&bytes)?;
        let compiled = Compiled::new(engine, &bytes).map_err(|error| {
            let text = format!("{error:#}");
            let words = || text.split_whitespace().collect::<Vec<_>>().join(" ");
            // In the text format only the parser can tell the two apart.
            match text.contains("parse a wasm module with a component parser") {
                true => ComponentProblem::CoreModule,
                false if bytes.starts_with(b"\0asm") && is_refusal(&text) => ComponentProblem::Refused(words()),
                false => ComponentProblem::NotWasm(words()),
            }
        })?;
        let ty = compiled.component_type();
        // Types of WASI that no plugin could take are not what is wrong with such a component.
        let wasi: Vec<_> = ty
            .imports(engine)
            .filter(|(name, item)| name.starts_with("wasi:") && has_functions(engine, &item.ty))
            .map(|(name, _)| name.to_owned())
            .collect();
        let unsupported = |function: String| {
            let wasi = &wasi;
            move |error: theater_chain::value_type::Unsupported| match function.starts_with("wasi:") {
                true => ComponentProblem::Wasi(wasi.clone()),
                false => ComponentProblem::Unsupported { function, reason: error.to_string() },
            }
        };
        let mut imports = Vec::new();
        for (name, item) in ty.imports(engine) {
            let mut functions = Vec::new();
            match item.ty {
                ComponentItem::ComponentInstance(instance) => {
                    for (function, item) in instance.exports(engine) {
                        if let ComponentItem::ComponentFunc(func) = item.ty {
                            let signature = crate::wasm::types::signature_of(&func)
                                .map_err(unsupported(format!("{name}/{function}")))?;
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
                    crate::wasm::types::signature_of(&func).map_err(unsupported(format!("{interface}/{function}")))?;
                exports.push(Export { interface: interface.to_owned(), name: function.to_owned(), signature, index });
            }
        }
        Ok(Self { path: path.to_owned(), digest, bytes, compiled, imports, exports, charge: OnceLock::new() })
    }

    /// The export that meets a name.
    #[must_use]
    pub fn export(&self, interface: &str, function: &str) -> Option<&Export> {
        self.exports.iter().find(|export| {
            export.name == function && theater_chain::interface_name::meets(&export.interface, interface)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wasm::engine::Engines;

    fn compile(engines: &Engines, pooled: bool, body: &str) -> Result<Arc<Component>, Error> {
        let engine = if pooled { &engines.pooled } else { &engines.on_demand };
        Components::default().get(engine, pooled, Path::new("x.wat"), format!("(component {body})").into_bytes())
    }

    #[test]
    fn what_the_pool_has_no_slots_for_is_instantiated_on_demand() {
        let engines = Engines::new(64 << 20).unwrap();
        let instance = "(core instance (instantiate $m))";
        let many = format!("(core module $m){}", instance.repeat(65));
        let functions = format!("(core module $m {}){instance}", "(func)".repeat(40_000));
        let bodies = [
            (many.as_str(), "65 core module instances"),
            ("(core module $m (memory 5000))(core instance (instantiate $m))", "327680000"),
            ("(core module $m (table 200000 funcref))(core instance (instantiate $m))", "200000"),
            (&format!("(core module $m (memory 1)){}", instance.repeat(5)), "5 Wasm linear memories"),
            (&format!("(core module $m (table 1 funcref)){}", instance.repeat(9)), "9 tables"),
        ];
        for (body, why) in bodies {
            let refused = compile(&engines, true, body).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(refused.contains(why), "{why}: {refused}");
            assert!(compile(&engines, false, body).is_ok(), "{why}");
        }
        // componentize-py needs 38.
        let python = format!("(core module $m){}", instance.repeat(38));
        for body in [&python, &functions] {
            assert!(compile(&engines, true, body).is_ok());
        }
    }

    #[test]
    fn features_that_are_off_are_named() {
        let engines = Engines::new(64 << 20).unwrap();
        let threads = "(core module $m (memory 1 1 shared))";
        let refused = compile(&engines, false, threads).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(refused.contains("threads"), "{refused}");
    }
}
