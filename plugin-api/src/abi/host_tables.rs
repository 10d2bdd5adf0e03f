//! The core's side of the ABI: the tables of a host and of its services, filled from a [`HostSide`].
//!
//! `this` is an `Arc<S>` that [`host_object`] turned into a pointer; the plugin holds a count for as long as it calls.
//! Slices live for the duration of a call, so the functions copy what a future needs. Every function runs under the
//! core's guard: a panic of the core becomes an error answer, or `false`, 0 or null where there is no answer, because
//! unwinding into the plugin would abort the process. An unknown service id, or a higher minor than the core offers, is
//! answered with null.

use std::future::Future;
use std::sync::Arc;

use abi_stable::prefix_type::WithMetadata;
use async_ffi::FfiFuture;
use theater_plugin_abi::{Answer, CallContext, HostObject, HostTable, HostTableRef, Slice};

use crate::abi::core_guard::{core_future, core_guarded};
use crate::abi::host_side::{HostSide, Message};
use crate::abi::pointers::borrow;
use crate::result_buffer::{answer_of, encoded};
use crate::service::{
    ChainService, ChildrenService, LifecycleService, MessagesService, RecordService, SERVICE_CHAIN, SERVICE_CHILDREN,
    SERVICE_LIFECYCLE, SERVICE_MESSAGES, SERVICE_RECORD,
};

/// The tables for hosts of type `S`.
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
    const RECORD: &'static RecordService = &RecordService { note: host_note::<S> };
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

/// Creates a host object for `side`; the object owns one count.
pub fn host_object<S: HostSide>(side: Arc<S>) -> HostObject {
    HostObject { data: Arc::into_raw(side).cast(), table: HostTableRef(HostTables::<S>::HOST.static_as_prefix()) }
}

unsafe extern "C" fn host_retain<S: HostSide>(this: *const ()) {
    core_guarded(|| {
        // SAFETY: this came from Arc::into_raw in host_object, and the caller owns a count. The same holds for all
        // functions below.
        unsafe { Arc::increment_strong_count(this.cast::<S>()) }
    })
}
unsafe extern "C" fn host_release<S: HostSide>(this: *const ()) {
    core_guarded(|| {
        // SAFETY: releases a count that the caller owned.
        unsafe { Arc::decrement_strong_count(this.cast::<S>()) }
    })
}
unsafe extern "C" fn host_about<S: HostSide>(this: *const ()) -> Answer {
    core_guarded(|| {
        // SAFETY: as in host_retain; slices live for the call. The same holds for all functions below.
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
        unit_future(sleep)
    })
}
unsafe extern "C" fn host_cancelled<S: HostSide>(this: *const ()) -> FfiFuture<Answer> {
    core_guarded(|| {
        // SAFETY: as above.
        let cancelled = unsafe { borrow::<S>(this) }.cancelled();
        unit_future(cancelled)
    })
}
fn unit_future(future: impl Future<Output = ()> + Send + 'static) -> FfiFuture<Answer> {
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
                // SAFETY: the caller passed a pointer to a number.
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
            SERVICE_RECORD => std::ptr::from_ref(HostTables::<S>::RECORD).cast(),
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

/// The call that the arguments describe.
///
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
fn result_future(future: impl Future<Output = Result<Vec<u8>, String>> + Send + 'static) -> FfiFuture<Answer> {
    core_future(async move { answer_of(future.await) })
}
/// The state passed to a child's `init`, if there is one.
///
/// # Safety
/// The slice must live for the call.
unsafe fn initial_state(some: bool, state: Slice) -> Option<Vec<u8>> {
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
        let (side, manifest, state) = unsafe { (borrow::<S>(this), manifest.text(), initial_state(some, state)) };
        let child = side.spawn_child(manifest, state);
        result_future(async move { child.await.map(String::into_bytes) })
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
        let (side, manifest, state) = unsafe { (borrow::<S>(this), manifest.text(), initial_state(some, state)) };
        let child = side.resume_child(manifest, state);
        result_future(async move { child.await.map(String::into_bytes) })
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
        result_future(async move { restarted.await.map(|()| Vec::new()) })
    })
}
unsafe extern "C" fn host_stop_child<S: HostSide>(this: *const (), child: Slice) -> FfiFuture<Answer> {
    core_guarded(|| {
        // SAFETY: as above.
        let stopped = unsafe { borrow::<S>(this).stop_child(child.text()) };
        result_future(async move { stopped.await.map(|()| Vec::new()) })
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
