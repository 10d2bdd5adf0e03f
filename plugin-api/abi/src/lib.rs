<<<<<<< HEAD
//! The frozen tables of the plugin ABI: the types that cross between the core and a plugin's shared library.
//!
//! This is a separate crate because `abi_stable` compares the version of the crate that defines a type. The version of
//! this crate is that of the ABI: it changes only with the ABI major, whatever release of the project it ships in. For
//! versioning, threads, and which side calls which function, see `theater_plugin_api::abi`.
//!
//! Every object is an opaque pointer and a table of `extern "C"` functions. Bytes go in as [`Slice`], borrowed for the
//! call, and come out as [`Buffer`], owned and released by the receiver. A short result of a function is written to an
//! [`OutBuffer`] that the caller provides. A program in C can fill the same tables.
=======
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
>>>>>>> wt-api

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
/// The callee rejected the call or failed without a fault; `bytes` is a message in UTF-8.
pub const ERROR: u32 = 1;
/// The callee panicked and the panic was caught; `bytes` is its message.
pub const PANIC: u32 = 2;
/// The call into an actor trapped, was interrupted or timed out; `bytes` says which.
pub const TRAP: u32 = 3;
/// The actor is stopping or has ended; `bytes` says why.
pub const GONE: u32 = 4;
/// The actor has no such export.
pub const ABSENT: u32 = 5;
<<<<<<< HEAD
/// Bit in the function number of [`HandlerTable::recover`]: the number is that of an export that the plugin calls, not
/// of a function that it provides.
=======
/// A bit in the function number of [`HandlerTable::recover`]: the number is that of an export that the plugin calls,
/// not of a function that it provides.
>>>>>>> wt-api
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

<<<<<<< HEAD
/// Memory that the caller of a function provides for the result, valid for the duration of the call.
=======
/// Memory of the caller for the result of a function, valid for the duration of the call.
>>>>>>> wt-api
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
<<<<<<< HEAD
    /// The buffer must have been made from bytes that live as long as `'a` and that nothing else accesses meanwhile.
=======
    /// The buffer must have been created from bytes that live for `'a` and that no one else accesses during `'a`.
>>>>>>> wt-api
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
<<<<<<< HEAD
// Passed by pointer: on x86-64, structs after the sixth argument word are copied through the stack in pieces, which
// defeats the CPU's store forwarding.
=======
// Passed by pointer: on x86-64, structs after the sixth word of arguments are copied through the stack, in pieces that
// the CPU's store buffer does not forward.
>>>>>>> wt-api
#[repr(C)]
#[derive(StableAbi)]
pub struct CallArgs {
    /// The encoded arguments.
    pub arguments: Slice,
<<<<<<< HEAD
    /// Continues `arguments`: empty, or the whole content of the `list<u8>` or string at their end.
=======
    /// The bytes after `arguments`: empty, or the whole content of the `list<u8>` or string that the arguments end
    /// with.
>>>>>>> wt-api
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

<<<<<<< HEAD
/// Returned by a handler's function when the result is not in the caller's buffer: `answer` is filled instead.
pub const ELSEWHERE: u32 = u32::MAX;
/// Returned by an `async` function that has not completed: `future` is filled.
pub const WAITS: u32 = u32::MAX - 1;

/// Bytes that one side allocated and the other side owns. They are released through a function of the side that
/// allocated them, and so with its allocator. A capacity of 0 means that there is nothing to release.
=======
/// Returned by a function of a handler whose result is not in the buffer: it has written an answer.
pub const ELSEWHERE: u32 = u32::MAX;
/// Returned by an `async` function of a handler that has not ended: it has written a future.
pub const WAITS: u32 = u32::MAX - 1;

/// Bytes that one side allocated and the other owns. They are released through a function of the side that allocated
/// them, because the two may use different allocators. With a capacity of 0, there is nothing to release.
>>>>>>> wt-api
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
<<<<<<< HEAD
    // Every call allocates and releases an answer, so the buffer released last on this thread is reused for the next
    // one.
    static SPARE: std::cell::Cell<Vec<u8>> = const { std::cell::Cell::new(Vec::new()) };
}

/// Size in bytes of the largest buffer that is kept for reuse.
const SPARE_BYTES: usize = 256 * 1024;

/// Returns an empty vector, which reuses the memory of an answer released on this thread if there is one.
=======
    // Every call has an answer: the last buffer that was released on this thread is reused for the next one.
    static SPARE: std::cell::Cell<Vec<u8>> = const { std::cell::Cell::new(Vec::new()) };
}

/// Capacity in bytes of the largest buffer that is kept for reuse.
const SPARE_BYTES: usize = 256 * 1024;

/// An empty vector, if possible with the memory of the last answer that was released on this thread.
>>>>>>> wt-api
#[must_use]
pub fn spare() -> Vec<u8> {
    SPARE.try_with(std::cell::Cell::take).unwrap_or_default()
}

unsafe extern "C" fn release_vec(ptr: *mut u8, len: usize, capacity: usize) {
<<<<<<< HEAD
    // SAFETY: called once, from Buffer::drop, with the parts that From<Vec<u8>> of this same library took from a
    // vector.
    let mut bytes = unsafe { Vec::from_raw_parts(ptr, len, capacity) };
    if capacity <= SPARE_BYTES {
        bytes.clear();
        // Fails only while the thread is ending; the memory is freed then.
=======
    // SAFETY: called once, from Buffer::drop, with the parts that From<Vec<u8>> took from a vector in this same
    // library.
    let mut bytes = unsafe { Vec::from_raw_parts(ptr, len, capacity) };
    if capacity <= SPARE_BYTES {
        bytes.clear();
        // Fails if the thread is ending: the vector is then freed.
>>>>>>> wt-api
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
<<<<<<< HEAD
        // SAFETY: ptr and len describe an allocation that lives until release.
=======
        // SAFETY: ptr and len are parts of an allocation that lives until release.
>>>>>>> wt-api
        unsafe { std::slice::from_raw_parts(self.ptr, self.len) }
    }
}

impl Drop for Buffer {
    #[inline]
    fn drop(&mut self) {
        if self.capacity > 0 {
<<<<<<< HEAD
            // SAFETY: the only call of release, with the parts that came with it.
=======
            // SAFETY: the only call of release, with the parts that it was created with.
>>>>>>> wt-api
            unsafe { (self.release)(self.ptr, self.len, self.capacity) }
        }
    }
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "b\"{}\"", self.escape_ascii())
    }
}

<<<<<<< HEAD
/// The result of a call: a status ([`OK`], [`ERROR`], [`PANIC`], [`TRAP`], [`GONE`], [`ABSENT`]) and bytes. A status
/// that the receiver does not know counts as [`PANIC`].
=======
/// The outcome of a call: a status ([`OK`], [`ERROR`], [`PANIC`], [`TRAP`], [`GONE`], [`ABSENT`]) and bytes. An unknown
/// status counts as [`PANIC`].
>>>>>>> wt-api
#[repr(C)]
#[derive(Debug, StableAbi)]
pub struct Answer {
    /// One of the constants above.
    pub status: u32,
    /// The encoded result, or a message.
    pub bytes: Buffer,
<<<<<<< HEAD
    /// Continues `bytes`: the content of the `list<u8>` at the end of a result, handed over without a copy. Empty if
    /// not used.
=======
    /// The bytes after `bytes`: the content of the `list<u8>` that a result ends with, handed over instead of copied.
    /// Otherwise empty.
>>>>>>> wt-api
    pub tail: Buffer,
}

impl Answer {
    /// A result that is already encoded.
    #[must_use]
    pub fn ok(bytes: Vec<u8>) -> Self {
        Self::ok_with_tail(bytes, Vec::new())
    }

<<<<<<< HEAD
    /// A result whose encoding is `bytes` followed by `tail`. All of `tail` is the content of one `list<u8>`.
=======
    /// A result whose encoding is `bytes` followed by `tail`; the whole of `tail` is the content of one `list<u8>`.
>>>>>>> wt-api
    #[must_use]
    pub fn ok_with_tail(bytes: Vec<u8>, tail: Vec<u8>) -> Self {
        Self { status: OK, bytes: bytes.into(), tail: tail.into() }
    }

<<<<<<< HEAD
    /// A rejection or failure, with a message.
=======
    /// An ordinary failure.
>>>>>>> wt-api
    #[must_use]
    pub fn error(sentence: impl Into<String>) -> Self {
        Self::with(ERROR, sentence)
    }

    /// Any status with a message.
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

<<<<<<< HEAD
/// Identifies the caller and the cause of a call. Valid for the duration of the call it is passed to; for
/// [`HandlerTable::call`], until the future is dropped.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, StableAbi)]
pub struct CallContext {
    /// The calling actor's id: the 16 bytes of a UUID.
    pub actor: [u8; 16],
    /// Sequence number of the `queued` event of the running handler call. Together with `actor` it identifies the call.
    pub call: u64,
    /// Number of host calls that this handler call made before this one.
    pub host_call: u64,
    /// The actor whose event caused the call; all zero if the cause is outside.
    pub cause_actor: [u8; 16],
    /// The sequence number of that event.
    pub cause_sequence: u64,
    /// Deadline of the call in milliseconds since the Unix epoch by the wall clock; 0 for none.
    pub deadline_ms: u64,
    /// Id shared by all calls that result from one outside event.
    pub trace: [u8; 16],
    /// 1 if the actor is being stopped: waits should end.
=======
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
>>>>>>> wt-api
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

<<<<<<< HEAD
/// A plugin in this process: created by `Entry::init`, never released (libraries are never unloaded).
#[repr(C)]
#[derive(Clone, Copy, StableAbi)]
pub struct PluginObject {
    /// Private to the side that created the object; passed to every function of the table.
=======
/// A plugin of this process: created by `Entry::init` and never released, because libraries are never unloaded.
#[repr(C)]
#[derive(Clone, Copy, StableAbi)]
pub struct PluginObject {
    /// Opaque data of the side that created the object; passed to every function of the table.
>>>>>>> wt-api
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
<<<<<<< HEAD
    /// Creates the handler of one actor. Called once per `[[handlers]]` entry and start of the actor (again at each
    /// restart), after `created` is recorded and before the actor's `init`. `config` and `ceiling` are JSON.
=======
    /// Creates the handler of one actor. Called for each `[[handlers]]` entry each time the actor starts or restarts,
    /// after `created` is recorded and before the actor's `init`. `config` and `ceiling` are JSON.
>>>>>>> wt-api
    pub attach: unsafe extern "C" fn(
        this: *const (),
        host: HostObject,
        handler_type: Slice,
        config: Slice,
        ceiling: Slice,
    ) -> FfiFuture<Attached>,
<<<<<<< HEAD
    /// Returns the part of `requested` (a JSON config) that `ceiling` (JSON) allows, as JSON. Pure. Called when an
    /// actor starts with a combination of manifest and ceiling that is new to the core, and by `theater validate`.
    pub narrow: unsafe extern "C" fn(this: *const (), handler_type: Slice, ceiling: Slice, requested: Slice) -> Answer,
    /// Reads the content that a URL with one of the descriptor's `schemes` refers to. `actor` is the id of the actor
    /// whose manifest, or whose child's manifest, contains the URL. `ceiling` (JSON) bounds what that actor may read.
    /// For an operator `actor` is empty, and `ceiling` is null or the operator's own ceiling.
=======
    /// The part of `requested` (JSON config) that `ceiling` (JSON) allows, as JSON. Pure. Called when an actor starts
    /// with a new combination of manifest and ceiling, and for `theater validate`.
    pub narrow: unsafe extern "C" fn(this: *const (), handler_type: Slice, ceiling: Slice, requested: Slice) -> Answer,
    /// Reads the data that a URL with one of the descriptor's `schemes` names. `actor` is the id of the actor that
    /// starts a child with this URL in its manifest, and `ceiling` (JSON) its permissions. For an operator, `actor` is
    /// empty and `ceiling` is null or the operator's own.
>>>>>>> wt-api
    pub resolve: unsafe extern "C" fn(this: *const (), url: Slice, actor: Slice, ceiling: Slice) -> FfiFuture<Answer>,
    /// Runs one of the descriptor's `commands` for an operator. Arguments and result are JSON.
    pub command: unsafe extern "C" fn(this: *const (), name: Slice, arguments: Slice) -> FfiFuture<Answer>,
<<<<<<< HEAD
    /// Returns the frozen table of a service that was added later, by its id, or null.
=======
    /// The table of a service, or null: additions to the ABI are frozen tables that are requested by name.
>>>>>>> wt-api
    #[sabi(last_prefix_field)]
    pub service: unsafe extern "C" fn(this: *const (), id: Slice, minimum_minor: u32) -> *const (),
}

<<<<<<< HEAD
/// The result of `attach`: the handler, if the answer's status is OK.
=======
/// The result of `attach`: the handler, if the status of the answer is OK.
>>>>>>> wt-api
#[repr(C)]
#[derive(StableAbi)]
pub struct Attached {
    /// Whether there is a handler, and the reason if not.
    pub answer: Answer,
<<<<<<< HEAD
    /// The handler. Its data is null if the status is not OK.
    pub handler: HandlerObject,
}

/// A handler: an instance of a plugin for one actor.
#[repr(C)]
#[derive(Clone, Copy, StableAbi)]
pub struct HandlerObject {
    /// Private to the side that created the object; passed to every function of the table.
=======
    /// The handler; its data is null if the status is not OK.
    pub handler: HandlerObject,
}

/// A handler: the part of a plugin that serves one actor.
#[repr(C)]
#[derive(Clone, Copy, StableAbi)]
pub struct HandlerObject {
    /// Opaque data of the side that created the object; passed to every function of the table.
>>>>>>> wt-api
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
<<<<<<< HEAD
    /// Calls function number `function` of the descriptor, which is not `async`, on the thread that runs the guest.
    ///
    /// `context` and `ask` are valid until this returns. A result ([`OK`]) may be written to the buffer in `ask`; then
    /// its length is returned. Otherwise `answer` is filled and [`ELSEWHERE`] returned. Any other value is a fault of
    /// the plugin.
=======
    /// Calls function number `function` of the descriptor, which is not `async`. Runs on the thread that runs the
    /// guest.
    ///
    /// `context` and `ask` live until this returns. The function either writes a result ([`OK`]) to `ask.room` and
    /// returns its length, or writes `answer` and returns [`ELSEWHERE`]. Any other number is an error of the plugin.
>>>>>>> wt-api
    pub call_sync: unsafe extern "C" fn(
        this: *const (),
        context: *const CallContext,
        function: u32,
        ask: *const CallArgs,
        answer: *mut Answer,
    ) -> u32,
<<<<<<< HEAD
    /// Starts function number `function`, which is `async`, and polls it once. If it completes, this returns as
    /// `call_sync` does. Otherwise `future` is filled and [`WAITS`] returned; the core polls the future at once, since
    /// the first poll registered no waker of the core.
    ///
    /// `ask` is valid only until this returns. `context` and the handler outlive the future: the core changes the one
    /// and releases the other only after it has dropped the future, on completion or when the call is interrupted.
=======
    /// Starts function number `function`, which is `async`, and polls it once. If it has ended, it returns like
    /// `call_sync`. Otherwise it writes `future` and returns [`WAITS`]; the core polls the future at once, because the
    /// first poll had no waker. `ask` does not live until the future ends, but `context` and the handler do: the core
    /// changes the context and releases the handler only after it has dropped the future, at its end or when the call
    /// is interrupted.
>>>>>>> wt-api
    pub call: unsafe extern "C" fn(
        this: *const (),
        context: *const CallContext,
        function: u32,
        ask: *const CallArgs,
        answer: *mut Answer,
        future: *mut FfiFuture<Answer>,
    ) -> u32,
<<<<<<< HEAD
    /// The actor is ready: from now on calls into it are accepted. Called once per attach. The result is the encoded
    /// `list<string>` of the addresses that the handler listens on.
    pub started: unsafe extern "C" fn(this: *const (), resumed: bool) -> FfiFuture<Answer>,
    /// The actor makes no more calls. Called once per attach, before `release`, which follows after this future is
    /// dropped.
    pub stopped: unsafe extern "C" fn(this: *const ()) -> FfiFuture<Answer>,
    /// Returns what a snapshot needs to restore this handler.
    pub export_state: unsafe extern "C" fn(this: *const ()) -> Answer,
    /// Restores what `export_state` returned. Called before `started(resumed = true)`.
    pub import_state: unsafe extern "C" fn(this: *const (), state: Slice) -> Answer,
    /// Replays a recorded call from after the snapshot: the handler rebuilds the state that the call left, but repeats
    /// no effect. With the bit [`EXPORT`] in `function`, the call is one of an export, by its number in the
    /// descriptor's `calls`. `result` is then an `option<result>`: none if the call has not ended, ok with the values
    /// after the state, or an empty error for any end other than `ok`.
    pub recover: unsafe extern "C" fn(this: *const (), function: u32, arguments: Slice, result: Slice) -> Answer,
    /// Returns the frozen table of a service that was added later, by its id, or null.
=======
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
>>>>>>> wt-api
    pub service: unsafe extern "C" fn(this: *const (), id: Slice, minimum_minor: u32) -> *const (),
    /// Releases the handler. No function of the table is called afterwards.
    #[sabi(last_prefix_field)]
    pub release: unsafe extern "C" fn(this: *const ()) -> Answer,
}

<<<<<<< HEAD
/// The core's functions for a plugin: one object for the whole plugin (at `init`), and one per actor (at `attach`).
#[repr(C)]
#[derive(StableAbi)]
pub struct HostObject {
    /// Private to the side that created the object; passed to every function of the table.
=======
/// The core, as a plugin calls it: one object for the plugin (passed to `init`) and one per actor (passed to `attach`).
#[repr(C)]
#[derive(StableAbi)]
pub struct HostObject {
    /// Opaque data of the side that created the object; passed to every function of the table.
>>>>>>> wt-api
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
<<<<<<< HEAD
        // SAFETY: releases the one reference that this object owns.
=======
        // SAFETY: releases the one count that this object owns.
>>>>>>> wt-api
        unsafe { self.table.release()(self.data) }
    }
}

<<<<<<< HEAD
/// Functions of a host. `this` is `HostObject::data`. Everything started through an actor's host ends with the actor.
=======
/// Functions of a host. `this` is `HostObject::data`. Calls and futures that an actor's host starts end with the actor.
>>>>>>> wt-api
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = HostTableRef, prefix_fields = HostTablePrefix)))]
#[sabi(missing_field(panic))]
pub struct HostTable {
    /// Adds an owner of `this`.
    pub retain: unsafe extern "C" fn(this: *const ()),
    /// Removes an owner of `this`.
    pub release: unsafe extern "C" fn(this: *const ()),
<<<<<<< HEAD
    /// Describes this host as JSON: `{"plugin", "actor", "name", "handler"}`. `actor` is empty for the host of the
    /// plugin.
    pub about: unsafe extern "C" fn(this: *const ()) -> Answer,
    /// Queues a call of export number `export` of the descriptor's `calls`. The future yields the encoded values
    /// after the state. `cause` describes where the call came from. Dropping the future does not cancel the call.
    pub call: unsafe extern "C" fn(this: *const (), export: u32, params: Slice, cause: Slice) -> FfiFuture<Answer>,
    /// Whether the actor has export number `export`.
    pub has_export: unsafe extern "C" fn(this: *const (), export: u32) -> bool,
    /// Runs a future on the core's executor. The returned number identifies it for `abort`.
    pub spawn: unsafe extern "C" fn(this: *const (), future: FfiFuture<Answer>) -> u64,
    /// Drops a spawned future. Does nothing if it has completed.
    pub abort: unsafe extern "C" fn(this: *const (), task: u64),
    /// Completes after this many microseconds.
=======
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
>>>>>>> wt-api
    pub sleep: unsafe extern "C" fn(this: *const (), microseconds: u64) -> FfiFuture<Answer>,
    /// Completes when the actor (or the plugin) is being stopped.
    pub cancelled: unsafe extern "C" fn(this: *const ()) -> FfiFuture<Answer>,
<<<<<<< HEAD
    /// Adds the edge "this actor waits for `other`" to the wait graph; the error shows the cycle that it would close.
    /// `edge` is filled if the status is OK.
=======
    /// Adds the edge "this actor waits for `other`" to the wait graph. An error contains the cycle that it would close.
    /// Writes `edge` if the status is OK.
>>>>>>> wt-api
    pub wait_for: unsafe extern "C" fn(this: *const (), other: Slice, why: Slice, edge: *mut u64) -> Answer,
    /// Removes an edge from the wait graph.
    pub wait_end: unsafe extern "C" fn(this: *const (), edge: u64),
<<<<<<< HEAD
    /// Writes a log line. `level` is 1 (error) to 5 (trace). The `target` `actor` is the actor's own log stream.
=======
    /// Logs a message. `level` is 1 (error) to 5 (trace). The `target` `actor` is the actor's own log stream.
>>>>>>> wt-api
    pub log: unsafe extern "C" fn(this: *const (), level: u32, target: Slice, message: Slice),
    /// Adds `value` to a metric of this plugin (`kind` 0), or sets it (`kind` 1).
    pub metric: unsafe extern "C" fn(this: *const (), name: Slice, kind: u32, value: f64),
<<<<<<< HEAD
    /// Path of the folder of this plugin (or of this plugin and actor) below the data folder. Created at the first
    /// call.
    pub data_folder: unsafe extern "C" fn(this: *const ()) -> Answer,
    /// Returns the frozen table of a service that was added later, by its id, or null. Its functions take this host's
    /// `this`.
=======
    /// Path of the folder of this plugin, or of this plugin and actor, in the data folder. Created at the first call.
    pub data_folder: unsafe extern "C" fn(this: *const ()) -> Answer,
    /// The table of a service, whose functions take this host's `this`, or null: additions to the ABI are frozen tables
    /// that are requested by name.
>>>>>>> wt-api
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
<<<<<<< HEAD
            // SAFETY: data belongs to the table; slices live for the call (as in the functions below).
=======
            // SAFETY: data belongs to the table; slices live for the call. The same holds for all calls below.
>>>>>>> wt-api
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

<<<<<<< HEAD
/// How a call of a handler's function returned.
pub enum Called<F = std::convert::Infallible> {
    /// With a result of this many bytes, in the caller's buffer.
    OutBuffer(usize),
    /// With an answer, in the memory provided for it.
    Elsewhere,
    /// With a future: the function has not completed.
    Waits(F),
}

/// The answer for a plugin that violates the ABI.
=======
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
>>>>>>> wt-api
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
<<<<<<< HEAD
        // SAFETY: data belongs to the table until release; context and ask live for the call (as in the functions
        // below), and elsewhere is memory for an answer.
=======
        // SAFETY: data belongs to the table until release; context and ask live for the call, and elsewhere is memory
        // for an answer. The same holds for all calls below.
>>>>>>> wt-api
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
<<<<<<< HEAD
    /// handler must not be released, and the context must be neither moved nor changed.
=======
    /// handler must not be released, and the context must stay at its address, unchanged.
>>>>>>> wt-api
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

<<<<<<< HEAD
/// Proves at compile time that the frozen tables are `StableAbi`.
=======
/// Checks at compile time that the frozen tables are `StableAbi`.
>>>>>>> wt-api
const _: fn() = || {
    fn stable<T: StableAbi>() {}
    stable::<PluginObject>();
    stable::<HandlerObject>();
    stable::<HostObject>();
    stable::<abi_stable::prefix_type::PrefixRef<HostTablePrefix>>();
};
