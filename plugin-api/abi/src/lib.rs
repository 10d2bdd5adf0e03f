//! The frozen tables of the plugin ABI, which the core and a plugin's shared library call each other through.
//!
//! This is a separate crate because `abi_stable` compares the version of the crate that defines a type: its version is
//! that of the ABI and changes only with the ABI major, independently of the project's releases.
//!
//! **Ownership**: every object is an opaque pointer and a table of `extern "C"` functions, which a program in C can
//! fill as well. Bytes go in as [`Slice`], borrowed for the duration of the call, and come out as [`Buffer`], which the
//! receiver owns and releases through a function of the library that allocated it. A short result is written to an
//! [`OutBuffer`] of the caller. **Threads**: every function may be called on any thread, and none may block.
//! **Panics**: none unwinds across the ABI; it is an [`Answer`] with the status [`PANIC`]. **Versions**: no table ever
//! gets another field within a major version; additions are services that are requested by name. **Failure cases**:
//! each function's outcome is the status of its [`Answer`]; a receiver treats an unknown status as [`PANIC`], and a
//! length that the ABI does not allow as an error of the other side. `theater_plugin_api::abi` describes all of this in
//! more detail.

use std::mem::MaybeUninit;

use abi_stable::StableAbi;
use abi_stable::library::RootModule;
use abi_stable::sabi_types::VersionStrings;
use async_ffi::FfiFuture;

/// Major version of the ABI: a plugin of another major is refused.
pub const ABI_MAJOR: u16 = 1;
/// Minor version of the ABI: the number of additions (services, descriptor keys) since `ABI_MAJOR.0`.
pub const ABI_MINOR: u16 = 0;

/// The call succeeded; `bytes` is the encoded result.
pub const OK: u32 = 0;
/// The callee refused or failed in an ordinary way; `bytes` is a sentence in UTF-8.
pub const ERROR: u32 = 1;
/// The callee panicked and the panic was caught; `bytes` is its message.
pub const PANIC: u32 = 2;
/// The call into an actor trapped, was interrupted or timed out; `bytes` says which.
pub const TRAP: u32 = 3;
/// The actor is stopping or has ended; `bytes` says why.
pub const GONE: u32 = 4;
/// The actor has no such export.
pub const ABSENT: u32 = 5;
/// A bit in the function number of [`HandlerTable::recover`]: the number is that of an export that the plugin calls,
/// not of a function that it provides.
pub const EXPORT: u32 = 1 << 31;

/// Bytes borrowed for the duration of a call.
#[repr(C)]
#[derive(Clone, Copy, StableAbi)]
pub struct Slice {
    ptr: *const u8,
    len: usize,
}

impl From<&[u8]> for Slice {
    fn from(bytes: &[u8]) -> Self {
        Self { ptr: bytes.as_ptr(), len: bytes.len() }
    }
}

impl From<&str> for Slice {
    fn from(text: &str) -> Self {
        text.as_bytes().into()
    }
}

impl Slice {
    /// The bytes.
    ///
    /// # Safety
    /// The slice must have been created from bytes that live for `'a`.
    #[must_use]
    pub unsafe fn get<'a>(self) -> &'a [u8] {
        if self.len == 0 {
            return &[];
        }
        // SAFETY: by the contract of this function ptr and len describe bytes that live for 'a.
        unsafe { std::slice::from_raw_parts(self.ptr, self.len) }
    }

    /// The bytes as text.
    ///
    /// # Safety
    /// As [`Slice::get`].
    #[must_use]
    pub unsafe fn text(self) -> String {
        // SAFETY: by the contract of this function.
        String::from_utf8_lossy(unsafe { self.get() }).into_owned()
    }
}

/// Memory of the caller for the result of a function, valid for the duration of the call.
#[repr(C)]
#[derive(StableAbi)]
pub struct OutBuffer {
    ptr: *mut u8,
    len: usize,
}

impl From<&mut [u8]> for OutBuffer {
    #[inline]
    fn from(bytes: &mut [u8]) -> Self {
        Self { ptr: bytes.as_mut_ptr(), len: bytes.len() }
    }
}

impl OutBuffer {
    /// The memory.
    ///
    /// # Safety
    /// The buffer must have been created from bytes that live for `'a` and that no one else accesses during `'a`.
    #[must_use]
    #[inline]
    pub unsafe fn get<'a>(&self) -> &'a mut [u8] {
        if self.len == 0 {
            return &mut [];
        }
        // SAFETY: by the contract of this function.
        unsafe { std::slice::from_raw_parts_mut(self.ptr, self.len) }
    }
}

/// The arguments of a handler's function, valid for the duration of the call.
// Passed by pointer: on x86-64, structs after the sixth word of arguments are copied through the stack, in pieces that
// the CPU's store buffer does not forward.
#[repr(C)]
#[derive(StableAbi)]
pub struct CallArgs {
    /// The encoded arguments.
    pub arguments: Slice,
    /// The bytes after `arguments`: empty, or the whole content of the `list<u8>` or string that the arguments end
    /// with.
    pub tail: Slice,
    /// Memory for the result.
    pub room: OutBuffer,
}

impl CallArgs {
    /// Arguments in two parts, and memory for the result.
    #[inline]
    #[must_use]
    pub fn new([arguments, tail]: [&[u8]; 2], room: &mut [u8]) -> Self {
        Self { arguments: arguments.into(), tail: tail.into(), room: room.into() }
    }
}

/// Returned by a function of a handler whose result is not in the buffer: it has written an answer.
pub const ELSEWHERE: u32 = u32::MAX;
/// Returned by an `async` function of a handler that has not ended: it has written a future.
pub const WAITS: u32 = u32::MAX - 1;

/// Bytes that one side allocated and the other owns. They are released through a function of the side that allocated
/// them, because the two may use different allocators. With a capacity of 0, there is nothing to release.
#[repr(C)]
#[derive(StableAbi)]
pub struct Buffer {
    ptr: *mut u8,
    len: usize,
    capacity: usize,
    release: unsafe extern "C" fn(*mut u8, usize, usize),
}

// SAFETY: a buffer is a uniquely owned allocation; its release function may be called on any thread (ABI rule).
unsafe impl Send for Buffer {}
// SAFETY: shared access only reads the bytes.
unsafe impl Sync for Buffer {}

thread_local! {
    // Every call has an answer: the last buffer that was released on this thread is reused for the next one.
    static SPARE: std::cell::Cell<Vec<u8>> = const { std::cell::Cell::new(Vec::new()) };
}

/// Capacity in bytes of the largest buffer that is kept for reuse.
const SPARE_BYTES: usize = 256 * 1024;

/// An empty vector, if possible with the memory of the last answer that was released on this thread.
#[must_use]
pub fn spare() -> Vec<u8> {
    SPARE.try_with(std::cell::Cell::take).unwrap_or_default()
}

unsafe extern "C" fn release_vec(ptr: *mut u8, len: usize, capacity: usize) {
    // SAFETY: called once, from Buffer::drop, with the parts that From<Vec<u8>> took from a vector in this same
    // library.
    let mut bytes = unsafe { Vec::from_raw_parts(ptr, len, capacity) };
    if capacity <= SPARE_BYTES {
        bytes.clear();
        // Fails if the thread is ending: the vector is then freed.
        SPARE.try_with(|spare| spare.set(bytes)).unwrap_or_default();
    }
}

impl From<Vec<u8>> for Buffer {
    #[inline]
    fn from(bytes: Vec<u8>) -> Self {
        let mut bytes = std::mem::ManuallyDrop::new(bytes);
        Self { ptr: bytes.as_mut_ptr(), len: bytes.len(), capacity: bytes.capacity(), release: release_vec }
    }
}

impl std::ops::Deref for Buffer {
    type Target = [u8];
    #[inline]
    fn deref(&self) -> &[u8] {
        if self.len == 0 {
            return &[];
        }
        // SAFETY: ptr and len are parts of an allocation that lives until release.
        unsafe { std::slice::from_raw_parts(self.ptr, self.len) }
    }
}

impl Drop for Buffer {
    #[inline]
    fn drop(&mut self) {
        if self.capacity > 0 {
            // SAFETY: the only call of release, with the parts that it was created with.
            unsafe { (self.release)(self.ptr, self.len, self.capacity) }
        }
    }
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "b\"{}\"", self.escape_ascii())
    }
}

/// The outcome of a call: a status ([`OK`], [`ERROR`], [`PANIC`], [`TRAP`], [`GONE`], [`ABSENT`]) and bytes. An unknown
/// status counts as [`PANIC`].
#[repr(C)]
#[derive(Debug, StableAbi)]
pub struct Answer {
    /// One of the constants above.
    pub status: u32,
    /// The encoded result, or a sentence.
    pub bytes: Buffer,
    /// The bytes after `bytes`: the content of the `list<u8>` that a result ends with, handed over instead of copied.
    /// Otherwise empty.
    pub tail: Buffer,
}

impl Answer {
    /// A result, already encoded.
    #[must_use]
    pub fn ok(bytes: Vec<u8>) -> Self {
        Self::ok_with_tail(bytes, Vec::new())
    }

    /// A result whose encoding is `bytes` followed by `tail`; the whole of `tail` is the content of one `list<u8>`.
    #[must_use]
    pub fn ok_with_tail(bytes: Vec<u8>, tail: Vec<u8>) -> Self {
        Self { status: OK, bytes: bytes.into(), tail: tail.into() }
    }

    /// An ordinary failure.
    #[must_use]
    pub fn error(sentence: impl Into<String>) -> Self {
        Self::with(ERROR, sentence)
    }

    /// Any status with a sentence.
    #[must_use]
    pub fn with(status: u32, sentence: impl Into<String>) -> Self {
        Self { status, bytes: sentence.into().into_bytes().into(), tail: Vec::new().into() }
    }

    /// The bytes as text.
    #[must_use]
    pub fn sentence(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

/// The calling actor and the cause of the call. Valid for the duration of the call that it is passed to, and for
/// [`HandlerTable::call`] until the returned future has been dropped.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, StableAbi)]
pub struct CallContext {
    /// The id of the calling actor: the 16 bytes of a UUID.
    pub actor: [u8; 16],
    /// Sequence number of the `queued` event of the running handler call; identifies the call together with `actor`.
    pub call: u64,
    /// The number of host calls that this handler call made before this one.
    pub host_call: u64,
    /// The actor whose event caused the call; all zero for a call from outside.
    pub cause_actor: [u8; 16],
    /// The sequence number of that event.
    pub cause_sequence: u64,
    /// Deadline of the call in milliseconds since the epoch (wall clock), 0 for none.
    pub deadline_ms: u64,
    /// An id that all calls caused by the same event from outside share.
    pub trace: [u8; 16],
    /// 1 if the actor is being stopped: functions should stop waiting.
    pub cancelled: u32,
    /// Always zero in this major.
    pub reserved: u32,
}

/// The root module: one per library.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = EntryRef, prefix_fields = EntryPrefix)))]
#[sabi(missing_field(panic))]
pub struct Entry {
    /// Initialises the plugin. Called once per process, before anything else, on the thread that starts the first actor
    /// with the plugin. Writes `out` if the status is OK.
    #[sabi(last_prefix_field)]
    pub init: unsafe extern "C" fn(host: HostObject, out: *mut PluginObject) -> Answer,
}

impl RootModule for EntryRef {
    abi_stable::declare_root_module_statics! {EntryRef}
    const BASE_NAME: &'static str = "theater_plugin";
    const NAME: &'static str = "theater_plugin";
    const VERSION_STRINGS: VersionStrings = VersionStrings::new("1.0.0");
}

/// A plugin of this process: created by `Entry::init` and never released, because libraries are never unloaded.
#[repr(C)]
#[derive(Clone, Copy, StableAbi)]
pub struct PluginObject {
    /// Opaque data of the side that created the object; passed to every function of the table.
    pub data: *const (),
    /// The functions.
    pub table: PluginTableRef,
}

// SAFETY: the ABI demands that every function of the table may be called on any thread.
unsafe impl Send for PluginObject {}
// SAFETY: as above.
unsafe impl Sync for PluginObject {}

/// Functions of a plugin. `this` is `PluginObject::data`.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = PluginTableRef, prefix_fields = PluginTablePrefix)))]
#[sabi(missing_field(panic))]
pub struct PluginTable {
    /// Creates the handler of one actor. Called for each `[[handlers]]` entry each time the actor starts or restarts,
    /// after `created` is recorded and before the actor's `init`. `config` and `ceiling` are JSON.
    pub attach: unsafe extern "C" fn(
        this: *const (),
        host: HostObject,
        handler_type: Slice,
        config: Slice,
        ceiling: Slice,
    ) -> FfiFuture<Attached>,
    /// The part of `requested` (JSON config) that `ceiling` (JSON) allows, as JSON. Pure. Called when an actor starts
    /// with a new combination of manifest and ceiling, and for `theater validate`.
    pub narrow: unsafe extern "C" fn(this: *const (), handler_type: Slice, ceiling: Slice, requested: Slice) -> Answer,
    /// Reads the data that a URL with one of the descriptor's `schemes` names. `actor` is the id of the actor that
    /// starts a child with this URL in its manifest, and `ceiling` (JSON) its permissions. For an operator, `actor` is
    /// empty and `ceiling` is null or the operator's own.
    pub resolve: unsafe extern "C" fn(this: *const (), url: Slice, actor: Slice, ceiling: Slice) -> FfiFuture<Answer>,
    /// Runs an operator's command of the descriptor's `commands`; arguments and result are JSON.
    pub command: unsafe extern "C" fn(this: *const (), name: Slice, arguments: Slice) -> FfiFuture<Answer>,
    /// The table of a service, or null: additions to the ABI are frozen tables that are requested by name.
    #[sabi(last_prefix_field)]
    pub service: unsafe extern "C" fn(this: *const (), id: Slice, minimum_minor: u32) -> *const (),
}

/// The result of `attach`: the handler, if the status of the answer is OK.
#[repr(C)]
#[derive(StableAbi)]
pub struct Attached {
    /// Whether there is a handler, and the reason if not.
    pub answer: Answer,
    /// The handler; its data is null if the status is not OK.
    pub handler: HandlerObject,
}

/// A handler: the part of a plugin that serves one actor.
#[repr(C)]
#[derive(Clone, Copy, StableAbi)]
pub struct HandlerObject {
    /// Opaque data of the side that created the object; passed to every function of the table.
    pub data: *const (),
    /// The functions.
    pub table: HandlerTableRef,
}

// SAFETY: the ABI demands that every function of the table may be called on any thread.
unsafe impl Send for HandlerObject {}
// SAFETY: as above.
unsafe impl Sync for HandlerObject {}

/// Functions of a handler. `this` is `HandlerObject::data`.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = HandlerTableRef, prefix_fields = HandlerTablePrefix)))]
#[sabi(missing_field(panic))]
pub struct HandlerTable {
    /// Calls function number `function` of the descriptor, which is not `async`. Runs on the thread that runs the
    /// guest.
    ///
    /// `context` and `ask` live until this returns. The function either writes a result ([`OK`]) to `ask.room` and
    /// returns its length, or writes `answer` and returns [`ELSEWHERE`]. Any other number is an error of the plugin.
    pub call_sync: unsafe extern "C" fn(
        this: *const (),
        context: *const CallContext,
        function: u32,
        ask: *const CallArgs,
        answer: *mut Answer,
    ) -> u32,
    /// Starts function number `function`, which is `async`, and polls it once. If it has ended, it returns like
    /// `call_sync`. Otherwise it writes `future` and returns [`WAITS`]; the core polls the future at once, because the
    /// first poll had no waker. `ask` does not live until the future ends, but `context` and the handler do: the core
    /// changes the context and releases the handler only after it has dropped the future, at its end or when the call
    /// is interrupted.
    pub call: unsafe extern "C" fn(
        this: *const (),
        context: *const CallContext,
        function: u32,
        ask: *const CallArgs,
        answer: *mut Answer,
        future: *mut FfiFuture<Answer>,
    ) -> u32,
    /// The actor is ready and accepts calls. Called once per attach. The result is the encoded `list<string>` of the
    /// addresses that the handler listens on.
    pub started: unsafe extern "C" fn(this: *const (), resumed: bool) -> FfiFuture<Answer>,
    /// The actor makes no more calls. Called once per attach. The core drops the returned future before it calls
    /// `release`.
    pub stopped: unsafe extern "C" fn(this: *const ()) -> FfiFuture<Answer>,
    /// The state that a snapshot stores to restore this handler.
    pub export_state: unsafe extern "C" fn(this: *const ()) -> Answer,
    /// Restores the state that `export_state` returned. Called before `started(resumed = true)`.
    pub import_state: unsafe extern "C" fn(this: *const (), state: Slice) -> Answer,
    /// Rebuilds the handler's state from a call that was recorded after the snapshot, without repeating an effect. If
    /// the number contains [`EXPORT`], it is a call of an export, by its number in the descriptor's `calls`. Its result
    /// is then `option<result<(values after the state), ()>>`: none if the call has not returned, an error if it did
    /// not return `ok`.
    pub recover: unsafe extern "C" fn(this: *const (), function: u32, arguments: Slice, result: Slice) -> Answer,
    /// The table of a service, or null: additions to the ABI are frozen tables that are requested by name.
    pub service: unsafe extern "C" fn(this: *const (), id: Slice, minimum_minor: u32) -> *const (),
    /// Releases the handler. No function of the table is called afterwards.
    #[sabi(last_prefix_field)]
    pub release: unsafe extern "C" fn(this: *const ()) -> Answer,
}

/// The core, as a plugin calls it: one object for the plugin (passed to `init`) and one per actor (passed to `attach`).
#[repr(C)]
#[derive(StableAbi)]
pub struct HostObject {
    /// Opaque data of the side that created the object; passed to every function of the table.
    pub data: *const (),
    /// The functions.
    pub table: HostTableRef,
}

// SAFETY: the ABI demands that every function of the table may be called on any thread.
unsafe impl Send for HostObject {}
// SAFETY: as above.
unsafe impl Sync for HostObject {}

impl Drop for HostObject {
    fn drop(&mut self) {
        // SAFETY: releases the one count that this object owns.
        unsafe { self.table.release()(self.data) }
    }
}

/// Functions of a host. `this` is `HostObject::data`. Calls and futures that an actor's host starts end with the actor.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = HostTableRef, prefix_fields = HostTablePrefix)))]
#[sabi(missing_field(panic))]
pub struct HostTable {
    /// Adds an owner of `this`.
    pub retain: unsafe extern "C" fn(this: *const ()),
    /// Removes an owner of `this`.
    pub release: unsafe extern "C" fn(this: *const ()),
    /// The plugin, actor and handler type that this host belongs to, as JSON: `{"plugin", "actor", "name", "handler"}`.
    /// `actor` is empty for the host of the plugin itself.
    pub about: unsafe extern "C" fn(this: *const ()) -> Answer,
    /// Queues a call of export number `export` of the descriptor's `calls`. The future ends with the encoded values
    /// after the state. `cause` is a sentence on the origin of the call. Dropping the future does not cancel the call.
    pub call: unsafe extern "C" fn(this: *const (), export: u32, params: Slice, cause: Slice) -> FfiFuture<Answer>,
    /// Whether the actor has export number `export`.
    pub has_export: unsafe extern "C" fn(this: *const (), export: u32) -> bool,
    /// Runs a future on the core's executor and returns its number, for `abort`.
    pub spawn: unsafe extern "C" fn(this: *const (), future: FfiFuture<Answer>) -> u64,
    /// Drops a spawned future. Does nothing if it has ended.
    pub abort: unsafe extern "C" fn(this: *const (), task: u64),
    /// Ends after the given number of microseconds.
    pub sleep: unsafe extern "C" fn(this: *const (), microseconds: u64) -> FfiFuture<Answer>,
    /// Ends when the actor (or the plugin) is being stopped.
    pub cancelled: unsafe extern "C" fn(this: *const ()) -> FfiFuture<Answer>,
    /// Adds the edge "this actor waits for `other`" to the wait graph. An error contains the cycle that it would close.
    /// Writes `edge` if the status is OK.
    pub wait_for: unsafe extern "C" fn(this: *const (), other: Slice, why: Slice, edge: *mut u64) -> Answer,
    /// Removes an edge from the wait graph.
    pub wait_end: unsafe extern "C" fn(this: *const (), edge: u64),
    /// Logs a message. `level` is 1 (error) to 5 (trace). The `target` `actor` is the actor's own log stream.
    pub log: unsafe extern "C" fn(this: *const (), level: u32, target: Slice, message: Slice),
    /// Adds to (`kind` 0) or sets (`kind` 1) a metric of this plugin.
    pub metric: unsafe extern "C" fn(this: *const (), name: Slice, kind: u32, value: f64),
    /// Path of the folder of this plugin, or of this plugin and actor, in the data folder. Created at the first call.
    pub data_folder: unsafe extern "C" fn(this: *const ()) -> Answer,
    /// The table of a service, whose functions take this host's `this`, or null: additions to the ABI are frozen tables
    /// that are requested by name.
    #[sabi(last_prefix_field)]
    pub service: unsafe extern "C" fn(this: *const (), id: Slice, minimum_minor: u32) -> *const (),
}

impl PluginObject {
    /// Calls [`PluginTable::attach`].
    pub async fn attach(
        self,
        host: HostObject,
        handler_type: &str,
        config: &str,
        ceiling: &str,
    ) -> Result<HandlerObject, Answer> {
        let attached = {
            // SAFETY: data belongs to the table; slices live for the call. The same holds for all calls below.
            unsafe { self.table.attach()(self.data, host, handler_type.into(), config.into(), ceiling.into()) }
        }
        .await;
        if attached.answer.status == OK { Ok(attached.handler) } else { Err(attached.answer) }
    }
    /// Calls [`PluginTable::narrow`].
    #[must_use]
    pub fn narrow(self, handler_type: &str, ceiling: &str, requested: &str) -> Answer {
        // SAFETY: as above.
        unsafe { self.table.narrow()(self.data, handler_type.into(), ceiling.into(), requested.into()) }
    }
    /// Calls [`PluginTable::resolve`].
    pub fn resolve(self, url: &str, actor: &str, ceiling: &str) -> FfiFuture<Answer> {
        // SAFETY: as above.
        unsafe { self.table.resolve()(self.data, url.into(), actor.into(), ceiling.into()) }
    }
    /// Calls [`PluginTable::command`].
    pub fn command(self, name: &str, arguments: &str) -> FfiFuture<Answer> {
        // SAFETY: as above.
        unsafe { self.table.command()(self.data, name.into(), arguments.into()) }
    }
}

/// The outcome of a call of a handler's function.
pub enum Called<F = std::convert::Infallible> {
    /// A result in the buffer: its length in bytes.
    OutBuffer(usize),
    /// An answer, which has been written.
    Elsewhere,
    /// The call has not ended.
    Waits(F),
}

/// The answer in place of a plugin's return value that violates the ABI.
#[cold]
fn broken(left: u32, room: usize) -> Answer {
    match left {
        WAITS => Answer::error("a function that is not async cannot wait"),
        length => {
            Answer::error(format!("the function returned a length of {length} bytes for a buffer of {room} bytes"))
        }
    }
}

impl HandlerObject {
    /// Calls [`HandlerTable::call_sync`].
    #[inline]
    pub fn call_sync(
        self,
        context: &CallContext,
        function: u32,
        arguments: [&[u8]; 2],
        room: &mut [u8],
        answer: &mut Option<Answer>,
    ) -> Called {
        let mut elsewhere = MaybeUninit::uninit();
        let (most, ask) = (room.len(), CallArgs::new(arguments, room));
        // SAFETY: data belongs to the table until release; context and ask live for the call, and elsewhere is memory
        // for an answer. The same holds for all calls below.
        let left =
            unsafe { self.table.call_sync()(self.data, context, function, &raw const ask, elsewhere.as_mut_ptr()) };
        if left as usize <= most {
            return Called::OutBuffer(left as usize);
        }
        *answer = Some(match left {
            // SAFETY: written by the contract of the function.
            ELSEWHERE => unsafe { elsewhere.assume_init() },
            other => broken(other, most),
        });
        Called::Elsewhere
    }
    /// Calls [`HandlerTable::call`].
    ///
    /// # Safety
    /// `context` must point to a context, and the handler must not have been released. Until the future is dropped, the
    /// handler must not be released, and the context must stay at its address, unchanged.
    #[inline]
    pub unsafe fn call(
        self,
        context: *const CallContext,
        function: u32,
        arguments: [&[u8]; 2],
        room: &mut [u8],
        answer: &mut Option<Answer>,
    ) -> Called<FfiFuture<Answer>> {
        let (mut elsewhere, mut future) = (MaybeUninit::uninit(), MaybeUninit::uninit());
        let (most, ask) = (room.len(), CallArgs::new(arguments, room));
        // SAFETY: as above, and by the contract of this function.
        let left = unsafe {
            let (answer, future) = (elsewhere.as_mut_ptr(), future.as_mut_ptr());
            self.table.call()(self.data, context, function, &raw const ask, answer, future)
        };
        if left as usize <= most {
            return Called::OutBuffer(left as usize);
        }
        *answer = Some(match left {
            // SAFETY: as above.
            WAITS => return Called::Waits(unsafe { future.assume_init() }),
            // SAFETY: as above.
            ELSEWHERE => unsafe { elsewhere.assume_init() },
            other => broken(other, most),
        });
        Called::Elsewhere
    }
    /// Calls [`HandlerTable::started`].
    pub fn started(self, resumed: bool) -> FfiFuture<Answer> {
        // SAFETY: as above.
        unsafe { self.table.started()(self.data, resumed) }
    }
    /// Calls [`HandlerTable::stopped`].
    pub fn stopped(self) -> FfiFuture<Answer> {
        // SAFETY: as above.
        unsafe { self.table.stopped()(self.data) }
    }
    /// Calls [`HandlerTable::export_state`].
    #[must_use]
    pub fn export_state(self) -> Answer {
        // SAFETY: as above.
        unsafe { self.table.export_state()(self.data) }
    }
    /// Calls [`HandlerTable::import_state`].
    #[must_use]
    pub fn import_state(self, state: &[u8]) -> Answer {
        // SAFETY: as above.
        unsafe { self.table.import_state()(self.data, state.into()) }
    }
    /// Calls [`HandlerTable::recover`].
    #[must_use]
    pub fn recover(self, function: u32, arguments: &[u8], result: &[u8]) -> Answer {
        // SAFETY: as above.
        unsafe { self.table.recover()(self.data, function, arguments.into(), result.into()) }
    }
}

/// Checks at compile time that the frozen tables are `StableAbi`.
const _: fn() = || {
    fn stable<T: StableAbi>() {}
    stable::<PluginObject>();
    stable::<HandlerObject>();
    stable::<HostObject>();
    stable::<abi_stable::prefix_type::PrefixRef<HostTablePrefix>>();
};
