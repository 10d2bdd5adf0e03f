//! Services: what was added to the ABI by name.
//!
//! A service is a frozen `#[repr(C)]` table whose functions take the `this` of the object it was asked from. A new
//! function is a new service, or the same name with a new minor whose table starts with the old one's fields.
//!
//! | id | since | offered by | table |
//! |---|---|---|---|
//! | `theater.chain` | 1.0 | core, on an actor's host | [`ChainService`] |
//! | `theater.lifecycle` | 1.0 | core, on an actor's host | [`LifecycleService`] |
//! | `theater.messages` | 1.0 | core, on an actor's host; on a plugin's own, `find` only | [`MessagesService`] |
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

/// What a plugin offers that wants to know of actors that have ended for good.
#[repr(C)]
pub struct RemovedService {
    /// The actor with this id has ended for good, as [`Plugin::forget`](crate::Plugin::forget) says. `this` is
    /// `PluginObject::data`.
    pub forget: unsafe extern "C" fn(this: *const (), actor: Slice) -> FfiFuture<Answer>,
}

/// Id of [`RecordService`].
pub const SERVICE_RECORD: &str = "theater.record";

/// Records what came from outside for the actor and no export of it takes.
#[repr(C)]
pub struct RecordService {
    /// Records `data` as an event of the actor's chain; `what` says in a few words what it is.
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
    /// The running call finishes, then the actor stops with `data` (none when `some` is false). An error when it is
    /// stopping already.
    pub shutdown: unsafe extern "C" fn(this: *const (), some: bool, data: Slice) -> Answer,
}

/// Brings the actor what another one, or the outside, has for it.
///
/// `source` is a sentence on where it comes from; `context` is the call of the other actor that it is made from, null for
/// the outside: the receiver's event names the sender's.
#[repr(C)]
pub struct MessagesService {
    /// The id of the living actor that `wanted` (an id, a unique start of one of at least 4 characters, or a name that one
    /// living actor has) stands for.
    pub find: unsafe extern "C" fn(this: *const (), wanted: Slice) -> Answer,
    /// As `HostTable::call`, with a cause.
    pub call: unsafe extern "C" fn(
        this: *const (),
        export: u32,
        params: Slice,
        source: Slice,
        context: *const CallContext,
    ) -> FfiFuture<Answer>,
    /// Queues a call and ends once it is recorded; what it returns goes to nobody. It waits for a place in the mailbox,
    /// unless `first` says that it goes before all calls and takes no place.
    pub post: unsafe extern "C" fn(
        this: *const (),
        export: u32,
        params: Slice,
        source: Slice,
        context: *const CallContext,
        first: bool,
    ) -> FfiFuture<Answer>,
    /// Waits for a place in the mailbox, then leaves a call with the host call of `context` that is running: it is
    /// recorded and queued in one step with that host call's own event, when the plugin has answered it. If this actor
    /// has ended by then, `otherwise` (an encoded result) is the host call's answer. A host call carries one such call.
    pub stage: unsafe extern "C" fn(
        this: *const (),
        export: u32,
        params: Slice,
        source: Slice,
        context: *const CallContext,
        otherwise: Slice,
    ) -> FfiFuture<Answer>,
}

/// Starts, watches and ends the actor's children. A child is named by its id.
///
/// A child that ended, unless somebody stopped it, is held (its mailbox takes calls, nothing runs) until `restart` or
/// `release` says what becomes of it: whoever starts children asks for every `next_end`.
///
/// Which files the manifests name that the actor supplies is up to the config of the handler that uses this service:
/// `paths` (folders of manifests and components; default: the folder of the actor's own manifest), `state_paths` (folders of
/// first states; default: none) and `max_component_bytes` (default: 256 MiB). A plugin that offers these keys narrows them
/// with [`Rule::Paths`](crate::narrow::Rule::Paths).
#[repr(C)]
pub struct ChildrenService {
    /// Starts a child and ends with its id when it is ready. `manifest` is TOML, a URL or a path; with `some`, `state` is
    /// the state its `init` gets in place of the manifest's.
    pub spawn: unsafe extern "C" fn(this: *const (), manifest: Slice, some: bool, state: Slice) -> FfiFuture<Answer>,
    /// Starts the ended child of that manifest's name again, with the same id and chain. Without `some`, `init` gets the
    /// child's last state.
    pub resume: unsafe extern "C" fn(this: *const (), manifest: Slice, some: bool, state: Slice) -> FfiFuture<Answer>,
    /// Starts a held child again as it was first started, and unless `only_held` a living one; calls that wait for it stay.
    pub restart: unsafe extern "C" fn(this: *const (), child: Slice, only_held: bool) -> FfiFuture<Answer>,
    /// Stops a child and everything below it, deepest first.
    pub stop: unsafe extern "C" fn(this: *const (), child: Slice) -> FfiFuture<Answer>,
    /// Lets a held child go: what waits for it is answered. Nothing when it is not held.
    pub release: unsafe extern "C" fn(this: *const (), child: Slice) -> Answer,
    /// The ids of living and held children, oldest first, encoded as `list<string>`.
    pub list: unsafe extern "C" fn(this: *const ()) -> Answer,
    /// The last committed state of a descendant, encoded as `option<list<u8>>`.
    pub state: unsafe extern "C" fn(this: *const (), actor: Slice) -> Answer,
    /// The newest events of a descendant's chain that fit into one value, oldest first, as `list<chain-event>`.
    pub events: unsafe extern "C" fn(this: *const (), actor: Slice) -> FfiFuture<Answer>,
    /// The next death of a child that has not been told: the encoding of [`crate::ChildEnd`].
    pub next_end: unsafe extern "C" fn(this: *const ()) -> FfiFuture<Answer>,
    /// Ends the actor as failed, with this reason, after the running call.
    pub fail: unsafe extern "C" fn(this: *const (), reason: Slice),
}
