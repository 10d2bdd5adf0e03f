//! Re-executes the recorded host calls of one plugin: what does this plugin file return for the calls of a chain?
//!
//! Only the plugin runs: no component, no core, no data folder. Its functions are called in recorded order. Each run of
//! the actor has its own handlers with the recorded config, so a plugin whose results depend on earlier calls can
//! reproduce them. Only functions declared `pure` or `read` are called. Effects are not, and handlers are not notified
//! that the actor is ready, since they would open to the outside then: results that depend on an effect may differ.
//!
//! A plugin is not trusted to return. Each call runs on a thread with a timeout; a handler that does not return keeps
//! its thread, and its later calls are skipped and counted.
//!
//! What a plugin may ask for meanwhile is in `plugin_host`; `plugin/recorded_run` has the handlers.

use std::collections::{BTreeSet, HashMap};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use theater_plugin_api::abi::{CallContext, host_object};
use theater_plugin_api::descriptor::Effect;

use theater_chain::event::Id;
use theater_chain::event_text;
use theater_chain::record::{Created, FunctionRecord, HostResult, Kind};
use theater_chain::verify::{self, Event};

use crate::plugin::descriptor::{Found, read};
use crate::plugin::loaded::Plugin;
use crate::replay::error::{cannot, data_of};
use crate::replay::plugin_host::Host;
use crate::support::error::Error;
use crate::support::error::Problem;
use crate::support::timer;
use crate::wasm::direct_call::DirectResult;
use crate::wasm::import::Import;

mod recorded_run;

use recorded_run::{RecordedHostCall, RecordedRun, Subject, on_thread, timed_out};

/// Most differences that are reported.
const MAX_DIFFERENCES: usize = 10;

/// The result of re-executing the host calls of a plugin.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The plugin's name.
    pub plugin: String,
    /// The plugin's version.
    pub version: String,
    /// SHA-256 of the plugin file.
    pub digest: String,
    /// Calls that were made.
    pub asked: u64,
    /// Of these, calls that returned the recorded bytes.
    pub identical: u64,
    /// Calls of `pure` functions that returned others.
    pub pure_differ: u64,
    /// Calls of `read` functions that returned others.
    pub read_differ: u64,
    /// Of those that differ, calls in which the plugin panicked, returned an invalid result, or did not return in time.
    pub failed: u64,
    /// Calls that were not made: they have effects, they read chains, or their handler holds a thread.
    pub not_asked: u64,
    /// The first calls that differ.
    pub differences: Vec<Difference>,
}

/// A call that returned other bytes than recorded.
#[derive(Debug, Clone)]
pub struct Difference {
    /// Sequence of the recorded event.
    pub sequence: u64,
    /// `interface/function`, as recorded.
    pub function: String,
    /// The effect that the plugin declares for the function: `pure` or `read`.
    pub effect: &'static str,
    /// Its arguments.
    pub arguments: String,
    /// The recorded result.
    pub recorded: String,
    /// The result now, or why there is none.
    pub given: String,
}

/// Calls the functions of a plugin file as the chain of an actor has them, up to event `until`.
///
/// # Errors
/// The errors of reading and of plugins; `H0003` and `H0004` when the plugin does not accept a recorded config; `P0024`
/// when it offers nothing that the chain calls.
pub fn ask(path: &Path, actor: Id, plugin: &Path, until: Option<u64>) -> Result<Report, Error> {
    timer::start().map_err(|error| Error::Engine(format!("no thread for timers: {error}")))?;
    let found = read(plugin).map_err(|problem| Error::Plugin { what: Arc::new(problem) })?;
    let folder = TemporaryFolder::new(&found)?;
    let loaded = load(found, &folder.0)?;
    let mut replay = PluginReplay::new(&folder.0, loaded, actor);
    let mut seen = Ok(());
    let read = verify::read(path, |event| {
        let wanted = event.header.actor == actor && until.is_none_or(|until| event.header.sequence <= until);
        if wanted && seen.is_ok() {
            seen = replay.observe(event);
        }
    });
    replay.end();
    read?;
    seen?;
    if !replay.is_called {
        let Plugin { descriptor, .. } = &*replay.subject.plugin;
        let called = replay.others.into_iter().collect();
        return Err(Error::NothingToAsk { plugin: descriptor.name.clone(), path: plugin.to_owned(), called });
    }
    Ok(replay.report)
}

/// A private temporary folder, removed on drop.
struct TemporaryFolder(PathBuf);

impl TemporaryFolder {
    fn new(plugin: &Found) -> Result<Self, Error> {
        let path = std::env::temp_dir().join(format!("theater-replay-{}", uuid::Uuid::new_v4()));
        let made = std::fs::DirBuilder::new().mode(0o700).create(&path);
        made.map_err(|source| plugin.problem(Problem::Copy { to: path.clone(), source }))?;
        Ok(Self(path))
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!("{} was not removed: {error}", self.0.display());
        }
    }
}

fn load(found: Found, folder: &Path) -> Result<Arc<Plugin>, Error> {
    let found = Arc::new(found);
    let (of_thread, folder) = (Arc::clone(&found), folder.to_owned());
    let loaded = on_thread(move || {
        of_thread.load(&folder, |descriptor| host_object(Arc::new(Host::of_plugin(&descriptor.name, &folder))))
    });
    loaded.unwrap_or_else(|| Err(found.problem(Problem::Init(timed_out()))))
}

struct PluginReplay<'a> {
    subject: Subject<'a>,
    imports: Vec<Arc<Import>>,
    run: Option<RecordedRun>,
    /// Calls of exports that have not ended, by sequence.
    calls: HashMap<u64, CallContext>,
    /// Whether the chain calls a function of the plugin.
    is_called: bool,
    /// The other functions that the chain calls.
    others: BTreeSet<String>,
    report: Report,
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
        let (run, calls, others) = (None, HashMap::new(), BTreeSet::new());
        Self { subject: Subject { folder, plugin, actor }, imports, run, calls, is_called: false, others, report }
    }

    /// Takes the next event of the chain.
    fn observe(&mut self, event: &Event<'_>) -> Result<(), Error> {
        let header = &event.header;
        match Kind::from_number(header.kind) {
            Some(Kind::Created | Kind::Restarted) => {
                self.end();
                self.run = Some(RecordedRun::new(data_of(event)?, &self.subject.plugin));
            }
            Some(Kind::Swapped) => self.swap(data_of(event)?),
            Some(Kind::Queued) => drop(self.calls.insert(header.sequence, context(event))),
            Some(Kind::Return) => drop(header.call.and_then(|call| self.calls.remove(&call))),
            Some(Kind::Host) => self.host_call(event)?,
            _ => {}
        }
        Ok(())
    }

    /// Handles a change of parts: handlers with the same config continue.
    fn swap(&mut self, created: Created) {
        let mut run = RecordedRun::new(created, &self.subject.plugin);
        for (slot, attached) in self.run.take().map(|before| before.keep(&run.handlers)).unwrap_or_default() {
            run.attached.insert(slot, attached);
        }
        self.run = Some(run);
    }

    /// Ends the handlers of the current run of the actor.
    fn end(&mut self) {
        for attached in self.run.take().into_iter().flat_map(|run| run.attached.into_values()) {
            attached.end();
        }
    }

    /// Calls the function of a recorded host call, in the context of its call.
    fn host_call(&mut self, event: &Event<'_>) -> Result<(), Error> {
        let sequence = event.header.sequence;
        let mut context = CallContext { actor: self.subject.actor, ..CallContext::default() };
        if let Some(call) = event.header.call.and_then(|call| self.calls.get_mut(&call)) {
            context = *call;
            call.host_call += 1;
        }
        let mut run = self.run.take().ok_or_else(|| cannot(sequence, "the chain does not begin with a start"))?;
        let asked = self.call_function(&mut run, event, context);
        self.run = Some(run);
        asked
    }

    /// Calls the function, if it is one of the plugin's and has no effect.
    fn call_function(&mut self, run: &mut RecordedRun, event: &Event<'_>, context: CallContext) -> Result<(), Error> {
        let sequence = event.header.sequence;
        let known = run.functions.get(event.header.function.unwrap_or(u32::MAX) as usize).cloned();
        let (record, number) =
            known.ok_or_else(|| cannot(sequence, "it names a function that the chain does not list"))?;
        let plugin = Arc::clone(&self.subject.plugin);
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
        let limits = run.limits;
        let attached = run.attached(slot as usize, sequence, &self.subject)?;
        if attached.is_held || matches!(recorded.call.result, HostResult::Chain { .. }) {
            self.report.not_asked += 1;
            return Ok(());
        }
        let result = attached.call(&plugin, import, &recorded, (context, limits));
        self.count(&recorded, result);
        Ok(())
    }

    /// Compares a result with the recorded one.
    fn count(&mut self, recorded: &RecordedHostCall<'_>, result: Result<DirectResult, String>) {
        let Self { report, .. } = self;
        let RecordedHostCall { sequence, label, function, call } = recorded;
        report.asked += 1;
        if result.as_ref().is_ok_and(|result| result.result == call.result) {
            report.identical += 1;
            return;
        }
        report.failed += u64::from(result.as_ref().map_or(true, |result| result.is_fault));
        let differ = if function.effect == Effect::Pure { &mut report.pure_differ } else { &mut report.read_differ };
        *differ += 1;
        if report.differences.len() < MAX_DIFFERENCES {
            let signature = Some(&function.signature);
            report.differences.push(Difference {
                sequence: *sequence,
                function: label.clone(),
                effect: effect(function.effect).unwrap_or_default(),
                arguments: event_text::arguments(&call.arguments, signature),
                recorded: event_text::result(&call.result, signature),
                given: result.map_or_else(|sentence| sentence, |result| event_text::result(&result.result, signature)),
            });
        }
    }
}

/// Returns the context of a queued call, which its host calls have.
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

/// Returns the name of a function's effect, if the function may be called again.
fn effect(effect: Effect) -> Option<&'static str> {
    match effect {
        Effect::Pure => Some("pure"),
        Effect::Read => Some("read"),
        Effect::Effect | Effect::Idempotent | Effect::Chain => None,
    }
}
