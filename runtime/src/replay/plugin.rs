//! A plugin asked once more: the host calls that a chain has, of functions that only look, put to a plugin's file.
//!
//! Nothing but the plugin runs: no component, no core, no data folder. Calls are asked in their order, each life of the actor
//! by handlers of its own with the config that was recorded, so that a plugin whose results depend on the calls before gives
//! them again. What an effect would have changed is not there: effects are not asked, and handlers are not told that the actor
//! is ready, since they would open to the outside then.
//!
//! What a plugin may ask meanwhile is in `ask/host.rs`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use theater_plugin_api::abi::{CallContext, OK, OwnedHandler, PANIC, host_object};
use theater_plugin_api::descriptor::Effect;
use theater_plugin_api::encoding::Reader;

use super::plugin_host::Host;
use crate::manifest::Limits;
use crate::plugin::plugins::{Found, Plugin, PluginFunction, Problem, read};
use crate::replay::{cannot, data_of};
use crate::support::error::{Error, HandlerProblem};
use crate::support::executor;
use crate::support::timer;
use crate::wasm::linker::{DirectCall, DirectResult, Import};
use theater_chain::event::Id;
use theater_chain::event_text;
use theater_chain::interface_name::meets;
use theater_chain::journal::now_ms;
use theater_chain::record::{Created, FunctionRecord, HandlerRecord, HostCall, HostResult, Kind};
use theater_chain::value_type::Signature;
use theater_chain::verify::{self, Event};

/// How long a plugin has for each call, and to attach.
const PATIENCE: Duration = Duration::from_secs(5);
/// What a thread has beyond that, which counts the time itself.
const RETURN: Duration = Duration::from_secs(2);
/// Most differences that are told.
const TOLD: usize = 10;

/// What a plugin gave.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Its name.
    pub plugin: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of its file.
    pub digest: String,
    /// Calls it was asked.
    pub asked: u64,
    /// Of these, calls that gave the recorded bytes.
    pub identical: u64,
    /// Calls of `pure` functions that gave others.
    pub pure_differ: u64,
    /// Calls of `read` functions that gave others.
    pub read_differ: u64,
    /// Of those that differ, calls in which the plugin failed: it panicked, gave what is no result, or nothing in time.
    pub failed: u64,
    /// Calls it was not asked: they change the outside or read chains, or their handler holds a thread for ever.
    pub not_asked: u64,
    /// The first calls that differ.
    pub differences: Vec<Difference>,
}

/// A call that gave other bytes.
#[derive(Debug, Clone)]
pub struct Difference {
    /// Sequence of the recorded event.
    pub sequence: u64,
    /// `interface/function`, as recorded.
    pub function: String,
    /// What the function does, in the plugin's own words: `pure` or `read`.
    pub effect: &'static str,
    /// Its arguments.
    pub arguments: String,
    /// What it gave then.
    pub recorded: String,
    /// What it gives now.
    pub given: String,
}

/// Asks the plugin in a file what the chain of an actor has of its functions, up to event `until`.
///
/// # Errors
/// Those of reading and of plugins; `H0003` and `H0004` when it does not take a recorded config; `P0024` when it offers nothing
/// that the chain calls.
pub fn ask(path: &Path, actor: Id, plugin: &Path, until: Option<u64>) -> Result<Report, Error> {
    timer::start().map_err(|error| Error::Engine(format!("no thread for timers: {error}")))?;
    let found = read(plugin).map_err(|problem| Error::Plugin { what: Arc::new(problem) })?;
    let folder = Folder::new(&found)?;
    let loaded = load(found, &folder.0)?;
    let mut asking = PluginReplay::new(&folder.0, loaded, actor);
    let mut seen = Ok(());
    let read = verify::read(path, |event| {
        let wanted = event.header.actor == actor && until.is_none_or(|until| event.header.sequence <= until);
        if wanted && seen.is_ok() {
            seen = asking.see(event);
        }
    });
    asking.end();
    read?;
    seen?;
    if !asking.is_called {
        let Plugin { descriptor, .. } = &*asking.plugin;
        let called = asking.others.into_iter().collect();
        return Err(Error::NothingToAsk { plugin: descriptor.name.clone(), path: plugin.to_owned(), called });
    }
    Ok(asking.report)
}

/// A temporary folder of nobody else's, until it is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(plugin: &Found) -> Result<Self, Error> {
        let path = std::env::temp_dir().join(format!("theater-replay-{}", uuid::Uuid::new_v4()));
        let made = std::fs::DirBuilder::new().mode(0o700).create(&path);
        made.map_err(|source| plugin.problem(Problem::Copy { to: path.clone(), source }))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!("{} was not removed: {error}", self.0.display());
        }
    }
}

/// What `work` gives on a thread of its own; nothing when it does not return, and keeps the thread.
fn returned<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    executor::block_on(executor::timeout(PATIENCE + RETURN, executor::blocking(work)))
}

fn load(found: Found, folder: &Path) -> Result<Arc<Plugin>, Error> {
    let found = Arc::new(found);
    let (of_thread, folder) = (Arc::clone(&found), folder.to_owned());
    let loaded = returned(move || {
        of_thread.load(&folder, |descriptor| host_object(Arc::new(Host::of_plugin(&descriptor.name, &folder))))
    });
    loaded.unwrap_or_else(|| Err(found.problem(Problem::Init(late()))))
}

fn late() -> String {
    format!("it did not end within {} s", PATIENCE.as_secs())
}

struct PluginReplay<'a> {
    folder: &'a Path,
    plugin: Arc<Plugin>,
    imports: Vec<Arc<Import>>,
    actor: Id,
    life: Option<Life>,
    /// Calls of exports that have not ended.
    calls: HashMap<u64, CallContext>,
    /// Whether the chain calls a function of the plugin's.
    is_called: bool,
    /// What else it calls.
    others: BTreeSet<String>,
    report: Report,
}

/// What is the same from one `created`, `restarted` or `swapped` event to the next.
pub(super) struct Life {
    pub(super) name: String,
    handlers: Vec<HandlerRecord>,
    /// With the numbers that the plugin has for them.
    functions: Vec<(FunctionRecord, Option<usize>)>,
    /// Of the exports that the plugin calls: whether the actor has them.
    pub(super) exports: Vec<bool>,
    limits: Limits,
    attached: BTreeMap<usize, Attached>,
}

/// A handler that is asked.
struct Attached {
    handler: Arc<OwnedHandler>,
    host: Arc<Host>,
    /// A call of it has not returned.
    is_held: bool,
}

/// A host call of the chain.
struct RecordedHostCall<'a> {
    sequence: u64,
    label: String,
    function: &'a PluginFunction,
    call: HostCall,
}

impl<'a> PluginReplay<'a> {
    fn new(folder: &'a Path, plugin: Arc<Plugin>, actor: Id) -> Self {
        let numbered = plugin.functions.iter().enumerate();
        let imports = numbered.map(|(number, function)| Arc::new(Import::of(number as u32, function))).collect();
        let report = Report {
            plugin: plugin.descriptor.name.clone(),
            version: plugin.descriptor.version.clone(),
            digest: plugin.digest.clone(),
            ..Report::default()
        };
        let (life, calls, others) = (None, HashMap::new(), BTreeSet::new());
        Self { folder, plugin, imports, actor, life, calls, is_called: false, others, report }
    }

    fn see(&mut self, event: &Event<'_>) -> Result<(), Error> {
        let header = &event.header;
        match Kind::from_number(header.kind) {
            Some(Kind::Created | Kind::Restarted) => {
                self.end();
                self.life = Some(Life::new(data_of(event)?, &self.plugin));
            }
            Some(Kind::Swapped) => self.swap(data_of(event)?),
            Some(Kind::Queued) => drop(self.calls.insert(header.sequence, context(event))),
            Some(Kind::Return) => drop(header.call.and_then(|call| self.calls.remove(&call))),
            Some(Kind::Host) => self.host_call(event)?,
            _ => {}
        }
        Ok(())
    }

    /// The actor goes on with other parts: handlers whose config is the same go on, too.
    fn swap(&mut self, created: Created) {
        let mut life = Life::new(created, &self.plugin);
        for (slot, attached) in self.life.take().map(|before| before.keep(&life.handlers)).unwrap_or_default() {
            life.attached.insert(slot, attached);
        }
        self.life = Some(life);
    }

    /// Ends the handlers of the life.
    fn end(&mut self) {
        for attached in self.life.take().into_iter().flat_map(|life| life.attached.into_values()) {
            attached.end();
        }
    }

    fn host_call(&mut self, event: &Event<'_>) -> Result<(), Error> {
        let sequence = event.header.sequence;
        let mut context = CallContext { actor: self.actor, ..CallContext::default() };
        if let Some(call) = event.header.call.and_then(|call| self.calls.get_mut(&call)) {
            context = *call;
            call.host_call += 1;
        }
        let mut life = self.life.take().ok_or_else(|| cannot(sequence, "the chain does not begin with a start"))?;
        let asked = self.ask_in(&mut life, event, context);
        self.life = Some(life);
        asked
    }

    fn ask_in(&mut self, life: &mut Life, event: &Event<'_>, context: CallContext) -> Result<(), Error> {
        let sequence = event.header.sequence;
        let known = life.functions.get(event.header.function.unwrap_or(u32::MAX) as usize).cloned();
        let (record, number) =
            known.ok_or_else(|| cannot(sequence, "it names a function that the chain does not list"))?;
        let plugin = Arc::clone(&self.plugin);
        let offered = number.and_then(|number| Some((plugin.functions.get(number)?, self.imports.get(number)?)));
        let (Some((function, import)), Some(slot)) = (offered, record.handler) else {
            self.others.insert(label(&record));
            return Ok(());
        };
        let import = Arc::clone(import);
        self.is_called = true;
        if effect(function.effect).is_none() {
            self.report.not_asked += 1;
            return Ok(());
        }
        let recorded = RecordedHostCall { sequence, label: label(&record), function, call: data_of(event)? };
        let limits = life.limits;
        let attached = life.attached(slot as usize, sequence, self)?;
        if attached.is_held || matches!(recorded.call.result, HostResult::Chain { .. }) {
            self.report.not_asked += 1;
            return Ok(());
        }
        let told = attached.tell(&plugin, import, &recorded, (context, limits));
        self.count(&recorded, told);
        Ok(())
    }

    fn count(&mut self, recorded: &RecordedHostCall<'_>, told: Result<DirectResult, String>) {
        let Self { report, .. } = self;
        let RecordedHostCall { sequence, label, function, call } = recorded;
        report.asked += 1;
        if told.as_ref().is_ok_and(|told| told.result == call.result) {
            report.identical += 1;
            return;
        }
        report.failed += u64::from(told.as_ref().map_or(true, |told| told.is_fault));
        let differ = if function.effect == Effect::Pure { &mut report.pure_differ } else { &mut report.read_differ };
        *differ += 1;
        if report.differences.len() < TOLD {
            let signature = Some(&function.signature);
            report.differences.push(Difference {
                sequence: *sequence,
                function: label.clone(),
                effect: effect(function.effect).unwrap_or_default(),
                arguments: event_text::arguments(&call.arguments, signature),
                recorded: event_text::result(&call.result, signature),
                given: told.map_or_else(|sentence| sentence, |told| event_text::result(&told.result, signature)),
            });
        }
    }
}

impl Life {
    fn new(created: Created, plugin: &Plugin) -> Self {
        let Created { name, setup, .. } = created;
        let offers = |record: &FunctionRecord| {
            let offered =
                |known: &PluginFunction| known.name == record.function && meets(&known.interface, &record.interface);
            record.handler.and_then(|_| plugin.functions.iter().position(offered))
        };
        let exports = plugin.exports.iter().map(|wanted| {
            let exported = |record: &FunctionRecord| {
                record.handler.is_none()
                    && record.function == wanted.name
                    && meets(&record.interface, &wanted.interface)
            };
            setup.functions.iter().any(exported)
        });
        let exports = exports.collect();
        let functions = setup.functions.into_iter().map(|record| {
            let number = offers(&record);
            (record, number)
        });
        let (functions, limits) = (functions.collect(), Limits::of_list(&setup.limits));
        Self { name, handlers: setup.handlers, functions, exports, limits, attached: BTreeMap::new() }
    }

    /// The handlers that have the same place, type and config among others; the rest ends.
    fn keep(self, handlers: &[HandlerRecord]) -> BTreeMap<usize, Attached> {
        let is_same = |slot: usize| {
            let of = |handler: &HandlerRecord| (handler.handler_type.clone(), handler.config.clone());
            self.handlers.get(slot).map(of) == handlers.get(slot).map(of)
        };
        let (kept, ended): (BTreeMap<_, _>, BTreeMap<_, _>) =
            self.attached.into_iter().partition(|(slot, _)| is_same(*slot));
        ended.into_values().for_each(Attached::end);
        kept
    }

    /// The handler in place of the one that had that place; attached at its first call.
    fn attached(&mut self, slot: usize, sequence: u64, asking: &PluginReplay<'_>) -> Result<&mut Attached, Error> {
        let attached = match self.attached.remove(&slot) {
            Some(known) => known,
            None => {
                let record = self.handlers.get(slot);
                let record =
                    record.ok_or_else(|| cannot(sequence, "it is of a handler that the chain does not list"))?;
                self.attach(record, asking)?
            }
        };
        Ok(self.attached.entry(slot).or_insert(attached))
    }

    fn attach(&self, record: &HandlerRecord, asking: &PluginReplay<'_>) -> Result<Attached, Error> {
        let plugin = &asking.plugin;
        let HandlerRecord { handler_type: recorded, config, .. } = record;
        // Of another name, it is asked as what it is itself.
        let known = &plugin.descriptor.handlers;
        let handler_type = known.iter().find(|known| *known == recorded).or(known.first()).unwrap_or(recorded);
        let host = Host::of_actor(self, &plugin.descriptor.name, (asking.actor, handler_type), asking.folder);
        let host = Arc::new(host);
        let (object, of_handler) = (plugin.object, host_object(Arc::clone(&host)));
        let (of_type, with) = (handler_type.clone(), config.clone());
        // The recorded config is what was left under the ceiling.
        let attached = returned(move || {
            let attach = object.attach(of_handler, &of_type, &with, "null");
            executor::block_on(executor::timeout(PATIENCE, attach))
        });
        let refused = |sentence: String| {
            HandlerProblem::Attach(format!("the plugin does not take the recorded config {config}: {sentence}"))
        };
        let what = match attached.flatten() {
            Some(Ok(object)) => {
                return Ok(Attached { handler: Arc::new(OwnedHandler::new(object)), host, is_held: false });
            }
            Some(Err(answer)) if answer.status == PANIC => {
                HandlerProblem::AttachPanicked { plugin: plugin.descriptor.name.clone(), message: answer.sentence() }
            }
            Some(Err(answer)) => refused(answer.sentence()),
            None => refused(late()),
        };
        Err(Error::Handler { place: None, actor: self.name.clone(), handler: handler_type.clone(), what })
    }
}

impl Attached {
    /// What it gives for a call now; else why it gives nothing.
    fn tell(
        &mut self,
        plugin: &Plugin,
        import: Arc<Import>,
        recorded: &RecordedHostCall<'_>,
        (mut context, limits): (CallContext, Limits),
    ) -> Result<DirectResult, String> {
        let arguments = recorded.call.arguments.to_vec();
        if !fit(&recorded.function.signature, &arguments) {
            return Err("nothing: the function takes other arguments now".to_owned());
        }
        if limits.call_timeout_ms > 0 {
            context.deadline_ms = now_ms().saturating_add(limits.call_timeout_ms);
        }
        let (handler, value_bytes) = (Arc::clone(&self.handler), limits.value_bytes);
        let plugin = plugin.descriptor.name.clone();
        let ask = DirectCall { handler, plugin, import, context, arguments, value_bytes };
        let told = returned(move || executor::block_on(ask.tell(PATIENCE)));
        self.is_held = told.is_none();
        told.flatten().ok_or_else(|| format!("nothing: {}", late()))
    }

    /// As a handler ends whose actor does; what goes wrong is told, and changes nothing any more.
    fn end(self) {
        let Self { handler, host, is_held } = self;
        host.stop();
        if is_held {
            // Whoever is inside still looks at it.
            return;
        }
        let ended = returned(move || {
            executor::block_on(async {
                let stopped = executor::timeout(PATIENCE, handler.get().stopped()).await;
                let ended = executor::timeout(PATIENCE, host.end()).await;
                let released = Arc::try_unwrap(handler).map(OwnedHandler::release);
                stopped.is_some_and(|answer| answer.status == OK)
                    && ended.is_some()
                    && released.is_ok_and(|answer| answer.status == OK)
            })
        });
        if ended != Some(true) {
            tracing::warn!("a handler did not end as it should");
        }
    }
}

/// On whose behalf the host calls of a queued call are made.
fn context(event: &Event<'_>) -> CallContext {
    let header = &event.header;
    CallContext {
        actor: header.actor,
        call: header.sequence,
        cause_actor: header.cause.map_or([0; 16], |cause| cause.actor),
        cause_sequence: header.cause.map_or(0, |cause| cause.sequence),
        trace: *event.hash.first_chunk().unwrap_or(&[0; 16]),
        ..CallContext::default()
    }
}

fn label(record: &FunctionRecord) -> String {
    format!("{}/{}", record.interface, record.function)
}

/// The name of what a function does, if it may be asked again.
fn effect(effect: Effect) -> Option<&'static str> {
    match effect {
        Effect::Pure => Some("pure"),
        Effect::Read => Some("read"),
        Effect::Effect | Effect::Idempotent | Effect::Chain => None,
    }
}

/// Whether these are arguments of such a function.
fn fit(signature: &Signature, arguments: &[u8]) -> bool {
    let mut reader = Reader::new(arguments);
    signature.params.iter().all(|(_, shape)| shape.validate(&mut reader).is_ok()) && reader.finish().is_ok()
}
