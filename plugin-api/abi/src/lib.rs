//! The frozen tables of the plugin ABI: what crosses between the core and a plugin's shared library.
//!
//! A crate of its own, since `abi_stable` compares the version of the crate that defines a type: this one's version is the
//! ABI's and changes with the ABI major only, whatever release of the project it ships in. Versions, threads and who
//! calls what: `theater_plugin_api::abi`.
//!
//! Every object is an opaque pointer and a table of `extern "C"` functions. Bytes go in as [`Slice`] (borrowed for the
//! call) and come out as [`Buffer`] (owned, released by whoever holds it), a short result of a function in [`OutBuffer`] that its
//! caller gives. A program in C can fill the same tables.

use std::mem::MaybeUninit;

use abi_stable::StableAbi;
use abi_stable::library::RootModule;
use abi_stable::sabi_types::VersionStrings;
use async_ffi::FfiFuture;

/// Major version of the ABI: a plugin of another major is refused.
pub const ABI_MAJOR: u16 = 1;
/// Minor version of the ABI: counts the services and descriptor keys added since `ABI_MAJOR.0`.
pub const ABI_MINOR: u16 = 0;

/// The call did what it was asked; `bytes` is the encoded result.
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
/// In a number of [`HandlerTable::recover`]: an export that the plugin calls is meant, not a function that it has.
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
    /// The slice must have been made from bytes that live as long as `'a`.
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

/// Memory that the caller of a function gives for its result, valid for the duration of the call.
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
    /// The room must have been made from bytes that live as long as `'a`, and that nobody else uses as long.
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

/// What a function of a handler is called with, valid for the duration of the call.
// Passed by pointer: on x86-64 structs behind the sixth word of arguments are copied through the stack, in pieces that the
// CPU's store buffer does not forward.
#[repr(C)]
#[derive(StableAbi)]
pub struct CallArgs {
    /// The encoded arguments.
    pub arguments: Slice,
    /// What follows them: empty, or the whole content of the `list<u8>` or string that they end with.
    pub tail: Slice,
    /// OutBuffer for a result.
    pub room: OutBuffer,
}

impl CallArgs {
    /// Asks with arguments in two parts, and room for a result.
    #[inline]
    #[must_use]
    pub fn new([arguments, tail]: [&[u8]; 2], room: &mut [u8]) -> Self {
        Self { arguments: arguments.into(), tail: tail.into(), room: room.into() }
    }
}

/// What a function of a handler returns when its result is not in the room: the place for an answer is filled.
pub const ELSEWHERE: u32 = u32::MAX;
/// What an `async` function returns when it has not ended: the place for a future is filled.
pub const WAITS: u32 = u32::MAX - 1;

/// Bytes that one side made and the other holds: released through the maker's own function, with the maker's allocator.
/// A capacity of 0 is nothing to release.
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
    // Answers come and go with every call: the last released buffer of this thread serves the next one.
    static SPARE: std::cell::Cell<Vec<u8>> = const { std::cell::Cell::new(Vec::new()) };
}

/// Largest buffer that is kept for the next answer.
const SPARE_BYTES: usize = 256 * 1024;

/// An empty vector, with the memory of an answer that was released on this thread.
#[must_use]
pub fn spare() -> Vec<u8> {
    SPARE.try_with(std::cell::Cell::take).unwrap_or_default()
}

unsafe extern "C" fn release_vec(ptr: *mut u8, len: usize, capacity: usize) {
    // SAFETY: called once, from Buffer::drop, with the parts that From<Vec<u8>> took apart in this same library.
    let mut bytes = unsafe { Vec::from_raw_parts(ptr, len, capacity) };
    if capacity <= SPARE_BYTES {
        bytes.clear();
        // A thread that is ending keeps nothing.
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
        // SAFETY: the maker filled ptr and len from an allocation that lives until release.
        unsafe { std::slice::from_raw_parts(self.ptr, self.len) }
    }
}

impl Drop for Buffer {
    #[inline]
    fn drop(&mut self) {
        if self.capacity > 0 {
            // SAFETY: the one call of release, with the parts the maker gave.
            unsafe { (self.release)(self.ptr, self.len, self.capacity) }
        }
    }
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "b\"{}\"", self.escape_ascii())
    }
}

/// What a call gives back: a status ([`OK`], [`ERROR`], [`PANIC`], [`TRAP`], [`GONE`], [`ABSENT`]) and bytes. A status
/// the reader does not know counts as [`PANIC`].
#[repr(C)]
#[derive(Debug, StableAbi)]
pub struct Answer {
    /// One of the constants above.
    pub status: u32,
    /// The encoded result, or a sentence.
    pub bytes: Buffer,
    /// What follows `bytes`: the content of the `list<u8>` that a result ends with, handed over as its maker has it in
    /// place of a copy. Else empty.
    pub tail: Buffer,
}

impl Answer {
    /// A result, already encoded.
    #[must_use]
    pub fn ok(bytes: Vec<u8>) -> Self {
        Self::ok_with_tail(bytes, Vec::new())
    }

    /// A result whose encoding is `bytes` and `tail` in a row; the whole of `tail` is the content of one `list<u8>`.
    #[must_use]
    pub fn ok_with_tail(bytes: Vec<u8>, tail: Vec<u8>) -> Self {
        Self { status: OK, bytes: bytes.into(), tail: tail.into() }
    }

    /// A refusal or failure.
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

/// Who calls, and on whose behalf: valid for the duration of the call it is passed to, and for [`HandlerTable::call`] as
/// long as the future it gave.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, StableAbi)]
pub struct CallContext {
    /// The calling actor's id, a UUID's 16 bytes.
    pub actor: [u8; 16],
    /// Sequence of the `queued` event of the handler call that is running; with `actor` it names the call.
    pub call: u64,
    /// How many host calls this handler call made before this one.
    pub host_call: u64,
    /// The actor whose event caused the call; all zero when it came from outside.
    pub cause_actor: [u8; 16],
    /// The sequence of that event.
    pub cause_sequence: u64,
    /// Wall clock end of the call in ms since the epoch, 0 = none.
    pub deadline_ms: u64,
    /// Id shared by all calls that one outside event led to.
    pub trace: [u8; 16],
    /// 1 when the actor is being stopped: waits should end.
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
    /// Called once per process, before anything else, on the thread that starts the first actor with the
    /// plugin. `out` is filled when the status is OK.
    #[sabi(last_prefix_field)]
    pub init: unsafe extern "C" fn(host: HostObject, out: *mut PluginObject) -> Answer,
}

impl RootModule for EntryRef {
    abi_stable::declare_root_module_statics! {EntryRef}
    const BASE_NAME: &'static str = "theater_plugin";
    const NAME: &'static str = "theater_plugin";
    const VERSION_STRINGS: VersionStrings = VersionStrings::new("1.0.0");
}

/// A plugin of this process: made by `Entry::init`, never released (libraries are never unloaded).
#[repr(C)]
#[derive(Clone, Copy, StableAbi)]
pub struct PluginObject {
    /// The maker's own; passed to every function of the table.
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
    /// Makes the handler of one actor. Called once per `[[handlers]]` entry and start of the actor (a restart attaches
    /// anew), after `created` is recorded and before the actor's `init`. `config` and `ceiling` are JSON.
    pub attach: unsafe extern "C" fn(
        this: *const (),
        host: HostObject,
        handler_type: Slice,
        config: Slice,
        ceiling: Slice,
    ) -> FfiFuture<Attached>,
    /// The powers `requested` (JSON config) that `ceiling` (JSON) allows, as JSON. Pure; called when an actor
    /// starts with a manifest and ceiling that none had before, and by `theater validate`.
    pub narrow: unsafe extern "C" fn(this: *const (), handler_type: Slice, ceiling: Slice, requested: Slice) -> Answer,
    /// Reads what a URL of one of the descriptor's `schemes` names, for the actor with the id `actor`, whose manifest or
    /// whose child's it stands in, and which may as much as `ceiling` (JSON) says; an operator has no id, and null or the
    /// operator's own ceiling.
    pub resolve: unsafe extern "C" fn(this: *const (), url: Slice, actor: Slice, ceiling: Slice) -> FfiFuture<Answer>,
    /// Runs an operator's command of the descriptor's `commands`; arguments and result are JSON.
    pub command: unsafe extern "C" fn(this: *const (), name: Slice, arguments: Slice) -> FfiFuture<Answer>,
    /// A later addition by name, or null; a frozen table of its own.
    #[sabi(last_prefix_field)]
    pub service: unsafe extern "C" fn(this: *const (), id: Slice, minimum_minor: u32) -> *const (),
}

/// What `attach` gives: the handler when the answer's status is OK.
#[repr(C)]
#[derive(StableAbi)]
pub struct Attached {
    /// Whether there is a handler, and if not, why.
    pub answer: Answer,
    /// The handler; its data is null when the status is not OK.
    pub handler: HandlerObject,
}

/// A handler: one plugin's side of one actor.
#[repr(C)]
#[derive(Clone, Copy, StableAbi)]
pub struct HandlerObject {
    /// The maker's own; passed to every function of the table.
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
    /// Calls function number `function` of the descriptor, one that is not `async`. On the thread that runs the guest.
    ///
    /// `context` and `ask` live until this returns. A result ([`OK`]) may be left in the room: then its length is
    /// returned. Else `answer` is filled and [`ELSEWHERE`] returned. Any other number is the plugin's fault.
    pub call_sync: unsafe extern "C" fn(
        this: *const (),
        context: *const CallContext,
        function: u32,
        ask: *const CallArgs,
        answer: *mut Answer,
    ) -> u32,
    /// Starts function number `function`, one that is `async`, and polls it once; as `call_sync` when it has ended. Else
    /// `future` is filled and [`WAITS`] returned; the core polls it at once, since what it waits for knows no waker yet.
    /// `ask` does not live until the future ends, `context` and the handler do: the core changes the one and releases the
    /// other only when it has dropped the future, at its end or when the call is interrupted.
    pub call: unsafe extern "C" fn(
        this: *const (),
        context: *const CallContext,
        function: u32,
        ask: *const CallArgs,
        answer: *mut Answer,
        future: *mut FfiFuture<Answer>,
    ) -> u32,
    /// The actor is ready: from now on calls into it are accepted. Once per attach. The result is the encoded
    /// `list<string>` of addresses the handler listens on.
    pub started: unsafe extern "C" fn(this: *const (), resumed: bool) -> FfiFuture<Answer>,
    /// The actor makes no more calls. Once per attach, before `release`, which comes when its future has been dropped.
    pub stopped: unsafe extern "C" fn(this: *const ()) -> FfiFuture<Answer>,
    /// What a snapshot needs to make this handler again.
    pub export_state: unsafe extern "C" fn(this: *const ()) -> Answer,
    /// What `export_state` gave, before `started(resumed = true)`.
    pub import_state: unsafe extern "C" fn(this: *const (), state: Slice) -> Answer,
    /// A recorded call after the snapshot: rebuild what it made, repeat no effect. With [`EXPORT`] in the number it is a call
    /// of an export, by its number in the descriptor's `calls`; the result is then an option (none: it has not ended) of a
    /// result of the values behind the state, with an error of nothing for any end that is not `ok`.
    pub recover: unsafe extern "C" fn(this: *const (), function: u32, arguments: Slice, result: Slice) -> Answer,
    /// A later addition by name, or null; a frozen table of its own.
    pub service: unsafe extern "C" fn(this: *const (), id: Slice, minimum_minor: u32) -> *const (),
    /// Ends the handler; nothing of the table is called afterwards.
    #[sabi(last_prefix_field)]
    pub release: unsafe extern "C" fn(this: *const ()) -> Answer,
}

/// What the core gives a plugin: one for the whole plugin (at `init`), one per actor (at `attach`).
#[repr(C)]
#[derive(StableAbi)]
pub struct HostObject {
    /// The maker's own; passed to every function of the table.
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
        // SAFETY: gives back the one count this object holds.
        unsafe { self.table.release()(self.data) }
    }
}

/// Functions of a host. `this` is `HostObject::data`. What an actor's host starts ends with the actor.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = HostTableRef, prefix_fields = HostTablePrefix)))]
#[sabi(missing_field(panic))]
pub struct HostTable {
    /// One more owner of `this`.
    pub retain: unsafe extern "C" fn(this: *const ()),
    /// One owner less.
    pub release: unsafe extern "C" fn(this: *const ()),
    /// JSON of what this host is for: `{"plugin", "actor", "name", "handler"}`; `actor` is empty for the plugin's own.
    pub about: unsafe extern "C" fn(this: *const ()) -> Answer,
    /// Queues a call of export number `export` of the descriptor's `calls`. The future ends with the encoded values
    /// behind the state. `cause` is a sentence on where the call came from. Dropping the future does not undo the call.
    pub call: unsafe extern "C" fn(this: *const (), export: u32, params: Slice, cause: Slice) -> FfiFuture<Answer>,
    /// Whether the actor has export number `export`.
    pub has_export: unsafe extern "C" fn(this: *const (), export: u32) -> bool,
    /// Runs a future on the core's executor; the number names it for `abort`.
    pub spawn: unsafe extern "C" fn(this: *const (), future: FfiFuture<Answer>) -> u64,
    /// Drops a spawned future; nothing when it has ended.
    pub abort: unsafe extern "C" fn(this: *const (), task: u64),
    /// Ends after so many microseconds.
    pub sleep: unsafe extern "C" fn(this: *const (), microseconds: u64) -> FfiFuture<Answer>,
    /// Ends when the actor (or the plugin) is being stopped.
    pub cancelled: unsafe extern "C" fn(this: *const ()) -> FfiFuture<Answer>,
    /// Adds the edge "this actor waits for `other`" to the wait graph; an error prints the cycle it would close.
    /// `edge` is filled when the status is OK.
    pub wait_for: unsafe extern "C" fn(this: *const (), other: Slice, why: Slice, edge: *mut u64) -> Answer,
    /// Removes an edge.
    pub wait_end: unsafe extern "C" fn(this: *const (), edge: u64),
    /// Logs; `level` 1 error to 5 trace. A `target` of `actor` is the actor's own stream.
    pub log: unsafe extern "C" fn(this: *const (), level: u32, target: Slice, message: Slice),
    /// Adds to (`kind` 0) or sets (`kind` 1) a metric of this plugin.
    pub metric: unsafe extern "C" fn(this: *const (), name: Slice, kind: u32, value: f64),
    /// Path of a folder of this plugin's (or of this plugin and actor) under the data folder; made at the first call.
    pub data_folder: unsafe extern "C" fn(this: *const ()) -> Answer,
    /// A later addition by name, or null; a frozen table of its own, whose functions take this host's `this`.
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
            // SAFETY: data is the table's own; slices live for the call (all below alike).
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

/// What a call of a handler's function left.
pub enum Called<F = std::convert::Infallible> {
    /// A result: so many bytes of the room.
    OutBuffer(usize),
    /// An answer, in the place given for it.
    Elsewhere,
    /// It waits.
    Waits(F),
}

/// A plugin that breaks the ABI.
#[cold]
fn broken(left: u32, room: usize) -> Answer {
    match left {
        WAITS => Answer::error("a function that is not async cannot wait"),
        length => Answer::error(format!("it said that it left {length} bytes in a room of {room}")),
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
        // SAFETY: data is the table's own until release; context and ask live for the call (all below alike), and elsewhere
        // is a place for an answer.
        let left =
            unsafe { self.table.call_sync()(self.data, context, function, &raw const ask, elsewhere.as_mut_ptr()) };
        if left as usize <= most {
            return Called::OutBuffer(left as usize);
        }
        *answer = Some(match left {
            // SAFETY: filled by the contract of the function.
            ELSEWHERE => unsafe { elsewhere.assume_init() },
            other => broken(other, most),
        });
        Called::Elsewhere
    }
    /// Calls [`HandlerTable::call`].
    ///
    /// # Safety
    /// `context` must point to a context, and the handler must not have been released. Until the future is dropped it must
    /// not be released either, and the context must stand where it is, unchanged.
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

/// Kept private: proves at compile time that the frozen tables are `StableAbi`.
const _: fn() = || {
    fn stable<T: StableAbi>() {}
    stable::<PluginObject>();
    stable::<HandlerObject>();
    stable::<HostObject>();
    stable::<abi_stable::prefix_type::PrefixRef<HostTablePrefix>>();
};
