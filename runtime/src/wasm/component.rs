//! Components: compiled once per content, with the signatures of their imports and exports.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};
use theater_chain::event::hex;
use theater_chain::interface_name::meets;
use theater_chain::value_type::{Signature, Unsupported};
use wasmtime::Engine;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component as Compiled, ComponentExportIndex};

use crate::support::budget::{Account, Charge, Exceeded};
use crate::support::error::{ComponentProblem, Error};
use crate::support::executor;
use crate::support::files::Stamp;
use crate::wasm::turns::Turn;
use crate::wasm::types::signature_of;

/// A compiled component, with its imports and exports.
pub struct Component {
    /// The file it was read from, for messages.
    pub path: PathBuf,
    /// SHA-256 of its bytes, lower-case hex.
    pub digest: String,
    /// The binary, which is stored in `objects/`.
    pub bytes: Vec<u8>,
    /// The compiled code.
    pub compiled: Compiled,
    /// The interfaces it imports; those without functions carry only types.
    pub imports: Vec<(String, Vec<(String, Signature)>)>,
    /// The functions it exports.
    pub exports: Vec<Export>,
    // Held for the first actor that it was compiled for; none if that was an operator.
    charge: OnceLock<Charge>,
}

/// Bytes of memory that a compiled component takes for each byte of its code and of its binary. Compiled code comes
/// with tables (measured: a factor of 2.8 for an actor of 100 KB, 0.8 for one of 23 KB).
const MEMORY_FACTOR: u64 = 3;

/// A function that a component exports.
pub struct Export {
    /// `package:name/interface[@version]`.
    pub interface: String,
    /// Its name.
    pub name: String,
    /// Parameters and result.
    pub signature: Signature,
    /// Its index in an instance.
    pub index: ComponentExportIndex,
}

/// The SHA-256 of bytes, lower-case hex.
#[must_use]
pub fn digest_of(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// A cache of compiled components, by engine and digest, and by the stamps of their files.
#[derive(Default)]
pub struct Components {
    cache: Mutex<HashMap<(bool, String), Arc<Component>>>,
    // The digest of a file when it had that stamp.
    files: Mutex<HashMap<(bool, PathBuf), (Stamp, String)>>,
}

/// Largest number of files whose digests are cached.
const FILES: usize = 4_096;
/// Time after which a compilation that is still running is logged.
const LOGGED_AFTER: Duration = Duration::from_secs(2);
/// Longest time that a caller waits for a compilation.
const DEADLINE: Duration = Duration::from_secs(300);

/// Who a component is compiled for.
pub enum CompileFor {
    /// An operator.
    Operator,
    /// An actor, which holds its turn: such compilations run one at a time, at a lower priority than actors' calls.
    Actor(Turn),
}

impl Components {
    /// The component that a file was compiled to, if the file still has that stamp.
    #[must_use]
    pub fn of_file(&self, pooled: bool, path: &Path, stamp: Stamp) -> Option<Arc<Component>> {
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let (then, digest) = files.get(&(pooled, path.to_owned()))?;
        (*then == stamp).then(|| self.known(pooled, digest)).flatten()
    }

    /// Notes that a file with that stamp was compiled to `component`.
    pub fn remember(&self, pooled: bool, path: &Path, stamp: Stamp, component: &Component) {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if files.len() >= FILES {
            files.clear();
        }
        files.insert((pooled, path.to_owned()), (stamp, component.digest.clone()));
    }

    /// The component with that digest, if it is cached for that engine.
    #[must_use]
    pub fn known(&self, pooled: bool, digest: &str) -> Option<Arc<Component>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).get(&(pooled, digest.to_owned())).cloned()
    }

    /// Estimated memory of all cached components, bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).values().map(|component| component.memory()).sum()
    }

    /// Evicts the components that nothing else refers to.
    pub fn drop_unused(&self) {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.retain(|_, component| Arc::strong_count(component) > 1);
    }

    /// Returns the component with these bytes for this engine, compiled on the calling thread unless it is cached.
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

    /// Like [`Components::get`], on a blocking thread. The compilation continues if the caller stops waiting: the next
    /// start finds its result in the cache.
    ///
    /// # Errors
    /// As [`Components::get`], and `C0001` when it takes longer than five minutes.
    pub async fn compile(
        self: &Arc<Self>,
        (engine, pooled): (&Engine, bool),
        path: &Path,
        bytes: Vec<u8>,
        compile_for: CompileFor,
    ) -> Result<Arc<Component>, Error> {
        let (this, engine, of_thread, length) = (Arc::clone(self), engine.clone(), path.to_owned(), bytes.len());
        let work = executor::blocking(move || {
            let compile = || this.get(&engine, pooled, &of_thread, bytes);
            match (&compile_for, background()) {
                (CompileFor::Actor(_), Some(threads)) => threads.install(compile),
                _ => compile(),
            }
        });
        let mut work = Box::pin(work);
        if let Some(compiled) = executor::timeout(LOGGED_AFTER, &mut work).await {
            return compiled;
        }
        let shown = path.display();
        tracing::info!("compiling the component {shown} ({} KiB); later starts take it from the cache", length / 1024);
        executor::timeout(DEADLINE, work).await.unwrap_or_else(|| {
            let reason = format!("{shown}: the compilation took longer than {} s", DEADLINE.as_secs());
            Err(Error::ComponentRead { place: None, url: shown.to_string(), reason })
        })
    }
}

/// Niceness of the threads that compile for actors (`nice(2)`).
const NICE: i32 = 10;

/// The threads that compile for actors; none if the system could not start them.
fn background() -> Option<&'static rayon::ThreadPool> {
    static THREADS: OnceLock<Option<rayon::ThreadPool>> = OnceLock::new();
    let lower = |_| {
        // On Linux the priority is a property of the thread.
        if let Err(error) = rustix::process::setpriority_process(None, NICE) {
            tracing::debug!("could not lower the priority of a compilation thread: {error}");
        }
    };
    let name = |number| format!("theater-compile-{number}");
    let threads = || rayon::ThreadPoolBuilder::new().thread_name(name).start_handler(lower).build().ok();
    THREADS.get_or_init(threads).as_ref()
}

/// Refuses files that are neither a component nor text, by their first bytes: the engine would read any other file as
/// WebAssembly's text format and report a syntax error.
fn check_first_bytes(bytes: &[u8]) -> Result<(), ComponentProblem> {
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

/// Whether the engine's message is about a feature or limit of the engine, not about a damaged file.
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
    /// Estimated memory of the component, bytes.
    fn memory(&self) -> u64 {
        let code = self.compiled.image_range();
        MEMORY_FACTOR * (self.bytes.len() as u64).saturating_add((code.end as u64).saturating_sub(code.start as u64))
    }

    /// Charges the component to an account until it is dropped, unless it is charged already.
    ///
    /// # Errors
    /// The limit that it would exceed.
    pub fn charge_to(&self, account: &Arc<Account>) -> Result<(), Exceeded> {
        if self.charge.get().is_none() {
            // Of two actors at the same time the first one is charged.
            drop(self.charge.set(account.charge(self.memory())?));
        }
        Ok(())
    }

    fn new(engine: &Engine, path: &Path, bytes: Vec<u8>, digest: String) -> Result<Self, ComponentProblem> {
        check_first_bytes(&bytes)?;
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
        // A component that imports WASI is refused for that, not for the types of one of its functions.
        let ty = compiled.component_type();
        let wasi: Vec<_> = ty
            .imports(engine)
            .filter(|(name, item)| name.starts_with("wasi:") && has_functions(engine, &item.ty))
            .map(|(name, _)| name.to_owned())
            .collect();
        let unsupported = |function: String, error: Unsupported| match function.starts_with("wasi:") {
            true => ComponentProblem::Wasi(wasi.clone()),
            false => ComponentProblem::Unsupported { function, reason: error.to_string() },
        };
        let imports = imports_of(engine, &compiled, unsupported)?;
        let exports = exports_of(engine, &compiled, unsupported)?;
        Ok(Self { path: path.to_owned(), digest, bytes, compiled, imports, exports, charge: OnceLock::new() })
    }

    /// The exported function of that interface and name; versions of interfaces are matched.
    #[must_use]
    pub fn export(&self, interface: &str, function: &str) -> Option<&Export> {
        self.exports.iter().find(|export| export.name == function && meets(&export.interface, interface))
    }
}

/// Imported interfaces, each with its functions.
type Imports = Vec<(String, Vec<(String, Signature)>)>;

/// The imported interfaces, with their functions.
fn imports_of(
    engine: &Engine,
    compiled: &Compiled,
    unsupported: impl Fn(String, Unsupported) -> ComponentProblem,
) -> Result<Imports, ComponentProblem> {
    let mut imports = Vec::new();
    for (name, item) in compiled.component_type().imports(engine) {
        let mut functions = Vec::new();
        match item.ty {
            ComponentItem::ComponentInstance(instance) => {
                for (function, item) in instance.exports(engine) {
                    if let ComponentItem::ComponentFunc(func) = item.ty {
                        let signature =
                            signature_of(&func).map_err(|error| unsupported(format!("{name}/{function}"), error))?;
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
    Ok(imports)
}

/// The functions of the exported interfaces.
fn exports_of(
    engine: &Engine,
    compiled: &Compiled,
    unsupported: impl Fn(String, Unsupported) -> ComponentProblem,
) -> Result<Vec<Export>, ComponentProblem> {
    let mut exports = Vec::new();
    for (interface, item) in compiled.component_type().exports(engine) {
        let ComponentItem::ComponentInstance(instance) = item.ty else { continue };
        let Some(parent) = compiled.get_export_index(None, interface) else { continue };
        for (function, item) in instance.exports(engine) {
            let ComponentItem::ComponentFunc(func) = item.ty else { continue };
            let Some(index) = compiled.get_export_index(Some(&parent), function) else { continue };
            let signature =
                signature_of(&func).map_err(|error| unsupported(format!("{interface}/{function}"), error))?;
            exports.push(Export { interface: interface.to_owned(), name: function.to_owned(), signature, index });
        }
    }
    Ok(exports)
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
