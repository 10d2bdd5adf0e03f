//! The plugin ABI: what crosses between the core and a plugin's shared library, and the only unsafe code of this crate.
//!
//! The tables themselves are in `theater-plugin-abi` and re-exported here.
//!
//! A plugin exports two symbols: the descriptor section ([`crate::descriptor`]), which the core reads without running
//! code, and `abi_stable`'s root module header, whose module is [`Entry`]. `Entry::init` gives a [`PluginObject`],
//! `attach` on it a [`HandlerObject`] per actor; the plugin gets a [`HostObject`] at each of the two.
//!
//! Every object is an opaque pointer and a table of `extern "C"` functions. Bytes go in as [`Slice`] (borrowed for the
//! call) and come out as [`Buffer`] (owned, released by whoever holds it), a short result of a function in [`OutBuffer`] that the
//! core gives for it. So a program in C can fill the same tables.
//!
//! # Versions
//! `abi_stable` compares layouts when a library is opened, and refuses a plugin as soon as a table of the core has one
//! field more than the plugin's. The tables here are therefore **frozen for a major**: no field is ever added. What comes
//! later is asked for by name, in both directions, through `service(id, minimum minor)`, each service a frozen table of
//! its own.
//!
//! | change | crate version | ABI minor | ABI major |
//! |---|---|---|---|
//! | docs, Rust-side conveniences of this crate | patch or minor | same | same |
//! | a new service, a new minor of a service | minor | +1 | same |
//! | a new key of the descriptor that old cores may ignore | minor | +1 | same |
//! | any change to a table, to [`CallContext`], to the encoding, to what a function's docs promise | major | 0 | +1 |
//!
//! A core of ABI `M.n` loads plugins of ABI `M.anything`; what such a plugin needs beyond `n` it names as a service with
//! a minimum minor, and the core refuses by that name what it does not have.
//!
//! # Threads
//! Any function may be called on any thread of the core's executor; functions of one handler may run at the same time
//! unless the table says otherwise. No function may block: a call or poll that does not return holds a worker thread and
//! is reported by the core's watchdog after 1 s.

use std::cell::UnsafeCell;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::atomic::{Ordering, fence};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use abi_stable::prefix_type::WithMetadata;
use async_ffi::{FfiFuture, FutureExt};

use crate::Bytes;
use crate::children::ChildEnd;
use crate::encoding::Reader;
use crate::host::{About, ChainEvent};
use crate::panic_guard::{self, Guarded};
use crate::plugin::{Attachment, Call, Dispatch, Handler, Plugin, Recovered};
use crate::result_buffer::ResultBuffer;
use crate::service::{
    ChainService, ChildrenService, LifecycleService, MessagesService, RecordService, RemovedService, SERVICE_CHAIN,
    SERVICE_CHILDREN, SERVICE_LIFECYCLE, SERVICE_MESSAGES, SERVICE_RECORD, SERVICE_REMOVED,
};

pub use theater_plugin_abi::*;

/// Encodes a result.
#[must_use]
pub fn encoded<T: serde::Serialize + ?Sized>(value: &T) -> Answer {
    let mut place = ResultBuffer::new(&mut []);
    place.give(value);
    place.into_answer()
}

fn answer_of(result: Result<Vec<u8>, String>) -> Answer {
    match result {
        Ok(bytes) => Answer::ok(bytes),
        Err(sentence) => Answer::error(sentence),
    }
}

// ---- the plugin's side: tables over the author's traits ------------------------------------------------------------------

struct Tables<T>(std::marker::PhantomData<T>);

impl<P: Plugin> Tables<P>
where
    P::Handler: Dispatch,
{
    const PLUGIN: &'static WithMetadata<PluginTable> = &WithMetadata::new(PluginTable {
        attach: plugin_attach::<P>,
        narrow: plugin_narrow::<P>,
        resolve: plugin_resolve::<P>,
        command: plugin_command::<P>,
        service: plugin_service::<P>,
    });
    const FORGET: &'static RemovedService = &RemovedService { forget: plugin_forget::<P> };
    const HANDLER: &'static WithMetadata<HandlerTable> = &WithMetadata::new(HandlerTable {
        call_sync: handler_call_sync::<P::Handler>,
        call: handler_call::<P::Handler>,
        started: handler_started::<P::Handler>,
        stopped: handler_stopped::<P::Handler>,
        export_state: handler_export::<P::Handler>,
        import_state: handler_import::<P::Handler>,
        recover: handler_recover::<P::Handler>,
        service: no_service,
        release: handler_release::<P::Handler>,
    });

    fn plugin() -> PluginTableRef {
        PluginTableRef(Self::PLUGIN.static_as_prefix())
    }

    fn handler() -> HandlerTableRef {
        HandlerTableRef(Self::HANDLER.static_as_prefix())
    }
}

unsafe extern "C" fn no_service(_: *const (), _: Slice, _: u32) -> *const () {
    std::ptr::null()
}

/// The root module of plugin `P`: what `bindings!` exports.
#[must_use]
pub fn entry<P: Plugin>() -> EntryRef
where
    P::Handler: Dispatch,
{
    struct Root<P>(P);
    impl<P: Plugin> Root<P>
    where
        P::Handler: Dispatch,
    {
        const TABLE: &'static WithMetadata<Entry> = &WithMetadata::new(Entry { init: init::<P> });
    }
    EntryRef(Root::<P>::TABLE.static_as_prefix())
}

unsafe extern "C" fn init<P: Plugin>(host: HostObject, out: *mut PluginObject) -> Answer
where
    P::Handler: Dispatch,
{
    panic_guard::install_hook();
    let host = Host(host);
    panic_guard::tell(host.clone());
    let made = panic_guard::catch(|| P::init(host));
    match made {
        Ok(Ok(plugin)) => {
            let data = Arc::into_raw(Arc::new(plugin)).cast();
            // SAFETY: the caller gave a place for one object.
            unsafe { out.write(PluginObject { data, table: Tables::<P>::plugin() }) };
            Answer::ok(Vec::new())
        }
        Ok(Err(sentence)) => Answer::error(sentence),
        Err(message) => Answer::with(PANIC, message),
    }
}

/// # Safety
/// `this` must come from `Arc::<T>::into_raw` and not have been released.
unsafe fn borrow<'a, T>(this: *const ()) -> &'a T {
    // SAFETY: by the contract of this function.
    unsafe { &*this.cast::<T>() }
}

/// # Safety
/// As [`borrow`].
unsafe fn share<T>(this: *const ()) -> Arc<T> {
    // SAFETY: by the contract of this function one count is held by the pointer; this adds the one returned.
    unsafe {
        Arc::increment_strong_count(this.cast::<T>());
        Arc::from_raw(this.cast::<T>())
    }
}

fn panicked(message: String) -> Answer {
    Answer::with(PANIC, message)
}

fn guarded<F: Future<Output = Answer> + Send + 'static>(future: F) -> FfiFuture<Answer> {
    Guarded::new(future, panicked).into_ffi()
}

fn caught(body: impl FnOnce() -> Answer) -> Answer {
    panic_guard::catch(body).unwrap_or_else(panicked)
}

fn json(bytes: &[u8]) -> Result<serde_json::Value, String> {
    if bytes.is_empty() {
        return Ok(serde_json::Value::Null);
    }
    serde_json::from_slice(bytes).map_err(|error| format!("not JSON: {error}"))
}

unsafe extern "C" fn plugin_attach<P: Plugin>(
    this: *const (),
    host: HostObject,
    handler_type: Slice,
    config: Slice,
    ceiling: Slice,
) -> FfiFuture<Attached>
where
    P::Handler: Dispatch,
{
    let refused =
        |answer| Attached { answer, handler: HandlerObject { data: std::ptr::null(), table: Tables::<P>::handler() } };
    // SAFETY: the core calls with the object's own data and with slices that live for this call.
    let (plugin, handler_type, config, ceiling) =
        unsafe { (share::<P>(this), handler_type.text(), json(config.get()), json(ceiling.get())) };
    let attach = async move {
        let attachment = match (config, ceiling) {
            (Ok(config), Ok(ceiling)) => Attachment { handler_type, config, ceiling },
            (Err(error), _) | (_, Err(error)) => return refused(Answer::error(error)),
        };
        match plugin.attach(Host(host), attachment).await {
            Ok(handler) => Attached {
                answer: Answer::ok(Vec::new()),
                handler: HandlerObject { data: Arc::into_raw(Arc::new(handler)).cast(), table: Tables::<P>::handler() },
            },
            Err(sentence) => refused(Answer::error(sentence)),
        }
    };
    Guarded::new(attach, move |message| refused(Answer::with(PANIC, message))).into_ffi()
}

unsafe extern "C" fn plugin_narrow<P: Plugin>(
    this: *const (),
    handler_type: Slice,
    ceiling: Slice,
    requested: Slice,
) -> Answer {
    // SAFETY: as in plugin_attach.
    let (plugin, handler_type, ceiling, requested) =
        unsafe { (borrow::<P>(this), handler_type.text(), ceiling.get(), requested.get()) };
    caught(|| {
        let narrowed = json(ceiling)
            .and_then(|ceiling| Ok((ceiling, json(requested)?)))
            .and_then(|(ceiling, requested)| plugin.narrow(&handler_type, &ceiling, &requested));
        answer_of(narrowed.map(|value| value.to_string().into_bytes()))
    })
}

unsafe extern "C" fn plugin_resolve<P: Plugin>(
    this: *const (),
    url: Slice,
    actor: Slice,
    ceiling: Slice,
) -> FfiFuture<Answer> {
    // SAFETY: as in plugin_attach.
    let (plugin, url, actor, ceiling) = unsafe { (share::<P>(this), url.text(), actor.text(), json(ceiling.get())) };
    guarded(async move {
        let resolved = match ceiling {
            Ok(ceiling) => plugin.resolve(&url, &actor, &ceiling).await,
            Err(error) => Err(error),
        };
        answer_of(resolved)
    })
}

unsafe extern "C" fn plugin_command<P: Plugin>(this: *const (), name: Slice, arguments: Slice) -> FfiFuture<Answer> {
    // SAFETY: as in plugin_attach.
    let (plugin, name, arguments) = unsafe { (share::<P>(this), name.text(), json(arguments.get())) };
    guarded(async move {
        let result = match arguments {
            Ok(arguments) => plugin.command(&name, arguments).await,
            Err(error) => Err(error),
        };
        answer_of(result.map(|value| value.to_string().into_bytes()))
    })
}

unsafe extern "C" fn plugin_service<P: Plugin>(_: *const (), id: Slice, minimum_minor: u32) -> *const ()
where
    P::Handler: Dispatch,
{
    // SAFETY: as in plugin_attach.
    let id = unsafe { id.text() };
    if P::FORGETS && minimum_minor == 0 && id == SERVICE_REMOVED {
        return std::ptr::from_ref(Tables::<P>::FORGET).cast();
    }
    std::ptr::null()
}

unsafe extern "C" fn plugin_forget<P: Plugin>(this: *const (), actor: Slice) -> FfiFuture<Answer> {
    // SAFETY: as in plugin_attach.
    let (plugin, actor) = unsafe { (share::<P>(this), actor.text()) };
    guarded(async move { answer_of(plugin.forget(&actor).await.map(|()| Vec::new())) })
}

unsafe extern "C" fn handler_call_sync<H: Dispatch>(
    this: *const (),
    context: *const CallContext,
    function: u32,
    ask: *const CallArgs,
    answer: *mut Answer,
) -> u32 {
    // SAFETY: the core calls with the object's own data and with a context and an ask that live for this call; a Call is a
    // CallContext by layout (repr(transparent)).
    let (handler, call, ask) = unsafe { (borrow::<H>(this), &*context.cast::<Call>(), &*ask) };
    // SAFETY: as above.
    let (arguments, room) = unsafe { (Reader::with_tail(ask.arguments.get(), ask.tail.get()), ask.room.get()) };
    let mut place = ResultBuffer::new(room);
    if let Err(message) = panic_guard::catch(|| handler.dispatch_sync(call, function, arguments, &mut place)) {
        place.answer(panicked(message));
    }
    // SAFETY: the core gave a place for one answer.
    place.end(|elsewhere| unsafe { answer.write(elsewhere) })
}

unsafe extern "C" fn handler_call<H: Dispatch>(
    this: *const (),
    context: *const CallContext,
    function: u32,
    ask: *const CallArgs,
    answer: *mut Answer,
    future: *mut FfiFuture<Answer>,
) -> u32 {
    // SAFETY: as in handler_call_sync; handler and context live until the core has dropped the future (ABI rule), which takes
    // from the arguments what dispatch decoded.
    let (handler, call, ask) = unsafe { (borrow::<H>(this), &*context.cast::<Call>(), &*ask) };
    // SAFETY: as above.
    let (arguments, room) = unsafe { (Reader::with_tail(ask.arguments.get(), ask.tail.get()), ask.room.get()) };
    let mut place = ResultBuffer::new(room);
    // Most functions never wait: those need no future of the ABI, no waker, and one guard for all of it.
    match panic_guard::catch(|| handler.dispatch(call, function, arguments, &mut place)) {
        Ok(None) => {}
        Ok(Some(pending)) => {
            // SAFETY: the core gave a place for one future.
            unsafe { future.write(Guarded::new(pending, panicked).into_ffi()) };
            return WAITS;
        }
        Err(message) => place.answer(panicked(message)),
    }
    // SAFETY: the core gave a place for one answer.
    place.end(|elsewhere| unsafe { answer.write(elsewhere) })
}

unsafe extern "C" fn handler_started<H: Handler>(this: *const (), resumed: bool) -> FfiFuture<Answer> {
    // SAFETY: as in handler_call_sync.
    let handler = unsafe { share::<H>(this) };
    guarded(async move {
        match handler.started(resumed).await {
            Ok(addresses) => encoded(&addresses),
            Err(sentence) => Answer::error(sentence),
        }
    })
}

unsafe extern "C" fn handler_stopped<H: Handler>(this: *const ()) -> FfiFuture<Answer> {
    // SAFETY: as in handler_call_sync.
    let handler = unsafe { share::<H>(this) };
    guarded(async move {
        handler.stopped().await;
        Answer::ok(Vec::new())
    })
}

unsafe extern "C" fn handler_export<H: Handler>(this: *const ()) -> Answer {
    // SAFETY: as in handler_call_sync.
    let handler = unsafe { borrow::<H>(this) };
    caught(|| answer_of(handler.export_state()))
}

unsafe extern "C" fn handler_import<H: Handler>(this: *const (), state: Slice) -> Answer {
    // SAFETY: as in handler_call_sync.
    let (handler, state) = unsafe { (borrow::<H>(this), state.get()) };
    caught(|| answer_of(handler.import_state(state).map(|()| Vec::new())))
}

unsafe extern "C" fn handler_recover<H: Dispatch>(
    this: *const (),
    function: u32,
    arguments: Slice,
    result: Slice,
) -> Answer {
    // SAFETY: as in handler_call_sync.
    let (handler, arguments, result) = unsafe { (borrow::<H>(this), arguments.get(), result.get()) };
    let is_export = function & EXPORT != 0;
    let name = if is_export { H::export_name(function & !EXPORT) } else { H::function_name(function) };
    let recovered = Recovered { function: name, is_export, arguments, result };
    caught(|| answer_of(handler.recover(recovered).map(|()| Vec::new())))
}

unsafe extern "C" fn handler_release<H: Handler>(this: *const ()) -> Answer {
    // SAFETY: the core calls this once, last: when no future of a call lives. Those of started and stopped hold shares.
    let handler = unsafe { Arc::from_raw(this.cast::<H>()) };
    panic_guard::catch(AssertUnwindSafe(|| drop(handler)))
        .map_or_else(|message| Answer::with(PANIC, message), |()| Answer::ok(Vec::new()))
}

// ---- the plugin's side: safe calls of the host -----------------------------------------------------------------------------

/// What a plugin can ask of the core: see the methods in [`crate::host`].
pub struct Host(HostObject);

impl Clone for Host {
    fn clone(&self) -> Self {
        // SAFETY: data is the table's own and is kept alive by the count that self holds.
        unsafe { self.0.table.retain()(self.0.data) };
        Self(HostObject { data: self.0.data, table: self.0.table })
    }
}

impl Host {
    pub(crate) fn about(&self) -> Answer {
        // SAFETY: data is the table's own (all below alike); slices live for the call.
        unsafe { self.0.table.about()(self.0.data) }
    }
    pub(crate) fn raw_call(&self, export: u32, params: &[u8], cause: &str) -> FfiFuture<Answer> {
        // SAFETY: as above.
        unsafe { self.0.table.call()(self.0.data, export, params.into(), cause.into()) }
    }
    pub(crate) fn raw_has_export(&self, export: u32) -> bool {
        // SAFETY: as above.
        unsafe { self.0.table.has_export()(self.0.data, export) }
    }
    pub(crate) fn raw_spawn(&self, future: impl Future<Output = ()> + Send + 'static) -> u64 {
        let answered = async move {
            future.await;
            Answer::ok(Vec::new())
        };
        // SAFETY: as above.
        unsafe { self.0.table.spawn()(self.0.data, guarded(answered)) }
    }
    pub(crate) fn raw_abort(&self, task: u64) {
        // SAFETY: as above.
        unsafe { self.0.table.abort()(self.0.data, task) }
    }
    pub(crate) fn raw_sleep(&self, microseconds: u64) -> FfiFuture<Answer> {
        // SAFETY: as above.
        unsafe { self.0.table.sleep()(self.0.data, microseconds) }
    }
    pub(crate) fn raw_cancelled(&self) -> FfiFuture<Answer> {
        // SAFETY: as above.
        unsafe { self.0.table.cancelled()(self.0.data) }
    }
    pub(crate) fn raw_wait_for(&self, other: &str, why: &str) -> Result<u64, Answer> {
        let mut edge = 0;
        // SAFETY: as above; edge is a place for one number.
        let answer = unsafe { self.0.table.wait_for()(self.0.data, other.into(), why.into(), &raw mut edge) };
        if answer.status == OK { Ok(edge) } else { Err(answer) }
    }
    pub(crate) fn raw_wait_end(&self, edge: u64) {
        // SAFETY: as above.
        unsafe { self.0.table.wait_end()(self.0.data, edge) }
    }
    pub(crate) fn raw_log(&self, level: u32, target: &str, message: &str) {
        // SAFETY: as above.
        unsafe { self.0.table.log()(self.0.data, level, target.into(), message.into()) }
    }
    pub(crate) fn raw_metric(&self, name: &str, kind: u32, value: f64) {
        // SAFETY: as above.
        unsafe { self.0.table.metric()(self.0.data, name.into(), kind, value) }
    }
    pub(crate) fn raw_data_folder(&self) -> Answer {
        // SAFETY: as above.
        unsafe { self.0.table.data_folder()(self.0.data) }
    }

    fn service(&self, id: &str, minimum_minor: u32) -> Option<*const ()> {
        // SAFETY: as above.
        let table = unsafe { self.0.table.service()(self.0.data, id.into(), minimum_minor) };
        (!table.is_null()).then_some(table)
    }

    pub(crate) fn chain_newest(&self, most: u64) -> Option<FfiFuture<Answer>> {
        let table = self.service(SERVICE_CHAIN, 0)?;
        // SAFETY: the core answers this id with a pointer to a ChainService that lives as long as the process.
        let newest = unsafe { (*table.cast::<ChainService>()).newest };
        // SAFETY: the service takes this host's data.
        Some(unsafe { newest(self.0.data, most) })
    }

    pub(crate) fn lifecycle_shutdown(&self, data: Option<&[u8]>) -> Option<Answer> {
        let table = self.service(SERVICE_LIFECYCLE, 0)?;
        // SAFETY: as in chain_newest, a LifecycleService.
        let shutdown = unsafe { (*table.cast::<LifecycleService>()).shutdown };
        // SAFETY: as in chain_newest.
        Some(unsafe { shutdown(self.0.data, data.is_some(), data.unwrap_or_default().into()) })
    }
}

// ---- the plugin's side: services ---------------------------------------------------------------------------------------------

impl Host {
    /// The table of a service whose id stands for tables of type `T`.
    fn table<T>(&self, id: &str) -> Result<&'static T, Answer> {
        match self.service(id, 0) {
            // SAFETY: the core answers an id with a pointer to that id's table, which lives as long as the process; the
            // callers below name each id with its own type.
            Some(table) => Ok(unsafe { &*table.cast::<T>() }),
            None => Err(Answer::error(format!("this core does not offer the service {id}"))),
        }
    }

    fn message_table(&self) -> Result<&'static MessagesService, Answer> {
        self.table(SERVICE_MESSAGES)
    }

    fn child_table(&self) -> Result<&'static ChildrenService, Answer> {
        self.table(SERVICE_CHILDREN)
    }

    pub(crate) fn raw_find(&self, wanted: &str) -> Result<Answer, Answer> {
        // SAFETY: the table is this host's (all below alike); slices and context live for the call.
        self.message_table().map(|table| unsafe { (table.find)(self.0.data, wanted.into()) })
    }
    pub(crate) fn raw_call_from(
        &self,
        export: u32,
        params: &[u8],
        source: &str,
        from: *const CallContext,
    ) -> Result<FfiFuture<Answer>, Answer> {
        // SAFETY: as above.
        self.message_table()
            .map(|table| unsafe { (table.call)(self.0.data, export, params.into(), source.into(), from) })
    }
    pub(crate) fn raw_post(
        &self,
        export: u32,
        params: &[u8],
        source: &str,
        from: *const CallContext,
        first: bool,
    ) -> Result<FfiFuture<Answer>, Answer> {
        // SAFETY: as above.
        self.message_table()
            .map(|table| unsafe { (table.post)(self.0.data, export, params.into(), source.into(), from, first) })
    }
    pub(crate) fn raw_stage(
        &self,
        export: u32,
        params: &[u8],
        source: &str,
        from: &CallContext,
        otherwise: &[u8],
    ) -> Result<FfiFuture<Answer>, Answer> {
        // SAFETY: as above.
        self.message_table().map(|table| unsafe {
            (table.stage)(self.0.data, export, params.into(), source.into(), from, otherwise.into())
        })
    }
    pub(crate) fn raw_spawn_child(&self, manifest: &str, state: Option<&[u8]>) -> Result<FfiFuture<Answer>, Answer> {
        let (some, state) = (state.is_some(), state.unwrap_or_default());
        // SAFETY: as above.
        self.child_table().map(|table| unsafe { (table.spawn)(self.0.data, manifest.into(), some, state.into()) })
    }
    pub(crate) fn raw_resume_child(&self, manifest: &str, state: Option<&[u8]>) -> Result<FfiFuture<Answer>, Answer> {
        let (some, state) = (state.is_some(), state.unwrap_or_default());
        // SAFETY: as above.
        self.child_table().map(|table| unsafe { (table.resume)(self.0.data, manifest.into(), some, state.into()) })
    }
    pub(crate) fn raw_restart_child(&self, child: &str, only_held: bool) -> Result<FfiFuture<Answer>, Answer> {
        // SAFETY: as above.
        self.child_table().map(|table| unsafe { (table.restart)(self.0.data, child.into(), only_held) })
    }
    pub(crate) fn raw_stop_child(&self, child: &str) -> Result<FfiFuture<Answer>, Answer> {
        // SAFETY: as above.
        self.child_table().map(|table| unsafe { (table.stop)(self.0.data, child.into()) })
    }
    pub(crate) fn raw_release_child(&self, child: &str) -> Result<Answer, Answer> {
        // SAFETY: as above.
        self.child_table().map(|table| unsafe { (table.release)(self.0.data, child.into()) })
    }
    pub(crate) fn raw_children(&self) -> Result<Answer, Answer> {
        // SAFETY: as above.
        self.child_table().map(|table| unsafe { (table.list)(self.0.data) })
    }
    pub(crate) fn raw_child_state(&self, actor: &str) -> Result<Answer, Answer> {
        // SAFETY: as above.
        self.child_table().map(|table| unsafe { (table.state)(self.0.data, actor.into()) })
    }
    pub(crate) fn raw_child_events(&self, actor: &str) -> Result<FfiFuture<Answer>, Answer> {
        // SAFETY: as above.
        self.child_table().map(|table| unsafe { (table.events)(self.0.data, actor.into()) })
    }
    pub(crate) fn raw_next_end(&self) -> Result<FfiFuture<Answer>, Answer> {
        // SAFETY: as above.
        self.child_table().map(|table| unsafe { (table.next_end)(self.0.data) })
    }
    pub(crate) fn raw_note(&self, what: &str, data: &[u8]) -> Result<Answer, Answer> {
        let table: &RecordService = self.table(SERVICE_RECORD)?;
        // SAFETY: as above.
        Ok(unsafe { (table.note)(self.0.data, what.into(), data.into()) })
    }
    pub(crate) fn raw_fail(&self, reason: &str) -> Result<(), Answer> {
        // SAFETY: as above.
        self.child_table().map(|table| unsafe { (table.fail)(self.0.data, reason.into()) })
    }
}

// ---- the core's side --------------------------------------------------------------------------------------------------------

/// What the core implements, so that no other file needs unsafe code to be a host.
pub trait HostSide: Send + Sync + 'static {
    /// See [`HostTable::about`].
    fn about(&self) -> About;
    /// See [`HostTable::call`].
    fn call(&self, export: u32, params: &[u8], cause: String) -> impl Future<Output = Answer> + Send + 'static;
    /// See [`HostTable::has_export`].
    fn has_export(&self, export: u32) -> bool;
    /// See [`HostTable::spawn`].
    fn spawn(&self, future: FfiFuture<Answer>) -> u64;
    /// See [`HostTable::abort`].
    fn abort(&self, task: u64);
    /// See [`HostTable::sleep`].
    fn sleep(&self, microseconds: u64) -> impl Future<Output = ()> + Send + 'static;
    /// See [`HostTable::cancelled`].
    fn cancelled(&self) -> impl Future<Output = ()> + Send + 'static;
    /// See [`HostTable::wait_for`].
    ///
    /// # Errors
    /// A sentence with the cycle, or that nobody has that id.
    fn wait_for(&self, other: &str, why: &str) -> Result<u64, String>;
    /// See [`HostTable::wait_end`].
    fn wait_end(&self, edge: u64);
    /// See [`HostTable::log`].
    fn log(&self, level: u32, target: &str, message: &str);
    /// See [`HostTable::metric`].
    fn metric(&self, name: &str, kind: u32, value: f64);
    /// See [`HostTable::data_folder`].
    ///
    /// # Errors
    /// A sentence on why the folder could not be made.
    fn data_folder(&self) -> Result<String, String>;
    /// The newest events of the actor's chain, oldest first, encoded as `list<chain-event>`.
    fn chain_newest(&self, most: u64) -> impl Future<Output = Answer> + Send + 'static;
    /// Asks the actor to stop after the running call.
    ///
    /// # Errors
    /// A sentence, when it is stopping already.
    fn shutdown(&self, data: Option<Vec<u8>>) -> Result<(), String>;
    /// See [`MessagesService::find`].
    ///
    /// # Errors
    /// A sentence when no living actor, or more than one, is meant.
    fn find(&self, wanted: &str) -> Result<String, String>;
    /// See [`MessagesService::call`].
    fn call_from(&self, message: Message<'_>) -> impl Future<Output = Answer> + Send + 'static;
    /// See [`MessagesService::post`].
    fn post(&self, message: Message<'_>, first: bool) -> impl Future<Output = Answer> + Send + 'static;
    /// See [`MessagesService::stage`].
    fn stage(&self, message: Message<'_>, otherwise: &[u8]) -> impl Future<Output = Answer> + Send + 'static;
    /// See [`ChildrenService::spawn`].
    fn spawn_child(
        &self,
        manifest: String,
        state: Option<Vec<u8>>,
    ) -> impl Future<Output = Result<String, String>> + Send + 'static;
    /// See [`ChildrenService::resume`].
    fn resume_child(
        &self,
        manifest: String,
        state: Option<Vec<u8>>,
    ) -> impl Future<Output = Result<String, String>> + Send + 'static;
    /// See [`ChildrenService::restart`].
    fn restart_child(
        &self,
        child: String,
        only_held: bool,
    ) -> impl Future<Output = Result<(), String>> + Send + 'static;
    /// See [`ChildrenService::stop`].
    fn stop_child(&self, child: String) -> impl Future<Output = Result<(), String>> + Send + 'static;
    /// See [`ChildrenService::release`].
    ///
    /// # Errors
    /// A sentence when it is no child.
    fn release_child(&self, child: &str) -> Result<(), String>;
    /// See [`ChildrenService::list`].
    fn children(&self) -> Vec<String>;
    /// See [`ChildrenService::state`].
    ///
    /// # Errors
    /// A sentence when it is no descendant.
    fn child_state(&self, actor: &str) -> Result<Option<Bytes>, String>;
    /// See [`ChildrenService::events`].
    fn child_events(&self, actor: String) -> impl Future<Output = Result<Vec<ChainEvent>, String>> + Send + 'static;
    /// See [`ChildrenService::next_end`].
    fn next_end(&self) -> impl Future<Output = Result<ChildEnd, String>> + Send + 'static;
    /// See [`ChildrenService::fail`].
    fn fail(&self, reason: String);
    /// See [`RecordService::note`].
    ///
    /// # Errors
    /// A sentence: the chain takes nothing more.
    fn note(&self, what: &str, data: &[u8]) -> Result<(), String>;
    /// Whether the service `id` is offered with at least that minor.
    fn offers(&self, id: &str, minimum_minor: u32) -> bool;
}

/// A call of an export that another actor, or the outside, has for the host's actor.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// Number in the descriptor's `calls`.
    pub export: u32,
    /// The encoded parameters.
    pub params: &'a [u8],
    /// A sentence on where it comes from.
    pub source: &'a str,
    /// The other actor's call it is made from.
    pub from: Option<&'a CallContext>,
}

/// Tells a plugin that offers [`RemovedService`] of an actor that has ended for good.
#[must_use]
pub fn forget(plugin: PluginObject, actor: &str) -> Option<FfiFuture<Answer>> {
    // SAFETY: data is the table's own; the slice lives for the call.
    let table = unsafe { plugin.table.service()(plugin.data, SERVICE_REMOVED.into(), 0) };
    if table.is_null() {
        return None;
    }
    // SAFETY: a plugin answers this id with a pointer to a RemovedService that lives as long as the process.
    let forget = unsafe { (*table.cast::<RemovedService>()).forget };
    // SAFETY: as above.
    Some(unsafe { forget(plugin.data, actor.into()) })
}

struct HostTables<S>(std::marker::PhantomData<S>);

impl<S: HostSide> HostTables<S> {
    const HOST: &'static WithMetadata<HostTable> = &WithMetadata::new(HostTable {
        retain: host_retain::<S>,
        release: host_release::<S>,
        about: host_about::<S>,
        call: host_call::<S>,
        has_export: host_has_export::<S>,
        spawn: host_spawn::<S>,
        abort: host_abort::<S>,
        sleep: host_sleep::<S>,
        cancelled: host_cancelled::<S>,
        wait_for: host_wait_for::<S>,
        wait_end: host_wait_end::<S>,
        log: host_log::<S>,
        metric: host_metric::<S>,
        data_folder: host_data_folder::<S>,
        service: host_service::<S>,
    });
    const CHAIN: &'static ChainService = &ChainService { newest: host_chain_newest::<S> };
    const LIFECYCLE: &'static LifecycleService = &LifecycleService { shutdown: host_shutdown::<S> };
    const NOTES: &'static RecordService = &RecordService { note: host_note::<S> };
    const MESSAGES: &'static MessagesService = &MessagesService {
        find: host_find::<S>,
        call: host_call_from::<S>,
        post: host_post::<S>,
        stage: host_stage::<S>,
    };
    const CHILDREN: &'static ChildrenService = &ChildrenService {
        spawn: host_spawn_child::<S>,
        resume: host_resume_child::<S>,
        restart: host_restart_child::<S>,
        stop: host_stop_child::<S>,
        release: host_release_child::<S>,
        list: host_children::<S>,
        state: host_child_state::<S>,
        events: host_child_events::<S>,
        next_end: host_next_end::<S>,
        fail: host_fail::<S>,
    };
}

/// Makes the host object for `side`.
pub fn host_object<S: HostSide>(side: Arc<S>) -> HostObject {
    HostObject { data: Arc::into_raw(side).cast(), table: HostTableRef(HostTables::<S>::HOST.static_as_prefix()) }
}

impl From<HostObject> for Host {
    fn from(object: HostObject) -> Self {
        Self(object)
    }
}

/// What the core answers in place of a result when it panics itself: nothing of its own unwinds across the ABI either.
trait OfPanic {
    fn of_panic(sentence: String) -> Self;
}

impl OfPanic for Answer {
    fn of_panic(sentence: String) -> Self {
        Answer::error(sentence)
    }
}
impl OfPanic for FfiFuture<Answer> {
    fn of_panic(sentence: String) -> Self {
        std::future::ready(Answer::error(sentence)).into_ffi()
    }
}
impl OfPanic for () {
    fn of_panic(_: String) {}
}
impl OfPanic for bool {
    fn of_panic(_: String) -> Self {
        false
    }
}
impl OfPanic for u64 {
    fn of_panic(_: String) -> Self {
        0
    }
}
impl OfPanic for *const () {
    fn of_panic(_: String) -> Self {
        std::ptr::null()
    }
}

fn core_panicked(message: &str) -> String {
    format!("[P0113] the core panicked: {message}; this is a fault of theater, please report it")
}

/// Runs the core's side of a call from a plugin. A panic in it is logged and answered: below a plugin's call it would
/// abort the process.
fn core_guarded<T: OfPanic>(body: impl FnOnce() -> T) -> T {
    panic_guard::catch(body).unwrap_or_else(|message| {
        let sentence = core_panicked(&message);
        report_core_panic(&sentence);
        T::of_panic(sentence)
    })
}

/// As [`core_guarded`], of each poll of a future of the core's.
fn core_future(future: impl Future<Output = Answer> + Send + 'static) -> FfiFuture<Answer> {
    let on_panic = |message: String| {
        let sentence = core_panicked(&message);
        report_core_panic(&sentence);
        Answer::error(sentence)
    };
    Guarded::new(future, on_panic).into_ffi()
}

static REPORT: OnceLock<fn(&str)> = OnceLock::new();

/// Says where panics of the core below a plugin's call are logged; the first function stays.
pub fn report_core_panics_to(report: fn(&str)) {
    panic_guard::install_hook();
    REPORT.get_or_init(|| report);
}

fn report_core_panic(sentence: &str) {
    if let Some(report) = REPORT.get() {
        report(sentence);
    }
}

unsafe extern "C" fn host_retain<S: HostSide>(this: *const ()) {
    core_guarded(|| {
        // SAFETY: this came from Arc::into_raw in host_object and the caller holds a count (all below alike).
        unsafe { Arc::increment_strong_count(this.cast::<S>()) }
    })
}
unsafe extern "C" fn host_release<S: HostSide>(this: *const ()) {
    core_guarded(|| {
        // SAFETY: gives back a count the caller held.
        unsafe { Arc::decrement_strong_count(this.cast::<S>()) }
    })
}
unsafe extern "C" fn host_about<S: HostSide>(this: *const ()) -> Answer {
    core_guarded(|| {
        // SAFETY: as in host_retain (all below alike); slices live for the call.
        let about = unsafe { borrow::<S>(this) }.about();
        answer_of(serde_json::to_vec(&about).map_err(|error| error.to_string()))
    })
}
unsafe extern "C" fn host_call<S: HostSide>(
    this: *const (),
    export: u32,
    params: Slice,
    cause: Slice,
) -> FfiFuture<Answer> {
    core_guarded(|| {
        // SAFETY: as above.
        let (side, params, cause) = unsafe { (borrow::<S>(this), params.get(), cause.text()) };
        core_future(side.call(export, params, cause))
    })
}
unsafe extern "C" fn host_has_export<S: HostSide>(this: *const (), export: u32) -> bool {
    core_guarded(|| {
        // SAFETY: as above.
        unsafe { borrow::<S>(this) }.has_export(export)
    })
}
unsafe extern "C" fn host_spawn<S: HostSide>(this: *const (), future: FfiFuture<Answer>) -> u64 {
    core_guarded(|| {
        // SAFETY: as above.
        unsafe { borrow::<S>(this) }.spawn(future)
    })
}
unsafe extern "C" fn host_abort<S: HostSide>(this: *const (), task: u64) {
    core_guarded(|| {
        // SAFETY: as above.
        unsafe { borrow::<S>(this) }.abort(task);
    })
}
unsafe extern "C" fn host_sleep<S: HostSide>(this: *const (), microseconds: u64) -> FfiFuture<Answer> {
    core_guarded(|| {
        // SAFETY: as above.
        let sleep = unsafe { borrow::<S>(this) }.sleep(microseconds);
        empty(sleep)
    })
}
unsafe extern "C" fn host_cancelled<S: HostSide>(this: *const ()) -> FfiFuture<Answer> {
    core_guarded(|| {
        // SAFETY: as above.
        let cancelled = unsafe { borrow::<S>(this) }.cancelled();
        empty(cancelled)
    })
}
fn empty(future: impl Future<Output = ()> + Send + 'static) -> FfiFuture<Answer> {
    core_future(async move {
        future.await;
        Answer::ok(Vec::new())
    })
}
unsafe extern "C" fn host_wait_for<S: HostSide>(this: *const (), other: Slice, why: Slice, edge: *mut u64) -> Answer {
    core_guarded(|| {
        // SAFETY: as above.
        let (side, other, why) = unsafe { (borrow::<S>(this), other.text(), why.text()) };
        match side.wait_for(&other, &why) {
            Ok(number) => {
                // SAFETY: the caller gave a place for one number.
                unsafe { edge.write(number) };
                Answer::ok(Vec::new())
            }
            Err(sentence) => Answer::error(sentence),
        }
    })
}
unsafe extern "C" fn host_wait_end<S: HostSide>(this: *const (), edge: u64) {
    core_guarded(|| {
        // SAFETY: as above.
        unsafe { borrow::<S>(this) }.wait_end(edge);
    })
}
unsafe extern "C" fn host_log<S: HostSide>(this: *const (), level: u32, target: Slice, message: Slice) {
    core_guarded(|| {
        // SAFETY: as above.
        let (side, target, message) = unsafe { (borrow::<S>(this), target.text(), message.text()) };
        side.log(level, &target, &message);
    })
}
unsafe extern "C" fn host_metric<S: HostSide>(this: *const (), name: Slice, kind: u32, value: f64) {
    core_guarded(|| {
        // SAFETY: as above.
        let (side, name) = unsafe { (borrow::<S>(this), name.text()) };
        side.metric(&name, kind, value);
    })
}
unsafe extern "C" fn host_data_folder<S: HostSide>(this: *const ()) -> Answer {
    core_guarded(|| {
        // SAFETY: as above.
        answer_of(unsafe { borrow::<S>(this) }.data_folder().map(String::into_bytes))
    })
}
unsafe extern "C" fn host_service<S: HostSide>(this: *const (), id: Slice, minimum_minor: u32) -> *const () {
    core_guarded(|| {
        // SAFETY: as above.
        let (side, id) = unsafe { (borrow::<S>(this), id.text()) };
        if !side.offers(&id, minimum_minor) {
            return std::ptr::null();
        }
        match id.as_str() {
            SERVICE_CHAIN => std::ptr::from_ref(HostTables::<S>::CHAIN).cast(),
            SERVICE_LIFECYCLE => std::ptr::from_ref(HostTables::<S>::LIFECYCLE).cast(),
            SERVICE_MESSAGES => std::ptr::from_ref(HostTables::<S>::MESSAGES).cast(),
            SERVICE_RECORD => std::ptr::from_ref(HostTables::<S>::NOTES).cast(),
            SERVICE_CHILDREN => std::ptr::from_ref(HostTables::<S>::CHILDREN).cast(),
            _ => std::ptr::null(),
        }
    })
}
unsafe extern "C" fn host_chain_newest<S: HostSide>(this: *const (), most: u64) -> FfiFuture<Answer> {
    core_guarded(|| {
        // SAFETY: as above.
        core_future(unsafe { borrow::<S>(this) }.chain_newest(most))
    })
}
unsafe extern "C" fn host_note<S: HostSide>(this: *const (), what: Slice, data: Slice) -> Answer {
    core_guarded(|| {
        // SAFETY: as above.
        let (side, what, data) = unsafe { (borrow::<S>(this), what.text(), data.get()) };
        answer_of(side.note(&what, data).map(|()| Vec::new()))
    })
}
unsafe extern "C" fn host_shutdown<S: HostSide>(this: *const (), some: bool, data: Slice) -> Answer {
    core_guarded(|| {
        // SAFETY: as above.
        let (side, data) = unsafe { (borrow::<S>(this), data.get()) };
        answer_of(side.shutdown(some.then(|| data.to_vec())).map(|()| Vec::new()))
    })
}

/// # Safety
/// The slices and the context (unless null) must live for `'a`.
unsafe fn message<'a>(export: u32, params: Slice, source: &'a str, context: *const CallContext) -> Message<'a> {
    // SAFETY: by the contract of this function.
    unsafe { Message { export, params: params.get(), source, from: context.as_ref() } }
}
unsafe extern "C" fn host_find<S: HostSide>(this: *const (), wanted: Slice) -> Answer {
    core_guarded(|| {
        // SAFETY: as above.
        let (side, wanted) = unsafe { (borrow::<S>(this), wanted.text()) };
        answer_of(side.find(&wanted).map(String::into_bytes))
    })
}
unsafe extern "C" fn host_call_from<S: HostSide>(
    this: *const (),
    export: u32,
    params: Slice,
    source: Slice,
    context: *const CallContext,
) -> FfiFuture<Answer> {
    core_guarded(|| {
        // SAFETY: as above.
        core_future(unsafe { borrow::<S>(this).call_from(message(export, params, &source.text(), context)) })
    })
}
unsafe extern "C" fn host_post<S: HostSide>(
    this: *const (),
    export: u32,
    params: Slice,
    source: Slice,
    context: *const CallContext,
    first: bool,
) -> FfiFuture<Answer> {
    core_guarded(|| {
        // SAFETY: as above.
        core_future(unsafe { borrow::<S>(this).post(message(export, params, &source.text(), context), first) })
    })
}
unsafe extern "C" fn host_stage<S: HostSide>(
    this: *const (),
    export: u32,
    params: Slice,
    source: Slice,
    context: *const CallContext,
    otherwise: Slice,
) -> FfiFuture<Answer> {
    core_guarded(|| {
        // SAFETY: as above.
        core_future(unsafe {
            borrow::<S>(this).stage(message(export, params, &source.text(), context), otherwise.get())
        })
    })
}
fn told(future: impl Future<Output = Result<Vec<u8>, String>> + Send + 'static) -> FfiFuture<Answer> {
    core_future(async move { answer_of(future.await) })
}
/// # Safety
/// The slice must live for the call.
unsafe fn given(some: bool, state: Slice) -> Option<Vec<u8>> {
    // SAFETY: by the contract of this function.
    some.then(|| unsafe { state.get() }.to_vec())
}
unsafe extern "C" fn host_spawn_child<S: HostSide>(
    this: *const (),
    manifest: Slice,
    some: bool,
    state: Slice,
) -> FfiFuture<Answer> {
    core_guarded(|| {
        // SAFETY: as above.
        let (side, manifest, state) = unsafe { (borrow::<S>(this), manifest.text(), given(some, state)) };
        let child = side.spawn_child(manifest, state);
        told(async move { child.await.map(String::into_bytes) })
    })
}
unsafe extern "C" fn host_resume_child<S: HostSide>(
    this: *const (),
    manifest: Slice,
    some: bool,
    state: Slice,
) -> FfiFuture<Answer> {
    core_guarded(|| {
        // SAFETY: as above.
        let (side, manifest, state) = unsafe { (borrow::<S>(this), manifest.text(), given(some, state)) };
        let child = side.resume_child(manifest, state);
        told(async move { child.await.map(String::into_bytes) })
    })
}
unsafe extern "C" fn host_restart_child<S: HostSide>(
    this: *const (),
    child: Slice,
    only_held: bool,
) -> FfiFuture<Answer> {
    core_guarded(|| {
        // SAFETY: as above.
        let restarted = unsafe { borrow::<S>(this).restart_child(child.text(), only_held) };
        told(async move { restarted.await.map(|()| Vec::new()) })
    })
}
unsafe extern "C" fn host_stop_child<S: HostSide>(this: *const (), child: Slice) -> FfiFuture<Answer> {
    core_guarded(|| {
        // SAFETY: as above.
        let stopped = unsafe { borrow::<S>(this).stop_child(child.text()) };
        told(async move { stopped.await.map(|()| Vec::new()) })
    })
}
unsafe extern "C" fn host_release_child<S: HostSide>(this: *const (), child: Slice) -> Answer {
    core_guarded(|| {
        // SAFETY: as above.
        answer_of(unsafe { borrow::<S>(this).release_child(&child.text()) }.map(|()| Vec::new()))
    })
}
unsafe extern "C" fn host_children<S: HostSide>(this: *const ()) -> Answer {
    core_guarded(|| {
        // SAFETY: as above.
        encoded(&unsafe { borrow::<S>(this) }.children())
    })
}
unsafe extern "C" fn host_child_state<S: HostSide>(this: *const (), actor: Slice) -> Answer {
    core_guarded(|| {
        // SAFETY: as above.
        match unsafe { borrow::<S>(this).child_state(&actor.text()) } {
            Ok(state) => encoded(&state),
            Err(sentence) => Answer::error(sentence),
        }
    })
}
unsafe extern "C" fn host_child_events<S: HostSide>(this: *const (), actor: Slice) -> FfiFuture<Answer> {
    core_guarded(|| {
        // SAFETY: as above.
        let events = unsafe { borrow::<S>(this).child_events(actor.text()) };
        core_future(async move { events.await.map_or_else(Answer::error, |events| encoded(&events)) })
    })
}
unsafe extern "C" fn host_next_end<S: HostSide>(this: *const ()) -> FfiFuture<Answer> {
    core_guarded(|| {
        // SAFETY: as above.
        let end = unsafe { borrow::<S>(this) }.next_end();
        core_future(async move { end.await.map_or_else(Answer::error, |end| encoded(&end)) })
    })
}
unsafe extern "C" fn host_fail<S: HostSide>(this: *const (), reason: Slice) {
    core_guarded(|| {
        // SAFETY: as above.
        unsafe { borrow::<S>(this).fail(reason.text()) }
    })
}

/// A handler the core holds: released once, when it and the futures of its calls are gone.
pub struct OwnedHandler {
    object: HandlerObject,
    life: Arc<HandlerLifetime>,
}

struct HandlerLifetime(HandlerObject);

impl Drop for HandlerLifetime {
    fn drop(&mut self) {
        // SAFETY: the one call of release; OwnedHandler::release forgets the HandlerLifetime that it takes.
        drop(unsafe { self.0.table.release()(self.0.data) });
    }
}

impl OwnedHandler {
    /// Takes over a handler that `attach` gave.
    #[must_use]
    pub fn new(handler: HandlerObject) -> Self {
        Self { object: handler, life: Arc::new(HandlerLifetime(handler)) }
    }

    /// The handler, to call.
    #[must_use]
    #[inline]
    pub fn get(&self) -> HandlerObject {
        self.object
    }

    /// Calls [`HandlerTable::call`].
    #[inline]
    pub fn call(
        &self,
        context: &HeldContext,
        function: u32,
        arguments: [&[u8]; 2],
        room: &mut [u8],
        answer: &mut Option<Answer>,
    ) -> Called<Waits> {
        // SAFETY: what waits holds the handler, and the context, which does not change while it is held.
        let called = unsafe { self.object.call(context.0.0.get(), function, arguments, room, answer) };
        match called {
            Called::OutBuffer(length) => Called::OutBuffer(length),
            Called::Elsewhere => Called::Elsewhere,
            Called::Waits(future) => {
                Called::Waits(Waits { future, _context: Arc::clone(&context.0), _life: Arc::clone(&self.life) })
            }
        }
    }

    /// Ends the handler; the answer tells of a panic in its `Drop`. While a future of its calls lives, it ends with that
    /// one, and nobody is told: the core drops those first.
    #[must_use]
    pub fn release(self) -> Answer {
        match Arc::try_unwrap(self.life) {
            Ok(life) => {
                let HandlerLifetime(handler) = *std::mem::ManuallyDrop::new(life);
                // SAFETY: the one call of release; HandlerLifetime is not dropped.
                unsafe { handler.table.release()(handler.data) }
            }
            Err(_) => Answer::ok(Vec::new()),
        }
    }
}

/// A call that waits.
pub struct Waits {
    // Dropped before what it looks at.
    future: FfiFuture<Answer>,
    _context: Arc<Fixed>,
    _life: Arc<HandlerLifetime>,
}

impl Future for Waits {
    type Output = Answer;
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answer> {
        Pin::new(&mut self.future).poll(context)
    }
}

/// The context of a running call, which calls that wait look at as long as they do.
pub struct HeldContext(Arc<Fixed>);

/// A context that stays where it is while somebody looks at it.
struct Fixed(UnsafeCell<CallContext>);

// SAFETY: changed by HeldContext::change only, while nobody else holds it.
unsafe impl Sync for Fixed {}

impl HeldContext {
    /// Holds a context.
    #[must_use]
    pub fn new(context: CallContext) -> Self {
        Self(Arc::new(Fixed(UnsafeCell::new(context))))
    }

    /// The context.
    #[must_use]
    #[inline]
    pub fn get(&self) -> &CallContext {
        // SAFETY: changes need &mut self.
        unsafe { &*self.0.0.get() }
    }

    /// The context, to change: a copy, if a call that waits looks at it.
    #[inline]
    pub fn change(&mut self) -> &mut CallContext {
        if Arc::strong_count(&self.0) > 1 {
            *self = Self::new(*self.get());
        }
        // Whoever let go of it did so before.
        fence(Ordering::Acquire);
        // SAFETY: nobody else holds it: weak counts are never made, and clones only in OwnedHandler::call.
        unsafe { &mut *self.0.0.get() }
    }
}

/// Opens a plugin file and calls its `init`.
#[cfg(feature = "loading")]
pub mod loading {
    use std::path::Path;

    use abi_stable::library::{LibraryError, lib_header_from_path};

    use super::{Answer, EntryRef, HostObject, OK, PluginObject};

    /// Holds the copies of async-std that plugins bring along to one thread each: call it first thing in `main`.
    ///
    /// Nothing is changed once the process has a second thread, since that one may be reading the environment.
    pub fn hold_plugin_executors() {
        let threads = std::fs::read_dir("/proc/self/task").map_or(usize::MAX, Iterator::count);
        if threads == 1 {
            // SAFETY: this is the only thread, so nobody reads the environment at the same time.
            unsafe { std::env::set_var("ASYNC_STD_THREAD_COUNT", "1") };
        }
    }

    /// Keeps the number of open files that this process was started with where plugins find it that start programs
    /// (`THEATER_OPEN_FILES`): call it before the limit is raised, as [`hold_plugin_executors`].
    pub fn keep_open_files_limit(soft: u64) {
        let threads = std::fs::read_dir("/proc/self/task").map_or(usize::MAX, Iterator::count);
        if threads == 1 {
            // SAFETY: this is the only thread, so nobody reads the environment at the same time.
            unsafe { std::env::set_var("THEATER_OPEN_FILES", soft.to_string()) };
        }
    }

    /// Why a plugin file did not become a plugin.
    #[derive(Debug)]
    #[non_exhaustive]
    pub enum LoadError {
        /// The system's loader did not open it; its words.
        Open(String),
        /// The library does not export the root module of this ABI.
        NoEntry(String),
        /// The tables are laid out otherwise than this core's.
        Layout(String),
        /// `init` refused; its sentence.
        Init(String),
        /// `init` panicked; the panic's message.
        InitPanicked(String),
    }

    /// Opens the library (it is never closed) and makes its plugin.
    ///
    /// # Errors
    /// One of [`LoadError`]'s cases.
    pub fn load(file: &Path, host: HostObject) -> Result<PluginObject, LoadError> {
        // SAFETY: running a plugin's initialisers is what loading a plugin is; plugins are trusted native code.
        let library = unsafe { libloading::Library::new(file) }.map_err(|error| {
            // The loader's own words are in the source.
            let words = std::error::Error::source(&error).map(ToString::to_string);
            LoadError::Open(words.unwrap_or_else(|| error.to_string()))
        })?;
        std::mem::forget(library);
        let entry =
            lib_header_from_path(file).and_then(|header| header.init_root_module::<EntryRef>()).map_err(|error| {
                match error {
                    LibraryError::OpenError { err, .. } => LoadError::Open(err.to_string()),
                    LibraryError::GetSymbolError { .. } | LibraryError::InvalidAbiHeader(_) => {
                        LoadError::NoEntry(error.to_string())
                    }
                    other => LoadError::Layout(other.to_string()),
                }
            })?;
        let mut out = std::mem::MaybeUninit::<PluginObject>::uninit();
        // SAFETY: the layout was checked; out is a place for one object.
        let answer: Answer = unsafe { entry.init()(host, out.as_mut_ptr()) };
        match answer.status {
            // SAFETY: init fills the place when it answers OK.
            OK => Ok(unsafe { out.assume_init() }),
            super::ERROR => Err(LoadError::Init(answer.sentence())),
            _ => Err(LoadError::InitPanicked(answer.sentence())),
        }
    }
}

#[doc(hidden)]
pub mod __root {
    //! What `bindings!` needs to export the root module.
    pub use abi_stable::library::{__call_root_module_loader, CheckTypeLayout, LibHeader, RootModuleResult};

    use super::{Dispatch, EntryRef, Plugin};

    /// The header static of plugin `P`.
    #[must_use]
    pub const fn header<P: Plugin>() -> LibHeader
    where
        P::Handler: Dispatch,
    {
        extern "C" fn loader<P: Plugin>() -> RootModuleResult
        where
            P::Handler: Dispatch,
        {
            __call_root_module_loader(super::entry::<P>)
        }
        // SAFETY: loader is an extern "C" function without unwinding that gives the module of the type named.
        unsafe { LibHeader::from_constructor::<EntryRef>(loader::<P>, CheckTypeLayout::Yes) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::task::Waker;

    use super::*;

    #[test]
    fn a_panic_of_the_core_below_a_plugins_call_is_an_answer() {
        static TOLD: std::sync::Mutex<Vec<String>> = std::sync::Mutex::new(Vec::new());
        report_core_panics_to(|sentence| TOLD.lock().unwrap().push(sentence.to_owned()));
        let answer = core_guarded(|| -> Answer { panic!("a fault of the core") });
        assert!(
            answer.status == ERROR && answer.sentence().starts_with("[P0113] the core panicked: a fault of the core")
        );
        let future = core_guarded(|| -> FfiFuture<Answer> { panic!("before it waits") });
        let waits = core_future(async {
            if std::hint::black_box(true) {
                panic!("while it waits");
            }
            Answer::ok(Vec::new())
        });
        for future in [future, waits] {
            let mut future = future;
            let polled = Pin::new(&mut future).poll(&mut Context::from_waker(Waker::noop()));
            let Poll::Ready(answer) = polled else { panic!("it waits") };
            assert!(answer.status == ERROR && answer.sentence().contains("the core panicked"));
        }
        core_guarded(|| -> () { panic!("nothing to answer") });
        assert!(core_guarded(|| -> *const () { panic!("no pointer") }).is_null());
        assert_eq!(TOLD.lock().unwrap().len(), 5);
    }

    struct Never;

    impl Plugin for Never {
        type Handler = Once;
        fn init(_: Host) -> Result<Self, String> {
            Err("nobody makes this plugin".to_owned())
        }
        async fn attach(&self, _: Host, _: Attachment) -> Result<Once, String> {
            Err("nobody attaches it".to_owned())
        }
    }

    /// Says whether it still lives.
    struct Once(Arc<AtomicBool>);

    impl Drop for Once {
        fn drop(&mut self) {
            self.0.store(false, Ordering::Relaxed);
        }
    }

    impl Handler for Once {}

    impl Dispatch for Once {
        fn dispatch_sync(&self, call: &Call, _: u32, _: Reader<'_>, place: &mut ResultBuffer<'_>) {
            place.give(&call.context().host_call);
        }
        /// Waits once, then tells what the context says.
        fn dispatch<'a>(
            &'a self,
            call: &'a Call,
            _: u32,
            _: Reader<'_>,
            place: &mut ResultBuffer<'_>,
        ) -> Option<crate::Pending<'a>> {
            let mut waited = false;
            let later = std::future::poll_fn(move |_| {
                if std::mem::replace(&mut waited, true) {
                    assert!(self.0.load(Ordering::Relaxed));
                    Poll::Ready(call.context().host_call)
                } else {
                    Poll::Pending
                }
            });
            crate::result_buffer::begin(later, place, |value, place| place.give(&value))
        }
        fn function_name(_: u32) -> &'static str {
            "a:b/c/later"
        }
    }

    fn handler(lives: &Arc<AtomicBool>) -> OwnedHandler {
        let data = Arc::into_raw(Arc::new(Once(Arc::clone(lives)))).cast();
        OwnedHandler::new(HandlerObject { data, table: Tables::<Never>::handler() })
    }

    fn context(host_call: u64) -> HeldContext {
        HeldContext::new(CallContext { host_call, ..CallContext::default() })
    }

    fn waiting(handler: &OwnedHandler, context: &HeldContext) -> Waits {
        match handler.call(context, 0, [&[], &[]], &mut [], &mut None) {
            Called::Waits(waits) => waits,
            _ => panic!("it waits"),
        }
    }

    fn ended(mut waits: Waits) -> u64 {
        match Pin::new(&mut waits).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answer) => crate::encoding::decode(&answer.bytes).unwrap(),
            Poll::Pending => panic!("it has waited once"),
        }
    }

    #[test]
    fn a_call_that_waits_keeps_its_context_and_its_handler() {
        let lives = Arc::new(AtomicBool::new(true));
        let (handler, mut context) = (handler(&lives), context(7));
        let waits = waiting(&handler, &context);
        context.change().host_call = 8;
        let second = waiting(&handler, &context);
        drop(context);
        assert_eq!(handler.release().status, OK);
        assert!(lives.load(Ordering::Relaxed), "two futures look at it");
        assert_eq!(ended(waits), 7);
        assert_eq!(std::thread::spawn(move || ended(second)).join().unwrap(), 8);
        assert!(!lives.load(Ordering::Relaxed), "nobody looks at it any more");
    }

    #[test]
    fn a_context_that_nobody_looks_at_changes_where_it_is() {
        let lives = Arc::new(AtomicBool::new(true));
        let (handler, mut context) = (handler(&lives), context(1));
        let place = std::ptr::from_ref(context.get());
        drop(waiting(&handler, &context));
        context.change().host_call += 1;
        assert!(std::ptr::eq(place, context.get()));
        let waits = waiting(&handler, &context);
        context.change().host_call += 1;
        assert!(!std::ptr::eq(place, context.get()));
        assert_eq!((ended(waits), context.get().host_call), (2, 3));
    }

    #[test]
    fn a_handler_without_calls_ends_when_it_is_released_or_dropped() {
        for release in [true, false] {
            let lives = Arc::new(AtomicBool::new(true));
            let handler = handler(&lives);
            if release {
                assert_eq!(handler.release().status, OK);
            } else {
                drop(handler);
            }
            assert!(!lives.load(Ordering::Relaxed));
        }
    }
}
