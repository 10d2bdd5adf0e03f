//! From a component and its handlers to something that can be instantiated, and every call of a host function.
//!
//! Linked once per (component, set of plugins): host functions find the actor and its handlers in the store's data.

use std::collections::HashMap;
use std::future::{Future, ready};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use theater_plugin_api::abi::{CallContext, Called, ERROR, HeldContext, OK, OwnedHandler, PANIC, Waits};
use theater_plugin_api::descriptor::Effect;
use theater_plugin_api::encoding::memcpy;
use theater_plugin_api::encoding::{EncodingError, Reader, encode, write_varint};
use wasmtime::component::{ComponentExportIndex, InstancePre, Linker, LinkerInstance};
use wasmtime::{Engine, StoreContextMut, format_err};

use crate::actor::remainder::Remainder;
use crate::actor::{ActorHandle, Export, Interface, StagedSend};
use crate::plugin::host::ActorHost;
use crate::plugin::plugins::{Plugin, PluginFunction};
use crate::plugin::watchdog::Watchdog;
use crate::support::error::{ComponentProblem, Error};
use crate::support::executor;
use crate::wasm::component::Component;
use crate::wasm::engine::TICK;
use crate::wasm::limiter::Limiter;
use crate::wasm::turns::{Runner, Turns};
use crate::wasm::values::{Args, CallFrame, MAX_FLAT, Readable, Ret};
use theater_chain::event::{NewEvent, sha3};
use theater_chain::interface_name::meets;
use theater_chain::interface_name::{ACTOR, INIT};
use theater_chain::journal::{JournalError, Sync};
use theater_chain::record::{Fault, FunctionRecord, HostCall, HostResult, Kind};
use theater_chain::value_type::{FaultCase, Number, Signature, ValueType};

/// A handler of a running actor.
pub struct Attached {
    /// Its plugin.
    pub plugin: Arc<Plugin>,
    /// The plugin's side.
    pub handler: OwnedHandler,
    /// The core's side.
    pub host: Arc<ActorHost>,
    /// The handler type of the manifest.
    pub handler_type: String,
}

/// What a store of an actor's instance holds.
pub struct Guest {
    /// The actor.
    pub actor: Arc<ActorHandle>,
    /// Its handlers.
    pub handlers: Arc<Vec<Attached>>,
    /// Limits on memory and tables.
    pub limits: Limiter,
    /// Of the running call.
    pub context: HeldContext,
    /// Guest time of the running call.
    pub clock: Clock,
    /// Its turns; none before the first call that runs as long as a tick.
    pub runner: Option<Arc<Runner>>,
    /// The watchdog of calls of plugins.
    pub watch: Arc<Watchdog>,
    /// Turns of guests that run long.
    pub turns: Arc<Turns>,
    /// How its host calls are made.
    pub calls: Calls,
    /// What a program before had done of the running call.
    pub(crate) begun: Option<Box<Remainder>>,
    /// Before the actor goes on, what was recorded has to be on the disk.
    pub(crate) unwritten: bool,
}

/// What every host call looks at and no call changes, close at hand.
pub struct Calls {
    /// Largest result, in bytes.
    value_bytes: u64,
    logged: bool,
    recorded: bool,
    // Nothing of the outside's is handed over before it is on the disk.
    durable: bool,
}

impl Calls {
    /// As core and manifest say.
    pub fn of(actor: &ActorHandle) -> Self {
        let services = actor.services();
        let value_bytes = actor.limits().value_bytes;
        let durable = actor.sync() == Sync::Always;
        Self { value_bytes, logged: services.log_calls, recorded: !services.journal.drops_all(), durable }
    }
}

/// Guest time: the processor time that a call spends in the guest and in functions that are not async.
///
/// A stretch that ends before the engine's next tick is too short to ask the system for processor time: its wall time counts,
/// at most two ticks of it, however long the whole process was paused. Each tick asks the thread's clock, and counts from
/// there.
#[derive(Debug, Default)]
pub struct Clock {
    used: Duration,
    since: Option<Instant>,
    limit: Duration,
    // The thread's processor time, in ns, from which on the running stretch has not been counted; 0 before its first tick,
    // none before the first tick of all. ActorHandle with the wait for a turn, which cannot reach the store, and behind which the
    // thread may be another one.
    counted: Option<Arc<AtomicU64>>,
}

/// Processor time of this thread, in ns.
fn thread_time() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let whole = u64::try_from(time.tv_sec).unwrap_or_default().saturating_mul(1_000_000_000);
    whole.saturating_add(u64::try_from(time.tv_nsec).unwrap_or_default())
}

impl Clock {
    /// A call begins that may use so much.
    pub fn start(&mut self, limit: Duration) {
        self.used = Duration::ZERO;
        self.limit = limit;
        self.resume();
    }
    /// The guest waits.
    pub fn pause(&mut self) {
        let Some(since) = self.since.take() else { return };
        self.used += match self.counted.as_ref().map_or(0, |counted| counted.load(Ordering::Relaxed)) {
            0 => since.elapsed().min(2 * TICK),
            before => Duration::from_nanos(thread_time().saturating_sub(before)),
        };
    }
    /// The guest goes on.
    pub fn resume(&mut self) {
        self.since = Some(Instant::now());
        if let Some(counted) = &self.counted {
            counted.store(0, Ordering::Relaxed);
        }
    }
    /// The engine's clock ticked while the guest ran; whether it has used more than it may.
    pub fn tick(&mut self) -> bool {
        self.pause();
        self.since = Some(Instant::now());
        self.counted.get_or_insert_default().store(thread_time(), Ordering::Relaxed);
        self.used > self.limit
    }
    /// Processor time used so far, up to the last tick or wait.
    #[must_use]
    pub fn used(&self) -> Duration {
        self.used
    }
    /// A wait for the guest's next turn, which does not count.
    pub fn while_others_run<T>(&self, turn: T) -> impl Future<Output = ()> + Send + use<T>
    where
        T: Future<Output = ()> + Send + 'static,
    {
        let counted = self.counted.clone();
        async move {
            turn.await;
            if let Some(counted) = counted {
                counted.store(thread_time(), Ordering::Relaxed);
            }
        }
    }
}

/// A component, linked with its handlers.
pub struct Linked {
    /// The component.
    pub component: Arc<Component>,
    /// Ready to instantiate.
    pub pre: InstancePre<Guest>,
    /// Exports and functions by their names.
    pub interface: Arc<Interface>,
    /// The same exports as an instance has them.
    pub exports: Vec<LinkedExport>,
    /// For each handler, for each export its plugin calls: index in `exports`.
    pub calls: Vec<Vec<Option<u32>>>,
}

/// An export that is called.
pub struct LinkedExport {
    /// Where an instance has it.
    pub index: ComponentExportIndex,
    /// Core values of state and params together.
    pub flat: usize,
}

/// Linked components by engine, component and plugins.
#[derive(Default)]
pub struct Links {
    cache: Mutex<HashMap<(bool, String), Arc<Linked>>>,
}

impl Links {
    /// The component linked with the plugins, in the order of the actor's handlers.
    ///
    /// # Errors
    /// Everything about imports and exports that does not fit: `C0004` to `C0014`.
    pub fn get(
        &self,
        engine: &Engine,
        pooled: bool,
        component: &Arc<Component>,
        plugins: &[Arc<Plugin>],
    ) -> Result<Arc<Linked>, Error> {
        let mut name = component.digest.clone();
        for plugin in plugins {
            name.push_str(&plugin.digest);
        }
        let key = (pooled, name);
        if let Some(known) = self.cache.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(Arc::clone(known));
        }
        let linked =
            link(engine, component, plugins).map_err(|what| Error::Component { path: component.path.clone(), what })?;
        let linked = Arc::new(linked);
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).insert(key, Arc::clone(&linked));
        Ok(linked)
    }
}

impl Links {
    /// Drops what no actor and no prepared manifest refers to.
    pub fn drop_unused(&self) {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, linked| Arc::strong_count(linked) > 1);
    }
}

fn link(engine: &Engine, component: &Arc<Component>, plugins: &[Arc<Plugin>]) -> Result<Linked, ComponentProblem> {
    check_imports(component, plugins)?;
    let mut functions = Vec::new();
    let mut linker = Linker::<Guest>::new(engine);
    let failed = |error: wasmtime::Error| ComponentProblem::Link(format!("{error:#}"));
    for (slot, plugin) in plugins.iter().enumerate() {
        let mut interfaces: Vec<(&str, Vec<(u32, &PluginFunction)>)> = Vec::new();
        for (number, function) in plugin.functions.iter().enumerate() {
            match interfaces.last_mut() {
                Some((name, members)) if *name == function.interface => members.push((number as u32, function)),
                _ => interfaces.push((&function.interface, vec![(number as u32, function)])),
            }
        }
        for (interface, members) in interfaces {
            let mut instance = linker.instance(interface).map_err(failed)?;
            for (number, function) in members {
                let record = functions.len() as u32;
                functions.push(FunctionRecord {
                    interface: interface.to_owned(),
                    function: function.name.clone(),
                    handler: Some(slot as u32),
                });
                let import = Arc::new(Import { slot, record, ..Import::of(number, function) });
                let live = Live { instance: &mut instance, name: &function.name, import };
                define(&function.signature, live).map_err(failed)?;
            }
        }
    }
    let ((named, exports), calls, init) = link_exports(component, plugins, &mut functions)?;
    let pre = linker.instantiate_pre(&component.compiled).map_err(failed)?;
    let interface = Arc::new(Interface { exports: named, functions, init });
    Ok(Linked { component: Arc::clone(component), pre, interface, exports, calls })
}

/// Every import with functions is offered by one of the plugins, with equal types.
fn check_imports(component: &Component, plugins: &[Arc<Plugin>]) -> Result<(), ComponentProblem> {
    for (import, wanted) in component.imports.iter().filter(|(_, functions)| !functions.is_empty()) {
        let offers: Vec<_> = plugins
            .iter()
            .flat_map(|plugin| plugin.functions.iter().map(move |function| (plugin, function)))
            .filter(|(_, function)| meets(&function.interface, import))
            .collect();
        let Some((plugin, _)) = offers.first() else {
            let folder = std::path::PathBuf::from("the plugin folder");
            return Err(ComponentProblem::UnknownImport { import: import.clone(), folder });
        };
        for (name, signature) in wanted {
            let Some((_, offered)) = offers.iter().find(|(_, function)| function.name == *name) else {
                return Err(ComponentProblem::NoFunction {
                    interface: import.clone(),
                    function: name.clone(),
                    plugin: plugin.descriptor.name.clone(),
                });
            };
            if offered.signature != *signature {
                return Err(differs(import, name, &signature.to_string(), &offered.signature.to_string()));
            }
        }
    }
    Ok(())
}

fn differs(interface: &str, function: &str, found: &str, offered: &str) -> ComponentProblem {
    ComponentProblem::Type {
        interface: interface.to_owned(),
        function: function.to_owned(),
        found: found.to_owned(),
        offered: offered.to_owned(),
    }
}

type Exports = ((Vec<Export>, Vec<LinkedExport>), Vec<Vec<Option<u32>>>, usize);

fn link_exports(
    component: &Component,
    plugins: &[Arc<Plugin>],
    functions: &mut Vec<FunctionRecord>,
) -> Result<Exports, ComponentProblem> {
    let (mut named, mut exports) = (Vec::<Export>::new(), Vec::new());
    let mut add = |interface: &str, function: &str| -> Result<Option<u32>, ComponentProblem> {
        let Some(export) = component.export(interface, function) else { return Ok(None) };
        let label = format!("{}/{}", export.interface, export.name);
        if let Some(known) = named.iter().position(|known| known.label == label) {
            return Ok(Some(known as u32));
        }
        let (params, _) = export.signature.handler().ok_or_else(|| ComponentProblem::Convention {
            export: label.clone(),
            found: export.signature.to_string(),
        })?;
        let record =
            FunctionRecord { interface: export.interface.clone(), function: export.name.clone(), handler: None };
        functions.push(record);
        named.push(Export { label, params: params.to_vec(), function: functions.len() as u32 - 1 });
        exports.push(LinkedExport { index: export.index, flat: export.signature.flat_params() });
        Ok(Some(exports.len() as u32 - 1))
    };
    let missing = |interface: &str, function: &str, who: String| ComponentProblem::MissingExport {
        export: format!("{interface}/{function}"),
        who,
    };
    let init = add(ACTOR, INIT)?.ok_or_else(|| missing(ACTOR, INIT, "every actor".to_owned()))?;
    let mut calls = Vec::new();
    for plugin in plugins {
        let mut of_plugin = Vec::new();
        for wanted in &plugin.exports {
            let found = add(&wanted.interface, &wanted.name)?;
            if let Some(export) = component.export(&wanted.interface, &wanted.name) {
                if export.signature != wanted.signature {
                    let (found, offered) = (export.signature.to_string(), wanted.signature.to_string());
                    return Err(differs(&wanted.interface, &wanted.name, &found, &offered));
                }
            } else if wanted.required {
                let who = format!("the plugin {:?}", plugin.descriptor.name);
                return Err(missing(&wanted.interface, &wanted.name, who));
            }
            of_plugin.push(found);
        }
        calls.push(of_plugin);
    }
    Ok(((named, exports), calls, init as usize))
}

/// A host function, as its calls need it.
pub(crate) struct Import {
    slot: usize,
    number: u32,
    record: u32,
    label: String,
    result: Option<ValueType>,
    // Of `result`.
    result_number: Option<Number>,
    effect: Effect,
    fault: Option<FaultCase>,
    is_async: bool,
}

impl Import {
    /// Function number `number` of a plugin, of the first handler and the first in its chain.
    pub(crate) fn of(number: u32, function: &PluginFunction) -> Self {
        Self {
            slot: 0,
            number,
            record: 0,
            label: format!("{}/{}", function.interface, function.name),
            result: function.signature.result.clone(),
            result_number: function.signature.result.as_ref().and_then(ValueType::number),
            effect: function.effect,
            fault: function.fault.clone(),
            is_async: function.is_async,
        }
    }

    /// A sentence as the function's own `err`, if it has one for that.
    fn err(&self, sentence: &str) -> Option<Vec<u8>> {
        self.fault.as_ref().map(|fault| fault.tell(sentence))
    }

    /// Whether an encoded result is the `err` case of a function that has one.
    fn is_err(&self, bytes: &[u8]) -> bool {
        matches!(self.result, Some(ValueType::Result(_))) && bytes.first() != Some(&0)
    }
}

/// What the definition of a host function gives.
pub(crate) type Defined = wasmtime::Result<()>;

/// A host function that is to be defined, once its numbers of core values are known.
pub(crate) trait Define {
    /// Defines it: `N` core values of parameters, 17 for more than 16 in memory, and `R` of the result, 2 for one in memory.
    fn define<const N: usize, const R: usize>(self) -> Defined;
}

/// Defines a function of that signature.
pub(crate) fn define(signature: &Signature, function: impl Define) -> Defined {
    let params = signature.flat_params();
    let result = signature.result.as_ref().map_or(0, ValueType::flat_count);
    macro_rules! params {
        ($result:literal; $($count:literal)*) => {
            match params {
                $($count => function.define::<$count, $result>(),)*
                // More than 16 core values: the block in memory, whose count no list of core values has.
                _ => function.define::<17, $result>(),
            }
        };
    }
    const _: () = assert!(MAX_FLAT == 16, "the counts below end at MAX_FLAT");
    match result {
        0 => params!(0; 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16),
        1 => params!(1; 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16),
        _ => params!(2; 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16),
    }
}

/// A function of a plugin's, to be defined.
struct Live<'a, 'b> {
    instance: &'a mut LinkerInstance<'b, Guest>,
    name: &'a str,
    import: Arc<Import>,
}

impl Define for Live<'_, '_> {
    fn define<const N: usize, const R: usize>(self) -> Defined {
        define_as::<N, R>(self)
    }
}

fn define_as<const N: usize, const R: usize>(live: Live<'_, '_>) -> Defined {
    let Live { instance, name, import } = live;
    // An effect waits for its intent to be durable, whatever the author's function is.
    if import.effect.changes() {
        return instance.func_wrap_async(name, move |mut store: StoreContextMut<'_, Guest>, args: Args<N>| {
            let import = Arc::clone(&import);
            Box::new(async move {
                let guest = store.data_mut();
                let mut exchange = args.0;
                if again(guest, &import, &mut exchange)? {
                    return Ok(Ret::<CallFrame, R>(exchange));
                }
                intend(guest, &import, &mut exchange).await?;
                let result = match begin(guest, &import, exchange) {
                    Progress::Ended(result) => result,
                    Progress::Waits(call) => call.end(guest, &import).await,
                };
                written(guest).await?;
                result.map(Ret::<CallFrame, R>)
            })
        });
    }
    if import.is_async {
        return instance.func_wrap_async(name, move |mut store: StoreContextMut<'_, Guest>, args: Args<N>| {
            let mut exchange = args.0;
            match again(store.data_mut(), &import, &mut exchange) {
                Ok(false) => {}
                known => return Box::new(ready(known.map(|_| Ret::<CallFrame, R>(exchange)))),
            }
            match begin(store.data_mut(), &import, exchange) {
                // Most calls never wait; a future that could hold one is large.
                Progress::Ended(result) if !store.data().has_unwritten() => {
                    Box::new(ready(result.map(Ret::<CallFrame, R>)))
                }
                Progress::Ended(result) => Box::new(async move {
                    written(store.data_mut()).await?;
                    result.map(Ret::<CallFrame, R>)
                }),
                Progress::Waits(call) => {
                    let import = Arc::clone(&import);
                    Box::new(async move {
                        let result = call.end(store.data_mut(), &import).await;
                        written(store.data_mut()).await?;
                        result.map(Ret::<CallFrame, R>)
                    })
                }
            }
        });
    }
    instance.func_wrap(name, move |mut store: StoreContextMut<'_, Guest>, args: Args<N>| {
        let mut exchange = args.0;
        if again(store.data_mut(), &import, &mut exchange)? {
            return Ok(Ret::<CallFrame, R>(exchange));
        }
        call_sync(store.data_mut(), &import, exchange).map(Ret::<CallFrame, R>)
    })
}

impl Guest {
    /// Lets others run until it is this guest's turn again.
    pub fn turn(&mut self) -> impl Future<Output = ()> + Send + use<> {
        let actor = &self.actor;
        let runner = self.runner.get_or_insert_with(|| Runner::new(&self.turns, actor.account()));
        self.clock.while_others_run(runner.turn(self.clock.used()))
    }

    /// The guest waits: neither time nor turn is used.
    pub fn pause(&mut self) {
        self.clock.pause();
        self.give_back();
    }

    /// The call is over: nobody asks any more how long it has run.
    pub fn stop(&mut self) {
        self.clock.since = None;
        self.give_back();
    }

    fn give_back(&self) {
        if let Some(runner) = &self.runner {
            runner.give_back();
        }
    }

    fn has_unwritten(&self) -> bool {
        self.calls.durable || self.unwritten
    }
}

/// Waits until what the host call recorded is on the disk, where the manifest asks for it.
async fn written(guest: &mut Guest) -> wasmtime::Result<()> {
    if guest.has_unwritten() {
        guest.unwritten = false;
        guest.pause();
        guest.actor.services().journal.written().await?;
        guest.clock.resume();
    }
    Ok(())
}

/// Whether the result is known already, of a call that another program began: then it is in the exchange.
///
/// # Errors
/// The guest does not do again what it did.
#[inline]
fn again(guest: &mut Guest, import: &Import, exchange: &mut CallFrame) -> wasmtime::Result<bool> {
    if guest.begun.is_none() { Ok(false) } else { once_more(guest, import, exchange) }
}

#[cold]
fn once_more(guest: &mut Guest, import: &Import, exchange: &mut CallFrame) -> wasmtime::Result<bool> {
    let Some(begun) = &mut guest.begun else { return Ok(false) };
    let arguments = exchange.arguments().concat();
    let (of, name) = import.label.rsplit_once('/').unwrap_or_default();
    let differs = |function: &str| {
        format_err!(
            "a program before called {function} here, and the actor now calls {}, or with other arguments",
            import.label
        )
    };
    if let Some(host) = begun.hosts.front()
        && (host.function != name || !meets(&host.interface, of) || *host.call.arguments != *arguments)
    {
        return Err(differs(&format!("{}/{}", host.interface, host.function)));
    }
    if let Some(host) = begun.hosts.pop_front() {
        guest.context.change().host_call += 1;
        exchange.release();
        return match host.call.result {
            HostResult::Fault(text) => Err(format_err!("{text}")),
            HostResult::Chain { .. } => Err(format_err!("a part of a chain was not read")),
            HostResult::Value(bytes) => {
                fits(import.result.as_ref(), &mut Reader::new(&bytes))?;
                exchange.replaced(bytes.into_vec());
                Ok(true)
            }
        };
    }
    if begun.has_ended {
        return Err(format_err!("a program before called nothing more here, and the actor now calls {}", import.label));
    }
    let intent = begun.intent.take();
    guest.begun = None;
    let Some(intent) = intent else { return Ok(false) };
    if intent.function != name || !meets(&intent.interface, of) || intent.arguments != arguments {
        return Err(differs(&format!("{}/{}", intent.interface, intent.function)));
    }
    if import.effect == Effect::Idempotent || guest.actor.retries_effects() {
        return Ok(false);
    }
    guest.context.change().host_call += 1;
    let Some(bytes) = import.err(IN_DOUBT) else {
        let sentence = format!("{}: {IN_DOUBT}", import.label);
        record_data(guest, import, &owned_data(exchange, HostResult::Fault(sentence.clone()))?)?;
        return Err(format_err!("{sentence}"));
    };
    exchange.replaced(bytes);
    record_data(guest, import, &value_data(exchange.arguments(), exchange.result()))?;
    exchange.release();
    Ok(true)
}

/// What an effect gives that another program was about to have: nobody knows whether it came to that.
const IN_DOUBT: &str = "in doubt after a crash";

/// Records what is about to change the outside, and waits until that is durable.
async fn intend(guest: &mut Guest, import: &Import, exchange: &mut CallFrame) -> wasmtime::Result<()> {
    exchange.keep();
    let [args, _] = exchange.arguments();
    let event = NewEvent {
        function: Some(import.record),
        call: Some(guest.context.get().call),
        ..NewEvent::plain(Kind::Intent, args)
    };
    guest.actor.record(&event)?;
    if guest.actor.sync() != Sync::None {
        guest.pause();
        guest.actor.services().journal.written().await?;
        guest.clock.resume();
    }
    Ok(())
}

fn no_handler(import: &Import) -> wasmtime::Error {
    format_err!("no handler for {}", import.label)
}

/// Tells the plugin whether the actor is being stopped.
fn refresh(actor: &ActorHandle, context: &mut HeldContext) {
    let cancelled = u32::from(actor.cancelled().is_set());
    if context.get().cancelled != cancelled {
        context.change().cancelled = cancelled;
    }
}

fn call_sync(guest: &mut Guest, import: &Import, mut exchange: CallFrame) -> wasmtime::Result<CallFrame> {
    refresh(&guest.actor, &mut guest.context);
    let attached = guest.handlers.get(import.slot).ok_or_else(|| no_handler(import))?;
    let begun = CallTimer::new(guest.calls.logged);
    let called = {
        let _watched = guest.watch.enter(guest.actor.id(), &attached.plugin);
        let (arguments, room, answer) = exchange.ask();
        attached.handler.get().call_sync(guest.context.get(), import.number, arguments, room, answer)
    };
    let given = match called {
        Called::OutBuffer(length) => in_room(&mut exchange, length),
        _ => answered(&mut exchange),
    };
    finish(guest, import, exchange, given, begun)
}

/// How far a call got without waiting.
enum Progress {
    Ended(wasmtime::Result<CallFrame>),
    Waits(Box<PendingCall>),
}

/// Starts a call of any function.
fn begin(guest: &mut Guest, import: &Import, mut exchange: CallFrame) -> Progress {
    if import.effect == Effect::Chain {
        // What was read outside this call is not what it refers to.
        guest.actor.forget_chain_read();
    }
    if !import.is_async {
        return Progress::Ended(call_sync(guest, import, exchange));
    }
    let Guest { actor, handlers, context, calls, watch, .. } = guest;
    refresh(actor, context);
    let Some(attached) = handlers.get(import.slot) else { return Progress::Ended(Err(no_handler(import))) };
    let begun = CallTimer::new(calls.logged);
    let called = {
        let _watched = watch.enter(actor.id(), &attached.plugin);
        let (arguments, room, answer) = exchange.ask();
        attached.handler.call(context, import.number, arguments, room, answer)
    };
    let given = match called {
        Called::OutBuffer(length) => in_room(&mut exchange, length),
        Called::Elsewhere => answered(&mut exchange),
        Called::Waits(future) => {
            return Progress::Waits(Box::new(PendingCall { future, arguments: exchange.into_arguments(), begun }));
        }
    };
    Progress::Ended(finish(guest, import, exchange, given, begun))
}

/// A call whose function waits for something.
struct PendingCall {
    future: Waits,
    arguments: Vec<u8>,
    begun: CallTimer,
}

impl PendingCall {
    async fn end(self, guest: &mut Guest, import: &Import) -> wasmtime::Result<CallFrame> {
        // Guest time stops while the call waits.
        guest.pause();
        let Guest { actor, handlers, clock, watch, .. } = guest;
        let attached = handlers.get(import.slot).ok_or_else(|| no_handler(import))?;
        let unended = UnfinishedWait { actor, plugin: &attached.plugin, import };
        actor.waits_in(import.record);
        let answer = watch.polls(actor.id(), &attached.plugin, self.future).await;
        actor.waits_no_more();
        std::mem::forget(unended);
        clock.resume();
        let mut exchange = CallFrame::of(self.arguments);
        *exchange.ask().2 = Some(answer);
        let given = answered(&mut exchange);
        finish(guest, import, exchange, given, self.begun)
    }
}

/// A wait that is not over. Dropped with it when the call's time is, it tells whose function the call waited for.
struct UnfinishedWait<'a> {
    actor: &'a ActorHandle,
    plugin: &'a Plugin,
    import: &'a Import,
}

impl Drop for UnfinishedWait<'_> {
    fn drop(&mut self) {
        self.actor.waits_no_more();
        // A stop interrupts waits as a matter of course.
        if !self.actor.is_interrupted() {
            let what = format!("{} had not ended when the time of the call was over", self.import.label);
            self.actor.report_fault(&self.plugin.descriptor.name, "P0111", &what);
        }
    }
}

/// When a call began, while calls are logged.
struct CallTimer(Option<Instant>);

impl CallTimer {
    fn new(log: bool) -> Self {
        Self(log.then(Instant::now))
    }
}

/// Nothing when there is a result, else the code and sentence of a fault of the plugin's.
type Checked = Result<(), Box<(&'static str, String)>>;

fn in_room(exchange: &mut CallFrame, length: usize) -> Checked {
    exchange.in_room(length);
    Ok(())
}

fn answered(exchange: &mut CallFrame) -> Checked {
    let fault = match exchange.answer() {
        Some(answer) if answer.status == OK => {
            exchange.answered();
            return Ok(());
        }
        Some(answer) if answer.status == PANIC => ("P0101", format!("panicked: {}", answer.sentence())),
        Some(answer) if answer.status == ERROR => ("P0104", format!("failed: {}", answer.sentence())),
        other => {
            let status = other.map_or(PANIC, |answer| answer.status);
            ("P0104", format!("answered with the unknown status {status}"))
        }
    };
    Err(Box::new(fault))
}

/// Whether a result is one of the function's, and not too long.
fn check(import: &Import, exchange: &mut CallFrame, limit: u64) -> Checked {
    let mut result = exchange.reader();
    let length = result.left();
    if length as u64 > limit {
        return Err(Box::new(("P0103", format!("returned {length} bytes; value_bytes allows {limit}"))));
    }
    // A number is read once: here.
    let read = match import.result_number {
        Some(number) => number.read(&mut result).and_then(|bits| result.finish().map(|()| Some(bits))),
        None => fits(import.result.as_ref(), &mut result).map(|()| None),
    };
    match read {
        Ok(Some(bits)) => exchange.is_number(bits),
        Ok(None) => {}
        Err(error) => return Err(Box::new(("P0102", format!("returned bytes that are no result of it: {error}")))),
    }
    Ok(())
}

/// Validates the result and records the call, in this order; what is handed to the guest.
fn finish(
    guest: &mut Guest,
    import: &Import,
    mut exchange: CallFrame,
    given: Checked,
    begun: CallTimer,
) -> wasmtime::Result<CallFrame> {
    let given = given.and_then(|()| check(import, &mut exchange, guest.calls.value_bytes));
    if let Some(begun) = begun.0 {
        let outcome = given.as_ref().map_or_else(|fault| fault.0, |()| "ok");
        let micros = begun.elapsed().as_micros();
        tracing::debug!(actor = %guest.actor.short_id(), function = import.label, micros, outcome, "host call");
    }
    let recorded = match given {
        Ok(()) if !guest.actor.has_staged() => record_call(guest, import, &exchange),
        given => finish_rare(guest, import, &mut exchange, given),
    };
    // What is not recorded does not count.
    if !recorded.as_ref().is_err_and(|error| error.is::<JournalError>()) {
        guest.context.change().host_call += 1;
    }
    recorded?;
    exchange.release();
    Ok(exchange)
}

/// A call that sends, or that failed.
fn finish_rare(guest: &mut Guest, import: &Import, exchange: &mut CallFrame, given: Checked) -> wasmtime::Result<()> {
    let staged = guest.actor.take_staged();
    match (given, staged) {
        // Sent with an answer that is no `err`.
        (Ok(()), Some(staged)) if !import.is_err(exchange.result()[0]) => {
            if let Some(otherwise) = send(guest, import, exchange, staged)? {
                exchange.replaced(otherwise);
            }
            Ok(())
        }
        (Ok(()), _) => record_call(guest, import, exchange),
        (Err(fault), _) => {
            let (code, message) = *fault;
            faulted(guest, import, exchange, code, format!("{} {message}", import.label))
        }
    }
}

/// Records a host call with what it sends; the result in place of the plugin's when the receiver has ended.
fn send(
    guest: &mut Guest,
    import: &Import,
    exchange: &CallFrame,
    staged: StagedSend,
) -> wasmtime::Result<Option<Vec<u8>>> {
    fits(import.result.as_ref(), &mut Reader::new(&staged.otherwise))?;
    let data = |otherwise: Option<&[u8]>| match guest.calls.recorded {
        true => value_data(exchange.arguments(), otherwise.map_or_else(|| exchange.result(), |bytes| [bytes, &[]])),
        false => Vec::new(),
    };
    let event = NewEvent {
        function: Some(import.record),
        call: Some(guest.context.get().call),
        ..NewEvent::plain(Kind::Host, &[])
    };
    guest.unwritten |= staged.is_durable();
    Ok(guest.actor.record_sending(staged, &event, data)?)
}

fn fits(result: Option<&ValueType>, reader: &mut Reader<'_>) -> Result<(), EncodingError> {
    if let Some(result) = result {
        result.validate(reader)?;
    }
    match reader.left() {
        0 => Ok(()),
        more => Err(EncodingError::Trailing(more)),
    }
}

/// Records a host call with its result. What a function of effect `chain` read stands in the chain already: its event says
/// where, in place of a copy.
fn record_call(guest: &Guest, import: &Import, exchange: &CallFrame) -> wasmtime::Result<()> {
    // A part of a chain that may lose its data is copied: it could not be read again.
    let refers = import.effect == Effect::Chain && guest.actor.keeps_all();
    let read = if refers { guest.actor.take_chain_read() } else { None };
    if !guest.calls.recorded {
        return Ok(());
    }
    let data = match read {
        None => value_data(exchange.arguments(), exchange.result()),
        Some((from, to, head)) => {
            let (head, digest) = (head.to_vec().into(), sha3(exchange.result()).to_vec().into());
            owned_data(exchange, HostResult::Chain { from, to, head, digest })?
        }
    };
    record_data(guest, import, &data)
}

/// The data of a `host` event is the encoding of [`HostCall`].
fn owned_data(exchange: &CallFrame, result: HostResult) -> wasmtime::Result<Vec<u8>> {
    Ok(encode(&HostCall { arguments: exchange.arguments().concat().into(), result })?)
}

fn record_data(guest: &Guest, import: &Import, data: &[u8]) -> wasmtime::Result<()> {
    let event = NewEvent {
        function: Some(import.record),
        call: Some(guest.context.get().call),
        ..NewEvent::plain(Kind::Host, data)
    };
    guest.actor.record(&event)?;
    Ok(())
}

/// The encoding of a [`HostCall`] with a plain value, written without a copy of its parts; both come in two.
fn value_data(arguments: [&[u8]; 2], result: [&[u8]; 2]) -> Vec<u8> {
    let [of_arguments, of_result] = [arguments, result].map(|parts| parts.map(<[u8]>::len).iter().sum::<usize>());
    let mut data = Vec::with_capacity(of_arguments + of_result + 12);
    write_varint(&mut data, of_arguments as u64);
    arguments.iter().for_each(|part| memcpy::append(&mut data, part));
    data.push(0);
    write_varint(&mut data, of_result as u64);
    result.iter().for_each(|part| memcpy::append(&mut data, part));
    data
}

/// The guest used up its time.
#[derive(Debug, thiserror::Error)]
#[error("the guest ran longer than run_timeout_ms = {limit_ms}")]
pub struct OutOfTime {
    /// Its limit.
    pub limit_ms: u64,
}

impl OutOfTime {
    /// How its sentence begins.
    pub const BEGINNING: &str = "the guest ran longer than run_timeout_ms";
}

/// A plugin failed in a function that has no `err` for it.
#[derive(Debug, thiserror::Error)]
#[error("{sentence}")]
pub struct PluginFault {
    /// The stable code.
    pub code: String,
    /// What happened.
    pub sentence: String,
}

/// A fault of the plugin's: recorded, then the function's own `err` where it has one for that, else a trap.
fn faulted(
    guest: &Guest,
    import: &Import,
    exchange: &mut CallFrame,
    code: &str,
    message: String,
) -> wasmtime::Result<()> {
    let plugin = guest.handlers.get(import.slot).map(|attached| attached.plugin.descriptor.name.clone());
    let plugin = plugin.unwrap_or_default();
    guest.actor.record_fault(&Fault { plugin: plugin.clone(), code: code.to_owned(), message: message.clone() })?;
    let sentence = fault_sentence(code, &plugin, &message);
    if let Some(bytes) = import.err(&sentence) {
        exchange.replaced(bytes);
        return record_data(guest, import, &value_data(exchange.arguments(), exchange.result()));
    }
    record_data(guest, import, &owned_data(exchange, HostResult::Fault(sentence.clone()))?)?;
    Err(PluginFault { code: code.to_owned(), sentence }.into())
}

fn fault_sentence(code: &str, plugin: &str, message: &str) -> String {
    format!("[{code}] plugin {plugin:?}: {message}")
}

/// A call of a host function that no guest makes.
pub(crate) struct DirectCall {
    /// Its handler.
    pub(crate) handler: Arc<OwnedHandler>,
    /// The name of its plugin.
    pub(crate) plugin: String,
    /// The function.
    pub(crate) import: Arc<Import>,
    /// On whose behalf.
    pub(crate) context: CallContext,
    /// The encoded arguments.
    pub(crate) arguments: Vec<u8>,
    /// Largest result, in bytes.
    pub(crate) value_bytes: u64,
}

/// What a call gave that no guest made.
pub(crate) struct DirectResult {
    /// As a guest's call would be recorded.
    pub(crate) result: HostResult,
    /// Whether that is a failure of the plugin's.
    pub(crate) is_fault: bool,
}

impl DirectCall {
    /// Makes the call; nothing when it waits for longer than `patience`.
    pub(crate) async fn tell(self, patience: Duration) -> Option<DirectResult> {
        let Self { handler, plugin, import, context, arguments, value_bytes } = self;
        let (mut exchange, context) = (CallFrame::of(arguments), HeldContext::new(context));
        let (arguments, room, answer) = exchange.ask();
        let given = match import.is_async {
            false => match handler.get().call_sync(context.get(), import.number, arguments, room, answer) {
                Called::OutBuffer(length) => in_room(&mut exchange, length),
                _ => answered(&mut exchange),
            },
            true => match handler.call(&context, import.number, arguments, room, answer) {
                Called::OutBuffer(length) => in_room(&mut exchange, length),
                Called::Elsewhere => answered(&mut exchange),
                Called::Waits(future) => {
                    let late = executor::timeout(patience, future).await?;
                    *exchange.ask().2 = Some(late);
                    answered(&mut exchange)
                }
            },
        };
        let given = given.and_then(|()| check(&import, &mut exchange, value_bytes));
        let is_fault = given.is_err();
        let result = match given {
            Ok(()) => HostResult::Value(exchange.result().concat().into()),
            Err(fault) => {
                let sentence = fault_sentence(fault.0, &plugin, &format!("{} {}", import.label, fault.1));
                let err = import.err(&sentence).map(|bytes| HostResult::Value(bytes.into()));
                err.unwrap_or(HostResult::Fault(sentence))
            }
        };
        Some(DirectResult { result, is_fault })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message that was staged by a call that answers `err` is not sent, whatever the type of the `err`.
    #[test]
    fn an_err_of_any_type_is_one_and_no_other_value_is() {
        let import = |result| {
            let function = PluginFunction {
                interface: "a:b/c".to_owned(),
                name: "f".to_owned(),
                signature: Signature { params: Vec::new(), result },
                is_async: false,
                effect: Effect::Effect,
                fault: None,
            };
            Import::of(0, &function)
        };
        let of = |err| Some(ValueType::Result(Arc::new((Some(ValueType::U8), err))));
        let variant =
            ValueType::Variant(Arc::new([("busy".to_owned(), None), ("io".to_owned(), Some(ValueType::String))]));
        for err in [None, Some(ValueType::String), Some(ValueType::U32), Some(variant)] {
            let import = import(of(err));
            assert!(import.is_err(&[1, 0]) && !import.is_err(&[0, 1]));
        }
        for other in
            [None, Some(ValueType::Bytes), Some(ValueType::Bool), Some(ValueType::Option(Arc::new(ValueType::U8)))]
        {
            assert!(!import(other).is_err(&[1, 1]));
        }
    }
}
