//! The plugin's side of the ABI: its tables, filled from the author's traits.
//!
//! The functions of the tables turn pointers and slices into Rust values, call the author's method under the panic
//! guard and encode its result. `this` is an `Arc` that `init` or `attach` turned into a pointer. A future owns a share
//! of it where the ABI does not keep the object alive: only the futures of [`HandlerTable::call`] borrow the handler
//! and the context, and the core drops them before it releases the handler or changes the context.
//!
//! Failure cases: an error of the author's method is an answer with the status `ERROR` and its sentence, a panic one
//! with `PANIC` and its message. Nothing unwinds into the core.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use abi_stable::library::{__call_root_module_loader, CheckTypeLayout, LibHeader, RootModuleResult};
use abi_stable::prefix_type::WithMetadata;
use async_ffi::{FfiFuture, FutureExt};
use theater_encoding::Reader;
use theater_plugin_abi::{
    Answer, Attached, CallArgs, CallContext, EXPORT, Entry, EntryRef, HandlerObject, HandlerTable, HandlerTableRef,
    HostObject, PANIC, PluginObject, PluginTable, PluginTableRef, Slice, WAITS,
};

use crate::abi::host_handle::Host;
use crate::abi::plugin_guard::{caught, guarded, panicked};
use crate::abi::pointers::{borrow, share};
use crate::host_types::Level;
use crate::panic_guard::{self, Guarded};
use crate::plugin::{Attachment, Call, Dispatch, Handler, Plugin, Recovered};
use crate::result_buffer::{ResultBuffer, answer_of, encoded};
use crate::service::{RemovedService, SERVICE_REMOVED};

/// The tables of plugin `T` and of its handler.
pub(crate) struct Tables<T>(std::marker::PhantomData<T>);

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
    const REMOVED: &'static RemovedService = &RemovedService { forget: plugin_forget::<P> };
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

    pub(crate) fn handler() -> HandlerTableRef {
        HandlerTableRef(Self::HANDLER.static_as_prefix())
    }
}

unsafe extern "C" fn no_service(_: *const (), _: Slice, _: u32) -> *const () {
    std::ptr::null()
}

/// The root module of plugin `P`, which `bindings!` exports.
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
    let host = Host::from(host);
    let log = host.clone();
    panic_guard::report_drop_panics_to(move |sentence| log.raw_log(Level::Error as u32, "", sentence));
    match panic_guard::catch(|| P::init(host)) {
        Ok(Ok(plugin)) => {
            let data = Arc::into_raw(Arc::new(plugin)).cast();
            // SAFETY: the core passed a pointer to memory for one object.
            unsafe { out.write(PluginObject { data, table: Tables::<P>::plugin() }) };
            Answer::ok(Vec::new())
        }
        Ok(Err(sentence)) => Answer::error(sentence),
        Err(message) => Answer::with(PANIC, message),
    }
}

/// The root module header of plugin `P`.
#[must_use]
pub const fn header<P: Plugin>() -> LibHeader
where
    P::Handler: Dispatch,
{
    extern "C" fn loader<P: Plugin>() -> RootModuleResult
    where
        P::Handler: Dispatch,
    {
        __call_root_module_loader(entry::<P>)
    }
    // SAFETY: loader is an extern "C" function that does not unwind and returns a module of the type EntryRef.
    unsafe { LibHeader::from_constructor::<EntryRef>(loader::<P>, CheckTypeLayout::Yes) }
}

/// Parses JSON; no bytes are `null`.
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
    // SAFETY: the core passes the object's own data and slices that live for this call.
    let (plugin, handler_type, config, ceiling) =
        unsafe { (share::<P>(this), handler_type.text(), json(config.get()), json(ceiling.get())) };
    let attach = async move {
        let attachment = match (config, ceiling) {
            (Ok(config), Ok(ceiling)) => Attachment { handler_type, config, ceiling },
            (Err(error), _) | (_, Err(error)) => return refused(Answer::error(error)),
        };
        match plugin.attach(Host::from(host), attachment).await {
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
        return std::ptr::from_ref(Tables::<P>::REMOVED).cast();
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
    args: *const CallArgs,
    answer: *mut Answer,
) -> u32 {
    // SAFETY: the core passes the object's own data, and a context and arguments that live for this call. A Call has
    // the layout of a CallContext (repr(transparent)).
    let (handler, call, args) = unsafe { (borrow::<H>(this), &*context.cast::<Call>(), &*args) };
    // SAFETY: as above.
    let (arguments, room) = unsafe { (Reader::with_tail(args.arguments.get(), args.tail.get()), args.room.get()) };
    let mut result = ResultBuffer::new(room);
    if let Err(message) = panic_guard::catch(|| handler.dispatch_sync(call, function, arguments, &mut result)) {
        result.answer(panicked(message));
    }
    // SAFETY: the core passed a pointer to memory for one answer.
    result.end(|elsewhere| unsafe { answer.write(elsewhere) })
}

unsafe extern "C" fn handler_call<H: Dispatch>(
    this: *const (),
    context: *const CallContext,
    function: u32,
    args: *const CallArgs,
    answer: *mut Answer,
    future: *mut FfiFuture<Answer>,
) -> u32 {
    // SAFETY: as in handler_call_sync. Handler and context live until the core has dropped the future (ABI rule); the
    // future does not borrow the arguments, because dispatch has decoded them.
    let (handler, call, args) = unsafe { (borrow::<H>(this), &*context.cast::<Call>(), &*args) };
    // SAFETY: as above.
    let (arguments, room) = unsafe { (Reader::with_tail(args.arguments.get(), args.tail.get()), args.room.get()) };
    let mut result = ResultBuffer::new(room);
    // Most functions return at the first poll. They need no future across the ABI, no waker and only one guard.
    match panic_guard::catch(|| handler.dispatch(call, function, arguments, &mut result)) {
        Ok(None) => {}
        Ok(Some(pending)) => {
            // SAFETY: the core passed a pointer to memory for one future.
            unsafe { future.write(Guarded::new(pending, panicked).into_ffi()) };
            return WAITS;
        }
        Err(message) => result.answer(panicked(message)),
    }
    // SAFETY: the core passed a pointer to memory for one answer.
    result.end(|elsewhere| unsafe { answer.write(elsewhere) })
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
    // SAFETY: the core calls this once and last, after it has dropped the futures of calls; the futures of started and
    // stopped own a count.
    let handler = unsafe { Arc::from_raw(this.cast::<H>()) };
    panic_guard::catch(AssertUnwindSafe(|| drop(handler))).map_or_else(panicked, |()| Answer::ok(Vec::new()))
}
