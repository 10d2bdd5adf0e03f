//! Services: additions to the ABI that are requested by name.
//!
//! A service is a frozen `#[repr(C)]` table. Its functions take the `this` of the object that returned the table, and
//! the ABI's rules on ownership, threads and panics apply to them ([`crate::abi`]). A new function is a new service, or
//! a new minor of a service whose table starts with the fields of the old one. An object that does not offer a service,
//! or not with the minor requested, returns null.
//!
//! | id | since | offered by | table |
//! |---|---|---|---|
//! | `theater.chain` | 1.0 | core, on an actor's host | [`ChainService`] |
//! | `theater.lifecycle` | 1.0 | core, on an actor's host | [`LifecycleService`] |
//! | `theater.messages` | 1.0 | core, on an actor's host; on the host of a plugin, `find` only | [`MessagesService`] |
//! | `theater.children` | 1.0 | core, on an actor's host | [`ChildrenService`] |
//! | `theater.record` | 1.0 | core, on an actor's host | [`RecordService`] |
//! | `theater.removed` | 1.0 | plugins | [`RemovedService`] |

use async_ffi::FfiFuture;
use theater_plugin_abi::{Answer, CallContext, Slice};

/// Id of [`ChainService`].
pub const SERVICE_CHAIN: &str = "theater.chain";
/// Id of [`LifecycleService`].
pub const SERVICE_LIFECYCLE: &str = "theater.lifecycle";

/// Id of [`MessagesService`].
pub const SERVICE_MESSAGES: &str = "theater.messages";
/// Id of [`ChildrenService`].
pub const SERVICE_CHILDREN: &str = "theater.children";

/// Id of [`RemovedService`].
pub const SERVICE_REMOVED: &str = "theater.removed";

/// Notifies a plugin of actors that have ended for good.
#[repr(C)]
pub struct RemovedService {
    /// The actor with this id has ended for good, as [`Plugin::forget`](crate::Plugin::forget) says. `this` is
    /// `PluginObject::data`.
    pub forget: unsafe extern "C" fn(this: *const (), actor: Slice) -> FfiFuture<Answer>,
}

/// Id of [`RecordService`].
pub const SERVICE_RECORD: &str = "theater.record";

/// Records data from outside that is not passed to an export of the actor.
#[repr(C)]
pub struct RecordService {
    /// Records `data` as an event of the actor's chain; `what` describes it in a few words.
    pub note: unsafe extern "C" fn(this: *const (), what: Slice, data: Slice) -> Answer,
}

/// Reads the actor's own chain.
#[repr(C)]
pub struct ChainService {
    /// The newest `most` events, oldest first, encoded as `list<chain-event>` of `theater:simple/types`.
    pub newest: unsafe extern "C" fn(this: *const (), most: u64) -> FfiFuture<Answer>,
}

/// Ends the actor.
#[repr(C)]
pub struct LifecycleService {
    /// Stops the actor after the running call, with `data` (none if `some` is false). An error if it is stopping
    /// already.
    pub shutdown: unsafe extern "C" fn(this: *const (), some: bool, data: Slice) -> Answer,
}

/// Delivers calls from another actor or from outside to the actor.
///
/// `source` is a sentence on the origin of the call. `context` is the other actor's call that it is part of, so that
/// the receiver's event names the sender's; null for a call from outside.
#[repr(C)]
pub struct MessagesService {
    /// The id of the running actor that `wanted` names: by its id, a unique prefix of the id of at least 4 characters,
    /// or a name that only one running actor has.
    pub find: unsafe extern "C" fn(this: *const (), wanted: Slice) -> Answer,
    /// As `HostTable::call`, with a cause.
    pub call: unsafe extern "C" fn(
        this: *const (),
        export: u32,
        params: Slice,
        source: Slice,
        context: *const CallContext,
    ) -> FfiFuture<Answer>,
    /// Queues a call; the future ends once it is recorded, and the result of the call is discarded. It waits for room
    /// in the mailbox, unless `first` is set: the call then precedes all queued calls and takes no room.
    pub post: unsafe extern "C" fn(
        this: *const (),
        export: u32,
        params: Slice,
        source: Slice,
        context: *const CallContext,
        first: bool,
    ) -> FfiFuture<Answer>,
    /// Waits for room in the mailbox, then attaches a call to the running host call of `context`. When the plugin has
    /// answered that host call, the call is queued and recorded in one step with the host call's own event. If this
    /// actor has ended by then, `otherwise` (an encoded result) is the answer of the host call. A host call can have
    /// one such call.
    pub stage: unsafe extern "C" fn(
        this: *const (),
        export: u32,
        params: Slice,
        source: Slice,
        context: *const CallContext,
        otherwise: Slice,
    ) -> FfiFuture<Answer>,
}

/// Starts, monitors and stops the actor's children. A child is named by its id.
///
/// A child that ended without being stopped is held until `restart` or `release`: its mailbox accepts calls, but
/// nothing runs. A plugin that starts children must therefore call `next_end` until the actor ends.
///
/// The config of the handler that uses this service limits the files that the actor's manifests may name: `paths`
/// (folders of manifests and components; default: the folder of the actor's own manifest), `state_paths` (folders of
/// initial states; default: none) and `max_component_bytes` (default: 256 MiB). A plugin with these config keys narrows
/// the paths with [`Rule::Paths`](crate::narrow::Rule::Paths).
#[repr(C)]
pub struct ChildrenService {
    /// Starts a child; the future ends with its id when it is ready. `manifest` is TOML, a URL or a path. If `some` is
    /// set, `state` replaces the state that the manifest passes to `init`.
    pub spawn: unsafe extern "C" fn(this: *const (), manifest: Slice, some: bool, state: Slice) -> FfiFuture<Answer>,
    /// Starts the ended child with that manifest's name again, with the same id and chain. If `some` is not set, `init`
    /// receives the child's last state.
    pub resume: unsafe extern "C" fn(this: *const (), manifest: Slice, some: bool, state: Slice) -> FfiFuture<Answer>,
    /// Restarts a held child as it was first started, or also a running one unless `only_held` is set. Queued calls are
    /// kept.
    pub restart: unsafe extern "C" fn(this: *const (), child: Slice, only_held: bool) -> FfiFuture<Answer>,
    /// Stops a child and its descendants, the deepest first.
    pub stop: unsafe extern "C" fn(this: *const (), child: Slice) -> FfiFuture<Answer>,
    /// Releases a held child: its queued calls are answered. Does nothing if it is not held.
    pub release: unsafe extern "C" fn(this: *const (), child: Slice) -> Answer,
    /// The ids of the running and held children, oldest first, encoded as `list<string>`.
    pub list: unsafe extern "C" fn(this: *const ()) -> Answer,
    /// The last committed state of a descendant, encoded as `option<list<u8>>`.
    pub state: unsafe extern "C" fn(this: *const (), actor: Slice) -> Answer,
    /// The newest events of a descendant's chain that fit into one value, oldest first, as `list<chain-event>`.
    pub events: unsafe extern "C" fn(this: *const (), actor: Slice) -> FfiFuture<Answer>,
    /// The next end of a child that has not been returned yet: the encoding of [`crate::ChildEnd`].
    pub next_end: unsafe extern "C" fn(this: *const ()) -> FfiFuture<Answer>,
    /// Ends the actor as failed, with this reason, after the running call.
    pub fail: unsafe extern "C" fn(this: *const (), reason: Slice),
}
