//! One recorded run of an actor in a plugin replay: its handlers, attached when first called, with the recorded config.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use theater_plugin_api::abi::{CallContext, OK, OwnedHandler, PANIC, host_object};
use theater_plugin_api::encoding::Reader;

use theater_chain::event::Id;
use theater_chain::interface_name::meets;
use theater_chain::journal::now_ms;
use theater_chain::record::{Created, FunctionRecord, HandlerRecord, HostCall};
use theater_chain::value_type::Signature;

use crate::manifest::Limits;
use crate::plugin::loaded::Plugin;
use crate::plugin::signatures::PluginFunction;
use crate::replay::error::cannot;
use crate::replay::plugin_host::Host;
use crate::support::error::{Error, HandlerProblem};
use crate::support::executor;
use crate::wasm::direct_call::{DirectCall, DirectResult};
use crate::wasm::import::Import;

/// The timeout of each call of a plugin, and of attaching.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// The additional timeout of a thread whose work applies [`CALL_TIMEOUT`] itself.
const THREAD_GRACE: Duration = Duration::from_secs(2);

/// What is replayed: the plugin, and the actor whose chain is read.
pub(super) struct Subject<'a> {
    /// The temporary folder.
    pub(super) folder: &'a Path,
    pub(super) plugin: Arc<Plugin>,
    pub(super) actor: Id,
}

/// A recorded host call of the plugin.
pub(super) struct RecordedHostCall<'a> {
    pub(super) sequence: u64,
    pub(super) label: String,
    pub(super) function: &'a PluginFunction,
    pub(super) call: HostCall,
}

/// The parts of the actor from one start or change of parts to the next.
pub(super) struct RecordedRun {
    name: String,
    pub(super) handlers: Vec<HandlerRecord>,
    /// The functions of the chain, each with its number in the plugin.
    pub(super) functions: Vec<(FunctionRecord, Option<usize>)>,
    /// For each export that the plugin calls, whether the actor has it.
    exports: Vec<bool>,
    pub(super) limits: Limits,
    pub(super) attached: BTreeMap<usize, Attached>,
}

/// An attached handler.
pub(super) struct Attached {
    handler: Arc<OwnedHandler>,
    host: Arc<Host>,
    /// A call of it has not returned.
    pub(super) is_held: bool,
}

impl RecordedRun {
    pub(super) fn new(created: Created, plugin: &Plugin) -> Self {
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

    /// Returns the handlers that have the same index, type and config among `handlers`. The others end.
    pub(super) fn keep(self, handlers: &[HandlerRecord]) -> BTreeMap<usize, Attached> {
        let is_same = |slot: usize| {
            let of = |handler: &HandlerRecord| (handler.handler_type.clone(), handler.config.clone());
            self.handlers.get(slot).map(of) == handlers.get(slot).map(of)
        };
        let (kept, ended): (BTreeMap<_, _>, BTreeMap<_, _>) =
            self.attached.into_iter().partition(|(slot, _)| is_same(*slot));
        ended.into_values().for_each(Attached::end);
        kept
    }

    /// Returns the handler at an index of the recorded handlers. It is attached at its first call.
    pub(super) fn attached(
        &mut self,
        slot: usize,
        sequence: u64,
        subject: &Subject<'_>,
    ) -> Result<&mut Attached, Error> {
        let attached = match self.attached.remove(&slot) {
            Some(known) => known,
            None => {
                let record = self.handlers.get(slot);
                let record =
                    record.ok_or_else(|| cannot(sequence, "it is of a handler that the chain does not list"))?;
                self.attach(record, subject)?
            }
        };
        Ok(self.attached.entry(slot).or_insert(attached))
    }

    fn attach(&self, record: &HandlerRecord, subject: &Subject<'_>) -> Result<Attached, Error> {
        let plugin = &subject.plugin;
        let HandlerRecord { handler_type: recorded, config, .. } = record;
        // A plugin without the recorded handler type attaches its own first type.
        let known = &plugin.descriptor.handlers;
        let handler_type = known.iter().find(|known| *known == recorded).or(known.first()).unwrap_or(recorded);
        let host = Host::of_actor(
            (&self.name, self.exports.clone()),
            &plugin.descriptor.name,
            (subject.actor, handler_type),
            subject.folder,
        );
        let host = Arc::new(host);
        let (object, of_handler) = (plugin.object, host_object(Arc::clone(&host)));
        let (of_type, with) = (handler_type.clone(), config.clone());
        // The recorded config is narrowed already, so there is no ceiling.
        let attached = on_thread(move || {
            let attach = object.attach(of_handler, &of_type, &with, "null");
            executor::block_on(executor::timeout(CALL_TIMEOUT, attach))
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
            None => refused(timed_out()),
        };
        Err(Error::Handler { place: None, actor: self.name.clone(), handler: handler_type.clone(), what })
    }
}

impl Attached {
    /// Calls the handler. Returns its result, or why there is none.
    pub(super) fn call(
        &mut self,
        plugin: &Plugin,
        import: Arc<Import>,
        recorded: &RecordedHostCall<'_>,
        (mut context, limits): (CallContext, Limits),
    ) -> Result<DirectResult, String> {
        let arguments = recorded.call.arguments.to_vec();
        if !accepts(&recorded.function.signature, &arguments) {
            return Err("nothing: the function takes other arguments now".to_owned());
        }
        if limits.call_timeout_ms > 0 {
            context.deadline_ms = now_ms().saturating_add(limits.call_timeout_ms);
        }
        let (handler, value_bytes) = (Arc::clone(&self.handler), limits.value_bytes);
        let plugin = plugin.descriptor.name.clone();
        let ask = DirectCall { handler, plugin, import, context, arguments, value_bytes };
        let result = on_thread(move || executor::block_on(ask.tell(CALL_TIMEOUT)));
        self.is_held = result.is_none();
        result.flatten().ok_or_else(|| format!("nothing: {}", timed_out()))
    }

    /// Ends the handler as at the end of an actor. Failures are only logged.
    pub(super) fn end(self) {
        let Self { handler, host, is_held } = self;
        host.stop();
        if is_held {
            // The thread inside still uses the handler.
            return;
        }
        let ended = on_thread(move || {
            executor::block_on(async {
                let stopped = executor::timeout(CALL_TIMEOUT, handler.get().stopped()).await;
                let ended = executor::timeout(CALL_TIMEOUT, host.end()).await;
                let released = Arc::try_unwrap(handler).map(OwnedHandler::release);
                stopped.is_some_and(|answer| answer.status == OK)
                    && ended.is_some()
                    && released.is_ok_and(|answer| answer.status == OK)
            })
        });
        if ended != Some(true) {
            tracing::warn!("a handler did not stop cleanly");
        }
    }
}

/// Returns what `work` returns on a thread of its own. Returns nothing when it does not end in time; it keeps the
/// thread then.
pub(super) fn on_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    executor::block_on(executor::timeout(CALL_TIMEOUT + THREAD_GRACE, executor::blocking(work)))
}

pub(super) fn timed_out() -> String {
    format!("it did not end within {} s", CALL_TIMEOUT.as_secs())
}

/// Returns whether the bytes are arguments of a function with that signature.
fn accepts(signature: &Signature, arguments: &[u8]) -> bool {
    let mut reader = Reader::new(arguments);
    signature.params.iter().all(|(_, shape)| shape.validate(&mut reader).is_ok()) && reader.finish().is_ok()
}
